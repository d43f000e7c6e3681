"""How what is known of who has left the answers is carried over to another run's clock."""

import pytest

from dnslb.pool.leaving import GivenOut, Instant, Leavings, Left

THEN = Instant("a boot", 100.0, 5000.0)


@pytest.mark.parametrize(
    ("now", "passed"),
    [
        (Instant("a boot", 130.0, 5030.0), 30.0),
        (Instant("a boot", 130.0, 9000.0), 30.0),
        (Instant("a boot", 130.0, 5010.0), 10.0),
        (Instant("a boot", 130.0, 10.0), 0.0),
        (Instant("another", 130.0, 5030.0), 0.0),
        (Instant("", 130.0, 5030.0), 0.0),
    ],
    ids=["both clocks", "set forward", "set back a little", "set back", "started anew", "unknown"],
)
def test_no_more_time_has_passed_than_is_sure(now: Instant, passed: float) -> None:
    """Of two clocks the one that moved less; none where only the one is left that anybody sets."""
    assert THEN.passed(now) == passed


def test_two_unknown_starts_are_not_the_same() -> None:
    """Without a name for the machine's start nothing says that the steady clock has gone on."""
    assert Instant("", 100.0, 5000.0).passed(Instant("", 130.0, 5030.0)) == 0.0


def test_what_is_carried_over_is_as_far_off_as_it_was() -> None:
    """Less the time that has surely passed, by the new clock."""
    leavings = Leavings(THEN, {"inbound": GivenOut(60, 150.0)}, {("inbound", "mx1"): Left(90.0, 140.0)})
    later, elsewhere = Instant("a boot", 120.0, 5020.0), Instant("another", 7.0, 9000.0)
    assert leavings.carried(later) == Leavings(later, leavings.pools, leavings.members)
    carried = leavings.carried(elsewhere)
    assert carried.pools == {"inbound": GivenOut(60, 57.0)}
    assert carried.members == {("inbound", "mx1"): Left(-3.0, 47.0)}
