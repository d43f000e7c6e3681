"""Who gives the answers: dnslb, by the rings and turns of its workers, or what people use instead."""

from __future__ import annotations

from enum import StrEnum
from itertools import accumulate, count
from typing import TYPE_CHECKING

from dnslb.answer.turns import Turns
from dnslb.pool.selection import best_tier
from dnslb.simulation.answers import Answer, Record, addresses_of, ring_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from dnslb.answer.service import Service
    from dnslb.pool.selection import Choice
    from dnslb.simulation.faults import Epoch

    Ask = Callable[[int, bytes], Answer | None]
    """Returns the answer in the epoch with this index for a resolver's address, None for SERVFAIL."""


class Authority(StrEnum):
    """A DNS server that balances, or what it can be told to do."""

    DNSLB = "dnslb"
    ONE_RING = "dnslb, one ring for all"
    ROUND_ROBIN = "plain round robin"
    GDNSD = "gdnsd weighted"
    COREDNS = "CoreDNS weighted"
    POWERDNS = "PowerDNS pickwrandom"


_QUESTION = b"question"
_ANYBODY = b"anybody."


def authority(kind: Authority, service: Service, epochs: Sequence[Epoch], random: Random, workers: int = 1) -> Ask:
    """Return a server that starts anew.

    A resolver's queries come to any of the `workers`, each of which counts turns of its own. What is not dnslb gives
    addresses, whatever the service's type, and only gdnsd leaves out the members that are down.
    """
    if kind in {Authority.DNSLB, Authority.ONE_RING}:
        return _ours(kind, service, epochs, random, workers)
    if kind is Authority.GDNSD:
        return _drawn([best_tier(epoch.selection.published) for epoch in epochs], random)
    # The first epoch has no fault yet.
    all_members = best_tier(epochs[0].selection.published)
    if kind is Authority.POWERDNS:
        return _drawn([all_members] * len(epochs), random)
    return _rotated(all_members) if kind is Authority.ROUND_ROBIN else _topped(all_members, random)


def _ours(kind: Authority, service: Service, epochs: Sequence[Epoch], random: Random, workers: int) -> Ask:
    rings = [ring_of(service, epoch.selection) for epoch in epochs]
    tables = [Turns(random.randrange(1 << 22)) for _ in range(workers)]

    def ask(epoch: int, client: bytes) -> Answer | None:
        ring = rings[epoch]
        turns = tables[0] if workers == 1 else random.choice(tables)
        if kind is Authority.ONE_RING:
            client = _ANYBODY
        return ring[turns.take(client, _QUESTION) % len(ring)] if ring else None

    return ask


def _drawn(epochs: Sequence[Sequence[Choice]], random: Random) -> Ask:
    """Answer with one member, drawn by weight for each query."""
    singles = [
        ([Answer((_record(choice),)) for choice in choices], list(accumulate(choice.weight for choice in choices)))
        for choices in epochs
    ]

    def ask(epoch: int, client: bytes) -> Answer | None:  # noqa: ARG001 -- whoever asks
        answers, weights = singles[epoch]
        return random.choices(answers, cum_weights=weights)[0] if answers else None

    return ask


def _rotated(choices: Sequence[Choice]) -> Ask:
    """Answer with all members, each time beginning with the next one."""
    records = [_record(choice) for choice in choices]
    turned = [Answer((*records[begin:], *records[:begin])) for begin in range(len(records))]
    turns = count()
    return lambda _epoch, _client: turned[next(turns) % len(turned)]


def _topped(choices: Sequence[Choice], random: Random) -> Ask:
    """Answer with all members, and draw by weight only which is first, as CoreDNS' documentation has it."""
    records = [_record(choice) for choice in choices]
    topped = [Answer((first, *(record for record in records if record is not first))) for first in records]
    weights = list(accumulate(choice.weight for choice in choices))
    return lambda _epoch, _client: random.choices(topped, cum_weights=weights)[0]


def _record(choice: Choice) -> Record:
    return Record(choice.member.name, addresses=addresses_of(choice.member))
