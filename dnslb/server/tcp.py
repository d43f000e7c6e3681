"""TCP: messages with a two-octet length before each (RFC 1035 section 4.2.2, RFC 7766).

A connection may ask many questions without waiting for answers. It is closed when it has been idle for ten seconds,
when it announces a message that no query can be, or when it does not read what it asked for.
"""

import asyncio
import socket
from ipaddress import ip_address

from dnslb.answer import tally
from dnslb.server.current import Current
from dnslb.wire.query import MAX_QUERY, Drop

IDLE_SECONDS = 10.0
BACKLOG = 256
"""Connections that may wait to be accepted."""
MAX_CONNECTIONS = 512
"""In one worker. One more closes the one that has been idle for longest."""


class Connections:
    """The open connections of one worker, the one that has been idle for longest first."""

    def __init__(self, current: Current, counters: memoryview) -> None:
        """`counters` are the slots of `dnslb.answer.tally` for TCP."""
        self.current = current
        self.counters = counters
        self._open: dict[Connection, None] = {}

    def touch(self, connection: "Connection") -> None:
        """Note that a connection is new or has asked something."""
        self._open.pop(connection, None)
        self._open[connection] = None
        if len(self._open) > MAX_CONNECTIONS:
            oldest = next(iter(self._open))
            # It counts no more from now on: many may be accepted before asyncio says that it is gone.
            self.forget(oldest)
            oldest.abort()

    def forget(self, connection: "Connection") -> None:
        """Note that a connection is gone."""
        self._open.pop(connection, None)

    async def close(self, seconds: float) -> None:
        """Close all when what they were answered is written, or after some seconds anyhow."""
        for connection in list(self._open):
            connection.close()
        for _ in range(int(seconds / 0.01)):
            if not self._open:
                return
            await asyncio.sleep(0.01)
        for connection in list(self._open):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, connections: Connections) -> None:
        """Count among the others of this worker."""
        self._connections = connections
        self._buffer = bytearray()
        self._client = b""
        self._paused = False
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to be idle."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - tells the type checker what asyncio promises
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._client = ip_address(peer[0].partition("%")[0]).packed if peer else b""
        self._touch()

    def data_received(self, data: bytes) -> None:
        """Answer each message that is complete."""
        self._buffer += data
        self._answer_complete()

    def _answer_complete(self) -> None:
        """Answer what is whole in the buffer, as long as the client takes the answers."""
        answered = False
        while self._is_open() and not self._paused and len(self._buffer) >= 2:  # noqa: PLR2004 - the length's own octets
            end = 2 + int.from_bytes(self._buffer[:2], "big")
            if end > 2 + MAX_QUERY:
                self._connections.counters[tally.dropped(Drop.LONG)] += 1
                self.close()
                break
            if len(self._buffer) < end:
                break
            self._answer(bytes(self._buffer[2:end]))
            del self._buffer[:end]
            answered = True
        if answered:
            self._touch()

    def _is_open(self) -> bool:
        """Say whether answers still go out; a client that has gone leaves questions behind, thousands perhaps."""
        if self._transport is not None and not self._transport.is_closing():
            return True
        self._buffer.clear()
        return False

    def _answer(self, query: bytes) -> None:
        response = self._connections.current.answer(query, self._client, self._connections.counters, stream=True)
        if response is None:
            self.close()
        elif self._transport is not None:
            # Length and message in one write, lest the client wait for a delayed acknowledgement in between.
            self._transport.write(len(response).to_bytes(2, "big") + response)

    def pause_writing(self) -> None:
        """Read no more while the client does not read, and answer no more of what has been read."""
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Answer what was left, then read again."""
        self._paused = False
        self._answer_complete()
        if self._transport is not None and not self._paused:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Leave nothing behind."""
        if self._idle is not None:
            self._idle.cancel()
        self._transport = None
        self._connections.forget(self)

    def close(self) -> None:
        """Close when all answers are written."""
        self._buffer.clear()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _touch(self) -> None:
        self._connections.touch(self)
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.abort)


async def listen(sock: socket.socket, connections: Connections) -> asyncio.Server:
    """Accept connections on a listening socket."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(connections), sock=sock, backlog=BACKLOG)
