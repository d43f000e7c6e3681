"""Whether a process that does not say that it lives hangs, or is kept from running: what the kernel knows of it.

A machine that gives a process no CPU is not its fault, and a new one in its place would get no more. So a process had
its chance if it had nothing to wait for from the machine, or has used CPU time enough for whatever it does at a time.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_CHANCE_SECONDS = 0.5
"""CPU time without a word after which a process goes round in circles: several times what the largest table takes."""
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_STATE = 0
_UTIME, _STIME = 11, 12
"""Fields 3, 14 and 15 of /proc/PID/stat (proc_pid_stat(5)), counted from behind the command name."""
_WAITING = frozenset("RD")
"""For a CPU, or for a disk: swapped out, or held back by a memory limit. SIGKILL could not end that wait either."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """A process at one moment: whether one of its threads `waits` for the machine or runs, and its CPU seconds."""

    waits: bool
    cpu: float


def look(pid: int) -> Pulse | None:
    """Return what a process does now; None if there is none, or it has ended."""
    try:
        whole = _fields(Path(f"/proc/{pid}/stat"))
        if whole[_STATE] in "ZX":
            return None
        waits = any(fields[_STATE] in _WAITING for fields in _threads(pid))
    except OSError:
        return None
    return Pulse(waits, (int(whole[_UTIME]) + int(whole[_STIME])) / _TICKS_A_SECOND)


def had_its_chance(looks: Sequence[Pulse]) -> bool:
    """Say, from looks at a silent process one after the other, whether it hangs.

    To be seen asleep once is not enough: it may have spoken in that very moment, and was not heard yet.
    """
    asleep = len(looks) > 1 and not any(each.waits for each in looks[-2:])
    return asleep or (bool(looks) and looks[-1].cpu - looks[0].cpu >= _CHANCE_SECONDS)


def _threads(pid: int) -> Iterator[list[str]]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            yield _fields(task / "stat")
        except OSError:
            continue  # it has ended while we look


def _fields(path: Path) -> list[str]:
    return path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
