"""A zone's static records, indexed for the compiler."""

from collections.abc import Mapping
from dataclasses import dataclass

from dnslb.zone.rrset import RRset


@dataclass(frozen=True, slots=True)
class Zone:
    """What one master file says.

    `apex` and the keys of `nodes` are names in wire format, lower case. `nodes` holds only owners of records; empty
    non-terminals follow from them. The apex has a SOA and an NS RRset.
    """

    apex: bytes
    nodes: Mapping[bytes, Mapping[int, RRset]]
