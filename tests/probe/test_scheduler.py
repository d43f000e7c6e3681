"""When members are probed: rhythm, confirmation, reload, first round, clock steps, stopping. The probes are fakes."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta, tzinfo
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from dnslb.daemon.descriptors import for_probes
from dnslb.pool.health import ProbeResult, Verdict
from dnslb.probe.recipe import Kind, Recipe, Target
from dnslb.probe.scheduler import AdaptiveTrigger, Scheduler, Watch
from dnslb.probe.verdict import EFFECTS

FAST = 0.06
"""An interval for tests of the rhythm."""

NEVER = 3600.0
"""An interval that no test lives to see."""


def target(member: str = "mx1", *, interval: float = FAST, pool: str = "in") -> Target:
    """Build a member with an interval; nothing else of it matters here."""
    recipe = Recipe("inbound", Kind.SMTP, 25, interval, 10.0, 2, 3, "probe.example")
    return Target(pool, member, (ip_address("127.0.0.1"),), 25, recipe)


class Probes:
    """Fake probes, and what became of them.

    `gate` holds probes open while it is clear, `stalling` those of some members for ever. `failing` is raised instead
    of a result.
    """

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.stalling: set[str] = set()
        self.failing: Exception | None = None
        self.begun: list[tuple[str, float]] = []
        self.ended: list[str] = []
        self.results: list[tuple[str, ProbeResult, float]] = []
        self.delay: Callable[[Target], float] = lambda target: target.recipe.interval
        self.active: Counter[str] = Counter()
        self.most_of_one = 0
        self.most_of_all = 0

    async def run(self, target: Target) -> ProbeResult:
        """Stand in for the probe."""
        self.begun.append((target.member, time.monotonic()))
        self.active[target.member] += 1
        self.most_of_one = max(self.most_of_one, self.active[target.member])
        self.most_of_all = max(self.most_of_all, self.active.total())
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            if target.member in self.stalling:
                await asyncio.Event().wait()
            if self.failing is not None:
                raise self.failing
            return ProbeResult(Verdict.OK, "", EFFECTS[Verdict.OK], 1.0, 0.001, time.time())
        finally:
            self.active[target.member] -= 1
            self.ended.append(target.member)

    def take(self, target: Target, result: ProbeResult, lag: float) -> float:
        """Stand in for the health machine."""
        self.results.append((target.member, result, lag))
        return self.delay(target)

    def count(self, member: str = "mx1") -> int:
        """Count the results of one member."""
        return sum(name == member for name, _, _ in self.results)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; the test's own limit is the only one."""
    while not condition():  # noqa: ASYNC110 - the condition belongs to what is tested, which signals nobody
        await asyncio.sleep(0.001)


@pytest.fixture
def probes() -> Probes:
    """Fake probes that all succeed."""
    return Probes()


Begin = Callable[..., Awaitable[Scheduler]]


@pytest.fixture
async def begin(probes: Probes) -> AsyncIterator[Begin]:
    """Start schedulers that stop with the test."""
    async with AsyncExitStack() as stack:

        async def start(*targets: Target, concurrency: int = 256, wall: Callable[[], float] = time.time) -> Scheduler:
            it = Scheduler(probes.take, concurrency=concurrency, run_probe=probes.run, wall=wall)
            stack.push_async_callback(it.stop)
            await it.start(targets)
            return it

        yield start


async def test_each_member_is_probed_again_and_again(begin: Begin, probes: Probes) -> None:
    """Every target goes on being probed in its interval, and the lag of a start is told and not negative."""
    await begin(target("mx1"), target("mx2"), target("mx3"))
    await until(lambda: all(probes.count(name) >= 3 for name in ("mx1", "mx2", "mx3")))
    assert all(lag >= 0 for _, _, lag in probes.results)


async def test_a_confirming_probe_comes_after_the_delay_asked_for(begin: Begin, probes: Probes) -> None:
    """A delay shorter than the interval is what comes next; after it the interval counts again."""
    delays = iter([0.05, 0.1])
    probes.delay = lambda _: next(delays, NEVER)
    scheduler = await begin(target(interval=NEVER))
    await scheduler.first_round(10, [target(interval=NEVER)])
    await until(lambda: len(probes.results) == 3)
    first, second, third = (at for _, at in probes.begun)
    assert second - first > 0.04
    assert third - second > 0.09


