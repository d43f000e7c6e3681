"""What a first configuration is to be, as frozen values."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dnslb.config import Endpoint
from dnslb.pool.member import Address


class Use(StrEnum):
    """What dnslb is for: mail that the world sends to a domain, applications that send mail through relays, or both."""

    MAIL = "mail"
    RELAY = "relay"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Host:
    """A name server or a mail server: its addresses, and a name, "" where none was given."""

    name: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Servers:
    """Mail servers that can take the same mail, and the port that they are probed at."""

    members: tuple[Host, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole first configuration.

    `zone` and `domain` are names without a final dot; mail for `domain` comes through `inbound`, that of applications
    goes through `relay`: one of the two may be None. The first of the `name_servers` is this machine.
    """

    zone: str
    domain: str
    name_servers: tuple[Host, ...]
    listen: tuple[Endpoint, ...]
    inbound: Servers | None
    relay: Servers | None


def named(hosts: Sequence[Host], stem: str) -> tuple[Host, ...]:
    """Give those without a name one: `stem` and the first number that is free."""
    taken = {host.name for host in hosts}
    free = (f"{stem}{number}" for number in range(1, 2 * len(hosts) + 1) if f"{stem}{number}" not in taken)
    return tuple(host if host.name else Host(next(free), host.addresses) for host in hosts)
