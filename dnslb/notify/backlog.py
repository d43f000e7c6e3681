"""What a target has yet to be told: so much and no more, and how many it will never hear of."""

from collections import deque
from dataclasses import dataclass

from dnslb.notify.target import Event

LIMIT = 1000
"""As many events wait for a target; then the oldest give way."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that go together, and how many before them have been lost."""

    events: tuple[Event, ...]
    missed: int


class Backlog:
    """The events that wait, in their order. `lost` is how many have been lost altogether."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._events: deque[Event] = deque()
        self._missed = 0
        self.lost = 0

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        """Have an event wait; the oldest gives way if there are too many."""
        if len(self._events) == self._limit:
            self._events.popleft()
            self._lose(1)
        self._events.append(event)

    def take(self, most: int) -> Batch:
        """Take out the next events, and tell how many are missing before them."""
        events = tuple(self._events.popleft() for _ in range(min(most, len(self._events))))
        missed, self._missed = self._missed, 0
        return Batch(events, missed)

    def give_up(self, batch: Batch) -> None:
        """Count what was taken out and has not arrived as lost: the next batch tells of it."""
        self._missed += batch.missed
        self._lose(len(batch.events))

    def _lose(self, number: int) -> None:
        self._missed += number
        self.lost += number
