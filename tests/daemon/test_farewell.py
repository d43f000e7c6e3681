"""When a member may be stopped: nobody may have it any more, neither a cache nor a client."""

from dataclasses import replace

import pytest

from dnslb.answer.service import Ttl
from dnslb.daemon.farewell import Countdown, Farewells
from dnslb.pool.admin import AdminState
from dnslb.pool.health import State
from dnslb.pool.selection import Selection, select
from dnslb.publisher import Publication
from tests.conftest import candidate, pool, service

KEY = ("inbound", "mx1")
EPOCH = 1_000_000.0


class Stage:
    """Farewells with two clocks that the test turns: one for itself, one on the wall."""

    def __init__(self) -> None:
        self.now = 100.0
        self.wall = EPOCH
        self.boot = "a boot"
        self.farewells = Farewells(lambda: self.now, lambda: self.wall, boot=self.boot)
        self.before: Selection | None = None

    def restart(self, ttl: int | Ttl = 60, *, killed: bool = False) -> None:
        """Begin the next run with what the last one has left, its workers too if it was killed."""
        remembered = self.farewells.leavings()
        self.farewells = Farewells(lambda: self.now, lambda: self.wall, boot=self.boot, remembered=remembered)
        self.before = None
        self.farewells.configure([service(ttl=ttl)])
        if killed:
            self.farewells.follow()

    def pass_time(self, seconds: float) -> None:
        """Turn both clocks."""
        self.now += seconds
        self.wall += seconds

    def publish(self, mx1: AdminState, changes_in: float | None = None) -> None:
        """Let the workers answer with mx2, which is ready, and with mx1 as people want it."""
        candidates = [candidate("mx1", State.UP, mx1), candidate("mx2", State.UP)]
        after = select(pool(*(each.member for each in candidates)), candidates, frozenset())
        after = replace(after, changes_in=changes_in)
        self.farewells.coming({"inbound": after})
        self.farewells.published(Publication(1, {}, {"inbound": (self.before, after)}, None))
        self.before = after

    def countdown(self) -> Countdown:
        """Return mx1's, whose clients keep connections for five minutes."""
        return self.farewells.countdown(KEY, 300)


@pytest.fixture
def stage() -> Stage:
    """Give a pool that two services answer from, the longer of which for a minute."""
    made = Stage()
    made.farewells.configure([service(ttl=60), service("relay.lb.test", ttl=5)])
    made.publish(AdminState.READY)
    return made


def test_caches_go_first_and_then_clients(stage: Stage) -> None:
    """The longest TTL of the pool's services, and then as long as clients keep their connections."""
    stage.pass_time(10)
    stage.publish(AdminState.DRAIN)
    stage.pass_time(359)
    assert stage.countdown() == Countdown(EPOCH + 10, EPOCH + 70, EPOCH + 370, safe_to_stop=False)
    stage.pass_time(1)
    assert stage.countdown().safe_to_stop


def test_who_is_still_given_out_is_never_safe_to_stop(stage: Stage) -> None:
    """A drained member that nothing better can stand in for stays in the answers: the last one is now."""
    stage.pass_time(3600)
    assert stage.countdown() == Countdown(EPOCH + 3600, None, None, safe_to_stop=False)


def test_another_change_of_the_pool_does_not_begin_the_countdown_anew(stage: Stage) -> None:
    """What counts is when the member left."""
    stage.publish(AdminState.DRAIN)
    stage.pass_time(200)
    stage.publish(AdminState.DRAIN)
    assert stage.countdown().last_answer == EPOCH


def test_who_comes_back_and_leaves_again_counts_from_then(stage: Stage) -> None:
    """The second leaving is the one that matters."""
    stage.publish(AdminState.DRAIN)
    stage.pass_time(50)
    stage.publish(AdminState.READY)
    stage.pass_time(50)
    stage.publish(AdminState.DRAIN)
    assert stage.countdown().last_answer == EPOCH + 100


def test_a_ttl_that_was_longer_still_counts(stage: Stage) -> None:
    """Caches keep an answer for the TTL that it was given with, whatever a reload has made of it since."""
    stage.farewells.configure([service(ttl=5)])
    stage.publish(AdminState.READY)
    stage.pass_time(20)
    stage.publish(AdminState.DRAIN)
    assert stage.countdown().caches_expire == EPOCH + 60


def test_a_ttl_that_has_become_short_in_time_leaves_only_itself(stage: Stage) -> None:
    """Where the TTL goes down by halves before a drain, no cache has the member for longer than the shortest one."""
    stage.farewells.configure([service(ttl=Ttl(10, 120))])
    stage.publish(AdminState.READY)
    for left in (119, 59, 29, 14, 9):
        stage.pass_time(EPOCH + 600 - left - stage.wall)
        stage.publish(AdminState.READY, changes_in=left)
    stage.pass_time(9)
    stage.publish(AdminState.DRAIN)
    assert stage.countdown().last_answer == EPOCH + 600
    assert stage.countdown().caches_expire == EPOCH + 610


