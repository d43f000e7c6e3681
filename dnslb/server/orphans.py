"""Workers that a controller left behind when it was killed: they answer on until its successor has taken their place.

The controller writes down who its workers are. A process id is believed only together with the process's start time,
since ids are used again.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path

_FILE = "workers.json"
_PATIENCE_SECONDS = 5.0
_LOOK_SECONDS = 0.02
_STARTTIME = 19
"""Field 22 of /proc/PID/stat, counted from behind the command name."""


def write(directory: Path, places: Iterable[Iterable[int]]) -> None:
    """Write down the running workers in place of those written before: for each place in a group, who reads there."""
    known = [{str(pid): began for pid in place if (began := _started(pid)) is not None} for place in places]
    fresh = directory / f"{_FILE}.new"
    # What lies there, a link to another file perhaps, is removed and not written through.
    fresh.unlink(missing_ok=True)
    with fresh.open("x", encoding="ascii") as file:
        file.write(json.dumps([place for place in known if place]))
    fresh.replace(directory / _FILE)


def find(directory: Path) -> list[list[int]]:
    """Return the workers of an earlier controller that still run, by the socket that they read from."""
    try:
        known = json.loads((directory / _FILE).read_text(encoding="ascii"))
        found = [[int(pid) for pid, began in place.items() if began and _started(int(pid)) == began] for place in known]
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        # No file, or not ours: then the ports tell, and a clear error says that they are taken.
        return []
    return [place for place in found if place]


def end(pids: Iterable[int]) -> None:
    """Have them finish what they have and go, except those that have gone or run as another user now."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)


async def end_and_wait(pid: int) -> None:
    """Have one go, and return when it has; if it hangs, it is killed after five seconds."""
    began = _started(pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if began is None or _started(pid) != began:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while _started(pid) == began:  # noqa: ASYNC110 - it is no child of ours
                    await asyncio.sleep(_LOOK_SECONDS)


def _started(pid: int) -> str | None:
    """Return when the process began, in clock ticks since boot, or None if there is none or it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[_STARTTIME]
