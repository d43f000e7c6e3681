"""What the event loop complains of, told seldom enough that a trouble which stays does not fill the log.

When no descriptor is left, for one, asyncio complains once for each client that waits, many times a second.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog

QUIET_SECONDS = 10.0
"""The same message is logged at most once in so many seconds."""

_log = structlog.get_logger()


class Complaints:
    """The exception handler of an event loop (loop.set_exception_handler)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, float] = {}
        self._untold: Counter[str] = Counter()

    def __call__(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what went wrong, unless the same was logged a moment ago."""
        text = str(context.get("message", ""))
        error = context.get("exception")
        kind = _kind(text, error)
        now = self._clock()
        if now - self._told.get(kind, -QUIET_SECONDS) < QUIET_SECONDS:
            self._untold[kind] += 1
            return
        self._told[kind] = now
        # The system's own words say all; anything else is a fault of ours, and the traceback says where.
        trace = None if isinstance(error, OSError) else error
        _log.error("event_loop", text=text, reason=str(error or ""), untold=self._untold.pop(kind, 0), exc_info=trace)


def _kind(text: str, error: object) -> str:
    """Return what messages have in common that differ in the objects that they name."""
    return f"{re.split('[<(]', text, maxsplit=1)[0]} {type(error).__name__}"
