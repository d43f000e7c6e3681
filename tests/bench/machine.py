"""What the kernel knows of the machine and of a process: facts to print, CPU time, memory."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sysconfig
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dnslb import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """Memory of a process in MB (10^6 octets).

    `pss` counts shared pages in proportion, `uss` does not count them, `peak` is of `rss`.
    """

    rss: float
    pss: float
    uss: float
    peak: float


def cpu(pid: int) -> Cpu:
    """Return the CPU time of all threads of a process that are alive."""
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    nanoseconds = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Cpu(nanoseconds / 1e9, int(fields[11]) / _TICKS, int(fields[12]) / _TICKS)


def busy() -> float:
    """Return the CPU seconds that all CPUs together have worked since the machine began, in ticks."""
    user, nice, system, _, _, interrupts, soft = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + interrupts + soft) / _TICKS


def waited(pid: int) -> float:
    """Return for how many seconds a process was ready to run and had no CPU: the first thread alone."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def dropped(port: int) -> int:
    """Return how many datagrams the kernel had no room for in the IPv4 UDP sockets that have this port now."""
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(row[-1]) for row in rows if int(row[1].partition(":")[2], 16) == port)


@contextmanager
def ordinary() -> Iterator[None]:
    """Start programs as they are started every day, though we may run as `chrt -r 1 python -m tests.bench` has us."""
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameter)


def first() -> list[str]:
    """Return what begins the command of a program that must not wait for a CPU; nothing without the right to that."""
    prefix = ["chrt", "-f", "10"]
    may = shutil.which("chrt") and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    return prefix if may else []


def stand_back(pid: int) -> None:
    """Have a process, the first of its session, run only when nothing else would."""
    os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    _weigh_session(pid, 19)


def keep_others_off(pid: int) -> None:
    """Give a session of processes all CPU that it wants, if we have the right to; among each other nothing changes."""
    _weigh_session(pid, -20)


def _weigh_session(pid: int, nice: int) -> None:
    """Where the kernel shares CPUs among sessions first (see sched(7)), it looks at a process's priority only then."""
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def memory(pid: int) -> Memory:
    """Return the memory of a process now."""
    rollup = _kilobytes(Path(f"/proc/{pid}/smaps_rollup"))
    own = rollup["Private_Clean"] + rollup["Private_Dirty"]
    return Memory(rollup["Rss"], rollup["Pss"], own, _kilobytes(Path(f"/proc/{pid}/status"))["VmHWM"])


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


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


def python_build() -> str:
    """Return how this Python was built: with profiles of its use it is about a tenth faster."""
    words = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    optimized = "optimized with profiles" if "--enable-optimizations" in words else "not optimized with profiles"
    return f"Python {platform.python_version()}, {optimized}; configured by {words or 'nobody knows what'}"


def package(name: str) -> str:
    """Return the version of an installed Debian package."""
    command = ["dpkg-query", "--show", "--showformat=${Version}", name]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout or "(not installed)"
