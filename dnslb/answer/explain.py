"""What a question is answered with now, and the reason: made by the code that answers, so that it cannot be wrong.

Nothing is looked up here a second time: the question goes through `respond`, over a snapshot that compiles a name when
it is asked for. Only the reason is found by looking at what came of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from dnslb.answer.compiler import Pools, compile_names, compile_zone
from dnslb.answer.lookup import descend, wildcard_below
from dnslb.answer.responder import respond
from dnslb.answer.service import Service, ServiceType
from dnslb.answer.snapshot import Answers, CompiledZone, Rotation, Snapshot
from dnslb.answer.turns import Turns
from dnslb.answer.world import World, host_of
from dnslb.wire import header, name, rdata, rrtype
from dnslb.wire.header import Rcode
from dnslb.wire.rdata import Line, Sections

_TYPES = {
    ServiceType.ADDRESS: rrtype.ADDRESSES,
    ServiceType.MX: (rrtype.MX,),
    ServiceType.SRV: (rrtype.SRV,),
}
_LINKS = {"CNAME", "DNAME"}
_FAMILIES = {rrtype.A: "IPv4", rrtype.AAAA: "IPv6"}


class Shown(NamedTuple):
    """One question's answer: at one turn of its ring, and how many variants the ring has (0 for SERVFAIL).

    With `by_source` each client has one of them for itself.
    """

    rtype: int
    rcode: Rcode
    authoritative: bool
    variants: int
    sections: Sections
    by_source: bool = False

    @property
    def ttl(self) -> int | None:
        """For how many seconds resolvers may keep it, None if they may not."""
        if self.sections.answer:
            return min(line.ttl for line in self.sections.answer)
        # A referral, or the SOA of a negative answer (RFC 2308 section 5).
        return min((line.ttl for line in self.sections.authority), default=None)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a name is answered with, one `Shown` for each type that was asked for, and why: a sentence.

    `apex` is the zone's, None for a name that lies in none. `service` is the one that gives the answer, or should.
    `others` are the types of which the name has data beside those that were asked for.
    """

    shown: tuple[Shown, ...]
    why: str
    apex: bytes | None
    service: Service | None
    others: tuple[int, ...]


def explain(world: World, pools: Pools, qname: bytes, rtype: int | None, client: bytes = b"") -> Explanation:
    """Explain a question; without a type, for what a client of such a name would ask.

    `qname` is in wire format, lower case. `client` is the address that asks, as octets; b"" for anybody.
    """
    snapshot = _snapshot(world, pools)
    owner = _owner(world, snapshot, qname)
    rtypes = (rtype,) if rtype is not None else _usual(world, owner)
    shown = tuple(_ask(snapshot, qname, each, client) for each in rtypes)
    service = next((each for each in _services(world, owner) if _owns(each, rtypes)), None)
    return Explanation(
        shown,
        _why(world, qname, owner, shown, service),
        _apex_above(world, qname),
        service,
        tuple(
            each for each in sorted(_types_at(world, owner) - set(rtypes)) if _has(_ask(snapshot, qname, each, client))
        ),
    )


def _has(shown: Shown) -> bool:
    """Whether there is anything to see of a type: a service owns both families of addresses, and may have one."""
    return bool(shown.sections.answer) or shown.rcode is not Rcode.NOERROR


# The answer


class _Compiled(Mapping[bytes, Answers]):
    """All names of a world, each compiled when it is looked at, and once."""

    def __init__(self, world: World, pools: Pools) -> None:
        self._world, self._pools = world, pools
        self._known: dict[bytes, Answers] = {}

    def __getitem__(self, owner: bytes) -> Answers:
        if owner not in self._world.names:
            raise KeyError(owner)
        if owner not in self._known:
            self._known |= compile_names(self._world, [owner], self._pools)
        return self._known[owner]

    def __contains__(self, owner: object) -> bool:
        return owner in self._world.names

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._world.names)

    def __len__(self) -> int:
        return len(self._world.names)


