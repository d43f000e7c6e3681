"""What `dnslb top` shows, for programs: one object after the other."""

import time
from collections.abc import Iterator
from typing import Any

from dnslb.cli.options import Daemon
from dnslb.cli.top.model import rates_between
from dnslb.rfc3339 import rfc3339

_INTERVAL = 1.0
_EVENTS = 1_000
"""At most so many are told of between two objects."""


def snapshots(daemon: Daemon, seconds: float | None) -> Iterator[dict[str, Any]]:
    """Yield about one object a second, for so many seconds, or for ever: the first one after the first second.

    `status` and `events` (those since the object before) are as the control socket has them; `rates` are answers per
    second by response code since then, null if the daemon was started in between.
    """
    before, last = daemon.ask("status"), _newest(daemon)
    until = None if seconds is None else time.monotonic() + seconds
    while until is None or time.monotonic() < until:
        time.sleep(_INTERVAL)
        status, events = daemon.ask("status"), daemon.ask("events", {"after": last, "limit": _EVENTS})
        rates = rates_between(before, status)
        yield {
            "at": rfc3339(time.time()),
            "rates": None if rates is None else dict(rates),
            "status": status,
            "events": events,
        }
        before, last = status, events[-1]["id"] if events else last


def _newest(daemon: Daemon) -> int:
    events = daemon.ask("events", {"limit": 1})
    return events[-1]["id"] if events else 0
