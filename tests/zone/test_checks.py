"""What a zone must hold to be served, and what contradicts itself."""

from pathlib import Path

import pytest

from dnslb.wire.name import from_text, to_text
from dnslb.zone.checks import targets_without_address
from dnslb.zone.master_file import read
from dnslb.zone.shape import shape_of

APEX = from_text("lb.example.org")
HEAD = "$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 604800 30\n@ NS ns1\nns1 A 192.0.2.1\n"
BELOW = " is below the DNAME of x.lb.example.org: nothing can be (RFC 6672 2.4)"
THERE = " below the DNAME of x.lb.example.org (RFC 2181 10.3)"
GLUE = ": only its glue belongs here"
SOA_WORDS = "expected a server, a mailbox as a name, serial, refresh, retry, expire and minimum"
DS = "DS 1 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def problems(text: str) -> list[str]:
    """Return the problems of a zone."""
    Path("lb.zone").write_text(text)
    return [str(problem) for problem in read(Path("lb.zone"), APEX).problems]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ("x CNAME y\nx A 192.0.2.2", ["5: x.lb.example.org has a CNAME and other records (RFC 1034 3.6.2)"]),
        ("x A 192.0.2.2\nx CNAME y", ["6: x.lb.example.org has a CNAME and other records (RFC 1034 3.6.2)"]),
        ("x CNAME y\nx CNAME z", ["5: x.lb.example.org has 2 CNAME records, at most one is possible (RFC 2181 10.1)"]),
        ("x CNAME y\nx CNAME y", []),
        ("x CNAME y\nx NSEC z CNAME", []),
        ("@ SOA a b 2 3 4 5 6", ["2: zone lb.example.org has 2 SOA records"]),
        ("x SOA a b 2 3 4 5 6", ["5: SOA of x.lb.example.org is not at the apex lb.example.org"]),
        ("x CNAME ns1\n@ MX 1 x", ["6: MX of lb.example.org names x.lb.example.org, which is a CNAME (RFC 2181 10.3)"]),
        ("x CNAME ns1\n@ NS x", ["3: NS of lb.example.org names x.lb.example.org, which is a CNAME (RFC 2181 10.3)"]),
        (
            "x CNAME ns1\ny SRV 0 0 1 x",
            ["6: SRV of y.lb.example.org names x.lb.example.org, which is a CNAME (RFC 2782)"],
        ),
        (
            "*.w CNAME ns1\n@ MX 1 x.w",
            ["6: MX of lb.example.org names x.w.lb.example.org, which is a CNAME (RFC 2181 10.3)"],
        ),
        ("x DNAME y\nx CNAME z", ["6: x.lb.example.org has a CNAME and other records (RFC 1034 3.6.2)"]),
        ("x DNAME y\nx DNAME z", ["5: x.lb.example.org has 2 DNAME records, at most one is possible (RFC 6672 2.4)"]),
        ("*.x DNAME y", ["5: DNAME of *.x.lb.example.org: a wildcard cannot own one (RFC 4592 4.4)"]),
        ("x DNAME y\nx MX 1 ns1\nx TXT x\nax TXT x", []),
        ("a.x A 192.0.2.2\nx DNAME y", ["5: A of a.x.lb.example.org" + BELOW]),
        ("x DNAME y\n*.a.x TXT x", ["6: TXT of *.a.x.lb.example.org" + BELOW]),
        ("x DNAME y\na.x DNAME y", ["6: DNAME of a.x.lb.example.org" + BELOW]),
        ("x DNAME y\nx NS ns1", [f"5: DNAME of x.lb.example.org is at the delegation of x.lb.example.org{GLUE}"]),
        ("x DNAME y\n@ MX 1 a.x", ["6: MX of lb.example.org names a.x.lb.example.org, which is" + THERE]),
        ("x DNAME y\ns NS a.x", ["6: NS of s.lb.example.org names a.x.lb.example.org, which is" + THERE]),
        (f"s NS ns.s\ns {DS}\nns.s A 192.0.2.2\nns.s AAAA ::2", []),
        ("s NS s\ns A 192.0.2.2", []),
        ("s NS elsewhere.example.\nt NS x.s", []),
        (
            "s NS ns.s",
            ["5: s.lb.example.org is delegated to ns.s.lb.example.org below itself: add its A or AAAA record (glue)"],
        ),
        (
            "s NS s",
            ["5: s.lb.example.org is delegated to s.lb.example.org below itself: add its A or AAAA record (glue)"],
        ),
        (
            "s NS ns1\ns TXT x",
            [f"6: TXT of s.lb.example.org is at the delegation of s.lb.example.org{GLUE}"],
        ),
        (
            "s NS ns1\nx.s A 192.0.2.2",
            [f"6: A of x.s.lb.example.org is below the delegation of s.lb.example.org{GLUE}"],
        ),
        (
            "s NS ns1\nx.s NS ns1",
            [f"6: NS of x.s.lb.example.org is below the delegation of s.lb.example.org{GLUE}"],
        ),
        (
            "s NS ns1\n*.s TYPE999 \\# 0",
            [f"6: TYPE999 of *.s.lb.example.org is below the delegation of s.lb.example.org{GLUE}"],
        ),
    ],
)
def test_records_that_cannot_stand_together(records: str, expected: list[str]) -> None:
    """What no answer could show, or what senders would trip over, is an error at its own line."""
    assert problems(f"{HEAD}{records}\n") == [f"lb.zone:{line}" for line in expected]


