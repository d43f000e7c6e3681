"""The sockets of workers: one port for all, nobody else's, and an error that says what to do."""

import errno
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from dnslb.server import sockets
from dnslb.server.sockets import Address, Group, ListenError, WorkerSockets

LOOPBACK = ip_address("127.0.0.1")


@contextmanager
def opened(*addresses: Address, workers: int = 1, shared: bool = False) -> Iterator[list[WorkerSockets]]:
    """Give each worker's sockets, closed afterwards."""
    rows = sockets.divide(sockets.open_all(addresses, workers, shared=shared), workers)
    try:
        yield rows
    finally:
        for sock in _all(rows):
            sock.close()


def _all(rows: Iterable[WorkerSockets]) -> list[socket.socket]:
    return [sock for row in rows for sock in (*row.udp, *row.tcp)]


@contextmanager
def taken(kind: socket.SocketKind, *, reuseport: bool) -> Iterator[int]:
    """Give a port that another program of this user has, for UDP or TCP alone."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(reuseport))
        sock.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            sock.listen(1)
        yield sock.getsockname()[1]


def free_port() -> int:
    """Return a port that nobody has for TCP."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def test_port_0_becomes_one_port_for_all() -> None:
    """UDP and TCP of every worker share it, on each address one, and the addresses returned name it."""
    addresses = [(LOOPBACK, 0), (ip_address("::1"), 0)]
    groups = sockets.open_all(addresses, 3, shared=False)
    bound, rows = [(group.host, group.port) for group in groups], sockets.divide(groups, 3)
    try:
        assert [host for host, _ in bound] == [host for host, _ in addresses]
        assert all(port for _, port in bound)
        assert len(rows) == 3
        for row in rows:
            for socks, kind in ((row.udp, socket.SOCK_DGRAM), (row.tcp, socket.SOCK_STREAM)):
                assert [(ip_address(sock.getsockname()[0]), sock.getsockname()[1]) for sock in socks] == bound
                assert {sock.type for sock in socks} == {kind}
    finally:
        for sock in _all(rows):
            sock.close()


def test_a_drawn_port_that_tcp_has_and_udp_has_not_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port is taken only if it is free for both."""
    with taken(socket.SOCK_DGRAM, reuseport=True) as half_free:
        drawn = iter([half_free, half_free, free_port()])
        monkeypatch.setattr(sockets, "_draw_port", lambda _host: next(drawn))
        with opened((LOOPBACK, 0)) as rows:
            assert rows[0].udp[0].getsockname()[1] != half_free


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
@pytest.mark.parametrize("reuseport", [False, True])
def test_a_port_that_somebody_has_is_refused(kind: socket.SocketKind, *, reuseport: bool) -> None:
    """UDP alone or TCP alone is enough, and so is a reuseport group of the same user, whose queries we would get."""
    with taken(kind, reuseport=reuseport) as port, pytest.raises(ListenError) as error:
        sockets.open_all([(LOOPBACK, port)], 2, shared=False)
    assert str(error.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; the port is taken: see who has it with "
        f"`ss -lunpt 'sport = :{port}'`, or change server.listen"
    )


def test_workers_that_were_left_behind_are_joined() -> None:
    """With `shared` the group of an earlier controller's workers is joined: both answer until they have gone."""
    port = free_port()
    with opened((LOOPBACK, port)) as old, opened((LOOPBACK, port), workers=2, shared=True) as new:
        assert {sock.getsockname()[1] for sock in _all(old) + _all(new)} == {port}


def test_a_port_that_another_program_has_alone_cannot_be_joined() -> None:
    """Without SO_REUSEPORT on its side the kernel refuses, and the sentence is the same."""
    with taken(socket.SOCK_DGRAM, reuseport=False) as port, pytest.raises(ListenError, match="the port is taken"):
        sockets.open_all([(LOOPBACK, port)], 1, shared=True)


@contextmanager
def grouped(workers: int, *, lent: bool = False) -> Iterator[Group]:
    """Give the sockets of a daemon that is to hand them over, or of a service manager."""
    (group,) = sockets.open_all([(LOOPBACK, 0)], workers, shared=False)
    try:
        yield replace(group, lent=lent)
    finally:
        group.close()


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("port", ["the same", "any"])
def test_sockets_that_are_inherited_are_used(workers: int, port: str) -> None:
    """As many as there are workers; only what is missing is opened, in the same group."""
    with grouped(2) as known:
        wanted = known.port if port == "the same" else 0
        (group,) = sockets.open_all([(LOOPBACK, wanted)], workers, shared=False, inherited=[known])
        try:
            assert (group.port, len(group.udp), len(group.tcp)) == (known.port, workers, workers)
            assert (group.udp[:2], group.tcp[:2]) == (known.udp[:workers], known.tcp[:workers])
            assert {sock.getsockname()[1] for sock in (*group.udp, *group.tcp)} == {known.port}
        finally:
            group.close()


