"""Which of many connections has to go when there are too many."""

from collections.abc import Iterator
from enum import IntEnum
from typing import Generic, TypeVar

GRACE_SECONDS = 1.0
"""Until then a connection that asks nothing is new, or between two questions, rather than idle."""

Connection = TypeVar("Connection")


class Standing(IntEnum):
    """What a connection waits for."""

    IDLE = 0
    """Its client, to ask something, or to say the rest of it."""
    STALLED = 1
    """Its client, to take its answers."""
    ASKING = 2
    """Us, to answer."""


class Crowd(Generic[Connection]):
    """Connections by their standing, each with the time since which nothing has happened, in the order of it."""

    def __init__(self) -> None:
        self._by_standing: dict[Standing, dict[Connection, float]] = {standing: {} for standing in Standing}

    def put(self, connection: Connection, standing: Standing, at: float) -> None:
        """Note that a connection came, or did something. `at` is no earlier than any time before, in seconds."""
        self.remove(connection)
        self._by_standing[standing][connection] = at

    def remove(self, connection: Connection) -> None:
        """Forget a connection, if it is known."""
        for each in self._by_standing.values():
            each.pop(connection, None)

    def __len__(self) -> int:
        return sum(map(len, self._by_standing.values()))

    def __iter__(self) -> Iterator[Connection]:
        for each in self._by_standing.values():
            yield from each

    def least_missed(self, now: float) -> Connection:
        """Return who has to go: who has been idle for longest, if anybody is idle.

        Else who has not done anything for longest, be it that he does not take his answers: those that just came, and
        have not yet asked, must not make room for one another. Whoever waits for us goes only if all do. There must be
        somebody.
        """
        idle, stalled, asking = (next(iter(each.items()), None) for each in self._by_standing.values())
        if idle is not None and idle[1] <= now - GRACE_SECONDS:
            return idle[0]
        waiting = [first for first in (idle, stalled) if first is not None]
        found = min(waiting, key=lambda first: first[1]) if waiting else asking
        assert found is not None  # noqa: S101 - there is somebody
        return found[0]

    def silent_since(self, at: float) -> list[Connection]:
        """Return those with which nothing has happened since then; who waits for us is not silent."""
        found = []
        for standing in (Standing.IDLE, Standing.STALLED):
            for connection, since in self._by_standing[standing].items():
                if since > at:
                    break
                found.append(connection)
        return found

    def earliest(self, now: float) -> float:
        """Return since when nothing has happened with the one that `silent_since` names first; `now` if all ask."""
        firsts = [next(iter(self._by_standing[each].values()), now) for each in (Standing.IDLE, Standing.STALLED)]
        return min(firsts)
