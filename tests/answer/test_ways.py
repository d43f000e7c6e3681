"""The two ways to an answer, by the table and by the parser, are one in what they say; and dnspython agrees."""

from dataclasses import replace

import dns.edns
import dns.message
import dns.name
import dns.node
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.zone
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnslb.answer import tally
from dnslb.answer.cookies import Cookies
from dnslb.answer.responder import respond
from dnslb.answer.service import ServiceType
from dnslb.answer.snapshot import Snapshot
from dnslb.answer.terms import Terms
from dnslb.answer.turns import Turns
from dnslb.pool.admin import Admin
from dnslb.pool.health import Health, State
from dnslb.pool.selection import Candidate
from dnslb.wire.cookie import make
from dnslb.wire.edns import BARE_SIZE, CLASSIC_PAYLOAD
from dnslb.wire.name import to_text
from tests.conftest import CLIENT, SOA_AND_NS, audience, decoded, member, pool, question, service, snapshot, zone

_TEXT = """
@ TXT "apex"
@ MX 10 mail
@ MX 20 x.elsewhere.test.
mail A 192.0.2.1
mail AAAA 2001:db8::1
www CNAME mail
twice CNAME www
away CNAME x.elsewhere.test.
gone CNAME no.such
*.wild A 192.0.2.4
*.wild MX 10 mail
*.alias CNAME mail
a.b.c TXT "deep"
_imap._tcp SRV 0 1 143 mail
ptr PTR mail
odd TYPE65280 \\# 3 010203
caa CAA 0 issue "ca.test"
tlsa TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000001
child NS ns.child
child DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000001
ns.child A 192.0.2.5
Mixed MX 10 MAIL
"""
_STATIC = zone(_TEXT)
_POOL = pool(*(member(f"mx{n}", f"192.0.2.{n}", f"2001:db8::{n}", weight=n) for n in range(1, 5)))
_SERVICES = (
    service(records=2),
    service("lb.test", records=None),
    service("post.lb.test", ServiceType.MX),
    service("_s._tcp.lb.test", ServiceType.SRV),
)
RICH = snapshot(zone(_TEXT + "relay CNAME mx\n"), _POOL, *_SERVICES)
PLAIN = snapshot(
    zone("\n".join(line for line in _TEXT.splitlines() if "*" not in line and "child" not in line)), _POOL, *_SERVICES
)
"""Without cuts and wildcards, so that what is not in the table is denied at once."""
_PANIC = snapshot(
    zone(_TEXT), _POOL, *_SERVICES, candidates=[Candidate(one, Admin(), Health(State.DOWN)) for one in _POOL.members]
)
"""Where all answers of the pool say that its health is ignored."""
_TYPES = (
    "A",
    "AAAA",
    "MX",
    "NS",
    "CNAME",
    "SOA",
    "TXT",
    "SRV",
    "PTR",
    "DS",
    "CAA",
    "TLSA",
    "TYPE41",
    "TYPE65280",
    "HTTPS",
    "ANY",
)
_NAMES = sorted(
    {to_text(owner) for owner in RICH.names}
    | {"x.wild.lb.test", "x.y.alias.lb.test", "b.c.lb.test", "no.lb.test", "no.www.lb.test", "www.child.lb.test"}
    | {"child.lb.test", "elsewhere.test", "wild.lb.test"}
    | {r"\000\000\041.lb.test", r"\000\000\041\004\000\000\000\000\000.x.wild.lb.test"}
)
"""The last ones, and the type 41, hold what an OPT record begins with."""
_COOKIE = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")


def _reply(query: bytes, of: Snapshot, turns: Turns) -> tuple[bytes, int]:
    response, slot = respond(query, of, turns, CLIENT)
    assert response is not None
    return response, slot


def _without_opt(response: bytes, size: int) -> bytes:
    additionals = int.from_bytes(response[10:12], "big") - 1
    return response[:10] + additionals.to_bytes(2, "big") + response[12:-size]


