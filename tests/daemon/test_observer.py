"""What follows from a probe's result: health, weight, alerts, and doubt in the prober itself."""

import asyncio
from collections.abc import Collection, Coroutine, Iterable
from contextlib import nullcontext
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

import pytest
from structlog.testing import capture_logs

from dnslb.daemon.journal import Journal
from dnslb.daemon.observer import Observer
from dnslb.daemon.roster import Entry, Roster, Standing
from dnslb.metrics import Metrics, Reading
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Aspect, Fault, Health, ProbeResult, State, Thresholds, Verdict
from dnslb.pool.member import Policy
from dnslb.pool.outlook import Outlook
from dnslb.pool.portion import WHOLE, Portion
from dnslb.probe.recipe import Kind, Recipe, Target
from dnslb.probe.transcript import Report
from dnslb.probe.verdict import EFFECTS
from dnslb.store import EventKind, Store
from tests.conftest import member, pool
from tests.daemon.stage import SlowStore

if TYPE_CHECKING:
    from dnslb.publisher import Publisher

RECIPE = Recipe("in", Kind.SMTP, 25, interval=10, timeout=5, rise=1, fall=1, ehlo="probe.test")
START = 1_000_000.0


class Touched:
    """Who was to be published."""

    def __init__(self) -> None:
        self.pools: list[str] = []

    def touch(self, pool: str, *, found_at: float | None) -> None:
        """Note a pool."""
        assert found_at is not None
        self.pools.append(pool)


class Stage:
    """An observer of one pool whose members are up, with a clock that the test turns; some share a rack."""

    def __init__(
        self,
        *names: str,
        slow_start: float = 0.0,
        fall: int = 1,
        rack: Collection[str] = (),
        spares: Collection[str] = (),
    ) -> None:
        members = [
            member(name, f"127.0.0.{number}", group="r1" if name in rack else "", tier=2 if name in spares else 1)
            for number, name in enumerate(names, 1)
        ]
        self.pool = replace(pool(*members), slow_start=slow_start)
        thresholds = Thresholds(RECIPE.rise, fall, RECIPE.interval)
        self.standings = {each.name: Standing(Admin(), Health(State.UP)) for each in members}
        entries = {("inbound", each.name): Entry(each, thresholds, self.standings[each.name]) for each in members}
        self.removed = False
        self.now = START
        self.steps: tuple[int, ...] = ()
        self.store = SlowStore()
        self.journal = Journal(cast("Store", self.store))
        self.publisher = Touched()
        self.asked: list[tuple[str, ...]] = []
        """Whom the observer had asked, and of what."""
        self._tasks: list[asyncio.Task[None]] = []
        roster = Roster(entries)
        self.observer = Observer(
            roster=lambda: roster,
            pools=lambda: {} if self.removed else {"inbound": self.pool},
            steps=lambda _pool: self.steps,
            publisher=cast("Publisher", self.publisher),
            journal=self.journal,
            metrics=Metrics(lambda: Reading({}, {}, 1, {})),
            ask=self._ask,
            alone=lambda _target: nullcontext(),
            spawn=self._spawn,
            wall=lambda: self.now,
        )

    def _ask(self, keys: Iterable[tuple[str, str]], aspects: frozenset[Aspect] | None) -> None:
        self.asked += [(*key, *(["all"] if aspects is None else aspects)) for key in keys]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def told(self, kind: EventKind) -> list[str]:
        """Return the texts of all events of a kind, once all tasks have ended."""
        await asyncio.gather(*self._tasks)
        await self.journal.settle()
        return [event.text for event in self.store.events if event.kind is kind]

    def find(  # noqa: PLR0913 -- one keyword for each thing that a test may speak of
        self,
        name: str,
        verdict: Verdict,
        *,
        ms: float | None = None,
        warnings: tuple[str, ...] = (),
        aspect: Aspect = Aspect.SESSION,
        examined: frozenset[Aspect] = frozenset({Aspect.SESSION}),
    ) -> Standing:
        """Let a probe find something; return what is known then. Port 1 of loopback refuses connections."""
        if verdict is Verdict.REJECTS_DOMAIN:
            aspect = Aspect.RECIPIENT
        result = ProbeResult(verdict, str(verdict), EFFECTS[verdict], ms, 0.1, self.now, aspect, examined, warnings)
        address = self.pool.members[list(self.standings).index(name)].addresses
        self.observer.take(Target("inbound", name, address, 1, RECIPE), Report(result), 0.0)
        return self.standings[name]


