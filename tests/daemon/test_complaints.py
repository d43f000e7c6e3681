"""What the event loop complains of is told, and not a thousand times."""

import asyncio
import errno
import os

from structlog.testing import capture_logs

from dnslb.daemon.complaints import Complaints


def out_of_descriptors() -> dict[str, object]:
    """Return what asyncio says of each client that it cannot take."""
    error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return {"message": "socket.accept() out of system resource", "exception": error}


async def test_a_trouble_that_stays_is_told_every_ten_seconds() -> None:
    """The next line says how often it was not told; a shortage has no traceback."""
    now = [0.0]
    complaints = Complaints(lambda: now[0])
    loop = asyncio.get_running_loop()
    with capture_logs() as lines:
        for second in (0.0, 0.0, 0.1, 9.9, 10.0, 19.9):
            now[0] = second
            complaints(loop, out_of_descriptors())
    assert [(line["text"], line["untold"]) for line in lines] == [
        ("socket.accept() out of system resource", 0),
        ("socket.accept() out of system resource", 3),
    ]
    assert "Too many open files" in lines[0]["reason"]
    assert not lines[0]["exc_info"]


async def test_each_kind_is_told() -> None:
    """One message does not hide another, and a fault of ours has its traceback."""
    complaints = Complaints(lambda: 0.0)
    fault = ZeroDivisionError("a bug")
    with capture_logs() as lines:
        complaints(asyncio.get_running_loop(), out_of_descriptors())
        complaints(asyncio.get_running_loop(), {"message": "Task exception was never retrieved", "exception": fault})
        complaints(asyncio.get_running_loop(), {"message": "without an exception"})
    assert [line["exc_info"] for line in lines] == [None, fault, None]


async def test_the_kind_of_a_message_is_without_the_objects_that_it_names() -> None:
    """Callbacks differ in their addresses; the same fault in each is one line."""
    complaints = Complaints(lambda: 0.0)
    with capture_logs() as lines:
        for number in range(10):
            text = f"Exception in callback <method 'x' of {number}>()"
            complaints(asyncio.get_running_loop(), {"message": text, "exception": ValueError()})
    assert len(lines) == 1
