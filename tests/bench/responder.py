"""Mail servers for probes: one process that answers on many loopback addresses, and misbehaves where it is told to.

Run as `python responder.py PORT ADDRESSES [CERTIFICATE]`, the addresses with commas between them; 0.0.0.0 stands for
all of 127.0.0.0/8. With a certificate (PEM, with its key in the same file) STARTTLS is offered. It prints "ready"; on
standard input it takes lines:

hang ADDRESS                 accepts connections and says nothing
refuse_domain ADDRESS        answers 554 to RCPT
full ADDRESS                 answers 452 to MAIL
show ADDRESS CERTIFICATE     has another certificate from now on
lose FRACTION SEED           loses this part of all connections: resets, ends or stalls them, at three points
connections                  prints how many connections there were, and how many of them were lost

The first connection that meets a fault of one address prints "met ADDRESS TIME" (CLOCK_MONOTONIC).
"""

from __future__ import annotations

import asyncio
import random
import resource
import ssl
import sys
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class World:
    """What is wrong where. `fault` is by address; losses are drawn for each connection."""

    context: ssl.SSLContext | None
    fault: dict[str, str] = field(default_factory=dict)
    shown: dict[str, ssl.SSLContext] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)
    fraction: float = 0.0
    chance: random.Random = field(default_factory=random.Random)
    connections: int = 0
    lost: int = 0

    def meet(self, address: str) -> None:
        """Tell of the first that meets a fault."""
        if address not in self.met:
            self.met.add(address)
            _tell(f"met {address} {time.monotonic()!r}")

    def draw_loss(self) -> str:
        """Return the point at which this connection is lost, "" if it is not."""
        self.connections += 1
        if not self.fraction or self.chance.random() >= self.fraction:
            return ""
        self.lost += 1
        return self.chance.choice(("connect", "greeting", "EHLO"))


class Session(asyncio.Protocol):
    """One connection."""

    __slots__ = ("_address", "_fault", "_loss", "_pending", "_transport", "_world")

    def __init__(self, world: World) -> None:
        self._world = world
        self._transport: asyncio.Transport | None = None
        self._pending: bytes | None = None
        """What came since STARTTLS was answered; None if there is no handshake under way."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, unless that is what is wrong."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = transport.get_extra_info("sockname")[0]
        self._fault = self._world.fault.get(self._address, "")
        self._loss = self._world.draw_loss()
        if self._fault == "hang":
            self._world.meet(self._address)
        elif self._loss == "connect":
            transport.abort()
        elif self._loss != "greeting":
            transport.write(b"220 responder.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer one command; the client never sends two at a time."""
        assert self._transport is not None
        if self._pending is not None:
            self._pending += data  # asyncio passes it on before it says that the handshake has ended
            return
        verb = data[:4].upper()
        if verb == b"EHLO" and self._loss:
            self._transport.close()
        elif verb == b"EHLO":
            offer = b"250-STARTTLS\r\n" if self._world.context and not self._is_secure() else b""
            self._transport.write(b"250-responder.test\r\n250-PIPELINING\r\n" + offer + b"250 8BITMIME\r\n")
        elif verb == b"STAR":
            self._transport.write(b"220 go on\r\n")
            self._pending = b""
            asyncio.get_running_loop().create_task(self._upgrade())
        elif verb == b"QUIT":
            self._transport.write(b"221 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(self._judged(verb))

    def _is_secure(self) -> bool:
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is not None

    def _judged(self, verb: bytes) -> bytes:
        if (verb, self._fault) == (b"MAIL", "full"):
            self._world.meet(self._address)
            return b"452 4.3.1 Insufficient system storage\r\n"
        if (verb, self._fault) == (b"RCPT", "refuse_domain"):
            self._world.meet(self._address)
            return b"554 5.7.1 <postmaster@example.org>: Relay access denied\r\n"
        return b"250 ok\r\n"

    async def _upgrade(self) -> None:
        assert self._transport is not None
        assert self._world.context is not None
        other = self._world.shown.get(self._address)
        if other is not None:
            self._world.meet(self._address)
        loop = asyncio.get_running_loop()
        try:
            upgraded = await loop.start_tls(self._transport, self, other or self._world.context, server_side=True)
        except OSError:
            return  # a client that does not like the certificate
        pending, self._pending = self._pending, None
        if upgraded is not None:
            self._transport = upgraded
            if pending:
                self.data_received(pending)


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _context(path: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def _obey(world: World, words: list[str]) -> None:
    match words:
        case ["lose", fraction, seed]:
            world.fraction, world.chance = float(fraction), random.Random(int(seed))  # noqa: S311 - the same each time
            world.connections = world.lost = 0
        case ["connections"]:
            _tell(f"{world.connections} {world.lost}")
        case ["show", address, path]:
            world.shown[address] = _context(path)
        case [fault, address]:
            world.fault[address] = fault


async def _serve(port: int, addresses: str, certificate: str = "") -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    world = World(_context(certificate) if certificate else None)
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Session(world), addresses.split(","), port, backlog=4096)
    _tell("ready")
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        _obey(world, line.decode().split())
    # Standard input has ended: so has the benchmark.


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), *sys.argv[2:]))
