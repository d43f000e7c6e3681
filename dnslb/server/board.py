"""Where a worker writes who asks it, for the controller and for the worker that comes after it.

There are two places in shared memory and a number that says which one holds: a worker writes into the other one and
then raises the number. So one that is killed in the middle spoils nothing, and a reader that finds the number raised
knows that its copy may be torn.
"""

from struct import Struct

from dnslb.answer.sketch import LIMIT, Entry, Summary

_WORD = 8
_HEADER = Struct("=5dQ")  # at, halves_at, seconds, seen, missed, number of entries
_ENTRY = Struct("=B7s2d")  # octets of the prefix, the prefix, number, error
_SIZE = _HEADER.size + LIMIT * _ENTRY.size
WORDS = 1 + 2 * _SIZE // _WORD
"""Words of memory that a board needs."""


class Board:
    """One worker's summary, written by it alone."""

    def __init__(self, words: memoryview) -> None:
        """Take WORDS 64-bit words, all zero if nothing was written yet."""
        self._number = words[:1]
        octets = words[1:WORDS].cast("B")
        self._places = octets[:_SIZE], octets[_SIZE:]

    def write(self, summary: Summary) -> None:
        """Replace what stands here. The summary has no more entries than a sketch."""
        number = self._number[0] + 1
        place = self._places[number % 2]
        moments = summary.at, summary.halves_at, summary.seconds
        _HEADER.pack_into(place, 0, *moments, summary.seen, summary.missed, len(summary.entries))
        for index, (prefix, asked, error) in enumerate(summary.entries):
            _ENTRY.pack_into(place, _HEADER.size + index * _ENTRY.size, len(prefix), prefix, asked, error)
        self._number[0] = number

    def read(self) -> Summary:
        """Return what was written last, an empty summary before that."""
        while True:
            number = self._number[0]
            octets = bytes(self._places[number % 2])
            if self._number[0] == number:
                return _decoded(octets)


def _decoded(octets: bytes) -> Summary:
    at, halves_at, seconds, seen, missed, number = _HEADER.unpack_from(octets)
    cells = octets[_HEADER.size : _HEADER.size + number * _ENTRY.size]
    entries = (Entry(prefix[:size], asked, error) for size, prefix, asked, error in _ENTRY.iter_unpack(cells))
    return Summary(at, halves_at, seconds, seen, missed, tuple(entries))
