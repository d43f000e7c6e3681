"""Whom a message goes to: what mail servers and applications do with an answer, read in their sources."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum, StrEnum
from itertools import groupby
from math import inf
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING

from dnslb.answer.service import ServiceType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from dnslb.simulation.answers import Answer, Record
    from dnslb.simulation.resolvers import Resolver


class Choice(Enum):
    """How a sender chooses among records of equal preference."""

    ANY_ADDRESS = 1
    """All addresses of all names, shuffled."""
    ANY_NAME = 2
    """All names, shuffled; the addresses of one stay together."""
    FIRST = 3
    """In the order of the resolver."""


@dataclass(frozen=True, slots=True)
class Manners:
    """What a sender does: how it chooses, how many addresses it tries, and which types it asks for.

    It keeps an answer for `keeps` seconds, whatever its TTL, and begins these anew with each message if it `clings`.
    """

    choice: Choice
    tries: float
    types: frozenset[ServiceType]
    keeps: float = 0.0
    clings: bool = False


class Sender(StrEnum):
    """A program that sends mail."""

    POSTFIX = "postfix"
    EXIM = "exim"
    OPENSMTPD = "opensmtpd"
    FIRST = "first"
    JAVA = "java"


_ALL = frozenset(ServiceType)
_RELAY = frozenset({ServiceType.ADDRESS})

MANNERS: Mapping[Sender, Manners] = MappingProxyType(
    {
        # smtp_mx_address_limit
        Sender.POSTFIX: Manners(Choice.ANY_ADDRESS, 5, _ALL),
        # hosts_max_try
        Sender.EXIM: Manners(Choice.ANY_NAME, 5, _ALL),
        # The relay keeps the MX list while it has a session, and that waits so long for the next message.
        Sender.OPENSMTPD: Manners(Choice.FIRST, inf, _ALL - {ServiceType.SRV}, keeps=10.0, clings=True),
        # Whoever loops over getaddrinfo: Python, PHP, .NET.
        Sender.FIRST: Manners(Choice.FIRST, inf, _RELAY),
        # networkaddress.cache.ttl, and JavaMail tries the first address only.
        Sender.JAVA: Manners(Choice.FIRST, 1, _RELAY, keeps=30.0),
    }
)


def order(answer: Answer, manners: Manners, resolver: Resolver, random: Random) -> list[str]:
    """Return the members that one message is tried at, first to last, as many as the sender tries."""
    records: Sequence[Record] = answer.records
    if manners.choice is Choice.FIRST:
        records = resolver.order(records, random)
    tried: list[str] = []
    for _, equals in groupby(sorted(records, key=attrgetter("preference")), key=attrgetter("preference")):
        tried += _among(list(equals), manners.choice, random)
    return tried[: int(manners.tries)] if manners.tries < len(tried) else tried


def _among(equals: list[Record], choice: Choice, random: Random) -> list[str]:
    if any(record.weight for record in equals):
        return _by_weight(equals, random)
    if choice is Choice.ANY_ADDRESS:
        tried = _addresses(equals)
        random.shuffle(tried)
        return tried
    if choice is Choice.ANY_NAME:
        random.shuffle(equals)
    return _addresses(equals)


def _addresses(records: Sequence[Record]) -> list[str]:
    return [record.member for record in records for _ in range(record.addresses)]


def _by_weight(equals: list[Record], random: Random) -> list[str]:
    """Order the records of one SRV priority as RFC 2782 says."""
    left = list(equals)
    tried: list[Record] = []
    while left:
        record = random.choices(left, [each.weight for each in left])[0]
        left.remove(record)
        tried.append(record)
    return _addresses(tried)


def firsts(answer: Answer, manners: Manners, resolver: Resolver) -> dict[str, float]:
    """Return with which chance a message is tried first at each member: what `order` begins with."""
    best = min(record.preference for record in answer.records)
    equals = [record for record in answer.records if record.preference == best]
    claims: Counter[str] = Counter()
    if manners.choice is Choice.FIRST and not resolver.shuffles:
        for turned in resolver.rotations(answer.records):
            claims[min(turned, key=attrgetter("preference")).member] += 1
    else:
        for record in equals:
            claims[record.member] += record.weight or (record.addresses if manners.choice is Choice.ANY_ADDRESS else 1)
    return {member: claim / claims.total() for member, claim in claims.items()}