class _CompiledZones(Mapping[bytes, CompiledZone]):
    """All zones of a world, each compiled when it is looked at, and once."""

    def __init__(self, world: World, serials: Mapping[bytes, int]) -> None:
        self._world, self._serials = world, serials
        self._known: dict[bytes, CompiledZone] = {}

    def __getitem__(self, apex: bytes) -> CompiledZone:
        if apex not in self._known:
            self._known[apex] = compile_zone(self._world, self._world.zones[apex], self._serials[apex])
        return self._known[apex]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._world.zones)

    def __len__(self) -> int:
        return len(self._world.zones)


def _snapshot(world: World, pools: Pools) -> Snapshot:
    return Snapshot(0, _CompiledZones(world, pools.serials), _Compiled(world, pools))


def _ask(snapshot: Snapshot, qname: bytes, rtype: int, client: bytes) -> Shown:
    tail = rrtype.question_tail(rtype)
    query = b"\0" * 4 + header.counts(0, 0, 0) + qname + tail
    response, _slot = respond(query, snapshot, Turns(0), client, stream=True)
    assert response is not None  # noqa: S101 - only what is no question gets no answer
    flags = int.from_bytes(response[2:4], "big")
    found = rdata.sections(response)
    rotation = snapshot.names.get(qname, {}).get(tail)
    by_source = rotation is not None and rotation.by_source
    variants = _number(rotation) if rotation is not None else int(bool(found.answer))
    return Shown(rtype, Rcode(flags & 0xF), bool(flags & header.AA), variants, found, by_source=by_source)


def _number(rotation: Rotation) -> int:
    """Return how many variants come in turn, or how many different ones there are to be had."""
    return len(set(rotation.ring)) if rotation.by_source else len(rotation.ring)


# Whose data it is


def _owner(world: World, snapshot: Snapshot, qname: bytes) -> bytes:
    """Return the name whose data answer for this one: its own, a wildcard's, or those at the end of its aliases."""
    apex = _apex_above(world, qname)
    passed: list[bytes] = []
    following: bytes | None = qname
    while following is not None and following not in passed:
        passed.append(following)
        if apex is None or _apex_above(world, following) != apex:
            break
        following = _following(world, snapshot, snapshot.zones[apex], following)
    return passed[-1]


def _apex_above(world: World, qname: bytes) -> bytes | None:
    return next((suffix for suffix in name.ancestors(qname) if suffix in world.zones), None)


def _following(world: World, snapshot: Snapshot, zone: CompiledZone, owner: bytes) -> bytes | None:
    """Return the name that a question for this one leads on to, None if this is the last."""
    contents = world.names.get(owner)
    if contents is not None:
        alias = contents.rrsets.get(rrtype.CNAME)
        return alias.rdata[0].lower() if alias is not None else None
    closest, above, _ = descend(owner, snapshot, zone)
    if above:
        return owner[: -len(above)] + zone.redirects[above].target.lower()
    return wildcard_below(closest, snapshot, zone) if closest != owner else None


def _services(world: World, owner: bytes) -> tuple[Service, ...]:
    contents = world.names.get(owner)
    return contents.services if contents is not None else ()


def _owns(service: Service, rtypes: Iterable[int]) -> bool:
    return any(rtype in _TYPES[service.type] for rtype in rtypes)


def _types_at(world: World, owner: bytes) -> set[int]:
    contents = world.names.get(owner)
    static = set(contents.rrsets) if contents is not None else set()
    return static.union(*(_TYPES[service.type] for service in _services(world, owner)))


def _usual(world: World, owner: bytes) -> tuple[int, ...]:
    services = _services(world, owner)
    if services:
        return _TYPES[services[0].type]
    there = _types_at(world, owner)
    families = tuple(rtype for rtype in _FAMILIES if rtype in there)
    return families or tuple(sorted(there))[:1] or (rrtype.A,)


# The reason


def _why(world: World, qname: bytes, owner: bytes, shown: tuple[Shown, ...], service: Service | None) -> str:
    first = next((each for each in shown if each.sections.answer), shown[0])
    if first.rtype in rrtype.TRANSFERS:
        return f"zones are transferred to nobody: the answer is {first.rcode.name}"
    if first.rcode is Rcode.REFUSED:
        return "no zone of this server holds it: the answer is REFUSED, and resolvers ask the next name server"
    if not first.authoritative and first.sections.authority:
        return _delegated(first.sections.authority)
    return "".join(_ways(qname, owner, first)) + _told(world, owner, first, service)


