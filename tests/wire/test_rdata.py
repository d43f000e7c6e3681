"""Record data against dnspython's own."""

from ipaddress import IPv4Address, IPv6Address

import dns.message
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.wire import rdata, rrtype
from dnslb.wire.name import from_text, to_text

_HOSTS = st.lists(st.from_regex(r"[a-z0-9_-]{1,63}", fullmatch=True), min_size=1, max_size=3).map(".".join)
_SHORTS = st.integers(0, 65535)
_LONGEST = ".".join(["x" * 63] * 3 + ["x" * 61])


def _expected(rdtype: str, text: str) -> bytes:
    data = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(rdtype), text)
    return data.to_wire() or b""


@given(st.ip_addresses())
def test_addresses(value: IPv4Address | IPv6Address) -> None:
    """An address is its octets, and its family is the type."""
    assert rdata.address(value) == (rrtype.A if value.version == 4 else rrtype.AAAA, value.packed)


@given(_SHORTS, _HOSTS | st.just(_LONGEST))
def test_mx(preference: int, host: str) -> None:
    """The target is not compressed, even if it is as long as a name can be."""
    assert rdata.mx(preference, from_text(host)) == _expected("MX", f"{preference} {host}.")


@given(_SHORTS, _SHORTS, _SHORTS, _HOSTS | st.just(_LONGEST))
def test_srv(priority: int, weight: int, port: int, host: str) -> None:
    """Priority, weight, port, target (RFC 2782)."""
    assert rdata.srv(priority, weight, port, from_text(host)) == _expected("SRV", f"{priority} {weight} {port} {host}.")


@pytest.mark.parametrize(
    ("length", "strings"), [(0, [0]), (1, [1]), (255, [255]), (256, [255, 1]), (600, [255, 255, 90])]
)
def test_txt(length: int, strings: list[int]) -> None:
    """A long text is several strings, which readers put together without anything between them."""
    text = " ".join(f'"{"x" * string}"' for string in strings)
    assert rdata.txt("x" * length) == _expected("TXT", text)


def test_what_leaves_is_bytes() -> None:
    """A bytearray, which is what dnslib packs into, is no key and changes under its holder."""
    target = from_text("a.lb.test")
    octets = [rdata.mx(10, target), rdata.srv(1, 2, 3, target), rdata.address(IPv4Address("192.0.2.1"))[1]]
    assert {type(one) for one in octets} == {bytes}
    assert to_text(octets[0][2:]) == "a.lb.test"


@given(st.integers(1, 65535))
def test_a_type_has_a_text_that_is_read_again(rtype: int) -> None:
    """In any case, and by its number where it has no name; dnspython reads it as the same type."""
    text = rdata.type_text(rtype)
    assert rdata.type_number(text.lower()) == rtype
    assert dns.rdatatype.from_text(text) == rtype


@pytest.mark.parametrize(
    "text", ["", "WEIGHT", "TYPE", "TYPE0", "TYPE65536", "TYPE-1", "__class__", "forward", "1", "²"]
)
def test_what_is_no_type_is_told_so(text: str) -> None:
    """With examples."""
    with pytest.raises(ValueError, match="is no record type: write for example A, MX, SRV or TYPE65280"):
        rdata.type_number(text)


def test_the_records_of_a_response_are_zone_file_lines() -> None:
    """Each in its section, names absolute, OPT left out."""
    response = dns.message.make_response(dns.message.make_query("lb.test", "MX", use_edns=0))
    response.answer.append(dns.rrset.from_text("lb.test.", 30, "IN", "MX", "10 mx1.lb.test."))
    response.authority.append(dns.rrset.from_text("lb.test.", 60, "IN", "NS", "ns.lb.test."))
    response.additional.append(dns.rrset.from_text("mx1.lb.test.", 30, "IN", "AAAA", "2001:db8::1"))
    found = rdata.sections(response.to_wire())
    assert [[str(line) for line in section] for section in found] == [
        ["lb.test. 30 MX 10 mx1.lb.test."],
        ["lb.test. 60 NS ns.lb.test."],
        ["mx1.lb.test. 30 AAAA 2001:db8::1"],
    ]
