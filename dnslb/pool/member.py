"""What the configuration says of a pool and its members."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address


class Policy(StrEnum):
    """How the members of a tier share new connections: by weight, all alike, or each client with a member of its own.

    With `source-hash` it is clients, and not connections, that are shared by weight. With `latency` members that greet
    later than the fastest count with less of their weight.
    """

    WEIGHTED = "weighted"
    ROUND_ROBIN = "round-robin"
    SOURCE_HASH = "source-hash"
    LATENCY = "latency"


class AllDown(StrEnum):
    """What a pool answers when only members that are down are left."""

    SERVE_ALL = "serve-all"
    LAST_GOOD = "last-good"
    SERVFAIL = "servfail"


@dataclass(frozen=True, slots=True)
class Member:
    """One mail server of a pool.

    `weight` is 0..65535, 0 meaning configured but never published. `tier` 1 is best. `host` is the absolute name
    (text, without final dot) that MX and SRV records point at, or "" for the member's name under the service's zone.
    `group` names what it shares its fate with (a rack, a site), "" for nothing.
    `view_addresses` are the addresses that clients of a view get instead of `addresses`, which are those that are
    probed.
    """

    name: str
    addresses: tuple[Address, ...]
    weight: int = 1
    tier: int = 1
    host: str = ""
    group: str = ""
    view_addresses: tuple[tuple[str, tuple[Address, ...]], ...] = ()

    def addresses_in(self, view: str) -> tuple[Address, ...]:
        """Return the addresses that clients of the view get, "" being those that are in none."""
        return next((addresses for name, addresses in self.view_addresses if name == view), self.addresses)


@dataclass(frozen=True, slots=True)
class Pool:
    """The members that can take the same mail, and what to do when few of them are healthy.

    The pool panics when less than the fraction `min_healthy` of the configured weight is healthy. `slow_start` is the
    number of seconds in which a member that has come back gets its whole weight again, 0 for at once. `client_reuse`
    is for how many seconds clients go on with a connection, or with an address that they have looked up themselves.
    Worse tiers join better ones as long as fewer than `tier_min` of these are published: a number of members (1 or
    more), or as a float a fraction of their full weight (above 0, at most 1).
    """

    name: str
    members: tuple[Member, ...]
    policy: Policy = Policy.WEIGHTED
    all_down: AllDown = AllDown.SERVE_ALL
    min_healthy: float = 0.0
    slow_start: float = 0.0
    client_reuse: float = 300.0
    tier_min: float = 1