async def test_a_member_that_fails_is_down_and_its_pool_published() -> None:
    """And somebody is told why."""
    stage = Stage("mx1", "mx2", "mx3")
    assert stage.find("mx1", Verdict.REFUSED).health.state is State.DOWN
    assert stage.publisher.pools == ["inbound"]
    assert await stage.told(EventKind.STATE) == ["mx1 is down (was up): refused"]


async def test_a_result_that_changes_nothing_publishes_nothing() -> None:
    """A thousand good probes cost no answer table."""
    stage = Stage("mx1", "mx2")
    stage.find("mx1", Verdict.OK, ms=4.0)
    stage.publisher.pools.clear()
    stage.find("mx1", Verdict.OK, ms=4.0)
    assert stage.publisher.pools == []


async def test_a_result_for_a_server_that_is_configured_no_more_is_dropped() -> None:
    """A reload may have given the name to another address while the probe was under way."""
    stage = Stage("mx1", "mx2")
    result = ProbeResult(Verdict.REFUSED, "", EFFECTS[Verdict.REFUSED], None, 0.1, START)
    elsewhere = Target("inbound", "mx1", (ip_address("127.0.0.99"),), 1, RECIPE)
    asked = stage.observer.take(elsewhere, Report(result), 0.0)
    assert (asked.delay, asked.aspects) == (RECIPE.interval, frozenset())
    assert stage.standings["mx1"].health == Health(State.UP)


async def test_what_was_noted_of_a_pool_goes_with_it() -> None:
    """One that comes later under its name begins anew, and pools that never come back take no memory."""
    stage = Stage("mx1", "mx2")
    stage.find("mx1", Verdict.TIMEOUT)
    stage.find("mx2", Verdict.TIMEOUT)
    stage.observer.forget_removed()
    assert stage.observer.held_until("inbound") is not None
    stage.removed = True
    stage.observer.forget_removed()
    stage.removed = False
    assert stage.observer.held_until("inbound") is None
    await stage.told(EventKind.ALERT)


async def test_when_half_a_pool_falls_together_the_prober_is_suspect() -> None:
    """The answers stay for a round, a bare connection is tried, and people are told; then the failure counts."""
    stage = Stage("mx1", "mx2", "mx3")
    assert stage.find("mx1", Verdict.TIMEOUT).health.state is State.DOWN
    stage.now += 1
    assert stage.find("mx2", Verdict.TIMEOUT).health.state is State.UP
    assert stage.find("mx3", Verdict.TIMEOUT).health.state is State.UP
    assert stage.observer.held_until("inbound") == stage.now + RECIPE.interval
    (alert,) = await stage.told(EventKind.ALERT)
    assert "half of pool inbound or more fails at the same time" in alert
    assert "mx1 (127.0.0.1: Connection refused); mx2" in alert
    stage.now += RECIPE.interval + 1
    assert stage.observer.held_until("inbound") is None
    assert stage.find("mx2", Verdict.TIMEOUT).health.state is State.DOWN
    assert stage.find("mx3", Verdict.TIMEOUT).health.state is State.DOWN


async def test_members_that_fall_one_after_the_other_are_believed() -> None:
    """An hour apart they have nothing in common."""
    stage = Stage("mx1", "mx2", "mx3")
    for name in ("mx1", "mx2"):
        assert stage.find(name, Verdict.TIMEOUT).health.state is State.DOWN
        stage.now += 3600
    assert await stage.told(EventKind.ALERT) == []


async def test_a_member_far_slower_than_its_pool_gets_less() -> None:
    """It is published with a part of its weight, for it would hold every sender up that comes to it."""
    stage = Stage("mx1", "mx2", "mx3")
    for name in ("mx1", "mx2"):
        stage.find(name, Verdict.OK, ms=5.0)
    assert stage.find("mx3", Verdict.SLOW, ms=5000.0).portion.percent == 10
    assert stage.standings["mx3"].portion.slow
    assert stage.standings["mx1"].portion.percent == 100


def _greet(stage: Stage, **greetings: float) -> list[int]:
    """Let probes find members well until what is known of them is no more than their last greetings."""
    for name, ms in greetings.items():
        stage.standings[name].health = replace(stage.standings[name].health, smoothed_ms=ms)
    for name, ms in greetings.items():
        stage.find(name, Verdict.OK, ms=ms)
    return [standing.portion.percent for standing in stage.standings.values()]


async def test_with_policy_latency_members_get_by_their_greetings() -> None:
    """Each by its own next probe; answers are touched when a weight changes, and not by each greeting."""
    stage = Stage("mx1", "mx2", "mx3")
    stage.pool = replace(stage.pool, policy=Policy.LATENCY)
    assert _greet(stage, mx1=40.0, mx2=80.0, mx3=400.0) == [100, 50, 25]
    stage.publisher.pools.clear()
    assert _greet(stage, mx1=42.0, mx2=77.0, mx3=300.0) == [100, 50, 25]
    assert stage.publisher.pools == []
    assert stage.standings["mx2"].portion.why == "it greets after 80 ms, the fastest after 40 ms"


