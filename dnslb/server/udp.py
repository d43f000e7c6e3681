"""UDP: bursts of datagrams between one socket and the current snapshot."""

import socket
import time
from typing import TYPE_CHECKING

from dnslb.answer import tally
from dnslb.answer.responder import DENIABLE
from dnslb.server import engine
from dnslb.server.batch import SIZE, Batch, is_wildcard
from dnslb.server.current import Current

if TYPE_CHECKING:
    from dnslb.server import _batch as fast

_ROUNDS = 16
_FEW = 8
"""To note a batch costs as much as to answer one datagram of it; a saturated worker finds a dozen waiting."""
_BURST_SECONDS = 0.01
"""After so long others have their turn: a flood of queries that cost much must not keep a worker from its heartbeat."""
_BATCHES_TO_DRAIN = 256
"""More than a receive buffer of 8 MiB can hold: the kernel counts at least 512 octets for a datagram."""


class UdpServer:
    """Answers what waits on one socket. The event loop calls `burst` when there is something."""

    def __init__(self, sock: socket.socket, current: Current, counters: memoryview) -> None:
        """`counters` are the slots of `dnslb.answer.tally` for UDP."""
        self.sock = sock
        self._fast = _in_c(sock, counters)
        self._batch = self._fast or Batch(sock, counters, tally.UNSENT)
        self._current = current
        self._counters = counters
        self._sampled = self._unnoted = 0

    def burst(self) -> None:
        """Answer what is waiting and what comes meanwhile, for a few batches: then others have their turn.

        To ask the kernel once more costs a tenth of a round through the event loop.
        """
        until = time.monotonic() + _BURST_SECONDS
        for number in range(_ROUNDS):
            if not self._exchange(begins=not number) or time.monotonic() > until:
                return

    def _exchange(self, *, begins: bool) -> bool:
        """Answer a batch, perhaps the one that a burst begins with; return whether anything was waiting."""
        number = self._batch.receive()
        if number:
            self._count(number, begins=begins)
            self._answer()
        return bool(number)

    def _answer(self) -> None:
        """Answer the batch, in C if that is there, but for watched networks."""
        current = self._current
        if self._fast is None:
            queries, clients = self._batch.datagrams()
            self._batch.send(current.answer_all(queries, clients, self._counters))
            return
        watched = current.limit.watched
        reply = current.reply_within_limit if watched else current.reply
        snapshot = current.snapshot
        denial = snapshot.names, snapshot.zones, DENIABLE
        self._fast.answer(snapshot.ready, current.turns.taken, current.cookies.known, reply, watched, denial)

    def _count(self, number: int, *, begins: bool) -> None:
        """Note who has sent a batch: each that a burst begins with, and each small one, as of who asks without a pause.

        Of the others one is noted for 64 datagrams, or a few more. What is left of a burst waits for the next long one:
        it is not for who comes next with a single query.
        """
        if begins or number < _FEW:
            self._sample(number, number)
            return
        self._unnoted += number
        if self._unnoted >= SIZE:
            self._sample(number, self._unnoted)
            self._unnoted = 0

    def _sample(self, number: int, asked: int) -> None:
        """Note the sender of one datagram of a batch for all that were asked.

        Its place in the batch moves on: the first of each would be that of who has woken us, and count for the burst
        that came behind it, whoever sent that.
        """
        self._sampled += 1
        client = self._batch.client(self._sampled % number)
        self._current.askers.note(client, asked)
        self._current.limit.note(client, asked, time.monotonic())

    def drain(self) -> None:
        """Answer what is waiting now, and not what goes on coming: a flood must not keep a worker from its end."""
        for _ in range(_BATCHES_TO_DRAIN):
            if not self._exchange(begins=True):
                return


def _in_c(sock: socket.socket, counters: memoryview) -> "fast.Batch | None":
    """Return the socket's batch in C, None where that is not there or not wanted."""
    extension = engine.extension()
    if extension is None:
        return None
    v6, wildcard = sock.family == socket.AF_INET6, is_wildcard(sock)
    return extension(sock.fileno(), v6, wildcard, counters, tally.INTERNAL, tally.UNSENT)
