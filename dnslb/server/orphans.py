"""Workers that a controller left behind when it was killed: they answer on until its successor has taken their place.

The controller writes down who its workers are. A process id is believed only together with the process's start time,
since ids are used again.
"""

import contextlib
import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path

_FILE = "workers.json"
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


def _started(pid: int) -> str | None:
    """Return when the process began, in clock ticks since boot, or None if there is none or it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[_STARTTIME]
