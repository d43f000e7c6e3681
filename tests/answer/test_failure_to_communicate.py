"""The tests of RFC 8906 section 8, which tell whether a server answers what it must, and as it should."""

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest

from dnslb.answer.responder import respond
from dnslb.answer.turns import Turns
from dnslb.wire.edns import OUR_PAYLOAD
from tests.conftest import CLIENT, pool, service, snapshot, zone
from tests.conftest import member as one

_SNAPSHOT = snapshot(zone("@ MX 10 mx"), pool(one("mx1"), one("mx2", "192.0.2.2")), service())
_HEADER_FLAGS = {"+rec": 0x0100, "+ad": 0x0020, "+cd": 0x0010, "+zflag": 0x0040}
_OPTIONS = {
    "+ednsopt=100": b"\0\x64\0\0",
    "+cookie": b"\0\x0a\0\x08" + bytes(8),
    "+nsid": b"\0\x03\0\0",
    "+expire": b"\0\x09\0\0",
    "+subnet=0.0.0.0/0": b"\0\x08\0\4\0\1\0\0",
}


def _query(dig: str) -> bytes:
    """Return what `dig` sends with these words."""
    words = set(dig.split())
    flags = sum(bit for word, bit in _HEADER_FLAGS.items() if word in words)
    flags |= 15 << 11 if "+opcode=15" in words else 0
    rdtype = 48 if "dnskey" in words else 1000 if "type1000" in words else 6
    question = b"" if "+header-only" in words else b"\x02lb\x04test\0" + rdtype.to_bytes(2, "big") + b"\0\1"
    opt = b"" if "+noedns" in words else _opt(words)
    counts = (bool(question), 0, 0, bool(opt))
    return b"".join(number.to_bytes(2, "big") for number in (4711, flags, *counts)) + question + opt


def _opt(words: set[str]) -> bytes:
    payload = 512 if "+bufsize=512" in words else 1232
    flags = (0x8000 if "+dnssec" in words else 0) | (0x0040 if "+ednsflags=0x40" in words else 0)
    options = b"".join(octets for word, octets in _OPTIONS.items() if word in words)
    fixed = (41, payload, int("+edns=1" in words), flags, len(options))
    return b"\0" + b"".join(number.to_bytes(2, "big") for number in fixed) + options


_BASIC = "NOERROR, SOA, aa, no OPT"
_EXTENDED = "NOERROR, SOA, aa, OPT"
_VERSION = "BADVERS, no SOA, no aa, OPT"
_TESTS = {
    "8.1.1": ("+noedns +noad +norec soa $zone", _BASIC),
    "8.1.2": ("+noedns +noad +norec type1000 $zone", "NOERROR, no SOA, aa, no OPT"),
    "8.1.3.1": ("+noedns +noad +norec +cd soa $zone", _BASIC),
    "8.1.3.2": ("+noedns +norec +ad soa $zone", _BASIC),
    "8.1.3.3": ("+noedns +noad +norec +zflag soa $zone", _BASIC),
    "8.1.3.4": ("+noedns +noad +rec soa $zone", _BASIC + ", rd"),
    "8.1.4": ("+noedns +noad +opcode=15 +norec +header-only", "NOTIMP, empty, no aa, no OPT"),
    "8.1.5": ("+noedns +noad +norec +tcp soa $zone", _BASIC),
    "8.2.1": ("+nocookie +edns=0 +noad +norec soa $zone", _EXTENDED),
    "8.2.2": ("+nocookie +edns=1 +noednsneg +noad +norec soa $zone", _VERSION),
    "8.2.3": ("+nocookie +edns=0 +noad +norec +ednsopt=100 soa $zone", _EXTENDED),
    "8.2.4": ("+nocookie +edns=0 +noad +norec +ednsflags=0x40 soa $zone", _EXTENDED),
    "8.2.5": ("+nocookie +edns=1 +noednsneg +noad +norec +ednsflags=0x40 soa $zone", _VERSION),
    "8.2.6": ("+nocookie +edns=1 +noednsneg +noad +norec +ednsopt=100 soa $zone", _VERSION),
    "8.2.7": ("+norec +dnssec +bufsize=512 +ignore dnskey $zone", "NOERROR, no SOA, OPT, do"),
    "8.2.8": ("+nocookie +edns=0 +noad +norec +dnssec soa $zone", _EXTENDED + ", do"),
    "8.2.9": ("+nocookie +edns=1 +noednsneg +noad +norec +dnssec soa $zone", _VERSION + ", do"),
    "8.2.10": ("+edns=0 +noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0 soa $zone", _EXTENDED),
}


@pytest.mark.parametrize(("dig", "expected"), _TESTS.values(), ids=_TESTS)
def test_what_must_be_answered(dig: str, expected: str) -> None:
    """Each query is answered, with what is expected and no flag or option that we do not know."""
    query = _query(f"dig {dig} @$server")
    response, _ = respond(query, _SNAPSHOT, Turns(0), CLIENT, stream="+tcp" in dig)
    message = dns.message.from_wire(response or b"")
    wanted = set(expected.split(", "))
    assert message.id == 4711
    assert _facts(message) >= wanted - {"empty"}
    assert ("rd" in wanted) == ("rd" in _facts(message))
    assert ("do" in wanted) == ("do" in _facts(message))
    assert message.options == ()
    assert not message.flags & 0x0060
    assert not message.ednsflags & 0x7FFF
    assert message.edns < 0 or (message.edns, message.payload) == (0, OUR_PAYLOAD)
    if "empty" in wanted:
        assert not any(message.sections)


def _facts(message: dns.message.Message) -> set[str]:
    """Return what the response says, in the words of the table."""
    soa = any(rrset.rdtype == dns.rdatatype.SOA for rrset in message.answer)
    flags = dns.flags.to_text(message.flags).lower().split()
    return {
        dns.rcode.to_text(message.rcode()),
        "SOA" if soa else "no SOA",
        "OPT" if message.edns >= 0 else "no OPT",
        "aa" if "aa" in flags else "no aa",
        *({"rd"} & set(flags)),
        *({"do"} if message.ednsflags & dns.flags.DO else ()),
    }
