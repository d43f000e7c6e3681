"""What the kernel knows of the machine and of a process: facts to print, CPU time, memory."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dnslb import __version__

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time of a process since its start, in seconds: `total` to the nanosecond, `user` and `system` in ticks."""

    total: float
    user: float
    system: float

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(self.total - earlier.total, self.user - earlier.user, self.system - earlier.system)


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a process in MB (10^6 octets). `pss` counts shared pages in proportion, `peak` is of `rss`."""

    rss: float
    pss: float
    peak: float


def cpu(pid: int) -> Cpu:
    """Return the CPU time of all threads of a process that are alive."""
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    nanoseconds = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Cpu(nanoseconds / 1e9, int(fields[11]) / _TICKS, int(fields[12]) / _TICKS)


def memory(pid: int) -> Memory:
    """Return the memory of a process now."""
    rollup = _kilobytes(Path(f"/proc/{pid}/smaps_rollup"))
    return Memory(rollup["Rss"], rollup["Pss"], _kilobytes(Path(f"/proc/{pid}/status"))["VmHWM"])


def _kilobytes(path: Path) -> dict[str, float]:
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0].rstrip(":"): int(row[1]) * 1024 / 1e6 for row in rows if row[-1:] == ["kB"]}


def facts() -> list[str]:
    """Return what a reader must know to compare figures with those of another machine."""
    models = [
        line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    model = models[0] if models else platform.processor()
    one, five, _ = os.getloadavg()
    return [
        f"CPU: {len(os.sched_getaffinity(0))} x {model}; load at the start {one:.1f} (1 min), {five:.1f} (5 min)",
        f"kernel: {platform.release()}; Python {platform.python_version()}; dnslb {__version__}",
    ]


def package(name: str) -> str:
    """Return the version of an installed Debian package."""
    command = ["dpkg-query", "--show", "--showformat=${Version}", name]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout or "(not installed)"
