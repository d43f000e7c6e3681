"""One connection to a mail server, over which commands go one at a time, each timed and noted with its answer.

Spoken through aiosmtplib's protocol and not through its client: the client hangs up without QUIT on any greeting but
220 and on any 421, wraps connecting and greeting in one error, applies its time limit to each phase anew, and goes on
to the next way of logging in when one has failed.
"""

import asyncio
import re
import socket
import ssl
from asyncio.sslproto import SSLProtocol

from aiosmtplib.errors import SMTPException, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse
from aiosmtplib.typing import SMTPStatus

from dnslb.probe.record import Record
from dnslb.probe.verdict import Ending, Event, Step

OCTETS = 65_536
"""How much a server may say over one connection."""

CHUNK = 16_384
"""How much is read at a time: as much as a TLS record holds (RFC 8446 5.1), and half of what a reply may be."""

PIECES = 2048
"""In how many pieces: each costs a turn of the event loop, and a hostile server sends each octet by itself."""

LINES = 256
"""How many lines one reply may have: the library reads all of them anew with each piece that comes."""

EXCERPT = 512
"""How many octets are kept of what came before its turn."""

QUIT_PATIENCE = 2.0
"""Seconds to wait for the 221; whether it comes changes nothing in the verdict."""

INVALID_DATES = frozenset({9, 10})
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""

MALFORMED = "Malformed SMTP response line: "
REPLY_LINE = re.compile(rb"[0-9]{3}(?:[ -][^\0]*|\r?)")
"""A line of a reply (RFC 5321 4.2). The library takes what has a number in its first three octets: "2200", " 22"."""

TOO_LONG = "Response too long"
TOO_MUCH = "more octets than any handshake takes"


class FloodError(SMTPException):
    """The server says more than the bounds allow."""


class EarlyError(SMTPException):
    """The server speaks before its turn."""


class TlsFloodError(ConnectionAbortedError):
    """The server sends more than the bounds allow in TLS itself. An OSError, for asyncio would log any other."""


class Intake:
    """How much has come in over a connection."""

    def __init__(self) -> None:
        self._octets = 0
        self._pieces = 0

    def overflows(self, octets: int) -> bool:
        """Take a piece of so many octets, and return whether that is more than a server may send."""
        self._octets += octets
        self._pieces += 1
        return self._octets > OCTETS or self._pieces > PIECES


class BoundedTls(SSLProtocol):
    """asyncio's TLS, in which what comes in is bounded.

    Much of that never gets to the protocol above: huge certificates, and tickets without end, which RFC 8446 4.6.1 lets
    a server send at any time. `max_size` is what asyncio sets aside for each connection, by itself 256 KB.
    """

    max_size = CHUNK

    def __init__(self, protocol: SMTPProtocol, context: ssl.SSLContext, host: str, *, opened: bool) -> None:
        """Begin as a client. `opened` says that `protocol` has been told of its connection before."""
        loop = asyncio.get_running_loop()
        self._shaken: asyncio.Future[None] = loop.create_future()
        super().__init__(
            loop, protocol, context, self._shaken, server_hostname=host or None, call_connection_made=not opened
        )
        self._intake = Intake()

    async def shaken(self) -> asyncio.BaseTransport:
        """Return what to talk over once hands are shaken. Raises OSError: ssl.SSLError, ConnectionError."""
        await self._shaken
        if self._app_transport is None:
            raise SMTPServerDisconnected("Connection lost")
        return self._app_transport

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came. What is raised here ends the connection and is told as the reason for that."""
        if self._intake.overflows(nbytes):
            raise TlsFloodError(TOO_MUCH)
        super().buffer_updated(nbytes)


class AttentiveProtocol(SMTPProtocol):
    """The library's protocol, which also bounds what comes in all, and tells what comes before its turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._intake = Intake()
        self._lines = 0
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin. asyncio would read 256 KB at a time, and a hostile server fill them."""
        transport.max_size = CHUNK  # type: ignore[attr-defined]  # a socket's transport has it; others take no harm
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Take what came. Out of turn the library would drop it without a word."""
        flooded = self._intake.overflows(len(data))
        self._lines += data.count(b"\n")
        waiter = self._response_waiter
        if waiter is None:
            return
        if waiter.done() or not self._response_pending:
            self._early = self._early or data[:EXCERPT]
        elif flooded or self._lines > LINES:
            self._set_response_exception(waiter, FloodError(TOO_LONG))
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end as what it is: after QUIT the library would make a reply of it."""
        self._quit_sent = False
        super().connection_lost(exc)

    def _read_response_from_buffer(self) -> SMTPResponse | None:
        for line in bytes(self._buffer).split(b"\n")[:-1]:
            if REPLY_LINE.fullmatch(line) is None:
                shown = line[:EXCERPT].decode("utf-8", "ignore")
                raise SMTPResponseException(SMTPStatus.invalid_response.value, MALFORMED + shown)
            if line[3:4] != b"-":
                break
        return super()._read_response_from_buffer()

    async def read_response(self, timeout: float | None = None) -> SMTPResponse:  # noqa: ASYNC109 - the library's signature
        """Return the next reply. Raises EarlyError if more came with it."""
        self._lines = 0
        response = await super().read_response(timeout)
        self._early = self._early or bytes(self._buffer[:EXCERPT])
        self.listen_for_early()
        return response

    def listen_for_early(self) -> None:
        """Raise EarlyError if something came that nobody had asked for."""
        if self._early:
            raise EarlyError(self._early.decode("utf-8", "replace"))

    async def upgrade(self, context: ssl.SSLContext, host: str) -> asyncio.BaseTransport:
        """Shake hands for TLS over the connection, and return what to hang up with from now on.

        Not the library's start_tls, for that one takes the reply to STARTTLS and the handshake as one step, and drops
        what came between the two. Raises ssl.SSLError and ConnectionError.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise SMTPServerDisconnected("Connection lost")
        secured = BoundedTls(self, context, host, opened=True)
        transport.set_protocol(secured)
        secured.connection_made(transport)  # in the same turn of the loop: nothing can come in between
        self.transport = await secured.shaken()
        return self.transport


