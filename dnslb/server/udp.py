"""UDP: bursts of datagrams between one socket and the current snapshot."""

import socket
import time

from dnslb.server.batch import Batch
from dnslb.server.current import Current

_ROUNDS = 16
_BATCHES_TO_DRAIN = 256
"""More than a receive buffer of 8 MiB can hold: the kernel counts at least 512 octets for a datagram."""


class UdpServer:
    """Answers what waits on one socket. The event loop calls `burst` when there is something."""

    def __init__(self, sock: socket.socket, current: Current, counters: memoryview) -> None:
        """`counters` are the slots of `dnslb.answer.tally` for UDP."""
        self.sock = sock
        self._batch = Batch(sock)
        self._current = current
        self._counters = counters
        self._sampled = 0

    def burst(self) -> None:
        """Answer what is waiting and what comes meanwhile, for a few batches: then others have their turn.

        To ask the kernel once more costs a tenth of a round through the event loop.
        """
        for _ in range(_ROUNDS):
            if not self._exchange():
                return

    def _exchange(self) -> bool:
        """Answer a batch; return whether anything was waiting."""
        queries, clients = self._batch.receive()
        if queries:
            self._sample(clients)
            self._batch.send(self._current.answer_all(queries, clients, self._counters))
        return bool(queries)

    def _sample(self, clients: list[bytes]) -> None:
        """Note the sender of one datagram of a batch for all of it: every query at low load, one in 64 at the most.

        Its place in the batch moves on: the first of each would be that of who has woken us, and count for the burst
        that came behind it, whoever sent that.
        """
        self._sampled += 1
        client, number = clients[self._sampled % len(clients)], len(clients)
        self._current.askers.note(client, number)
        self._current.limit.note(client, number, time.monotonic())

    def drain(self) -> None:
        """Answer what is waiting now, and not what goes on coming: a flood must not keep a worker from its end."""
        for _ in range(_BATCHES_TO_DRAIN):
            if not self._exchange():
                return
