"""What the kernel says of the slices of a process that has asked for short ones."""

import ctypes
import os
import platform
import struct
import subprocess
import sys

import pytest

from dnslb.server import slices

ASK = "from dnslb.server import slices; slices.ask_for_short_ones(); print(flush=True); input()"
_GET = {"x86_64": 315, "aarch64": 275}
_SINCE = (6, 12)


def attributes(pid: int) -> tuple[int, int, int]:
    """Return the policy of a process, its nice value, and its slice if the kernel tells one, else 0."""
    octets = ctypes.create_string_buffer(48)
    assert ctypes.CDLL(None).syscall(_GET[platform.machine()], pid, octets, 48, 0) == 0
    _, policy, _, nice, _, runtime, _, _ = struct.unpack("=IIQiIQQQ", octets.raw)
    return policy, nice, runtime


def expected() -> int:
    """Return the slice of who has asked, 0 if this kernel has no such thing."""
    release = tuple(int(number) for number in platform.release().split(".")[:2])
    return slices.SHORTEST if release >= _SINCE else 0


@pytest.mark.parametrize("nice", [0, 3])
def test_short_slices_are_given_and_nothing_else_changes(nice: int) -> None:
    """The nice value stays as it was; a kernel without such slices is no fault."""
    with subprocess.Popen([sys.executable, "-c", ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        os.setpriority(os.PRIO_PROCESS, process.pid, nice)
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        assert attributes(process.pid) == (os.SCHED_OTHER, nice, expected())
        process.communicate(b"\n")
    assert process.returncode == 0


def test_another_policy_stays() -> None:
    """Who starts the daemon with one has chosen it."""
    run = f"import os; os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)); {ASK}"
    with subprocess.Popen([sys.executable, "-c", run], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        assert os.sched_getscheduler(process.pid) == os.SCHED_BATCH
        process.communicate(b"\n")
    assert process.returncode == 0
