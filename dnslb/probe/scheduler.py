"""When to probe whom. APScheduler says when; the probes are tasks of our own, so that stopping can await them.

What the library needs care with: it lives on the wall clock (so a clock step stalls it or fires everything at once:
`_guard_clock` spreads the schedule anew), it skips a late run unless misfire_grace_time is None, its jitter only ever
delays (so the trigger draws its own), and it calls a coroutine job "running" a moment too long for a follow-up that
is due at once (so a job only starts our task, and "one conversation per member" is kept here).
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from dnslb.pool.health import ProbeResult, Verdict
from dnslb.probe.recipe import Target
from dnslb.probe.smtp import probe
from dnslb.probe.verdict import EFFECTS

Key = tuple[str, str]
"""Pool and member."""

JITTER = 0.05
"""Regular intervals vary by this fraction, so that many probers and members drift apart."""

GUARD_PERIOD = 1.0
CLOCK_STEP = 2.0
"""Seconds between looks at the clocks, and the difference between wall and monotonic time that counts as a step."""

NEWCOMER_SPREAD = 1.0
"""Members that a reload brings are probed within so many seconds, not all in one instant."""

SOONEST = timedelta(milliseconds=50)

OnResult = Callable[[Target, ProbeResult, float], float]

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Watch:
    """One member's place in the schedule.

    `delay` is what was last asked for until the next probe, `due` the wall time for which the latest one was planned.
    `probing` is the conversation under way.
    """

    target: Target
    delay: float
    due: float = 0.0
    probing: asyncio.Task[None] | None = None

    @property
    def key(self) -> Key:
        """Pool and member."""
        return self.target.pool, self.target.member

    @property
    def job(self) -> str:
        """The name of its job in the library's store."""
        return f"{self.target.pool}/{self.target.member}"


