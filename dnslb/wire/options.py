"""Options of an OPT record that are told rather than asked for: who we are, how long a stream may be silent, and why.

NSID is RFC 5001, edns-tcp-keepalive RFC 7828, and an extended error RFC 8914.
"""

from enum import IntEnum

NSID = b"\x00\x03"
KEEPALIVE = b"\x00\x0b"
_EXTENDED_ERROR = b"\x00\x0f"


class InfoCode(IntEnum):
    """What an extended error says (RFC 8914 section 4), as far as dnslb says it."""

    OTHER = 0
    STALE_ANSWER = 3
    PROHIBITED = 18
    NOT_AUTHORITATIVE = 20


def option(code: bytes, data: bytes) -> bytes:
    """Return one option of an OPT record (RFC 6891 section 6.1.2)."""
    return b"".join((code, len(data).to_bytes(2, "big"), data))


def keepalive(seconds: float) -> bytes:
    """Return the option that says after how long a silent stream is closed, in units of 100 ms (RFC 7828 3.1)."""
    return option(KEEPALIVE, round(seconds * 10).to_bytes(2, "big"))


def extended_error(code: InfoCode, text: str = "") -> bytes:
    """Return the option that says why an answer is what it is; the text is for people (RFC 8914 section 2)."""
    return option(_EXTENDED_ERROR, code.to_bytes(2, "big") + text.encode())
