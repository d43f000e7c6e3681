"""When a member that has left the answers may be stopped: who may still have it, and until when.

Time runs on a clock that nobody sets; what is told is converted to Unix time when it is asked for, so that a step of
the wall clock neither shortens nor lengthens a countdown.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dnslb.answer.service import Service, Ttl
from dnslb.daemon.roster import Key
from dnslb.publisher import Publication


@dataclass(frozen=True, slots=True)
class Countdown:
    """How long a member that leaves is still needed; Unix times, None where that is not known yet.

    `last_answer` is when the last worker ceased to give it out: now, while one still does. From `caches_expire` on no
    resolver has it that heeds TTLs, and from `clients_expire` on no client that keeps connections for as long as the
    pool's `client_reuse`.
    """

    last_answer: float | None = None
    caches_expire: float | None = None
    clients_expire: float | None = None
    safe_to_stop: bool = False


@dataclass(frozen=True, slots=True)
class _Left:
    """By the clock that nobody sets: when a member left the answers, and when the last cache forgets it."""

    at: float
    forgotten: float


class Farewells:
    """Remembers when members left the answers.

    A member that was out already when the daemon started counts from then: what ran before may have given it out until
    the last moment.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._steady = steady
        self._wall = wall
        self._left: dict[Key, _Left] = {}
        self._ttls: dict[str, set[Ttl]] = {}
        self._given: dict[str, int] = {}
        """The longest TTL that a pool's services give out now."""
        self._horizons: dict[str, float] = {}
        """Until when caches may keep what a pool's services have given out, that of now left aside."""

    def configure(self, services: Iterable[Service]) -> None:
        """Note the TTLs of the services that are answered from, as soon as that is published."""
        self._ttls = {}
        for service in services:
            self._ttls.setdefault(service.pool, set()).add(service.ttl)

    def published(self, publication: Publication) -> None:
        """Note who has left and who has come, now that all workers answer so."""
        now = self._steady()
        for pool, (_, after) in publication.pools.items():
            forgotten = self._horizons[pool] = self._horizon(pool, now)
            self._given[pool] = max((ttl.at(after.changes_in) for ttl in self._ttls.get(pool, ())), default=0)
            given_out = {choice.member.name for choice in after.published}
            for member in after.reasons:
                if member in given_out:
                    self._left.pop((pool, member), None)
                else:
                    self._left.setdefault((pool, member), _Left(now, forgotten))

    def _horizon(self, pool: str, now: float) -> float:
        """Return until when caches may keep answers of before: the last of them, or one that had a longer TTL."""
        longest = max((ttl.max for ttl in self._ttls.get(pool, ())), default=0)
        # Before the first one there may have been a daemon that gave out the longest.
        return max(self._horizons.get(pool, 0.0), now + self._given.get(pool, longest))

    def countdown(self, key: Key, client_reuse: float) -> Countdown:
        """Return what is known of a member's leaving; `client_reuse` is in seconds."""
        left = self._left.get(key)
        if left is None:
            return Countdown(last_answer=self._wall())
        done = left.forgotten + client_reuse
        shift = self._wall() - self._steady()
        return Countdown(left.at + shift, left.forgotten + shift, done + shift, safe_to_stop=self._steady() >= done)
