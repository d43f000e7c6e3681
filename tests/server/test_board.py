"""What a worker leaves on its board: whole or not at all, for whoever reads it."""

import struct
from threading import Thread

import pytest

from dnslb.answer.sketch import LIMIT, Entry, Summary
from dnslb.server import board
from dnslb.server.board import WORDS, Board


def _filled(number: int) -> Summary:
    """Return a summary as large as may be, each figure of which is the same."""
    prefixes = [bytes([10, 0, place]) if place % 2 else bytes([32, 1, 13, 184, 0, 0, place]) for place in range(LIMIT)]
    return Summary(number, number, number, number, number, tuple(Entry(prefix, number, number) for prefix in prefixes))


@pytest.fixture
def words() -> memoryview:
    """Give memory for a board in which nothing was written."""
    return memoryview(bytearray(8 * WORDS)).cast("Q")


def test_an_empty_board_is_an_empty_summary(words: memoryview) -> None:
    """Before the first second of a worker."""
    assert Board(words).read() == Summary()


def test_what_was_written_last_is_read(words: memoryview) -> None:
    """By another reader of the same memory too, and a shorter summary leaves nothing of the longer one."""
    for summary in (_filled(1), _filled(2), Summary(4.5, 3.5, 2.5, 1.5, 0.5, (Entry(b"abc", 1.25, 0.75),))):
        Board(words).write(summary)
        assert Board(words).read() == summary


def test_who_is_killed_while_writing_spoils_nothing(words: memoryview) -> None:
    """What was there before stands, and the next one writes as ever."""
    written = Board(words)
    written.write(_filled(1))
    broken = (*_filled(2).entries[:50], Entry(b"abc", "not a number", 0))  # type: ignore[arg-type]  # ends it halfway
    with pytest.raises(struct.error):
        written.write(Summary(2, 2, 2, 2, 2, broken))
    assert Board(words).read() == _filled(1)
    Board(words).write(_filled(3))
    assert Board(words).read() == _filled(3)


def test_a_torn_copy_is_read_again(words: memoryview, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is overtaken by the writer while it copies takes the newest instead."""
    written = Board(words)
    written.write(_filled(1))
    copies = 0

    def slowly(octets: memoryview) -> bytes:
        nonlocal copies
        copies += 1
        first = bytes(octets[: len(octets) // 2])
        if copies == 1:
            written.write(_filled(2))
            written.write(_filled(3))
        return first + bytes(octets[len(octets) // 2 :])

    monkeypatch.setattr(board, "bytes", slowly, raising=False)
    assert written.read() == _filled(3)
    assert copies == 2


def test_readers_never_see_half_of_anything(words: memoryview) -> None:
    """While a writer writes as fast as it can."""
    done = False

    def write() -> None:
        for number in range(1, 300):
            Board(words).write(_filled(number))
        nonlocal done
        done = True

    writer = Thread(target=write)
    writer.start()
    reader = Board(words)
    while not done:
        found = reader.read()
        assert found in {Summary(), _filled(int(found.at))}
    writer.join()
    assert reader.read() == _filled(299)
