"""Who asks most, in bounded memory: the Space-Saving sketch of Metwally, Agrawal and El Abbadi (2005).

Whoever asks more than one in `limit` of all queries is in it for certain, whatever addresses the others make up.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappush, heapreplace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LIMIT = 128
"""Prefixes that a sketch counts."""


class Entry(NamedTuple):
    """A network (see sources) and how much it asked: no more than `number`, and at least `number - error`."""

    prefix: bytes
    number: float
    error: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What a sketch knew `at` a moment of the monotonic clock. Its counts are those of about `seconds` of queries.

    Who is not among the entries asked no more than `missed`; all together asked `seen`. All is halved at `halves_at`.
    """

    at: float = 0.0
    halves_at: float = 0.0
    seconds: float = 0.0
    seen: float = 0.0
    missed: float = 0.0
    entries: tuple[Entry, ...] = ()


class Sketch:
    """Counts by prefix, at most `limit` of them.

    A new prefix takes the place of the one with the least count, and begins with this count, which may have been its
    own: that much is its error. The heap has each prefix once, with a count that it had; it is looked at, and brought
    up to date, only when a place is needed. So to add costs a look into a dictionary, or with a new prefix about the
    logarithm of the limit.
    """

    __slots__ = ("_counts", "_errors", "_heap", "_limit")

    def __init__(self, entries: Iterable[Entry] = (), limit: int = LIMIT) -> None:
        """Go on from the entries of another sketch, no more of them than the limit."""
        self._limit = limit
        self._counts: dict[bytes, float] = {}
        self._errors: dict[bytes, float] = {}
        for prefix, count, error in entries:
            self._counts[prefix], self._errors[prefix] = count, error
        self._heap = [(count, prefix) for prefix, count in self._counts.items()]
        heapify(self._heap)

    def add(self, prefix: bytes, number: float) -> None:
        """Count queries of a prefix."""
        count = self._counts.get(prefix)
        if count is not None:
            self._counts[prefix] = count + number
        elif len(self._counts) < self._limit:
            self._counts[prefix], self._errors[prefix] = number, 0.0
            heappush(self._heap, (number, prefix))
        else:
            self._replace_least(prefix, number)

    def _replace_least(self, prefix: bytes, number: float) -> None:
        least, loser = self._least()
        del self._counts[loser], self._errors[loser]
        self._counts[prefix], self._errors[prefix] = least + number, least
        heapreplace(self._heap, (least + number, prefix))

    def _least(self) -> tuple[float, bytes]:
        """Return the least count and whose it is."""
        heap, counts = self._heap, self._counts
        # What is written in the heap is never more than the count: the first that is up to date is the least.
        while (count := counts[heap[0][1]]) != heap[0][0]:
            heapreplace(heap, (count, heap[0][1]))
        return heap[0]

    def halve(self) -> None:
        """Let all that was counted be worth half as much: exactly, for counts are binary fractions."""
        self._counts = {prefix: count / 2 for prefix, count in self._counts.items()}
        self._errors = {prefix: error / 2 for prefix, error in self._errors.items()}
        self._heap = [(count / 2, prefix) for count, prefix in self._heap]

    @property
    def missed(self) -> float:
        """What a prefix that is not in the sketch may have asked."""
        return self._least()[0] if len(self._counts) >= self._limit else 0.0

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All prefixes that are counted, in no order."""
        return tuple(Entry(prefix, count, self._errors[prefix]) for prefix, count in self._counts.items())


def merge(summaries: Sequence[Summary]) -> Summary:
    """Return what several sketches know together, those who asked most first.

    A prefix that one of them does not have may have asked what that one has missed (Agarwal and others 2012).
    """
    missed = sum(summary.missed for summary in summaries)
    merged: dict[bytes, Entry] = {}
    for summary in summaries:
        for prefix, number, error in summary.entries:
            _, others, of_others = merged.get(prefix, Entry(prefix, missed, missed))
            merged[prefix] = Entry(prefix, others + number - summary.missed, of_others + error - summary.missed)
    return Summary(
        at=max((summary.at for summary in summaries), default=0.0),
        halves_at=max((summary.halves_at for summary in summaries), default=0.0),
        seconds=max((summary.seconds for summary in summaries), default=0.0),
        seen=sum(summary.seen for summary in summaries),
        missed=missed,
        entries=tuple(sorted(merged.values(), key=lambda entry: -entry.number)),
    )
