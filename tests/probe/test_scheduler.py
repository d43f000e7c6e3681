"""When members are probed, how deep, and for whom: rhythm, sharing, reload, clock steps, stopping. Probes are fakes."""

import asyncio
import gc
import itertools
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from ipaddress import ip_address
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from dnslb.daemon.descriptors import for_probes
from dnslb.pool.health import Aspect, NextProbe, ProbeResult, Verdict
from dnslb.probe.cadence import LATE
from dnslb.probe.recipe import Kind, Recipe, StartTls, Target
from dnslb.probe.scheduler import AdaptiveTrigger, Scheduler, Watch
from dnslb.probe.transcript import Report
from dnslb.probe.verdict import EFFECTS

FAST = 0.06
"""An interval for tests of the rhythm."""

NEVER = 3600.0
"""An interval that no test lives to see."""


SESSION = frozenset({Aspect.SESSION})
DEEP = frozenset({Aspect.SESSION, Aspect.TLS, Aspect.CERTIFICATE, Aspect.RECIPIENT})
"""What a first probe of a target here examines."""


def target(member: str = "mx1", *, interval: float = FAST, pool: str = "in", address: str = "") -> Target:
    """Build a member with an interval, and an address of its own if none is given; nothing else matters here."""
    recipe = Recipe(
        pool, Kind.SMTP, 25, interval, 10.0, 2, 3, "probe.example", starttls=StartTls.REQUIRE, rcpt_to="a@example.org"
    )
    own = ip_address("10.0.0.0") + crc32(f"{pool}/{member}".encode()) % 2**24
    return Target(pool, member, (ip_address(address) if address else own,), 25, recipe)


def rival(member: str, address: str) -> Target:
    """Build a member that no other one shares its conversation with, though it may share the address."""
    return replace(target(member, interval=NEVER, address=address), host=f"{member}.example")


def shared() -> list[Target]:
    """Build a server that is a member of two pools."""
    return [target(pool="in", interval=NEVER), replace(target(pool="in", interval=NEVER), pool="out")]


class Probes:
    """Fake probes, and what became of them.

    `gate` holds probes open while it is clear, `stalling` those of some members for ever. `failing` is raised instead
    of a result. `reach` is what a conversation gets to see at most. `wishes` are the aspects that health asks for.
    """

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.stalling: set[str] = set()
        self.failing: Exception | None = None
        self.reach = frozenset(Aspect)
        self.wishes: frozenset[Aspect] = frozenset()
        self.begun: list[tuple[str, float]] = []
        self.depths: list[frozenset[Aspect]] = []
        self.ended: list[str] = []
        self.results: list[tuple[str, ProbeResult, float]] = []
        self.readers: list[tuple[str, Report]] = []
        self.delay: Callable[[Target], float] = lambda target: target.recipe.interval
        self.active: Counter[str] = Counter()
        self.most_of_one = 0
        self.most_of_all = 0

    async def run(self, target: Target, aspects: frozenset[Aspect]) -> Report:
        """Stand in for the probe."""
        self.depths.append(aspects)
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
            return well(aspects & self.reach)
        finally:
            self.active[target.member] -= 1
            self.ended.append(target.member)

    def take(self, target: Target, report: Report, lag: float) -> NextProbe:
        """Stand in for the health machine."""
        self.results.append((target.member, report.result, lag))
        self.readers.append((target.pool, report))
        return NextProbe(self.delay(target), self.wishes)

    def count(self, member: str = "mx1") -> int:
        """Count the results of one member."""
        return sum(name == member for name, _, _ in self.results)


def well(examined: frozenset[Aspect] = SESSION) -> Report:
    """Report that all is well."""
    return Report(ProbeResult(Verdict.OK, "", EFFECTS[Verdict.OK], 1.0, 0.001, time.time(), examined=examined))


