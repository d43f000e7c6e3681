"""Counters in memory that outlives its writer."""

import os
import subprocess
import sys

from dnslb.server.counters import Counters
from tests.server.conftest import ANSWERED_A

_WRITER = """
import os, signal, sys
from dnslb.server.counters import Counters
counters = Counters(int(sys.argv[1]))
counters.udp[int(sys.argv[2])] += 5
counters.tcp[int(sys.argv[2])] += 2
counters.generation = 9
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_new_counters_are_zero() -> None:
    """Nothing is answered yet, and there is no generation 0."""
    counters = Counters.create()
    assert (counters.queries(), counters.generation) == (0, 0)
    os.close(counters.fd)


def test_what_another_process_counted_is_seen_after_its_death() -> None:
    """A worker that is killed in the middle leaves what it has counted, and its replacement counts on."""
    counters = Counters.create()
    command = [sys.executable, "-c", _WRITER, str(counters.fd), str(ANSWERED_A)]
    for times in (1, 2):
        ended = subprocess.run(command, pass_fds=[counters.fd], check=False, timeout=30)
        assert ended.returncode == -9
        assert counters.by_protocol()["udp"][ANSWERED_A] == 5 * times
        assert counters.by_protocol()["tcp"][ANSWERED_A] == 2 * times
        assert counters.queries() == 7 * times
        assert counters.generation == 9
    os.close(counters.fd)


def test_protocols_do_not_share_a_slot() -> None:
    """Every slot of both protocols, and the generation, is a place of its own; drops are no answers."""
    counters = Counters.create()
    counters.generation = 3
    slots = [*counters.by_protocol().values()]
    for first, protocol in enumerate(slots):
        for slot in range(len(protocol)):
            protocol[slot] = 1000 * first + slot
    assert counters.generation == 3
    assert [list(protocol) for protocol in slots] == [
        [1000 * first + slot for slot in range(len(protocol))] for first, protocol in enumerate(slots)
    ]
    for protocol in slots:
        protocol[-1] = 10**9
    assert counters.queries() < 10**9
    os.close(counters.fd)
