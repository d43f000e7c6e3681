"""The Client Subnet option, octet by octet (RFC 7871 section 6)."""

import dns.edns
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.wire.edns import COMMON, edns
from dnslb.wire.subnet import Alone, Subnet, alone_in, subnet_of
from tests.conftest import question

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
    assert subnet_of(option) == Subnet(b"", family + b"\0", b"")
    assert Subnet(b"", family + b"\0", b"").option(24) == option


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
    query = question("lb.test A", payload=1232, options=[dns.edns.GenericOption(dns.edns.OptionType.ECS, data)])
    assert alone_in(query) is None


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


@pytest.mark.parametrize("text", _SUBNETS)
@pytest.mark.parametrize("payload", [512, 1232, 4096])
def test_the_short_cut_finds_what_the_parser_finds(text: str, payload: int) -> None:
    """The OPT record, its one option, and where it begins."""
    written, _, length = text.partition("/")
    bare = question("mx.lb.test A", payload=payload)
    query = question("mx.lb.test A", payload=payload, options=[dns.edns.ECSOption(written, int(length))])
    found, subnet = alone_in(query), subnet_of(_SUBNETS[text][0])
    assert subnet is not None
    assert found == Alone(edns(payload, 0, dnssec_ok=False), subnet, len(bare) - 11)
    assert found.edns is COMMON[bare[-11:]]


@pytest.mark.parametrize(
    "options",
    [
        [dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678"), dns.edns.ECSOption("192.0.2.0", 24)],
        [dns.edns.ECSOption("192.0.2.0", 24), dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")],
        [dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"\0\x01\x18\0\xc0\0\x02")],
    ],
)
def test_the_short_cut_leaves_other_options_alone(options: list[dns.edns.Option]) -> None:
    """One option too many, or another one, is for the parser."""
    assert alone_in(question("mx.lb.test A", payload=1232, options=options)) is None


@given(st.binary(max_size=80))
def test_any_octets_can_be_looked_at(octets: bytes) -> None:
    """They are a record or they are not; nothing is raised for what was never checked."""
    found = alone_in(octets)
    assert found is None or octets[found.begin :].startswith(b"\0\0\x29")
