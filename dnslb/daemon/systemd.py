"""What the service manager is told, by the protocol of sd_notify(3): ready, reloading, stopping, and still alive.

Without NOTIFY_SOCKET in the environment nobody is told, and nothing else is different. And what it gives: sockets that
it has opened and keeps, by the protocol of sd_listen_fds(3).
"""

import asyncio
import os
import re
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import Self

from dnslb.server.batch import ask_for_destination
from dnslb.server.sockets import Address, Group

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
LISTEN_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
_FIRST_DESCRIPTOR = 3
_MICROSECONDS = 1_000_000


class Systemd:
    """Who supervises this process at `address`, "" for nobody; `watchdog` is its patience in seconds, 0 for endless."""

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        self.address = address
        self.watchdog = watchdog

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int) -> Self:
        """Read VARIABLES; a watchdog that is another process's is none."""
        ours = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        patience = environment.get("WATCHDOG_USEC", "") if ours else ""
        return cls(environment.get("NOTIFY_SOCKET", ""), int(patience or 0) / _MICROSECONDS)

    @classmethod
    def taken(cls) -> Self:
        """Read the environment, and take VARIABLES out of it: they are not for the processes that we start."""
        found = cls.of(os.environ, os.getpid())
        for name in VARIABLES:
            os.environ.pop(name, None)
        return found

    def tell(self, *words: str) -> None:
        """Send assignments such as "READY=1"; whoever does not take them misses them, for answers come first."""
        if self.address:
            # An abstract one begins with a zero octet, which stands as @ in the environment.
            address = re.sub("^@", "\0", self.address)
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as door:
                door.sendto("\n".join(words).encode(), address)

    @asynccontextmanager
    async def reloading(self) -> AsyncIterator[None]:
        """Tell that a reload begins, and in any case that it is over."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self.tell("READY=1")

    async def show_life(self) -> None:
        """Tell it twice in the time of the watchdog, for ever: a loop that hangs falls silent, and is started anew."""
        while self.watchdog:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog / 2)


def lent_sockets() -> list[Group]:
    """Take the sockets that the service manager gives this process, by address; those of other families are closed.

    LISTEN_VARIABLES leave the environment: they are not for the processes that we start.
    """
    told = {name: os.environ.pop(name, "") for name in LISTEN_VARIABLES}
    number = int(told["LISTEN_FDS"] or 0) if told["LISTEN_PID"] == str(os.getpid()) else 0
    groups: dict[Address, Group] = {}
    for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + number):
        sock = socket.socket(fileno=descriptor)
        if sock.family not in {socket.AF_INET, socket.AF_INET6}:
            sock.close()
            continue
        sock.set_inheritable(False)
        sock.setblocking(False)  # noqa: FBT003 - the library's signature
        host, port = ip_address(sock.getsockname()[0]), sock.getsockname()[1]
        group = groups.get((host, port), Group(host, port, (), (), lent=True))
        groups[host, port] = _with(group, sock)
    return list(groups.values())


def _with(group: Group, sock: socket.socket) -> Group:
    if sock.type == socket.SOCK_STREAM:
        return replace(group, tcp=(*group.tcp, sock))
    if group.host.is_unspecified:
        ask_for_destination(sock)
    return replace(group, udp=(*group.udp, sock))
