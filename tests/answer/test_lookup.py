"""What static zones answer: the outcomes of RFC 1034 section 4.3.2."""

import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.conftest import ask, lines, snapshot, zone

_SOA = "lb.test. 60 SOA ns.lb.test. hostmaster.lb.test. 1 3600 600 86400 60"
SNAPSHOT = snapshot(
    zone("""
        @ MX 10 mail
        @ MX 20 mail.elsewhere.test.
        @ TXT "apex"
        mail 60 A 192.0.2.1
        mail AAAA 2001:db8::1
        a.deep.below TXT "a"
        _imap._tcp SRV 0 1 143 mail
        www CNAME web
        web A 192.0.2.2
        web A 192.0.2.3
        twice CNAME www
        away CNAME www.elsewhere.test.
        toaway CNAME away
        tonothing CNAME no.such
        tobetween CNAME below
        tochild CNAME www.child
        towild CNAME x.wild
        toent CNAME x.ent
        toroot CNAME .
        topast CNAME no.web
        round1 CNAME round2
        round2 CNAME round1
        self CNAME self
        toround CNAME round1
        c1 CNAME c2
        c2 CNAME c3
        c3 CNAME c4
        c4 CNAME c5
        c5 CNAME c6
        c6 CNAME c7
        c7 CNAME c8
        c8 CNAME c9
        c9 CNAME c10
        c10 CNAME web
        *.wild A 192.0.2.4
        *.wild MX 10 mail
        *.alias CNAME web
        *.none.empty TXT "only"
        *.between TXT "wild"
        has.below.*.ent TXT "x"
        child NS ns.child
        child NS ns.elsewhere.test.
        ns.child A 192.0.2.5
        ns.child AAAA 2001:db8::5
        signed NS ns
        signed DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000001
        a.b.cut NS ns
        """)
)


def _data(message: dns.message.Message) -> tuple[str, list[str], list[str], bool]:
    assert message.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}
    word = "nxdomain" if message.rcode() else "noerror"
    return word, lines(message.answer), lines(message.authority), bool(message.flags & dns.flags.AA)


_FOUND = {
    "web A": ["web.lb.test. 300 A 192.0.2.2", "web.lb.test. 300 A 192.0.2.3"],
    "mail A": ["mail.lb.test. 60 A 192.0.2.1"],
    "www CNAME": ["www.lb.test. 300 CNAME web.lb.test."],
    "www A": ["www.lb.test. 300 CNAME web.lb.test.", "web.lb.test. 300 A 192.0.2.2", "web.lb.test. 300 A 192.0.2.3"],
    "twice A": [
        "twice.lb.test. 300 CNAME www.lb.test.",
        "www.lb.test. 300 CNAME web.lb.test.",
        "web.lb.test. 300 A 192.0.2.2",
        "web.lb.test. 300 A 192.0.2.3",
    ],
    "x.wild A": ["x.wild.lb.test. 300 A 192.0.2.4"],
    "x.y.wild A": ["x.y.wild.lb.test. 300 A 192.0.2.4"],
    "*.wild A": ["*.wild.lb.test. 300 A 192.0.2.4"],
    "x.none.empty TXT": ['x.none.empty.lb.test. 300 TXT "only"'],
    "x.alias CNAME": ["x.alias.lb.test. 300 CNAME web.lb.test."],
    "towild A": ["towild.lb.test. 300 CNAME x.wild.lb.test.", "x.wild.lb.test. 300 A 192.0.2.4"],
    "x.alias A": [
        "x.alias.lb.test. 300 CNAME web.lb.test.",
        "web.lb.test. 300 A 192.0.2.2",
        "web.lb.test. 300 A 192.0.2.3",
    ],
    "signed DS": [f"signed.lb.test. 300 DS 1 13 2 {'0' * 63}1"],
}


@pytest.mark.parametrize("asked", _FOUND)
def test_data(asked: str) -> None:
    """What is in the zone, or synthesised from a wildcard, or at the end of aliases in the zone: with AA and no SOA."""
    name, rdtype = asked.split()
    assert _data(ask(SNAPSHOT, f"{name}.lb.test {rdtype}")) == ("noerror", _FOUND[asked], [], True)


