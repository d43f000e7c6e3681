"""Which of many connections has to go."""

from itertools import permutations

import pytest

from dnslb.server.crowd import Crowd, Standing

IDLE, STALLED, ASKING = Standing


def crowd(*entries: tuple[str, Standing, float]) -> Crowd[str]:
    """Return who came in this order."""
    made: Crowd[str] = Crowd()
    for name, standing, at in entries:
        made.put(name, standing, at)
    return made


def test_who_is_idle_for_longest_goes_first() -> None:
    """Whatever others wait for, and however long."""
    full = crowd(("asking", ASKING, 1), ("stalled", STALLED, 2), ("old", IDLE, 3), ("new", IDLE, 4))
    assert full.least_missed(100.0) == "old"
    full.put("old", IDLE, 5)
    assert full.least_missed(100.0) == "new"


def test_those_that_just_came_do_not_make_room_for_each_other() -> None:
    """Where all older ones do not take their answers, one of these goes: so everybody can ask at least."""
    full = crowd(("stalled", STALLED, 1), ("asking", ASKING, 1), ("new", IDLE, 99.5))
    assert full.least_missed(100.0) == "stalled"
    assert full.least_missed(101.0) == "new"
    full.put("stalled", STALLED, 99.8)
    assert full.least_missed(100.0) == "new"


def test_who_waits_for_us_goes_last() -> None:
    """It is our fault that it waits; but if all do, the first has to go."""
    for order in permutations([("a", STALLED, 1.0), ("b", IDLE, 1.0), ("c", ASKING, 1.0)]):
        full = crowd(*order)
        gone = []
        while len(full):
            gone.append(full.least_missed(1.0))
            full.remove(gone[-1])
        assert gone[-1] == "c"
    assert crowd(("a", ASKING, 1), ("b", ASKING, 2)).least_missed(9.0) == "a"


def test_where_nobody_is_idle_one_of_the_largest_crowd_goes() -> None:
    """It has the most to spare; its own that ask go last. Elsewhere newcomers stay, and those that do not read."""
    greedy = [("a", ASKING, 1.0), ("b", ASKING, 2.0), ("c", STALLED, 3.0), ("d", IDLE, 99.9)]
    others = [("x", ASKING, 0.1), ("y", STALLED, 0.2), ("z", IDLE, 99.8)]
    gone = []
    while len(greedy) > 1:
        crowds = [*map(crowd, others), crowd(*greedy)]
        gone.append(crowd(*others, *greedy).one_too_many(crowds, 100.0))
        greedy = [entry for entry in greedy if entry[0] != gone[-1]]
    assert gone == ["c", "d", "a"]


def test_who_is_idle_goes_before_those_of_the_largest_crowd() -> None:
    """They may well be a resolver's, which asks."""
    greedy, alone = [("a", ASKING, 1.0), ("b", STALLED, 2.0)], ("x", IDLE, 3.0)
    full = crowd(*greedy, alone)
    assert full.one_too_many([crowd(alone), crowd(*greedy)], 100.0) == "x"
    assert full.one_too_many([crowd(alone), crowd(*greedy)], 3.5) == "b"


def test_where_everybody_has_one_the_least_missed_goes() -> None:
    """Of all, as if there were no crowds in it."""
    entries = [("a", ASKING, 1.0), ("b", IDLE, 3.0), ("c", STALLED, 2.0)]
    assert crowd(*entries).one_too_many([crowd(entry) for entry in entries], 3.5) == "c"


def test_who_is_silent_is_found_by_the_time(subtests: pytest.Subtests) -> None:
    """Those that wait for us are not silent; the earliest time is that of the one that is found first."""
    full = crowd(("asking", ASKING, 1), ("b", STALLED, 2), ("c", IDLE, 3), ("d", IDLE, 4))
    for at, found in ((1.9, ""), (2.0, "b"), (3.5, "bc"), (4.0, "bcd")):
        with subtests.test(at=at):
            assert sorted(full.silent_since(at)) == list(found)
    assert full.earliest(9.0) == 2
    assert crowd(("asking", ASKING, 1)).earliest(9.0) == 9


def test_everybody_is_there_once() -> None:
    """Whatever it does, until it is gone."""
    full = crowd(("a", IDLE, 1), ("a", ASKING, 2), ("b", IDLE, 3), ("a", STALLED, 4))
    assert (len(full), sorted(full)) == (2, ["a", "b"])
    full.remove("a")
    full.remove("a")
    assert (len(full), list(full)) == (1, ["b"])
