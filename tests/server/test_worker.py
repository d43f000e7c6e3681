"""One worker process whose controller the test plays."""

import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import dns.edns
import dns.message
import pytest

from dnslb.answer.terms import Terms
from dnslb.server import channel, sockets
from dnslb.server.counters import Counters
from tests.conftest import lines, member, pool, question, service
from tests.conftest import snapshot as service_snapshot
from tests.server.conftest import change, framed, generation_of, query, snapshot
from tests.server.test_slices import attributes, expected


@contextmanager
def worker(
    stderr: int | None = None, *more: str
) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket, tuple[str, int]]]:
    """Give a worker that has been told nothing yet, our end of its channel, and where it will answer.

    It writes its reports to a descriptor, or to ours. It is started with `more` words.
    """
    groups = sockets.open_all([(ip_address("127.0.0.1"), 0)], 1, shared=False)
    rows = sockets.divide(groups, 1)
    counters = Counters.create()
    ours, theirs = socket.socketpair()
    numbers = [rows[0].udp[0].fileno(), rows[0].tcp[0].fileno(), theirs.fileno(), counters.fd]
    udp, tcp, channel_fd, counters_fd = map(str, numbers)
    words = ["--channel", channel_fd, "--counters", counters_fd, "--udp", udp, "--tcp", tcp, "--beat", "0.1", *more]
    with ours, rows[0].udp[0], rows[0].tcp[0]:
        ours.settimeout(20)
        command = [sys.executable, "-m", "dnslb.server.worker", *words]
        with subprocess.Popen(command, pass_fds=numbers, stderr=stderr) as process:
            theirs.close()
            try:
                yield process, ours, ("127.0.0.1", groups[0].port)
            finally:
                process.kill()
                os.close(counters.fd)


def heard(ours: socket.socket) -> int:
    """Return the generation that the worker says it answers from."""
    return int.from_bytes(ours.recv(8, socket.MSG_WAITALL), "big")


def wait_for(ours: socket.socket, generation: int) -> None:
    """Return when the worker says that it answers from a generation; until then it may say again what was before."""
    while (said := heard(ours)) != generation:
        assert 0 < said < generation


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


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """Give the end to write to of a pipe that takes no more."""
    read, write = os.pipe()
    while select.select([], [write], [], 0)[1]:
        os.write(write, b"x" * select.PIPE_BUF)
    yield write
    os.close(read)
    os.close(write)


def test_it_does_not_wait_for_who_reads_its_reports(full_pipe: int) -> None:
    """Not when it has a fault and ends: its replacement has to come."""
    with worker(full_pipe) as (process, ours, _):
        ours.sendall(channel.encode(change(2)))
        assert process.wait(20) == 1


def test_it_answers_though_nobody_reads_its_reports(full_pipe: int) -> None:
    """Without descriptors it has something to report at each turn, and UDP is answered meanwhile."""
    with worker(full_pipe) as (process, ours, address), ExitStack() as clients:
        ours.sendall(channel.encode(snapshot()))
        wait_for(ours, 1)
        used = {int(path.name) for path in Path(f"/proc/{process.pid}/fd").iterdir()}
        free = next(number for number in range(len(used) + 1) if number not in used)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (free, free))
        for _ in range(200):
            clients.enter_context(socket.create_connection(address, timeout=20))
            assert asked(address) == 1


def test_it_has_room_for_one_connection_more(capfd: pytest.CaptureFixture[str]) -> None:
    """However few descriptors it may have: those that are idle for longest make room before there is none."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with worker() as (process, ours, address), ExitStack() as clients:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (96, limits[1]))
        ours.sendall(channel.encode(snapshot()))
        wait_for(ours, 1)
        for _ in range(200):
            client = clients.enter_context(socket.create_connection(address, timeout=20))
            client.sendall(framed(query()))
            assert client.recv(2)
    assert capfd.readouterr().err == ""


def _said_of_mx(address: tuple[str, int]) -> list[int]:
    """Return the extended errors that go with a pool's answer."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.sendto(question("mx.lb.test A", payload=1232), address)
        message = dns.message.from_wire(client.recv(2000))
    assert lines(message.answer) == ["mx.lb.test. 30 A 192.0.2.1"]
    return [int(one.code) for one in message.options if isinstance(one, dns.edns.EDEOption)]


