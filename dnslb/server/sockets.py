"""The sockets that queries arrive at: one UDP and one TCP socket for each address and worker, in one reuseport group.

The controller opens them and keeps them open, so that what arrives while a worker is being replaced waits in its
socket and is not lost. So it hands them to the next controller too, and takes those of the service manager.
"""

import errno
import socket
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from dnslb.server.batch import ask_for_destination

Address = tuple[IPv4Address | IPv6Address, int]

_RECEIVE_BUFFER = 4 << 20
"""Octets asked for. The kernel gives twice as many, for it counts what each datagram costs it, not what it holds."""
_SEND_BUFFER = 4 << 20
"""So many answers may wait for a slow interface, several thousand; those beyond are not sent."""
_QUERY_COST = 832
"""What it counts for a query of up to 192 octets on loopback; with many network cards' drivers, 2,304."""
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
"""Not in Python's socket module (include/uapi/asm-generic/socket.h)."""
_SO_MEMINFO, _MEMINFO_WORDS, _MEMINFO_WORD = 55, 9, 4
"""Nine words of 32 bits on a socket's memory, the last how many datagrams found no room (linux/sock_diag.h)."""
BACKLOG = 256
"""TCP connections that may wait to be accepted."""
_KINDS = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
_ATTEMPTS = 16
_PRIVILEGED = 1024


class ListenError(Exception):
    """An address cannot be listened on; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class WorkerSockets:
    """What one worker serves."""

    udp: tuple[socket.socket, ...]
    tcp: tuple[socket.socket, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The sockets of one address, those of each kind in the order in which they joined their reuseport group.

    If they are `lent`, the service manager has made them: as many as it wants, and nobody else can add any.
    """

    host: IPv4Address | IPv6Address
    port: int
    udp: tuple[socket.socket, ...]
    tcp: tuple[socket.socket, ...]
    lent: bool = False

    def close(self) -> None:
        """Close our descriptors; who else has the sockets keeps them."""
        for sock in (*self.udp, *self.tcp):
            sock.close()


def open_all(
    addresses: Sequence[Address], workers: int, *, shared: bool, inherited: Iterable[Group] = ()
) -> list[Group]:
    """Return the sockets of each address, with real ports (0 has become a free one), one of each kind for a worker.

    Those that are `inherited` are used where the address is the same; port 0 is that of any of the same host. Unless
    the others are `shared` with workers that an earlier controller left behind, nobody else may have them: joining
    another program's reuseport group would silently take half of its queries. Raise ListenError.
    """
    at_hand = list(inherited)
    groups: list[Group] = []
    with ExitStack() as opened:
        for host, port in addresses:
            known = next((each for each in at_hand if each.host == host and port in {0, each.port}), None)
            if known is None:
                groups.append(_open_group(host, port, workers, shared=shared))
                opened.callback(groups[-1].close)
            else:
                at_hand.remove(known)
                groups.append(_fitted(known, workers, opened))
        opened.pop_all()
    return groups


def divide(groups: Iterable[Group], workers: int) -> list[WorkerSockets]:
    """Return what each worker serves. Where there are fewer sockets than workers, several serve one."""
    known = list(groups)
    return [
        WorkerSockets(
            udp=tuple(sock for group in known for sock in _share(group.udp, worker, workers)),
            tcp=tuple(sock for group in known for sock in _share(group.tcp, worker, workers)),
        )
        for worker in range(workers)
    ]


def _share(sockets: Sequence[socket.socket], worker: int, workers: int) -> Sequence[socket.socket]:
    return sockets[worker::workers] or sockets[worker % len(sockets) :][:1]


def lost_datagrams(groups: Iterable[Group | WorkerSockets]) -> int:
    """Return how many datagrams the kernel has dropped since the sockets were opened, for their buffers were full.

    It never falls, for the sockets outlive their workers. Raise OSError if the kernel does not tell.
    """
    size = _MEMINFO_WORDS * _MEMINFO_WORD
    told = [sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, size) for group in groups for sock in group.udp]
    return sum(int.from_bytes(words[-_MEMINFO_WORD:], sys.byteorder) for words in told)


def buffer_shortage(groups: Iterable[Group | WorkerSockets]) -> tuple[str, ...]:
    """Return a warning if the kernel gives smaller receive buffers than those asked for."""
    given = min(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for group in groups for sock in group.udp)
    if given >= 2 * _RECEIVE_BUFFER:
        return ()
    hold, wanted = given // _QUERY_COST, 2 * _RECEIVE_BUFFER // _QUERY_COST
    text = (
        f"the kernel gives receive buffers of {given // 2} octets instead of {_RECEIVE_BUFFER}: about {hold} queries"
        f" and not {wanted} can wait in one while its worker is busy or replaced, and others are lost; run"
        f" `sysctl -w net.core.rmem_max={_RECEIVE_BUFFER}`, and write the setting into /etc/sysctl.d for the next boot"
    )
    return (text,)