@pytest.mark.parametrize("of", [RICH, PLAIN, _PANIC], ids=["rich", "plain", "panic"])
@pytest.mark.parametrize("name", _NAMES)
def test_all_forms_of_a_query_get_the_same_answer(name: str, of: Snapshot) -> None:
    """Bare, with a common OPT record, with an uncommon payload size, with an option: octet by octet, turn by turn."""
    for rdtype in _TYPES:
        text = f"{name} {rdtype}"
        forms = [
            question(text),
            question(text, payload=1232),
            question(text, payload=1231),
            question(text, payload=1232, options=[_COOKIE]),
        ]
        ways = [Turns(1) for _ in forms]
        for _ in range(3):
            replies = [_reply(form, of, turns) for form, turns in zip(forms, ways, strict=True)]
            assert len(set(replies[1:])) == 1
            (bare, bare_slot), (full, slot) = replies[:2]
            assert bare_slot == slot
            assert decoded(full).edns == 0
            # Why it is refused, or how ill the pool is, is said to who has EDNS.
            size = BARE_SIZE + sum(4 + len(option.to_wire() or b"") for option in decoded(full).options)
            if len(full) - size <= CLASSIC_PAYLOAD:
                assert bare == _without_opt(full, size)
            else:
                assert decoded(bare).answer == decoded(full).answer


def _oracle() -> dns.zone.Zone:
    return dns.zone.from_text(SOA_AND_NS + _TEXT, "lb.test.", relativize=False)


@pytest.mark.parametrize("rdtype", [one for one in _TYPES if one != "ANY"])
def test_dnspython_reads_the_same_zone(rdtype: str) -> None:
    """Outside the delegated part, an RRset of dnspython's zone is the answer, and what it has not is none."""
    of, oracle = snapshot(_STATIC), _oracle()
    for name in (dns.name.from_text(to_text(owner)) for owner in _STATIC.nodes):
        if name.is_subdomain(dns.name.from_text("child.lb.test")):
            continue
        message = decoded(respond(question(f"{name} {rdtype}"), of, Turns(0), CLIENT)[0] or b"")
        rdataset = oracle.get_rdataset(name, rdtype)
        assert message.rcode() == (dns.rcode.NXDOMAIN if str(name) == "gone.lb.test." and rdtype != "CNAME" else 0)
        if rdataset is not None:
            assert (message.answer[0].name, message.answer[0].ttl) == (name, rdataset.ttl)
            assert dns.rdatatype.from_text(rdtype) == message.answer[0].rdtype
            assert set(message.answer[0]) == set(rdataset)
        elif oracle.get_rdataset(name, "CNAME") is None:
            assert message.answer == []


# Fuzz


