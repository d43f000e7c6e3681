"""Records that point at nothing but the question."""

import dns.message
import dns.name
from hypothesis import given
from hypothesis import strategies as st

from dnslb.wire import rrtype
from dnslb.wire.name import ancestors, from_text
from dnslb.wire.record import compress, compress_rdata, record, rewritten, suffixes
from tests.conftest import question

_LABELS = st.sampled_from(["a", "b", "mx", "LB", "test", "Test"])
_NAMES = st.lists(_LABELS, min_size=1, max_size=6).map(".".join)


def _mixed(text: str) -> bytes:
    return dns.name.from_text(text).to_wire() or b""


@given(_NAMES, _NAMES)
def test_a_compressed_name_reads_as_itself(asked: str, other: str) -> None:
    """Whatever the two share: what is kept keeps its case, what is pointed at has the question's."""
    query = question(f"{asked} A")
    places = suffixes(from_text(asked))
    compressed = compress(_mixed(other), places)
    name, _ = dns.name.from_wire(query + compressed, len(query))
    assert name == dns.name.from_text(other)
    assert len(compressed) <= len(_mixed(other))


_OCTETS = st.lists(st.sampled_from([b"a", b"\x01a", b"\x03b\x01a", b"\0", b"b"]), max_size=5)


@given(_OCTETS, _OCTETS)
def test_a_pointer_stands_for_the_longest_suffix_that_both_have(asked: list[bytes], other: list[bytes]) -> None:
    """Octets that are the same, but begin within a label of one of the two, are no suffix of it."""
    question_name, wire_name = (
        b"".join(bytes([len(label)]) + label for label in name) + b"\0" for name in (asked, other)
    )
    known = {suffix: 12 + len(question_name) - len(suffix) for suffix in ancestors(question_name) if suffix != b"\0"}
    longest = next((suffix for suffix in ancestors(wire_name) if suffix in known), None)
    kept = wire_name if longest is None else wire_name.removesuffix(longest) + bytes([0xC0, known[longest]])
    assert compress(wire_name, suffixes(question_name)) == kept


def test_names_are_cut_at_labels_and_pointed_at_the_longest_suffix() -> None:
    """The question begins at octet 12, so lb.test of mx.lb.test stands at 15."""
    places = suffixes(from_text("mx.lb.test"))
    assert compress(_mixed("a.MX.lb.test"), places) == b"\x01a\xc0\x0c"
    assert compress(_mixed("Host.LB.test"), places) == b"\x04Host\xc0\x0f"
    assert compress(_mixed("xlb.test"), places) == b"\x03xlb\xc0\x12"
    assert compress(_mixed("other"), places) == b"\x05other\x00"
    assert compress(b"\x00", places) == b"\x00"


def test_only_old_types_are_compressed() -> None:
    """Names in the data of types younger than RFC 1035 stay whole (RFC 3597 section 4)."""
    places = suffixes(from_text("lb.test"))
    target = from_text("a.lb.test")
    assert compress_rdata(rrtype.MX, b"\x00\x0a" + target, places) == b"\x00\x0a\x01a\xc0\x0c"
    for rtype in (rrtype.NS, rrtype.CNAME, rrtype.PTR):
        assert compress_rdata(rtype, target, places) == b"\x01a\xc0\x0c"
    for rtype in (rrtype.SRV, rrtype.TXT, rrtype.DNAME, rrtype.DS, 65):
        assert compress_rdata(rtype, target, places) == target


def test_a_record_is_laid_out_as_rfc_1035_has_it() -> None:
    """Owner, type, class IN, TTL, length, data."""
    octets = record(b"\xc0\x0c", rrtype.A, 0x01020304, b"\xc0\x00\x02\x01")
    assert octets == b"\xc0\x0c\x00\x01\x00\x01\x01\x02\x03\x04\x00\x04\xc0\x00\x02\x01"
    query = question("lb.test A")
    message = dns.message.from_wire(query[:2] + b"\x80\x00" + query[4:6] + b"\x00\x01" + query[8:] + octets)
    assert message.answer[0].to_text() == "lb.test. 16909060 IN A 192.0.2.1"


@given(_NAMES, _NAMES, st.lists(st.tuples(_NAMES, _NAMES), max_size=4))
def test_rewritten_records_say_the_same(asked: str, other: str, pairs: list[tuple[str, str]]) -> None:
    """Behind another question: MX, DNAME and A records, each owner in lower case."""
    before, after = question(f"{asked} A"), question(f"{other} A")
    places = suffixes(from_text(asked))
    records = [
        record(compress(_mixed(owner), places), rtype, 300, compress_rdata(rtype, data, places))
        for owner, target in pairs
        for rtype, data in (
            (rrtype.MX, b"\0\x0a" + _mixed(target)),
            (rrtype.DNAME, _mixed(target)),
            (rrtype.A, b"\xc0\0\2\1"),
        )
    ]
    anew = list(rewritten(before[12:], b"".join(records), suffixes(from_text(other))))
    assert _read(after, anew) == _read(before, records)


def _read(query: bytes, records: list[bytes]) -> list[str]:
    counts = b"\0\1" + len(records).to_bytes(2, "big") + bytes(4)
    response = query[:2] + b"\x80\0" + counts + query[12:] + b"".join(records)
    message = dns.message.from_wire(response, one_rr_per_rrset=True)
    return [f"{rrset.name} {rrset.ttl} {rrset.rdtype} {rrset[0]}".lower() for rrset in message.answer]
