"""One TCP connection to a member's address, from the configured source address; what can go wrong, told apart."""

import asyncio
import errno
import os
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from dnslb.probe.verdict import Event

EVENTS = {
    errno.ECONNREFUSED: Event.REFUSED,
    errno.ETIMEDOUT: Event.SILENCE,
    errno.ECONNRESET: Event.RESET,
    errno.ECONNABORTED: Event.RESET,
    errno.ENOTCONN: Event.RESET,  # it came before we asked who is there
    # These three come from this host alone and say nothing about the member.
    errno.ENETUNREACH: Event.NO_ROUTE,
    errno.EADDRNOTAVAIL: Event.NO_ROUTE,
    errno.EAFNOSUPPORT: Event.NO_ROUTE,
}
Address = IPv4Address | IPv6Address

PROXY_LOCAL = b"\r\n\r\n\0\r\nQUIT\n" + b"\x20\0\0\0"
"""A PROXY protocol v2 header with command LOCAL and no addresses: the proxy itself speaks, as health checks do
(proxy-protocol.txt 2.2)."""

OUR_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def source_for(address: Address, sources: Iterable[Address]) -> Address | None:
    """Return the first local address of the same family, None if the kernel is to choose."""
    return next((source for source in sources if source.version == address.version), None)


async def connect(address: Address, port: int, source: Address | None) -> socket.socket:
    """Return a connected, non-blocking socket that is the caller's to close. Raises OSError."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.settimeout(0)
        if source is not None:
            sock.bind((str(source), 0))
        await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
        _refuse_ourselves(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _refuse_ourselves(sock: socket.socket) -> None:
    """Raise ConnectionRefusedError if the kernel joined the socket to itself.

    On one host, a dead port in the ephemeral range can be drawn as the connection's own source port: TCP's
    simultaneous open (RFC 9293 3.5) then succeeds, and a dead member would look alive.
    """
    if sock.getsockname() == sock.getpeername():
        raise ConnectionRefusedError(errno.ECONNREFUSED, "connected to itself")


async def send_proxy_header(sock: socket.socket) -> None:
    """Say that a proxy is here for itself. Closes the socket if that fails. Raises OSError."""
    try:
        await asyncio.get_running_loop().sock_sendall(sock, PROXY_LOCAL)
    except BaseException:
        sock.close()
        raise


async def bare_connect(address: Address, port: int, source: Address | None, timeout: float) -> str:  # noqa: ASYNC109 - a deadline is all that a bare connect has
    """Connect within `timeout` seconds, from `source` if that is given, and hang up without a word.

    Returns "" if that went well, else why not. Raises OSError for a shortage of this process.
    """
    try:
        async with asyncio.timeout(timeout):
            sock = await connect(address, port, source)
    except OSError as error:
        event, text = connect_failure(error, source)
        return text or event.value
    sock.close()
    return ""


def connect_failure(error: OSError, source: Address | None) -> tuple[Event, str]:
    """Return what a failed attempt to connect from `source` says of the address, and the system's words for it.

    A shortage of this process (descriptors, memory) is raised again: it is no fact about a member.
    """
    if error.errno in OUR_SHORTAGE:
        raise error
    if error.errno is None:  # asyncio's own deadline
        return Event.SILENCE, "no answer"
    text = os.strerror(error.errno) + ("" if source is None else f" (from {source})")
    return EVENTS.get(error.errno, Event.UNREACHABLE), text
