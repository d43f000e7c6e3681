"""The sockets that queries arrive at: one UDP and one TCP socket for each address and worker, in one reuseport group.

The controller opens them and keeps them open, so that what arrives while a worker is being replaced waits in its
socket and is not lost.
"""

import errno
import socket
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
_ATTEMPTS = 16
_PRIVILEGED = 1024


class ListenError(Exception):
    """An address cannot be listened on; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class WorkerSockets:
    """What one worker serves, in the order of the addresses."""

    udp: tuple[socket.socket, ...]
    tcp: tuple[socket.socket, ...]


def open_all(addresses: Sequence[Address], workers: int, *, shared: bool) -> tuple[list[Address], list[WorkerSockets]]:
    """Return the addresses with their real ports (0 has become a free one) and each worker's sockets.

    Unless they are `shared` with workers that an earlier controller left behind, nobody else may have them: joining
    another program's reuseport group would silently take half of its queries. Raise ListenError.
    """
    bound: list[Address] = []
    columns: list[list[tuple[socket.socket, socket.socket]]] = []
    try:
        for host, port in addresses:
            real, pairs = _open_group(host, port, workers, shared=shared)
            bound.append((host, real))
            columns.append(pairs)
    except ListenError:
        _close(pair for pairs in columns for pair in pairs)
        raise
    rows = [
        WorkerSockets(
            udp=tuple(pairs[worker][0] for pairs in columns), tcp=tuple(pairs[worker][1] for pairs in columns)
        )
        for worker in range(workers)
    ]
    return bound, rows


def lost_datagrams(rows: Iterable[WorkerSockets]) -> int:
    """Return how many datagrams the kernel has dropped since the sockets were opened, for their buffers were full.

    It never falls, for the sockets outlive their workers. Raise OSError if the kernel does not tell.
    """
    size = _MEMINFO_WORDS * _MEMINFO_WORD
    told = [sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, size) for row in rows for sock in row.udp]
    return sum(int.from_bytes(words[-_MEMINFO_WORD:], sys.byteorder) for words in told)


def buffer_shortage(rows: Iterable[WorkerSockets]) -> tuple[str, ...]:
    """Return a warning if the kernel gives smaller receive buffers than those asked for."""
    given = min(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for row in rows for sock in row.udp)
    if given >= 2 * _RECEIVE_BUFFER:
        return ()
    hold, wanted = given // _QUERY_COST, 2 * _RECEIVE_BUFFER // _QUERY_COST
    text = (
        f"the kernel gives receive buffers of {given // 2} octets instead of {_RECEIVE_BUFFER}: about {hold} queries"
        f" and not {wanted} can wait in one while its worker is busy or replaced, and others are lost; run"
        f" `sysctl -w net.core.rmem_max={_RECEIVE_BUFFER}`, and write the setting into /etc/sysctl.d for the next boot"
    )
    return (text,)


def _open_group(
    host: IPv4Address | IPv6Address, port: int, workers: int, *, shared: bool
) -> tuple[int, list[tuple[socket.socket, socket.socket]]]:
    """Open a pair for each worker on one port; with port 0, one that is free for UDP and TCP alike."""
    for attempt in range(_ATTEMPTS):
        pairs: list[tuple[socket.socket, socket.socket]] = []
        try:
            real = port or _draw_port(host)
            if not (port and shared):
                _check_free(host, real)
            for _ in range(workers):
                pairs.append(_open_pair(host, real))  # noqa: PERF401 - those opened before an error must be closed
        except OSError as error:
            _close(pairs)
            if port or error.errno != errno.EADDRINUSE or attempt == _ATTEMPTS - 1:
                raise ListenError(_explain(host, port, error)) from error
            continue
        return real, pairs
    raise AssertionError("the last attempt returns or raises")


def _draw_port(host: IPv4Address | IPv6Address) -> int:
    """Return a port that the kernel says is free. To a socket with SO_REUSEPORT it may offer one of another group."""
    with _new(host, socket.SOCK_STREAM) as sock:
        sock.bind((str(host), 0))
        port: int = sock.getsockname()[1]
        return port


def _open_pair(host: IPv4Address | IPv6Address, port: int) -> tuple[socket.socket, socket.socket]:
    udp = _open(host, port, socket.SOCK_DGRAM)
    try:
        return udp, _open(host, port, socket.SOCK_STREAM)
    except OSError:
        udp.close()
        raise


def _check_free(host: IPv4Address | IPv6Address, port: int) -> None:
    """Raise OSError if anybody has the port, in a reuseport group or not."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
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


def _close(pairs: Iterable[tuple[socket.socket, socket.socket]]) -> None:
    for udp, tcp in pairs:
        udp.close()
        tcp.close()


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
