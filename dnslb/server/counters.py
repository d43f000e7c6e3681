"""Counters in memory that a worker and the controller share.

Each worker is the only writer of its own slots, so adding one needs no lock. The memory outlives the worker: its
replacement counts on, and no counter that people graph ever falls.
"""

import mmap
import os
import time
from collections.abc import Mapping
from typing import Self

from dnslb.answer import tally
from dnslb.answer.askers import beginning
from dnslb.server import board

_WORD = 8
_GENERATION = 0
_FIRST = 1
PROTOCOLS = ("udp", "tcp")
_BOARD = _FIRST + len(PROTOCOLS) * tally.SLOTS


class Counters:
    """One worker's slots: its generation, those of `dnslb.answer.tally` for each protocol, then a board."""

    def __init__(self, fd: int) -> None:
        """Map the memory behind a descriptor made by `create`."""
        self.fd = fd
        size = _WORD * (_BOARD + board.WORDS)
        if os.fstat(fd).st_size < size:
            os.ftruncate(fd, size)
        self._words = memoryview(mmap.mmap(fd, size)).cast("Q")
        self.udp = self._protocol(0)
        self.tcp = self._protocol(1)
        self.board = board.Board(self._words[_BOARD:])

    @classmethod
    def create(cls) -> Self:
        """Return new counters, all zero; the board says when that was."""
        made = cls(os.memfd_create("dnslb-counters"))
        made.board.write(beginning(time.monotonic()))
        return made

    def _protocol(self, place: int) -> memoryview:
        first = _FIRST + place * tally.SLOTS
        return self._words[first : first + tally.SLOTS]

    @property
    def generation(self) -> int:
        """The generation of the answers that the worker gives now, 0 before the first."""
        return self._words[_GENERATION]

    @generation.setter
    def generation(self, value: int) -> None:
        self._words[_GENERATION] = value

    def queries(self) -> int:
        """Return how many messages were answered."""
        return sum(sum(slots[: tally.ANSWERS]) for slots in (self.udp, self.tcp))

    def by_protocol(self) -> Mapping[str, memoryview]:
        """Return the slots of each protocol by its metric label."""
        return {"udp": self.udp, "tcp": self.tcp}