def soon(*_: object) -> NextProbe:
    """Ask for another probe in a second."""
    return NextProbe(1.0)


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
    scheduler = Scheduler(soon, concurrency=1)
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

    async def stubborn(it: Target, aspects: frozenset[Aspect]) -> Report:
        try:
            return await probes.run(it, aspects)
        except asyncio.CancelledError:
            return well()

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


async def test_a_reload_that_renames_a_probe_changes_nothing(begin: Begin, probes: Probes) -> None:
    """The recipe's name is no part of what is probed: the conversation under way goes on."""
    it = target(interval=NEVER)
    probes.gate.clear()
    scheduler = await begin(it)
    round_ = asyncio.create_task(scheduler.first_round(10, [it]))
    await until(lambda: bool(probes.begun))
    await scheduler.replace([replace(it, recipe=replace(it.recipe, name="other"))])
    assert probes.ended == []
    probes.gate.set()
    assert await round_ == {("in", "mx1")}


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


async def test_a_first_probe_goes_to_the_full_depth(begin: Begin, probes: Probes) -> None:
    """The first round examines all that a recipe speaks of; what comes after it within seconds, the session only."""
    delays = iter([0.01])
    probes.delay = lambda _: next(delays, NEVER)
    it = target(interval=NEVER)
    scheduler = await begin(it)
    await scheduler.first_round(10, [it])
    await until(lambda: probes.count() == 2)
    assert probes.depths == [DEEP, SESSION]


async def test_of_thousands_some_go_deep_at_once(begin: Begin, probes: Probes) -> None:
    """A first round of very many members learns who answers at all, and leaves most of the costly rest for later."""
    many = [
        target(f"mx{number}", address=str(ip_address("10.1.0.0") + number), interval=NEVER) for number in range(1500)
    ]
    scheduler = await begin(*many)
    assert len(await scheduler.first_round(60, many)) == len(many)
    assert set(probes.depths) == {DEEP, SESSION}
    report = await scheduler.probe_now(("in", "mx1499"))
    assert report.result.examined == DEEP


async def test_a_first_round_goes_deep_however_slowly_it_begins(begin: Begin, probes: Probes) -> None:
    """That making so many tasks takes a while is no sign that this process has too much to do."""
    times = itertools.count(time.time(), 0.3)
    it = target(interval=NEVER)
    scheduler = await begin(it, wall=lambda: next(times))
    await scheduler.first_round(10, [it])
    assert probes.depths == [DEEP]
    assert probes.results[0][2] >= 0.3


async def test_who_had_to_wait_its_turn_is_asked_for_the_session_only(begin: Begin, probes: Probes) -> None:
    """When there is more to do than can be done, probes go no deeper than they must."""
    probes.gate.clear()
    await begin(target("mx1"), target("mx2"), concurrency=1)
    await until(lambda: len(probes.begun) == 1)
    await asyncio.sleep(FAST + 2 * LATE)
    probes.gate.set()
    await until(lambda: len({name for name, _ in probes.begun}) == 2)
    first = {name: depth for (name, _), depth in zip(reversed(probes.begun), reversed(probes.depths), strict=True)}
    assert first[probes.begun[0][0]] == DEEP
    assert sorted(map(len, first.values())) == [len(SESSION), len(DEEP)]


async def test_what_health_asks_for_is_examined(begin: Begin, probes: Probes) -> None:
    """The next probe goes as deep as the answer to the last one says."""
    delays = iter([0.01])
    probes.delay = lambda _: next(delays, NEVER)
    probes.wishes = frozenset({Aspect.RECIPIENT})
    it = target(interval=NEVER)
    scheduler = await begin(it)
    await scheduler.first_round(10, [it])
    await until(lambda: probes.count() == 2)
    assert probes.depths == [DEEP, SESSION | {Aspect.RECIPIENT}]


async def test_what_was_not_reached_is_tried_again(begin: Begin, probes: Probes) -> None:
    """A conversation that ends before its depth leaves that due for the regular ones that follow it."""
    delays = iter([0.01, FAST])
    probes.delay = lambda _: next(delays, FAST)
    probes.reach = SESSION
    it = target(interval=FAST)
    scheduler = await begin(it)
    await scheduler.first_round(10, [it])
    await until(lambda: probes.depths.count(DEEP) == 3)


