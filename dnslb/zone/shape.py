"""The shape of a zone: its cuts, the names that exist, and what a wildcard covers (RFC 1034 4.3, RFC 4592)."""

from collections.abc import Iterator
from dataclasses import dataclass

from dnslb.wire.name import ROOT, WILDCARD, ancestors, is_within, parent
from dnslb.wire.rrtype import ADDRESSES, DNAME, MX, NS, SRV
from dnslb.zone.zone import Zone

ADDRESS_TYPES = frozenset(ADDRESSES)


@dataclass(frozen=True, slots=True)
class Shape:
    """What follows from a zone's owners.

    `cuts` are the delegated names, `glue` the hosts that they are delegated to, `dnames` the owners of a DNAME, `names`
    all names that exist, with or without data.
    """

    zone: Zone
    cuts: frozenset[bytes]
    glue: frozenset[bytes]
    dnames: frozenset[bytes]
    names: frozenset[bytes]

    def holds(self, name: bytes) -> bool:
        """Return whether the name lies in the zone, delegated or not."""
        return is_within(name, self.zone.apex)

    def cut_above(self, name: bytes) -> bytes | None:
        """Return the delegated name that the name is or lies below, the topmost one, or None."""
        found = None
        for ancestor in ancestors(name):
            if ancestor in self.cuts:
                found = ancestor
        return found

    def dname_above(self, name: bytes) -> bytes | None:
        """Return the owner of the DNAME that the name lies below, the topmost one, or None."""
        found = None
        if self.dnames and self.holds(name) and name != self.zone.apex:
            for ancestor in ancestors(parent(name)):
                if ancestor in self.dnames:
                    found = ancestor
        return found

    def types_at(self, name: bytes) -> frozenset[int]:
        """Return the record types that a question for the name can find, a wildcard's included."""
        if name in self.names:
            return frozenset(self.zone.nodes.get(name, ()))
        for ancestor in ancestors(name):
            # Only the closest name that exists may lend its wildcard (RFC 4592 2.2.1).
            if ancestor in self.names:
                return frozenset(self.zone.nodes.get(WILDCARD + ancestor, ()))
        return frozenset()


def cuts_of(zone: Zone) -> frozenset[bytes]:
    """Return the names that the zone delegates (RFC 1034 section 4.2)."""
    return frozenset(owner for owner, sets in zone.nodes.items() if NS in sets and owner != zone.apex)


def shape_of(zone: Zone) -> Shape:
    """Work out the shape of a zone, in time linear in its owners."""
    cuts = cuts_of(zone)
    glue = frozenset(host.lower() for cut in cuts for host in zone.nodes[cut][NS].rdata)
    dnames = frozenset(owner for owner, sets in zone.nodes.items() if DNAME in sets)
    names: set[bytes] = {zone.apex}
    for owner in zone.nodes:
        for name in ancestors(owner):
            if name in names:
                break
            names.add(name)
    return Shape(zone, cuts, glue, dnames, frozenset(names))


def targets(rtype: int, rdata: bytes) -> bytes | None:
    """Return the host that an NS, MX or SRV record names, lower case; None for "no such service" (RFC 7505, 2782)."""
    host = rdata[{NS: 0, MX: 2, SRV: 6}[rtype] :].lower()
    return None if host == ROOT else host


def pointers(zone: Zone) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield (owner, type, host) for every NS, MX and SRV record of the zone."""
    for owner, sets in zone.nodes.items():
        for rtype in sets.keys() & {NS, MX, SRV}:
            for rdata in sets[rtype].rdata:
                if (host := targets(rtype, rdata)) is not None:
                    yield owner, rtype, host