async def test_a_delay_that_has_passed_means_now(begin: Begin, probes: Probes) -> None:
    """A conversation that lasts longer than the delay until the next is followed by the next, and not skipped."""
    delays = iter([0.01, 0.01, 0.01])
    probes.delay = lambda _: next(delays, NEVER)
    probes.gate.clear()
    scheduler = await begin(target(interval=NEVER))
    waiting = asyncio.create_task(scheduler.first_round(10, [target(interval=NEVER)]))
    await until(lambda: bool(probes.begun))
    await asyncio.sleep(0.02)
    probes.gate.set()
    await waiting
    await until(lambda: len(probes.results) == 4)


async def test_members_that_stall_keep_no_other_waiting(begin: Begin, probes: Probes) -> None:
    """Within the default limit of a shell, three hundred that never answer leave the good one its rhythm."""
    stalled = [target(f"mx{number}", pool="sick", interval=NEVER) for number in range(300)]
    probes.stalling = {it.member for it in stalled}
    good = target("good")
    scheduler = await begin(*stalled, good, concurrency=for_probes(1024))
    waiting = asyncio.create_task(scheduler.first_round(NEVER, [*stalled, good]))
    await until(lambda: probes.count("good") >= 5)
    assert probes.active.total() >= len(stalled)
    waiting.cancel()


async def test_a_long_delay_is_kept(begin: Begin, probes: Probes) -> None:
    """A delay longer than the interval postpones the next probe."""
    probes.delay = lambda it: NEVER if it.member == "mx1" else it.recipe.interval
    await begin(target("mx1"), target("mx2"))
    await until(lambda: probes.count("mx1") == 1)
    seen = probes.count("mx2")
    await until(lambda: probes.count("mx2") >= seen + 5)
    assert probes.count("mx1") == 1


async def test_never_two_conversations_with_a_member(begin: Begin, probes: Probes) -> None:
    """A probe that outlasts the interval is left alone, and the rhythm goes on after it."""
    probes.gate.clear()
    await begin(target("mx1"), target("mx2", interval=FAST / 2))
    await until(lambda: len(probes.begun) == 2)
    await asyncio.sleep(FAST * 3)
    assert len(probes.begun) == 2
    probes.gate.set()
    await until(lambda: probes.count("mx1") >= 3 and probes.count("mx2") >= 3)
    assert probes.most_of_one == 1


async def test_the_first_round_probes_all_within_its_bounds(begin: Begin, probes: Probes) -> None:
    """All targets are probed at once and reported, with no more conversations at a time than allowed."""
    targets = [target(f"mx{number}", interval=NEVER) for number in range(20)]
    scheduler = await begin(*targets, concurrency=3)
    answered = await scheduler.first_round(30, targets)
    assert answered == {("in", it.member) for it in targets}
    assert sorted(name for name, _, _ in probes.results) == sorted(it.member for it in targets)
    assert probes.most_of_all == 3


async def test_the_first_round_ends_at_its_deadline(begin: Begin, probes: Probes) -> None:
    """Who has not answered by then is not in the result, goes on, and reports later."""
    slow = target(interval=NEVER)
    probes.gate.clear()
    scheduler = await begin(slow)
    assert await scheduler.first_round(0.05, [slow]) == set()
    assert probes.results == []
    probes.gate.set()
    await until(lambda: probes.count() == 1)


async def test_the_first_round_of_nobody() -> None:
    """A round of no targets, or of strangers, ends at once."""
    scheduler = Scheduler(lambda *_: 1.0, concurrency=1)
    assert await scheduler.first_round(10, []) == set()
    assert await scheduler.first_round(10, [target()]) == set()


async def test_the_rhythm_begins_after_the_first_round(begin: Begin, probes: Probes) -> None:
    """After the first round the members are probed in their intervals."""
    targets = [target("mx1"), target("mx2")]
    scheduler = await begin(*targets)
    await scheduler.first_round(10, targets)
    await until(lambda: probes.count("mx1") >= 3 and probes.count("mx2") >= 3)


