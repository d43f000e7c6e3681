"""One connection to a mail server, over which commands go one at a time, each timed and noted with its answer.

Spoken through aiosmtplib's protocol and not through its client: the client hangs up without QUIT on any greeting but
220 and on any 421, wraps connecting and greeting in one error, applies its time limit to each phase anew, and tries one
way to log in after the other.
"""

import asyncio
import socket
from dataclasses import dataclass, field

from aiosmtplib.errors import SMTPException, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from dnslb.probe.transcript import Exchange
from dnslb.probe.verdict import Ending, Event, Step

OCTETS = 65_536
"""How much a server may say in one conversation."""

LINES = 256
"""How many lines one reply may have. The library reads a reply anew with each piece that comes."""

QUIT_PATIENCE = 2.0
"""Seconds to wait for the 221; whether it comes changes nothing in the verdict."""

MALFORMED = "Malformed SMTP response line: "
TOO_LONG = "Response too long"


class FloodError(SMTPException):
    """The server says more than the bounds allow."""


class EarlyError(SMTPException):
    """The server speaks before its turn."""


class AttentiveProtocol(SMTPProtocol):
    """The library's protocol, which also notes what comes out of turn, and bounds what comes in all."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._octets = 0
        self._lines = 0
        self._early = b""

    def data_received(self, data: bytes) -> None:
        """Take what came. Out of turn the library would drop it without a word."""
        self._octets += len(data)
        self._lines += data.count(b"\n")
        waiter = self._response_waiter
        if waiter is None:
            return
        if waiter.done() or not self._response_pending:
            self._early = self._early or data[:TEXT_KEPT]
        elif self._octets > OCTETS or self._lines > LINES:
            self._set_response_exception(waiter, FloodError(TOO_LONG))
        else:
            super().data_received(data)

    async def read_response(self, timeout: float | None = None) -> SMTPResponse:  # noqa: ASYNC109 - the library's signature
        """Return the next reply. Raises EarlyError if octets came with it or before it that nobody had asked for."""
        if self._early:
            raise EarlyError(_readable(self._early))
        self._lines = 0
        response = await super().read_response(timeout)
        if self._buffer:
            raise EarlyError(_readable(bytes(self._buffer[:TEXT_KEPT])))
        return response


TEXT_KEPT = 512


def _readable(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


@dataclass(slots=True)
class Record:
    """What was said so far with one address, over one connection or several.

    `step` is the one under way, since `since` (loop time), for which `sent` went out.
    """

    where: str
    exchanges: list[Exchange] = field(default_factory=list)
    step: Step = Step.CONNECT
    sent: str = ""
    since: float = 0.0

    def begin(self, step: Step, sent: str = "") -> None:
        """Note what is done now, and when."""
        self.step, self.sent, self.since = step, sent, asyncio.get_running_loop().time()

    def end(self, code: int = 0, reply: str = "") -> float:
        """Note what came of it, and return the seconds that it took."""
        took = asyncio.get_running_loop().time() - self.since
        self.exchanges.append(Exchange(self.where, self.step.value, took * 1000, self.sent, code, reply))
        return took

    def failed(self, event: Event, text: str = "") -> Ending:
        """Note that the step under way came to nothing, and return that as an ending."""
        took = self.end(reply=text or event.value)
        return Ending(event, self.step, text=text, took=took)

    def replied(self, reply: SMTPResponse) -> Ending:
        """Return the last reply as an ending; it has been noted already."""
        return Ending(Event.REPLY, self.step, reply.code, reply.message, self.exchanges[-1].ms / 1000)


class Line:
    """A connection that is open. Whoever opens it has to abort it."""

    def __init__(self, record: Record, protocol: AttentiveProtocol, transport: asyncio.BaseTransport) -> None:
        self._record = record
        self._protocol = protocol
        self._transport = transport

    async def listen(self, step: Step) -> SMTPResponse:
        """Return the reply that the server owes without a command: its greeting."""
        self._record.begin(step)
        return self._noted(await self._protocol.read_response())

    async def say(self, step: Step, *words: bytes, shown: str | None = None) -> SMTPResponse:
        """Send a command and return the reply. `shown` is what the transcript says was sent, where that differs."""
        self._record.begin(step, b" ".join(words).decode("ascii") if shown is None else shown)
        return self._noted(await self._protocol.execute_command(*words))

    async def quit(self, deadline: float) -> None:
        """Say goodbye and wait for the answer, though not for long and not beyond `deadline` (loop time)."""
        limit = min(deadline, asyncio.get_running_loop().time() + QUIT_PATIENCE)
        try:
            async with asyncio.timeout_at(limit):
                await self.say(Step.QUIT, b"QUIT")
        except TimeoutError:
            self._record.failed(Event.SILENCE)
        except SMTPException as error:
            note_failure(self._record, error)

    def abort(self) -> None:
        """Hang up at once: close() would wait for a peer that never reads, and keep the descriptor meanwhile."""
        self._transport.abort()  # type: ignore[attr-defined]  # every transport that a socket can have is a WriteTransport

    def _noted(self, reply: SMTPResponse) -> SMTPResponse:
        self._record.end(reply.code, reply.message)
        return reply


async def open_line(sock: socket.socket, record: Record) -> Line:
    """Talk over a connected socket from now on."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(lambda: AttentiveProtocol(loop), sock=sock)
    return Line(record, protocol, transport)


def note_failure(record: Record, error: SMTPException) -> Ending:
    """Put the library's errors in our words; one that is not known here is raised again, for it is a bug."""
    match error:
        case EarlyError():
            return record.failed(Event.EARLY, error.message)
        case FloodError() | SMTPResponseException(message="Response too long"):
            return record.failed(Event.FLOOD, TOO_LONG)
        case SMTPResponseException():
            return record.failed(Event.GARBAGE, error.message.removeprefix(MALFORMED))
        case SMTPServerDisconnected(__cause__=ConnectionError()):
            return record.failed(Event.RESET)
        case SMTPServerDisconnected():
            return record.failed(Event.EOF)
        case _:
            raise error
