"""When the answers know of a fault: the daemon's rules of health, selection and slow start, in virtual time."""

from itertools import pairwise

from dnslb.pool.health import Thresholds
from dnslb.pool.member import AllDown
from dnslb.pool.outlook import step_at
from dnslb.pool.selection import best_tier
from dnslb.simulation.faults import Epoch, Fault, Rules, epochs_of
from tests.conftest import member, pool

_THRESHOLDS = Thresholds(rise=2, fall=3, interval=10.0)
_MEMBERS = (member("mx1", weight=2), member("mx2"))


def _published(epoch: Epoch) -> dict[str, int]:
    return {choice.member.name: choice.weight for choice in epoch.selection.published}


def test_nothing_happens_without_a_fault() -> None:
    """One epoch, with all members up."""
    (epoch,) = epochs_of(Rules(pool(*_MEMBERS), _THRESHOLDS), (), 3600)
    assert (epoch.begin, _published(epoch), epoch.refusing) == (0.0, {"mx1": 2, "mx2": 1}, frozenset())


def test_a_member_is_out_when_probes_have_found_out() -> None:
    """The first probe comes half an interval after the fault, two more confirm it after 1 s and 2 s; back by `rise`."""
    found = epochs_of(Rules(pool(*_MEMBERS), _THRESHOLDS), [Fault("mx1", 600, 700)], 3600)
    assert [(epoch.begin, sorted(_published(epoch)), sorted(epoch.refusing)) for epoch in found] == [
        (0, ["mx1", "mx2"], []),
        (600, ["mx1", "mx2"], ["mx1"]),
        (608, ["mx2"], ["mx1"]),
        (700, ["mx2"], []),
        (718, ["mx1", "mx2"], []),
    ]


def test_a_short_fault_is_not_noticed() -> None:
    """Between two probes, nobody takes the member out, and mail finds it closed all the same."""
    found = epochs_of(Rules(pool(*_MEMBERS), _THRESHOLDS), [Fault("mx2", 100, 104)], 3600)
    assert [(epoch.begin, len(epoch.selection.published)) for epoch in found] == [(0, 2), (100, 2), (104, 2)]


def test_two_faults_of_one_member_are_one_after_the_other() -> None:
    """It is out twice; the second time a probe comes after 8 s, as it happens."""
    faults = [Fault("mx2", 100, 200), Fault("mx2", 1000, 1100)]
    found = epochs_of(Rules(pool(*_MEMBERS), _THRESHOLDS), faults, 3600)
    assert [epoch.begin for epoch in found if len(epoch.selection.published) == 1] == [108, 200, 1011, 1100]


def test_tiers_open_by_need() -> None:
    """While one of two is out the spare stands beside the other, in the same tier."""
    of = pool(*_MEMBERS, member("spare", tier=2), tier_min=2)
    found = epochs_of(Rules(of, _THRESHOLDS), [Fault("mx1", 600, 700)], 3600)
    joined = [(epoch.begin, [c.member.name for c in best_tier(epoch.selection.published)]) for epoch in found]
    assert joined == [
        (0, ["mx1", "mx2"]),
        (600, ["mx1", "mx2"]),
        (608, ["mx2", "spare"]),
        (700, ["mx2", "spare"]),
        (718, ["mx1", "mx2"]),
    ]


def test_a_slow_start_brings_it_back_by_steps() -> None:
    """From a tenth of its weight to all of it in the pool's time."""
    found = epochs_of(Rules(pool(*_MEMBERS, slow_start=90), _THRESHOLDS), [Fault("mx1", 600, 700)], 3600)
    back = [(epoch.begin, _published(epoch)["mx1"] / _published(epoch)["mx2"]) for epoch in found if epoch.begin > 700]
    assert [round(ratio, 3) for _, ratio in back] == [round(0.2 * step, 3) for step in range(1, 11)]
    assert back[-1][0] - back[0][0] == 90


def test_the_last_resort_is_that_of_the_pool() -> None:
    """With all members down, `last-good` keeps those that were published before, `servfail` none."""
    faults = [Fault("mx1", 100, 3600), Fault("mx2", 500, 3600)]
    last_good = epochs_of(Rules(pool(*_MEMBERS, all_down=AllDown.LAST_GOOD), _THRESHOLDS), faults, 3600)
    assert set(_published(last_good[-1])) == {"mx2"}
    servfail = epochs_of(Rules(pool(*_MEMBERS, all_down=AllDown.SERVFAIL), _THRESHOLDS), faults, 3600)
    assert not _published(servfail[-1])


def _ttls(steps: tuple[int, ...], *, slow_start: float = 0.0) -> list[tuple[float, int]]:
    """Return when the TTL in force changes, and to what, with a fault from 600 to 700."""
    rules = Rules(pool(*_MEMBERS, slow_start=slow_start), _THRESHOLDS, steps)
    found = [
        (epoch.begin, step_at(steps, epoch.selection.changes_in))
        for epoch in epochs_of(rules, [Fault("mx1", 600, 700)], 3600)
    ]
    return [now for before, now in pairwise([(0.0, 0), *found]) if now[1] != before[1]]


def test_the_ttl_falls_with_the_first_failure_and_is_long_again_when_the_member_is_out() -> None:
    """And once more between its first good probe and the one that brings it back."""
    assert _ttls((120, 60, 30, 15, 10)) == [(0, 120), (605, 10), (608, 120), (708, 10), (718, 120)]


def test_a_slow_start_has_the_ttl_go_down_before_each_step() -> None:
    """Nine steps of 30 s, before each of which it halves once; the daemon looks each second."""
    seen = _ttls((60, 30, 15), slow_start=270)
    back = [(round(at - 718, 6), ttl) for at, ttl in seen if at >= 718]
    assert back[:5] == [(0, 30), (1, 15), (30, 30), (31, 15), (60, 30)]
    assert back[-1] == (270, 60)


def test_fixed_ttls_add_no_epochs() -> None:
    """What is simulated is what it was."""
    with_steps, without = (
        epochs_of(Rules(pool(*_MEMBERS, slow_start=90), _THRESHOLDS, steps), [Fault("mx1", 600, 700)], 3600)
        for steps in ((120, 60), ())
    )
    assert len(with_steps) > len(without)
    assert all(epoch.selection.changes_in is None for epoch in without)