async def test_a_reload_leaves_the_same_targets_alone(begin: Begin, probes: Probes) -> None:
    """A probe under way of a target that stays goes on and is reported; the new one is probed soon."""
    stays, comes = target("mx1", interval=NEVER), target("mx2", interval=NEVER)
    probes.gate.clear()
    scheduler = await begin(stays)
    round_ = asyncio.create_task(scheduler.first_round(10, [stays]))
    await until(lambda: len(probes.begun) == 1)
    await scheduler.replace([target("mx1", interval=NEVER), comes])
    assert probes.ended == []
    probes.gate.set()
    assert await round_ == {("in", "mx1")}
    await until(lambda: probes.count("mx2") == 1)
    assert probes.count("mx1") == 1


async def test_a_reload_ends_what_is_gone(begin: Begin, probes: Probes) -> None:
    """A removed target's probe has ended when the reload returns, is not reported, and none follows."""
    goes, stays = target("mx1"), target("mx2")
    probes.gate.clear()
    scheduler = await begin(goes, stays)
    await until(lambda: len(probes.begun) == 2)
    await scheduler.replace([stays])
    assert probes.ended == ["mx1"]
    probes.gate.set()
    await until(lambda: probes.count("mx2") >= 4)
    assert probes.count("mx1") == 0


async def test_a_result_that_comes_with_the_cancellation_is_not_reported(probes: Probes) -> None:
    """A probe of a removed target that still returns a result has nobody left to tell it to."""

    async def stubborn(it: Target) -> ProbeResult:
        try:
            return await probes.run(it)
        except asyncio.CancelledError:
            return ProbeResult(Verdict.OK, "", EFFECTS[Verdict.OK], 1.0, 0.001, time.time())

    scheduler = Scheduler(probes.take, concurrency=2, run_probe=stubborn)
    probes.gate.clear()
    await scheduler.start([target()])
    await until(lambda: bool(probes.begun))
    await scheduler.replace([])
    await scheduler.stop()
    assert probes.results == []


async def test_a_reload_begins_anew_with_changed_targets(begin: Begin, probes: Probes) -> None:
    """A target whose recipe changed is another one: it is probed soon, though the old one was not due for long."""
    scheduler = await begin(target(interval=NEVER))
    await scheduler.replace([target(interval=NEVER / 2)])
    await until(lambda: probes.count() == 1)


async def test_pools_may_have_members_of_the_same_name(begin: Begin, probes: Probes) -> None:
    """Members are told apart by pool and name."""
    both = [target(pool="in", interval=NEVER), target(pool="out", interval=NEVER)]
    scheduler = await begin(*both)
    assert await scheduler.first_round(10, both) == {("in", "mx1"), ("out", "mx1")}
    assert probes.count() == 2


async def test_a_bug_in_the_probe_is_no_information(begin: Begin, probes: Probes) -> None:
    """An unexpected exception is logged, reported as unknown, and does not end the schedule."""
    probes.failing = ZeroDivisionError("a bug")
    with capture_logs() as lines:
        await begin(target())
        await until(lambda: probes.count() >= 2)
    assert {result.verdict for _, result, _ in probes.results} == {Verdict.UNKNOWN}
    assert lines[0]["event"] == "probe_broken"
    assert (lines[0]["pool"], lines[0]["member"], lines[0]["exc_info"]) == ("in", "mx1", True)


async def test_a_bug_in_the_receiver_does_not_end_the_schedule(begin: Begin, probes: Probes) -> None:
    """When the result cannot be taken, this is logged and the member is probed again after its interval."""

    def broken(_: Target) -> float:
        raise ZeroDivisionError

    probes.delay = broken
    with capture_logs() as lines:
        await begin(target())
        await until(lambda: probes.count() >= 3)
    assert lines[0]["event"] == "probe_result_not_taken"


async def test_stopping_ends_all_probes(probes: Probes) -> None:
    """When stop returns, no conversation is open, none has been reported since, and no task is left."""
    probes.gate.clear()
    others = asyncio.all_tasks()
    scheduler = Scheduler(probes.take, concurrency=2, run_probe=probes.run)
    await scheduler.start([target("mx1"), target("mx2")])
    await until(lambda: len(probes.begun) == 2)
    await scheduler.stop()
    assert sorted(probes.ended) == ["mx1", "mx2"]
    assert probes.results == []
    assert asyncio.all_tasks() == others


