"""Sends malformed packets at a steady rate until standard input ends.

Run as `python flooder.py PORT RATE KIND...`: packets of these kinds in turn, from 127.77.0.1 and some addresses more,
in bursts a millisecond apart. It prints "ready", and at the end JSON: `sent`, `took` and `cpu` (seconds).
"""

from __future__ import annotations

import json
import random
import select
import socket
import sys
import time
from itertools import cycle, islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TICK = 0.001
_SOURCES = 32
_OF_EACH = 128
_CHANCE = random.Random(1)  # noqa: S311 - the same packets in each run
_QUESTION = b"\x05relay\x02lb\x07example\x03org\x00\x00\x01\x00\x01"
_OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00"


def _header(counts: str, flags: str = "0100") -> bytes:
    return _CHANCE.randbytes(2) + bytes.fromhex(flags + counts)


def _short() -> bytes:
    return _CHANCE.randbytes(_CHANCE.randrange(12))


def _response() -> bytes:
    return _header("0001000000000000", "8180") + _QUESTION


def _bad_label() -> bytes:
    labels = b"\x05relay" + _CHANCE.choice((b"\x45extend", b"\x80", b"\x3fshorter than it says", b"\xbf" + bytes(63)))
    return _header("0001000000000000") + labels + b"\x00\x00\x01\x00\x01"


def _pointer() -> bytes:
    pointer = _CHANCE.choice((b"\xc0\x0c", b"\xc0\x00", b"\x05relay\xc0\x0c", b"\xff\xff"))
    return _header("0001000000000000") + pointer + b"\x00\x01\x00\x01"


def _no_question() -> bytes:
    return _header("0000000000000000")


def _two_questions() -> bytes:
    return _header("0002000000000000") + 2 * _QUESTION


def _bad_opt() -> bytes:
    longer_than_it_is = _OPT + b"\x00\x08\x00\x0a\x00\x10" + bytes(2)
    of_another_owner = b"\x01a" + _OPT + b"\x00\x00"
    two, one = "0001000000000002", "0001000000000001"
    counts, records = _CHANCE.choice(
        ((two, 2 * (_OPT + b"\x00\x00")), (one, longer_than_it_is), (one, of_another_owner), (one, _OPT + b"\x00\x04"))
    )
    return _header(counts) + _QUESTION + records


def _octets() -> bytes:
    return _CHANCE.randbytes(_CHANCE.randrange(12, 512))


KINDS: dict[str, Callable[[], bytes]] = {
    "short": _short,
    "response": _response,
    "bad label": _bad_label,
    "pointer": _pointer,
    "no question": _no_question,
    "two questions": _two_questions,
    "bad OPT": _bad_opt,
    "random octets": _octets,
}


def _packets(kinds: list[str]) -> list[bytes]:
    """Return packets of each kind in turn."""
    return [KINDS[kind]() for kind in islice(cycle(kinds), _OF_EACH * len(kinds))]


def _sockets(port: int) -> Iterator[socket.socket]:
    for number in range(_SOURCES):
        sock = socket.socket(type=socket.SOCK_DGRAM)
        # What is answered is never read.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        sock.bind((f"127.77.0.{1 + number}", 0))
        sock.connect(("127.0.0.1", port))
        yield sock


def _flood(port: int, rate: float, kinds: list[str]) -> int:
    """Send until standard input ends; return how many packets."""
    packets, sockets = cycle(_packets(kinds)), cycle(list(_sockets(port)))
    _say("ready\n")
    began = time.monotonic()
    sent = 0
    while not select.select([0], [], [], 0)[0]:
        due = int((time.monotonic() - began) * rate)
        for packet, sock in zip(islice(packets, due - sent), sockets, strict=False):
            sock.send(packet)
        sent = due
        time.sleep(_TICK)
    return sent


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    _began = time.monotonic()
    _sent = _flood(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
    _say(json.dumps({"sent": _sent, "took": time.monotonic() - _began, "cpu": time.process_time()}))
