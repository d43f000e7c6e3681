"""UDP: bursts of datagrams between one socket and the current snapshot."""

import socket

from dnslb.server.batch import SIZE, Batch
from dnslb.server.current import Current


class UdpServer:
    """Answers what waits on one socket. The event loop calls `burst` when there is something."""

    def __init__(self, sock: socket.socket, current: Current, counters: memoryview) -> None:
        """`counters` are the slots of `dnslb.answer.tally` for UDP."""
        self.sock = sock
        self._batch = Batch(sock)
        self._current = current
        self._counters = counters

    def burst(self) -> bool:
        """Answer at most one batch, with one snapshot; return whether more may be waiting."""
        batch = self._batch
        lengths = batch.receive()
        counters = self._counters
        answer = self._current.answer
        unsent = 0
        for place, length in enumerate(lengths):
            response, slot = answer(batch.query(place, length), batch.client(place), stream=False)
            counters[slot] += 1
            if response is None:
                batch.send(unsent, place)
                unsent = place + 1
            else:
                batch.answer(place, response)
        batch.send(unsent, len(lengths))
        return len(lengths) == SIZE

    def drain(self) -> None:
        """Answer all that is waiting now."""
        while self.burst():
            pass