_OUTSIDE = {
    "away A": ["away.lb.test. 300 CNAME www.elsewhere.test."],
    "toaway A": ["toaway.lb.test. 300 CNAME away.lb.test.", "away.lb.test. 300 CNAME www.elsewhere.test."],
    "toroot A": ["toroot.lb.test. 300 CNAME ."],
}


@pytest.mark.parametrize("asked", _OUTSIDE)
def test_aliases_that_the_resolver_must_follow(asked: str) -> None:
    """A chain that leaves the zone is given as far as it goes, without a word on its end."""
    name, rdtype = asked.split()
    assert _data(ask(SNAPSHOT, f"{name}.lb.test {rdtype}")) == ("noerror", _OUTSIDE[asked], [], True)


def test_an_alias_of_a_delegated_name_ends_in_a_referral() -> None:
    """The alias is ours (AA), what it leads to is known by the child's servers (RFC 1034 section 4.3.2, 3b)."""
    for payload in (None, 1000):
        message = ask(SNAPSHOT, "tochild.lb.test A", payload=payload)
        expected = ["child.lb.test. 300 NS ns.child.lb.test.", "child.lb.test. 300 NS ns.elsewhere.test."]
        chain = ["tochild.lb.test. 300 CNAME www.child.lb.test."]
        assert _data(message) == ("noerror", chain, expected, True)
        glue = ["ns.child.lb.test. 300 A 192.0.2.5", "ns.child.lb.test. 300 AAAA 2001:db8::5"]
        assert lines(message.additional) == glue


@pytest.mark.parametrize("name", ["round1", "round2", "self", "toround"])
@pytest.mark.parametrize("rdtype", ["A", "TXT"])
def test_aliases_that_go_round_are_not_denied(name: str, rdtype: str) -> None:
    """A loop ends at an alias: no SOA may say that the type is not there."""
    word, answer, authority, authoritative = _data(ask(SNAPSHOT, f"{name}.lb.test {rdtype}"))
    assert (word, authority, authoritative) == ("noerror", [], True)
    assert len(answer) >= 1
    assert len(answer) == len(set(answer))


@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_long_chain_is_followed_to_its_end(first: int) -> None:
    """Eight links are compiled, the rest is found by asking on."""
    links = [f"c{n}.lb.test. 300 CNAME {f'c{n + 1}' if n < 10 else 'web'}.lb.test." for n in range(first, 11)]
    found = ["web.lb.test. 300 A 192.0.2.2", "web.lb.test. 300 A 192.0.2.3"]
    assert _data(ask(SNAPSHOT, f"c{first}.lb.test A")) == ("noerror", links + found, [], True)
    assert _data(ask(SNAPSHOT, f"c{first}.lb.test TXT")) == ("noerror", links, [_SOA], True)


_NODATA = (
    *("web MX", "web CNAME", "lb.test A", "lb.test DS", "mail TXT", "x.wild TXT", "web TYPE65280", "web OPT"),
    *("below A", "deep.below A", "below ANY", "_tcp SRV", "wild A", "wild ANY", "empty A", "none.empty TXT", "alias A"),
    *(
        "child DS",
        "a.b.cut DS",
        "b.cut A",
        "cut A",
        "cut ANY",
        "*.ent A",
        "below.*.ent A",
        "ent TXT",
    ),
)


@pytest.mark.parametrize("asked", _NODATA)
@pytest.mark.parametrize("payload", [None, 1000])
def test_nodata(asked: str, payload: int | None) -> None:
    """The name is there, if only because something is below it; the type is not. TTL: the lower of the SOA's two."""
    name, rdtype = asked.split()
    whole = name if name == "lb.test" else f"{name}.lb.test"
    assert _data(ask(SNAPSHOT, f"{whole} {rdtype}", payload=payload)) == ("noerror", [], [_SOA], True)


_ALIASED_NODATA = {
    "www TXT": ["www"],
    "twice MX": ["twice", "www"],
    "tobetween A": ["tobetween"],
    "towild TXT": ["towild"],
    "toent A": ["toent"],
    "x.alias TXT": ["x.alias"],
}