def _open_group(host: IPv4Address | IPv6Address, port: int, workers: int, *, shared: bool) -> Group:
    """Open both kinds for each worker on one port; with port 0, one that is free for UDP and TCP alike."""
    for attempt in range(_ATTEMPTS):
        with ExitStack() as opened:
            try:
                real = port or _draw_port(host)
                if not (port and shared):
                    _check_free(host, real)
                udp, tcp = (_open_some(host, real, kind, workers, opened) for kind in _KINDS)
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE or attempt == _ATTEMPTS - 1:
                    raise ListenError(_explain(host, port, error)) from error
                continue
            opened.pop_all()
            return Group(host, real, udp, tcp)
    raise AssertionError("the last attempt returns or raises")


def _fitted(known: Group, workers: int, opened: ExitStack) -> Group:
    """Return a group with a socket of each kind for each worker; what is lent is taken as it is."""

    def fitted(kind: socket.SocketKind, socks: tuple[socket.socket, ...]) -> tuple[socket.socket, ...]:
        if known.lent and socks:
            return socks
        return socks[:workers] + _open_some(known.host, known.port, kind, workers - len(socks), opened)

    try:
        udp, tcp = (fitted(kind, socks) for kind, socks in zip(_KINDS, (known.udp, known.tcp), strict=True))
    except OSError as error:
        raise ListenError(_explain(known.host, known.port, error)) from error
    return replace(known, udp=udp, tcp=tcp)


def _open_some(
    host: IPv4Address | IPv6Address, port: int, kind: socket.SocketKind, number: int, opened: ExitStack
) -> tuple[socket.socket, ...]:
    """Open so many sockets, which `opened` closes if all comes to nothing."""
    return tuple(opened.enter_context(_open(host, port, kind)) for _ in range(number))


def _draw_port(host: IPv4Address | IPv6Address) -> int:
    """Return a port that the kernel says is free. To a socket with SO_REUSEPORT it may offer one of another group."""
    with _new(host, socket.SOCK_STREAM) as sock:
        sock.bind((str(host), 0))
        port: int = sock.getsockname()[1]
        return port


def _check_free(host: IPv4Address | IPv6Address, port: int) -> None:
    """Raise OSError if anybody has the port, in a reuseport group or not."""
    for kind in _KINDS:
        with _new(host, kind) as sock:
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((str(host), port))
            if kind == socket.SOCK_STREAM:
                sock.listen(1)


def _open(host: IPv4Address | IPv6Address, port: int, kind: socket.SocketKind) -> socket.socket:
    sock = _new(host, kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            _size(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            _size(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF, _SEND_BUFFER)
            if host.is_unspecified:
                ask_for_destination(sock)
        sock.bind((str(host), port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
            sock.setblocking(False)  # noqa: FBT003 - the library's signature
    except OSError:
        sock.close()
        raise
    return sock


def _size(sock: socket.socket, forced: int, bounded: int, octets: int) -> None:
    """Ask for a buffer whatever the system's limit is, which takes CAP_NET_ADMIN (socket(7)), or else up to that."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, octets)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, bounded, octets)


def _new(host: IPv4Address | IPv6Address, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET if isinstance(host, IPv4Address) else socket.AF_INET6
    # asyncio switches TCP_NODELAY on for accepted sockets only if the listening one names its protocol.
    protocol = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP
    sock = socket.socket(family, kind, protocol)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return sock


def _explain(host: IPv4Address | IPv6Address, port: int, error: OSError) -> str:
    where = f"[{host}]:{port}" if isinstance(host, IPv6Address) else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        advice = f"the port is taken: see who has it with `ss -lunpt 'sport = :{port}'`, or change server.listen"
    elif error.errno == errno.EACCES and port < _PRIVILEGED:
        advice = "ports below 1024 need root or CAP_NET_BIND_SERVICE; or change server.listen"
    elif error.errno == errno.EADDRNOTAVAIL:
        advice = "no interface of this machine has the address; change server.listen"
    elif error.errno == errno.EAFNOSUPPORT:
        advice = "this machine has no IPv6; take the address out of server.listen"
    else:
        advice = "check server.listen"
    return f"cannot listen on {where}: {error.strerror}; {advice}"
