"""An interface that takes nothing any more: those who ask over others must be answered all the same."""

import subprocess
import sys
from pathlib import Path

import pytest

from dnslb.server import engine
from dnslb.server.batch import SIZE
from tests.e2e.processes import program

_SCRIPT = """
import os, socket, subprocess
from dnslb.answer import tally
from dnslb.server.batch import SIZE, Batch
from dnslb.server import engine

server, client = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
server.bind(("127.0.0.1", 0))
server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
for _ in range(SIZE):
    client.sendto(b"query", server.getsockname())
shape = "qdisc replace dev lo root tbf rate 8bit burst 2kb limit 1mb"
subprocess.run(["{tc}", *shape.split()], check=True)
extension = engine.extension()
counters = memoryview(bytearray(8 * tally.SLOTS)).cast("Q")
slots = tally.INTERNAL, tally.UNSENT
if extension:
    batch = extension(server.fileno(), False, False, counters, *slots)
else:
    batch = Batch(server, counters, tally.UNSENT)
assert batch.receive() == SIZE
batch.send([bytes(1200)] * SIZE)
print(counters[tally.UNSENT])
"""
"""Each second one octet leaves: what is written to a socket stays there."""


@pytest.mark.e2e
@pytest.mark.parametrize("pure", ["", "yes"], ids=["C", "Python"])
def test_answers_for_which_there_is_no_room_are_left_out(pure: str) -> None:
    """The sockets are blocking, and a worker that waits for one of them serves none of the others. Each is counted."""
    script = _SCRIPT.format(tc=program("tc"))
    root = str(Path(engine.__file__).parents[2])
    alone = [program("unshare"), "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    done = subprocess.run(
        [*alone, sys.executable, "-c", script],
        env={"PYTHONPATH": root, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", engine.PURE: pure},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert 32 < int(done.stdout) < SIZE
