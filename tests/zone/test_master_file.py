"""Master files become RRsets of octets, and every mistake in them has its place."""

from pathlib import Path

import dns.rdata
import dns.rdatatype
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.wire.name import from_text, to_text
from dnslb.zone.master_file import load, read
from dnslb.zone.problem import ZoneError
from dnslb.zone.rrset import RRset
from dnslb.zone.zone import Zone

EXAMPLE = Path(__file__).parents[2] / "zones" / "lb.example.org.zone"
APEX = from_text("lb.example.org")
HEAD = "$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 604800 30\n@ NS ns1\nns1 A 192.0.2.1\n"
"""Four lines, so that what a test adds begins in line 5."""

KITCHEN_SINK = r"""
$ORIGIN Example.ORG.
$TTL 1h
LB      IN SOA  ns1.lb.example.org. Host\.master.example.org. (
                2026010101 ; serial
                1h 10m 1w 30 )
        IN NS   ns1.lb.example.org.
        600 NS  NS2.Elsewhere.Example.
$ORIGIN lb.example.org.
ns1     A       192.0.2.1
        IN 5m AAAA 2001:db8::1
        A       192.0.2.1 ; a second time
Mixed   5m IN MX 10 Mail.Case.Example.
        60 MX   20 other.example.
txt     TXT     "a;b" "c\"d" plain
svc     HTTPS   1 . alpn="h2,h3" ipv4hint=192.0.2.1
_25._tcp.mx TLSA ( 3 1 1
        0123456789abcdef0123456789abcdef
        0123456789abcdef0123456789abcdef )
caa     CAA     0 issue "ca.example"
odd     TYPE65280 \# 3 010203
a\.b.c  A       192.0.2.3
*.wild  CNAME   ns1
sub     NS      ns.sub
ns.sub  A       192.0.2.4
sub     DS      12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
$GENERATE 1-3 host$ A 192.0.2.1$
$GENERATE 10-14/2 h${-9,3,d} 300 IN CNAME t${0,2,x}.example.
$GENERATE 1-2 cost$ TXT $$5\$$
srv     SRV     1 2 25 ns1
"""


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def problems(text: str) -> list[str]:
    """Return the problems of a zone file lb.zone with this text, none if it loads."""
    Path("lb.zone").write_text(text)
    try:
        load(Path("lb.zone"), APEX)
    except ZoneError as error:
        return [str(problem) for problem in error.problems]
    return []


def oracle(text: str) -> dict[tuple[bytes, int], tuple[int, frozenset[bytes]]]:
    """Return what dnspython itself reads from the text."""
    zone = dns.zone.from_text(text, "lb.example.org.", relativize=False, check_origin=False)
    return {
        (name.to_digestable(), int(rdataset.rdtype)): (
            rdataset.ttl,
            frozenset(rdata.to_wire() or b"" for rdata in rdataset),
        )
        for name, node in zone.nodes.items()
        for rdataset in node
    }


def flat(zone: Zone) -> dict[tuple[bytes, int], tuple[int, frozenset[bytes]]]:
    """Return the RRsets of a zone in the form of the oracle."""
    return {(o, t): (rrset.ttl, frozenset(rrset.rdata)) for o, sets in zone.nodes.items() for t, rrset in sets.items()}


def test_the_example_zone() -> None:
    """The zone that the README shows has its SOA, its servers and their addresses."""
    zone = load(EXAMPLE, APEX)
    assert zone.apex == APEX
    assert zone.nodes[APEX].keys() == {dns.rdatatype.SOA, dns.rdatatype.NS, dns.rdatatype.TXT}
    ns1 = from_text("ns1.lb.example.org")
    assert zone.nodes[ns1][dns.rdatatype.A] == RRset(ns1, 1, 300, (bytes([192, 0, 2, 1]),))


def test_all_that_a_master_file_can_say_is_read_as_dnspython_reads_it() -> None:
    """Directives, units, joined lines, escapes, inherited owners and many types: the same RRsets as the oracle's."""
    Path("lb.zone").write_text(KITCHEN_SINK)
    assert flat(read(Path("lb.zone"), APEX).zone) == oracle(KITCHEN_SINK)
    assert read(Path("lb.zone"), APEX).problems == ()


