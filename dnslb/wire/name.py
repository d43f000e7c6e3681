"""Domain names in wire format (RFC 1035 section 3.1): a length octet before each label, a zero octet at the end.

Names that are looked up are lower case (RFC 4343): only the ASCII letters fold, and a length octet, at most 63, is
never one of them, so `bytes.lower` on a whole wire name is right. It is not on a whole question: QTYPE 65 would
become 97.
"""

from collections.abc import Iterator
from functools import lru_cache

MAX_NAME = 255
MAX_LABEL = 63
POINTER = 0xC0
"""The first octet of a name that goes on elsewhere in a message is at least this (RFC 1035 section 4.1.4)."""
ROOT = b"\x00"
WILDCARD = b"\x01*"
"""The label that begins a wildcard (RFC 4592 section 2.1.1)."""


def from_text(text: str) -> bytes:
    """Return the wire format, lower case, of a name in ASCII text, with or without the final dot.

    Raise ValueError, saying what is wrong, for what no zone of ours could hold.
    """
    stripped = text.removesuffix(".")
    if not stripped:
        raise ValueError("the name is empty")
    wire = bytearray()
    for label in stripped.split("."):
        if not label:
            raise ValueError(f"{text!r} has an empty label")
        if not label.isascii() or not label.isprintable() or " " in label or "\\" in label:
            raise ValueError(f"{text!r} has a character that is a blank, a backslash or outside ASCII (IDN: A-label)")
        if len(label) > MAX_LABEL:
            raise ValueError(f"label {label!r} is longer than {MAX_LABEL} octets")
        wire.append(len(label))
        wire += label.lower().encode("ascii")
    wire.append(0)
    if len(wire) > MAX_NAME:
        raise ValueError(f"{text!r} is longer than {MAX_NAME} octets")
    return bytes(wire)


def labels(name: bytes) -> Iterator[bytes]:
    """Yield the labels of a wire name, left to right, without the root."""
    position = 0
    while length := name[position]:
        yield name[position + 1 : position + 1 + length]
        position += 1 + length


def to_text(name: bytes) -> str:
    r"""Return the text of a wire name without final dot ("." for the root), odd octets as \DDD (RFC 4343 2.1)."""
    if name == ROOT:
        return "."
    return ".".join("".join(_character(octet) for octet in label) for label in labels(name))


def _character(octet: int) -> str:
    character = chr(octet)
    if character in '."\\;()@$':
        return "\\" + character
    return character if "!" <= character <= "~" else f"\\{octet:03d}"


def parent(name: bytes) -> bytes:
    """Return the name without its first label; the root has no parent (ValueError)."""
    if name == ROOT:
        raise ValueError("the root has no parent")
    return name[name[0] + 1 :]


@lru_cache(maxsize=64)
def starts(name: bytes) -> tuple[int, ...]:
    """Return where the labels of a wire name begin, left to right, without the root.

    A few are remembered, for there may be a hundred labels, and what looks up a name or writes it asks several times.
    """
    found = []
    position = 0
    while length := name[position]:
        found.append(position)
        position += 1 + length
    return tuple(found)


def ancestors(name: bytes) -> Iterator[bytes]:
    """Yield the name itself and then each name above it, the root last."""
    while name != ROOT:
        yield name
        name = name[name[0] + 1 :]
    yield ROOT


def is_within(name: bytes, apex: bytes) -> bool:
    """Return whether the name is the apex or lies below it. Both in lower case."""
    # A suffix of octets is not enough: it must begin at a label.
    return name.endswith(apex) and any(suffix == apex for suffix in ancestors(name))
