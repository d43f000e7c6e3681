"""The split of SPF records over names: nobody is left out, and no limit of RFC 7208 is passed."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.config.spf import SpfRecord, spf_records
from dnslb.wire import rdata
from dnslb.wire.name import from_text

_HEADER, _QUESTION_TAIL, _RECORD_HEAD, _OPT = 12, 4, 12, 11
_ADDRESSES = st.lists(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), max_size=200)
_NAMES = st.integers(1, 100).map(lambda length: "a" * min(length, 50) + (".b" * (length // 4) or ".b"))


def _followed(records: list[SpfRecord]) -> tuple[list[IPv4Address | IPv6Address], int]:
    """Return what a receiver finds allowed, in its order, and how many names it looks up behind the first."""
    texts = {record.name: record.text for record in records}
    allowed, lookups, name = [], 0, records[0].name
    while name:
        version, *mechanisms, rest = texts.pop(name).split(" ")
        assert (version, rest) == ("v=spf1", "-all")
        name = ""
        for mechanism in mechanisms:
            kind, _, value = mechanism.partition(":")
            if kind == "include":
                name, lookups = value, lookups + 1
            else:
                allowed.append(ip_address(value))
                assert kind == f"ip{allowed[-1].version}"
    assert not texts
    return allowed, lookups


@given(name=_NAMES, addresses=_ADDRESSES)
def test_every_address_is_allowed_exactly_once(name: str, addresses: list[IPv4Address | IPv6Address]) -> None:
    """A receiver that follows all includes finds them in their order, for one lookup a record but the first."""
    records = spf_records(name, addresses, "-all")
    assert records[0].name == name
    assert _followed(records) == (list(dict.fromkeys(addresses)), len(records) - 1)


@given(name=_NAMES, addresses=_ADDRESSES)
def test_every_record_is_within_the_limits(name: str, addresses: list[IPv4Address | IPv6Address]) -> None:
    """Name and text are under 450 octets, strings under 256, and the whole answer with OPT fits into 512."""
    for record in spf_records(name, addresses, "~all"):
        assert len(record.name) + len(record.text) < 450
        octets = rdata.txt(record.text)
        strings = []
        while octets:
            length, octets = octets[0], octets[1:]
            strings.append(octets[:length])
            octets = octets[length:]
        assert b"".join(strings).decode() == record.text
        size = sum(len(string) + 1 for string in strings) + len(from_text(record.name))
        assert _HEADER + _QUESTION_TAIL + _RECORD_HEAD + _OPT + size <= 512


@given(name=_NAMES, addresses=_ADDRESSES)
def test_a_record_ends_only_where_the_next_address_has_no_room(
    name: str, addresses: list[IPv4Address | IPv6Address]
) -> None:
    """Lookups are scarce: each record that includes another is as full as can be."""
    records = spf_records(name, addresses, "~all")
    for record, following in pairwise(records):
        first = following.text.split(" ")[1]
        assert len(record.name) + len(f"{record.text} {first}") >= 450


def test_a_pool_without_a_member_allows_nobody() -> None:
    """There is one record, whatever there is to say."""
    assert spf_records("a.test", [], "-all") == [SpfRecord("a.test", "v=spf1 -all")]


def test_a_name_too_long_for_any_address() -> None:
    """A record would hold nothing but its include, for ever."""
    with pytest.raises(ValueError, match="has no room for an address"):
        spf_records("a." * 110 + "test", [IPv6Address(n << 64) for n in range(1, 30)], "~all")
