"""What a probe found becomes what is known of a member, and whatever follows from that.

The rules are in dnslb.pool (health, portion, guard) and know no clock; here they meet the clock, the publisher, the
journal and the metrics.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from dnslb.daemon.journal import Journal
from dnslb.daemon.roster import Entry, Key, Roster, Standing
from dnslb.metrics import Metrics
from dnslb.pool.guard import Guard, held, judge_fall
from dnslb.pool.health import (
    AT_WORK,
    Aspect,
    Health,
    NextProbe,
    ProbeResult,
    State,
    Verdict,
    narrowed,
    next_probe,
    observe,
)
from dnslb.pool.member import Pool
from dnslb.pool.outlook import Outlook, coarse, next_change
from dnslb.pool.pace import pace_of, weighed
from dnslb.pool.portion import UNPACED, WHOLE, Pace, portion_of
from dnslb.pool.selection import QUESTIONS
from dnslb.probe.recipe import Target
from dnslb.probe.tcp import Address, bare_connect, source_for
from dnslb.probe.transcript import Report
from dnslb.publisher import Publisher

_PACE_SECONDS = 1.0
"""How soon a pool greets is computed at most so often: with a thousand members it is a thousand numbers."""

_SECOND_LOOK_SECONDS = 3.0
"""How long a bare connection may take that tells a fault of the members from one of the prober."""

_MOST_LOOKS = 20
"""So many of the members that fall together are enough to tell."""

_MOST_WARNINGS = 8
"""So many are kept of one member."""


class Observer:
    """Takes the results of probes.

    `roster` and `pools` return what is configured now, `steps` what a pool's TTLs can be (see `coarse`). `ask` has
    members probed as soon as may be, also of the given aspects, None for all. `alone` keeps others from talking to a
    target's addresses meanwhile. `spawn` starts a task that ends with the daemon.
    """

    def __init__(  # noqa: PLR0913 - all that it works with, by keyword
        self,
        *,
        roster: Callable[[], Roster],
        pools: Callable[[], Mapping[str, Pool]],
        steps: Callable[[str], Sequence[int]],
        publisher: Publisher,
        journal: Journal,
        metrics: Metrics,
        ask: Callable[[Iterable[Key], frozenset[Aspect] | None], None],
        alone: Callable[[Target], AbstractAsyncContextManager[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._roster = roster
        self._pools = pools
        self._steps = steps
        self._publisher = publisher
        self._journal = journal
        self._metrics = metrics
        self._ask = ask
        self._alone = alone
        self._spawn = spawn
        self._wall = wall
        self._paces: dict[tuple[str, int], tuple[float, Pace]] = {}
        """When (loop time) each tier's was computed, and what came of it."""
        self._guards: dict[str, Guard] = {}
        self._asked: dict[tuple[str, Verdict], float] = {}
        """Until when (loop time) a pool's members need not be asked again for a verdict that one of them has given."""
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
        after = self._believed(target, entry, observe(before, report.result, entry.thresholds))
        entry.standing.health = after
        entry.standing.tls = report.tls or entry.standing.tls
        self._weigh(target.pool, entry, touched=(after.state, after.verdict) != (before.state, before.verdict))
        self._tell(target, entry.standing, before, report.result)
        if report.result.verdict in QUESTIONS and not before.shows(report.result.verdict):
            self._ask_the_others(target, report.result)
        if before.state is State.DOWN and after.state in AT_WORK:
            self._ask_who_is_down(target.pool, whole=before.shows(Verdict.AUTH_FAILED))
        return next_probe(after, entry.thresholds)

    def _ask_the_others(self, target: Target, result: ProbeResult) -> None:
        """Have the same question put to the rest of the pool at once, though only once in an interval.

        If all of them fail it, the question is suspect. Asked in their own time they would fall one after the other
        before anybody could know, until one of them had all the mail.
        """
        asked, now = (target.pool, result.verdict), asyncio.get_running_loop().time()
        if now < self._asked.get(asked, now):
            return
        self._asked[asked] = now + target.recipe.interval
        others = [e for e in self._roster().entries(target.pool) if not e.standing.health.shows(result.verdict)]
        self._ask([(target.pool, entry.member.name) for entry in others], frozenset({result.aspect}))

    def _ask_who_is_down(self, pool: str, *, whole: bool) -> None:
        """Probe them at once: what was mended for one may be mended for all, and the long dead are probed seldom.

        So is a refused login: where one member takes it again, the others are asked for it too.
        """
        down = (e.member.name for e in self._roster().entries(pool) if e.standing.health.state is State.DOWN)
        self._ask([(pool, name) for name in down], None if whole else frozenset())

    def forget_removed(self) -> None:
        """Forget what was noted of pools and members that a reload has removed."""
        pools, roster = self._pools(), self._roster()
        self._paces = {key: pace for key, pace in self._paces.items() if key[0] in pools}
        self._guards = {pool: guard for pool, guard in self._guards.items() if pool in pools}
        self._asked = {key: until for key, until in self._asked.items() if key[0] in pools}
        self._fallen = {
            pool: {member: target for member, target in fallen.items() if roster.get(pool, member)}
            for pool, fallen in self._fallen.items()
            if pool in pools
        }

    # What people are told

    def _tell(self, target: Target, standing: Standing, before: Health, result: ProbeResult) -> None:
        key, after = (target.pool, target.member), standing.health
        if after.state is not before.state:
            self._journal.member_changed(key, before, after)
        elif _suspected(after) and not _suspected(before):
            self._journal.member_suspected(key, after)
        self._tell_alerts(key, standing, result)
        self._tell_warnings(key, standing, result, whole=result.examined >= set(target.recipe.intervals))

    def _tell_alerts(self, key: Key, standing: Standing, result: ProbeResult) -> None:
        """Tell what a person has to mend once it is sure, and what has been mended."""
        health, told = standing.health, standing.alerts
        wrong = {fault.verdict: fault.reason for fault in health.faults if fault.alert}
        # A first failure of a member at work is being confirmed, and one that the guard holds is told of as such.
        sure = set(wrong) if health.argued in {health.state, State.UP} else set()
        if result.effect.state is None and result.effect.alert:
            wrong[result.verdict] = result.reason
            sure.add(result.verdict)
        # What a probe did not look at is as it was.
        still = {verdict for verdict, aspect in told.items() if verdict in wrong or aspect not in result.examined}
        for verdict in told.keys() - still:
            self._journal.member_mended(key, verdict)
        for verdict in sure - told.keys():
            self._journal.member_alerted(key, verdict, wrong[verdict])
        aspects = {fault.verdict: fault.aspect for fault in health.faults}
        standing.alerts = {verdict: told.get(verdict, aspects.get(verdict, result.aspect)) for verdict in sure | still}

    def _tell_warnings(self, key: Key, standing: Standing, result: ProbeResult, *, whole: bool) -> None:
        """Tell what is new. A probe that did not look at everything leaves the warnings of the rest as they were."""
        known = standing.warnings
        # A hostile server could have a new one for each probe.
        new = [text for text in dict.fromkeys(result.warnings) if text not in known][: _MOST_WARNINGS - len(known)]
        for text in new:
            self._journal.member_warned(key, text)
        standing.warnings = frozenset(result.warnings[:_MOST_WARNINGS]) if whole else known | frozenset(new)

    # Weights, and what is seen coming

    def _weigh(self, pool: str, entry: Entry, *, touched: bool) -> None:
        """Give the member the part of its weight that it has earned, and publish the pool if anything is different."""
        standing = entry.standing
        portion = portion_of(
            standing.health,
            self._pace(pool, entry.member.tier),
            self._pools()[pool].slow_start,
            self._wall(),
            standing.portion,
        )
        outlook = self._outlook(pool, entry)
        if touched or (portion, outlook) != (standing.portion, standing.outlook):
            standing.portion, standing.outlook = portion, outlook
            self._publisher.touch(pool, found_at=asyncio.get_running_loop().time())

    def _outlook(self, pool: str, entry: Entry) -> Outlook | None:
        """Return the member's next change, None if no TTL of its pool would follow it."""
        steps = self._steps(pool)
        if not steps:
            return None
        standing = entry.standing
        slow_start = self._pools()[pool].slow_start
        return coarse(
            next_change(standing.health, entry.thresholds, slow_start, standing.leaves_at, self._wall()), steps
        )

    def _pace(self, pool: str, tier: int) -> Pace:
        """Return how soon a tier and what it is compared with greets now, or did a second ago."""
        now = asyncio.get_running_loop().time()
        at, pace = self._paces.get((pool, tier), (now, UNPACED))
        if pace.median_ms is None or now - at >= _PACE_SECONDS:
            pace = pace_of(self._pools()[pool], self._roster().candidates(pool), tier)
            self._paces[pool, tier] = (now, pace)
        return pace

    def admin_changed(self, pool: str) -> None:
        """Weigh a pool's members anew, for who decides that one leaves or comes back and publishes the pool then.

        Who has left is nobody's rival any more: the next answers should not have weights that last a second.
        """
        entries = self._roster().entries(pool)
        candidates = [entry.candidate() for entry in entries]
        for entry, after in zip(
            entries, weighed(self._pools()[pool], candidates, self._wall(), anew=True), strict=True
        ):
            entry.standing.portion = after.portion
            self._paces.pop((pool, entry.member.tier), None)

    async def tick(self) -> None:
        """Follow the clock, for ever: what time alone changes is looked at each second."""
        while True:
            await asyncio.sleep(1.0)
            self.follow_clock()

    def follow_clock(self) -> None:
        """Give members that have come back the weight that is due by now, and see which changes have come nearer."""
        for (pool, _), entry in self._roster().items():
            if _is_timed(entry.standing):
                self._weigh(pool, entry, touched=False)

    # What is not believed at once

    def _believed(self, target: Target, entry: Entry, after: Health) -> Health:
        """Return what is to be believed of a member: perhaps that it stays where it is for now."""
        before = entry.standing.health
        # What a server has answered to a question of ours is no fault of the network; it is doubted in another way.
        if before.state in AT_WORK and after.state is State.DOWN and after.verdict not in QUESTIONS:
            return self._guarded(target, before, after)
        if after.state is State.DRAINING and after.verdict is Verdict.BUSY and not self._others_have_time(target):
            return held(before, after)
        return after

    def _others_have_time(self, target: Target) -> bool:
        """Whether anybody could take over from a busy member: a pool in which all are busy is only busier with less."""
        entries = self._roster().entries(target.pool)
        return any(
            entry.member.name != target.member and entry.standing.health.state in {State.UP, State.DEGRADED}
            for entry in entries
        )

    def held_until(self, pool: str) -> float | None:
        """Return the Unix time until which falls in a pool are held, None if they are not."""
        guard = self._guards.get(pool)
        return guard.frozen_until if guard is not None and guard.frozen_until > self._wall() else None

    def _guarded(self, target: Target, before: Health, after: Health) -> Health:
        """Hold up for one round a member that falls with half of its pool."""
        pool = target.pool
        groups = {entry.member.name: entry.member.group for entry in self._roster().entries(pool)}
        guard = self._guards.get(pool, Guard())
        self._guards[pool], hold = judge_fall(guard, target.member, groups, self._wall(), target.recipe.interval)
        fallen = self._fallen.setdefault(pool, {})
        fallen[target.member] = target
        if not hold:
            return after
        if self._guards[pool].frozen_until != guard.frozen_until:
            together = [fallen[member] for member in self._guards[pool].falls if member in fallen]
            self._spawn(self._look_again(pool, together[:_MOST_LOOKS], target.recipe.interval))
        return held(before, after)

    async def _look_again(self, pool: str, together: Sequence[Target], seconds: float) -> None:
        """Ask in the simplest way there is, also from another source address, and tell what that says."""
        looks = await asyncio.gather(*map(self._second_look, together))
        findings = {target.member: look for target, look in zip(together, looks, strict=True)}
        self._journal.prober_suspected(pool, findings, seconds)

    async def _second_look(self, target: Target) -> str:
        """Return what a bare connection to each address says, from the probe's source and from the system's choice."""
        async with self._alone(target):
            looks = [
                await _bare_look(address, target.port, source)
                for address in target.addresses
                for source in dict.fromkeys((source_for(address, target.recipe.source), None))
            ]
        return ", ".join(looks)


def _suspected(health: Health) -> bool:
    """Whether a member at work has just begun to look worse, and is being asked again to be sure."""
    return health.state in AT_WORK and health.failures == 1 and health.argued is not health.state


def _is_timed(standing: Standing) -> bool:
    """Whether time alone may change a member's weight or its outlook: a ramp, a minute of being busy, a drain to come.

    What a reload has made of the TTLs is taken up with any outlook that there is.
    """
    ramps = standing.health.returned_at is not None and standing.portion != WHOLE
    awaited = (standing.outlook, standing.leaves_at, standing.health.busy_since)
    return ramps or any(each is not None for each in awaited)


async def _bare_look(address: Address, port: int, source: Address | None) -> str:
    try:
        why = await bare_connect(address, port, source, _SECOND_LOOK_SECONDS)
    except OSError as error:
        why = f"could not be tried, {error}"
    return f"{address}{f' from {source}' if source else ''}: {why or 'accepts connections'}"
