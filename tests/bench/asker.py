"""A crowd that asks one question all the time, and knows when an answer last held a certain address.

Run as `python asker.py PORT NAME ADDRESS RATE SOURCES`: so many queries for A records of the name a second,
in turn from 127.0.2.1 and as many addresses as SOURCES says, each with a socket of its own. It prints "ready"; for each
line on standard input it prints how many answers came since the line before, how many of them with the address, and
when the latest of all those came (CLOCK_MONOTONIC).
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from ipaddress import IPv4Address

import dns.message

_TICK = 0.002
"""Seconds from one burst of queries to the next."""
_LONGEST = 4096


class Crowd:
    """The sockets, and what has come to them."""

    def __init__(self, port: int, name: str, address: str, sources: int) -> None:
        self._query = dns.message.make_query(name, "A").to_wire()
        self._wanted = IPv4Address(address).packed
        self._sockets = {sock.fileno(): sock for sock in (_connected(port, number) for number in range(sources))}
        self._turn = 0
        self._answers, self._with, self._last = 0, 0, 0.0

    def tell(self) -> str:
        """Return what came since the last time."""
        told = f"{self._answers} {self._with} {self._last!r}\n"
        self._answers, self._with = 0, 0
        return told

    def ask(self, number: int) -> None:
        """Send so many queries, from one source after the other."""
        sockets = list(self._sockets.values())
        for _ in range(number):
            sockets[self._turn % len(sockets)].send(self._query)
            self._turn += 1

    def watch(self, poll: select.poll) -> None:
        """Register all sockets."""
        for descriptor in self._sockets:
            poll.register(descriptor, select.POLLIN)

    def take(self, descriptor: int) -> None:
        """Read the answer that waits at a socket."""
        answer = self._sockets[descriptor].recv(_LONGEST)
        self._answers += 1
        if self._wanted in answer:
            self._with += 1
            self._last = time.monotonic()


def _connected(port: int, number: int) -> socket.socket:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind((f"127.0.2.{1 + number}", 0))
    sock.connect(("127.0.0.1", port))
    return sock


def _go_on(crowd: Crowd, rate: int) -> None:
    """Ask and listen until standard input ends."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    crowd.watch(poll)
    tick = time.monotonic()
    while True:
        while (left := tick - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(1000 * left):
                if descriptor:
                    crowd.take(descriptor)
                    continue
                if not os.read(0, _LONGEST):
                    return
                sys.stdout.write(crowd.tell())
                sys.stdout.flush()
        crowd.ask(round(rate * _TICK))
        tick = max(tick + _TICK, time.monotonic())


if __name__ == "__main__":
    _crowd = Crowd(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[5]))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    _go_on(_crowd, int(sys.argv[4]))
