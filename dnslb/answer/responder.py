"""One query's octets become one response's octets, or none. No socket, clock, log or random number.

What resolvers send all day is answered from ready octets, by `respond`. Where it matters who asks, or what an option
says, the same table is looked at more closely. All else goes the long way, in lookup.
"""

from dnslb.answer import tally
from dnslb.answer.cookies import NONE, Cookies
from dnslb.answer.lookup import WHOLE, Asker, Reply, look_at, opt_with, respond_in_full
from dnslb.answer.snapshot import ALIAS, Snapshot
from dnslb.answer.sources import bucket_of
from dnslb.answer.turns import Turns
from dnslb.wire import header, name, rrtype
from dnslb.wire.edns import CLASSIC_PAYLOAD, COMMON, STREAM_PAYLOAD, Edns, with_option
from dnslb.wire.header import AUTHORITATIVE, Rcode
from dnslb.wire.record import pointer
from dnslb.wire.subnet import Subnet, told_by

_BEHIND_LABELS = 5
"""Octets of a question from the root label on."""
_WITHOUT_EDNS = {b"": Edns(CLASSIC_PAYLOAD, b"", 0, dnssec_ok=False)}
_HEADS = {
    came + header.counts(0, 0, additionals): (flags, records)
    for came, flags in AUTHORITATIVE.items()
    for additionals, records in enumerate((_WITHOUT_EDNS, COMMON))
}
"""A query's header behind the id -> the flags of the response, and the OPT records that need no reading."""


def respond(  # noqa: PLR0913 - an object that holds them would cost each query a tenth more
    query: bytes, snapshot: Snapshot, turns: Turns, client: bytes, cookies: Cookies = NONE, *, stream: bool = False
) -> Reply:
    """Answer one message. `client` is the sender's address as octets; over a `stream` there is no size limit.

    A question that is in the table is answered without being parsed: its octets are the key, so a hit proves them.
    """
    head = _HEADS.get(query[2 : header.SIZE])
    if head is None:
        return respond_in_full(query, snapshot, _asker(client, snapshot, turns, cookies), stream=stream)
    flags, records = head
    # The first zero octet is the root label. Within a label there may be one too: such a name is not in the table.
    end = query.find(b"\0", header.SIZE) + _BEHIND_LABELS
    question, record = query[header.SIZE : end], query[end:]
    edns = records.get(record)
    if edns is None and records is COMMON:
        edns = cookies.known.get(client + record)
    if edns is None:
        return _look_closely(query, end, flags, None, snapshot, turns, client, cookies, stream=stream)
    rotation = snapshot.ready.get(question.lower())
    if rotation is None:
        denied = _deny_at_once(query, question, flags, edns, snapshot)
        return denied or respond_in_full(query, snapshot, _asker(client, snapshot, turns, cookies), stream=stream)
    limit, opt, _, _, _ = edns
    key, slot, ring, additional, by_source, views, _, notice = rotation
    if views or notice or by_source or not ring:
        return _look_closely(query, end, flags, edns, snapshot, turns, client, cookies, stream=stream)
    size, turn = len(ring), 0
    if size > 1:
        # What Turns.take does, without the price of a call.
        place, taken = client + key, turns.taken
        turn = taken.get(place, -1)
        if turn < 0:
            turn = turns.first(key, size)
        taken[place] = turn + 1
        turn %= size
    counts, counts_with_opt, answer = ring[turn]
    response = b"".join((query[:2], flags, counts_with_opt if opt else counts, question, answer, additional, opt))
    if len(response) > limit and (not stream or len(response) > STREAM_PAYLOAD):
        # The client's turn has been taken: what is left of the same variant is its answer.
        asker = _asker(client, snapshot, turns, cookies)._replace(taken=turn)
        return respond_in_full(query, snapshot, asker, stream=stream)
    return response, slot