async def test_stopping_what_never_started() -> None:
    """A scheduler that was not started can be stopped."""
    await Scheduler(lambda *_: 1.0, concurrency=1).stop()


async def test_the_library_writes_no_lines(begin: Begin, probes: Probes, caplog: pytest.LogCaptureFixture) -> None:
    """Neither runs, nor skipped runs, nor stopping are lines in the log."""
    caplog.set_level(logging.DEBUG)
    scheduler = await begin(target())
    await until(lambda: probes.count() >= 3)
    probes.gate.clear()
    await asyncio.sleep(FAST * 3)
    await scheduler.stop()
    assert [record for record in caplog.records if record.name.startswith("apscheduler")] == []


async def test_a_stalled_loop_skips_no_probe(begin: Begin, probes: Probes) -> None:
    """A probe that became due while the process was busy for over a second is held late, and its lag is told."""
    delays = iter([0.01])
    probes.delay = lambda _: next(delays, NEVER)
    scheduler = await begin(target(interval=NEVER))
    await scheduler.first_round(10, [target(interval=NEVER)])
    time.sleep(1.1)  # noqa: ASYNC251 - the stall is what is tested; the library forgives a second without our setting
    await until(lambda: probes.count() == 2)
    assert probes.results[1][2] > 1.0


class Clock:
    """A wall clock that can be set, for us and for the library."""

    def __init__(self) -> None:
        self.offset = 0.0

    def time(self) -> float:
        """Return Unix time."""
        return time.time() + self.offset


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let the library read a clock that can be set, and the guard look at it often."""
    it = Clock()

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # the library compares only
            return datetime.fromtimestamp(it.time(), tz)

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Shifted)
    monkeypatch.setattr("dnslb.probe.scheduler.GUARD_PERIOD", 0.01)
    return it


@pytest.mark.parametrize("step", [-86400.0, 86400.0])
async def test_a_clock_step_does_not_disturb_the_rhythm(
    begin: Begin, probes: Probes, clock: Clock, step: float
) -> None:
    """Set back by a day or forward by one, the clock does not stop the probes, and the step is logged once."""
    with capture_logs() as lines:
        await begin(target("mx1"), target("mx2"), wall=clock.time)
        await until(lambda: min(probes.count("mx1"), probes.count("mx2")) >= 1)
        clock.offset = step
        seen = len(probes.results)
        await until(lambda: len(probes.results) >= seen + 10)
    assert [line["event"] for line in lines] == ["clock_stepped"]
    assert lines[0]["seconds"] == pytest.approx(step, abs=1.0)
    assert probes.most_of_one == 1


@given(
    st.floats(min_value=0.1, max_value=86400),
    st.one_of(st.none(), st.floats(min_value=0, max_value=10 * 365 * 86400)),
)
def test_the_trigger_looks_at_one_interval_only(interval: float, late: float | None) -> None:
    """However late it is asked, the next time is ahead of now and at most an interval and its jitter away."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    previous = None if late is None else now - timedelta(seconds=late)
    trigger = AdaptiveTrigger(Watch(target(interval=interval), interval))
    wait = (trigger.get_next_fire_time(previous, now) - now).total_seconds()
    assert 0.05 <= wait <= max(0.05, interval * 1.05 + 1e-5)


@given(st.floats(min_value=1, max_value=86400), st.floats(min_value=0, max_value=0.5))
def test_the_trigger_keeps_the_rhythm(interval: float, late: float) -> None:
    """The next time counts from the last one and not from the moment of asking, varied by 5 % either way."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    previous = now - timedelta(seconds=late * interval)
    trigger = AdaptiveTrigger(Watch(target(interval=interval), interval))
    step = (trigger.get_next_fire_time(previous, now) - previous).total_seconds()
    assert 0.95 * interval - 1e-5 <= step <= 1.05 * interval + 1e-5


def test_the_jitter_draws() -> None:
    """Two members with the same interval drift apart."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    trigger = AdaptiveTrigger(Watch(target(), FAST))
    assert len({trigger.get_next_fire_time(None, now) for _ in range(20)}) > 1
