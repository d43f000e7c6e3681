"""One conversation with one address, as deep as it is asked to go (RFC 5321 3.1, 4.1.1.1, 4.1.1.10)."""

import asyncio
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from aiosmtplib.errors import SMTPException
from aiosmtplib.response import SMTPResponse

from dnslb.pool.health import Aspect
from dnslb.probe.line import Line, Record, note_failure, open_line
from dnslb.probe.recipe import Kind, Target
from dnslb.probe.tcp import connect, connect_failure, source_for
from dnslb.probe.transcript import Exchange, TlsFacts
from dnslb.probe.verdict import Ending, Event, Step

EHLO_UNKNOWN = frozenset({500, 502, 504})
"""Replies to EHLO that say "I am older than that": HELO follows (RFC 5321 3.2)."""

GREETED = 220


@dataclass(frozen=True, slots=True)
class Finding:
    """What one address showed.

    `endings` are all things that someone could object to, the last of them how the conversation ended. `latency` is
    seconds from the connect to the greeting's last line, None without one. `source` is our own address.
    """

    where: str
    endings: tuple[Ending, ...]
    exchanges: tuple[Exchange, ...]
    examined: frozenset[Aspect]
    latency: float | None = None
    source: str = ""
    greeting_lines: int = 1
    tls: TlsFacts | None = None
    warnings: tuple[str, ...] = ()


class Visit:
    """A conversation under way: what it is to find out, and what it has found so far."""

    def __init__(self, target: Target, address: IPv4Address | IPv6Address, aspects: frozenset[Aspect]) -> None:
        self._target = target
        self._address = address
        self._aspects = aspects
        self._started = asyncio.get_running_loop().time()
        self._deadline = self._started + target.recipe.timeout
        self._record = Record(where(address, target.port))
        self._line: Line | None = None
        self._latency: float | None = None
        self._source = ""
        self._greeting_lines = 1

    async def pay(self) -> Finding:
        """Hold the conversation, bounded as a whole by the recipe's timeout."""
        try:
            ending = await self._until_deadline()
            if self._line is not None and ending.event is Event.REPLY:
                await self._line.quit(self._deadline)
        finally:
            self._hang_up()
        return Finding(
            where=self._record.where,
            endings=(ending,),
            exchanges=tuple(self._record.exchanges),
            examined=frozenset({Aspect.SESSION}),
            latency=self._latency,
            source=self._source,
            greeting_lines=self._greeting_lines,
        )

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.abort()

    async def _until_deadline(self) -> Ending:
        try:
            async with asyncio.timeout_at(self._deadline):
                arrived = await self._connect()
                return arrived if isinstance(arrived, Ending) else await self._dialogue(arrived)
        except TimeoutError:
            return self._record.failed(Event.SILENCE)
        except SMTPException as error:
            return note_failure(self._record, error)

    async def _connect(self) -> Ending | Line:
        """Return the open line, or why there is none to talk over."""
        source = source_for(self._address, self._target.recipe.source)
        self._record.begin(Step.CONNECT)
        try:
            sock = await connect(self._address, self._target.port, source)
        except OSError as error:
            ending = connect_failure(error, source)
            return self._record.failed(ending.event, ending.text)
        self._source = sock.getsockname()[0]
        took = self._record.end()
        if self._target.recipe.kind is Kind.TCP:
            sock.close()
            return Ending(Event.CONNECTED, Step.CONNECT, took=took)
        self._line = await open_line(sock, self._record)
        return self._line

    async def _dialogue(self, line: Line) -> Ending:
        """Return the reply that ends the conversation: the first that is not the wanted one, or the last."""
        reply = await line.listen(Step.GREETING)
        self._latency = asyncio.get_running_loop().time() - self._started
        self._greeting_lines = reply.message.count("\n") + 1
        if reply.code == GREETED:
            reply = await self._hello(line)
        return self._record.replied(reply)

    async def _hello(self, line: Line) -> SMTPResponse:
        name = self._target.recipe.ehlo.encode("ascii")
        reply = await line.say(Step.EHLO, b"EHLO", name)
        if reply.code not in EHLO_UNKNOWN:
            return reply
        return await line.say(Step.HELO, b"HELO", name)


def where(address: IPv4Address | IPv6Address, port: int) -> str:
    """Write an address and port as people do: 192.0.2.1:25, [2001:db8::1]:25."""
    return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"  # noqa: PLR2004 - IP's version is its name