def test_an_answer_from_before_the_ttl_was_short_may_outlive_those_after(stage: Stage) -> None:
    """A drain that nobody has announced: the last long answer counts, from when the TTL became shorter."""
    stage.farewells.configure([service(ttl=Ttl(10, 120))])
    stage.publish(AdminState.READY)
    stage.pass_time(500)
    stage.publish(AdminState.READY, changes_in=3)
    stage.pass_time(30)
    stage.publish(AdminState.DRAIN)
    assert stage.countdown().last_answer == EPOCH + 530
    assert stage.countdown().caches_expire == EPOCH + 620


def test_a_step_of_the_wall_clock_changes_no_countdown(stage: Stage) -> None:
    """The times that are told move with the clock, how long it takes does not."""
    stage.publish(AdminState.DRAIN)
    stage.wall += 86_400
    assert not stage.countdown().safe_to_stop
    assert stage.countdown().last_answer == EPOCH + 86_400
    stage.wall -= 2 * 86_400
    stage.pass_time(360)
    assert stage.countdown().safe_to_stop


def test_who_was_out_at_the_start_counts_from_the_start() -> None:
    """The daemon before may have given it out until its last moment."""
    stage = Stage()
    stage.farewells.configure([service(ttl=60)])
    stage.publish(AdminState.DRAIN)
    assert stage.countdown() == Countdown(EPOCH, EPOCH + 60, EPOCH + 360, safe_to_stop=False)


def test_a_restart_keeps_when_a_member_left(stage: Stage) -> None:
    """Nobody has given it out meanwhile: who was safe to stop stays so, also before the first answer."""
    stage.publish(AdminState.DRAIN)
    stage.pass_time(350)
    stage.restart()
    assert stage.countdown() == Countdown(EPOCH, EPOCH + 60, EPOCH + 360, safe_to_stop=False)
    stage.pass_time(10)
    assert stage.countdown().safe_to_stop
    stage.publish(AdminState.DRAIN)
    assert stage.countdown() == Countdown(EPOCH, EPOCH + 60, EPOCH + 360, safe_to_stop=True)


def test_a_shorter_ttl_over_a_restart_does_not_end_a_countdown(stage: Stage) -> None:
    """Whether the member left before it or after: caches keep what the run before gave out until its end."""
    stage.publish(AdminState.DRAIN)
    stage.pass_time(1)
    stage.restart(ttl=3)
    stage.publish(AdminState.DRAIN)
    assert stage.countdown().caches_expire == EPOCH + 60

    stage.publish(AdminState.READY)
    stage.pass_time(10)
    stage.publish(AdminState.DRAIN)
    assert stage.countdown() == Countdown(EPOCH + 11, EPOCH + 61, EPOCH + 361, safe_to_stop=False)


def test_a_ttl_that_was_longer_before_a_reload_counts_after_a_restart(stage: Stage) -> None:
    """Once, that is: a run that has only given out the short one leaves no more than that, and the rest of the long."""
    stage.farewells.configure([service(ttl=5)])
    stage.publish(AdminState.READY)
    stage.pass_time(10)
    stage.restart(ttl=5)
    stage.publish(AdminState.DRAIN)
    assert stage.countdown().caches_expire == EPOCH + 60
    stage.pass_time(100)
    stage.publish(AdminState.READY)
    stage.restart(ttl=5)
    stage.publish(AdminState.DRAIN)
    assert stage.countdown().caches_expire == EPOCH + 115


def test_a_ttl_that_was_short_for_a_change_may_have_been_long_until_a_kill(stage: Stage) -> None:
    """What is on disk is the longest: to write each step down would be a write for each failed probe."""
    stage.farewells.configure([service(ttl=Ttl(10, 120))])
    stage.publish(AdminState.READY, changes_in=3)
    stage.restart(ttl=10)
    stage.publish(AdminState.DRAIN)
    assert stage.countdown().caches_expire == EPOCH + 120


