"""One query's octets become one response's octets, or none. No socket, clock, log or random number.

What resolvers send all day is answered from ready octets, by `respond`. All else goes the long way, in lookup.
"""

from dnslb.answer import tally
from dnslb.answer.lookup import WHOLE, Asker, Reply, look_at, opt_with, respond_in_full
from dnslb.answer.snapshot import ALIAS, Rotation, Snapshot
from dnslb.answer.sources import bucket_of
from dnslb.answer.turns import Turns
from dnslb.answer.views import Leaf
from dnslb.wire import header, name, rrtype
from dnslb.wire.edns import BARE_SIZE, BEGIN, CLASSIC_PAYLOAD, COMMON, STREAM_PAYLOAD, found_in
from dnslb.wire.header import AUTHORITATIVE, Rcode
from dnslb.wire.record import pointer
from dnslb.wire.subnet import told_by

_BARE_COUNTS = header.counts(0, 0, 0)
_ONE_ADDITIONAL = header.counts(0, 0, 1)


def respond(query: bytes, snapshot: Snapshot, turns: Turns, client: bytes, *, stream: bool = False) -> Reply:
    """Answer one message. `client` is the sender's address as octets; over a `stream` there is no size limit.

    A question that is in the table is answered without being parsed: its octets are the key, so a hit proves them.
    """
    counts = query[4:12]
    opt = b""
    end = len(query)
    limit = CLASSIC_PAYLOAD
    if counts == _ONE_ADDITIONAL:
        end -= BARE_SIZE
        common = COMMON.get(query[end:])
        if common is None:
            if _is_believed(client, snapshot):
                return _respond_to_believed(query, snapshot, turns, client, stream=stream)
            found = found_in(query)
            if found is None:
                return respond_in_full(query, snapshot, _asker(client, snapshot, turns), stream=stream)
            end, common = found
        limit, opt, _, _, _ = common
    elif counts != _BARE_COUNTS:
        return respond_in_full(query, snapshot, _asker(client, snapshot, turns), stream=stream)
    flags = AUTHORITATIVE.get(query[2:4])
    answers = snapshot.names.get(query[12 : end - 4].lower())
    rotation = answers.get(query[end - 4 : end]) if answers is not None else None
    if rotation is not None and rotation.views:
        rotation = _seen(rotation, snapshot.views.find(client))
    if flags is None or rotation is None or not rotation.ring:
        denied = _deny_at_once(query, end, flags, opt, snapshot) if rotation is None else None
        if denied is None or len(denied[0]) > limit:
            return respond_in_full(query, snapshot, _asker(client, snapshot, turns), stream=stream)
        return denied
    key, slot, ring, additional, by_source, _, _, _ = rotation
    size = len(ring)
    turn = (bucket_of(client) if by_source else turns.take(client, key, size)) % size if size > 1 else 0
    variant = ring[turn]
    numbers = variant[1] if opt else variant[0]
    response = b"".join((query[:2], flags, numbers, query[12:end], variant[2], additional, opt))
    if len(response) > limit and (not stream or len(response) > STREAM_PAYLOAD):
        # The client's turn has been taken: what is left of the same variant is its answer.
        asker = _asker(client, snapshot, turns)._replace(taken=turn)
        return respond_in_full(query, snapshot, asker, stream=stream)
    return response, slot


def _is_believed(client: bytes, snapshot: Snapshot) -> bool:
    """Return whether the client may say for whom it asks.

    What others say is not even looked at: anybody could ask for the answers of a view that he is not in.
    """
    return snapshot.believed is not None and bool(snapshot.believed.find(client).view)


def _asker(client: bytes, snapshot: Snapshot, turns: Turns) -> Asker:
    return Asker(client, client, turns, snapshot.views, _is_believed(client, snapshot))