def test_owners_are_lower_case_and_rdata_keeps_its_case() -> None:
    """Lookups fold case once, when the zone is read; a target is answered as it is written."""
    Path("lb.zone").write_text(HEAD + "UPPER MX 10 Mail.Example.\n")
    zone = load(Path("lb.zone"), APEX)
    upper = from_text("upper.lb.example.org")
    assert zone.nodes[upper][15].rdata == (b"\x00\x0a\x04Mail\x07Example\x00",)


def test_ttls_of_an_rrset_become_the_lowest() -> None:
    """Differing TTLs within an RRset are deprecated and unified (RFC 2181 5.2)."""
    Path("lb.zone").write_text(HEAD + "x 300 A 192.0.2.1\nx 20 A 192.0.2.2\nx 100 A 192.0.2.3\n")
    rrset = load(Path("lb.zone"), APEX).nodes[from_text("x.lb.example.org")][1]
    assert (rrset.ttl, len(rrset.rdata)) == (20, 3)


@pytest.mark.parametrize(
    ("text", "ttl"),
    [
        ("@ 9 SOA a b 1 2 3 4 5\n@ NS x.example.\n", 9),
        ("@ SOA a b 1 2 3 4 5\n@ NS x.example.\n", 5),
        ("@ 9 SOA a b 1 2 3 4 5\n$TTL 7\n@ NS x.example.\n", 7),
        ("$TTL 7\n@ 9 SOA a b 1 2 3 4 5\n@ 8 NS x.example.\n", 8),
    ],
)
def test_a_missing_ttl(text: str, ttl: int) -> None:
    """$TTL goes before the last TTL stated, and that before the SOA minimum (RFC 2308 section 4)."""
    Path("lb.zone").write_text(text)
    assert load(Path("lb.zone"), APEX).nodes[APEX][2].ttl == ttl


@pytest.mark.parametrize(
    ("modifier", "expected"),
    [("0,1,n", "f.1"), ("0,0,N", "F.1"), ("0,7,n", "f.1.0.0"), ("-16,3,n", "f.0"), ("-30,2,n", "1.")],
)
def test_generate_counts_in_nibbles(modifier: str, expected: str) -> None:
    """As BIND and dnspython do for names below ip6.arpa; the width counts the dots."""
    Path("lb.zone").write_text(HEAD + f"$GENERATE 31-31 x TXT ${{{modifier}}}\n")
    (text,) = load(Path("lb.zone"), APEX).nodes[from_text("x.lb.example.org")][16].rdata
    assert text[1:].decode() == expected
    theirs = dns.zone.from_text(HEAD + f"$GENERATE 31-31 x TXT ${{{modifier}}}\n", "lb.example.org")
    assert str(theirs.find_rdataset("x", "TXT")[0]) == f'"{expected}"'


def test_include_is_relative_to_the_including_file() -> None:
    """Files are found beside the file that names them, and origin, owner and TTL come back afterwards."""
    Path("parts/more").mkdir(parents=True)
    Path("lb.zone").write_text(HEAD + '@ TXT "before"\n$INCLUDE parts/a.zone sub\n  TXT "after"\nlast A 192.0.2.9\n')
    Path("parts/a.zone").write_text(
        'in A 192.0.2.2\n$ORIGIN other.lb.example.org.\n$TTL 5\n$INCLUDE "more/b c.zone"\nafter A 192.0.2.3\n'
    )
    Path("parts/more/b c.zone").write_text("b A 192.0.2.4\n")
    zone = load(Path("lb.zone"), APEX)
    assert {to_text(owner) for owner in zone.nodes} == {
        "lb.example.org",
        "ns1.lb.example.org",
        "in.sub.lb.example.org",
        "b.other.lb.example.org",
        "after.other.lb.example.org",
        "last.lb.example.org",
    }
    assert zone.nodes[APEX][16].rdata == (b"\x06before", b"\x05after")
    assert zone.nodes[from_text("b.other.lb.example.org")][1].ttl == 5
    assert zone.nodes[from_text("last.lb.example.org")][1].ttl == 60


