"""One run: messages come, resolvers ask, members get mail, in virtual time.

Nothing is drawn for single messages where an answer holds for many: what comes until it expires is one event. So a run
costs about as much as the queries that reach the authority, however many messages there are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from math import inf
from random import Random
from typing import TYPE_CHECKING

from dnslb.simulation.draws import poisson, split
from dnslb.simulation.resolvers import Resolver, Spread
from dnslb.simulation.senders import MANNERS, Manners, Sender, firsts, order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dnslb.answer.service import Service
    from dnslb.simulation.answers import Answer
    from dnslb.simulation.authorities import Ask
    from dnslb.simulation.faults import Epoch

_NEVER_ENDS = 15.0
"""A sender that clings to its list, and on average gets so many messages before it would let go, never does."""
_FLIGHT = 0.02
"""Seconds that a query is under way. A resolver asks once for all who ask it meanwhile, even where it caches nothing:
measured with unbound, which sent a tenth to a third fewer queries than a busy Postfix asked it for TTL 0."""
_SAMPLE = 25
"""Where members refuse, so many orders are drawn at most for the messages of one answer: each stands for some."""
_RETRY = 5.0
"""Seconds for which a resolver remembers a SERVFAIL (RFC 2308 section 7.1 allows up to five minutes)."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who sends: so many resolvers of a kind, with `senders` behind each, by their parts of its mail.

    `rate` is in messages a second, from all of them together.
    """

    resolvers: int = 50
    spread: Spread = field(default_factory=lambda: Spread(zipf=True))
    kind: Resolver = Resolver.UNBOUND
    senders: Mapping[Sender, float] = field(default_factory=lambda: {Sender.POSTFIX: 1.0})
    rate: float = 100.0


@dataclass(slots=True)
class Counts:
    """What came of a run: messages by member, and queries to the authority.

    `refused` counts by member the connections that it refused, `deferred` the messages that nobody took.
    """

    taken: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    deferred: int = 0
    queries: int = 0


@dataclass(slots=True)
class _Cache:
    """A resolver: its address, and the answer that it has until `expires`."""

    address: bytes
    answer: Answer | None = None
    expires: float = 0.0


@dataclass(slots=True)
class _Source:
    """One sender behind one resolver; `tried` is the order that it keeps until `until`, if it is one that keeps any."""

    cache: _Cache
    manners: Manners
    rate: float
    tried: Sequence[str] = ()
    until: float = 0.0


class Run:
    """One run over the epochs. `random` is all that tells runs apart."""

    def __init__(self, service: Service, epochs: Sequence[Epoch], crowd: Crowd, ask: Ask, random: Random) -> None:
        self._epochs, self._ask, self._random = epochs, ask, random
        self._kind, caches = crowd.kind, crowd.kind.caches(service.type)
        self._ttls = [service.ttl_now(epoch.selection) if caches else 0 for epoch in epochs]
        self._sources = _sources(crowd, random)
        self._epoch = 0
        self._firsts: dict[tuple[Answer, int], tuple[tuple[str, ...], tuple[float, ...]]] = {}
        self.counts = Counts()

    def go(self, duration: float) -> Counts:
        """Let mail come for so many seconds, and return what came of it."""
        exponential, sources = self._random.expovariate, self._sources
        # A message in flight is the index of its source: equal times must not compare sources.
        due = [(exponential(source.rate), index) for index, source in enumerate(sources)]
        heapify(due)
        borders = [*(epoch.begin for epoch in self._epochs[1:]), duration, inf]
        while due[0][0] < duration:
            now, index = due[0]
            while borders[self._epoch] <= now:
                self._epoch += 1
            source = sources[index]
            then = self._message(source, now, borders[self._epoch])
            heapreplace(due, (then + exponential(source.rate), index))
        return self.counts

    def _message(self, source: _Source, now: float, border: float) -> float:
        """Send a message, and all that follow it with the same answer. Return until when they do."""
        if source.manners.keeps:
            return self._with_kept(source, now, border)
        answer, expires = self._look_up(source.cache, now)
        until = min(expires, border)
        number = 1 + (poisson(self._random, source.rate * (until - now)) if until > now else 0)
        if answer is None:
            self.counts.deferred += number
        else:
            self._send(answer, source.manners, number)
        return until

    def _look_up(self, cache: _Cache, now: float) -> tuple[Answer | None, float]:
        if now >= cache.expires:
            self.counts.queries += 1
            cache.answer = self._ask(self._epoch, cache.address)
            cache.expires = now + (max(self._ttls[self._epoch], _FLIGHT) if cache.answer is not None else _RETRY)
        return cache.answer, cache.expires

    def _send(self, answer: Answer, manners: Manners, number: int) -> None:
        refusing = self._epochs[self._epoch].refusing
        if refusing and not refusing.isdisjoint(answer.members):
            tries = min(number, _SAMPLE)
            for part in range(tries):
                part_of = number // tries + (part < number % tries)
                self._try(order(answer, manners, self._kind, self._random), part_of)
            return
        members, chances = self._chances(answer, manners)
        taken = self.counts.taken
        if len(members) == 1:
            taken[members[0]] += number
            return
        for member, part in zip(members, split(self._random, number, chances), strict=True):
            taken[member] += part

    def _chances(self, answer: Answer, manners: Manners) -> tuple[tuple[str, ...], tuple[float, ...]]:
        key = (answer, id(manners))
        known = self._firsts.get(key)
        if known is None:
            found = firsts(answer, manners, self._kind)
            known = self._firsts[key] = tuple(found), tuple(found.values())
        return known

    def _try(self, tried: Sequence[str], number: int) -> None:
        """Send messages to the first that takes them."""
        refusing = self._epochs[self._epoch].refusing
        for member in tried:
            if member not in refusing:
                self.counts.taken[member] += number
                return
            self.counts.refused[member] += number
        self.counts.deferred += number

    def _with_kept(self, source: _Source, now: float, border: float) -> float:
        manners = source.manners
        if now >= source.until:
            answer, _ = self._look_up(source.cache, now)
            source.tried = order(answer, manners, self._kind, self._random) if answer is not None else ()
            source.until = now + manners.keeps
            if manners.clings and source.rate * manners.keeps > _NEVER_ENDS:
                source.until = inf
        until = min(source.until, border)
        if manners.clings and source.until < inf:
            # Each message may be the last one for long enough.
            source.until, until = now + manners.keeps, now
        number = 1 + (poisson(self._random, source.rate * (until - now)) if until > now else 0)
        self._try(source.tried, number)
        return until


def _sources(crowd: Crowd, random: Random) -> list[_Source]:
    # Resolvers are anywhere, and elsewhere in each run. Drawn apart: where they are should not change what they do.
    places = Random(repr(random.getstate()))  # noqa: S311 -- a simulation, to be repeated
    whole = sum(crowd.senders.values())
    sources = []
    for size in crowd.spread.sizes(crowd.resolvers):
        cache = _Cache(places.randbytes(4))
        sources += [
            _Source(cache, MANNERS[sender], crowd.rate * size * part / whole) for sender, part in crowd.senders.items()
        ]
    return sources
