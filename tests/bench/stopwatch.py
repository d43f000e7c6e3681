"""Asks at a steady rate, and measures each answer by the kernel's clock: its own turns of a CPU are in no latency.

Run as `python stopwatch.py PORT RATE SECONDS SOURCES NAME...`: A records of the names in turn, from 127.0.2.1 and as
many addresses as SOURCES says. Queries go out at random moments, RATE of them a second on average, as those of many
resolvers do, and whether or not there were answers to those before, until SIGTERM at the latest. A query's time begins
right before it is handed to the kernel, and ends when the kernel has the answer (SO_TIMESTAMPNS), however late that is
read here. It prints JSON: `latencies` in microseconds, `late` (how much later than planned each query was sent,
microseconds), `lost`, `wrong` (answers that are an error, or have no record), `answers` (how many came of each, in
hexadecimal and without the id), and `asker`, the CPU seconds that it took itself.
"""

from __future__ import annotations

import gc
import json
import random
import signal
import socket
import struct
import sys
import time
from collections import Counter
from contextlib import suppress
from itertools import cycle, islice

import dns.message

_SO_TIMESTAMPNS, _SO_RCVBUFFORCE = 35, 33
"""Python has no names for them (include/uapi/asm-generic/socket.h)."""
_RECEIVE_BUFFER = 1 << 23
_TIMESPEC = struct.Struct("@qq")
_CONTROL = socket.CMSG_SPACE(_TIMESPEC.size)
_LONGEST = 4096
_AT_ONCE = 16
"""Queries sent between two looks for answers: they wait in the kernel, with their times."""
_PATIENCE = 1.0
"""Seconds for the last answers."""
_BILLION = 10**9
_RCODE = 0x0F
_ANSWERS = slice(6, 8)
"""Where a message counts the records of its answer."""


class Stopwatch:
    """Sockets, and when each query was sent."""

    def __init__(self, port: int, sources: int, names: list[str]) -> None:
        self._sockets = [_connected(port, number) for number in range(sources)]
        self._queries = [dns.message.make_query(name, "A", id=0).to_wire()[2:] for name in names]
        self._sent: dict[tuple[int, bytes], int] = {}
        self.latencies: list[float] = []
        self.late: list[float] = []
        self.wrong = 0
        self.is_over = False
        self.answers: Counter[bytes] = Counter()

    def run(self, rate: float, seconds: float) -> None:
        """Send all queries, and wait for the last answers."""
        chance = random.Random(1)  # noqa: S311 - the same moments each time
        at = time.monotonic()
        for number, sock in enumerate(islice(cycle(self._sockets), int(rate * seconds))):
            if self.is_over:
                break
            at += chance.expovariate(rate)
            if (early := at - time.monotonic()) > 0:
                time.sleep(early)
            self.late.append(1e6 * max(0.0, time.monotonic() - at))
            self._send(sock, number)
            if not number % _AT_ONCE:
                self._read()
        until = time.monotonic() + _PATIENCE
        while self._sent and time.monotonic() < until:
            time.sleep(_PATIENCE / 100)
            self._read()

    @property
    def lost(self) -> int:
        """Queries without an answer."""
        return len(self._sent)

    def _send(self, sock: socket.socket, number: int) -> None:
        identity = (number % 65536).to_bytes(2, "big")
        query = identity + self._queries[number % len(self._queries)]
        self._sent[sock.fileno(), identity] = time.clock_gettime_ns(time.CLOCK_REALTIME)
        sock.send(query)

    def _read(self) -> None:
        for sock in self._sockets:
            try:
                while True:
                    self._take(sock, *sock.recvmsg(_LONGEST, _CONTROL, socket.MSG_DONTWAIT)[:2])
            except BlockingIOError:
                continue

    def _take(self, sock: socket.socket, answer: bytes, control: list[tuple[int, int, bytes]]) -> None:
        seconds, nanoseconds = _TIMESPEC.unpack(control[0][2])
        sent = self._sent.pop((sock.fileno(), answer[:2]))
        self.answers[answer[2:]] += 1
        self.wrong += bool(answer[3] & _RCODE) or answer[_ANSWERS] == bytes(2)
        self.latencies.append((seconds * _BILLION + nanoseconds - sent) / 1e3)


def _connected(port: int, number: int) -> socket.socket:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    with suppress(PermissionError):
        # After a pause the answers to all that has waited come at once.
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    sock.bind((f"127.0.2.{1 + number}", 0))
    sock.connect(("127.0.0.1", port))
    return sock


if __name__ == "__main__":
    _port, _rate, _seconds, _sources, *_names = sys.argv[1:]
    _watch = Stopwatch(int(_port), int(_sources), _names)
    signal.signal(signal.SIGTERM, lambda *_: setattr(_watch, "is_over", True))
    gc.disable()
    _watch.run(float(_rate), float(_seconds))
    _answers = {answer.hex(): number for answer, number in _watch.answers.items()}
    _counted = {"lost": _watch.lost, "wrong": _watch.wrong, "asker": time.process_time()}
    json.dump({"latencies": _watch.latencies, "late": _watch.late, "answers": _answers, **_counted}, sys.stdout)