async def test_with_another_policy_latency_is_shown_only() -> None:
    """A member that greets ten times later than the others is well."""
    stage = Stage("mx1", "mx2", "mx3")
    assert _greet(stage, mx1=4.0, mx2=40.0, mx3=400.0) == [100, 100, 100]


async def test_who_leaves_is_no_rival_in_the_next_answers() -> None:
    """The weights of the others are right when the drain is published, and no second later."""
    stage = Stage("mx1", "mx2", "mx3")
    stage.pool = replace(stage.pool, policy=Policy.LATENCY)
    for name, ms in (("mx1", 40.0), ("mx2", 80.0), ("mx3", 160.0)):
        stage.find(name, Verdict.OK, ms=ms)
    stage.standings["mx1"].admin = Admin(AdminState.DRAIN)
    stage.observer.admin_changed("inbound")
    assert stage.standings["mx2"].portion == WHOLE
    assert stage.standings["mx3"].portion == Portion(50, "it greets after 160 ms, the fastest after 80 ms", outrun=True)


async def test_who_has_nothing_to_do_is_not_the_fastest() -> None:
    """Nobody is compared with a drained member or one of a worse tier, and these are with all that work."""
    stage = Stage("mx1", "mx2", "mx3", "mx4", spares=("mx3", "mx4"))
    stage.pool = replace(stage.pool, policy=Policy.LATENCY)
    stage.standings["mx1"].admin = Admin(AdminState.DRAIN)
    assert _greet(stage, mx1=11.0, mx2=100.0, mx3=20.0, mx4=200.0)[1:] == [100, 100, 25]


async def test_a_rack_that_dies_is_out_at_once() -> None:
    """Half of a pool, and no sign that the prober is at fault."""
    stage = Stage("mx1", "mx2", "mx3", "mx4", rack=("mx1", "mx2"))
    assert [stage.find(name, Verdict.TIMEOUT).health.state for name in ("mx1", "mx2")] == [State.DOWN, State.DOWN]
    assert [stage.find(name, Verdict.TIMEOUT).health.state for name in ("mx3", "mx4")] == [State.UP, State.UP]


async def test_a_member_that_comes_back_begins_with_a_tenth() -> None:
    """Its weight rises by steps, without waiting for probes, until it is whole."""
    stage = Stage("mx1", "mx2", "mx3", slow_start=100.0)
    stage.find("mx1", Verdict.REFUSED)
    stage.now += 3600
    assert stage.find("mx1", Verdict.OK).portion.percent == 10
    seen = []
    for _ in range(10):
        stage.now += 10
        stage.observer.follow_clock()
        seen.append(stage.standings["mx1"].portion.percent)
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert len(set(seen)) > 5


async def test_what_a_person_has_to_mend_is_told_once() -> None:
    """Not with each probe that finds the same; again when it comes back."""
    stage = Stage("mx1", "mx2", "mx3")
    for verdict in (Verdict.PROBE_LIMITED, Verdict.PROBE_LIMITED, Verdict.OK, Verdict.PROBE_LIMITED):
        stage.find("mx1", verdict)
    limited = "mx1: probe_limited: probe_limited"
    assert await stage.told(EventKind.ALERT) == [limited, "mx1: probe_limited no more", limited]
    assert stage.standings["mx1"].health.state is State.UP


async def test_what_a_reload_no_longer_asks_for_is_wrong_no_longer() -> None:
    """A recipient that the probe has lost would never be found well again."""
    stage = Stage("mx1", "mx2", "mx3")
    fault = Fault(Aspect.RECIPIENT, Verdict.REJECTS_DOMAIN, "550 no", alert=True)
    stage.standings["mx1"].health = Health(State.DOWN, Verdict.REJECTS_DOMAIN, faults=(fault,))
    assert stage.find("mx1", Verdict.OK).health.state is State.UP


async def test_a_member_under_suspicion_is_told_of_once() -> None:
    """When the first probe fails, not with each one that says nothing new."""
    stage = Stage("mx1", "mx2", "mx3", fall=3)
    with capture_logs() as logs:
        for verdict in (Verdict.REFUSED, Verdict.PROBE_LIMITED, Verdict.PROBE_LIMITED):
            stage.find("mx1", verdict)
    assert [line["event"] for line in logs].count("member_suspected") == 1


