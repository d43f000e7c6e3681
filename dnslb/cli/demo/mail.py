"""A small SMTP server that accepts everything politely and keeps nothing, until it is killed."""

import asyncio
import contextlib
from dataclasses import dataclass, field

_BUSY_PORT_TRIES = 20
_LONGEST_LINE = 4096
_ANSWERS = {
    b"NOOP": b"250 2.0.0 nothing done",
    b"RSET": b"250 2.0.0 forgotten",
    b"VRFY": b"252 2.1.5 send some mail and see",
}
_UNKNOWN = b"500 5.5.2 command not known"


@dataclass(slots=True)
class Session:
    """One conversation as octets (RFC 5321): a line in, a reply out. No socket, no clock."""

    host: str
    ended: bool = False
    _has_sender: bool = False
    _has_recipient: bool = False
    _in_data: bool = False

    def greeting(self) -> bytes:
        """Return the first reply, which waits for no line."""
        return f"220 {self.host} ESMTP dnslb demo\r\n".encode()

    def reply(self, line: bytes) -> bytes:
        """Return what to say to one line, b"" for a line of a message."""
        if self._in_data:
            return self._message_line(line)
        text = self._command(line.strip())
        return text + b"\r\n" if text else b""

    def _command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        host = self.host.encode()
        match verb:
            case b"EHLO":
                return b"250-" + host + b"\r\n250-PIPELINING\r\n250 8BITMIME"
            case b"HELO":
                return b"250 " + host
            case b"QUIT":
                self.ended = True
                return b"221 2.0.0 " + host + b" closes"
            case b"MAIL" | b"RCPT" | b"DATA":
                return self._transaction(verb)
            case _:
                return _ANSWERS.get(verb, _UNKNOWN)

    def _transaction(self, verb: bytes) -> bytes:
        if verb == b"MAIL":
            self._has_sender = True
            return b"250 2.1.0 sender ok"
        if verb == b"RCPT" and self._has_sender:
            self._has_recipient = True
            return b"250 2.1.5 recipient ok"
        if verb == b"DATA" and self._has_recipient:
            self._in_data = True
            return b"354 go on, end with a single dot"
        return b"503 5.5.1 not in this order"

    def _message_line(self, line: bytes) -> bytes:
        if line.rstrip(b"\r\n") != b".":
            return b""
        self._in_data = self._has_sender = self._has_recipient = False
        return b"250 2.0.0 taken, and thrown away: this is a demo\r\n"


@dataclass(slots=True)
class MailServer:
    """One server on one address. It can be killed and started again on the same port."""

    host: str
    address: str
    port: int = 0
    _listener: asyncio.Server | None = None
    _connections: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def is_running(self) -> bool:
        """Whether it listens."""
        return self._listener is not None

    async def start(self) -> None:
        """Listen; port 0 becomes the port that was free. OSError if the port is taken."""
        self._listener = await asyncio.start_server(self._converse, self.address, self.port, limit=_LONGEST_LINE)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """Close the listener and every connection with no word of goodbye, as a crash does."""
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        listener.close()
        for connection in tuple(self._connections):
            connection.transport.abort()
        await listener.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        # A client that goes away, or a line without end, ends the conversation and concerns nobody else.
        with contextlib.suppress(OSError, ValueError, asyncio.CancelledError):
            await _talk(Session(self.host), reader, writer)
        self._connections.discard(writer)
        writer.close()


async def _talk(session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(session.greeting())
    while not session.ended and (line := await reader.readline()):
        writer.write(session.reply(line))
        await writer.drain()


async def start_all(servers: tuple[MailServer, ...]) -> None:
    """Start all servers on one port that is free at each of their addresses."""
    for attempt in range(_BUSY_PORT_TRIES):
        try:
            await _start_on_one_port(servers)
        except OSError:
            await kill_all(servers)
            if attempt == _BUSY_PORT_TRIES - 1:
                raise
        else:
            return


async def _start_on_one_port(servers: tuple[MailServer, ...]) -> None:
    port = 0
    for server in servers:
        server.port = port
        await server.start()
        port = server.port


async def kill_all(servers: tuple[MailServer, ...]) -> None:
    """Close all that run."""
    for server in servers:
        await server.kill()