class Line:
    """A conversation over a connected socket, which is this line's to close: whoever makes one has to hang up."""

    def __init__(self, record: Record, sock: socket.socket) -> None:
        self._record = record
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._protocol = AttentiveProtocol(self._loop)
        self._transport: asyncio.BaseTransport | None = None

    async def open(self) -> None:
        """Talk in clear text."""
        self._transport, _ = await self._loop.create_connection(lambda: self._protocol, sock=self._sock)

    async def open_secure(self, context: ssl.SSLContext, host: str) -> ssl.SSLObject:
        """Talk over TLS from the first octet (RFC 8314 3.3). Raises OSError: ssl.SSLError, ConnectionError."""
        secured = BoundedTls(self._protocol, context, host, opened=False)
        self._transport, _ = await self._loop.create_connection(lambda: secured, sock=self._sock)
        self._transport = await secured.shaken()
        return self._ssl_object()

    async def upgrade(self, context: ssl.SSLContext, host: str) -> ssl.SSLObject:
        """Go on over TLS (RFC 3207). Raises OSError: ssl.SSLError, ConnectionError."""
        self._transport = await self._protocol.upgrade(context, host)
        return self._ssl_object()

    async def listen(self, step: Step) -> SMTPResponse:
        """Return the reply that the server owes without a command: its greeting."""
        self._record.begin(step)
        return self._record.replied(await self._protocol.read_response())

    async def say(self, step: Step, *words: bytes, shown: str | None = None) -> SMTPResponse:
        """Send a command and return the reply. `shown` is what the record says was sent, where that differs."""
        self._record.begin(step, b" ".join(words).decode() if shown is None else shown)
        self._protocol.listen_for_early()
        return self._record.replied(await self._protocol.execute_command(*words))

    async def quit(self, deadline: float) -> None:
        """Say goodbye and wait for the answer, though not for long and not beyond `deadline` (loop time).

        With an answer the line is closed properly, which over TLS takes a word of its own (RFC 8446 6.1); what the
        peer makes of that is not waited for.
        """
        try:
            async with asyncio.timeout_at(min(deadline, self._loop.time() + QUIT_PATIENCE)):
                await self.say(Step.QUIT, b"QUIT")
            if self._transport is not None:
                self._transport.close()
        except TimeoutError:
            self._record.failed(Event.SILENCE)
        except SMTPException as error:
            note_failure(self._record, error)

    def abort(self) -> None:
        """Hang up at once: close() would wait for a peer that never reads, and keep the descriptor meanwhile."""
        if self._transport is None:
            self._sock.close()
        else:
            self._transport.abort()  # type: ignore[attr-defined]  # a socket's transport is always a WriteTransport

    def _ssl_object(self) -> ssl.SSLObject:
        assert self._transport is not None  # noqa: S101 - it was set by the caller one line above
        found: ssl.SSLObject = self._transport.get_extra_info("ssl_object")
        return found


def note_failure(record: Record, error: SMTPException) -> Ending:
    """Put the library's errors in our words; one that is not known here is raised again, for it is a bug."""
    match error:
        case EarlyError():
            return record.failed(Event.EARLY, error.message)
        case FloodError() | SMTPResponseException(message="Response too long"):
            return record.failed(Event.FLOOD, TOO_LONG)
        case SMTPResponseException():
            return record.failed(Event.GARBAGE, error.message.removeprefix(MALFORMED))
        case SMTPServerDisconnected(__cause__=ssl.SSLError() as cause):
            return record.failed(Event.TLS_FAILED, openssl_reason(cause), step=Step.TLS)
        case SMTPServerDisconnected(__cause__=TlsFloodError()):
            return record.failed(Event.FLOOD, TOO_LONG)
        case SMTPServerDisconnected(__cause__=ConnectionError()):
            return record.failed(Event.RESET)
        case SMTPServerDisconnected():
            return record.failed(Event.EOF)
        case _:
            raise error


def handshake_failure(error: OSError | SMTPServerDisconnected) -> tuple[Event, str]:
    """Return what a failed handshake was, and OpenSSL's reason or ""."""
    match error:
        case ssl.SSLCertVerificationError():
            dated = error.verify_code in INVALID_DATES
            return Event.EXPIRED if dated else Event.UNTRUSTED, error.verify_message
        case ssl.SSLError():
            return Event.TLS_FAILED, openssl_reason(error)
        case TlsFloodError():
            return Event.TLS_FAILED, TOO_MUCH
        case ConnectionAbortedError(errno=None):  # asyncio's own limit, which is 60 s
            return Event.SILENCE, ""
        case OSError(errno=int()):
            return Event.RESET, ""
        case _:
            return Event.EOF, ""


def openssl_reason(error: ssl.SSLError) -> str:
    """Return what OpenSSL says went wrong, as words: "wrong version number"."""
    return (error.reason or str(error)).replace("_", " ").lower()
