"""What an operator's word does, where its order with others and with the store matters."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dnslb.answer.compiler import Pools
from dnslb.answer.world import World
from dnslb.control.protocol import Refused
from dnslb.daemon import operations
from dnslb.daemon.explanation import Found, Question
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.planned import Planned, Step
from dnslb.pool.window import Span
from dnslb.store.thread import Thread
from tests.daemon.stage import POOL, Stage


@pytest.fixture
async def stage() -> Stage:
    """Give operations on a pool that is published."""
    return await Stage().open()


async def test_words_at_the_same_time_do_not_undo_each_other(stage: Stage) -> None:
    """A drain and a weight for the same member, each confirmed, both hold, here and in the store."""
    await asyncio.gather(
        stage.operations.set_admin("inbound", "mx1", AdminState.DRAIN, "kernel", "ann"),
        stage.operations.set_weight("inbound", "mx1", 7, "", "bob"),
    )
    for admin in (stage.standings["mx1"].admin, stage.store.admins[-1]):
        assert (admin.state, admin.weight, admin.reason, admin.who) == (AdminState.DRAIN, 7, "kernel", "ann")
    assert [event.who for event in stage.store.events] == ["ann", "bob"]


async def test_two_weights_of_nothing_at_the_same_time_leave_one(stage: Stage) -> None:
    """The last weight of a pool cannot be taken, though both were there when both asked."""
    results = await asyncio.gather(
        stage.operations.set_weight("inbound", "mx1", 0, "", "ann"),
        stage.operations.set_weight("inbound", "mx2", 0, "", "bob"),
        return_exceptions=True,
    )
    assert [isinstance(result, Refused) for result in results] == [False, True]
    assert "would have no weight left" in str(results[1])
    assert stage.published() == ["mx2"]


async def test_what_cannot_be_remembered_is_not_done(stage: Stage) -> None:
    """A restart would forget it: so it is refused, and nothing has changed."""
    stage.store.fails = True
    with pytest.raises(Refused, match="nothing was changed: the disk is full"):
        await stage.operations.set_admin("inbound", "mx1", AdminState.DRAIN, "", "ann")
    assert stage.standings["mx1"].admin == Admin()
    assert stage.published() == ["mx1", "mx2"]


async def test_a_word_waits_for_a_reload(stage: Stage) -> None:
    """It is about members that the reload may be replacing."""
    async with stage.changing:
        waiting = asyncio.create_task(stage.operations.set_admin("inbound", "mx1", AdminState.DRAIN, "", "ann"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert stage.store.admins == []
    await waiting
    assert stage.published() == ["mx2"]


async def test_a_member_that_has_just_left_is_not_safe_to_stop(stage: Stage) -> None:
    """Its drain says how far it has come; who is ready has none."""
    done = await stage.operations.set_admin("inbound", "mx1", AdminState.DRAIN, "", "ann")
    assert done["drain"]["safe_to_stop"] is False
    assert set(done["drain"]) == {
        *("since", "last_answer", "caches_expire", "clients_expire", "queue", "safe_to_stop"),
    }
    done = await stage.operations.set_admin("inbound", "mx1", AdminState.READY, "", "ann")
    assert done["drain"] is None


async def test_the_same_word_again_does_not_begin_anew(stage: Stage) -> None:
    """A script that drains what is drained leaves the time at which the drain began."""
    first = await stage.operations.set_admin(POOL.name, "mx1", AdminState.DRAIN, "", "ann")
    again = await stage.operations.set_admin(POOL.name, "mx1", AdminState.DRAIN, "new disk", "bob")
    assert again["drain"]["since"] == first["drain"]["since"]
    assert again["admin_reason"] == "new disk"


async def test_a_probe_on_demand_is_told_in_full(stage: Stage) -> None:
    """What the command prints, for a member that there is; nobody is probed for a name that there is not."""
    told = await stage.operations.probe("inbound", "mx1", "ann")
    assert (told["target"], told["verdict"], told["up"]) == ("inbound/mx1", "ok", True)
    with pytest.raises(Refused):
        await stage.operations.probe("inbound", "mx9", "ann")


def wish(admin: str = "ready", weight: int | None = None, **window: object) -> dict[str, object]:
    """Return what is wanted of a member, as events tell it."""
    begin, end = "1970-01-12T13:46:40.000Z", "1970-01-12T13:48:20.000Z"
    planned = {"begin": begin, "end": end, "reason": "disks", "who": "ann", "state": "running", "forced": False}
    return {"admin": admin, "weight": weight, "window": planned | window if window else None}


async def test_whatever_somebody_does_to_a_member_is_told_whole(stage: Stage) -> None:
    """Who, when, why, what was wanted before and what is now; a restart of the daemon forgets none of it."""
    operations = stage.operations
    await operations.set_admin("inbound", "mx1", AdminState.DRAIN, "kernel", "ann")
    stage.now += 1
    await operations.set_weight("inbound", "mx1", 7, "too slow", "root (bob)")
    await operations.set_admin("inbound", "mx1", AdminState.MAINT, "", "ann")
    await operations.set_admin("inbound", "mx1", AdminState.READY, "done", "ann")
    told = [(event.kind, event.at, event.who, dict(event.details)) for event in stage.store.events]
    assert told == [
        ("admin", 1_000_000.0, "ann", {"reason": "kernel", "before": wish(), "after": wish("drain")}),
        (
            "weight",
            1_000_001.0,
            "root (bob)",
            {"configured": 50, "reason": "too slow", "before": wish("drain"), "after": wish("drain", 7)},
        ),
        ("admin", 1_000_001.0, "ann", {"reason": "", "before": wish("drain", 7), "after": wish("maint", 7)}),
        ("admin", 1_000_001.0, "ann", {"reason": "done", "before": wish("maint", 7), "after": wish(weight=7)}),
    ]


async def test_whatever_somebody_does_to_a_window_is_told_whole(stage: Stage) -> None:
    """Planned, in place of another one, forced, cancelled: each with what was wanted before and what is now."""
    operations = stage.operations
    later, now = Span(stage.now + 50, 100), Span(None, 100, forced=True)
    await operations.set_window("inbound", "mx1", later, "kernel", "ann")
    await operations.set_window("inbound", "mx1", now, "disks", "ann")
    await operations.set_admin("inbound", "mx1", AdminState.READY, "not today", "bob")
    announced, begun, ready, cancelled = stage.store.events
    planned = wish(begin="1970-01-12T13:47:30.000Z", end="1970-01-12T13:49:10.000Z", reason="kernel", state="announced")
    running = wish("drain", forced=True)
    assert [(event.kind, event.who, event.details["reason"]) for event in stage.store.events] == [
        ("window", "ann", "kernel"),
        ("window", "ann", "disks"),
        ("admin", "bob", "not today"),
        ("window", "bob", "not today"),
    ]
    assert [(event.details["before"], event.details["after"]) for event in (announced, begun, ready, cancelled)] == [
        (wish(), planned),
        (planned, running),
        (running, wish()),
        (running, wish()),
    ]


async def test_a_probe_on_demand_is_told_of(stage: Stage) -> None:
    """It counts like any other, so who asked for it is kept."""
    await stage.operations.probe("inbound", "mx1", "ann")
    (event,) = stage.store.events
    assert (event.kind, event.member, event.who, event.text) == ("probe", "mx1", "ann", "mx1 probed by ann: ok")
    assert event.details == {"verdict": "ok", "up": True}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([Planned(Step.DRAIN, "inbound", "mx9")], "has no member 'mx9'; did you mean"),
        ([Planned(Step.DRAIN, "outbound", "mx1")], "there is no pool 'outbound'"),
        ([Planned(Step.ADD, "outbound", "mx3", 1)], "there is no pool 'outbound'"),
        ([Planned(Step.ADD, "inbound", "mx1", 1)], "pool 'inbound' cannot get a second member 'mx1'"),
        ([Planned(Step.ADD, "inbound", "mx3", 1)] * 2, "pool 'inbound' cannot get a second member 'mx3'"),
    ],
)
async def test_a_plan_about_nobody_is_refused(stage: Stage, changes: list[Planned], told: str) -> None:
    """Better no plan than one that leaves a step out."""
    with pytest.raises(Refused, match=told):
        await stage.operations.plan(changes)


async def test_a_plan_is_a_thought_only(stage: Stage) -> None:
    """It may be about a member that it adds; nothing is published, stored or remembered of it."""
    changes = [Planned(Step.ADD, "inbound", "mx3", 50), Planned(Step.DOWN, "inbound", "mx3")]
    found = await stage.operations.plan([*changes, Planned(Step.DRAIN, "inbound", "mx1")])
    assert [name for name, facts in found["after"]["inbound"]["members"].items() if facts["published"]] == ["mx2"]
    assert stage.published() == ["mx1", "mx2"]
    assert (stage.publisher.generation, stage.store.admins, stage.store.events) == (1, [], [])


class Looks(list[Planned]):
    """Changes that count how often they are looked through."""

    number = 0

    def __iter__(self) -> Iterator[Planned]:
        self.number += 1
        return super().__iter__()


async def test_a_long_plan_is_not_looked_through_for_each_of_its_changes(stage: Stage) -> None:
    """A thousand changes to a thousand members would keep probes waiting for half a second."""
    plans = [Looks([Planned(Step.WEIGHT, "inbound", "mx1", weight) for weight in range(n)]) for n in (1, 100)]
    for changes in plans:
        await stage.operations.plan(changes)
    assert plans[0].number == plans[1].number


async def test_explanations_are_worked_out_one_after_the_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take long, and all else that is done in threads must not wait for them; those of nobody are never begun."""
    begun, go_on, loop = asyncio.Event(), threading.Event(), asyncio.get_running_loop()
    asked: list[bytes] = []

    def slow(_world: World, _pools: Pools, question: Question) -> Found:
        asked.append(question.name)
        loop.call_soon_threadsafe(begun.set)
        go_on.wait()
        raise ZeroDivisionError

    monkeypatch.setattr(operations, "find", slow)
    tasks = [asyncio.create_task(stage.operations.explain(bytes([n]), None, None)) for n in range(6)]
    await begun.wait()
    for task in tasks[:-1]:
        task.cancel()
    await asyncio.wait(tasks[:-1])
    await asyncio.sleep(0)  # a cancelled future tells the thread's one in the loop
    go_on.set()
    await asyncio.wait(tasks)
    assert asked == [b"\x00", b"\x05"]


