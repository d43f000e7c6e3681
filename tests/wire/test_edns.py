"""The OPT record: what a query's asks for, and ours."""

import dns.edns
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.wire.edns import BARE_SIZE, COMMON, edns, opt_record, read
from dnslb.wire.query import Query, parse
from tests.conftest import question

_PAYLOADS = (
    (0, 512),
    (1, 512),
    (511, 512),
    (512, 512),
    (513, 513),
    (1231, 1231),
    (1232, 1232),
    (1233, 1232),
    (4096, 1232),
)


@pytest.mark.parametrize(("payload", "limit"), [*_PAYLOADS, (65535, 1232)])
def test_the_limit_is_between_512_and_what_no_path_fragments(payload: int, limit: int) -> None:
    """A payload below 512 counts as 512 (RFC 6891 6.2.3), one above ours as ours."""
    assert edns(payload, 0, dnssec_ok=False).limit == limit


@pytest.mark.parametrize("dnssec_ok", [False, True])
@pytest.mark.parametrize("rcode", [dns.rcode.NOERROR, dns.rcode.BADVERS, dns.rcode.BADCOOKIE])
def test_our_record_says_version_0_and_copies_do(rcode: dns.rcode.Rcode, *, dnssec_ok: bool) -> None:
    """The upper eight bits of a response code stand in it (RFC 6891 6.1.3)."""
    head = b"\x00\x01" + (0x8000 | rcode & 15).to_bytes(2, "big") + b"\x00\x00" * 3 + b"\x00\x01"
    message = dns.message.from_wire(head + opt_record(dnssec_ok=dnssec_ok, extended_rcode=rcode))
    assert (message.edns, message.payload, message.rcode()) == (0, 1232, rcode)
    assert message.ednsflags & 0xFFFF == (0x8000 if dnssec_ok else 0)


def test_the_common_records_mean_what_the_parser_reads() -> None:
    """The table is a short cut and no other truth: a walk over the same octets gives the same."""
    tsig = b"\x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00"
    bare = question("lb.test A")
    for octets, common in COMMON.items():
        assert len(octets) == BARE_SIZE
        for additional, number in ((octets, b"\x01"), (octets + tsig, b"\x02")):
            query = parse(bare[:11] + number + bare[12:] + additional)
            assert isinstance(query, Query)
            assert query.edns == common


_BEHIND = len(question("lb.test A"))
"""Where the OPT record begins in a query for this name."""
_COOKIE = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
_SUBNET = dns.edns.ECSOption("192.0.2.0", 24)
_NSID = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")


@pytest.mark.parametrize("options", [[_COOKIE], [_SUBNET], [_NSID], [_NSID, _COOKIE, _SUBNET]])
@pytest.mark.parametrize("dnssec_ok", [False, True])
def test_a_record_with_options_is_read_without_a_walk(options: list[dns.edns.Option], *, dnssec_ok: bool) -> None:
    """It means what the parser reads."""
    octets = question("www.lb.test A", payload=4096, dnssec_ok=dnssec_ok, options=options)
    query = parse(octets)
    assert isinstance(query, Query)
    assert query.edns is not None
    assert read(octets[12 + len(query.question) :]) == query.edns._replace(options=b"")


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(question("lb.test A", payload=1231, options=[_COOKIE]), id="payload"),
        pytest.param(question("lb.test A", payload=1232, version=1, options=[_COOKIE]), id="version"),
        pytest.param(question("lb.test A"), id="none"),
        pytest.param(question("lb.test TYPE41"), id="only-a-type"),
        pytest.param(question("lb.test A", payload=1232)[:-2], id="no-length"),
        *(
            pytest.param(question("lb.test A", payload=1232, options=[_COOKIE])[:-cut], id=f"cut-{cut}")
            for cut in range(1, 14)
        ),
        pytest.param(question("lb.test A", payload=1232, options=[_COOKIE]) + b"\0", id="more"),
        pytest.param(question("lb.test A", payload=1232)[:-2] + b"\0\5\0\12\0\2x", id="option-too-long"),
        pytest.param(question("lb.test A", payload=1232)[:-2] + b"\0\3\0\12\0", id="half-an-option"),
    ],
)
def test_what_takes_a_closer_look(octets: bytes) -> None:
    """What is uncommon, cut short or not well-formed is not read: the parser says what it is."""
    assert read(octets[_BEHIND:]) is None


@given(st.binary(max_size=80), st.sampled_from([b"", question("lb.test A", payload=1232)]))
def test_any_octets_can_be_looked_at(octets: bytes, before: bytes) -> None:
    """They are a record or they are not; nothing is raised for what was never checked."""
    record = (before + octets)[_BEHIND if before else 0 :]
    assert read(record) is None or record.startswith(b"\0\0\x29")
