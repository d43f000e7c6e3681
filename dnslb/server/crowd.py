"""Which of many connections has to go when there are too many."""

from collections.abc import Iterable, Iterator
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
        self._standings: dict[Connection, Standing] = {}

    def put(self, connection: Connection, standing: Standing, at: float) -> None:
        """Note that a connection came, or did something. `at` is no earlier than any time before, in seconds."""
        self.remove(connection)
        self._by_standing[standing][connection] = at
        self._standings[connection] = standing

    def remove(self, connection: Connection) -> None:
        """Forget a connection, if it is known."""
        standing = self._standings.pop(connection, None)
        if standing is not None:
            del self._by_standing[standing][connection]

    def __len__(self) -> int:
        return len(self._standings)

    def __iter__(self) -> Iterator[Connection]:
        for each in self._by_standing.values():
            yield from each

    def idle(self, now: float) -> Connection | None:
        """Return who has been idle for longest, if that is long enough to say so."""
        first = next(iter(self._by_standing[Standing.IDLE].items()), None)
        return first[0] if first is not None and first[1] <= now - GRACE_SECONDS else None

    def least_missed(self, now: float) -> Connection:
        """Return who has to go: who has been idle for longest, if anybody is idle.

        Else who has not done anything for longest, be it that he does not take his answers: those that just came, and
        have not yet asked, must not make room for one another. Whoever waits for us goes only if all do. There must be
        somebody.
        """
        if (bored := self.idle(now)) is not None:
            return bored
        idle, stalled, asking = (next(iter(each.items()), None) for each in self._by_standing.values())
        waiting = [first for first in (idle, stalled) if first is not None]
        found = min(waiting, key=lambda first: first[1]) if waiting else asking
        assert found is not None  # noqa: S101 - there is somebody
        return found[0]

    def one_too_many(self, crowds: Iterable["Crowd[Connection]"], now: float) -> Connection:
        """Return who has to go of all, who come in these crowds: who is idle, or else one of the largest crowd.

        Newcomers would push out one another, while a few who always ask keep all the others' places. Where nobody has
        more than one, it is who is least missed of all.
        """
        if (bored := self.idle(now)) is not None:
            return bored
        largest = max(crowds, key=len)
        return (largest if len(largest) > 1 else self).least_missed(now)

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
