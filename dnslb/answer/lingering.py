"""Hosts that a new configuration no longer has: the MX and SRV records in caches still point at them.

A sender that follows such a record to a name without an address returns the mail, so the host keeps its addresses until
the last of these records has left the caches.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain

from dnslb.answer.service import Service, ServiceType
from dnslb.answer.world import Contents, World, host_of
from dnslb.wire import name, rrtype


def left_behind(old: World, new: World) -> dict[bytes, tuple[Contents, int]]:
    """Return the hosts of the old world's members that have no address in the new one: their addresses, and how long.

    That is in seconds: the longest TTL with which a record that names the host was given out.
    """
    left: dict[bytes, tuple[Contents, int]] = {}
    for service in _naming_hosts(old):
        for member in old.pools[service.pool].members:
            host = host_of(member, service)
            there = old.names.get(host)
            if there is not None and has_room(new, host, there.zone):
                _, seconds = left.get(host, (there, 0))
                left[host] = _addresses_of(there), max(seconds, service.ttl.max)
    return left


def with_hosts(world: World, hosts: Mapping[bytes, Contents]) -> World:
    """Return the world with these hosts beside its own names."""
    if not hosts:
        return world
    names = dict(world.names)
    for host, contents in hosts.items():
        there = names.get(host) or Contents(contents.zone, {})
        names[host] = replace(there, rrsets={**there.rrsets, **contents.rrsets})
    return replace(world, names=names)


def has_room(world: World, host: bytes, apex: bytes) -> bool:
    """Return whether the world has the host's zone, and no address or alias at the host."""
    if apex not in world.zones:
        return False
    above = set(name.ancestors(host)) - {apex}
    if above & (world.cuts[apex] | world.zones.keys()) or any(_is_redirected(suffix, world) for suffix in above):
        return False
    there = world.names.get(host)
    return there is None or not (there.services or there.rrsets.keys() & {*rrtype.ADDRESSES, rrtype.CNAME})


def _naming_hosts(world: World) -> Iterator[Service]:
    views = (world.names, *world.overlays.values())
    for contents in chain.from_iterable(names.values() for names in views):
        yield from (service for service in contents.services if service.type is not ServiceType.ADDRESS)


def _is_redirected(suffix: bytes, world: World) -> bool:
    return suffix in world.names and rrtype.DNAME in world.names[suffix].rrsets


def _addresses_of(contents: Contents) -> Contents:
    rrsets = {rtype: rrset for rtype, rrset in contents.rrsets.items() if rtype in rrtype.ADDRESSES}
    return Contents(contents.zone, rrsets)