async def test_members_that_share_all_share_one_conversation(begin: Begin, probes: Probes) -> None:
    """One server in two pools is probed once, and each pool gets the report."""
    both = shared()
    scheduler = await begin(*both)
    assert await scheduler.first_round(10, both) == {("in", "mx1"), ("out", "mx1")}
    assert len(probes.begun) == 1
    (first, report), (second, same) = probes.readers
    assert (first, second) == ("in", "out")
    assert report is same


def plain(member: str, host: str = "") -> Target:
    """Build a member on one server for all, that is probed without TLS and is called `host`."""
    it = target(member, interval=NEVER, address="10.0.0.1")
    return replace(it, recipe=replace(it.recipe, starttls=StartTls.OFF), host=host)


async def test_without_tls_the_name_makes_no_difference(begin: Begin, probes: Probes) -> None:
    """Neither it nor its TLSA records nor the recipe's own port are of any use there."""
    ours = replace(plain("mx1", "a.example"), tlsa=())
    others = replace(plain("mx2", "b.example"), recipe=replace(ours.recipe, port=2525))
    scheduler = await begin(ours, others)
    assert await scheduler.first_round(10, [ours, others]) == {("in", "mx1"), ("in", "mx2")}
    assert len(probes.begun) == 1


async def test_with_tls_the_name_makes_a_difference(begin: Begin, probes: Probes) -> None:
    """Each host has its certificate, and each is looked at."""
    both = [rival("mx1", "10.0.0.1"), rival("mx2", "10.0.0.1")]
    scheduler = await begin(*both)
    await scheduler.first_round(10, both)
    assert len(probes.begun) == 2


async def test_the_most_impatient_reader_and_all_wishes_count(probes: Probes) -> None:
    """Of what several readers ask for, the least delay and the union of the aspects come next."""
    asked = {"in": NextProbe(0.01, frozenset({Aspect.TLS})), "out": NextProbe(NEVER, frozenset({Aspect.RECIPIENT}))}
    rest = {"in": NextProbe(NEVER), "out": NextProbe(NEVER)}

    def take(it: Target, report: Report, lag: float) -> NextProbe:
        probes.take(it, report, lag)
        return (asked if len(probes.readers) <= len(asked) else rest)[it.pool]

    scheduler = Scheduler(take, concurrency=2, run_probe=probes.run)
    await scheduler.start(shared())
    await scheduler.first_round(10, shared())
    await until(lambda: len(probes.readers) == 4)
    await scheduler.stop()
    assert probes.depths == [DEEP, SESSION | {Aspect.TLS, Aspect.RECIPIENT}]


async def test_a_reader_that_leaves_disturbs_nobody(begin: Begin, probes: Probes) -> None:
    """The conversation under way goes on for those that stay, and who has left is told nothing."""
    stays, goes = shared()
    probes.gate.clear()
    scheduler = await begin(goes, stays)
    round_ = asyncio.create_task(scheduler.first_round(10, [stays]))
    await until(lambda: bool(probes.begun))
    await scheduler.replace([stays])
    assert probes.ended == []
    probes.gate.set()
    assert await round_ == {("in", "mx1")}
    assert [pool for pool, _ in probes.readers] == ["in"]


async def test_a_reader_that_comes_hears_of_all_aspects_soon(begin: Begin, probes: Probes) -> None:
    """Where a conversation exists already, a new member does not wait for its next turn, nor for its next deep one."""
    there, comes = shared()
    scheduler = await begin(there)
    await scheduler.first_round(10, [there])
    await scheduler.replace([there, comes])
    await until(lambda: len(probes.readers) == 3)
    assert [pool for pool, _ in probes.readers] == ["in", "in", "out"]
    assert probes.depths == [DEEP, DEEP]


