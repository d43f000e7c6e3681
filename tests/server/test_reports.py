"""What a worker says by itself: little, and never so that it waits."""

import logging
import os
import select
from collections.abc import Iterator

import pytest

from dnslb.server.reports import Reports


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give the ends of a pipe: where it is read, and where it is written, in blocking mode."""
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


def fill(pipe: tuple[int, int]) -> int:
    """Write until the pipe takes no more; return how much that was."""
    written = 0
    while select.select([], [pipe[1]], [], 0)[1]:
        written += os.write(pipe[1], b"x" * select.PIPE_BUF)
    return written


def waiting(pipe: tuple[int, int]) -> str:
    """Return what has been written and not read."""
    return os.read(pipe[0], 1 << 20).decode() if select.select([pipe[0]], [], [], 0)[0] else ""


def test_a_full_pipe_is_not_waited_for(pipe: tuple[int, int]) -> None:
    """What nobody takes is left out; the next report that is taken says how many were not."""
    reports = Reports(pipe[1])
    filled = fill(pipe)
    for _ in range(50):
        reports.say("lost")
    assert len(waiting(pipe)) == filled
    reports.say("heard")
    assert waiting(pipe) == "dnslb: heard (50 reports before it were not taken)\n"


def test_a_long_report_is_cut_where_the_pipe_is_full(pipe: tuple[int, int]) -> None:
    """Its beginning is written, and it returns."""
    Reports(pipe[1]).say("y" * (1 << 20))
    assert waiting(pipe).startswith("dnslb: yyy")


def test_only_the_first_ten_are_written(pipe: tuple[int, int]) -> None:
    """Whoever says them: ourselves, a library that logs, or the event loop."""
    reports = Reports(pipe[1])
    for number in range(10):
        reports.say(f"ours {number}")
        reports.handle(logging.LogRecord("asyncio", logging.ERROR, "", 0, "theirs %d", (number,), None))
        reports.on_loop_error(None, {"message": f"the loop's {number}"})
    lines = waiting(pipe).splitlines()
    assert lines[:3] == ["dnslb: ours 0", "dnslb: theirs 0", "dnslb: the loop's 0"]
    assert len(lines) == 10


def test_where_a_fault_of_ours_came_from_is_told(pipe: tuple[int, int]) -> None:
    """With its traceback; a shortage of the system has one line."""
    reports = Reports(pipe[1])
    reports.on_loop_error(None, {"message": "caught", "exception": ZeroDivisionError("why")})
    assert waiting(pipe) == "dnslb: caught\nZeroDivisionError: why\n"
    reports.on_loop_error(None, {"message": "no room", "exception": OSError(24, "too many")})
    assert waiting(pipe) == "dnslb: no room: [Errno 24] too many\n"


def test_a_reader_that_is_gone_is_no_second_fault() -> None:
    """Nothing is raised into the batch, whose other queries would be lost."""
    read, write = os.pipe()
    reports = Reports(write)
    os.close(read)
    reports.say("to nobody")
    os.close(write)
    reports.say("to nowhere")
