"""One worker process whose controller the test plays."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from dnslb.server import channel, sockets
from dnslb.server.counters import Counters
from tests.server.conftest import change, generation_of, query, snapshot


@contextmanager
def worker() -> Iterator[tuple[subprocess.Popen[bytes], socket.socket, tuple[str, int]]]:
    """Give a worker that has been told nothing yet, our end of its channel, and where it will answer."""
    bound, rows = sockets.open_all([(ip_address("127.0.0.1"), 0)], 1, shared=False)
    counters = Counters.create()
    ours, theirs = socket.socketpair()
    numbers = [rows[0].udp[0].fileno(), rows[0].tcp[0].fileno(), theirs.fileno(), counters.fd]
    udp, tcp, channel_fd, counters_fd = map(str, numbers)
    words = ["--channel", channel_fd, "--counters", counters_fd, "--udp", udp, "--tcp", tcp]
    with ours, rows[0].udp[0], rows[0].tcp[0]:
        ours.settimeout(20)
        with subprocess.Popen([sys.executable, "-m", "dnslb.server.worker", *words], pass_fds=numbers) as process:
            theirs.close()
            try:
                yield process, ours, (str(bound[0][0]), bound[0][1])
            finally:
                process.kill()
                os.close(counters.fd)


def acknowledged(ours: socket.socket) -> int:
    """Return the generation that the worker says it answers from."""
    return int.from_bytes(ours.recv(8, socket.MSG_WAITALL), "big")


def asked(address: tuple[str, int]) -> int:
    """Return the generation that answers over UDP."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.sendto(query(), address)
        return generation_of(client.recv(2000))


@pytest.mark.parametrize("half", [b"", channel.encode(snapshot())[:100]], ids=["nothing", "half"])
def test_without_a_first_snapshot_it_ends_with_its_controller(half: bytes) -> None:
    """A worker that has nothing to answer must not stay in the reuseport group and swallow queries."""
    with worker() as (process, ours, _):
        ours.sendall(half)
        ours.close()
        assert process.wait(20) == 0


def test_sigterm_ends_it_before_it_has_answers(capfd: pytest.CaptureFixture[str]) -> None:
    """A controller that is stopped while it starts need not wait for workers that wait for it."""
    with worker() as (process, ours, _):
        ours.sendall(channel.encode(snapshot())[:100])
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM
    assert capfd.readouterr().err == ""


def test_a_change_before_any_snapshot_is_a_fault(capfd: pytest.CaptureFixture[str]) -> None:
    """There is nothing to apply it to: the worker says so and ends."""
    with worker() as (process, ours, _):
        ours.sendall(channel.encode(change(2)))
        assert process.wait(20) == 1
    assert "the first message of a channel must be a whole snapshot" in capfd.readouterr().err


def test_it_goes_on_with_what_it_has_when_its_controller_is_gone() -> None:
    """Half a message is not applied; SIGTERM then ends it with status 0."""
    with worker() as (process, ours, address):
        ours.sendall(channel.encode(snapshot()))
        assert acknowledged(ours) == 1
        ours.sendall(channel.encode(change(2)))
        assert acknowledged(ours) == 2
        ours.sendall(channel.encode(change(3))[:-1])
        ours.close()
        assert asked(address) == 2
        process.terminate()
        assert process.wait(20) == 0


def test_queries_that_came_before_the_first_snapshot_are_answered() -> None:
    """They wait in the socket, which the controller opened before."""
    with worker() as (_process, ours, address), socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.sendto(query(), address)
        ours.sendall(channel.encode(snapshot()))
        assert generation_of(client.recv(2000)) == 1