async def test_a_changed_reader_leaves_the_others_their_conversation(begin: Begin, probes: Probes) -> None:
    """A member that moves to another server is probed there, and the report of its old one goes to the others only."""
    stays, moves = shared()
    probes.gate.clear()
    scheduler = await begin(stays, moves)
    round_ = asyncio.create_task(scheduler.first_round(10, [stays]))
    await until(lambda: len(probes.begun) == 1)
    await scheduler.replace([stays, replace(moves, port=2525)])
    probes.gate.set()
    await round_
    await until(lambda: len(probes.readers) == 2)
    assert [pool for pool, _ in probes.readers] == ["in", "out"]
    assert len(probes.begun) == 2


async def test_never_two_conversations_with_an_address(begin: Begin, probes: Probes) -> None:
    """Members with one address and different recipes are talked to in turns, and each gets its turn."""
    rivals = [target(name, pool=pool, address="10.0.0.1") for pool, name in (("in", "mx1"), ("out", "mx2"))]
    rivals += [replace(target("mx3"), addresses=(ip_address("10.0.0.9"), ip_address("10.0.0.1")), host="mx3.example")]
    scheduler = await begin(*rivals)
    await scheduler.first_round(10, rivals)
    await until(lambda: all(probes.count(it.member) >= 3 for it in rivals))
    assert probes.most_of_all == 1


async def test_who_waits_for_an_address_takes_no_place(begin: Begin, probes: Probes) -> None:
    """One that waits until its address is free leaves its place among the conversations to others."""
    holder, waits = target("holder", address="10.0.0.1", interval=NEVER), rival("waits", "10.0.0.1")
    free = target("free", interval=NEVER)
    probes.stalling = {"holder"}
    scheduler = await begin(holder, waits, free, concurrency=2)
    waiting = asyncio.create_task(scheduler.first_round(NEVER, [holder, waits, free]))
    await until(lambda: probes.count("free") == 1)
    assert [name for name, _ in probes.begun] == ["holder", "free"]
    waiting.cancel()


async def test_waiting_for_addresses_ends(begin: Begin, probes: Probes) -> None:
    """Members that have two addresses in common, in different order, do not wait for each other for ever."""
    one, other = ip_address("10.0.0.1"), ip_address("10.0.0.2")
    holders = [target("a", address=str(one), interval=NEVER), target("b", address=str(other), interval=NEVER)]
    crossed = [replace(rival("c", ""), addresses=(one, other)), replace(rival("d", ""), addresses=(other, one))]
    probes.gate.clear()
    scheduler = await begin(*holders, *crossed)
    round_ = asyncio.create_task(scheduler.first_round(NEVER, [*holders, *crossed]))
    await until(lambda: len(probes.begun) == 2)
    probes.gate.set()
    assert len(await round_) == 4


async def test_removing_one_that_waits_frees_nothing_that_is_taken(begin: Begin, probes: Probes) -> None:
    """When a member is removed while it waits for an address, those before and behind it still take turns."""
    before, waits, behind = (rival(name, "10.0.0.1") for name in ("before", "waits", "behind"))
    probes.gate.clear()
    scheduler = await begin(before, waits, behind)
    round_ = asyncio.create_task(scheduler.first_round(NEVER, [before, waits, behind]))
    await until(lambda: len(probes.begun) == 1)
    await asyncio.sleep(0)
    await scheduler.replace([before, behind])
    probes.gate.set()
    assert await round_ == {("in", "before"), ("in", "behind")}
    assert probes.most_of_all == 1


async def test_locks_go_with_those_that_need_them(begin: Begin) -> None:
    """However many addresses come and go in reloads, nothing is kept for those that have gone."""
    scheduler = await begin(*(rival(f"mx{number}", f"10.0.1.{number}") for number in range(10)))
    await scheduler.replace([rival("mx1", "10.0.1.1")])
    gc.collect()
    assert len(scheduler._locks) == 1  # noqa: SLF001 - the memory is what is tested


