"""Lets conversations begin: so many at a time, and few in each turn of the event loop.

What thousands of conversations share is the processor. If all began at once, each would last as long as all of them
together, and good members would seem slow, or silent. So those that have begun come first: who waits here is late, but
is not timed yet.
"""

import asyncio
from collections import deque
from types import TracebackType

IN_ONE_TURN = 16
"""A conversation takes some ten turns and a third of a millisecond, so that a turn lasts about 5 ms at full load."""


class Entrance:
    """An async context that holds one of `places`; those who wait are let in in the order in which they came."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._let_in = 0
        """In this turn."""
        self._turning = False

    async def __aenter__(self) -> None:
        """Wait for a place, and for a turn in which not too many others begin."""
        if self._is_open():  # then nobody waits: whoever opens it lets in those who do
            self._take()
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._leave()  # let in and called away in the same turn
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the place back."""
        self._leave()

    def _is_open(self) -> bool:
        return self._free > 0 and self._let_in < IN_ONE_TURN

    def _take(self) -> None:
        self._free -= 1
        self._let_in += 1
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _leave(self) -> None:
        self._free += 1
        self._admit()

    def _turn(self) -> None:
        """Begin to count anew. It comes again as long as somebody is let in."""
        self._turning = False
        self._let_in = 0
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._is_open():
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._take()
                waiter.set_result(None)