async def test_a_bad_answer_to_a_question_of_ours_has_all_the_others_asked() -> None:
    """At once, and once: else the pool would shrink to the last that is asked before the question is suspect."""
    stage = Stage("mx1", "mx2", "mx3", fall=3)
    for name in ("mx1", "mx1", "mx2"):
        stage.find(name, Verdict.REJECTS_DOMAIN)
    assert stage.asked == [("inbound", "mx2", "recipient"), ("inbound", "mx3", "recipient")]


async def test_when_one_comes_back_the_others_that_are_down_are_asked() -> None:
    """Those that have been down for long would be probed a minute later, and the first one have all the mail."""
    stage = Stage("mx1", "mx2", "mx3")
    for name in ("mx1", "mx2"):
        stage.find(name, Verdict.REFUSED)
        stage.now += 3600
    stage.find("mx1", Verdict.OK)
    assert stage.asked == [("inbound", "mx2")]


async def test_where_one_takes_a_login_again_the_others_are_asked_for_it_too() -> None:
    """In their own time that would be an hour later, and the first one have all the mail until then."""
    stage = Stage("mx1", "mx2", "mx3")
    for name in ("mx1", "mx2"):
        stage.find(name, Verdict.AUTH_FAILED)
    stage.asked.clear()
    stage.find("mx1", Verdict.OK)
    assert stage.asked == [("inbound", "mx2", "all")]


async def test_what_a_probe_does_not_look_at_is_not_mended_by_it() -> None:
    """A sender that is turned away at MAIL is turned away still when the next probe says EHLO and goes."""
    stage = Stage("mx1", "mx2")
    for _ in range(2):
        stage.find("mx1", Verdict.PROBE_BLOCKED, aspect=Aspect.RECIPIENT)
        stage.find("mx1", Verdict.OK)
    assert await stage.told(EventKind.ALERT) == ["mx1: probe_blocked: probe_blocked"]


async def test_what_is_not_sure_yet_alerts_nobody() -> None:
    """A first failure is confirmed before people are told, and they are told when it is mended."""
    stage = Stage("mx1", "mx2", "mx3", fall=2)
    stage.find("mx1", Verdict.REJECTS_DOMAIN)
    assert await stage.told(EventKind.ALERT) == []
    stage.find("mx1", Verdict.REJECTS_DOMAIN)
    assert await stage.told(EventKind.ALERT) == ["mx1: rejects_domain: rejects_domain"]
    stage.find("mx1", Verdict.OK, examined=frozenset(Aspect))
    assert (await stage.told(EventKind.ALERT))[1:] == ["mx1: rejects_domain no more"]


async def test_the_last_of_a_busy_pool_does_not_get_all_the_mail() -> None:
    """A member that is busy for long leaves when another one has time, and stays while all are busy."""
    stage = Stage("mx1", "mx2")
    for _ in range(8):
        for name in ("mx1", "mx2"):
            stage.find(name, Verdict.BUSY)
        stage.now += 10
    assert [standing.health.state for standing in stage.standings.values()] == [State.BUSY, State.BUSY]
    stage.find("mx2", Verdict.OK)
    assert stage.find("mx1", Verdict.BUSY).health.state is State.DRAINING


@pytest.mark.parametrize("verdict", [Verdict.AUTH_FAILED, Verdict.REJECTS_DOMAIN, Verdict.TLS_INVALID])
async def test_a_bad_answer_to_a_question_is_not_held_up(verdict: Verdict) -> None:
    """The network does not make up such answers, and a refused login is asked for again only after an hour."""
    stage = Stage("mx1", "mx2", "mx3")
    for name in ("mx1", "mx2"):
        assert stage.find(name, verdict).health.state is State.DOWN


async def test_a_server_with_ever_new_warnings_fills_no_log() -> None:
    """Eight are told and kept."""
    stage = Stage("mx1", "mx2")
    for number in range(30):
        stage.find("mx1", Verdict.OK, warnings=(f"strange octet {number}",))
    assert len(stage.standings["mx1"].warnings) <= 8


@pytest.mark.parametrize("times", [1, 3])
async def test_a_warning_is_told_once(times: int) -> None:
    """A certificate that ends in ten days is news only once."""
    stage = Stage("mx1", "mx2")
    for _ in range(times):
        stage.find("mx1", Verdict.OK, warnings=("its certificate ends in 10 days",))
    assert await stage.told(EventKind.ALERT) == ["mx1: its certificate ends in 10 days"]
    assert stage.standings["mx1"].warnings == {"its certificate ends in 10 days"}


# TTLs


