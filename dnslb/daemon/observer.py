"""What a probe found becomes what is known of a member, and whatever follows from that.

The rules are in dnslb.pool (health, portion, guard) and know no clock; here they meet the clock, the publisher, the
journal and the metrics.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from dnslb.daemon.journal import Journal
from dnslb.daemon.roster import Entry, Key, Roster, Standing
from dnslb.metrics import Metrics
from dnslb.pool.guard import Guard, held, judge_fall
from dnslb.pool.health import AT_WORK, Health, NextProbe, State, Verdict, narrowed, next_probe, observe
from dnslb.pool.member import Pool
from dnslb.pool.portion import WHOLE, median_of, portion_of
from dnslb.probe.recipe import Target
from dnslb.probe.tcp import Address, bare_connect, source_for
from dnslb.probe.transcript import Report
from dnslb.publisher import Publisher

_MEDIAN_SECONDS = 1.0
"""A pool's median greeting time is computed at most so often: with a thousand members it is a thousand numbers."""

_SECOND_LOOK_SECONDS = 3.0
"""How long a bare connection may take that tells a fault of the members from one of the prober."""


class Observer:
    """Takes the results of probes.

    `roster` and `pools` return what is configured now. `spawn` starts a task that ends with the daemon.
    """

    def __init__(  # noqa: PLR0913 - all that it works with, by keyword
        self,
        *,
        roster: Callable[[], Roster],
        pools: Callable[[], Mapping[str, Pool]],
        publisher: Publisher,
        journal: Journal,
        metrics: Metrics,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._roster = roster
        self._pools = pools
        self._publisher = publisher
        self._journal = journal
        self._metrics = metrics
        self._spawn = spawn
        self._wall = wall
        self._medians: dict[str, tuple[float, float | None]] = {}
        self._guards: dict[str, Guard] = {}
        self._fallen: dict[str, dict[str, Target]] = {}
        """How each member that has fallen was probed, by pool."""

    def take(self, target: Target, report: Report, lag: float) -> NextProbe:
        """Take one probe's result; return when the member is to be probed next, and how deep."""
        entry = self._roster().get(target.pool, target.member)
        if entry is None or set(entry.member.addresses) != set(target.addresses):
            # A reload has removed it, or given its name to another server.
            return NextProbe(target.recipe.interval)
        self._metrics.probe_finished(target.pool, target.member, report.result, lag)
        before = narrowed(entry.standing.health, target.recipe.intervals)
        after = self._guarded(target, entry, observe(before, report.result, entry.thresholds))
        self._note(target, entry.standing, after, report)
        self._weigh(target.pool, entry, touched=(after.state, after.verdict) != (before.state, before.verdict))
        self._tell((target.pool, target.member), before, after)
        return next_probe(after, entry.thresholds)

    def _note(self, target: Target, standing: Standing, after: Health, report: Report) -> None:
        standing.health = after
        standing.tls = report.tls or standing.tls
        key = (target.pool, target.member)
        for warning in set(report.result.warnings) - standing.warnings:
            self._journal.member_warned(key, warning)
        if report.result.examined >= set(target.recipe.intervals):
            standing.warnings = frozenset(report.result.warnings)
        else:
            standing.warnings |= frozenset(report.result.warnings)

    def _tell(self, key: Key, before: Health, after: Health) -> None:
        if after.state is not before.state:
            self._journal.member_changed(key, before, after)
        elif _suspected(after) and not _suspected(before):
            self._journal.member_suspected(key, after)
        known = _to_mend(before)
        for verdict, reason in _to_mend(after).items():
            if verdict not in known:
                self._journal.member_alerted(key, verdict, reason)

    # Weights

    def _weigh(self, pool: str, entry: Entry, *, touched: bool) -> None:
        """Give the member the part of its weight that it has earned, and publish the pool if anything is different."""
        standing = entry.standing
        portion = portion_of(
            standing.health, self._median(pool), self._pools()[pool].slow_start, self._wall(), standing.portion
        )
        if touched or portion != standing.portion:
            standing.portion = portion
            self._publisher.touch(pool, found_at=asyncio.get_running_loop().time())

    def _median(self, pool: str) -> float | None:
        """Return the pool's median greeting time in milliseconds, None if there is none to compare with."""
        now = asyncio.get_running_loop().time()
        at, median = self._medians.get(pool, (now, None))
        if median is None or now - at >= _MEDIAN_SECONDS:
            median = median_of(entry.standing.health for entry in self._roster().entries(pool))
            self._medians[pool] = (now, median)
        return median

    async def ramp(self) -> None:
        """Raise the weights of members that have come back, for ever."""
        while True:
            await asyncio.sleep(1.0)
            self.raise_weights()

    def raise_weights(self) -> None:
        """Give members that have come back as much of their weight as is due by now."""
        for (pool, _), entry in self._roster().items():
            if entry.standing.health.returned_at is not None and entry.standing.portion != WHOLE:
                self._weigh(pool, entry, touched=False)

    # Failures that come together

    def _guarded(self, target: Target, entry: Entry, after: Health) -> Health:
        """Return what is to be believed: a member that falls with half of its pool is held up for one round."""
        before = entry.standing.health
        if after.state is not State.DOWN or before.state not in AT_WORK:
            return after
        pool, size = target.pool, len(self._roster().entries(target.pool))
        guard = self._guards.get(pool, Guard())
        self._guards[pool], hold = judge_fall(guard, target.member, size, self._wall(), target.recipe.interval)
        fallen = self._fallen.setdefault(pool, {})
        fallen[target.member] = target
        if not hold:
            return after
        if self._guards[pool].frozen_until != guard.frozen_until:
            together = [fallen[member] for member in self._guards[pool].falls if member in fallen]
            self._spawn(self._look_again(pool, together, target.recipe.interval))
        return held(before, after)

    async def _look_again(self, pool: str, together: Sequence[Target], seconds: float) -> None:
        """Ask in the simplest way there is, also from another source address, and tell what that says."""
        looks = await asyncio.gather(*map(_second_look, together))
        findings = {target.member: look for target, look in zip(together, looks, strict=True)}
        self._journal.prober_suspected(pool, findings, seconds)


def _suspected(health: Health) -> bool:
    """Whether a member at work has just begun to look worse, and is being asked again to be sure."""
    return health.state in AT_WORK and health.failures == 1 and health.argued is not health.state


def _to_mend(health: Health) -> dict[Verdict, str]:
    """Return what a person has to mend, by verdict, with the reasons."""
    faults = {fault.verdict: fault.reason for fault in health.faults if fault.alert}
    return faults | ({health.verdict: health.reason} if health.alert else {})


async def _second_look(target: Target) -> str:
    """Return what a bare connection to each address says, from the probe's source and from the system's choice."""
    looks = [
        await _bare_look(address, target.port, source)
        for address in target.addresses
        for source in dict.fromkeys((source_for(address, target.recipe.source), None))
    ]
    return ", ".join(looks)


async def _bare_look(address: Address, port: int, source: Address | None) -> str:
    try:
        why = await bare_connect(address, port, source, _SECOND_LOOK_SECONDS)
    except OSError as error:
        why = f"could not be tried, {error}"
    return f"{address}{f' from {source}' if source else ''}: {why or 'accepts connections'}"