def test_sockets_of_another_address_are_not_used() -> None:
    """A second listener on the host has a port of its own."""
    with grouped(1) as known:
        groups = sockets.open_all([(LOOPBACK, known.port), (LOOPBACK, 0)], 1, shared=False, inherited=[known])
        try:
            assert groups[0] == known
            assert groups[1].port != known.port
        finally:
            groups[1].close()


@pytest.mark.parametrize("workers", [1, 3])
def test_lent_sockets_stay_as_many_as_they_are(workers: int) -> None:
    """Nobody can join the manager's group. Too many are spread over the workers, and too few are shared by them."""
    with grouped(2, lent=True) as known:
        (group,) = sockets.open_all([(LOOPBACK, known.port)], workers, shared=False, inherited=[known])
        assert group == known
        rows = sockets.divide([group], workers)
        first, second = known.udp
        assert [row.udp for row in rows] == ([(first, second)] if workers == 1 else [(first,), (second,), (first,)])
        assert all(row.tcp for row in rows)


def test_a_kind_that_is_not_lent_is_opened() -> None:
    """A socket unit may have forgotten TCP."""
    with grouped(2, lent=True) as known:
        for sock in known.tcp:
            sock.close()
        half = replace(known, tcp=())
        (group,) = sockets.open_all([(LOOPBACK, known.port)], 2, shared=False, inherited=[half])
        try:
            assert group.udp == known.udp
            assert [sock.getsockname()[1] for sock in group.tcp] == [known.port] * 2
        finally:
            group.close()


def test_a_failure_closes_what_was_opened_before() -> None:
    """The first address is free again after the second could not be had."""
    port = free_port()
    with taken(socket.SOCK_STREAM, reuseport=False) as other, pytest.raises(ListenError):
        sockets.open_all([(LOOPBACK, port), (LOOPBACK, other)], 2, shared=False)
    with opened((LOOPBACK, port)):
        pass


def test_an_address_of_another_machine_is_named() -> None:
    """What to do is in the sentence."""
    expected = "cannot listen on 192.0.2.1:5300: Cannot assign requested address; no interface of this machine has"
    with pytest.raises(ListenError, match=re.escape(expected)):
        sockets.open_all([(ip_address("192.0.2.1"), 5300)], 1, shared=False)


@pytest.mark.parametrize(
    ("address", "number", "advice"),
    [
        ("127.0.0.1", errno.EACCES, "ports below 1024 need root or CAP_NET_BIND_SERVICE; or change server.listen"),
        ("::1", errno.EAFNOSUPPORT, "this machine has no IPv6; take the address out of server.listen"),
        ("::1", errno.ENOBUFS, "check server.listen"),
    ],
)
def test_each_trouble_has_its_advice(monkeypatch: pytest.MonkeyPatch, address: str, number: int, advice: str) -> None:
    """Tests run as root and with IPv6: the kernel's word is put into its mouth here."""

    def refuse(*_args: object) -> None:
        raise OSError(number, "said the kernel")

    monkeypatch.setattr(sockets, "_new", refuse)
    with pytest.raises(ListenError) as error:
        sockets.open_all([(ip_address(address), 53)], 1, shared=False)
    shown = f"[{address}]" if ":" in address else address
    assert str(error.value) == f"cannot listen on {shown}:53: said the kernel; {advice}"


def test_connections_wait_to_be_accepted() -> None:
    """TCP listens from the start: who connects while a worker starts is not refused."""
    with opened((LOOPBACK, 0)) as rows, socket.create_connection(rows[0].tcp[0].getsockname(), timeout=10) as client:
        assert client.getpeername() == rows[0].tcp[0].getsockname()


def test_wildcard_addresses_of_both_families_stand_side_by_side() -> None:
    """[::] does not take the IPv4 port too."""
    port = free_port()
    with opened((ip_address("0.0.0.0"), port), (ip_address("::"), port)) as rows:  # noqa: S104 - nobody asks
        assert len(_all(rows)) == 4


