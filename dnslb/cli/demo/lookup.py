"""Real DNS queries by UDP, with no more of DNS than the demo's own answers need (RFC 1035 section 4)."""

import asyncio
import secrets
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from dnslb.wire import name as wire_name

A = 1
MX = 15
_IN = 1
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_POINTER = 0xC0
_RESPONSE = 0x8000
_RCODE = 0x000F
_LARGEST = 4096
_SECONDS_TO_ANSWER = 1.0


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an answer: an address as text, or the name that an MX record points at."""

    value: str
    preference: int = 0


async def ask(server: tuple[str, int], name: str, rtype: int) -> tuple[Record, ...]:
    """Return the records of the answer, in its order; an MX answer by preference.

    Each query leaves from a port of its own, as a resolver's do, and so reaches any of the workers. Raise OSError
    (TimeoutError is one) without an answer, ValueError for one that is not as it should be.
    """
    query = encode_query(secrets.randbits(16), name, rtype)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.settimeout(0)
        door.connect(server)
        await loop.sock_sendall(door, query)
        async with asyncio.timeout(_SECONDS_TO_ANSWER):
            response = await loop.sock_recv(door, _LARGEST)
    return decode_answer(query, response)


def encode_query(number: int, name: str, rtype: int) -> bytes:
    """Return a query without EDNS."""
    return _HEADER.pack(number, 0, 1, 0, 0, 0) + wire_name.from_text(name) + struct.pack("!HH", rtype, _IN)


def decode_answer(query: bytes, response: bytes) -> tuple[Record, ...]:
    """Return the answer section's records of the type that was asked for; ValueError if it is no such answer."""
    question = query[_HEADER.size :]
    try:
        number, flags, _, count, _, _ = _HEADER.unpack_from(response)
        if number != _HEADER.unpack_from(query)[0] or not flags & _RESPONSE:
            raise ValueError("not the answer to this query")
        if flags & _RCODE:
            raise ValueError(f"response code {flags & _RCODE}")
        if response[_HEADER.size : len(query)] != question:
            raise ValueError("another question")
        records = _records(response, len(query), count, int.from_bytes(question[-4:-2]))
    except (struct.error, IndexError) as error:
        raise ValueError("cut short") from error
    return tuple(sorted(records, key=lambda record: record.preference))


def _records(message: bytes, position: int, count: int, wanted: int) -> list[Record]:
    records = []
    for _ in range(count):
        position = _after_name(message, position)
        rtype, _, _, length = _RECORD.unpack_from(message, position)
        position += _RECORD.size
        if rtype == wanted:
            records.append(_record(message, position, rtype))
        position += length
    return records


def _record(message: bytes, position: int, rtype: int) -> Record:
    if rtype == MX:
        preference = int.from_bytes(message[position : position + 2])
        return Record(_name_at(message, position + 2), preference)
    return Record(str(IPv4Address(message[position : position + 4])))


def _after_name(message: bytes, position: int) -> int:
    while (length := message[position]) and length < _POINTER:
        position += 1 + length
    return position + (2 if length else 1)


def _name_at(message: bytes, position: int) -> str:
    """Return a name as text. Pointers lead backwards only, so there is no loop to fall into."""
    labels = []
    while length := message[position]:
        if length >= _POINTER:
            target = int.from_bytes(message[position : position + 2]) & 0x3FFF
            if target >= position:
                raise ValueError("a pointer that leads forwards")
            position = target
            continue
        labels.append(message[position + 1 : position + 1 + length].decode("ascii").lower())
        position += 1 + length
    return ".".join(labels)