async def test_probing_now_examines_all_and_tells_everybody(begin: Begin, probes: Probes) -> None:
    """A probe that somebody asks for is a whole one; its report is returned and goes to all readers as any other."""
    scheduler = await begin(*shared())
    await scheduler.first_round(10, shared())
    report = await scheduler.probe_now(("out", "mx1"))
    assert probes.depths == [DEEP, DEEP]
    assert [it is report for _, it in probes.readers] == [False, False, True, True]


async def test_probing_now_waits_for_the_conversation_under_way(begin: Begin, probes: Probes) -> None:
    """There is no second conversation at the same time, and the report is that of a new one."""
    it = target(interval=NEVER)
    probes.gate.clear()
    scheduler = await begin(it)
    round_ = asyncio.create_task(scheduler.first_round(10, [it]))
    await until(lambda: bool(probes.begun))
    asked = asyncio.create_task(scheduler.probe_now(("in", "mx1")))
    await asyncio.sleep(0)
    assert len(probes.begun) == 1
    probes.gate.set()
    await round_
    assert await asked is probes.readers[1][1]
    assert probes.most_of_one == 1


async def test_probing_now_goes_on_when_who_asked_has_gone(begin: Begin, probes: Probes) -> None:
    """A probe that was asked for is reported though nobody waits for it any more."""
    scheduler = await begin(target(interval=NEVER))
    probes.gate.clear()
    asked = asyncio.create_task(scheduler.probe_now(("in", "mx1")))
    await until(lambda: bool(probes.begun))
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    probes.gate.set()
    await until(lambda: probes.count() == 1)


async def test_probing_a_stranger_now(begin: Begin) -> None:
    """Who is not probed at all has no report."""
    scheduler = await begin(target(interval=NEVER))
    with pytest.raises(KeyError):
        await scheduler.probe_now(("in", "mx2"))


async def test_probing_a_member_now_that_never_answers_in_time(probes: Probes) -> None:
    """Where each conversation outlasts the interval, the very next one is the whole one that was asked for."""
    reports: list[Report] = []

    async def outlasting(_: Target, aspects: frozenset[Aspect]) -> Report:
        probes.depths.append(aspects)
        await asyncio.sleep(2 * FAST)
        return well(aspects)

    def take(it: Target, report: Report, _lag: float) -> NextProbe:
        reports.append(report)
        return NextProbe(it.recipe.interval)

    scheduler = Scheduler(take, concurrency=1, run_probe=outlasting)
    await scheduler.start([target()])
    await until(lambda: len(probes.depths) == 3)
    asked = await scheduler.probe_now(("in", "mx1"))
    await scheduler.stop()
    assert asked is reports[3]
    assert probes.depths[3] == DEEP


async def test_who_asks_for_the_same_probe_shares_it(begin: Begin, probes: Probes) -> None:
    """All who ask during a conversation get the next one's report, and so do those who ask until that begins."""
    here, there = rival("here", "10.0.0.1"), rival("there", "10.0.0.1")
    probes.gate.clear()
    scheduler = await begin(here, there)
    round_ = asyncio.create_task(scheduler.first_round(NEVER, [here]))
    await until(lambda: bool(probes.begun))
    asked = [asyncio.create_task(scheduler.probe_now(("in", name))) for name in ("here", "here", "there", "there")]
    await asyncio.sleep(0)
    asked.pop(0).cancel()
    probes.gate.set()
    await round_
    one, other, same = await asyncio.gather(*asked)
    assert other is same is not one
    assert Counter(name for name, _ in probes.begun) == {"here": 2, "there": 1}