@pytest.mark.parametrize("name", ["www", "twice", "away", "x.alias", "round1"])
@pytest.mark.parametrize("rdtype", ["RRSIG", "NSEC"])
def test_what_may_stand_beside_an_alias_is_not_looked_for_behind_it(name: str, rdtype: str) -> None:
    """An alias may have records of the two types itself (RFC 4035 section 2.5), so that its own name is meant."""
    assert _data(ask(SNAPSHOT, f"{name}.lb.test {rdtype}")) == ("noerror", [], [_SOA], True)


@pytest.mark.parametrize("asked", _ALIASED_NODATA)
def test_nodata_behind_aliases(asked: str) -> None:
    """The chain, then the SOA of the name at its end (RFC 2308 section 2.2)."""
    name, rdtype = asked.split()
    word, answer, authority, authoritative = _data(ask(SNAPSHOT, f"{name}.lb.test {rdtype}"))
    assert (word, authority, authoritative) == ("noerror", [_SOA], True)
    assert [line.split()[0] for line in answer] == [f"{owner}.lb.test." for owner in _ALIASED_NODATA[asked]]


@pytest.mark.parametrize(
    "name", ["no", "no.web", "x.y.z", "*.*.wild", "no.below", "b.deep.below", "no.deep.below", "x.no.www"]
)
@pytest.mark.parametrize("rdtype", ["A", "ANY", "DS", "CNAME"])
def test_nxdomain(name: str, rdtype: str) -> None:
    """Nothing is at the name or below it."""
    assert _data(ask(SNAPSHOT, f"{name}.lb.test {rdtype}")) == ("nxdomain", [], [_SOA], True)


@pytest.mark.parametrize("name", ["tonothing", "topast"])
def test_nxdomain_behind_an_alias(name: str) -> None:
    """The response code speaks of the end of the chain (RFC 6604 section 3); the chain is there all the same."""
    word, answer, authority, _ = _data(ask(SNAPSHOT, f"{name}.lb.test A"))
    assert (word, len(answer), authority) == ("nxdomain", 1, [_SOA])


def test_a_wildcard_that_is_an_empty_non_terminal_exists() -> None:
    """It is the source of synthesis and has no data: NODATA (RFC 4592 sections 2.2.2 and 3.3.1), not NXDOMAIN."""
    assert _data(ask(SNAPSHOT, "x.ent.lb.test A")) == ("noerror", [], [_SOA], True)
    # The same where no other wildcard is.
    of = snapshot(zone("below.*.ent TXT x"))
    assert _data(ask(of, "x.ent.lb.test A")) == ("noerror", [], [_SOA], True)


@pytest.mark.parametrize(("soa_ttl", "minimum", "expected"), [(300, 60, 60), (60, 300, 60), (0, 60, 0), (60, 0, 0)])
def test_a_denial_is_believed_as_long_as_the_lower_of_two_numbers(soa_ttl: int, minimum: int, expected: int) -> None:
    """The SOA's own TTL and its MINIMUM (RFC 2308 section 5); the SOA itself is answered with its TTL."""
    of = snapshot(zone(f"@ {soa_ttl} SOA ns h 1 3600 600 86400 {minimum}\n@ 300 NS ns\nns 300 A 192.0.2.1"))
    assert ask(of, "no.lb.test A").authority[0].ttl == expected
    assert ask(of, "lb.test TXT").authority[0].ttl == expected
    assert ask(of, "lb.test SOA").answer[0].ttl == soa_ttl


def test_the_serial_is_the_published_one() -> None:
    """In the SOA as an answer, through an alias, and in denials: whatever the file says."""
    of = snapshot(zone("alias CNAME @"), serial=4_000_000_000)
    for text in ("lb.test SOA", "alias.lb.test SOA"):
        assert lines(ask(of, text).answer)[-1].split()[5] == "4000000000"
    for text in ("no.lb.test A", "lb.test A"):
        assert lines(ask(of, text).authority)[0].split()[5] == "4000000000"


# ANY


def test_any_is_answered_with_one_rrset() -> None:
    """One is enough (RFC 8482 section 4.1), at a wildcard too."""
    for name in ("web", "lb.test", "x.wild", "mail"):
        message = ask(SNAPSHOT, f"{name if name == 'lb.test' else name + '.lb.test'} ANY")
        assert (len(message.answer), message.authority) == (1, [])
        assert message.rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize("name", ["www", "twice", "away", "tonothing", "round1", "x.alias"])
