"""A scripted SMTP server, some scripts for it, and targets that point at it."""

import asyncio
import gc
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from dnslb.probe.recipe import Kind, Recipe, Target, Tlsa

BRIEF = 0.3
"""A timeout for conversations that are meant to run into it; all others have AMPLE time."""

AMPLE = 30.0


class Guest(asyncio.Protocol):
    """One connection as the scripted server sees it.

    `early` is what came before the script said that its greeting was over, `heard` every complete line.
    """

    def __init__(self, script: "Script") -> None:
        self.early = b""
        self.heard: list[bytes] = []
        self.greeted = False
        self.gone = asyncio.Event()
        self.peer = ("", 0)
        self._script = script
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the script."""
        assert isinstance(transport, asyncio.Transport)
        self.transport: asyncio.Transport = transport
        self.peer = transport.get_extra_info("peername")[:2]
        self._task = asyncio.create_task(self._script(self))

    def data_received(self, data: bytes) -> None:
        """Note what came, and whether it came too early."""
        if not self.greeted:
            self.early += data
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            self.heard.append(line)
            self._lines.put_nowait(line)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """End the script."""
        self._task.cancel()
        self.gone.set()

    def say(self, data: bytes) -> None:
        """Send octets as they are."""
        self.transport.write(data)

    def greet(self, data: bytes) -> None:
        """Send what ends the greeting: from now on the client may talk."""
        self.greeted = True
        self.say(data)

    def forget(self, octets: int | None = None) -> None:
        """Leave what came so far (so much of it at most) out of the lines."""
        self._rest = b"" if octets is None else self._rest[octets:]
        self._lines = asyncio.Queue()

    async def hear(self) -> bytes:
        """Wait for the next line."""
        return await self._lines.get()

    async def secure(self, context: ssl.SSLContext) -> None:
        """Shake hands for TLS, as the server."""
        loop = asyncio.get_running_loop()
        upgraded = await loop.start_tls(self.transport, self, context, server_side=True)
        assert upgraded is not None
        self.transport = upgraded

    def reset(self) -> None:
        """Close with RST."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


Script = Callable[[Guest], Coroutine[None, None, None]]


class Listener:
    """A scripted server on a free loopback port, and all who came."""

    def __init__(self, script: Script) -> None:
        self.guests: list[Guest] = []
        self.port = 0
        self._script = script

    def greet_next(self) -> Guest:
        """Make the protocol of a new connection."""
        self.guests.append(Guest(self._script))
        return self.guests[-1]

    @property
    def heard(self) -> list[bytes]:
        """All lines of all guests, in order."""
        return [line for guest in self.guests for line in guest.heard]

    async def settle(self) -> None:
        """Wait until every connection has ended at this end too."""
        for guest in self.guests:
            await guest.gone.wait()


Listen = Callable[..., Awaitable[Listener]]


def recipe(**changes: Any) -> Recipe:  # noqa: ANN401 - a recipe's fields have many types
    """Build what tests probe by, with all that is not said left plain."""
    plain = Recipe(
        name="inbound",
        kind=Kind.SMTP,
        port=25,
        interval=10.0,
        timeout=AMPLE,
        rise=2,
        fall=3,
        ehlo="probe.lb.example.org",
    )
    return replace(plain, **changes)


def target(port: int, *addresses: str, host: str = "", tlsa: tuple[Tlsa, ...] | None = None, **changes: Any) -> Target:  # noqa: ANN401 - as above
    """Build a member of pool "in" that listens on loopback unless told otherwise; `changes` are its recipe's."""
    hosts = addresses or ("127.0.0.1",)
    return Target("in", "mx1", tuple(ip_address(it) for it in hosts), port, recipe(**changes), host, tlsa)


async def serve_well(guest: Guest) -> None:
    """Serve as a plain good server."""
    guest.greet(b"220 mx.example ESMTP\r\n")
    await guest.hear()
    guest.say(b"250-mx.example\r\n250 PIPELINING\r\n")
    await say_goodbye(guest)


async def say_goodbye(guest: Guest) -> None:
    """Answer QUIT, then close."""
    if await guest.hear() == b"QUIT":
        guest.say(b"221 bye\r\n")
        guest.transport.close()


def greeting(data: bytes) -> Script:
    """Greet once and for all, and wait for QUIT."""

    async def script(guest: Guest) -> None:
        guest.greet(data)
        await say_goodbye(guest)

    return script


def answering(*replies: bytes) -> Script:
    """Greet well, then give one reply per line heard; hang on after the last."""

    async def script(guest: Guest) -> None:
        guest.greet(b"220 mx.example\r\n")
        for reply in replies:
            await guest.hear()
            guest.say(reply)

    return script


async def stay_silent(guest: Guest) -> None:
    """Say nothing at all."""


async def hang_up(guest: Guest) -> None:
    """Close without a word."""
    guest.transport.close()


async def reset_at_once(guest: Guest) -> None:
    """Reset without a word."""
    guest.reset()


async def close_after_greeting(guest: Guest) -> None:
    """Greet, then close in answer to EHLO."""
    guest.greet(b"220 mx.example\r\n")
    await guest.hear()
    guest.transport.close()


async def reset_after_greeting(guest: Guest) -> None:
    """Greet, then reset in answer to EHLO."""
    guest.greet(b"220 mx.example\r\n")
    await guest.hear()
    guest.reset()


async def tease(guest: Guest) -> None:
    """Send half a greeting and never the rest."""
    guest.say(b"220-wait for it\r\n")


def descriptors() -> int:
    """Count this process's open file descriptors."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))
