"""What the servers are asked: a plain mix, one like that of mail servers' resolvers, and single kinds of query."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import cycle
from typing import TYPE_CHECKING

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.query

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Question = tuple[str, str]
"""An owner below the zone's apex, "" for the apex itself, and a type."""

Write = Callable[["Path", int], None]
"""Writes a mix for the server at this port of 127.0.0.1, in the way dnsperf reads it with -B."""

ZONE = "lb.example.org"
PAYLOAD = 1232
_NAMES = 100
_NOWHERE = [f"no-such-{number}" for number in range(_NAMES)]
_PLAIN = {
    ("relay", "A"): 200,
    ("relay", "AAAA"): 100,
    ("mail", "MX"): 250,
    ("mx1", "A"): 45,
    ("mx2", "A"): 35,
    ("mx3", "A"): 35,
    ("mx4", "A"): 35,
    ("mx1", "AAAA"): 50,
    ("ns1", "A"): 50,
    ("", "NS"): 20,
    ("mx2", "AAAA"): 40,
    ("relay", "TXT"): 20,
    ("mail", "A"): 20,
} | {(name, "A"): 1 for name in _NOWHERE}
_RESOLVERS = {
    ("mail", "MX"): 300,
    ("relay", "A"): 150,
    ("relay", "AAAA"): 50,
    ("mx1", "A"): 80,
    ("mx2", "A"): 50,
    ("mx3", "A"): 35,
    ("mx4", "A"): 35,
    ("mx1", "AAAA"): 50,
    ("mx2", "AAAA"): 50,
    ("mail", "A"): 20,
    ("mail", "TXT"): 80,
    ("ns1", "A"): 30,
    ("", "NS"): 20,
} | {(name, "A"): 1 for name in _NOWHERE[:50]}
_WITH_EDNS = 0.8
_WITH_COOKIE = 0.5
_NEW_COOKIE = 0.1
_WITH_0X20 = 0.5
_RESOLVERS_COPIES = 4
"""How often each question is in the mix, each time spelled and dressed in another way."""
_CLIENT_COOKIES = 16
_SERVER_COOKIE = 16

KINDS: dict[str, list[Question]] = {
    "A of a service, 2 members": [("relay", "A")],
    "MX of a service, 4 members": [("mail", "MX")],
    "A, static": [("ns1", "A")],
    "NODATA": [("mx2", "AAAA"), ("relay", "TXT")],
    "NXDOMAIN": [(name, "A") for name in _NOWHERE],
}
QUESTIONS: list[Question] = sorted({*_PLAIN, *_RESOLVERS} - {(name, "A") for name in _NOWHERE[1:]})
"""Each question that is in some mix, and one for a name that is not there."""


def owner(name: str) -> dns.name.Name:
    """Return the whole name."""
    return dns.name.from_text(f"{name}.{ZONE}" if name else ZONE)


def plain(path: Path, _port: int) -> None:
    """Write the mix without EDNS, the same for each server and in each run."""
    write(path, _shuffled(_PLAIN, random.Random(1)))  # noqa: S311 - the same in each run


def write(path: Path, questions: Sequence[Question]) -> None:
    """Write plain queries."""
    _write(path, (dns.message.make_query(owner(name), rtype, flags=0).to_wire() for name, rtype in questions))


def resolvers(path: Path, port: int) -> None:
    """Write the mix of mail servers' resolvers, the same in each run but for the cookies that the server has given."""
    draw = random.Random(2)  # noqa: S311 - the same in each run
    cookies = cycle(_cookies(port, draw))
    numbers = {question: _RESOLVERS_COPIES * number for question, number in _RESOLVERS.items()}
    _write(path, (_as_resolvers_do(question, next(cookies), draw) for question in _shuffled(numbers, draw)))


def _shuffled(numbers: dict[Question, int], draw: random.Random) -> list[Question]:
    questions = [question for question, number in numbers.items() for _ in range(number)]
    draw.shuffle(questions)
    return questions


def _as_resolvers_do(question: Question, cookie: bytes, draw: random.Random) -> bytes:
    name = owner(question[0])
    if draw.random() < _WITH_0X20:
        name = dns.name.from_text("".join(draw.choice((letter, letter.upper())) for letter in name.to_text()))
    if draw.random() >= _WITH_EDNS:
        return dns.message.make_query(name, question[1], flags=0).to_wire()
    options: list[dns.edns.Option] = []
    if draw.random() < _WITH_COOKIE:
        octets = cookie[:8] if draw.random() < _NEW_COOKIE else cookie
        options.append(dns.edns.GenericOption(dns.edns.OptionType.COOKIE, octets))
    query = dns.message.make_query(
        name, question[1], flags=0, use_edns=0, ednsflags=dns.flags.DO, payload=PAYLOAD, options=options
    )
    return query.to_wire()


def _cookies(port: int, draw: random.Random) -> list[bytes]:
    """Ask as some clients, and return the cookie of each with what the server says; octets like it if it says none."""
    return [_cookie(port, draw.randbytes(8), draw.randbytes(_SERVER_COOKIE)) for _ in range(_CLIENT_COOKIES)]


def _cookie(port: int, client: bytes, otherwise: bytes) -> bytes:
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, client)
    query = dns.message.make_query(ZONE, "NS", flags=0, use_edns=0, options=[option])
    reply = dns.query.udp(query, "127.0.0.1", 2, port)
    told = [each.to_wire() for each in reply.options if each.otype == dns.edns.OptionType.COOKIE]
    return told[0] if told and told[0] and len(told[0]) > len(client) else client + otherwise


def _write(path: Path, queries: Iterable[bytes]) -> None:
    path.write_bytes(b"".join(len(octets).to_bytes(2, "big") + octets for octets in queries))