def test_any_at_an_alias_is_the_alias(name: str) -> None:
    """QTYPE ANY matches the CNAME, so that it is not followed (RFC 1034 section 4.3.2, 3a)."""
    message = ask(SNAPSHOT, f"{name}.lb.test ANY")
    assert [line.split()[0::2][:2] for line in lines(message.answer)] == [[f"{name}.lb.test.", "CNAME"]]
    assert (message.authority, message.rcode()) == ([], dns.rcode.NOERROR)


def test_class_any_finds_class_in() -> None:
    """QCLASS * matches our only class."""
    assert lines(ask(SNAPSHOT, "web.lb.test A ANY").answer) == _FOUND["web A"]


# Additional


_ADDITIONAL = {
    "lb.test MX": ["mail.lb.test. 60 A 192.0.2.1", "mail.lb.test. 300 AAAA 2001:db8::1"],
    "lb.test NS": ["ns.lb.test. 300 A 192.0.2.53"],
    "_imap._tcp.lb.test SRV": ["mail.lb.test. 60 A 192.0.2.1", "mail.lb.test. 300 AAAA 2001:db8::1"],
    "x.wild.lb.test MX": ["mail.lb.test. 60 A 192.0.2.1", "mail.lb.test. 300 AAAA 2001:db8::1"],
    "www.lb.test A": [],
    "lb.test TXT": [],
    "no.lb.test A": [],
}


@pytest.mark.parametrize("asked", _ADDITIONAL)
@pytest.mark.parametrize("payload", [None, 1232, 1000])
def test_additional_addresses(asked: str, payload: int | None) -> None:
    """The addresses of the hosts that MX, NS and SRV records name spare the next question."""
    assert lines(ask(SNAPSHOT, asked, payload=payload).additional) == _ADDITIONAL[asked]


# RFC 4592


RFC_4592 = snapshot(
    zone(
        """
        @ 3600 SOA ns.example.com. hostmaster 1 3600 600 86400 3600
        @ 3600 NS ns.example.com.
        @ 3600 NS ns.example.net.
        * 3600 TXT "this is a wildcard"
        * 3600 MX 10 host1.example.
        sub.* 3600 TXT "this is not a wildcard"
        host1 3600 A 192.0.2.1
        _ssh._tcp.host1 3600 SRV 0 0 22 host1
        _ssh._tcp.host2 3600 SRV 0 0 22 host2
        subdel 3600 NS ns.example.com.
        subdel 3600 NS ns.example.net.
        """,
        "example",
    )
)
_SECTION_2_2_1 = {
    "host3.example MX": "host3.example. 3600 MX 10 host1.example.",
    "host3.example A": "nodata",
    "foo.bar.example TXT": 'foo.bar.example. 3600 TXT "this is a wildcard"',
    "host1.example MX": "nodata",
    "sub.*.example MX": "nodata",
    "_telnet._tcp.host1.example SRV": "nxdomain",
    "host.subdel.example A": "referral",
    "ghost.*.example MX": "nxdomain",
    # Not in the section's list, but from its text.
    "*.example TXT": '*.example. 3600 TXT "this is a wildcard"',
    "sub.*.example TXT": 'sub.*.example. 3600 TXT "this is not a wildcard"',
    "host2.example MX": "nodata",
    "_tcp.host2.example A": "nodata",
    "x.host2.example TXT": "nxdomain",
}


@pytest.mark.parametrize("asked", _SECTION_2_2_1)
def test_the_example_of_rfc_4592(asked: str) -> None:
    """What section 2.2.1 says of each question to its zone."""
    message = ask(RFC_4592, asked)
    expected = _SECTION_2_2_1[asked]
    if expected == "referral":
        assert not message.flags & dns.flags.AA
        assert [rrset.to_text().split()[3] for rrset in message.authority] == ["NS"]
    elif expected in {"nodata", "nxdomain"}:
        assert _data(message)[:2] == (expected.replace("nodata", "noerror"), [])
        assert message.authority[0].rdtype == dns.rdatatype.SOA
    else:
        assert (lines(message.answer), message.authority) == ([expected], [])
