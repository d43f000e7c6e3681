"""Planned drains as time passes, by a clock that steps; and what operators say meanwhile."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dnslb.control.client import call
from dnslb.control.protocol import Code, Refused
from dnslb.control.server import ControlServer
from dnslb.daemon import windows as windows_module
from dnslb.daemon.report import member_json
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Health, State
from dnslb.pool.window import Span, Window
from dnslb.store import EventKind
from tests.conftest import member, pool
from tests.daemon.stage import Stage

TRIO = pool(*(member(name, weight=weight) for name, weight in (("mx1", 50), ("mx2", 30), ("mx3", 20))), min_healthy=0.5)
NOW = 1_000_000.0
PLANNED = Window("inbound", "mx1", NOW + 100, NOW + 200, "kernel", "ann")
KEY = PLANNED.key


async def opened(*windows: Window, admins: dict[str, Admin] | None = None) -> Stage:
    """Return a pool of three, of which half must be left, with windows that an earlier run has left."""
    return await Stage(TRIO, windows, admins).open()


async def planned(stage: Stage, begin: float | None, seconds: float | None, who: str = "ann") -> dict[str, object]:
    """Have a window for mx1, with the clock where it is."""
    return await stage.operations.set_window("inbound", "mx1", Span(begin, seconds), "kernel", who)


async def test_a_window_drains_at_its_time_and_is_undone_at_its_end() -> None:
    """The member is told when it is to leave; the answers follow the clock, and so do store and events."""
    stage = await opened()
    done = await planned(stage, NOW + 100, 100)
    assert done["window"] == {
        "begin": "1970-01-12T13:48:20.000Z",
        "end": "1970-01-12T13:50:00.000Z",
        "reason": "kernel",
        "who": "ann",
        "state": "announced",
        "forced": False,
        "held": "",
    }
    assert stage.leaves_at("mx1") == NOW + 100
    assert await stage.at(NOW + 99) == ["mx1", "mx2", "mx3"]
    assert await stage.at(NOW + 100) == ["mx2", "mx3"]
    assert stage.leaves_at("mx1") is None
    assert stage.standings["mx1"].admin == Admin(AdminState.DRAIN, None, "kernel", "ann", NOW + 100)
    assert await stage.at(NOW + 199) == ["mx2", "mx3"]
    assert await stage.at(NOW + 200) == ["mx1", "mx2", "mx3"]
    assert stage.store.windows == [PLANNED, replace(PLANNED, begun=True), None]
    assert stage.told() == ["announced", "begun", "ended"]
    assert {(event.kind, event.member, event.who) for event in stage.store.events} == {
        (EventKind.WINDOW, "mx1", "ann"),
    }


async def test_a_window_from_now_on_needs_no_clock() -> None:
    """It is running when the command returns."""
    stage = await opened()
    done = await planned(stage, None, 60)
    assert (done["admin"], done["published"], stage.told()) == ("drain", False, ["begun"])
    assert await stage.at(NOW + 60) == ["mx1", "mx2", "mx3"]


async def test_a_window_without_an_end_lasts_until_ready() -> None:
    """Years later it still does."""
    stage = await opened()
    await planned(stage, NOW + 100, None)
    assert await stage.at(NOW + 9e8) == ["mx2", "mx3"]
    await stage.operations.set_admin("inbound", "mx1", AdminState.READY, "", "bob")
    assert stage.published() == ["mx1", "mx2", "mx3"]
    assert stage.told() == ["announced", "begun", "cancelled"]


async def test_a_clock_that_goes_back_begins_nothing_twice() -> None:
    """Neither a window that has begun, nor one that is over."""
    stage = await opened(PLANNED)
    assert await stage.at(NOW + 150) == ["mx2", "mx3"]
    assert await stage.at(NOW) == ["mx2", "mx3"]
    assert await stage.at(NOW + 120) == ["mx2", "mx3"]
    assert await stage.at(NOW + 200) == ["mx1", "mx2", "mx3"]
    assert await stage.at(NOW + 150) == ["mx1", "mx2", "mx3"]
    assert stage.told() == ["begun", "ended"]


async def test_a_clock_that_jumps_over_a_window_leaves_it_out_once() -> None:
    """A day later nobody wants it any more; one that runs is undone."""
    stage = await opened(PLANNED, replace(PLANNED, member="mx3", begin=NOW - 1, end=NOW + 150))
    assert await stage.at(NOW) == ["mx1", "mx2"]
    assert await stage.at(NOW + 86_400) == ["mx1", "mx2", "mx3"]
    assert await stage.at(NOW + 86_401) == ["mx1", "mx2", "mx3"]
    assert stage.told() == ["begun", "ended", "missed"]


def running(end: float | None = NOW - 1) -> Window:
    """Return mx1's window as a daemon left it that was stopped in the midst of it."""
    return replace(PLANNED, begin=NOW - 100, end=end, begun=True)


