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


def write(directory: Path, pids: Iterable[int]) -> None:
    """Write down the running workers, in place of those written before."""
    known = {str(pid): started for pid in pids if (started := _started(pid)) is not None}
    fresh = directory / f"{_FILE}.new"
    # What lies there, a link to another file perhaps, is removed and not written through.
    fresh.unlink(missing_ok=True)
    with fresh.open("x", encoding="ascii") as file:
        file.write(json.dumps(known))
    fresh.replace(directory / _FILE)


def find(directory: Path) -> list[int]:
    """Return the workers of an earlier controller that still run."""
    try:
        known = json.loads((directory / _FILE).read_text(encoding="ascii"))
        return [int(pid) for pid, started in known.items() if started and _started(int(pid)) == started]
    except (OSError, ValueError, AttributeError, RecursionError):
        # No file, or not ours: then the ports tell, and a clear error says that they are taken.
        return []


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
