"""One thread for work on a disk that may take minutes, or never end; whoever waits for it waits only for so long."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class LateError(Exception):
    """The work has not ended in time: what it has done by then is not known, and no other can begin."""


class Thread:
    """Does one piece of work after the other. Its thread starts with the first, so that a daemon can fork before.

    It does not keep the process from ending, as that of a ThreadPoolExecutor would.
    """

    def __init__(self, patience: float, name: str = "store") -> None:
        self._patience = patience
        self._name = name
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._late: Future[Any] | None = None

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """Return what the work returns, or raise what it raises. Raise LateError after so many seconds of patience."""
        if self.late is not None:
            raise LateError("it does not answer")
        future: Future[_Result] = Future()
        self._start()
        self._waiting.put((future, work))
        ended = asyncio.wrap_future(future)
        try:
            await asyncio.wait({ended}, timeout=self._patience)
            if ended.done():
                return ended.result()
        finally:
            # Nobody will ask for what it returns or raises later.
            ended.cancel()
        # What has not begun never will; what has just ended is not late.
        if not future.cancel():
            if future.done():
                return future.result()
            self._late = future
        raise LateError(f"it does not answer within {self._patience:g} s")

    @property
    def late(self) -> Future[Any] | None:
        """What still runs though nobody waits for it any more."""
        return self._late if self._late is not None and not self._late.done() else None

    def check_awaited(self) -> None:
        """Raise LateError if nobody waits any more. For the work itself, before it does what cannot be undone."""
        if self.late is not None:
            raise LateError("nobody waits for it any more")

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            future, work = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 -- it is that of whoever waits
                future.set_exception(error)

    def end(self) -> None:
        """Let the thread end with the work that it has; the next work starts another one."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread = None
