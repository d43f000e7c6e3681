"""When a member that has left the answers may be stopped: who may still have it, and until when.

Time runs on a clock that nobody sets; what is told is converted to Unix time when it is asked for, so that a step of
the wall clock neither shortens nor lengthens a countdown. What the next run needs is on disk before it can be missed:
before a member or a longer TTL is given out, the record that it is not is gone (see `coming`).
"""

import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dnslb.answer.service import Service, Ttl
from dnslb.daemon.roster import Key
from dnslb.pool.leaving import GivenOut, Instant, Leavings, Left
from dnslb.pool.selection import Selection
from dnslb.publisher import Publication

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


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


class Farewells:
    """Remembers when members left the answers.

    `remembered` is what the run before knew, by its own clock. Its workers may have given out what it gave out until
    this one answers, or longer if they were left behind (see `follow`): a member that it had not seen leave counts from
    then. `boot` names the start of the machine that `steady` counts from, "" if that is not known.
    """

    def __init__(
        self,
        steady: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        *,
        boot: str = "",
        remembered: Leavings | None = None,
    ) -> None:
        self._steady = steady
        self._wall = wall
        self._boot = boot
        known = Leavings(self._instant()) if remembered is None else remembered.carried(self._instant())
        self._left: dict[Key, Left] = dict(known.members)
        self._from_before: set[Key] = set(known.members)
        """Those of them whom the run before saw leave: none of its workers has given them out since."""
        self._before: dict[str, int] = {pool: each.ttl for pool, each in known.pools.items()}
        """The longest TTL that the run before may have given out."""
        self._followed = False
        self._ttls: dict[str, set[Ttl]] = {}
        self._given: dict[str, int] = {}
        """The longest TTL that a pool's services give out now; only of pools that this run has answered from."""
        self._bounds: dict[str, int] = dict(self._before)
        """What it cannot be longer than: that is on disk, since it seldom changes."""
        self._horizons: dict[str, float] = {pool: each.horizon for pool, each in known.pools.items()}
        """Until when caches may keep what a pool's services have given out, that of now left aside."""

    def _instant(self) -> Instant:
        return Instant(self._boot, self._steady(), self._wall())

    def configure(self, services: Iterable[Service]) -> None:
        """Note the TTLs of the services that are answered from, as soon as that is published."""
        self._ttls = {}
        for service in services:
            self._ttls.setdefault(service.pool, set()).add(service.ttl)

    def follow(self) -> None:
        """Note that workers of the run before still answer."""
        self._followed = True

    def predecessors_gone(self) -> None:
        """Note that they do no more: what they may have given out until now counts from now."""
        now = self._steady()
        for pool in self._given:
            self._horizons[pool] = max(self._horizons[pool], now + self._longest_before(pool))
            self._bounds[pool] = self._longest(pool)
        for key, left in self._left.items():
            if key not in self._from_before:
                self._left[key] = Left(now, max(left.forgotten, self._horizons[key[0]]))
        self._followed = False

    def coming(self, selections: Mapping[str, Selection]) -> bool:
        """Note who is about to be given out, and for how long; return whether `leavings` should be on disk before."""
        back = [
            (pool, name) for pool, each in selections.items() for name in _names(each) if (pool, name) in self._left
        ]
        for key in back:
            self._no_longer_out(key)
        longer = {pool: ttl for pool in selections if (ttl := self._longest(pool)) > self._bounds.get(pool, -1)}
        self._bounds |= longer
        return bool(back or longer)

    def published(self, publication: Publication) -> None:
        """Note who has left and who has come, now that all workers answer so."""
        now = self._steady()
        for pool, (_, after) in publication.pools.items():
            forgotten = self._horizons[pool] = self._horizon(pool, now)
            self._given[pool] = max((ttl.at(after.changes_in) for ttl in self._ttls.get(pool, ())), default=0)
            self._bounds[pool] = max(self._longest(pool), self._longest_before(pool) if self._followed else 0)
            given_out = _names(after)
            for member in after.reasons:
                if member in given_out:
                    self._no_longer_out((pool, member))
                else:
                    self._left.setdefault((pool, member), Left(now, forgotten))

    def _no_longer_out(self, key: Key) -> None:
        self._left.pop(key, None)
        self._from_before.discard(key)

    def _longest(self, pool: str) -> int:
        return max((ttl.max for ttl in self._ttls.get(pool, ())), default=0)

    def _longest_before(self, pool: str) -> int:
        """Return the longest TTL of before this run; where nothing is known of it, it may have been that of now."""
        return self._before.get(pool, self._longest(pool))

    def _horizon(self, pool: str, now: float) -> float:
        """Return until when caches may keep answers of before: the last of them, or one that had a longer TTL."""
        given = self._given.get(pool, self._longest_before(pool))
        return max(self._horizons.get(pool, now), now + given)

    def forget_removed(self, configured: Container[Key]) -> None:
        """Forget members and pools that are configured no more, as soon as caches have forgotten them too."""
        now = self._steady()
        forgotten = [key for key, left in self._left.items() if left.forgotten <= now and key not in configured]
        for key in forgotten:
            self._no_longer_out(key)
        # What they give out ends now.
        for pool in self._given.keys() - self._ttls.keys():
            self._horizons[pool] = self._horizon(pool, now)
            del self._given[pool]
        known = self._ttls.keys() | {pool for pool, _ in self._left}
        for pool in [pool for pool, until in self._horizons.items() if until <= now and pool not in known]:
            for each in (self._horizons, self._bounds, self._before):
                each.pop(pool, None)

    def leavings(self) -> Leavings:
        """Return what the next run has to know, if this one ends at any moment from now on."""
        known = {key: left for key, left in self._left.items() if not self._followed or key in self._from_before}
        pools = {pool: GivenOut(ttl, self._horizons.get(pool, 0.0)) for pool, ttl in self._bounds.items()}
        return Leavings(self._instant(), pools, known)

    def countdown(self, key: Key, client_reuse: float) -> Countdown:
        """Return what is known of a member's leaving; `client_reuse` is in seconds."""
        left, now = self._left.get(key), self._steady()
        if left is None and key[0] in self._given:
            return Countdown(last_answer=self._wall())
        # Until this run alone has answered, nobody else is known to be out.
        sure = left is not None and (key in self._from_before or not self._followed)
        if left is None or not sure:
            left = Left(now, max(self._horizon(key[0], now), now + self._longest_before(key[0])))
        done = left.forgotten + client_reuse
        shift = self._wall() - now
        return Countdown(left.at + shift, left.forgotten + shift, done + shift, safe_to_stop=sure and now >= done)


def this_boot() -> str:
    """Return what names the machine's last start, "" if the system does not say it."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _names(selection: Selection) -> set[str]:
    return {choice.member.name for choice in selection.published}
