"""HOST[:PORT], as a person types it."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

_BRACKETS = re.compile(r"\[([^\]]*)\](?::(.*))?", re.DOTALL)
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens.

    `typed` are the words that it was named by. `name` is a host name without its final dot, "" where `address` was
    given instead. `port` is None where what is spoken decides it.
    """

    typed: str
    name: str
    address: IPv4Address | IPv6Address | None
    port: int | None

    @classmethod
    def parse(cls, typed: str) -> "Place":
        """Read mx1.example.org, 192.0.2.1:25, [2001:db8::1]:25 or 2001:db8::1. ValueError says what is wrong."""
        if "://" in typed:
            raise ValueError(f"{typed!r} is a URL: write HOST or HOST:PORT alone")
        host, port = _parts(typed)
        address = _address(host)
        return cls(typed, "" if address else _name(host), address, None if port is None else _port(port))


def _parts(typed: str) -> tuple[str, str | None]:
    """Cut the port off, if there is one."""
    if typed.startswith("["):
        found = _BRACKETS.fullmatch(typed)
        if found is None or not isinstance(_address(found[1]), IPv6Address):
            raise ValueError(f"{typed!r}: expected an IPv6 address in brackets, as in [2001:db8::1]:25")
        return found[1], found[2]
    if typed.count(":") > 1:
        if _address(typed) is None:
            raise ValueError(f"{typed!r} is no IPv6 address; with a port write it as in [2001:db8::1]:25")
        return typed, None
    host, colon, port = typed.partition(":")
    return host, port if colon else None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _name(host: str) -> str:
    # Here, since it brings all of pydantic along.
    from dnslb.config.values import host as checked  # noqa: PLC0415 -- see above

    try:
        return checked(host).removesuffix(".")
    except ValueError as error:
        raise ValueError(f"{host!r}: {error}") from None


def _port(text: str) -> int:
    # Not str.isdigit: it takes digits that int does not.
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= _MAX_PORT:
        raise ValueError(f"{text!r} is no port: expected a number from 1 to {_MAX_PORT}")
    return int(text)
