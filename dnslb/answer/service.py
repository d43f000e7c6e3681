"""What the configuration says of a service: a DNS name that is answered from a pool."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dnslb.pool.outlook import merged, staircase, step_at
from dnslb.pool.selection import Selection


class ServiceType(StrEnum):
    """The records that a service owns: A and AAAA together, or MX, or SRV."""

    ADDRESS = "address"
    MX = "MX"
    SRV = "SRV"


class Preference(StrEnum):
    """How an MX service writes preferences (see the rotation of each)."""

    RANKED = "ranked"
    EQUAL = "equal"


@dataclass(frozen=True, slots=True)
class Ttl:
    """For how many seconds resolvers may keep an answer: `max` while no change is near, towards `min` before one.

    Both are the same where the configuration has a plain number.
    """

    min: int
    max: int

    @property
    def steps(self) -> tuple[int, ...]:
        """All that it can be, longest first."""
        return staircase(self.min, self.max)

    def at(self, changes_in: float | None) -> int:
        """Return the TTL of answers that may change in so many seconds, None if no change is near."""
        return step_at(self.steps, changes_in)


DEFAULT_TTL = Ttl(30, 30)


@dataclass(frozen=True, slots=True)
class Service:
    """One DNS name answered from one pool.

    `name` and `zone` (the apex of the zone it lies in) are in wire format, lower case. `records` is the number of
    members in an answer, None meaning all. `port` is what SRV records name, 0 for other types.
    `view` is the view whose clients it answers, "" for all that no other service of its name and type is for.
    """

    name: bytes
    zone: bytes
    type: ServiceType
    pool: str
    records: int | None
    ttl: Ttl
    preference: Preference = Preference.RANKED
    port: int = 0
    view: str = ""

    def ttl_now(self, selection: Selection) -> int:
        """Return the TTL of its answers while this is what its pool publishes."""
        return self.ttl.at(selection.changes_in)


def default_records(kind: ServiceType, *, by_source: bool) -> int | None:
    """Return how many members an answer holds where the configuration does not say it, None for all.

    `by_source` says that each client of the pool has members of its own.
    """
    if kind is not ServiceType.ADDRESS:
        return None
    # Senders go on to the second address when the first has just died. But they shuffle, and would take either.
    return 1 if by_source else 2


def rivals(services: Iterable[Service]) -> Collection[Sequence[Service]]:
    """Return services by name and type: those that answer the same questions, each to clients of another view."""
    found: dict[tuple[bytes, ServiceType], list[Service]] = {}
    for service in services:
        found.setdefault((service.name, service.type), []).append(service)
    return found.values()


def steps_of(services: Iterable[Service]) -> dict[str, tuple[int, ...]]:
    """Return each pool -> the steps that TTLs of its services can take, longest first; none if all are fixed."""
    staircases: dict[str, list[tuple[int, ...]]] = {}
    for service in services:
        staircases.setdefault(service.pool, []).append(service.ttl.steps)
    return {pool: merged(found) for pool, found in staircases.items()}