_SEEDS = st.builds(
    question,
    st.sampled_from([f"{name} {rdtype}" for name in _NAMES for rdtype in _TYPES]),
    payload=st.sampled_from([None, 0, 512, 1232, 65535]),
    dnssec_ok=st.booleans(),
    options=st.sampled_from([[], [_COOKIE], [dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")]]),
    flags=st.integers(0, 0xFFFF),
)


@st.composite
def _mutants(draw: st.DrawFn) -> bytes:
    """Return a sound query of which some octets are changed, left out or put in."""
    octets = bytearray(draw(_SEEDS))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(len(octets) - 1, 0)))
        cut = draw(st.integers(0, 3))
        octets[place : place + cut] = draw(
            st.binary(max_size=3) | st.sampled_from([b"\xc0\x0c", b"\x00", b"\x3f", b"\x40"])
        )
    return bytes(octets)


def _check_reply(octets: bytes, of: Snapshot, *, stream: bool) -> None:
    response, slot = respond(octets, of, Turns(0), CLIENT, stream=stream)
    assert 0 <= slot < tally.INTERNAL
    if response is None:
        assert slot >= tally.ANSWERS
        assert len(octets) < 12 or len(octets) > 4096 or octets[2] & 0x80
        return
    assert len(octets) >= 12
    assert response[:2] == octets[:2]
    assert (response[2] ^ octets[2]) & 0xF9 == 0x80
    assert response[3] & 0xE0 == 0
    assert len(response) <= (65535 if stream else 1232)
    if b"\x00\x00\x29" not in octets:
        assert stream or len(response) <= 512
    # Not by dnslib, which refuses labels that are not UTF-8.
    message = dns.message.from_wire(response)
    if message.rcode() in {dns.rcode.FORMERR, dns.rcode.NOTIMP}:
        assert not any(message.sections[1:])


@settings(max_examples=300)
@given(octets=_mutants(), of=st.sampled_from([RICH, PLAIN]), stream=st.booleans())
def test_mutated_queries_are_answered_or_dropped(octets: bytes, of: Snapshot, *, stream: bool) -> None:
    """Never an exception; the id, the opcode and RD come back with QR, and the response is within its limit."""
    _check_reply(octets, of, stream=stream)


@given(body=st.binary(max_size=600), head=st.sampled_from([b"", bytes(12), b"\x12\x34\x01\x00\x00\x01" + bytes(6)]))
def test_random_octets_are_answered_or_dropped(head: bytes, body: bytes) -> None:
    """The same of what no client sends."""
    _check_reply(head + body, PLAIN, stream=False)


_LONG = (b"\x3f" + b"x" * 63) * 3
_NO_NAMES = {
    "256 octets": _LONG + b"\x36" + b"x" * 54 + b"\x02lb\x04test\x00",
    "a label of 64 octets": b"\x40" + b"x" * 64 + b"\x02lb\x04test\x00",
    "a label whose length is a letter": b"\x41" + b"x" * 65 + b"\x02lb\x04test\x00",
    "a pointer": b"\x01x\xc0\x0c\x02lb\x04test\x00",
    "a label that swallows the apex": b"\x0ax\x02lb\x04test\x00",
    "an end before the apex": b"\x01x\x00\x02lb\x04test\x00",
}


@pytest.mark.parametrize("tail", [b"", b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"], ids=["bare", "opt"])
@pytest.mark.parametrize("name", _NO_NAMES.values(), ids=_NO_NAMES)
def test_what_is_no_name_is_not_denied(name: bytes, tail: bytes) -> None:
    """Octets that end like a name of ours are FORMERR all the same, on every way."""
    head = b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00" + bytes([bool(tail)])
    for of in (RICH, PLAIN):
        response, _ = respond(head + name + b"\x00\x01\x00\x01" + tail, of, Turns(0), CLIENT)
        message = dns.message.from_wire(response or b"")
        assert message.rcode() == dns.rcode.FORMERR
        assert not any(message.sections[1:])


def test_the_longest_name_is_denied() -> None:
    """255 octets are a name: it does not exist, which is all that is wrong with it."""
    name = _LONG + b"\x35" + b"x" * 53 + b"\x02lb\x04test\x00"
    query = question("lb.test A")[:12] + name + b"\x00\x01\x00\x01"
    for of in (RICH, PLAIN):
        response, _ = respond(query, of, Turns(0), CLIENT)
        assert decoded(response or b"").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(("there", "asked"), [("TYPE97", "HTTPS"), ("HTTPS", "TYPE97"), ("TYPE16705", "TYPE24929")])
def test_a_type_is_not_taken_for_another_one_in_lower_case(there: str, asked: str) -> None:
    """The octets of some types are those of letters: 65 and 97 are "A" and "a"."""
    data = '1 . alpn="h2"' if there == "HTTPS" else r"\# 1 2a"
    of = snapshot(zone(f"odd {there} {data}"))
    for payload in (None, 1232):
        assert len(decoded(_reply(question(f"odd.lb.test {there}", payload=payload), of, Turns(0))[0]).answer) == 1
        denied = decoded(_reply(question(f"OdD.lb.test {asked}", payload=payload), of, Turns(0))[0])
        assert (denied.rcode(), denied.answer, len(denied.authority)) == (dns.rcode.NOERROR, [], 1)


@pytest.mark.parametrize("believed", [False, True])
def test_what_is_remembered_is_short(*, believed: bool) -> None:
    """Whoever has a right cookie cannot fill the memory with all that may stand beside it; he is answered as ever."""
    secret = bytes(range(16))
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, make(b"12345678", CLIENT, secret, 0))
    of = replace(snapshot(zone(_TEXT), audience(*["0.0.0.0/0"] * believed)), terms=Terms(secrets=(secret,)))
    for size in (0, 40, 80, 1000):
        cookies = Cookies((secret,), 0)
        padding = dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(size))
        query = question("mail.lb.test A", payload=1232, options=[cookie, padding])
        response, _ = respond(query, of, Turns(0), CLIENT, cookies)
        assert [one.otype for one in decoded(response or b"").options] == [dns.edns.OptionType.COOKIE]
        assert all(len(record) < 120 for record in cookies.known)
        assert bool(cookies.known) == (size <= 40 and not believed)
