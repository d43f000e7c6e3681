"""Work that may hang: nobody waits for it longer than is said, and nothing else begins meanwhile."""

import asyncio
import subprocess
import sys
import threading

import pytest

from dnslb.store.thread import LateError, Thread


async def test_work_is_done_in_order_in_one_thread() -> None:
    """What it returns and raises comes back to who asked for it."""
    thread = Thread(60.0)
    names = await asyncio.gather(*(thread.run(lambda: threading.current_thread().name) for _ in range(3)))
    assert names == ["store"] * 3
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 / 0)
    thread.end()


async def test_work_that_hangs_is_given_up() -> None:
    """So is all that comes while it hangs, at once, and what waited behind it is never done; afterwards all is well."""
    thread, hangs, begun = Thread(0.01), threading.Event(), threading.Event()
    done: list[str] = []
    awaited: list[object] = []

    def work() -> None:
        begun.set()
        hangs.wait()
        try:
            thread.check_awaited()
        except LateError as error:
            awaited.append(error)

    first, second = (
        asyncio.create_task(thread.run(work)),
        asyncio.create_task(thread.run(lambda: done.append("second"))),
    )
    for task in (first, second):
        with pytest.raises(LateError, match=r"does not answer within 0\.01 s"):
            await task
    assert begun.is_set()
    with pytest.raises(LateError, match="does not answer"):
        await thread.run(lambda: done.append("third"))
    assert thread.late is not None
    ended = asyncio.wrap_future(thread.late)
    hangs.set()
    await ended
    assert len(awaited) == 1
    assert not done
    await asyncio.sleep(0)
    patient = Thread(60.0)
    await patient.run(lambda: done.append("fourth"))
    assert done == ["fourth"]
    patient.end()
    thread.end()


HANGS = """
import asyncio, threading
from dnslb.store.thread import LateError, Thread
async def main():
    try:
        await Thread(0.01).run(threading.Event().wait)
    except LateError:
        print("given up")
asyncio.run(main())
"""


def test_work_that_hangs_does_not_keep_the_process() -> None:
    """Who stops a daemon on a dead disk does not have to kill it."""
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("given up\n", "")


async def test_work_is_awaited_as_long_as_somebody_waits() -> None:
    """Then nothing keeps it from doing what cannot be undone."""
    thread = Thread(60.0)
    await thread.run(thread.check_awaited)
    thread.end()