@pytest.mark.parametrize(
    ("window", "published", "told"),
    [
        (running(), ["mx1", "mx2", "mx3"], ["ended"]),
        (running(NOW + 1), ["mx2", "mx3"], []),
        (replace(running(NOW + 1), begun=False), ["mx2", "mx3"], ["begun"]),
        (replace(running(), begun=False), ["mx1", "mx2", "mx3"], ["missed"]),
        (PLANNED, ["mx1", "mx2", "mx3"], []),
    ],
)
async def test_a_restart_goes_by_the_clock(window: Window, published: list[str], told: list[str]) -> None:
    """What became due while nothing ran is in the first answers."""
    drained = Admin(AdminState.DRAIN, None, "kernel", "ann", NOW - 100)
    stage = Stage(TRIO, [window], {"mx1": drained} if window.begun else None)
    await stage.windows.catch_up()
    await stage.open()
    assert (stage.published(), stage.told()) == (published, told)


async def test_a_window_that_would_panic_the_pool_is_refused_with_numbers() -> None:
    """mx3 is down and mx2 has a window of its own: each is named, and counted by weight."""
    stage = await opened(replace(PLANNED, member="mx2", begin=NOW + 150, end=NOW + 160))
    stage.standings["mx3"].health = Health(State.DOWN)
    with pytest.raises(Refused) as caught:
        await planned(stage, NOW + 100, 100)
    assert caught.value.code is Code.REFUSED
    told = caught.value.message
    assert told.startswith(
        "the drain of mx1 would leave 0 of 3 members with 0 of the pool's weight of 100 (0 %; min_healthy is 50 %):"
        " mx2 is in its window then (1970-01-1"
    )
    assert told.endswith("), mx3 is down; --force drains it all the same")
    assert set(caught.value.details["remains"]["out"]) == {"mx2", "mx3"}
    assert stage.wishes.window(KEY) is None
    assert [(event.details["what"], event.who) for event in stage.store.events] == [("refused", "ann")]


async def test_what_is_left_is_enough_to_the_very_limit() -> None:
    """The windows of others count where they meet this one; the numbers are told."""
    stage = await opened(replace(PLANNED, member="mx2", begin=NOW + 150, end=NOW + 160))
    assert (await planned(stage, NOW + 100, 50))["remains"] == {
        "members": 2,
        "of": 3,
        "weight": 50,
        "healthy_weight": 50,
        "total_weight": 100,
        "percent": 50.0,
        "min_healthy": 0.5,
        "out": {},
        "come_back": [],
        "enough": True,
    }


async def test_force_overrides_the_numbers() -> None:
    """They are said all the same, and the window begins at its time."""
    stage = await opened()
    stage.standings["mx3"].health = Health(State.DOWN)
    done = await stage.operations.set_window("inbound", "mx1", Span(NOW + 100, 100, forced=True), "", "ann")
    assert done["warnings"] == [
        (
            "too little is left without mx1, and the pool panics; mx3 comes back into the answers (do not stop it):"
            " 1 of 3 members with 30 of the pool's weight of 100 (30 %; min_healthy is 50 %): mx3 is down"
        )
    ]
    assert await stage.at(NOW + 100) == ["mx2", "mx3"], "the pool panics: all that are ready"
    assert stage.standings["mx1"].admin.state is AdminState.DRAIN


async def test_a_window_waits_until_the_pool_can_do_without_the_member() -> None:
    """People are told once, with the numbers; it begins as soon as it can."""
    stage = await opened(PLANNED)
    stage.standings["mx2"].health = Health(State.DOWN)
    for seconds in (100, 101, 102):
        await stage.at(NOW + seconds)
    assert stage.standings["mx1"].admin.state is AdminState.READY
    await stage.journal.settle()
    (alert,) = stage.store.events
    assert alert.kind is EventKind.ALERT
    assert alert.text == (
        "the window of mx1 does not begin yet: it would leave 1 of 3 members with 20 of the pool's weight of 100"
        " (20 %; min_healthy is 50 %): mx2 is down"
    )
    window = member_json(stage.view(), TRIO, stage.roster.entries("inbound")[0])["window"]
    assert (window["state"], window["held"][:16]) == ("announced", "1 of 3 members w")
    stage.standings["mx2"].health = Health(State.UP)
    assert await stage.at(NOW + 150) == ["mx2", "mx3"]
    assert stage.told() == ["held", "begun"]