@pytest.mark.parametrize("ends", [lambda it: it.replace([]), lambda it: it.stop()], ids=["reload", "stop"])
async def test_probing_one_now_that_goes(
    begin: Begin, probes: Probes, ends: Callable[[Scheduler], Awaitable[None]]
) -> None:
    """Who asked is told that there is no such member any more, whether its probe had begun or waited for another."""
    probes.gate.clear()
    scheduler = await begin(target(interval=NEVER))
    first = asyncio.create_task(scheduler.probe_now(("in", "mx1")))
    await until(lambda: bool(probes.begun))
    second = asyncio.create_task(scheduler.probe_now(("in", "mx1")))
    await asyncio.sleep(0)
    await ends(scheduler)
    for asked in (first, second):
        with pytest.raises(KeyError):
            await asked
    assert len(probes.begun) == 1


async def test_probing_one_now_that_a_reload_takes_from_others(begin: Begin, probes: Probes) -> None:
    """The conversation goes on for those that stay; its report is none of one that has gone."""
    stays, goes = shared()
    probes.gate.clear()
    scheduler = await begin(stays, goes)
    asked = [asyncio.create_task(scheduler.probe_now((pool, "mx1"))) for pool in ("in", "out")]
    await until(lambda: bool(probes.begun))
    await scheduler.replace([stays])
    probes.gate.set()
    assert await asked[0] is probes.readers[0][1]
    with pytest.raises(KeyError):
        await asked[1]


async def test_after_a_probe_out_of_turn_the_delay_counts_from_it(begin: Begin, probes: Probes) -> None:
    """A member that was to be asked after a long time only, and is found well out of turn, has its rhythm again."""
    delays = iter([NEVER])
    probes.delay = lambda it: next(delays, it.recipe.interval)
    scheduler = await begin(target())
    await until(lambda: probes.count() == 1)
    await scheduler.probe_now(("in", "mx1"))
    await until(lambda: probes.count() == 4)


async def test_others_can_be_asked_out_of_turn(begin: Begin, probes: Probes) -> None:
    """A member that was not due for long is probed at once, to the depth that is asked for, and only once."""
    both = [target("mx1", interval=NEVER), target("mx2", interval=NEVER)]
    scheduler = await begin(*both)
    await scheduler.first_round(10, both)
    scheduler.ask([("in", "mx2"), ("in", "stranger")], frozenset({Aspect.RECIPIENT}))
    await until(lambda: probes.count("mx2") == 2)
    assert probes.depths[2:] == [SESSION | {Aspect.RECIPIENT}]
    scheduler.ask([("in", "mx2")], SESSION)
    await until(lambda: probes.count("mx2") == 3)
    assert probes.depths[3:] == [SESSION]
    assert probes.count("mx1") == 1


async def test_who_is_asked_during_a_conversation_is_probed_after_it(begin: Begin, probes: Probes) -> None:
    """What is asked for then is not lost with the conversation under way, and does not begin a second one."""
    it = target(interval=NEVER)
    probes.gate.clear()
    scheduler = await begin(it)
    round_ = asyncio.create_task(scheduler.first_round(10, [it]))
    await until(lambda: bool(probes.begun))
    scheduler.ask([("in", "mx1")], frozenset({Aspect.TLS}))
    probes.gate.set()
    await round_
    await until(lambda: probes.count() == 2)
    assert probes.depths == [DEEP, SESSION | {Aspect.TLS}]
    assert probes.most_of_one == 1


async def test_who_takes_a_result_can_ask_for_more(probes: Probes) -> None:
    """Of others that share the address, and of itself: one more probe each, without what no recipe speaks of."""
    here, there = rival("here", "10.0.0.1"), rival("there", "10.0.0.1")

    def take(it: Target, report: Report, lag: float) -> NextProbe:
        if not probes.results:
            scheduler.ask([("in", "here"), ("in", "there")], frozenset({Aspect.RECIPIENT, Aspect.AUTH}))
        return probes.take(it, report, lag)

    scheduler = Scheduler(take, concurrency=2, run_probe=probes.run)
    await scheduler.start([here, there])
    await scheduler.first_round(10, [here])
    await until(lambda: len(probes.results) == 3)
    await asyncio.sleep(0)
    await scheduler.stop()
    assert {name: depth for (name, _), depth in zip(probes.begun, probes.depths, strict=True)} == {
        "here": SESSION | {Aspect.RECIPIENT},
        "there": DEEP,
    }
    assert probes.most_of_all == 1


