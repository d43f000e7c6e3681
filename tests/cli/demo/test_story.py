"""The report follows from answers and times alone."""

import pytest

from dnslb.cli.demo.story import SURE, Story, report, shares

WEIGHTS = {"mx1": 50, "mx2": 30, "mx3": 20}
ALL = ("mx1", "mx2", "mx3")
OTHERS = ("mx3", "mx2")


def story() -> Story:
    """Return a story in which nothing has happened but one complete answer."""
    told = Story(WEIGHTS)
    told.answered_whole(ALL, 0.0)
    return told


def missing(told: Story, begin: float, count: int = SURE) -> None:
    """Tell of answers without mx1, a twentieth of a second apart."""
    for number in range(count):
        told.answered_whole(OTHERS, begin + number / 20)


def test_a_member_leaves_and_returns() -> None:
    """Both times run to the first answer that shows the change, not to the moment of being sure."""
    told = story()
    each = told.kill("mx1", 10.0)
    told.answered_whole(ALL, 12.9)
    missing(told, 13.1)
    assert each.left_after_ms == 3100.0
    each.restored_at = 20.0
    told.answered_whole(OTHERS, 20.5)
    told.answered_whole(ALL, 21.25)
    told.answered_whole(ALL, 21.5)
    assert each.returned_after_ms == 1250.0
    assert told.has_complete_round


def test_one_answer_without_it_is_not_enough() -> None:
    """As long as some worker still names the member it has not left."""
    told = story()
    each = told.kill("mx1", 10.0)
    missing(told, 11.0, SURE - 1)
    assert each.left_after_ms is None
    told.answered_whole(ALL, 12.0)
    missing(told, 13.0, SURE - 1)
    assert each.left_after_ms is None
    told.answered_one("mx1", 14.0)
    missing(told, 15.0)
    assert each.left_after_ms == 5000.0


def test_a_member_that_has_not_returned() -> None:
    """While answers are without the member after its return there is no time to report."""
    told = story()
    each = told.kill("mx1", 10.0)
    missing(told, 13.1)
    each.restored_at = 20.0
    told.answered_whole(OTHERS, 20.5)
    assert each.returned_after_ms is None


def test_an_answer_with_it_after_it_left_takes_that_back() -> None:
    """A member that shows up again while dead has not left."""
    told = story()
    each = told.kill("mx1", 10.0)
    missing(told, 11.0)
    told.answered_whole(ALL, 12.0)
    assert each.left_after_ms is None
    assert not told.has_complete_round


def test_shares_are_measured_while_all_is_calm() -> None:
    """Answers given during a round do not count against the weights, those before and after it do."""
    told = story()
    for _ in range(3):
        told.answered_one("mx1", 1.0)
    each = told.kill("mx1", 2.0)
    missing(told, 3.0)
    told.answered_one("mx2", 4.0)
    each.restored_at = 5.0
    told.answered_one("mx2", 5.5)
    told.answered_whole(ALL, 6.0)
    told.answered_one("mx3", 7.0)
    assert told.calm == {"mx1": 3, "mx3": 1}


def test_a_member_taken_out_by_hand_is_no_calm() -> None:
    """While an operator keeps a member out the answers do not count against the weights."""
    told = story()
    told.answered_whole(OTHERS, 1.0)
    told.answered_one("mx2", 1.5)
    assert told.calm == {}


def test_the_running_shares_start_anew_with_each_change() -> None:
    """What is shown as measured belongs to the members that are published now."""
    told = story()
    told.answered_one("mx1", 1.0)
    told.answered_whole(tuple(reversed(ALL)), 1.5)
    assert told.now == {"mx1": 1}
    told.answered_whole(OTHERS, 2.0)
    assert told.now == {}
    told.answered_one("mx2", 3.0)
    assert shares(told.now, WEIGHTS) == {"mx1": 0.0, "mx2": 1.0, "mx3": 0.0}


def test_report_of_a_round() -> None:
    """The report has the keys of the contract; the first complete round stands at its top."""
    told = story()
    told.kill("mx1", 1.0)
    told.rounds[0].restored_at = 2.0
    each = told.kill("mx2", 3.0)
    for number in range(SURE):
        told.answered_whole(("mx1", "mx3"), 4.0 + number / 20)
    each.restored_at = 5.0
    told.answered_whole(ALL, 5.5)
    for member, count in (("mx1", 5), ("mx2", 3), ("mx3", 2)):
        for _ in range(count):
            told.asked()
            told.answered_one(member, 6.0)
    assert report(told) == {
        "queries": 10,
        "answers": 22,
        "killed": "mx2",
        "left_after_ms": 1000.0,
        "returned_after_ms": 500.0,
        "members": {
            "mx1": {"weight": 50, "wanted": 0.5, "share": 0.5, "answers": 5},
            "mx2": {"weight": 30, "wanted": 0.3, "share": 0.3, "answers": 3},
            "mx3": {"weight": 20, "wanted": 0.2, "share": 0.2, "answers": 2},
        },
        "rounds": [
            {"killed": "mx1", "left_after_ms": None, "returned_after_ms": None},
            {"killed": "mx2", "left_after_ms": 1000.0, "returned_after_ms": 500.0},
        ],
    }


def test_report_of_nothing() -> None:
    """Without a round the times are null and shares are 0."""
    told = report(Story(WEIGHTS))
    assert (told["killed"], told["left_after_ms"], told["returned_after_ms"]) == (None, None, None)
    assert told["members"]["mx1"] == {"weight": 50, "wanted": 0.5, "share": 0.0, "answers": 0}


def test_report_of_a_member_that_stayed() -> None:
    """A round that did not succeed is reported as far as it came."""
    told = story()
    told.kill("mx1", 1.0).restored_at = 9.0
    assert report(told)["killed"] == "mx1"
    assert report(told)["left_after_ms"] is None


@pytest.mark.parametrize("counts", [{}, {"mx1": 0}])
def test_shares_of_nothing(counts: dict[str, int]) -> None:
    """No counts are no shares, and no division by zero."""
    assert set(shares(counts, WEIGHTS).values()) == {0.0}
