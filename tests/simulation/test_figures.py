"""How far members are from what is wanted: the table of the design, and what the project promises."""

from dataclasses import replace
from fractions import Fraction

import pytest

from dnslb.answer.service import ServiceType
from dnslb.pool.health import Thresholds
from dnslb.simulation.authorities import Authority, Workers
from dnslb.simulation.faults import Fault
from dnslb.simulation.figures import Scene, simulate, wanted_of
from dnslb.simulation.resolvers import Spread
from dnslb.simulation.traffic import Crowd
from tests.conftest import member, pool, service

_POOL = pool(*(member(f"mx{n}", f"192.0.2.{n}", weight=weight) for n, weight in enumerate((5, 3, 1, 1), 1)))
_ZIPF, _ONE = Spread(zipf=True), Spread(percents=(Fraction(40),))
_THRESHOLDS = Thresholds(rise=2, fall=3, interval=10.0)


def _scene(spread: Spread = _ZIPF, minutes: int = 15, records: int = 1, faults: tuple[Fault, ...] = ()) -> Scene:
    crowd = Crowd(50, spread, rate=10.0)
    kind = service(records=records, ttl=60)
    return Scene(kind, _POOL, _THRESHOLDS, crowd, 60.0 * minutes, faults)


@pytest.mark.parametrize(
    ("spread", "minutes", "draws", "one_ring", "turns"),
    [
        pytest.param(_ZIPF, 15, 4.4, 3.5, 1.3, id="zipf-15"),
        pytest.param(_ZIPF, 60, 2.2, 1.8, 0.3, id="zipf-60"),
        pytest.param(_ONE, 15, 5.9, 5.8, 2.0, id="one-15"),
        pytest.param(_ONE, 60, 3.1, 2.9, 0.3, id="one-60"),
    ],
)
def test_the_largest_error_of_any_member(
    spread: Spread, minutes: int, draws: float, one_ring: float, turns: float
) -> None:
    """50 resolvers, weights 5:3:1:1, TTL 60: points of error with random draws, one ring for all, a turn for each."""
    expected = {Authority.GDNSD: draws, Authority.ONE_RING: one_ring, Authority.DNSLB: turns}
    found = {kind: 100 * simulate(_scene(spread, minutes), kind, runs=100).largest for kind in expected}
    assert found[Authority.GDNSD] == pytest.approx(draws, abs=0.6)
    assert found[Authority.ONE_RING] == pytest.approx(one_ring, abs=0.6)
    assert found[Authority.DNSLB] == pytest.approx(turns, abs=0.2)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_turn_for_each_resolver_keeps_the_promise(workers: int) -> None:
    """After 15 minutes with one resolver of 40 %: at most 2.2 points with one record, much less with two."""
    # So many messages that chance plays no part in where they go.
    one, two = (
        replace(_scene(_ONE, records=records), crowd=Crowd(50, _ONE, rate=100.0), workers=Workers(workers))
        for records in (1, 2)
    )
    assert 100 * simulate(one, runs=150).largest <= 2.2
    assert 100 * simulate(two, runs=50).largest <= 1.0


def test_steering_is_worth_it() -> None:
    """With four workers that each query may come to, a big resolver's turns do not even out."""
    unsteered = replace(_scene(_ONE), workers=Workers(4, steered=False))
    assert 100 * simulate(unsteered, runs=50).largest > 3


def test_shares_are_right_on_average() -> None:
    """No member is favoured: the mean of many runs is what is wanted, by each type of service."""
    for kind in (service(records=2, ttl=60), service(kind=ServiceType.MX, ttl=60), service(kind=ServiceType.SRV)):
        scene = Scene(kind, _POOL, _THRESHOLDS, Crowd(50, _ZIPF, rate=10.0), 900.0)
        for got in simulate(scene, runs=100).members.values():
            assert got.share == pytest.approx(got.wanted, abs=0.006)
            assert got.error <= 0.03


def test_who_shuffles_all_records_has_no_weights() -> None:
    """Round robin and CoreDNS's weights are evened out by what caches and senders do to the order."""
    for kind in (Authority.ROUND_ROBIN, Authority.COREDNS):
        shares = [got.share for got in simulate(_scene(), kind, runs=3).members.values()]
        assert shares == pytest.approx([0.25] * 4, abs=0.02)


def test_wanted_follows_the_answers_through_a_fault() -> None:
    """Out for a third of the time, a member of half the weight should have a third; the others share the rest."""
    wanted = wanted_of(_scene(minutes=60, faults=(Fault("mx1", 592, 1792),)))
    assert sum(wanted.values()) == pytest.approx(1)
    assert wanted["mx1"] == pytest.approx(1 / 3, abs=0.006)
    assert wanted["mx2"] / wanted["mx3"] == pytest.approx(3)


def test_a_fault_costs_time_and_no_shares() -> None:
    """What members get through a fault is what the answers say, but for what caches hold."""
    found = simulate(_scene(minutes=60, records=2, faults=(Fault("mx1", 600, 1800),)), runs=20)
    assert found.largest < 0.02
    assert found.members["mx1"].refused > 0
    assert found.deferred == 0


def test_the_seed_decides() -> None:
    """The same one gives the same figures, another one others."""
    assert simulate(_scene(), runs=2) == simulate(_scene(), runs=2)
    assert simulate(_scene(), runs=2) != simulate(_scene(), runs=2, seed=2)


def test_each_run_is_told_of() -> None:
    """For a sign of life."""
    told: list[int] = []
    simulate(_scene(minutes=1), runs=3, after_run=lambda: told.append(1))
    assert len(told) == 3
