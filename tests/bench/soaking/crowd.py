"""Who talks to the daemon in a soak: resolvers whose every answer is judged, and clients as no server wants them."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import dns.edns
import dns.exception
import dns.message

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.bench.soaking.oracle import Oracle, Question

_LOST_SECONDS = 2.0
_EXAMPLES = 10
_QUESTIONS_OF_A_CONNECTION = 40
_SCRAPE_SECONDS = 5.0
_LONGEST_VISIT = 60.0
_AT_ONCE = 100
_BOUND = 1 << 12


@dataclass(slots=True)
class Ledger:
    """What has been asked, and what became of it."""

    oracle: Oracle
    answered: int = 0
    lost: int = 0
    wrong: int = 0
    scraped: int = 0
    heard: int = 0
    """Lines of the stream over HTTP."""
    dropped: int = 0
    """Listeners that read, and requests, that the daemon has cut off or refused."""
    cut: int = 0
    """Connections of idle and slow clients that the daemon has ended."""
    examples: dict[str, str] = field(default_factory=dict)
    """The first of each kind of wrong answers, with its time."""
    began: float = field(default_factory=time.monotonic)

    def judge(self, question: Question, query: dns.message.QueryMessage, octets: bytes, asked: float) -> None:
        """Count an answer, which may be wrong."""
        self.answered += 1
        try:
            reply = dns.message.from_wire(octets)
        except dns.exception.DNSException as error:
            self.blame(question, f"unreadable: {error!r}")
            return
        fault = self.oracle.fault(question, reply, asked) if query.is_response(reply) else "an answer to something else"
        fault = fault or _fault_of_cookie(query, reply)
        if fault:
            self.blame(question, fault)

    def blame(self, question: Question, fault: str) -> None:
        """Count a wrong answer."""
        self.wrong += 1
        if len(self.examples) < _EXAMPLES:
            after = time.monotonic() - self.began
            self.examples.setdefault(f"{question.name} {question.rdtype}: {fault}", f"after {after:.1f} s")


class Resolver(asyncio.DatagramProtocol):
    """Asks over UDP from an address of its own, with cookies as RFC 7873 has them if it `has_cookies`."""

    def __init__(self, ledger: Ledger, chance: random.Random, *, has_cookies: bool) -> None:
        self._ledger, self._chance = ledger, chance
        self._cookie = chance.randbytes(8) if has_cookies else b""
        self._waiting: dict[int, tuple[Question, dns.message.QueryMessage, float]] = {}

    async def ask(self, transport: asyncio.DatagramTransport, rate: float) -> None:
        """Ask so many questions a second, for ever."""
        while True:
            await asyncio.sleep(self._chance.expovariate(rate))
            question = self._ledger.oracle.question(self._chance)
            query = _query(question, self._cookie, self._chance)
            now = time.monotonic()
            self._waiting[query.id] = question, query, now
            transport.sendto(query.to_wire())
            self._give_up(now - _LOST_SECONDS)

    def _give_up(self, before: float) -> None:
        lost = [each for each, (_, _, asked) in self._waiting.items() if asked < before]
        for each in lost:
            del self._waiting[each]
        self._ledger.lost += len(lost)

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's signature
        """Judge an answer, and keep the cookie that comes with it."""
        waiting = self._waiting.pop(int.from_bytes(data[:2], "big"), None)
        if waiting is None:
            return
        question, query, asked = waiting
        self._ledger.judge(question, query, data, asked)
        if self._cookie:
            self._cookie = _cookie_of(dns.message.from_wire(data)) or self._cookie

    def error_received(self, exc: Exception) -> None:
        """Nobody listens: the question counts as lost when its time is over."""


def _query(question: Question, cookie: bytes, chance: random.Random) -> dns.message.QueryMessage:
    options: list[dns.edns.Option] = [dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)] if cookie else []
    with_edns = bool(cookie) or chance.random() < 0.5
    query = dns.message.make_query(question.name, question.rdtype, use_edns=0 if with_edns else None, options=options)
    query.id = chance.randrange(1 << 16)
    return query


def _cookie_of(message: dns.message.Message) -> bytes:
    found = [option for option in message.options if option.otype == dns.edns.OptionType.COOKIE]
    return found[0].to_wire() or b"" if found else b""


def _fault_of_cookie(query: dns.message.Message, reply: dns.message.Message) -> str:
    ours, theirs = _cookie_of(query), _cookie_of(reply)
    return "" if theirs[:8] == ours[:8] else f"cookie {theirs.hex()} for {ours.hex()}"


async def resolver(ledger: Ledger, port: int, source: str, rate: float, *, has_cookies: bool) -> None:
    """Ask over UDP from an address, for ever."""
    chance = random.Random(source)  # noqa: S311 - the same questions in each run
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Resolver(ledger, chance, has_cookies=has_cookies),
        remote_addr=("127.0.0.1", port),
        local_addr=(source, 0),
    )
    try:
        await protocol.ask(transport, rate)
    finally:
        transport.close()


async def stream_resolver(ledger: Ledger, port: int, source: str, rate: float) -> None:
    """Ask over TCP from an address, some questions over each connection."""
    chance = random.Random(source)  # noqa: S311 - as above
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        for _ in range(_QUESTIONS_OF_A_CONNECTION):
            await asyncio.sleep(chance.expovariate(rate))
            question = ledger.oracle.question(chance)
            query, asked = _query(question, b"", chance), time.monotonic()
            octets = query.to_wire()
            writer.write(len(octets).to_bytes(2, "big") + octets)
            answer = await _answer(reader)
            if answer is None:
                ledger.lost += 1
                return
            ledger.judge(question, query, answer, asked)
    finally:
        writer.transport.abort()


async def _answer(reader: asyncio.StreamReader) -> bytes | None:
    try:
        async with asyncio.timeout(_LOST_SECONDS):
            length = await reader.readexactly(2)
            return await reader.readexactly(int.from_bytes(length, "big"))
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        return None


async def idle_client(ledger: Ledger, port: int, source: str) -> None:
    """Connect and say nothing until the daemon hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        await reader.read()
        ledger.cut += 1
    finally:
        writer.transport.abort()


