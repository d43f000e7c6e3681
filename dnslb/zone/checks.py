"""What a zone must hold to be served, apart from the syntax of its file (RFC 1034 3.6, 4.2; RFC 2181 6, 10)."""

from collections.abc import Callable, Iterator

from dnslb.wire.name import WILDCARD, is_within, to_text
from dnslb.wire.rrtype import AAAA, BESIDE_CNAME, CNAME, DNAME, DS, MX, NS, NSEC, RRSIG, SOA, SRV, A
from dnslb.zone.problem import Place, Places, ZoneProblem
from dnslb.zone.rrset import RRset
from dnslb.zone.shape import ADDRESS_TYPES, Shape, pointers
from dnslb.zone.zone import Zone

MAX_MESSAGE = 65535
_WORDS = {
    A: "A",
    NS: "NS",
    CNAME: "CNAME",
    SOA: "SOA",
    MX: "MX",
    AAAA: "AAAA",
    SRV: "SRV",
    DNAME: "DNAME",
    DS: "DS",
    16: "TXT",
    52: "TLSA",
}
_AT_CUT = frozenset({NS, DS, RRSIG, NSEC})
_RULE = {NS: "RFC 2181 10.3", MX: "RFC 2181 10.3", SRV: "RFC 2782"}


def contradictions(shape: Shape, places: Places) -> Iterator[ZoneProblem]:
    """Yield the records that cannot stand beside others, whatever else the zone holds."""
    for owner, sets in shape.zone.nodes.items():
        for rrset in sets.values():
            for message in _rrset_faults(rrset, shape):
                yield _problem(places[owner, rrset.rtype], message)
    yield from _alias_targets(shape, places)


def omissions(shape: Shape, places: Places, file: str) -> Iterator[ZoneProblem]:
    """Yield what the zone lacks; `file` stands for what no record is to blame for.

    Only for a zone that was read without an error: a line that was not understood may be the one that is missed.
    """
    yield from _missing_at_apex(shape.zone, file)
    yield from _missing_glue(shape, places)
    for owner, sets in shape.zone.nodes.items():
        for rrset in sets.values():
            if message := _occluded(rrset, shape):
                yield _problem(places[owner, rrset.rtype], message)


def targets_without_address(shape: Shape, places: Places, elsewhere: Callable[[bytes], bool]) -> Iterator[ZoneProblem]:
    """Yield the NS, MX and SRV records whose host lies in the zone and has no address.

    `elsewhere` tells the names that get their addresses from other places: from pools, for example.
    """
    for owner, rtype, host in pointers(shape.zone):
        if not shape.holds(host) or shape.cut_above(host) or shape.dname_above(host) or elsewhere(host):
            continue
        found = shape.types_at(host)
        if found & ADDRESS_TYPES or CNAME in found:
            continue
        message = f"{_words(owner, rtype)} names {to_text(host)}, which has no A or AAAA record"
        yield _problem(places[owner, rtype], message)


def _missing_at_apex(zone: Zone, file: str) -> Iterator[ZoneProblem]:
    apex = zone.nodes.get(zone.apex, {})
    if not zone.nodes:
        yield ZoneProblem(
            file, None, f"the file has no records: zone {to_text(zone.apex)} needs a SOA and an NS record"
        )
        return
    for rtype in (SOA, NS):
        if rtype not in apex:
            yield ZoneProblem(file, None, f"zone {to_text(zone.apex)} has no {_WORDS[rtype]} record at its apex")


def _rrset_faults(rrset: RRset, shape: Shape) -> Iterator[str]:
    owner, rtype = rrset.owner, rrset.rtype
    if (size := _response_size(rrset)) > MAX_MESSAGE:
        yield f"the {_word(rtype)} records of {to_text(owner)} are too many: no DNS message can hold {size} octets"
    if rtype == SOA and owner != shape.zone.apex:
        yield f"SOA of {to_text(owner)} is not at the apex {to_text(shape.zone.apex)}"
    if rtype == SOA and owner == shape.zone.apex and len(rrset.rdata) > 1:
        yield f"zone {to_text(owner)} has {len(rrset.rdata)} SOA records"
    if rtype == CNAME and not shape.zone.nodes[owner].keys() <= BESIDE_CNAME:
        yield f"{to_text(owner)} has a CNAME and other records (RFC 1034 3.6.2)"
    if rtype == CNAME and len(rrset.rdata) > 1:
        yield f"{to_text(owner)} has {len(rrset.rdata)} CNAME records, at most one is possible (RFC 2181 10.1)"
    if rtype == DNAME:
        yield from _dname_faults(rrset)
    if above := shape.dname_above(owner):
        yield f"{_words(owner, rtype)} is below the DNAME of {to_text(above)}: nothing can be (RFC 6672 2.4)"


def _dname_faults(rrset: RRset) -> Iterator[str]:
    owner = rrset.owner
    if len(rrset.rdata) > 1:
        yield f"{to_text(owner)} has {len(rrset.rdata)} DNAME records, at most one is possible (RFC 6672 2.4)"
    if owner.startswith(WILDCARD):
        yield f"DNAME of {to_text(owner)}: a wildcard cannot own one (RFC 4592 4.4)"


def _response_size(rrset: RRset) -> int:
    """Return the octets of a response with a header, a question, an OPT record, and the RRset as its answer."""
    return 12 + len(rrset.owner) + 4 + 11 + sum(12 + len(rdata) for rdata in rrset.rdata)


def _occluded(rrset: RRset, shape: Shape) -> str:
    """Say why no answer could ever show the records: they belong to a zone that is delegated away."""
    cut = shape.cut_above(rrset.owner)
    if cut is None or (rrset.owner == cut and rrset.rtype in _AT_CUT):
        return ""
    if rrset.rtype in ADDRESS_TYPES and rrset.owner in shape.glue:
        return ""
    where = "at" if rrset.owner == cut else "below"
    return f"{_words(rrset.owner, rrset.rtype)} is {where} the delegation of {to_text(cut)}: only its glue belongs here"


def _alias_targets(shape: Shape, places: Places) -> Iterator[ZoneProblem]:
    for owner, rtype, host in pointers(shape.zone):
        if not shape.holds(host) or shape.cut_above(host):
            continue
        if CNAME in shape.types_at(host):
            message = f"{_words(owner, rtype)} names {to_text(host)}, which is a CNAME ({_RULE[rtype]})"
            yield _problem(places[owner, rtype], message)
        elif above := shape.dname_above(host):
            message = f"{_words(owner, rtype)} names {to_text(host)}, which is below the DNAME of {to_text(above)}"
            yield _problem(places[owner, rtype], f"{message} ({_RULE[rtype]})")


def _missing_glue(shape: Shape, places: Places) -> Iterator[ZoneProblem]:
    for cut in sorted(shape.cuts):
        for host in (rdata.lower() for rdata in shape.zone.nodes[cut][NS].rdata):
            if is_within(host, cut) and not shape.zone.nodes.get(host, {}).keys() & ADDRESS_TYPES:
                message = (
                    f"{to_text(cut)} is delegated to {to_text(host)} below itself: add its A or AAAA record (glue)"
                )
                yield _problem(places[cut, NS], message)


def _words(owner: bytes, rtype: int) -> str:
    return f"{_word(rtype)} of {to_text(owner)}"


def _word(rtype: int) -> str:
    return _WORDS.get(rtype, f"TYPE{rtype}")


def _problem(place: Place, message: str) -> ZoneProblem:
    return ZoneProblem(place.file, place.line, message)
