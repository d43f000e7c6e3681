"""Names in wire format: text in and out, what lies above what."""

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.wire import name
from dnslb.wire.name import ancestors, from_text, is_within, labels, parent, to_text

NAMES = st.lists(st.binary(min_size=1, max_size=20), max_size=9).map(
    lambda parts: b"".join(bytes([len(part)]) + part for part in parts) + b"\x00"
)


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("mx.LB.example", b"\x02mx\x02lb\x07example\x00"),
        ("_submission._tcp.a-1.", b"\x0b_submission\x04_tcp\x03a-1\x00"),
        ("*.wild", b"\x01*\x04wild\x00"),
        ("x" * 63, b"\x3f" + b"x" * 63 + b"\x00"),
    ],
)
def test_text_becomes_wire_format_in_lower_case(text: str, wire: bytes) -> None:
    """The final dot may be left out."""
    assert from_text(text) == wire


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        (".", "empty"),
        ("a..b", "empty label"),
        (".a", "empty label"),
        ("a..", "empty label"),
        ("a b", "character"),
        ("a\tb", "character"),
        ("münchen.de", "A-label"),
        ("a\\.b", "character"),
        ("x" * 64, "longer than 63"),
        (".".join(["x" * 63] * 3 + ["x" * 62]), "longer than 255"),
    ],
)
def test_what_is_no_name_is_said(text: str, complaint: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(ValueError, match=complaint):
        from_text(text)


def test_the_longest_name_is_a_name() -> None:
    """255 octets, the length octets among them (RFC 1035 2.3.4)."""
    assert len(from_text(".".join(["x" * 63] * 3 + ["x" * 61]))) == 255


@given(NAMES)
def test_text_reads_back_as_the_same_name(wire: bytes) -> None:
    r"""Whatever octets are in it: dnspython, which knows \DDD, reads what is written."""
    assert dns.name.from_text(to_text(wire)).to_wire() == wire
    assert list(labels(wire)) == list(dns.name.from_wire(wire, 0)[0].labels[:-1])


@given(NAMES, NAMES)
def test_within_agrees_with_dnspython(below: bytes, apex: bytes) -> None:
    """A name is within itself and within what is above it, and nothing else is."""
    below, apex = below.lower(), apex.lower()
    for one in (below, b"\x01x" + apex, apex):
        expected = dns.name.from_wire(one, 0)[0].is_subdomain(dns.name.from_wire(apex, 0)[0])
        assert is_within(one, apex) == expected


def test_a_suffix_that_begins_within_a_label_is_not_above() -> None:
    """The octets of lb.test end this name, and yet it has only one label above the root."""
    apex = from_text("lb.test")
    assert not is_within(b"\x09x\x02lb\x04test\x00", apex)
    assert not is_within(from_text("xlb.test"), apex)


@given(NAMES)
def test_ancestors_end_at_the_root(wire: bytes) -> None:
    """Each is the parent of the one before."""
    line = list(ancestors(wire))
    assert line[0] == wire
    assert line[-1] == name.ROOT
    assert [parent(one) for one in line[:-1]] == line[1:]


def test_the_root_has_no_parent() -> None:
    """Asking for it is a mistake."""
    with pytest.raises(ValueError, match="root"):
        parent(name.ROOT)
    assert to_text(name.ROOT) == "."