def test_places_name_the_file_that_a_record_stands_in() -> None:
    """An RRset has the place of its first record, in an included file too."""
    Path("lb.zone").write_text(HEAD + "$INCLUDE a.zone\n")
    Path("a.zone").write_text("\nx A 192.0.2.2\nx A 192.0.2.3\n")
    places = read(Path("lb.zone"), APEX).places
    assert str(places[APEX, 6]) == "lb.zone:2"
    assert str(places[from_text("x.lb.example.org"), 1]) == "a.zone:2"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("$INCLUDE none.zone", "cannot read none.zone: No such file or directory"),
        ("$INCLUDE .", ". is not a file"),
        ("$INCLUDE /dev/zero", "/dev/zero is not a file"),
        ("$INCLUDE lb.zone", "$INCLUDE lb.zone: the file includes itself"),
        ("$INCLUDE", "$INCLUDE takes a file and an optional origin: $INCLUDE hosts.zone lb.example.org."),
        ("$TTL", "$TTL takes one word: $TTL 300"),
        ("$TTL x", "'x' is not a TTL, expected seconds or units (300, 5m, 1h30m)"),
        ("$TTL 2147483648", "TTL 2147483648 is above 2147483647"),
        ("$ORIGIN a..b", "'a..b' is not a domain name: A DNS label is empty"),
        ("$WHAT", "unknown directive $WHAT, expected one of $ORIGIN, $TTL, $INCLUDE, $GENERATE"),
        ("$GENERATE 1-2 x", "$GENERATE takes a range, an owner, a type and data: $GENERATE 1-4 host$ A 192.0.2.$"),
        ("$GENERATE 2-1 x$ A 192.0.2.$", "$GENERATE range '2-1': expected a start up to the stop, and a step from 1"),
        (
            "$GENERATE 1-2/0 x$ A 192.0.2.$",
            "$GENERATE range '1-2/0': expected a start up to the stop, and a step from 1",
        ),
        ("$GENERATE a-b x$ A 192.0.2.$", "$GENERATE range 'a-b': expected start-stop or start-stop/step"),
        ("$GENERATE 0-65536 x$ A 192.0.2.1", "$GENERATE range '0-65536': more than 65536 records"),
        ("$GENERATE 1-2 x${y} A 192.0.2.1", "'x${y}': expected $, or ${offset}, ${offset,width}, ${offset,width,base}"),
        ("$GENERATE 1-2 x${-2,0,n} A 192.0.2.1", "'x${-2,0,n}': -1 has no nibbles"),
        ("$GENERATE 1-2 x$ IN 300", "$GENERATE has no record type"),
        ("x", "the record has no type"),
        ("x IN", "the record has no type"),
        ("x BOGUS 1", "unknown record type 'BOGUS'"),
        ("x OPT 1", "type OPT is for messages only, no zone holds it"),
        ("x TYPE128 \\# 0", "type TYPE128 is for messages only, no zone holds it"),
        ("x CH A 192.0.2.1", "class CH: only class IN is served"),
        ("x CLASS3 A 192.0.2.1", "class CLASS3: only class IN is served"),
        ("x A 1.2.3", "'A 1.2.3' is not a valid A record: expected an IPv4 address"),
        ("x A 192.0.2.01", "'A 192.0.2.01' is not a valid A record: expected an IPv4 address"),
        ("x A 192.0.2.1 192.0.2.2", "'A 192.0.2.1 192.0.2.2' is not a valid A record: expected an IPv4 address"),
        ("x AAAA fe80::1%1", "'AAAA fe80::1%1' is not a valid AAAA record: expected an IPv6 address"),
        ("x AAAA 192.0.2.1", "'AAAA 192.0.2.1' is not a valid AAAA record: expected an IPv6 address"),
        ("x MX mail", "'MX mail' is not a valid MX record: expected a preference from 0 to 65535 and a host name"),
        ("x NS a..b", "'NS a..b' is not a valid NS record: A DNS label is empty"),
        ("x TLSA 3 1 1 zz", "'TLSA 3 1 1 zz' is not a valid TLSA record: Non-hexadecimal digit found"),
        (
            "x LOC 1 N 1 E 99999999999999999999m",
            "'LOC 1 N 1 E 99999999999999999999m' is not a valid LOC record: a number in it is out of range",
        ),
        ("x TXT (", "a parenthesis is never closed"),
        (f"{'x' * 64} A 192.0.2.1", f"'{'x' * 64}' is not a domain name: A DNS label is > 63 octets long"),
        ("other.example. A 192.0.2.1", "other.example is outside the zone lb.example.org"),
        ("org. NS ns1", "org is outside the zone lb.example.org"),
        ("xlb.example.org. A 192.0.2.1", "xlb.example.org is outside the zone lb.example.org"),
    ],
)
def test_each_mistake_has_its_line(line: str, message: str) -> None:
    """The line is that of the record, not the one after it, and no record is dropped without a word."""
    assert problems(f"{HEAD}\n{line}\n") == [f"lb.zone:6: {message}"]


