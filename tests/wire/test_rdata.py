"""Record data against dnspython's own."""

from ipaddress import IPv4Address, IPv6Address

import dns.rdata
import dns.rdataclass
import dns.rdatatype
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


def test_what_leaves_is_bytes() -> None:
    """A bytearray, which is what dnslib packs into, is no key and changes under its holder."""
    target = from_text("a.lb.test")
    octets = [rdata.mx(10, target), rdata.srv(1, 2, 3, target), rdata.address(IPv4Address("192.0.2.1"))[1]]
    assert {type(one) for one in octets} == {bytes}
    assert to_text(octets[0][2:]) == "a.lb.test"