async def test_a_failure_makes_a_ttl_short_and_its_end_long_again() -> None:
    """With the first failure; once the member is out and silent, or well, nothing more is near."""
    for last in (Verdict.REFUSED, Verdict.OK):
        stage = Stage("mx1", "mx2", "mx3", fall=2)
        stage.steps = (120, 60, 30, 15, 10)
        assert stage.find("mx1", Verdict.REFUSED).outlook == Outlook(10, "fails, and is being confirmed")
        assert stage.find("mx1", last).outlook is None
        assert stage.publisher.pools == ["inbound", "inbound"]


async def test_an_announced_drain_is_come_nearer_to_by_steps() -> None:
    """Each second the clock is looked at, and the pool published where a TTL would be another, and nowhere else."""
    stage = Stage("mx1", "mx2")
    stage.steps = (120, 60, 30, 15, 10)
    stage.standings["mx1"].leaves_at = START + 200
    seen = []
    for second in range(210):
        stage.now = START + second
        before = len(stage.publisher.pools)
        stage.observer.follow_clock()
        if len(stage.publisher.pools) > before:
            outlook = stage.standings["mx1"].outlook
            seen.append((200 - second, outlook and outlook.seconds))
    assert seen == [(119, 60), (59, 30), (29, 15), (14, 10)]


async def test_a_drain_that_is_called_off_makes_ttls_long_again() -> None:
    """With the next look at the clock."""
    stage = Stage("mx1", "mx2")
    stage.steps = (120, 60)
    stage.standings["mx1"].leaves_at = START + 60
    stage.observer.follow_clock()
    stage.standings["mx1"].leaves_at = None
    stage.observer.follow_clock()
    assert stage.standings["mx1"].outlook is None
    assert stage.publisher.pools == ["inbound", "inbound"]


async def test_a_clock_that_is_set_moves_the_steps_and_harms_nothing() -> None:
    """The staircase is where the clock is, back and forth."""
    stage = Stage("mx1", "mx2")
    stage.steps = (120, 60, 30)
    stage.standings["mx1"].leaves_at = START + 70
    seen = []
    for jump in (0, 1e9, -1e9, 45, 0):
        stage.now = START + jump
        stage.observer.follow_clock()
        outlook = stage.standings["mx1"].outlook
        seen.append(outlook and outlook.seconds)
    assert seen == [60, 30, None, 30, 60]


async def test_a_busy_minute_is_counted_down_between_probes() -> None:
    """A probe may come only once in a minute, and the member leaves with the next one."""
    stage = Stage("mx1", "mx2")
    stage.steps = (40, 20, 10)
    stage.find("mx1", Verdict.BUSY)
    seen = []
    for _ in range(6):
        outlook = stage.standings["mx1"].outlook
        seen.append(outlook and outlook.seconds)
        stage.now += 11
        stage.observer.follow_clock()
    assert seen == [None, None, 20, 20, 10, 10]


async def test_a_slow_start_shortens_ttls_towards_each_of_its_steps() -> None:
    """And makes them long again behind the last one."""
    stage = Stage("mx1", "mx2", "mx3", slow_start=270.0)
    stage.steps = (60, 30, 15)
    stage.find("mx1", Verdict.REFUSED)
    stage.find("mx1", Verdict.OK)
    assert stage.standings["mx1"].outlook == Outlook(30, "gets its weight back by steps")
    stage.now += 10
    stage.observer.follow_clock()
    assert stage.standings["mx1"].outlook == Outlook(15, "gets its weight back by steps")
    stage.now += 270
    stage.observer.follow_clock()
    assert stage.standings["mx1"].outlook is None


async def test_a_pool_of_fixed_ttls_is_published_as_if_nothing_were_seen_coming() -> None:
    """Not one time more: nobody would see a difference."""
    stage = Stage("mx1", "mx2", "mx3", fall=3)
    stage.standings["mx1"].leaves_at = START + 3
    for second in range(5):
        stage.now = START + second
        stage.observer.follow_clock()
    assert stage.publisher.pools == []
    stage.find("mx2", Verdict.REFUSED)
    assert stage.standings["mx2"].outlook is None
    stage.publisher.pools.clear()
    stage.find("mx2", Verdict.REFUSED)
    assert stage.publisher.pools == []


async def test_a_reload_that_fixes_ttls_ends_what_was_seen_coming() -> None:
    """The next look at the clock does, without a probe."""
    stage = Stage("mx1", "mx2", fall=3)
    stage.steps = (120, 60)
    assert stage.find("mx1", Verdict.REFUSED).outlook is not None
    stage.steps = ()
    stage.observer.follow_clock()
    assert stage.standings["mx1"].outlook is None
