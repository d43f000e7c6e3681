"""The Client Subnet option, octet by octet (RFC 7871 section 6)."""

import dns.edns
import pytest

from dnslb.wire.edns import edns, opt_record
from dnslb.wire.subnet import Subnet, subnet_of, told_by

_SUBNETS = {
    "192.0.2.0/24": (b"\0\x08\0\x07\0\x01\x18\0\xc0\0\x02", b"\xc0\0\x02\0"),
    "192.0.2.7/32": (b"\0\x08\0\x08\0\x01\x20\0\xc0\0\x02\x07", b"\xc0\0\x02\x07"),
    "10.0.0.0/8": (b"\0\x08\0\x05\0\x01\x08\0\x0a", b"\x0a\0\0\0"),
    "128.0.0.0/1": (b"\0\x08\0\x05\0\x01\x01\0\x80", b"\x80\0\0\0"),
    "192.0.2.64/26": (b"\0\x08\0\x08\0\x01\x1a\0\xc0\0\x02\x40", b"\xc0\0\x02\x40"),
    "2001:db8::/32": (b"\0\x08\0\x08\0\x02\x20\0\x20\x01\x0d\xb8", b"\x20\x01\x0d\xb8" + bytes(12)),
    "2001:db8:0:100::/56": (
        b"\0\x08\0\x0b\0\x02\x38\0\x20\x01\x0d\xb8\0\0\x01",
        b"\x20\x01\x0d\xb8\0\0\x01" + bytes(9),
    ),
    "::1/128": (b"\0\x08\0\x14\0\x02\x80\0" + bytes(15) + b"\x01", bytes(15) + b"\x01"),
}


def _opt(options: bytes) -> bytes:
    return opt_record(dnssec_ok=True)[:-2] + len(options).to_bytes(2, "big") + options


@pytest.mark.parametrize("text", _SUBNETS)
def test_what_is_a_subnet(text: str) -> None:
    """The address is that of the network, and the answer repeats all but the scope."""
    option, address = _SUBNETS[text]
    written, _, length = text.partition("/")
    assert dns.edns.ECSOption(written, int(length)).to_wire() == option[4:]
    found = subnet_of(option)
    assert found is not None
    assert found.address == address
    assert found.option(0) == option
    assert found.option(17) == option[:7] + b"\x11" + option[8:]


@pytest.mark.parametrize("family", [b"\0\0", b"\0\x01", b"\0\x02"])
def test_a_resolver_may_say_nothing_of_its_client(family: bytes) -> None:
    """Also without a family, as dig +subnet=0 does. Then the answer is one for all that it says nothing of."""
    option = b"\0\x08\0\x04" + family + b"\0\0"
    assert subnet_of(option) == Subnet(b"", 0, family + b"\0", b"")
    assert Subnet(b"", 0, family + b"\0", b"").option(24) == option


_MALFORMED = {
    "empty": b"",
    "without the address": b"\0\x01\x18",
    "unknown family": b"\0\x03\x18\0\xc0\0\x02",
    "no family with an address": b"\0\0\x08\0\x0a",
    "more than 32 bits": b"\0\x01\x21\0\xc0\0\x02\x01\x80",
    "more than 128 bits": b"\0\x02\x81\0" + bytes(17),
    "a scope": b"\0\x01\x18\x18\xc0\0\x02",
    "an octet too few": b"\0\x01\x18\0\xc0\0",
    "an octet too many": b"\0\x01\x18\0\xc0\0\x02\0",
    "an address without a length": b"\0\x01\0\0\xc0",
    "a bit behind the prefix": b"\0\x01\x17\0\xc0\0\x03",
    "the last bit": b"\0\x01\x19\0\xc0\0\x02\x01",
}


@pytest.mark.parametrize("data", _MALFORMED.values(), ids=_MALFORMED)
def test_what_is_malformed(data: bytes) -> None:
    """Too few or too many octets, bits behind the prefix, lengths out of range, a scope in a query."""
    option = b"\0\x08" + len(data).to_bytes(2, "big") + data
    with pytest.raises(ValueError, match=r"\w"):
        subnet_of(option)
    assert told_by(_opt(option)) is None


def test_other_options_are_stepped_over() -> None:
    """Whatever they hold; and two subnets are one too many."""
    option, address = _SUBNETS["192.0.2.0/24"]
    cookie = b"\0\x0a\0\x08" + option[:8]
    for options in (cookie + option, option + cookie, cookie + option + b"\0\x03\0\0"):
        found = subnet_of(options)
        assert found is not None
        assert found.address == address
    assert subnet_of(cookie) is subnet_of(b"") is None
    with pytest.raises(ValueError, match="two"):
        subnet_of(option + option)


def test_a_record_is_read_as_a_whole() -> None:
    """What it asks for, and for whom if it says that; what is behind it or in front of it is not of it."""
    option, cookie, asked = _SUBNETS["192.0.2.0/24"][0], b"\0\x0a\0\x08" + bytes(8), edns(1232, 0, dnssec_ok=True)
    assert told_by(_opt(option)) == told_by(_opt(cookie + option)) == (asked, subnet_of(option))
    assert told_by(_opt(cookie)) == (asked, None)
    assert told_by(_opt(option) + b"\0") is told_by(b"\0" + _opt(option)) is told_by(b"\0") is told_by(b"") is None
