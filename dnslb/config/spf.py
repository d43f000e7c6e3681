"""The addresses of a pool as SPF records (RFC 7208), split over names where one record would be too long."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

MAX_LOOKUPS = 10
"""The names that a receiver looks up at most for one message (RFC 7208 section 4.6.4)."""

_ROOM = 449
"""Name and text together stay under 450 octets: the answer then fits into 512 (RFC 7208 section 3.4)."""


class SpfRecord(NamedTuple):
    """One TXT record: the name that it stands at, without the final dot, and its text."""

    name: str
    text: str


def spf_records(name: str, addresses: Iterable[IPv4Address | IPv6Address], rest: str) -> list[SpfRecord]:
    """Return the records that allow the addresses, each once, and end in `rest`, as "~all".

    The first stands at the name itself. What it has no room for comes by its include at _spf1.NAME, and so on from
    there: each record but the first costs a lookup. Raise ValueError if the name leaves no room for any address.
    """
    left = [f"ip{address.version}:{address}" for address in dict.fromkeys(addresses)]
    records: list[SpfRecord] = []
    while left or not records:
        owner, following = _owner(name, len(records)), _owner(name, len(records) + 1)
        taken = _taken(owner, left, [f"include:{following}", rest], rest)
        ending = [rest] if taken == len(left) else [f"include:{following}", rest]
        records.append(SpfRecord(owner, _text(left[:taken], ending)))
        left = left[taken:]
    return records


def _owner(name: str, number: int) -> str:
    return f"_spf{number}.{name}" if number else name


def _taken(owner: str, left: Sequence[str], onward: Sequence[str], rest: str) -> int:
    """Return how many of the mechanisms that are left this record holds: all, or what an include leaves room for."""
    if _fits(owner, _text(left, [rest])):
        return len(left)
    taken = 0
    while _fits(owner, _text(left[: taken + 1], onward)):
        taken += 1
    if not taken:
        raise ValueError(f"{owner} is so long that an SPF record has no room for an address (RFC 7208 3.4)")
    return taken


def _text(mechanisms: Sequence[str], ending: Sequence[str]) -> str:
    return " ".join(["v=spf1", *mechanisms, *ending])


def _fits(owner: str, text: str) -> bool:
    return len(owner) + len(text) <= _ROOM
