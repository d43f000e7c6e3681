"""Messages to try, from a source of random numbers: queries as they should be, nearly so, and changed in any way.

The source may be Hypothesis's, which makes what it found smaller.
"""

from random import Random

from dnslb.wire.cookie import make
from tests.fuzz.table import CLIENTS, NAMES, NOW, SECRETS

_TYPES = (1, 2, 5, 6, 15, 16, 28, 33, 39, 41, 43, 46, 47, 65, 99, 251, 252, 253, 255, 256, 257, 65280, 0, 65535)
_CLASSES = (1, 1, 1, 1, 1, 1, 3, 4, 254, 255, 0, 65535)
_PAYLOADS = (0, 1, 511, 512, 513, 1220, 1231, 1232, 1233, 4096, 65535)
_OPTIONS = (3, 5, 8, 8, 8, 9, 10, 10, 11, 12, 15, 65001)
_SUBNETS = (
    "0001180" + "00a0000",
    "00011800c00002",
    "0001200a0000010203",
    "00023800fd00000000000000",
    "00000000",
    "0002",
)
_AGES = (-301, 0, 0, 0, 1801, 3601)
_NUMBERS = (0, 1, 2, 3, 12, 62, 63, 64, 127, 128, 191, 192, 193, 254, 255)
_LONGEST = 4200


def query(random: Random) -> bytes:
    """Return a query that a client could send, if rarely."""
    flags = random.choice((0, 0x0100, 0x0110, 0x0120, 0x0130, 0x0200, 0x0040, 0x0400, 0x008F))
    flags |= random.choice((0,) * 12 + (1, 2, 4, 5, 6, 15)) << 11
    additional = [_opt(random)] if random.random() < 0.6 else []
    if random.random() < 0.1:
        additional.insert(random.randrange(len(additional) + 1), _record(random))
    if random.random() < 0.03:
        return _octets(random.getrandbits(16), flags, 0, 0, 0, len(additional)) + b"".join(additional)
    header = _octets(random.getrandbits(16), flags, 1, 0, 0, len(additional))
    question = _name(random) + _octets(random.choice(_TYPES), random.choice(_CLASSES))
    return header + question + b"".join(additional)


def changed(random: Random, octets: bytes, other: bytes) -> bytes:
    """Return a message with some changes, a piece of another one among them perhaps."""
    message = bytearray(octets)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        random.choice(_CHANGES)(random, message, other)
    return bytes(message[:_LONGEST])


def _octets(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def _name(random: Random) -> bytes:
    name = random.choice(NAMES)
    for _ in range(random.choice((0, 0, 0, 0, 1, 1, 2, 5, 100))):
        label = random.choice(
            (b"\x01x", b"\x01*", b"\x03WwW", b"\x00", b"\x3f" + b"y" * 63, b"\x04\x00\xff.\\", b"\x40z")
        )
        name = label + name
    return bytes(octet ^ 32 if 65 <= octet & 0xDF <= 90 and random.random() < 0.3 else octet for octet in name)


def _opt(random: Random) -> bytes:
    flags = random.choice((0, 0x8000, 0x8000, 0x4000, 0x0001))
    version = random.choice((0,) * 9 + (1, 255))
    options = b"".join(_option(random) for _ in range(random.choice((0, 0, 0, 1, 1, 2, 5))))
    owner = b"\0" if random.random() < 0.97 else b"\x01x\0"
    return owner + _octets(41, random.choice(_PAYLOADS), version, flags, len(options)) + options


def _option(random: Random) -> bytes:
    code = random.choice(_OPTIONS)
    if code == 8:
        data = bytes.fromhex(random.choice(_SUBNETS))
    elif code == 10 and random.random() < 0.5:
        data = make(b"a client", random.choice(CLIENTS), random.choice(SECRETS), NOW - random.choice(_AGES))
    else:
        data = random.randbytes(random.choice((0, 0, 1, 8, 16, 40)))
    return _octets(code, len(data)) + data


def _record(random: Random) -> bytes:
    data = random.randbytes(random.choice((0, 4, 16)))
    return _name(random) + _octets(random.choice(_TYPES), 255, 0, 0, len(data)) + data


# Changes of a message that stays the same object


def _flip(random: Random, message: bytearray, _: bytes) -> None:
    if message:
        message[random.randrange(len(message))] ^= 1 << random.randrange(8)


def _set(random: Random, message: bytearray, _: bytes) -> None:
    if message:
        message[random.randrange(len(message))] = random.choice(_NUMBERS)


def _count(random: Random, message: bytearray, _: bytes) -> None:
    at = random.choice((2, 4, 6, 8, 10))
    message[at : at + 2] = _octets(random.choice((0, 1, 2, 3, 0xFFFF)))


def _cut(random: Random, message: bytearray, _: bytes) -> None:
    del message[random.randint(0, len(message)) :]


def _remove(random: Random, message: bytearray, _: bytes) -> None:
    at = random.randint(0, len(message))
    del message[at : at + random.randint(1, 8)]


def _insert(random: Random, message: bytearray, _: bytes) -> None:
    at = random.randint(0, len(message))
    message[at:at] = random.randbytes(random.choice((1, 1, 2, 4, 11)))


def _repeat(random: Random, message: bytearray, _: bytes) -> None:
    at, size = random.randint(0, len(message)), random.randint(1, 40)
    message[at:at] = message[at : at + size] * random.choice((1, 2, 100))


def _splice(random: Random, message: bytearray, other: bytes) -> None:
    message[random.randint(0, len(message)) :] = other[random.randint(0, len(other)) :]


def _ask_else(random: Random, message: bytearray, _: bytes) -> None:
    end = message.find(0, 12) + 1
    if end:
        message[end : end + 4] = _octets(random.choice(_TYPES), random.choice(_CLASSES))


def _deepen(random: Random, message: bytearray, _: bytes) -> None:
    size = random.choice((1, 3, 20, 63))
    message[12:12] = bytes((size,)) + random.choice((b"*", b"x", b"W", b"\xff")) * size


_CHANGES = (_flip, _set, _count, _cut, _remove, _insert, _repeat, _splice, *(_ask_else, _deepen) * 3)