def _respond_to_believed(query: bytes, snapshot: Snapshot, turns: Turns, client: bytes, *, stream: bool) -> Reply:
    """Do what `respond` does for a resolver that may ask for a network: only the OPT record differs."""
    end = query.find(BEGIN, header.SIZE)
    told = told_by(query[end:])
    if told is None:
        return respond_in_full(query, snapshot, _asker(client, snapshot, turns), stream=stream)
    edns, subnet = told
    source, known = client, WHOLE
    if subnet is not None and subnet.address:
        source, known, _, _ = subnet
    flags = AUTHORITATIVE.get(query[2:4])
    answers = snapshot.names.get(query[12 : end - 4].lower())
    rotation = answers.get(query[end - 4 : end]) if answers is not None else None
    seen, scope = look_at(rotation, snapshot.views, source, known) if rotation is not None else (None, 0)
    opt = opt_with(edns.reply, subnet, scope)
    if flags is None or seen is None or not seen.ring:
        denied = _deny_at_once(query, end, flags, opt, snapshot) if seen is None else None
        if denied is None or len(denied[0]) > edns.limit:
            return respond_in_full(query, snapshot, _asker(client, snapshot, turns), stream=stream)
        return denied
    key, slot, ring, additional, by_source, _, _, _ = seen
    size = len(ring)
    turn = (bucket_of(source) if by_source else turns.take(client, key, size)) % size if size > 1 else 0
    variant = ring[turn]
    response = b"".join((query[:2], flags, variant[1], query[12:end], variant[2], additional, opt))
    if len(response) > edns.limit and (not stream or len(response) > STREAM_PAYLOAD):
        asker = _asker(client, snapshot, turns)._replace(taken=turn)
        return respond_in_full(query, snapshot, asker, stream=stream)
    return response, slot


def _seen(rotation: Rotation, leaf: Leaf) -> Rotation | None:
    """Return what clients in the leaf get of a rotation that not all get, None if there is no such data for them."""
    found = (rotation.views or {}).get(leaf.view, rotation)
    return None if found.missing else found


_DENIABLE = {
    rrtype.question_tail(rtype): (tally.answered(rtype, Rcode.NOERROR), tally.answered(rtype, Rcode.NXDOMAIN))
    for rtype in rrtype.COUNTED
    if rtype not in {rrtype.DS, rrtype.ANY}
}
"""The types that an answer which is not in the table simply is not: DS belongs to the zone above, ANY asks for all."""
_ONE_AUTHORITY = header.counts(0, 1, 0)
_ONE_AUTHORITY_AND_OPT = header.counts(0, 1, 1)
_NXDOMAIN_FLAGS = {flags: flags[:1] + bytes([flags[1] | Rcode.NXDOMAIN]) for flags in AUTHORITATIVE.values()}


def _deny_at_once(
    query: bytes, end: int, flags: bytes | None, opt: bytes, snapshot: Snapshot
) -> tuple[bytes, int] | None:
    """Answer NODATA, or NXDOMAIN in a plain zone; None for what takes a closer look: aliases, and unusual `flags`.

    This is the denial of the long way without what that has to think of, at a fifth of its price: resolvers ask for the
    AAAA of hosts that have none, and anybody asks for anything.
    """
    slots = _DENIABLE.get(query[end - 4 : end])
    if slots is None or flags is None:
        return None
    zones = snapshot.zones
    qname = suffix = query[12 : end - 4].lower()
    answers = snapshot.names.get(qname)
    if answers is not None and ALIAS in answers:
        return None
    # Label by label up to an apex, which is a name: so the whole is one, if it is not too long.
    while (zone := zones.get(suffix)) is None:
        length = suffix[0] if suffix else 0
        if not 0 < length <= name.MAX_LABEL:
            return None
        suffix = suffix[length + 1 :]
    missing = answers is None and qname not in zone.empty
    if missing:
        if not zone.plain or len(qname) > name.MAX_NAME:
            return None
        flags = _NXDOMAIN_FLAGS[flags]
    elif qname in zone.cuts:
        return None
    soa = pointer(header.SIZE + len(qname) - len(suffix)).join(zone.soa)
    counts = _ONE_AUTHORITY_AND_OPT if opt else _ONE_AUTHORITY
    return b"".join((query[:2], flags, counts, query[12:end], soa, opt)), slots[missing]