def test_descriptors_are_not_inherited() -> None:
    """A worker gets its own sockets, by name, and no others."""
    with opened((LOOPBACK, 0), workers=2) as rows:
        assert not any(sock.get_inheritable() for sock in _all(rows))


def given(sock: socket.socket, buffer: int) -> int:
    """Return the octets of a buffer as they were asked for: the kernel reports twice as many."""
    return sock.getsockopt(socket.SOL_SOCKET, buffer) // 2


def most(direction: str) -> int:
    """Return how large a buffer anybody may ask for."""
    return int(Path(f"/proc/sys/net/core/{direction}mem_max").read_text())


def test_udp_sockets_have_large_buffers() -> None:
    """As many queries as the system allows wait for a worker that is busy or replaced, and as many answers to go."""
    with opened((LOOPBACK, 0)) as rows:
        (sock,) = rows[0].udp
        assert given(sock, socket.SO_RCVBUF) >= min(4 << 20, most("r"))
        assert given(sock, socket.SO_SNDBUF) >= min(4 << 20, most("w"))


def test_the_systems_limit_does_not_hold_for_who_may_exceed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others get as much as it allows."""
    asked = most("r") + (1 << 20)
    monkeypatch.setattr(sockets, "_RECEIVE_BUFFER", asked)
    with socket.socket(type=socket.SOCK_DGRAM) as privileged:
        try:
            privileged.setsockopt(socket.SOL_SOCKET, sockets._SO_RCVBUFFORCE, asked)  # noqa: SLF001 - who may is seen so
        except PermissionError:
            asked = most("r")
    with opened((LOOPBACK, 0)) as rows:
        assert given(rows[0].udp[0], socket.SO_RCVBUF) == asked


def test_a_small_buffer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was given, how many queries that holds, and the line that mends it; nothing if there is enough."""
    monkeypatch.setattr(sockets, "_SO_RCVBUFFORCE", 9999)  # as without the privilege
    asked = most("r") + (1 << 20)
    monkeypatch.setattr(sockets, "_RECEIVE_BUFFER", asked)
    with opened((LOOPBACK, 0), workers=2) as rows:
        (warning,) = sockets.buffer_shortage(rows)
    assert warning.startswith(f"the kernel gives receive buffers of {most('r')} octets instead of {asked}: ")
    assert f"about {2 * most('r') // 832} queries" in warning
    assert f"`sysctl -w net.core.rmem_max={asked}`" in warning
    monkeypatch.setattr(sockets, "_RECEIVE_BUFFER", most("r"))
    with opened((LOOPBACK, 0)) as rows:
        assert sockets.buffer_shortage(rows) == ()


def test_a_buffer_holds_as_many_queries_as_the_warning_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody reads, so many wait and the next ones are lost."""
    monkeypatch.setattr(sockets, "_RECEIVE_BUFFER", 1 << 16)
    with opened((LOOPBACK, 0)) as rows, socket.socket(type=socket.SOCK_DGRAM) as client:
        (sock,) = rows[0].udp
        client.connect(sock.getsockname())
        for _ in range(1000):
            client.send(bytes(40))
        waiting = 0
        with suppress(BlockingIOError):
            while sock.recv(64, socket.MSG_DONTWAIT):
                waiting += 1
    assert waiting == pytest.approx((2 << 16) // 832, rel=0.3)


def test_what_found_no_room_is_told_for_all_sockets() -> None:
    """Each datagram that nobody can receive any more has been counted by the kernel."""
    with opened((LOOPBACK, 0), (ip_address("::1"), 0), workers=2) as rows:
        assert sockets.lost_datagrams(rows) == 0
        sent = found = 0
        for sock in (row.udp[place] for row in rows for place in (0, 1)):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
            with socket.socket(sock.family, socket.SOCK_DGRAM) as client:
                # Nobody else's are received here, and of the group this one gets all: it is connected.
                client.bind((sock.getsockname()[0], 0))
                sock.connect(client.getsockname())
                for _ in range(100):
                    client.sendto(b"x" * 100, sock.getsockname())
                    sent += 1
            found += len(received(sock))
        assert 0 < found < sent
        assert sockets.lost_datagrams(rows) == sent - found


def received(sock: socket.socket) -> list[bytes]:
    """Return the datagrams that wait in a socket."""
    found: list[bytes] = []
    with suppress(BlockingIOError):
        while True:
            found.append(sock.recv(1000, socket.MSG_DONTWAIT))
    return found