async def test_an_explanation_that_takes_too_long_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """So nobody waits for ever behind others."""
    go_on = threading.Event()
    monkeypatch.setattr(operations, "find", lambda *_: go_on.wait())
    monkeypatch.setattr(stage.operations, "_explaining", Thread(0.01))
    with pytest.raises(Refused, match="takes too long"):
        await stage.operations.explain(b"\x00", None, None)
    go_on.set()


async def test_before_the_first_answers_there_is_nothing_to_explain() -> None:
    """An operator may look in while the daemon still probes."""
    with pytest.raises(Refused, match="still probing for its first answers"):
        await Stage().operations.explain(b"\x00", None, None)


async def test_maintenance_has_a_countdown_too() -> None:
    """A server in maintenance is stopped as one that is drained: resolvers and clients have it for as long."""
    stage = await Stage().open()
    done = await stage.operations.set_admin("inbound", "mx1", AdminState.MAINT, "disks", "ann")
    assert done["drain"]["since"] == done["admin_since"]
    assert done["drain"]["safe_to_stop"] is False


@pytest.mark.parametrize("state", [AdminState.DRAIN, AdminState.MAINT])
async def test_who_was_down_while_it_was_out_starts_slowly_when_it_is_ready(state: AdminState) -> None:
    """Its slow start would else be over unseen, and a server with cold caches get all its mail at once."""
    stage = await Stage().open()
    for member in ("mx1", "mx2"):
        await stage.operations.set_admin("inbound", member, state, "", "ann")
    drained_at = stage.now
    for member, came_back in (("mx1", drained_at + 10), ("mx2", drained_at - 10)):
        stage.standings[member].health = replace(stage.standings[member].health, returned_at=came_back)
    stage.now += 3600
    for member in ("mx1", "mx2"):
        await stage.operations.set_admin("inbound", member, AdminState.READY, "", "ann")
    assert stage.standings["mx1"].health.returned_at == stage.now
    assert stage.standings["mx2"].health.returned_at == drained_at - 10
