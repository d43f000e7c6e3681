"""What the configuration says of a probe: one conversation with a member, its schedule and thresholds."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address


class Kind(StrEnum):
    """What is spoken on the member's port."""

    SMTP = "smtp"
    SUBMISSION = "submission"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to check a member. Times are in seconds; `timeout` bounds the whole conversation with one address.

    `source` holds at most one local address per family to connect from.
    """

    name: str
    kind: Kind
    port: int
    interval: float
    timeout: float
    rise: int
    fall: int
    ehlo: str
    source: tuple[IPv4Address | IPv6Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """One member to be probed: its addresses, and the port if it differs from the recipe's."""

    pool: str
    member: str
    addresses: tuple[IPv4Address | IPv6Address, ...]
    port: int
    recipe: Recipe