def test_what_is_to_be_given_out_is_known_before(stage: Stage) -> None:
    """A kill between the first worker that gives it out and the last must find it on disk; what ends need not."""
    candidates = [candidate("mx1", State.UP), candidate("mx2", State.UP, AdminState.DRAIN)]
    coming = {"inbound": select(pool(*(each.member for each in candidates)), candidates, frozenset())}
    assert not stage.farewells.coming(coming)

    stage.publish(AdminState.DRAIN)
    assert stage.farewells.coming(coming)
    assert KEY not in stage.farewells.leavings().members

    stage.farewells.configure([service(ttl=5)])
    assert not stage.farewells.coming(coming)
    assert stage.farewells.leavings().pools["inbound"].ttl == 60
    stage.farewells.configure([service(ttl=600)])
    assert stage.farewells.coming(coming)
    assert stage.farewells.leavings().pools["inbound"].ttl == 600


def test_workers_left_behind_give_out_until_they_have_gone(stage: Stage) -> None:
    """A member that is out of our answers only counts from then, by the TTL that they give out; others' times stay."""
    stage.publish(AdminState.DRAIN)
    stage.restart(ttl=0, killed=True)
    stage.publish(AdminState.DRAIN)
    assert stage.countdown().last_answer == EPOCH
    stage.publish(AdminState.READY)
    stage.restart(ttl=0, killed=True)
    stage.publish(AdminState.DRAIN)
    stage.pass_time(4)
    assert stage.farewells.countdown(KEY, 0) == Countdown(EPOCH + 4, EPOCH + 64, EPOCH + 64, safe_to_stop=False)
    assert stage.farewells.leavings().members == {}
    stage.farewells.predecessors_gone()
    stage.pass_time(4)
    assert stage.farewells.countdown(KEY, 0) == Countdown(EPOCH + 4, EPOCH + 64, EPOCH + 64, safe_to_stop=False)
    stage.pass_time(56)
    assert stage.farewells.countdown(KEY, 0).safe_to_stop


def test_until_the_first_answer_nobody_else_is_safe_to_stop(stage: Stage) -> None:
    """A member that the run before did not see leave may be in its last answers."""
    stage.restart(ttl=5)
    stage.pass_time(2)
    assert stage.farewells.countdown(KEY, 0) == Countdown(EPOCH + 2, EPOCH + 62, EPOCH + 62, safe_to_stop=False)


@pytest.mark.parametrize("step", [-86_400, 86_400])
def test_a_clock_that_is_set_between_two_runs_ends_no_countdown(stage: Stage, step: int) -> None:
    """Back or forth: what it takes until then is as long as it was, or longer."""
    stage.publish(AdminState.DRAIN)
    stage.pass_time(300)
    remembered = stage.farewells.leavings()
    assert KEY in remembered.members
    stage.wall += step
    stage.pass_time(20)
    stage.farewells = Farewells(lambda: stage.now, lambda: stage.wall, boot=stage.boot, remembered=remembered)
    stage.pass_time(39)
    assert not stage.countdown().safe_to_stop
    stage.pass_time(21)
    assert stage.countdown().safe_to_stop


def test_a_machine_that_was_started_anew_goes_on_where_the_countdown_was(stage: Stage) -> None:
    """Its steady clock says nothing of the time between, and the other one may have been set."""
    stage.publish(AdminState.DRAIN)
    stage.pass_time(300)
    stage.boot, stage.now, remembered = "another", 5.0, stage.farewells.leavings()
    stage.wall += 3600
    stage.farewells = Farewells(lambda: stage.now, lambda: stage.wall, boot=stage.boot, remembered=remembered)
    stage.pass_time(59)
    assert not stage.countdown().safe_to_stop
    stage.pass_time(1)
    assert stage.countdown().safe_to_stop


def test_who_is_removed_is_forgotten_with_the_last_cache(stage: Stage) -> None:
    """Not before: it may be configured again, and then it counts from when it left."""
    stage.publish(AdminState.DRAIN)
    stage.pass_time(59)
    stage.farewells.forget_removed({("inbound", "mx2")})
    assert KEY in stage.farewells.leavings().members
    stage.pass_time(1)
    stage.farewells.forget_removed({("inbound", "mx2")})
    assert not stage.farewells.leavings().members


def test_who_stays_configured_is_not_forgotten(stage: Stage) -> None:
    """A member may be drained for months, and is safe to stop all the time."""
    stage.publish(AdminState.DRAIN)
    stage.pass_time(3600)
    stage.farewells.forget_removed({KEY, ("inbound", "mx2")})
    assert stage.countdown().safe_to_stop


def test_a_pool_that_is_removed_is_forgotten_with_the_last_cache(stage: Stage) -> None:
    """Its last answers may have been given out right before the reload."""
    stage.pass_time(1000)
    stage.farewells.configure([])
    stage.farewells.forget_removed(set())
    assert stage.farewells.leavings().pools["inbound"].horizon == stage.now + 60
    stage.pass_time(60)
    stage.farewells.forget_removed(set())
    assert not stage.farewells.leavings().pools
