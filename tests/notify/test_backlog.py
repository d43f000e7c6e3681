"""What waits for a target: in order, so much and no more."""

from dnslb.notify.backlog import Backlog, Batch
from tests.notify.receiver import an_event


def test_events_come_in_their_order() -> None:
    """As many at a time as are asked for, and nothing is lost."""
    backlog = Backlog()
    for number in range(5):
        backlog.put(an_event(number))
    assert len(backlog) == 5
    taken = [backlog.take(3), backlog.take(3)]
    assert [[event["id"] for event in batch.events] for batch in taken] == [[0, 1, 2], [3, 4]]
    assert ([batch.missed for batch in taken], backlog.lost) == ([0, 0], 0)


def test_the_oldest_give_way() -> None:
    """The next batch says how many are missing before it, and the one behind it nothing."""
    backlog = Backlog(limit=3)
    for number in range(5):
        backlog.put(an_event(number))
    assert backlog.take(2) == Batch((an_event(2), an_event(3)), 2)
    assert backlog.take(2) == Batch((an_event(4),), 0)
    assert backlog.lost == 2


def test_what_has_not_arrived_is_missing_too() -> None:
    """With all that was missing before it, told by the next batch that arrives."""
    backlog = Backlog(limit=1)
    for number in range(4):
        backlog.put(an_event(number))
    backlog.give_up(backlog.take(1))
    backlog.put(an_event(4))
    assert backlog.take(1) == Batch((an_event(4),), 4)
    assert backlog.lost == 4