async def test_alone_with_an_address(begin: Begin, probes: Probes) -> None:
    """While somebody is alone with a member's addresses no conversation goes there, and others are not held up."""
    here, there = rival("here", "10.0.0.1"), rival("there", "10.0.0.2")
    scheduler = await begin(here, there)
    async with scheduler.alone(here):
        round_ = asyncio.create_task(scheduler.first_round(NEVER, [here, there]))
        await until(lambda: probes.count("there") == 1)
        assert [name for name, _ in probes.begun] == ["there"]
    assert await round_ == {("in", "here"), ("in", "there")}


async def test_who_wants_to_be_alone_waits(begin: Begin, probes: Probes) -> None:
    """A conversation with one of the addresses ends first; that of a target that is not probed itself too."""
    one, other = ip_address("10.0.0.1"), ip_address("10.0.0.2")
    probes.gate.clear()
    scheduler = await begin(rival("here", str(one)))
    round_ = asyncio.create_task(scheduler.first_round(NEVER, [rival("here", str(one))]))
    await until(lambda: bool(probes.begun))

    async def look() -> list[str]:
        async with scheduler.alone(replace(rival("stranger", ""), addresses=(other, one))):
            return list(probes.ended)

    looking = asyncio.create_task(look())
    await asyncio.sleep(0)
    probes.gate.set()
    assert await looking == ["here"]
    await round_


async def test_a_conversation_that_outlasts_its_interval_is_followed_at_once(
    begin: Begin, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was due meanwhile comes right after it: the beat that follows the missed one is too far off to be seen."""
    missed = asyncio.Event()

    def beat(_: float) -> float:
        if probes.gate.is_set() or not probes.begun:
            return FAST
        missed.set()
        return NEVER

    monkeypatch.setattr("dnslb.probe.scheduler.jittered", beat)
    probes.gate.clear()
    await begin(target())
    await missed.wait()
    await asyncio.sleep(FAST)  # the library starts what is due some turns of the loop after asking for the next
    assert len(probes.begun) == 1
    probes.gate.set()
    await until(lambda: probes.count() == 2)


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
    await Scheduler(soon, concurrency=1).stop()


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


def watch(interval: float) -> Watch:
    """Build the place in the schedule of one member."""
    it = target(interval=interval)
    return Watch({(it.pool, it.member): it}, (), "job")


@given(
    st.floats(min_value=0.1, max_value=86400),
    st.one_of(st.none(), st.floats(min_value=0, max_value=10 * 365 * 86400)),
)
def test_the_trigger_looks_at_one_interval_only(interval: float, late: float | None) -> None:
    """However late it is asked, the next time is ahead of now and at most an interval and its jitter away."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    previous = None if late is None else now - timedelta(seconds=late)
    trigger = AdaptiveTrigger(watch(interval))
    wait = (trigger.get_next_fire_time(previous, now) - now).total_seconds()
    assert 0.05 <= wait <= max(0.05, interval * 1.05 + 1e-5)


@given(st.floats(min_value=1, max_value=86400), st.floats(min_value=0, max_value=0.5))
def test_the_trigger_keeps_the_rhythm(interval: float, late: float) -> None:
    """The next time counts from the last one and not from the moment of asking, varied by 5 % either way."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    previous = now - timedelta(seconds=late * interval)
    trigger = AdaptiveTrigger(watch(interval))
    step = (trigger.get_next_fire_time(previous, now) - previous).total_seconds()
    assert 0.95 * interval - 1e-5 <= step <= 1.05 * interval + 1e-5


def test_the_jitter_draws() -> None:
    """Two members with the same interval drift apart."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    trigger = AdaptiveTrigger(watch(FAST))
    assert len({trigger.get_next_fire_time(None, now) for _ in range(20)}) > 1