@pytest.mark.parametrize(
    ("rtype", "text"),
    [
        ("A", "192.0.2.1"),
        ("A", r"\# 4 c0000201"),
        ("AAAA", "2001:DB8::1"),
        ("AAAA", "2001:db8:0:0::192.0.2.1"),
        ("AAAA", "1:2:3:4:5:6:7::"),
        ("AAAA", "::"),
    ],
)
def test_addresses_are_read_as_the_library_reads_them(rtype: str, text: str) -> None:
    """Which does not read them, for the sake of speed, but those that are written in an unusual way."""
    Path("lb.zone").write_text(f"{HEAD}x {rtype} {text}\n")
    number = dns.rdatatype.from_text(rtype)
    expected = dns.rdata.from_text("IN", rtype, text).to_wire()
    assert load(Path("lb.zone"), APEX).nodes[from_text("x.lb.example.org")][number].rdata == (expected,)


def test_a_record_that_no_message_can_hold() -> None:
    """Record data has a length of 16 bits."""
    (problem,) = problems(HEAD + f"x TXT {'abc ' * 20000}\n")
    assert problem.startswith("lb.zone:5: 'TXT abc abc")
    assert problem.endswith("is not a valid TXT record: its data has 80000 octets, at most 65535 are possible")


def test_a_record_over_several_lines_has_its_first_line() -> None:
    """People look for a record where its owner stands."""
    assert problems(HEAD + "x TLSA (\n 3\n 1\n)\ny A 1\n") == [
        "lb.zone:5: 'TLSA 3 1' is not a valid TLSA record: expecting an identifier",
        "lb.zone:9: 'A 1' is not a valid A record: expected an IPv4 address",
    ]


def test_a_record_without_any_ttl() -> None:
    """Nothing says how long the record may be kept."""
    assert problems("x A 192.0.2.1\n")[0] == "lb.zone:1: the record has no TTL, and no $TTL comes before it"


def test_an_indented_first_record() -> None:
    """There is no owner yet that the line could belong to."""
    assert problems("$TTL 5\n A 192.0.2.1\n")[0] == (
        "lb.zone:2: the line begins with a blank, but no owner name comes before it"
    )


def test_includes_of_includes_have_an_end() -> None:
    """A loop is found where it closes, and a chain has at most 16 files."""
    Path("a.zone").write_text("$INCLUDE b.zone\n")
    Path("b.zone").write_text("\n$INCLUDE ./a.zone\n")
    assert problems(HEAD + "$INCLUDE a.zone\n") == ["b.zone:2: $INCLUDE a.zone: the file includes itself"]
    for number in range(20):
        Path(f"{number}.zone").write_text(f"$INCLUDE {number + 1}.zone\n")
    assert problems(HEAD + "$INCLUDE 0.zone\n") == [
        "15.zone:1: $INCLUDE 16.zone: more than 16 files include one another"
    ]


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"", "lb.zone: the file has no records: zone lb.example.org needs a SOA and an NS record"),
        (b"\x7fELF\x02\x00", "lb.zone: lb.zone is not a text file: it has a zero octet at 5"),
        (b"; ok\n; \xe4\n", "lb.zone: lb.zone is not UTF-8 text: octet 0xe4 in line 2"),
    ],
)
def test_files_that_are_no_zones(octets: bytes, message: str) -> None:
    """Nothing, a program, or text of another encoding: one error that says so."""
    Path("lb.zone").write_bytes(octets)
    with pytest.raises(ZoneError) as caught:
        load(Path("lb.zone"), APEX)
    assert str(caught.value.problems[0]) == message


def test_a_missing_file_and_a_directory() -> None:
    """What is no file cannot be a zone."""
    for path, message in [
        (Path("none"), "none: cannot read none: No such file or directory"),
        (Path(), ".: . is not a file"),
    ]:
        with pytest.raises(ZoneError) as caught:
            load(path, APEX)
        assert str(caught.value.problems[0]) == message


@given(st.text(alphabet='\n\t ();"\\$@.*-019aAzZ\r\u00a0é{}', max_size=120))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes the reader fail in another way than with a list of problems."""
    Path("lb.zone").write_text(HEAD + text)
    for problem in read(Path("lb.zone"), APEX).problems:
        assert str(problem).startswith("lb.zone")
