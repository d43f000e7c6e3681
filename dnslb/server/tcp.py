"""TCP: messages with a two-octet length before each (RFC 1035 section 4.2.2, RFC 7766).

A connection may ask many questions without waiting for answers. It is closed when it has been idle for ten seconds,
when a message of it is not whole or an answer not taken in this time, however much of it comes or goes meanwhile, and
when it announces a message that no query can be. Of those that are open one has to go for each one too many, of its
own client if that has opened too many, else one that is idle, or one of the client that has the most.
"""

import asyncio
import resource
import socket
from collections import deque
from ipaddress import ip_address
from time import monotonic

from dnslb.answer import tally
from dnslb.answer.tally import Cut
from dnslb.answer.terms import IDLE_SECONDS
from dnslb.server.crowd import Crowd, Standing
from dnslb.server.current import Current
from dnslb.server.sockets import BACKLOG
from dnslb.wire.query import MAX_QUERY, Drop

_ACCEPTED_AT_ONCE = 8
"""Connections accepted before UDP and the rest have their turn in the event loop: ten take a millisecond."""
MAX_CONNECTIONS = 512
"""In one worker, if it may have so many descriptors. One more closes another."""
_MIN_CONNECTIONS = 16
_CLIENTS_AT_LEAST = 4
"""As many clients have to come together to take all connections."""
_CLIENT_OCTETS = 8
"""An IPv4 address is one client. So is a /64 of IPv6, in which whoever has one address has them all."""
_OTHER_DESCRIPTORS = 64
"""More than a worker needs beside its connections."""
MESSAGES_A_TURN = 64
"""Answered over all connections before UDP and the rest have their turn in the event loop."""
SECONDS_A_TURN = 0.005
"""For which that goes on at most, but for the last of them: a message may cost a millisecond."""
_AT_ONCE = 16
"""Messages of one connection before another has its turn."""
_ENOUGH = 1 << 16
"""Octets of answers after which a connection waits for its client to take them."""
_LONGEST = 2 + MAX_QUERY
_ROUNDS_TO_READ = 4
"""Through the event loop, until what had come is read: of a connection that it has just accepted too."""
_TIME_TO_ASK = 1.0
"""For so long has a client just connected: its question may be on the way."""
_AT_A_TIME = 1 << 14
"""Octets read of a connection before they are answered, some 400 questions: what it holds beside half a message."""