class AdaptiveTrigger(BaseTrigger):
    """Fires after each regular interval of a member; other delays are set from outside once a result is known.

    However late it is asked, it looks at one interval only: the library's own would count through all that were missed.
    """

    __slots__ = ("_watch",)

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the time after `previous_fire_time`, the one that is being served now."""
        interval = self._watch.target.recipe.interval
        base = now
        if previous_fire_time is not None:
            self._watch.due = previous_fire_time.timestamp()
            if now - previous_fire_time < timedelta(seconds=interval):
                base = previous_fire_time
        return max(base + timedelta(seconds=jittered(interval)), now + SOONEST)


async def probe_wholly(target: Target) -> ProbeResult:
    """Probe a member in all aspects of its recipe."""
    return (await probe(target, frozenset(target.recipe.intervals))).result


class Scheduler:
    """Probes each target in its own rhythm and reports each result.

    `on_result(target, result, lag)` is called in the event loop with the seconds that the probe started late, and
    returns the seconds until this member's next probe, measured from the start of the one reported. A delay of the
    recipe's interval or more is jittered by 5 %; a shorter one, which confirms a change, is kept exactly, so that the
    answers 1 s and 2 s probe 1 s and 3 s after the first failure. A conversation that outlasts a confirming
    delay is followed at once, one that outlasts the interval at the next beat. There is never more than one per target,
    and never more than `concurrency` in all. When members stall, so many of them keep all others waiting: it should be
    as large as there are descriptors for.
    """

    def __init__(
        self,
        on_result: OnResult,
        *,
        concurrency: int,
        run_probe: Callable[[Target], Awaitable[ProbeResult]] = probe_wholly,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._on_result = on_result
        self._run_probe = run_probe
        self._wall = wall
        self._places = asyncio.Semaphore(concurrency)
        self._watches: dict[Key, Watch] = {}
        self._guard: asyncio.Task[None] | None = None
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it writes lines per run
        self._clockwork = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    async def start(self, targets: Iterable[Target]) -> None:
        """Begin: each target's first probe is at a random moment of its interval."""
        for target in targets:
            self._watch(target, target.recipe.interval)
        self._clockwork.start()
        self._guard = asyncio.create_task(self._guard_clock(), name="probe clock guard")

    async def replace(self, targets: Iterable[Target]) -> None:
        """Go on with these targets.

        Those that are the same keep their rhythm; new and changed ones are probed soon, and probes
        of removed and changed ones have ended, unreported, when this returns.
        """
        wanted = {(target.pool, target.member): target for target in targets}
        gone = [watch for key, watch in self._watches.items() if wanted.get(key) != watch.target]
        await self._forget(gone)
        for key, target in wanted.items():
            if key not in self._watches:
                self._watch(target, min(NEWCOMER_SPREAD, target.recipe.interval))

    async def first_round(self, deadline: float, targets: Iterable[Target]) -> set[Key]:
        """Probe these targets now and return pool and member of those that were done within `deadline` seconds.

        The others go on and report when they end. Targets that are not scheduled are left out. Afterwards the regular
        probes are spread over the interval.
        """
        keys = [(target.pool, target.member) for target in targets]
        probes = {
            self._begin(self._watches[key], self._wall(), spread=True): key for key in keys if key in self._watches
        }
        if not probes:
            return set()
        done, _ = await asyncio.wait(probes, timeout=deadline)
        return {probes[task] for task in done if not task.cancelled()}

    async def stop(self) -> None:
        """End all probes and return when they have ended. No result is reported after that."""
        if self._guard is not None:
            self._guard.cancel()
            await asyncio.gather(self._guard, return_exceptions=True)
        await self._forget(list(self._watches.values()))
        if self._clockwork.running:
            self._clockwork.shutdown()
            await asyncio.sleep(0)  # it takes effect one turn of the loop later

    def _watch(self, target: Target, spread: float) -> None:
        watch = Watch(target, target.recipe.interval)
        self._watches[watch.key] = watch
        self._clockwork.add_job(
            self._fire,
            AdaptiveTrigger(watch),
            args=(watch,),
            id=watch.job,
            next_run_time=self._from_now(drawn(0, spread)),
        )

    async def _forget(self, watches: list[Watch]) -> None:
        for watch in watches:
            del self._watches[watch.key]
            self._clockwork.remove_job(watch.job)
        probing = [watch.probing for watch in watches if watch.probing is not None]
        for task in probing:
            task.cancel()
        await asyncio.gather(*probing, return_exceptions=True)

    async def _fire(self, watch: Watch) -> None:
        """Start the probe that is due; a coroutine, for the library runs anything else in a thread."""
        if self._current(watch) and watch.probing is None:
            self._begin(watch, watch.due, spread=False)

    def _begin(self, watch: Watch, due: float, *, spread: bool) -> asyncio.Task[None]:
        """Start a probe, or return the one under way."""
        if watch.probing is None:
            watch.probing = asyncio.create_task(self._probe(watch, due, spread=spread), name=f"probe {watch.job}")
        return watch.probing

    async def _probe(self, watch: Watch, due: float, *, spread: bool) -> None:
        async with self._places:
            started = time.monotonic()
            lag = max(0.0, self._wall() - due)
            result = await self._result_of(watch.target)
        if not self._current(watch):
            return  # it ended in the very moment in which it was cancelled
        watch.probing = None
        self._ask_for_delay(watch, result, lag)
        self._plan(watch, time.monotonic() - started, spread=spread)

    async def _result_of(self, target: Target) -> ProbeResult:
        """Probe; a bug in it is logged, is no information about the member, and does not end the schedule."""
        started = time.monotonic()
        try:
            return await self._run_probe(target)
        except Exception:
            log.exception("probe_broken", pool=target.pool, member=target.member)
        reason = "the probe itself failed; the log says how"
        return ProbeResult(
            Verdict.UNKNOWN, reason, EFFECTS[Verdict.UNKNOWN], None, time.monotonic() - started, self._wall()
        )

    def _ask_for_delay(self, watch: Watch, result: ProbeResult, lag: float) -> None:
        watch.delay = watch.target.recipe.interval
        try:
            watch.delay = self._on_result(watch.target, result, lag)
        except Exception:
            log.exception("probe_result_not_taken", pool=watch.target.pool, member=watch.target.member)

    def _plan(self, watch: Watch, elapsed: float, *, spread: bool) -> None:
        """Set the next probe, `elapsed` seconds after the last one started."""
        interval = watch.target.recipe.interval
        if watch.delay < interval:
            self._move(watch, max(0.0, watch.delay - elapsed))
        elif spread:
            self._move(watch, drawn(0, watch.delay))
        elif watch.delay > interval:
            self._move(watch, max(0.0, jittered(watch.delay) - elapsed))
        # else the trigger has already set it

    def _move(self, watch: Watch, wait: float) -> None:
        self._clockwork.modify_job(watch.job, next_run_time=self._from_now(wait))

    def _current(self, watch: Watch) -> bool:
        return self._watches.get(watch.key) is watch

    def _from_now(self, wait: float) -> datetime:
        return datetime.fromtimestamp(self._wall() + wait, UTC)

    async def _guard_clock(self) -> None:
        """Spread the schedule anew after a step of the wall clock, for the library would wait for the old time."""
        offset = self._wall() - time.monotonic()
        while True:
            await asyncio.sleep(GUARD_PERIOD)
            step = self._wall() - time.monotonic() - offset
            offset += step
            if abs(step) > CLOCK_STEP:
                log.warning("clock_stepped", seconds=round(step, 3), rescheduled=len(self._watches))
                self._spread_anew()

    def _spread_anew(self) -> None:
        for watch in self._watches.values():
            self._move(watch, drawn(0, watch.delay))


def jittered(seconds: float) -> float:
    """Return `seconds` varied by up to 5 % either way."""
    return seconds * drawn(1 - JITTER, 1 + JITTER)


def drawn(low: float, high: float) -> float:
    """Return a random number between the two."""
    return random.uniform(low, high)  # noqa: S311 - spreads load; nothing depends on its being unpredictable
