"""What the service manager is told, by the protocol of sd_notify(3): ready, reloading, stopping, and still alive.

Without NOTIFY_SOCKET in the environment nobody is told, and nothing else is different.
"""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Self

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_MICROSECONDS = 1_000_000


class Systemd:
    """Who supervises this process at `address`, "" for nobody; `watchdog` is its patience in seconds, 0 for endless."""

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        self._address = address.replace("@", "\0", 1) if address.startswith("@") else address
        self._watchdog = watchdog

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
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as door:
                door.sendto("\n".join(words).encode(), self._address)

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
        while self._watchdog:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self._watchdog / 2)