class Connections:
    """The open connections of one worker."""

    def __init__(self, current: Current, counters: memoryview) -> None:
        """`counters` are the slots of `dnslb.answer.tally` for TCP."""
        self.current = current
        self.counters = counters
        self._most = _connections_at_most()
        self._most_of_one = self._most // _CLIENTS_AT_LEAST
        self._open: Crowd[Connection] = Crowd()
        self._of: dict[bytes, Crowd[Connection]] = {}
        """The open connections of each client."""
        self._sweep_at: asyncio.TimerHandle | None = None
        self._asking: deque[Connection] = deque()
        """Those that have something to be answered, in the order of their turns."""
        self._turn: asyncio.Handle | None = None
        self.stranded = 0
        """Of those that are gone, how many the garbage collector would not find: see `dnslb.server.garbage`."""
        self.room = memoryview(bytearray(_AT_A_TIME))
        """What is read stands here, until the connection has taken it."""

    def answer_soon(self, connection: "Connection") -> None:
        """Have a connection answer when it is its turn."""
        self._asking.append(connection)
        self._have_a_turn()

    def _have_a_turn(self) -> None:
        if self._asking and self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """Answer some messages. Then UDP has its turn, however many connections ask however much."""
        left, until = MESSAGES_A_TURN, monotonic() + SECONDS_A_TURN
        while self._asking and left > 0 and monotonic() < until:
            left -= self._asking.popleft().answer_some(min(left, _AT_ONCE), until)
        self._turn = None
        self._have_a_turn()

    def admit(self, connection: "Connection") -> None:
        """Note that there is a new connection, and close another one if that is one too many."""
        now = asyncio.get_running_loop().time()
        own = self._of.get(connection.client)
        if own is not None and len(own) >= self._most_of_one:
            self._cut(own.least_missed(now), Cut.ADDRESS_LIMIT)
        elif len(self._open) >= self._most:
            self._cut(self._open.one_too_many(self._of.values(), now), Cut.TOTAL_LIMIT)
        self.touch(connection, Standing.IDLE)
        self._sweep_later()

    def touch(self, connection: "Connection", standing: Standing) -> None:
        """Note that a connection is new, or has done something."""
        now = asyncio.get_running_loop().time()
        self._open.put(connection, standing, now)
        self._of.setdefault(connection.client, Crowd()).put(connection, standing, now)

    def forget(self, connection: "Connection") -> None:
        """Note that a connection is gone."""
        self._open.remove(connection)
        own = self._of.get(connection.client)
        if own is not None:
            own.remove(connection)
            if not len(own):
                del self._of[connection.client]

    def strand(self) -> None:
        """Note that the garbage collector will not look any more at those that are open now."""
        for connection in self._open:
            connection.is_frozen = True

    def _cut(self, connection: "Connection", why: Cut) -> None:
        """Close a connection at once."""
        self.counters[tally.closed(why)] += 1
        # It counts no more from now on: many may be accepted before asyncio says that it is gone.
        self.forget(connection)
        connection.abort()

    def _sweep_later(self) -> None:
        """Look again when the one that has done nothing for longest has had its time, unless it does something."""
        if len(self._open) and self._sweep_at is None:
            loop = asyncio.get_running_loop()
            self._sweep_at = loop.call_at(self._open.earliest(loop.time()) + IDLE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._sweep_at = None
        for connection in self._open.silent_since(asyncio.get_running_loop().time() - IDLE_SECONDS):
            self._cut(connection, connection.fault())
        self._sweep_later()

    async def close(self, seconds: float) -> None:
        """Close all when what they were answered is written, or after some seconds anyhow.

        What has come and is not read yet is read first.
        """
        for _ in range(_ROUNDS_TO_READ):
            await asyncio.sleep(0)
        for connection in list(self._open):
            connection.finish()
        for _ in range(int(seconds / 0.01)):
            if not self._open:
                return
            await asyncio.sleep(0.01)
        for connection in list(self._open):
            connection.abort()


def _connections_at_most() -> int:
    """Return how many connections leave a worker the descriptors that it needs for other things."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(_MIN_CONNECTIONS, min(MAX_CONNECTIONS, limit - _OTHER_DESCRIPTORS))


class Connection(asyncio.BufferedProtocol):
    """One client. asyncio would read a quarter of a megabyte at a time, and each connection would keep it."""

    def __init__(self, connections: Connections) -> None:
        """Count among the others of this worker."""
        self._connections = connections
        self._buffer = bytearray()
        self._address = b""
        self.client = b""
        """Whose connections are counted together."""
        self._paused = False
        self._ending = False
        self.is_frozen = False
        """Whether the garbage collector looks at it no more."""
        self._since = monotonic()
        self._has_asked = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to be idle."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - tells the type checker what asyncio promises
        self._transport = transport
        # Whatever the kernel does not take of an answer, its client does not take.
        transport.set_write_buffer_limits(0)
        peer = transport.get_extra_info("peername")
        self._address = ip_address(peer[0].partition("%")[0]).packed if peer else b""
        self.client = self._address[:_CLIENT_OCTETS]
        self._connections.admit(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Return where to read to."""
        return self._connections.room

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        self.data_received(self._connections.room[:nbytes])

    def data_received(self, data: bytes | memoryview) -> None:
        """Read no more, the end neither, until what is whole of this has been answered."""
        if self._transport is None or self._transport.is_closing():
            return
        begins = not self._buffer
        self._buffer += data
        whole = self._end_of_next()
        if whole:
            self._transport.pause_reading()
            self._connections.answer_soon(self)
        if whole or begins:
            # More of the same message is no sign of life: it has to be whole in time.
            self._touch()

    def answer_some(self, most: int, until: float) -> int:
        """Answer so many of the messages in the buffer at most, none but the first after a time; return how many."""
        transport = self._transport
        if transport is None or transport.is_closing():
            # A client that has gone leaves questions behind, thousands perhaps.
            self._buffer.clear()
            return 0
        if self._paused:
            return 0
        answers = self._answers(most, until)
        if answers:
            # Lengths and messages in one write, lest the client wait for a delayed acknowledgement in between.
            transport.write(b"".join(answers))
            self._touch()
        self._go_on(transport)
        return len(answers)

    def _answers(self, most: int, until: float) -> list[bytes]:
        """Answer the next messages, each with its length before it."""
        answers: list[bytes] = []
        size = 0
        while len(answers) < most and size < _ENOUGH and (end := self._end_of_next()):
            response = self._answer(end)
            if response is None:
                # Nobody knows what the stream means from here on.
                self._connections.counters[tally.closed(Cut.UNANSWERED)] += 1
                self._buffer.clear()
                self._ending = True
                break
            answers.append(len(response).to_bytes(2, "big") + response)
            size += len(response)
            if monotonic() >= until:
                break
        return answers

    def _end_of_next(self) -> int:
        """Return where the next message ends if it is whole, or longer than any may be; otherwise 0."""
        if len(self._buffer) < 2:  # noqa: PLR2004 - the length's own octets
            return 0
        end = 2 + int.from_bytes(self._buffer[:2], "big")
        return end if end <= len(self._buffer) or end > _LONGEST else 0

    def _answer(self, end: int) -> bytes | None:
        """Take the next message out of the buffer and answer it."""
        if end > _LONGEST:
            self._connections.counters[tally.dropped(Drop.LONG)] += 1
            return None
        self._has_asked = True
        query = bytes(self._buffer[2:end])
        del self._buffer[:end]
        self._connections.current.askers.note(self._address, 1)
        return self._connections.current.answer(query, self._address, self._connections.counters, stream=True)

    def _go_on(self, transport: asyncio.Transport) -> None:
        """Answer more later, or else close or read on; a client that does not take its answers is waited for."""
        if self._end_of_next():
            if not self._paused:
                self._connections.answer_soon(self)
        elif self._ending:
            transport.close()
        elif not self._paused:
            transport.resume_reading()

    def pause_writing(self) -> None:
        """Read no more while the client does not read, and answer no more of what has been read."""
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Answer what was left, then read again."""
        self._paused = False
        self._touch()
        self._connections.answer_soon(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Leave nothing behind."""
        self._transport = None
        self._connections.forget(self)
        self._connections.stranded += self.is_frozen

    def finish(self) -> None:
        """Close when all that has been asked is answered and written; who has just connected has a question still."""
        self._ending = True
        if not self._has_asked and monotonic() - self._since < _TIME_TO_ASK:
            return
        if self._transport is not None:
            self._transport.pause_reading()
        self._connections.answer_soon(self)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def fault(self) -> Cut:
        """Return why it is closed if nothing happens any more."""
        if self._paused:
            return Cut.SLOW_READER
        return Cut.SLOW_WRITER if self._buffer else Cut.IDLE

    def _touch(self) -> None:
        """Note that something has happened."""
        if self._transport is not None and not self._transport.is_closing():
            asks = Standing.ASKING if self._end_of_next() else Standing.IDLE
            self._connections.touch(self, Standing.STALLED if self._paused else asks)


class Listener:
    """Accepts connections on a listening socket, which others may have too. Made by listen(), ended by close()."""

    def __init__(self, sock: socket.socket, server: asyncio.Server, connections: Connections) -> None:
        self._sock, self._server, self._connections = sock, server, connections

    async def close(self) -> None:
        """Accept who waits now and nobody else: if the socket is ours alone, they would be reset with it."""
        loop = asyncio.get_running_loop()
        with self._sock.dup() as waiting:
            self._server.close()
            for _ in range(BACKLOG):
                try:
                    accepted, _address = waiting.accept()
                except OSError:
                    return  # nobody waits, or there is no descriptor for it
                accepted.setblocking(False)  # noqa: FBT003 - the library's signature
                await loop.connect_accepted_socket(lambda: Connection(self._connections), accepted)


async def listen(sock: socket.socket, connections: Connections) -> Listener:
    """Accept connections on a listening socket."""
    loop = asyncio.get_running_loop()
    # To asyncio the backlog is also how many it accepts at once.
    server = await loop.create_server(lambda: Connection(connections), sock=sock, backlog=_ACCEPTED_AT_ONCE)
    sock.listen(BACKLOG)
    return Listener(sock, server, connections)
