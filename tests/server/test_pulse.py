"""What is seen of processes that sleep, are stopped, run or have ended, and who of them hangs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dnslb.server.pulse import Pulse, had_its_chance, look
from tests.server.conftest import until

_SPINS = "while True: pass"
_SPINS_BEHIND = "import threading\nthreading.Thread(target=lambda: exec('while True: pass')).start()"


@contextmanager
def python(script: str) -> Iterator[int]:
    """Give the process id of a program that runs for as long as the block."""
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def waits(pid: int) -> bool:
    """Say whether a process that has not ended waits for the machine, or runs."""
    seen = look(pid)
    assert seen is not None
    return seen.waits


async def test_one_that_runs_is_seen_to_use_the_cpu() -> None:
    """For a CPU that it has not got it would wait in the same state."""
    with python(_SPINS) as pid:
        await until(lambda: waits(pid), "it runs")
        first = look(pid)
        await until(lambda: had_its_chance([first, look(pid)]), "it has used CPU time enough")  # type: ignore[list-item]  # it has not ended
        assert waits(pid)


async def test_a_thread_behind_a_sleeping_one_counts() -> None:
    """While a large table is decoded, the worker's first thread sleeps until it has a turn."""
    with python(_SPINS_BEHIND) as pid:
        await until(lambda: len([*Path(f"/proc/{pid}/task").iterdir()]) == 2 and waits(pid), "the second one runs")


@pytest.mark.parametrize("script", ["import time; time.sleep(1000)", _SPINS], ids=["sleeps", "is stopped"])
async def test_one_that_sleeps_or_is_stopped_waits_for_nothing(script: str) -> None:
    """It had its chance to speak."""
    with python(script) as pid:
        if script == _SPINS:
            os.kill(pid, signal.SIGSTOP)
        await until(lambda: not waits(pid), "it has come to rest")


async def test_of_one_that_has_ended_nothing_is_said() -> None:
    """Neither while its parent has not noticed, nor when it is gone."""
    with python("") as pid:
        await until(lambda: look(pid) is None, "it has ended")
    assert look(pid) is None


@pytest.mark.parametrize(
    ("looks", "hangs"),
    [
        ([], False),
        ([Pulse(waits=False, cpu=1.0)], False),
        ([Pulse(waits=True, cpu=1.0), Pulse(waits=False, cpu=1.0)], False),
        ([Pulse(waits=False, cpu=1.0), Pulse(waits=True, cpu=1.0)], False),
        ([Pulse(waits=True, cpu=1.0), Pulse(waits=False, cpu=1.0), Pulse(waits=False, cpu=1.0)], True),
        ([Pulse(waits=True, cpu=1.0)] * 40, False),
        ([Pulse(waits=True, cpu=1.0), Pulse(waits=True, cpu=1.49)], False),
        ([Pulse(waits=True, cpu=1.0), Pulse(waits=True, cpu=1.5)], True),
    ],
)
def test_who_sleeps_or_runs_for_long_and_says_nothing_hangs(looks: list[Pulse], *, hangs: bool) -> None:
    """Who gets no CPU does not, and asleep it must be seen twice in a row: its word may be on its way."""
    assert had_its_chance(looks) is hangs