async def slow_writer(ledger: Ledger, port: int, source: str) -> None:
    """Write a question octet by octet, too slowly to ever end it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    octets = iter(b"\x00\x30" + bytes(0x2E))
    try:
        while not reader.at_eof():
            writer.write(bytes((next(octets, 0),)))
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await reader.read()
        ledger.cut += 1
    finally:
        writer.transport.abort()


async def slow_reader(ledger: Ledger, port: int, source: str) -> None:
    """Ask without end over one connection and read no answer."""
    query = dns.message.make_query("all.plain.lb.example.org", "A").to_wire()
    many = _AT_ONCE * (len(query).to_bytes(2, "big") + query)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BOUND)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BOUND)
        sock.bind((source, 0))
        sock.setblocking(False)  # noqa: FBT003 - the library's signature
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", port))
        try:
            while True:
                await loop.sock_sendall(sock, many)
        except ConnectionError:
            ledger.cut += 1


async def scraper(ledger: Ledger, http: int) -> None:
    """Read the metrics and the status, for ever, as a monitoring system does."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{http}", raise_for_status=True) as session:
        while True:
            await asyncio.sleep(_SCRAPE_SECONDS)
            for path in ("/metrics", "/api/v1/status"):
                try:
                    async with session.get(path) as response:
                        await response.read()
                        ledger.scraped += 1
                except aiohttp.ClientError:
                    ledger.dropped += 1


async def listener(ledger: Ledger, http: int) -> None:
    """Listen to what changes, as the status page does, for a while."""
    seconds = random.Random(time.monotonic()).uniform(1, _LONGEST_VISIT)  # noqa: S311 - never two the same
    try:
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{http}") as session,
            session.get("/api/v1/stream", raise_for_status=True) as response,
            asyncio.timeout(seconds),
        ):
            async for _ in response.content:
                ledger.heard += 1
    except TimeoutError:
        pass  # it has heard enough
    except aiohttp.ClientError:
        ledger.dropped += 1


async def deaf_listener(http: int) -> None:
    """Ask for what changes, and never read it."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BOUND)
        sock.setblocking(False)  # noqa: FBT003 - the library's signature
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", http))
        await loop.sock_sendall(sock, b"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await asyncio.sleep(_LONGEST_VISIT)


async def again_and_again(client: Callable[[], Coroutine[None, None, None]]) -> None:
    """Have a client come again as soon as it is gone, however it went."""
    while True:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            await client()
        await asyncio.sleep(0.1)