async def test_a_window_that_never_could_begin_says_why() -> None:
    """Its time is over; it does not come later."""
    stage = await opened(PLANNED)
    stage.standings["mx2"].health = Health(State.DOWN)
    await stage.at(NOW + 100)
    await stage.journal.settle()
    await stage.at(NOW + 200)
    assert stage.told() == ["held", "missed"]
    assert "was left out: it would have left 1 of 3 members with 20" in stage.store.events[-1].text


async def test_two_windows_at_one_time_do_not_wait_for_each_other() -> None:
    """The pool has shrunk since both were taken: one of them can begin, and one waits for it."""
    both = [replace(PLANNED, member=name, end=NOW + 150) for name in ("mx2", "mx3")]
    stage = await opened(replace(both[0], end=NOW + 120), both[1])
    stage.standings["mx1"].health = Health(State.DEGRADED)
    assert await stage.at(NOW + 100) == ["mx1"]
    stage = await opened(*(replace(each, member=name) for each, name in zip(both, ("mx1", "mx3"), strict=True)))
    assert await stage.at(NOW + 100) == ["mx2", "mx3"]
    assert await stage.at(NOW + 149) == ["mx2", "mx3"]


async def test_maintenance_and_weight_leave_a_window() -> None:
    """The result says that it is there, and at its end the member stays as people said last."""
    stage = await opened(PLANNED)
    done = await stage.operations.set_weight("inbound", "mx1", 40, "", "bob")
    assert done["window"]["state"] == "announced"
    await stage.at(NOW + 100)
    done = await stage.operations.set_admin("inbound", "mx1", AdminState.MAINT, "", "bob")
    assert (done["window"]["state"], done["cancelled"]) == ("running", None)
    assert await stage.at(NOW + 200) == ["mx2", "mx3"]
    assert stage.standings["mx1"].admin.state is AdminState.MAINT
    assert stage.store.events[-1].text == "the window of mx1 is over (ann: kernel): it is in maintenance"


@pytest.mark.parametrize("seconds", [50, 150])
@pytest.mark.parametrize("state", [AdminState.READY, AdminState.DRAIN])
async def test_the_next_word_ends_a_window(state: AdminState, seconds: float) -> None:
    """Announced or running: ready puts the member back, and a drain from now on has no end."""
    stage = await opened(PLANNED)
    await stage.at(NOW + seconds)
    done = await stage.operations.set_admin("inbound", "mx1", state, "", "bob")
    assert (done["window"], done["cancelled"]["who"]) == (None, "ann")
    assert stage.store.windows[-1] is None
    assert (stage.store.events[-1].who, stage.told()[-1]) == ("bob", "cancelled")
    assert ("mx1" in await stage.at(NOW + 1000)) is (state is AdminState.READY)


async def test_a_window_takes_the_place_of_another() -> None:
    """A member has one; whoever comes last is heard, and both are in the events."""
    stage = await opened(PLANNED)
    done = await planned(stage, NOW + 300, 10, who="bob")
    assert isinstance(done["replaced"], dict)
    assert done["replaced"]["who"] == "ann"
    assert await stage.at(NOW + 150) == ["mx1", "mx2", "mx3"]
    assert await stage.at(NOW + 305) == ["mx2", "mx3"]
    assert "gives way" in stage.store.events[0].text


async def test_a_member_that_is_out_stays_out_until_the_next_window() -> None:
    """Somebody may be at work on the server: only ready and the end of the last window bring it back."""
    stage = await opened(PLANNED)
    await stage.at(NOW + 150)
    await planned(stage, NOW + 300, 10, who="bob")
    assert await stage.at(NOW + 250) == ["mx2", "mx3"]
    assert await stage.at(NOW + 305) == ["mx2", "mx3"]
    assert stage.standings["mx1"].admin.who == "bob"
    assert await stage.at(NOW + 310) == ["mx1", "mx2", "mx3"]


