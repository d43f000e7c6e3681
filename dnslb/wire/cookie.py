"""Server cookies of DNS (RFC 7873), made in the way that all name servers of an address can share (RFC 9018)."""

from collections.abc import Sequence
from enum import Enum, auto
from hmac import compare_digest

from siphashc import siphash

from dnslb.wire import options as any_option
from dnslb.wire.edns import options_in

_CODE = b"\0\x0a"
CLIENT = 8
"""Octets of a client cookie (RFC 7873 section 4.1); the server cookie stands behind it."""
_SERVER = range(8, 33)
"""Octets that a server cookie may have (RFC 7873 section 4.2)."""
_VERSION = b"\x01"
_FIXED = 16
"""Octets before the hash: client cookie, version, three that are reserved, and the time (RFC 9018 section 4)."""
_SIZE = 24
SECRET_SIZE = 16
"""Octets of a server secret (RFC 9018 section 4.4)."""
LIFETIME = 3600
"""Seconds that a server cookie is right (RFC 9018 section 4.3)."""
_FUTURE = 300
"""Seconds by which the clock of a server that shares the secret may be ahead (RFC 9018 section 4.3)."""
RENEWED_AFTER = 1800
"""Seconds after which the client gets a new one (RFC 9018 section 4.3)."""


class Standing(Enum):
    """What a cookie proves: FRESH and OLD, that its sender gets what we send to his address; STRANGE proves nothing.

    To an OLD one, and to a STRANGE one, the answer is a new one.
    """

    FRESH = auto()
    OLD = auto()
    STRANGE = auto()


def cookie_in(options: bytes) -> bytes | None:
    """Return the data of the first COOKIE option among those of an OPT record, None if there is none.

    The options are well-formed as such. Others of the kind do not count (RFC 7873 section 5.2). Raise ValueError for a
    length that must be answered with FORMERR (section 5.2.2).
    """
    data = next((data for code, data in options_in(options) if code == _CODE), None)
    if data is not None and len(data) != CLIENT and len(data) - CLIENT not in _SERVER:
        raise ValueError("a COOKIE option that is too short or too long")
    return data


def is_first(options: bytes) -> bool:
    """Return whether the COOKIE option has a client cookie alone; see `cookie_in` for the rest."""
    return len(cookie_in(options) or b"") == CLIENT


def option(cookie: bytes) -> bytes:
    """Return the COOKIE option with this client and server cookie."""
    return any_option.option(_CODE, cookie)


def make(cookie: bytes, client: bytes, secret: bytes, now: int) -> bytes:
    """Return the client cookie that this one begins with, and a new server cookie (RFC 9018 section 4).

    `client` is the sender's address as 4 or 16 octets, `now` are Unix seconds.
    """
    fixed = b"".join((cookie[:CLIENT], _VERSION, bytes(3), (now & 0xFFFFFFFF).to_bytes(4, "big")))
    return fixed + _hash(fixed, client, secret)


def judge(cookie: bytes, client: bytes, secrets: Sequence[bytes], now: int) -> Standing:
    """Return what a client and server cookie that came from this address proves.

    One that another secret than the first has made is OLD, whatever its age (RFC 9018 section 5).
    """
    age = _age(cookie, now)
    if len(cookie) != _SIZE or cookie[CLIENT : CLIENT + 1] != _VERSION or not -_FUTURE <= age <= LIFETIME:
        return Standing.STRANGE
    for position, secret in enumerate(secrets):
        if compare_digest(cookie[_FIXED:], _hash(cookie[:_FIXED], client, secret)):
            return Standing.OLD if position or age > RENEWED_AFTER else Standing.FRESH
    return Standing.STRANGE


def _age(cookie: bytes, now: int) -> int:
    """Return the seconds since a cookie was made; the 32 bits of its time come round (RFC 1982)."""
    age = now - int.from_bytes(cookie[12:_FIXED], "big") & 0xFFFFFFFF
    return age - (1 << 32) if age >> 31 else age


def _hash(fixed: bytes, client: bytes, secret: bytes) -> bytes:
    return siphash(secret, fixed + client).to_bytes(8, "little")