def test_answers_get_old_when_no_controller_comes() -> None:
    """What the pools decide says so after some time (RFC 8914 section 4.4), and is answered as before."""
    with worker(None, "--patience", "0.2") as (process, ours, address):
        ours.sendall(channel.encode(service_snapshot(pool(member("mx1")), service())))
        wait_for(ours, 1)
        assert _said_of_mx(address) == []
        ours.close()
        deadline = time.monotonic() + 20
        while not (said := _said_of_mx(address)):
            assert time.monotonic() < deadline
        assert said == [3]
        process.terminate()
        assert process.wait(20) == 0


def _cookie_made_at(address: tuple[str, int]) -> int:
    """Return the Unix time that a new cookie has in it (RFC 9018 section 4.3)."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.sendto(
            question("www.lb.test A", payload=1232, options=[dns.edns.CookieOption(b"12345678", b"")]), address
        )
        (cookie,) = dns.message.from_wire(client.recv(2000)).options
    return int.from_bytes(cookie.to_wire()[12:16], "big")


def test_its_cookies_are_of_the_present_time() -> None:
    """It goes on, with a controller and without: a cookie is right for an hour, by the clock of all who know it."""
    with worker() as (process, ours, address):
        begun = int(time.time())
        ours.sendall(channel.encode(replace(snapshot(), terms=Terms(secrets=(bytes(16),)))))
        wait_for(ours, 1)
        deadline = time.monotonic() + 20
        for _ in range(2):
            while not begun < (made := _cookie_made_at(address)) <= time.time():
                assert time.monotonic() < deadline
            begun = made
            ours.close()
        process.terminate()
        assert process.wait(20) == 0


def test_answers_are_not_old_at_once() -> None:
    """A controller that is started again takes less than the half minute that a worker waits for it."""
    with worker() as (process, ours, address):
        ours.sendall(channel.encode(service_snapshot(pool(member("mx1")), service())))
        wait_for(ours, 1)
        ours.close()
        assert _said_of_mx(address) == []
        process.terminate()
        assert process.wait(20) == 0


def test_it_goes_on_with_what_it_has_when_its_controller_is_gone() -> None:
    """Half a message is not applied; SIGTERM then ends it with status 0."""
    with worker() as (process, ours, address):
        ours.sendall(channel.encode(snapshot()))
        wait_for(ours, 1)
        ours.sendall(channel.encode(change(2)))
        wait_for(ours, 2)
        ours.sendall(channel.encode(change(3))[:-1])
        ours.close()
        assert asked(address) == 2
        process.terminate()
        assert process.wait(20) == 0


def test_it_says_again_and_again_that_it_lives() -> None:
    """Also when nothing changes; and it ends as ever when the controller has gone."""
    with worker() as (process, ours, address):
        ours.sendall(channel.encode(snapshot()))
        assert [heard(ours) for _ in range(3)] == [1, 1, 1]
        ours.close()
        assert asked(address) == 1
        process.terminate()
        assert process.wait(20) == 0


def test_it_imports_nothing_that_it_does_not_need() -> None:
    """While a new one imports, nobody answers: what the controller is made of, and its libraries, take long."""
    script = "import sys, dnslb.server.worker; print(*sys.modules)"
    imported = set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout.decode().split()
    )
    assert "dnslb.answer.responder" in imported
    not_needed = {"dnslb.answer.compiler", "dnslb.pool.selection", "dnslb.zone", "dnslb.config", "dnslb.probe"}
    assert imported & {*not_needed, "dns", "dnslib", "pydantic", "structlog", "sqlite3", "platform"} == set()


def test_it_asks_for_short_slices() -> None:
    """So it runs soon after a query has come, though its core is busy."""
    with worker() as (process, ours, _):
        ours.sendall(channel.encode(snapshot()))
        wait_for(ours, 1)
        assert attributes(process.pid)[2] == expected()


def test_queries_that_came_before_the_first_snapshot_are_answered() -> None:
    """They wait in the socket, which the controller opened before."""
    with worker() as (_process, ours, address), socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.sendto(query(), address)
        ours.sendall(channel.encode(snapshot()))
        assert generation_of(client.recv(2000)) == 1