async def test_a_window_may_be_corrected_twice() -> None:
    """While it runs: the member goes back to what was before the first of them, and nobody is told otherwise."""
    stage = await opened(PLANNED)
    await stage.at(NOW + 150)
    await planned(stage, NOW + 300, 10)
    done = await planned(stage, NOW + 200, 10)
    assert done["warnings"] == []
    assert await stage.at(NOW + 205) == ["mx2", "mx3"]
    assert await stage.at(NOW + 210) == ["mx1", "mx2", "mx3"]


async def test_who_is_in_maintenance_is_told_that_the_end_brings_nobody_back() -> None:
    """Also in a window that is corrected: the last word of a person stays."""
    stage = await opened(PLANNED)
    await stage.at(NOW + 150)
    await stage.operations.set_admin("inbound", "mx1", AdminState.MAINT, "", "bob")
    done = await planned(stage, NOW + 300, 10)
    assert done["warnings"] == ["mx1 is set to maint already, and stays so when the window is over"]
    assert await stage.at(NOW + 310) == ["mx2", "mx3"]


@pytest.mark.parametrize("jump", [False, True])
async def test_a_member_that_is_out_comes_back_whatever_becomes_of_the_next_window(*, jump: bool) -> None:
    """It takes nothing from the pool by beginning, so it need not wait; and if the clock jumps over it, it ends too."""
    stage = await opened(PLANNED)
    await stage.at(NOW + 150)
    await planned(stage, NOW + 300, 10, who="bob")
    stage.standings["mx2"].health = Health(State.DOWN)
    if not jump:
        await stage.at(NOW + 305)
    await stage.at(NOW + 310)
    assert stage.standings["mx1"].admin.state is AdminState.READY
    assert stage.told() == ["begun", "announced", *(["missed"] if jump else ["begun", "ended"])]


async def test_who_is_drained_already_is_told_what_the_end_will_bring() -> None:
    """A window does not undo what a person has said before."""
    stage = await opened()
    await stage.operations.set_admin("inbound", "mx1", AdminState.DRAIN, "", "bob")
    done = await planned(stage, None, 10)
    assert done["warnings"] == ["mx1 is set to drain already, and stays so when the window is over"]
    assert await stage.at(NOW + 10) == ["mx2", "mx3"]
    assert stage.standings["mx1"].admin.who == "bob"


@pytest.mark.parametrize("state", [AdminState.DRAIN, AdminState.MAINT])
async def test_a_drain_from_now_on_is_warned_of_and_done(state: AdminState) -> None:
    """Who has an emergency sees what comes of it, and can undo it."""
    stage = await opened()
    assert (await stage.operations.set_admin("inbound", "mx3", state, "", "ann"))["warnings"] == []
    done = await stage.operations.set_admin("inbound", "mx2", state, "", "ann")
    assert done["warnings"] == []
    done = await stage.operations.set_admin("inbound", "mx1", state, "", "ann")
    assert (done["remains"]["members"], done["remains"]["enough"]) == (0, False)
    word = {AdminState.DRAIN: "drained", AdminState.MAINT: "in maintenance"}[state]
    assert done["warnings"] == [
        (
            "no ready member that works is left: mx1 stays in the answers, and mx2, mx3 come back (do not stop them);"
            " without mx1 there are 0 of 3 members with 0 of the pool's weight of 100 (0 %; min_healthy is 50 %):"
            f" mx2 is {word}, mx3 is {word}"
        )
    ]


async def test_who_comes_back_is_no_reason_to_warn() -> None:
    """What is left without a member that is ready is of no interest."""
    stage = await opened()
    done = await stage.operations.set_admin("inbound", "mx1", AdminState.READY, "", "ann")
    assert (done["remains"], done["cancelled"], done["warnings"]) == (None, None, [])


@pytest.mark.parametrize("begin", [NOW - 61, NOW + 366 * 86_400 + 1, 1e300, -1e300])
async def test_a_time_that_makes_no_sense_is_refused(begin: float) -> None:
    """The clock of the daemon is named."""
    stage = await opened()
    with pytest.raises(Refused, match=r"within a year from now, which is 1970-01-12 .*; it is") as caught:
        await planned(stage, begin, 10)
    assert caught.value.code is Code.INVALID
    with pytest.raises(Refused, match="needs a beginning or a length"):
        await planned(stage, None, None)