def _look_closely(  # noqa: PLR0913, PLR0917 - as above
    query: bytes,
    end: int,
    flags: bytes,
    edns: Edns | None,
    snapshot: Snapshot,
    turns: Turns,
    client: bytes,
    cookies: Cookies,
    *,
    stream: bool,
) -> Reply:
    """Answer where it matters who asks or for whom, or what an OPT record says that is not read yet (then None)."""
    subnet, source, known = None, client, WHOLE
    if edns is None:
        edns, subnet = _told_by(query, end, client, snapshot, cookies)
        if subnet is not None and subnet.address:
            source, known, _, _ = subnet
    question = query[header.SIZE : end]
    rotation = snapshot.ready.get(question.lower())
    seen, scope = look_at(rotation, snapshot.views, source, known) if rotation is not None else (None, 0)
    if edns is None or (seen is not None and not seen.ring):
        return respond_in_full(query, snapshot, _asker(client, snapshot, turns, cookies), stream=stream)
    if subnet is not None:
        edns = edns._replace(reply=opt_with(edns.reply, subnet, scope))
    if seen is None:
        denied = _deny_at_once(query, question, flags, edns, snapshot)
        return denied or respond_in_full(query, snapshot, _asker(client, snapshot, turns, cookies), stream=stream)
    limit, opt, _, _, _ = edns
    key, slot, ring, additional, by_source, _, _, notice = seen
    if opt and notice:
        opt = with_option(opt, notice)
    size = len(ring)
    turn = (bucket_of(source) if by_source else turns.take(client, key, size)) % size if size > 1 else 0
    counts, counts_with_opt, answer = ring[turn]
    response = b"".join((query[:2], flags, counts_with_opt if opt else counts, question, answer, additional, opt))
    if len(response) > limit and (not stream or len(response) > STREAM_PAYLOAD):
        asker = _asker(client, snapshot, turns, cookies)._replace(taken=turn)
        return respond_in_full(query, snapshot, asker, stream=stream)
    return response, slot


def _told_by(
    query: bytes, end: int, client: bytes, snapshot: Snapshot, cookies: Cookies
) -> tuple[Edns | None, Subnet | None]:
    """Read the OPT record that the query ends with: what it asks for, None for what takes the long way, and for whom.

    What others say of their clients than those who are believed is not even looked at.
    """
    record = query[end:]
    if query[4 : header.SIZE] != _ONE_ADDITIONAL or len(record) > _LONGEST_REMEMBERED:
        return None, None
    if not _is_believed(client, snapshot):
        return cookies.seen(record, client), None
    told = told_by(record)
    return (cookies.seen(record, client, remember=False), told[1]) if told is not None else (None, None)


def _is_believed(client: bytes, snapshot: Snapshot) -> bool:
    """Return whether the client may say for whom it asks.

    From all others it would be an offer: anybody could ask for the answers of a view that he is not in.
    """
    return snapshot.believed is not None and bool(snapshot.believed.find(client).view)


def _asker(client: bytes, snapshot: Snapshot, turns: Turns, cookies: Cookies) -> Asker:
    return Asker(client, client, turns, snapshot.views, _is_believed(client, snapshot), cookies=cookies)


_LONGEST_REMEMBERED = 100
"""Octets of an OPT record. What resolvers send is shorter, and what is remembered must not be as long as one likes."""
_ONE_ADDITIONAL = header.counts(0, 0, 1)
DENIABLE = {
    rrtype.question_tail(rtype): (tally.answered(rtype, Rcode.NOERROR), tally.answered(rtype, Rcode.NXDOMAIN))
    for rtype in rrtype.COUNTED
    if rtype not in {rrtype.DS, rrtype.ANY}
}
"""The types that an answer which is not in the table simply is not: DS belongs to the zone above, ANY asks for all."""
_ONE_AUTHORITY = header.counts(0, 1, 0)
_ONE_AUTHORITY_AND_OPT = header.counts(0, 1, 1)
_NXDOMAIN_FLAGS = {flags: flags[:1] + bytes([flags[1] | Rcode.NXDOMAIN]) for flags in AUTHORITATIVE.values()}


def _deny_at_once(query: bytes, question: bytes, flags: bytes, edns: Edns, snapshot: Snapshot) -> Reply | None:
    """Answer NODATA, or NXDOMAIN in a plain zone; None for what takes the long way.

    This is the denial of the long way without what that has to think of, at a fifth of its price: resolvers ask for the
    AAAA of hosts that have none, and anybody asks for anything.
    """
    tail = question[-4:]
    slots = DENIABLE.get(tail)
    qname = question[:-4].lower()
    answers = snapshot.names.get(qname)
    if slots is None or (answers is not None and (ALIAS in answers or tail in answers)):
        return None
    zones, size = snapshot.zones, len(qname)
    position, above = 0, size - snapshot.longest_apex
    # Label by label up to an apex, which is a name: so the whole is one, if it is not too long.
    while position < above or (zone := zones.get(qname[position:])) is None:
        length = qname[position] if position < size else 0
        if not 0 < length <= name.MAX_LABEL:
            return None
        position += length + 1
    missing = answers is None and qname not in zone.empty
    if missing:
        if not zone.plain or len(qname) > name.MAX_NAME:
            return None
        flags = _NXDOMAIN_FLAGS[flags]
    elif qname in zone.cuts:
        return None
    limit, opt, _, _, _ = edns
    soa = pointer(header.SIZE + position).join(zone.soa)
    counts = _ONE_AUTHORITY_AND_OPT if opt else _ONE_AUTHORITY
    response = b"".join((query[:2], flags, counts, question, soa, opt))
    return (response, slots[missing]) if len(response) <= limit else None
