"""Who gives the answers: dnslb, by the rings and turns of its workers, or what people use instead."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, count
from typing import TYPE_CHECKING

from dnslb.answer.sources import bucket_of
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


@dataclass(frozen=True, slots=True)
class Workers:
    """The processes that answer, each of which counts turns of its own.

    Steered, a resolver keeps its worker; else each of its queries comes to any of them.
    """

    number: int = 1
    steered: bool = True


_QUESTION = b"question"
_ANYBODY = b"anybody."
_ONE_WORKER = Workers()


def authority(
    kind: Authority, service: Service, epochs: Sequence[Epoch], random: Random, workers: Workers = _ONE_WORKER
) -> Ask:
    """Return a server that starts anew.

    What is not dnslb gives addresses, whatever the service's type, and only gdnsd leaves out the members that are down.
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


def _ours(kind: Authority, service: Service, epochs: Sequence[Epoch], random: Random, workers: Workers) -> Ask:
    rings = [ring_of(service, epoch.selection) for epoch in epochs]
    tables = [Turns(random.randrange(1 << 16)) for _ in range(workers.number)]
    kept: dict[bytes, Turns] = {}
    by_source = [epoch.selection.by_source for epoch in epochs]

    def ask(epoch: int, client: bytes) -> Answer | None:
        ring = rings[epoch]
        if not ring:
            return None
        if by_source[epoch]:
            return ring[bucket_of(client) % len(ring)]
        turns = kept.get(client)
        if turns is None:
            turns = random.choice(tables)
            if workers.steered:
                kept[client] = turns
        whose = _ANYBODY if kind is Authority.ONE_RING else client
        return ring[turns.take(whose, _QUESTION, len(ring)) % len(ring)]

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