async def test_a_member_that_a_reload_has_removed_keeps_its_window() -> None:
    """If it comes back meanwhile it is drained, and when the window is over it is forgotten."""
    stage = await opened(PLANNED)
    stage.roster = stage.roster_of("mx2", "mx3")
    await stage.at(NOW + 100)
    assert stage.wishes.admin(KEY).state is AdminState.DRAIN
    assert stage.wishes.window(KEY) == replace(PLANNED, begun=True)
    await stage.at(NOW + 200)
    assert stage.wishes.window(KEY) is None
    assert stage.wishes.admin(KEY).state is AdminState.READY
    assert stage.store.events[-1].text == "the window of mx1 is over (ann: kernel): it is configured no more"


async def test_a_window_without_end_of_a_member_that_is_gone_is_forgotten() -> None:
    """Nobody could end it. That the member is drained is not forgotten."""
    stage = await opened(replace(PLANNED, end=None))
    stage.roster = stage.roster_of("mx2", "mx3")
    await stage.at(NOW + 100)
    await stage.at(NOW + 101)
    assert (stage.wishes.window(KEY), stage.wishes.admin(KEY).state) == (None, AdminState.DRAIN)
    assert stage.told() == ["begun", "ended"]


async def test_what_cannot_be_remembered_is_tried_again() -> None:
    """A window that a restart would begin once more has not begun."""
    stage = await opened(PLANNED)
    stage.store.fails = True
    with capture_logs() as lines:
        for seconds in (100, 101):
            assert await stage.at(NOW + seconds) == ["mx1", "mx2", "mx3"]
    assert [line["event"] for line in lines] == ["state_failing", "window_not_kept"]
    assert stage.wishes.window(KEY) == PLANNED
    stage.store.fails = False
    assert await stage.at(NOW + 102) == ["mx2", "mx3"]


async def test_a_fault_of_one_second_is_not_that_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members would stay drained for good if nobody looked at the clock any more."""
    stage = await opened(PLANNED)
    stage.now = NOW + 100
    looks = iter([ZeroDivisionError, ZeroDivisionError])
    look, begun = stage.windows.tick, asyncio.Event()

    async def tick() -> None:
        if fault := next(looks, None):
            raise fault
        await look()
        begun.set()

    monkeypatch.setattr(stage.windows, "tick", tick)
    monkeypatch.setattr(windows_module, "_TICK_SECONDS", 0.0)
    with capture_logs() as lines:
        running = asyncio.create_task(stage.windows.run())
        await begun.wait()
        running.cancel()
    assert stage.published() == ["mx2", "mx3"]
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["windows_failed"]


async def test_a_step_of_time_waits_for_who_is_changing_something() -> None:
    """A word that comes at the moment at which a window begins is not lost, and neither is the window."""
    stage = await opened(PLANNED)
    stage.now = NOW + 100
    await asyncio.gather(
        stage.operations.set_weight("inbound", "mx1", 7, "", "bob"),
        stage.windows.tick(),
        stage.operations.set_weight("inbound", "mx2", 80, "", "bob"),
    )
    assert stage.standings["mx1"].admin == Admin(AdminState.DRAIN, 7, "kernel", "ann", NOW + 100)
    assert stage.store.windows[-2:] == [replace(PLANNED, begun=True), None]
    assert stage.wishes.window(KEY) == replace(PLANNED, begun=True)


async def test_of_two_administrators_at_once_the_last_is_heard(tmp_path: Path) -> None:
    """Over two connections: what holds is one of their wishes whole, and the events have both."""
    stage = await opened()
    server = await ControlServer.start(tmp_path / "control.sock", stage.operations)

    def ask(seconds: float) -> object:
        args = {"pool": "inbound", "member": "mx1", "begin": NOW + seconds, "seconds": seconds, "reason": f"{seconds}"}
        return call(server.path, "window", args)

    try:
        await asyncio.gather(asyncio.to_thread(ask, 100.0), asyncio.to_thread(ask, 200.0))
    finally:
        await server.close()
    assert stage.told() == ["announced", "announced"]
    last = stage.wishes.window(KEY)
    assert last is not None
    assert last == stage.store.windows[-1]
    assert last.begin - NOW == float(last.reason)
    assert last.end == last.begin + float(last.reason)
    assert last.reason in stage.store.events[-1].text
    assert "gives way" in stage.store.events[-1].text
