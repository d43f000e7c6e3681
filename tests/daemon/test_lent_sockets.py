"""A daemon whose sockets the service manager has opened (sd_listen_fds(3))."""

import socket
import subprocess
import sys
from pathlib import Path

import dns.message
import dns.query
import dns.rcode

from tests.daemon.conftest import ADDRESSES, Daemon

LENDING = """
import os, socket, sys
kinds = {{"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}}
made = []
for kind, port in {wanted}:
    if kind == "unix":
        made.append(socket.socket(socket.AF_UNIX))
        continue
    sock = socket.socket(socket.AF_INET, kinds[kind])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    if kind == "tcp":
        sock.listen()
    made.append(sock)
high = [os.dup2(sock.fileno(), 100 + place) for place, sock in enumerate(made)]
for place, descriptor in enumerate(high):
    os.dup2(descriptor, 3 + place)
    os.close(descriptor)
os.closerange(3 + len(made), 100)
os.environ |= {{"LISTEN_FDS": str(len(made)), "LISTEN_PID": str(os.getpid() + {off}), "LISTEN_FDNAMES": "x"}}
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Gives the command behind it sockets from descriptor 3 on."""


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def start(daemon: Daemon, wanted: list[tuple[str, int]], *, off: int = 0) -> subprocess.Popen[bytes]:
    """Start it with such sockets, which are those of a process that is `off` by so much."""
    return daemon.begin(daemon.launch(sys.executable, "-c", LENDING.format(wanted=wanted, off=off)))


def answered(daemon: Daemon) -> None:
    """See that it answers, by UDP and TCP, from several ports."""
    query = dns.message.make_query("relay.lb.test", "A")
    for ask in (dns.query.udp, dns.query.tcp):
        for _ in range(8):
            found = ask(query, "127.0.0.1", timeout=20, port=daemon.port)
            assert found.rcode() == dns.rcode.NOERROR
            addresses = {record.address for rrset in found.answer for record in rrset}
            assert addresses == {ADDRESSES["mx1"], ADDRESSES["mx2"]}


def test_a_socket_for_each_worker_is_steered_to(daemon: Daemon) -> None:
    """As if dnslb had opened them; and no worker has any other than its own, nor what tells of them."""
    daemon.port, daemon.values["workers"] = free_port(), 2
    start(daemon, [("udp", daemon.port), ("tcp", daemon.port)] * 2)
    answered(daemon)
    assert daemon.call("status")["steering"] == "source"
    for pid in daemon.worker_pids():
        assert b"LISTEN_" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_fewer_sockets_than_workers_are_shared(daemon: Daemon) -> None:
    """All workers answer, and it is said why none has resolvers of its own."""
    daemon.port, daemon.values["workers"] = free_port(), 3
    start(daemon, [("udp", daemon.port), ("tcp", daemon.port)] * 2)
    answered(daemon)
    status = daemon.call("status")
    assert (status["steering"], status["steering_reason"]) == (
        "kernel",
        "the service manager has made fewer sockets than there are workers",
    )
    assert len(status["workers"]) == 3


def test_a_socket_that_nobody_wants_is_warned_of(daemon: Daemon) -> None:
    """An address that is not in `listen`; one of another family is no name server's."""
    daemon.port, daemon.values["workers"] = free_port(), 1
    other = free_port()
    start(daemon, [("unix", 0), ("udp", daemon.port), ("tcp", daemon.port), ("udp", other)])
    answered(daemon)
    warnings = [line["text"] for line in daemon.log() if line["event"] == "listening" and line["level"] == "warning"]
    assert f"the service manager gives a socket for 127.0.0.1:{other}, which is not in server.listen" in warnings
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", other))


def test_sockets_of_another_process_are_left_alone(daemon: Daemon) -> None:
    """LISTEN_PID is somebody else's: what stands in the environment was not meant for us."""
    daemon.port = free_port()
    other = free_port()
    start(daemon, [("udp", other), ("tcp", other)], off=1)
    answered(daemon)
    assert not any("service manager" in line.get("text", "") for line in daemon.log())


def test_lent_sockets_are_handed_over(daemon: Daemon) -> None:
    """The next daemon knows that they are lent: it opens no more, though it has more workers."""
    daemon.port, daemon.values["workers"] = free_port(), 2
    old = start(daemon, [("udp", daemon.port), ("tcp", daemon.port)] * 2)
    daemon.values["workers"] = 3
    daemon.begin(daemon.launch(replace=True))
    assert old.wait(30) == 0
    answered(daemon)
    assert "fewer sockets" in daemon.call("status")["steering_reason"]
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    assert sum(int(row[1].partition(":")[2], 16) == daemon.port for row in rows) == 2