def _told(world: World, owner: bytes, shown: Shown, service: Service | None) -> str:
    if shown.rcode is Rcode.NXDOMAIN:
        return f"there is no such name (NXDOMAIN){_remembered(shown)}"
    if shown.rcode is Rcode.YXDOMAIN:
        return "the name would become longer than any may be (YXDOMAIN)"
    if shown.rcode is Rcode.SERVFAIL:
        pool = f"pool {service.pool}" if service is not None else "the pool"
        return f"{pool} publishes nobody, because no member takes mail and all_down is servfail: SERVFAIL"
    if not all(line.type in _LINKS for line in shown.sections.answer):
        return _data(world, owner, service)
    if shown.rtype in {rrtype.CNAME, rrtype.DNAME} and shown.sections.answer:
        return "a static record of the zone file"
    if owner not in world.names and shown.sections.answer:
        return "resolvers look for that themselves, since this zone does not hold it"
    return _nothing(world, owner, shown, service)


def _delegated(authority: Iterable[Line]) -> str:
    cut = next(iter({line.owner for line in authority})).rstrip(".")
    hosts = ", ".join(line.data.rstrip(".") for line in authority)
    return f"{cut} is delegated: resolvers are sent to its own name servers ({hosts})"


def _nothing(world: World, owner: bytes, denied: Shown, service: Service | None) -> str:
    text = rdata.type_text(denied.rtype)
    if service is not None and denied.rtype in _FAMILIES:
        return f"no member that is published has an {_FAMILIES[denied.rtype]} address: the answer is empty (NODATA)"
    there = ", ".join(rdata.type_text(rtype) for rtype in sorted(_types_at(world, owner)))
    reason = f"only {there}" if there else "and there are only names below it"
    return f"it has no {text} record, {reason}: the answer is empty (NODATA){_remembered(denied)}"


def _remembered(denied: Shown) -> str:
    """Return for how long resolvers remember a negative answer, which the SOA beside it says (RFC 2308 section 5)."""
    soa = next((line for line in denied.sections.authority if line.type == "SOA"), None)
    return f", and resolvers remember that for {soa.ttl} s" if soa is not None else ""


def _ways(qname: bytes, owner: bytes, shown: Shown) -> Iterator[str]:
    """Yield how the question came to data that stand at another name."""
    for line in shown.sections.answer:
        if line.type == "DNAME" and shown.rtype != rrtype.DNAME:
            yield f"names below {line.owner.rstrip('.')} are those below {line.data.rstrip('.') or '.'} (DNAME): "
    links = [line for line in shown.sections.answer if line.type == "CNAME"]
    if links and owner != qname and shown.rtype != rrtype.CNAME:
        yield f"an alias (CNAME) of {links[-1].data.rstrip('.')}: "
    if owner.startswith(name.WILDCARD):
        yield f"there is no such name, but {name.to_text(owner)} answers for it: "


def _data(world: World, owner: bytes, service: Service | None) -> str:
    if service is not None:
        clients = f" for clients of view {service.view}" if service.view else ""
        return f"a service of type {service.type}{clients}, answered from pool {service.pool}"
    member = next(_hosted(world, owner), None)
    if member is not None:
        return (
            f"the host of member {member}: it has its addresses whatever its health, since caches and MX or SRV records"
            " may still point at it"
        )
    return "static records of the zone file"


def _hosted(world: World, owner: bytes) -> Iterator[str]:
    """Yield the members, as POOL/MEMBER, whose host the name is."""
    contents = world.names.get(owner)
    if contents is None or not any(rtype in contents.rrsets for rtype in _FAMILIES):
        return
    for there in world.names.values():
        for service in there.services:
            if service.type is not ServiceType.ADDRESS:
                host = partial(host_of, service=service)
                members = world.pools[service.pool].members
                yield from (f"{service.pool}/{member.name}" for member in members if host(member) == owner)
