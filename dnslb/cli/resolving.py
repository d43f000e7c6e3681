"""The addresses of a host, as this machine resolves names: for commands that are given one."""

import socket
import threading
from ipaddress import IPv4Address, IPv6Address, ip_address

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class NoAddress(Exception):  # noqa: N818 -- an answer of the resolver, and no fault of the program
    """A name has no address; the text says why."""


def addresses_of(name: str, timeout: float, family: int | None = None) -> tuple[IPv4Address | IPv6Address, ...]:
    """Ask the system for all addresses of a name, in its order; `family` is 4, 6 or None. Raise NoAddress.

    In a thread that nobody waits for longer than `timeout` seconds, and that Ctrl-C leaves behind: getaddrinfo itself
    cannot be stopped.
    """
    found: list[IPv4Address | IPv6Address] = []
    fault = [f"{name} does not resolve: no answer within {timeout:g} s"]

    def ask() -> None:
        try:
            found.extend(_resolved(name, family))
        except OSError as error:
            fault[:] = [f"{name} does not resolve: {error.strerror}"]

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    if not found:
        raise NoAddress(fault[0])
    return tuple(dict.fromkeys(found))


def _resolved(name: str, family: int | None) -> list[IPv4Address | IPv6Address]:
    records = socket.getaddrinfo(name, None, _FAMILIES.get(family or 0, socket.AF_UNSPEC), socket.SOCK_STREAM)
    return [ip_address(where[0]) for *_, where in records]
