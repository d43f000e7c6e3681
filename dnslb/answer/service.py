"""What the configuration says of a service: a DNS name that is answered from a pool."""

from dataclasses import dataclass
from enum import StrEnum


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
class Service:
    """One DNS name answered from one pool.

    `name` and `zone` (the apex of the zone it lies in) are in wire format, lower case. `records` is the number of
    members in an answer, None meaning all. `ttl` is in seconds. `port` is what SRV records name, 0 for other types.
    """

    name: bytes
    zone: bytes
    type: ServiceType
    pool: str
    records: int | None
    ttl: int
    preference: Preference = Preference.RANKED
    port: int = 0