def test_an_rrset_that_no_message_can_hold() -> None:
    """A message, on TCP too, has at most 65535 octets."""
    many = "".join(f"x A 10.0.{number >> 8}.{number & 255}\n" for number in range(4096))
    assert problems(HEAD + many) == [
        "lb.zone:5: the A records of x.lb.example.org are too many: no DNS message can hold 65581 octets"
    ]


def test_an_apex_without_soa_or_ns() -> None:
    """A zone has one SOA and at least one NS record at its apex."""
    assert problems("$TTL 5\nx A 192.0.2.1\n") == [
        "lb.zone: zone lb.example.org has no SOA record at its apex",
        "lb.zone: zone lb.example.org has no NS record at its apex",
    ]


def test_what_is_missing_is_not_told_while_a_line_is_broken() -> None:
    """The broken line may be the very one that is missed."""
    assert problems("$TTL 5\n@ SOA broken\n@ NS ns1.s\ns NS ns.s\nns.s A broken\n") == [
        f"lb.zone:2: 'SOA broken' is not a valid SOA record: {SOA_WORDS}",
        "lb.zone:5: 'A broken' is not a valid A record: expected an IPv4 address",
    ]


def test_targets_without_address() -> None:
    """A host in the zone needs an address, unless it has one from elsewhere, is delegated, or lies outside."""
    records = "@ MX 1 a\n@ MX 2 b\n@ MX 3 ns1\n@ MX 4 c.example.\n@ MX 5 d.s\ns NS x.example.\nn MX 0 .\n"
    Path("lb.zone").write_text(HEAD + records)
    file = read(Path("lb.zone"), APEX)
    elsewhere = from_text("b.lb.example.org")
    found = targets_without_address(shape_of(file.zone), file.places, lambda name: name == elsewhere)
    assert [str(problem) for problem in found] == [
        "lb.zone:5: MX of lb.example.org names a.lb.example.org, which has no A or AAAA record"
    ]


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("ns1", {1}),
        ("e", set()),
        ("x.e", {16}),
        ("none", set()),
        ("any.w", {1}),
        ("any.deeper.w", {1}),
        ("here.w", {16}),
        ("any.here.w", set()),
    ],
)
def test_types_at(name: str, types: set[int]) -> None:
    """A wildcard covers names that do not exist, down to its closest encloser only (RFC 4592)."""
    Path("lb.zone").write_text(HEAD + "x.e TXT x\n*.w A 192.0.2.2\nhere.w TXT x\n")
    shape = shape_of(read(Path("lb.zone"), APEX).zone)
    assert shape.types_at(from_text(f"{name}.lb.example.org")) == types


def test_cut_above() -> None:
    """The topmost delegation at or above a name counts."""
    Path("lb.zone").write_text(HEAD + "s NS x.example.\n")
    shape = shape_of(read(Path("lb.zone"), APEX).zone)
    cuts = [shape.cut_above(from_text(f"{name}lb.example.org")) for name in ("", "ns1.", "s.", "a.b.s.", "as.")]
    assert [cut and to_text(cut) for cut in cuts] == [None, None, "s.lb.example.org", "s.lb.example.org", None]
