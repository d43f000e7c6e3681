"""When to probe whom. APScheduler says when; the probes are tasks of our own, so that stopping can await them.

What the library needs care with: it lives on the wall clock (so a clock step stalls it or fires everything at once:
`_guard_clock` spreads the schedule anew), it skips a late run unless misfire_grace_time is None, its jitter only ever
delays (so the trigger draws its own), and it calls a coroutine job "running" a moment too long for a follow-up that
is due at once (so a job only starts our task, and "one conversation per member" is kept here).
"""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from weakref import WeakValueDictionary

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from dnslb.pool.health import Aspect, NextProbe, ProbeResult, Verdict
from dnslb.probe.cadence import Allowance, Cadence
from dnslb.probe.entrance import Entrance
from dnslb.probe.memory import Memory
from dnslb.probe.recipe import Recipe, Target
from dnslb.probe.smtp import probe
from dnslb.probe.transcript import Report
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

ROUND_GRACE = 1.0
"""Seconds that a first round may take for probes of the full depth. Who comes later is asked for the session first."""

SOONEST = timedelta(milliseconds=50)

SHALLOW = frozenset({Aspect.SESSION})

OnResult = Callable[[Target, Report, float], NextProbe]
RunProbe = Callable[[Target, frozenset[Aspect]], Awaitable[Report]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """What the conversation that begins next was asked to do beside what is due.

    It examines these `aspects` too, and all there are if it is `whole`. `report` gets what it finds, and is cancelled
    if it does not come to that.
    """

    report: asyncio.Future[Report]
    aspects: frozenset[Aspect] = frozenset()
    whole: bool = False


@dataclass(slots=True, eq=False)
class Watch:
    """One thing that is probed, and its place in the schedule.

    `readers` are the members that it is probed for: alike in all that makes a difference (`by_subject`), and none once
    they are gone. `locks` are those of its addresses, in the order in which all watches take them. `job` is its name in
    the library's store. `delay` is what was last asked for until the next probe, `due` the wall time for which the
    latest one was planned. `probing` is the probe under way, and `in_turn` says that the trigger began it and that the
    next is not due yet. `turn` is what the next conversation was asked for, be it that of a probe under way which has
    still to wait.
    """

    readers: dict[Key, Target]
    locks: tuple[asyncio.Lock, ...] = ()
    job: str = ""
    cadence: Cadence = field(default_factory=Cadence)
    delay: float = 0.0
    due: float = 0.0
    in_turn: bool = False
    probing: asyncio.Task[None] | None = None
    turn: Turn | None = None

    @property
    def target(self) -> Target:
        """Any of its readers: what is probed is the same for all."""
        return next(iter(self.readers.values()))

    @property
    def recipe(self) -> Recipe:
        """How it is probed."""
        return self.target.recipe


class AdaptiveTrigger(BaseTrigger):
    """Fires after each regular interval of a member; other delays are set from outside once a result is known.

    However late it is asked, it looks at one interval only: the library's own would count through all that were missed.
    """

    __slots__ = ("_watch",)

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the time after `previous_fire_time`, the one that is being served now."""
        interval = self._watch.recipe.interval
        base = now
        if previous_fire_time is not None:
            self._watch.due = previous_fire_time.timestamp()
            if now - previous_fire_time < timedelta(seconds=interval):
                base = previous_fire_time
        return max(base + timedelta(seconds=jittered(interval)), now + SOONEST)


class Scheduler:
    """Probes each target in its own rhythm and reports each result.

    Targets that ask the same of the same addresses share one conversation, whose report each of them gets; addresses
    that several conversations lead to are only ever in one of them at a time.

    `on_result(target, report, lag)` is called in the event loop, once for each target, with the seconds that the probe
    started late. It returns what comes next: the least delay and all the aspects that are asked for count. The delay is
    measured from the start of the probe reported. One of the recipe's interval or more is jittered by 5 %; a shorter
    one, which confirms a change, is kept exactly, so that the answers 1 s and 2 s probe 1 s and 3 s after the first
    failure. A conversation that outlasts its delay is followed at once. There are never more than `concurrency` in all.
    When members stall, so many of them keep all others waiting: it should be as large as there are descriptors for.
    """

    def __init__(
        self,
        on_result: OnResult,
        *,
        concurrency: int,
        run_probe: RunProbe | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._on_result = on_result
        self._run_probe = run_probe or partial(probe, memory=Memory())
        self._wall = wall
        self._entrance = Entrance(concurrency)
        self._watches: dict[Target, Watch] = {}
        """By what is probed."""
        self._watch_of: dict[Key, Watch] = {}
        self._locks: WeakValueDictionary[tuple[bytes, int], asyncio.Lock] = WeakValueDictionary()
        """By address and port. Watches hold them, so that they go with the last one that needs them."""
        self._allowance = Allowance()
        self._numbers = itertools.count()
        self._guard: asyncio.Task[None] | None = None
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it writes lines per run
        self._clockwork = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    async def start(self, targets: Iterable[Target]) -> None:
        """Begin: each target's first probe is at a random moment of its interval."""
        for subject, readers in by_subject(targets).items():
            self._watch(subject, readers, subject.recipe.interval)
        self._clockwork.start()
        self._guard = asyncio.create_task(self._guard_clock(), name="probe clock guard")

    async def replace(self, targets: Iterable[Target]) -> None:
        """Go on with these targets.

        Those that are the same keep their rhythm; new and changed ones are probed soon, also where others already share
        their conversation. Probes of removed and changed ones have ended, unreported, when this returns; one that
        others share goes on for those.
        """
        wanted = by_subject(targets)
        await self._forget([subject for subject in self._watches if subject not in wanted])
        for subject, readers in wanted.items():
            if subject in self._watches:
                self._admit(self._watches[subject], readers)
            else:
                self._watch(subject, readers, min(NEWCOMER_SPREAD, subject.recipe.interval))
        self._watch_of = {key: watch for watch in self._watches.values() for key in watch.readers}

    async def first_round(self, deadline: float, targets: Iterable[Target]) -> set[Key]:
        """Probe these targets now and return pool and member of those that were done within `deadline` seconds.

        As first probes they examine all aspects, but of thousands only some do at once. Those that are not done go on
        and report when they end. Targets that are not scheduled are left out. Afterwards the regular probes are spread
        over the interval.
        """
        probes: dict[asyncio.Task[None], set[Key]] = {}
        for key in ((target.pool, target.member) for target in targets):
            if watch := self._watch_of.get(key):
                probes.setdefault(self._begin(watch, self._wall(), spread=True), set()).add(key)
        if not probes:
            return set()
        done, _ = await asyncio.wait(probes, timeout=deadline)
        return {key for task in done if not task.cancelled() for key in probes[task]}

    async def probe_now(self, key: Key) -> Report:
        """Probe all aspects of a member now, or right after the conversation under way, and return what was reported.

        All who ask before it begins share it. Raises KeyError if there is no such member, or a reload has removed or
        changed it meanwhile.
        """
        watch = self._watch_of[key]
        report = self._reserve(watch, whole=True)
        await asyncio.wait({report})  # and not the report itself: others wait for it when who asked has gone
        if report.cancelled() or self._watch_of.get(key) is not watch:
            raise KeyError(key)
        return report.result()

    def ask(self, keys: Iterable[Key], aspects: frozenset[Aspect] | None) -> None:
        """Probe these members now, or right after the conversation under way, and examine these aspects too.

        Those that a member's recipe does not speak of are left out, and so is a login after a refused one; but None
        means all there are, that login too. Who is not probed at all is left out.
        """
        for key in keys:
            if watch := self._watch_of.get(key):
                self._reserve(watch, aspects or frozenset(), whole=aspects is None)

    @asynccontextmanager
    async def alone(self, target: Target) -> AsyncIterator[None]:
        """Wait until no probe talks to the target's addresses at its port, and let none begin meanwhile.

        The target need not be one that is probed.
        """
        async with _held(self._locks_of(target)):
            yield

    async def stop(self) -> None:
        """End all probes and return when they have ended. No result is reported after that."""
        if self._guard is not None:
            self._guard.cancel()
            await asyncio.gather(self._guard, return_exceptions=True)
        await self._forget(list(self._watches))
        if self._clockwork.running:
            self._clockwork.shutdown()
            await asyncio.sleep(0)  # it takes effect one turn of the loop later

    def _watch(self, subject: Target, readers: dict[Key, Target], spread: float) -> None:
        watch = Watch(readers, self._locks_of(subject), f"watch {next(self._numbers)}", delay=subject.recipe.interval)
        self._watches[subject] = watch
        self._watch_of |= dict.fromkeys(readers, watch)
        self._clockwork.add_job(
            self._fire,
            AdaptiveTrigger(watch),
            args=(watch,),
            id=watch.job,
            next_run_time=self._from_now(drawn(0, spread)),
        )

    def _admit(self, watch: Watch, readers: dict[Key, Target]) -> None:
        """Let a watch have these readers from now on; newcomers among them need to hear of all aspects, and soon."""
        known, watch.readers = watch.readers, readers
        if not readers.keys() <= known.keys():
            watch.cadence = Cadence()
            self._move(watch, drawn(0, min(NEWCOMER_SPREAD, watch.recipe.interval)))

    def _locks_of(self, subject: Target) -> tuple[asyncio.Lock, ...]:
        """Return the locks in one order for all, or two watches could wait for each other for ever."""
        places = sorted({(address.packed, subject.port) for address in subject.addresses})
        return tuple(self._locks.setdefault(place, asyncio.Lock()) for place in places)

    async def _forget(self, subjects: Iterable[Target]) -> None:
        watches = [self._watches.pop(subject) for subject in subjects]
        for watch in watches:
            for key in watch.readers:
                del self._watch_of[key]
            watch.readers = {}
            if watch.turn is not None:
                watch.turn.report.cancel()
            self._clockwork.remove_job(watch.job)
        probing = [watch.probing for watch in watches if watch.probing is not None]
        for task in probing:
            task.cancel()
        await asyncio.gather(*probing, return_exceptions=True)

    async def _fire(self, watch: Watch) -> None:
        """Start the probe that is due; a coroutine, for the library runs anything else in a thread."""
        if watch.readers:
            begins = watch.probing is None
            self._begin(watch, watch.due)
            watch.in_turn = begins

    def _reserve(
        self, watch: Watch, aspects: frozenset[Aspect] = frozenset(), *, whole: bool = False
    ) -> asyncio.Future[Report]:
        """Ask something of the conversation that begins next: at once if no probe is under way."""
        turn = watch.turn or Turn(asyncio.get_running_loop().create_future())
        watch.turn = replace(turn, aspects=turn.aspects | aspects, whole=turn.whole or whole)
        self._begin(watch, self._wall())
        return turn.report

    def _begin(self, watch: Watch, due: float, *, spread: bool = False) -> asyncio.Task[None]:
        """Start a probe, or return the one under way."""
        if watch.probing is None:
            watch.in_turn = False
            watch.probing = asyncio.create_task(self._probe(watch, due, spread=spread))
        return watch.probing

    async def _probe(self, watch: Watch, due: float, *, spread: bool) -> None:
        loop, late = asyncio.get_running_loop(), self._late(due) - (ROUND_GRACE if spread else 0.0)
        async with _held(watch.locks):
            came = loop.time()
            async with self._entrance:  # last: who waits for an address takes no place
                began = loop.time()
                late += began - came  # but for what it waited for an address, which is nobody's fault
                lag = self._late(due)
                turn, watch.turn = watch.turn, None
                aspects = self._aspects(watch, turn, began, late)
                report = await self._conversation(watch.target, aspects, turn)
        watch.probing = None
        if watch.readers:  # else it ended in the very moment in which it was cancelled
            intervals = watch.recipe.intervals
            watch.cadence = watch.cadence.after(intervals, aspects, report.result, began, drawn(0, 1))
            self._tell(watch, report, lag)
            self._go_on(watch, loop.time() - began, spread=spread)

    def _aspects(self, watch: Watch, turn: Turn | None, now: float, late: float) -> frozenset[Aspect]:
        """Return what a conversation that begins now examines."""
        intervals = watch.recipe.intervals
        if turn is not None and turn.whole:
            return frozenset(intervals)
        if turn is not None:
            watch.cadence = replace(watch.cadence, asked=watch.cadence.asked | turn.aspects)
        return self._allowed(watch, intervals, now, late)

    async def _conversation(self, target: Target, aspects: frozenset[Aspect], turn: Turn | None) -> Report:
        """Talk to the target, and give the report to those who have asked for it."""
        try:
            report = await self._report_of(target, aspects)
        except asyncio.CancelledError:
            if turn is not None:
                turn.report.cancel()
            raise
        if turn is not None:
            turn.report.set_result(report)
        return report

    def _allowed(self, watch: Watch, intervals: Mapping[Aspect, float], now: float, late: float) -> frozenset[Aspect]:
        """Return what a probe should examine, or no more than the session if too many others go deep now."""
        wanted = watch.cadence.wanted(intervals, now)
        if wanted == SHALLOW:
            return wanted
        left = self._allowance.spend(now, late, asked=not watch.cadence.asked <= SHALLOW)
        if left is None:
            return SHALLOW
        self._allowance = left
        return wanted

    def _late(self, due: float) -> float:
        return max(0.0, self._wall() - due)

    async def _report_of(self, target: Target, aspects: frozenset[Aspect]) -> Report:
        """Probe; a bug in it is logged, is no information about the member, and does not end the schedule."""
        started = time.monotonic()
        try:
            return await self._run_probe(target, aspects)
        except Exception:
            log.exception("probe_broken", pool=target.pool, member=target.member)
        reason = "the probe itself failed; the log says how"
        effect, duration = EFFECTS[Verdict.UNKNOWN], time.monotonic() - started
        return Report(ProbeResult(Verdict.UNKNOWN, reason, effect, None, duration, self._wall()))

    def _tell(self, watch: Watch, report: Report, lag: float) -> None:
        """Report to all readers and note what they ask for."""
        wishes = [self._wish_of(target, report, lag) for target in watch.readers.values()]
        watch.delay = min(wish.delay for wish in wishes)
        if asked := frozenset[Aspect]().union(*(wish.aspects for wish in wishes)):
            watch.cadence = replace(watch.cadence, asked=asked)

    def _wish_of(self, target: Target, report: Report, lag: float) -> NextProbe:
        try:
            return self._on_result(target, report, lag)
        except Exception:
            log.exception("probe_result_not_taken", pool=target.pool, member=target.member)
        return NextProbe(target.recipe.interval)

    def _go_on(self, watch: Watch, elapsed: float, *, spread: bool) -> None:
        """Begin the next probe if it was asked for meanwhile, which is planned from then on, or plan it."""
        if watch.turn is not None:
            self._begin(watch, self._wall())
        else:
            self._plan(watch, elapsed, spread=spread)

    def _plan(self, watch: Watch, elapsed: float, *, spread: bool) -> None:
        """Set the next probe, `elapsed` seconds after the last one started."""
        interval = watch.recipe.interval
        if watch.delay < interval:
            self._move(watch, max(0.0, watch.delay - elapsed))
        elif spread:
            self._move(watch, drawn(0, watch.delay))
        elif watch.delay > interval or not watch.in_turn:
            self._move(watch, max(0.0, jittered(watch.delay) - elapsed))
        # else the trigger has already set it

    def _move(self, watch: Watch, wait: float) -> None:
        self._clockwork.modify_job(watch.job, next_run_time=self._from_now(wait))

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


@asynccontextmanager
async def _held(locks: Iterable[asyncio.Lock]) -> AsyncIterator[None]:
    """Take locks one after the other, and give all of them back."""
    async with AsyncExitStack() as held:
        for lock in locks:
            await held.enter_async_context(lock)
        yield


def by_subject(targets: Iterable[Target]) -> Mapping[Target, dict[Key, Target]]:
    """Gather targets by what is probed: each under one without all that makes no difference.

    That is what is only a name, the recipe's port (the target's counts), and what is only for TLS where none is spoken.
    """
    nameless: dict[int, Recipe] = {}
    subjects: dict[Target, dict[Key, Target]] = {}
    for target in targets:
        if (recipe := nameless.get(id(target.recipe))) is None:
            recipe = nameless[id(target.recipe)] = replace(target.recipe, name="", port=0)
        subject = replace(target, pool="", member="", recipe=recipe)
        if not recipe.speaks_tls:
            subject = replace(subject, host="", tlsa=None)
        subjects.setdefault(subject, {})[target.pool, target.member] = target
    return subjects


def jittered(seconds: float) -> float:
    """Return `seconds` varied by up to 5 % either way."""
    return seconds * drawn(1 - JITTER, 1 + JITTER)


def drawn(low: float, high: float) -> float:
    """Return a random number between the two."""
    return random.uniform(low, high)  # noqa: S311 - spreads load; nothing depends on its being unpredictable
