"""The long way of a query: parsed, looked up (RFC 1034 section 4.3.2), and its response written section by section.

What is not in the table goes it, and what does not look like that: aliases, wildcards, delegations, rare flags and
options, responses that have to be cut. The reading order is that of a query.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

from dnslb.answer import chaos, tally
from dnslb.answer.cookies import NONE, Cookies
from dnslb.answer.snapshot import ALIAS, Alias, Answers, CompiledZone, Redirect, Referral, Rotation, Snapshot, Variant
from dnslb.answer.sources import bucket_of, prefix_length_of
from dnslb.answer.terms import IDLE_SECONDS, Terms
from dnslb.answer.turns import Turns
from dnslb.answer.views import Views
from dnslb.wire import header, name, rrtype
from dnslb.wire.cookie import is_first
from dnslb.wire.edns import CLASSIC_PAYLOAD, STREAM_PAYLOAD, Edns, opt_record, options_in, with_option
from dnslb.wire.header import Rcode
from dnslb.wire.options import KEEPALIVE, NSID, InfoCode, extended_error, keepalive, option
from dnslb.wire.query import Drop, Query, Rejection, parse
from dnslb.wire.record import QNAME_POINTER, SHORTEST, Places, pointer, record, rewritten, suffixes
from dnslb.wire.subnet import Subnet, subnet_of

_MOST_STEPS = 8
"""Names at most that an answer goes on to, each with a compiled chain; then the resolver has to ask again."""
WHOLE = 128
"""Bits of any address, and more than some have."""
_HIGHEST_PLAIN = 15
"""The highest response code that the header alone can say."""
_REMEMBERED = 4096
"""So many OPT records for networks are kept ready: a resolver asks for the same ones again and again."""

Reply = tuple[bytes | None, int]
"""The response, or None for a message that must not be answered, and the slot to count it in (see tally)."""


class Asker(NamedTuple):
    """Who asks: `client` has the turns, and `source`, for whom it asks, tells which view and which network that is.

    Of the source's address `bits` are known. `believed` says that it may say so. `taken` is the turn that it has taken
    already, None if it has not. `cookies` are those of whoever answers.
    """

    client: bytes
    source: bytes
    turns: Turns
    views: Views
    believed: bool = False
    taken: int | None = None
    bits: int = WHOLE
    cookies: Cookies = NONE

    def standing_for(self, subnet: Subnet | None) -> "Asker":
        """Return the resolver with the network that it asks for; its own where it does not say which that is."""
        return self._replace(source=subnet.address, bits=subnet.bits) if subnet and subnet.address else self

    def look_at(self, rotation: Rotation) -> tuple[Rotation | None, int]:
        """Return what it gets of a rotation (see `look_at`)."""
        return look_at(rotation, self.views, self.source, self.bits)

    def turn_at(self, rotation: Rotation) -> int:
        """Return whose turn it is at the rotation, and move it on unless that was done before."""
        if self.taken is not None:
            return self.taken
        if rotation.by_source:
            return bucket_of(self.source)
        return self.turns.take(self.client, rotation.key, len(rotation.ring)) if len(rotation.ring) > 1 else 0


def look_at(rotation: Rotation, views: Views, source: bytes, known: int) -> tuple[Rotation | None, int]:
    """Return what a source gets of a rotation, None if there is no such data for it, and for how much of the source.

    That is the number of leading bits with which any address gets the same; `known` are those of the source.
    """
    seen, bits = rotation, 0
    if rotation.views:
        view, bits = views.find(source)
        if known < bits:
            view = views.holding(source, known)
        seen = rotation.views.get(view, rotation)
        if seen.missing:
            return None, bits
    return seen, (max(bits, prefix_length_of(source)) if seen.by_source and len(seen.ring) > 1 else bits)


class _Outcome(NamedTuple):
    """What the lookup found: the response code, the flags but for those copied, and the sections.

    Each section is octets with their number of records. `needed` marks glue, without which a referral may not be sent
    (RFC 9471). `scope` is the number of bits of the client's address that decided it. `onward` is the name at the end
    of an alias that has to be looked up too, b"" if there is none. `notice` goes with it to who has EDNS: an extended
    error (RFC 8914).
    """

    rcode: Rcode
    flags: int
    answers: int = 0
    authorities: int = 0
    additionals: int = 0
    answer: bytes = b""
    authority: bytes = b""
    additional: bytes = b""
    needed: bool = False
    scope: int = 0
    onward: bytes = b""
    notice: bytes = b""


class _Requests(NamedTuple):
    """What the options of a query ask for: data for a `subnet`, and `options` that are the same whatever is found."""

    subnet: Subnet | None = None
    options: bytes = b""
    malformed: bool = False


_NO_REQUESTS = _Requests()


_OURS = header.QR | header.AA
_REFUSED = _Outcome(Rcode.REFUSED, header.QR | Rcode.REFUSED)
_ELSEWHERE = _REFUSED._replace(notice=extended_error(InfoCode.NOT_AUTHORITATIVE))
_PROHIBITED = _REFUSED._replace(notice=extended_error(InfoCode.PROHIBITED))
_NOTAUTH = _Outcome(Rcode.NOTAUTH, header.QR | Rcode.NOTAUTH)
_FORMERR = _Outcome(Rcode.FORMERR, header.QR | Rcode.FORMERR)
_SERVFAIL = _Outcome(Rcode.SERVFAIL, header.QR | Rcode.SERVFAIL)
_BADVERS = _Outcome(Rcode.BADVERS, header.QR | Rcode.BADVERS & 0x0F)


def respond_in_full(octets: bytes, snapshot: Snapshot, asker: Asker, *, stream: bool) -> Reply:
    """Answer one message, whatever it is; over a `stream` there is no size limit."""
    query = parse(octets)
    if isinstance(query, Drop):
        return None, tally.dropped(query)
    if isinstance(query, Rejection):
        return _reject(octets, query, asker)
    limit = _limit(query, stream=stream)
    requests = _requests_of(query.edns, snapshot.terms, asker, stream=stream) if query.edns else _NO_REQUESTS
    there = asker.standing_for(requests.subnet)
    outcome = _FORMERR if requests.malformed else _look_up(query, snapshot, there, limit)
    opt = _opt_of(query.edns, outcome, requests) if query.edns else b""
    return _compose(octets[:2], query, outcome, opt, limit), tally.answered(query.qtype, outcome.rcode)


def _requests_of(edns: Edns, terms: Terms, asker: Asker, *, stream: bool) -> _Requests:
    """Read the options of a query. Whatever else they are, the cookie is answered: it shows that the answer is ours."""
    cookie = b""
    try:
        cookie = asker.cookies.option(edns.options, asker.client)
        # A later version may have options that mean something else.
        subnet = subnet_of(edns.options) if asker.believed and not edns.version else None
        told = b"" if edns.version else _told(edns.options, terms, stream=stream)
    except ValueError:
        # The wrong version is what is answered first (RFC 6891 section 6.1.3).
        return _Requests(options=cookie, malformed=not edns.version)
    return _Requests(subnet, told + cookie)


def _told(options: bytes, terms: Terms, *, stream: bool) -> bytes:
    """Return the options that say who we are, and after how long a silent stream is closed, if that is asked for."""
    asked = dict(options_in(options))
    told = b""
    # What may be in them is ignored, as RFC 5001 section 2.2 has it. Other servers do so with a time-out too, which is
    # for them to say (RFC 7828 section 3.2.1): nobody should lose an answer by it.
    if NSID in asked and terms.identity:
        told += option(NSID, terms.identity)
    if KEEPALIVE in asked and stream:
        told += keepalive(IDLE_SECONDS)
    return told


def _opt_of(edns: Edns, outcome: _Outcome, requests: _Requests) -> bytes:
    """Return the OPT record of the response, but for its notice."""
    opt = opt_with(_reply_to(edns, outcome.rcode), requests.subnet, outcome.scope)
    return with_option(opt, requests.options) if requests.options else opt


def _reply_to(edns: Edns, rcode: Rcode) -> bytes:
    """Return the OPT record without options, with the upper bits of the response code."""
    return opt_record(dnssec_ok=edns.dnssec_ok, extended_rcode=rcode) if rcode > _HIGHEST_PLAIN else edns.reply


@lru_cache(maxsize=_REMEMBERED)
def opt_with(opt: bytes, subnet: Subnet | None, scope: int) -> bytes:
    """Return the OPT record with the network that was asked for, if one was, and for how much of that it holds."""
    return opt if subnet is None else with_option(opt, subnet.option(scope))


def _limit(query: Query, *, stream: bool) -> int:
    if stream:
        return STREAM_PAYLOAD
    return query.edns.limit if query.edns else CLASSIC_PAYLOAD


def _reject(octets: bytes, rejection: Rejection, asker: Asker) -> Reply:
    """Answer with an error what cannot be looked up; only a message without a question may be right (see `_greet`)."""
    rcode, edns, opt = rejection.rcode, rejection.edns, b""
    if edns is not None:
        cookie = _cookie_for(edns, asker)
        rcode = _greet(octets, edns, cookie, asker) if rejection.asks_nothing else rcode
        opt = with_option(_reply_to(edns, rcode), cookie)
    copied = int.from_bytes(octets[2:4], "big") & (header.OPCODE | header.COPIED)
    flags = (header.QR | copied | rcode & _HIGHEST_PLAIN).to_bytes(2, "big")
    counts = header.counts(0, 0, int(bool(opt)), questions=int(bool(rejection.question)))
    return b"".join((octets[:2], flags, counts, rejection.question, opt)), tally.answered(0, rcode)


def _cookie_for(edns: Edns, asker: Asker) -> bytes:
    """Return the COOKIE option of an error's response, b"" if there is none or it is malformed itself."""
    try:
        return asker.cookies.option(edns.options, asker.client)
    except ValueError:
        return b""


def _greet(octets: bytes, edns: Edns, cookie: bytes, asker: Asker) -> Rcode:
    """Return what is said to who asks nothing: all is well with its cookie, or it is a wrong one (RFC 7873 5.4)."""
    if edns.version:
        return Rcode.BADVERS
    if not cookie:
        return Rcode.FORMERR
    # The one place for BADCOOKIE: no mail waits for the answer to this.
    known = is_first(edns.options) or asker.cookies.proves(octets, asker.client)
    return Rcode.NOERROR if known else Rcode.BADCOOKIE


def _look_up(query: Query, snapshot: Snapshot, asker: Asker, limit: int) -> _Outcome:
    if query.edns and query.edns.version:
        return _BADVERS
    if query.qclass not in {rrtype.CLASS_IN, rrtype.CLASS_ANY}:
        return _tell(query, snapshot.terms)
    if query.qtype in rrtype.TRANSFERS:
        # Nobody may have a whole zone, and what is no zone nobody can (RFC 5936 section 2.2.1).
        return _PROHIBITED if query.qname in snapshot.zones else _NOTAUTH
    zone = _zone_of(query, snapshot)
    if zone is None:
        return _ELSEWHERE
    outcome = _look_up_in(zone, query, snapshot, asker)
    if outcome.onward:
        outcome = _follow(query, outcome, lambda there: _onward(there, zone, snapshot, asker), limit)
    # Nobody is an authority for all classes at once (RFC 1035 section 6.2).
    return outcome._replace(flags=outcome.flags & ~header.AA) if query.qclass == rrtype.CLASS_ANY else outcome


def _tell(query: Query, terms: Terms) -> _Outcome:
    """Answer in another class than IN: with what is told of the server, or not at all."""
    found = chaos.told(query.qname, query.qtype, terms) if query.qclass == rrtype.CLASS_CHAOS else b""
    return _Outcome(Rcode.NOERROR, _OURS, answers=1, answer=found) if found else _REFUSED


def _look_up_in(zone: CompiledZone, query: Query, snapshot: Snapshot, asker: Asker) -> _Outcome:
    path = descend(query.qname, snapshot, zone, of_parent=query.qtype == rrtype.DS)
    if path.redirect:
        return _redirect(query, path.redirect, zone.redirects[path.redirect])
    if path.cut:
        return _refer(query, path.cut, zone.cuts[path.cut])
    answers = snapshot.names.get(query.qname)
    if answers is not None:
        return _answer(query, query.qname, answers, zone, asker)
    if path.closest == query.qname:
        return _deny(query, zone, Rcode.NOERROR)
    wildcard = wildcard_below(path.closest, snapshot, zone)
    if wildcard is None:
        return _deny(query, zone, Rcode.NXDOMAIN)
    answers = snapshot.names.get(wildcard)
    if answers is None:
        return _deny(query, zone, Rcode.NOERROR)
    return _answer(query, wildcard, answers, zone, asker)


def _zone_of(query: Query, snapshot: Snapshot) -> CompiledZone | None:
    """Return the zone with the longest matching apex; a DS belongs to the parent side (RFC 4035 section 3.1.4.1)."""
    zones, qname, size = snapshot.zones, query.qname, len(query.qname)
    of_parent = query.qtype == rrtype.DS
    lowest = None
    # What is longer than any apex is none, and need not be looked up.
    starts = (*name.starts(qname), size - 1)
    for start in starts[bisect_left(starts, size - snapshot.longest_apex) :]:
        zone = zones.get(qname[start:])
        if zone is not None:
            if not of_parent or start:
                return zone
            lowest = zone
    return lowest


class Path(NamedTuple):
    """Where the way from an apex to a name ends: at a DNAME above it, at a cut, or at the `closest` name that exists.

    That is the name itself if it does (RFC 4592 section 3.3.1); b"" stands for none.
    """

    closest: bytes
    redirect: bytes = b""
    cut: bytes = b""


def descend(qname: bytes, snapshot: Snapshot, zone: CompiledZone, *, of_parent: bool = False) -> Path:
    """Go down label by label to a name of the zone (RFC 1034 section 4.3.2, step 3).

    Below a name that does not exist none does, so that is as far as the zone is deep, however long the name is. The DS
    at a cut is still the parent's (`of_parent`).
    """
    names, empty, cuts, redirects = snapshot.names, zone.empty, zone.cuts, zone.redirects
    closest = zone.apex
    starts = name.starts(qname)
    for start in reversed(starts[: bisect_left(starts, len(qname) - len(closest))]):
        # A DNAME redirects what is below it (RFC 6672 section 2.4: there is one at most), not its owner.
        if closest in redirects:
            return Path(closest, redirect=closest)
        suffix = qname[start:]
        if suffix in cuts and (start or not of_parent):
            return Path(suffix, cut=suffix)
        if suffix not in names and suffix not in empty:
            break
        closest = suffix
    return Path(closest)


def _refer(query: Query, cut: bytes, referral: Referral) -> _Outcome:
    place = _pointer_to(query, cut)
    return _Outcome(
        Rcode.NOERROR,
        header.QR,
        authorities=referral.name_servers,
        additionals=referral.glue_records,
        authority=place.join(referral.authority),
        additional=place.join(referral.glue),
        needed=True,
    )


def wildcard_below(closest: bytes, snapshot: Snapshot, zone: CompiledZone) -> bytes | None:
    """Return the wildcard that names match whose closest encloser this is: the one right below it (RFC 4592 3.3.1).

    It may be an empty non-terminal itself: then it matches, and has no data.
    """
    wildcard = name.WILDCARD + closest
    return wildcard if wildcard in snapshot.names or wildcard in zone.empty else None


def _answer(query: Query, owner: bytes, answers: Answers, zone: CompiledZone, asker: Asker) -> _Outcome:
    looks = [asker.look_at(rotation) for rotation in _asked_for(query.qtype, answers)]
    rotation = next((seen for seen, _ in looks if seen is not None), None)
    outcome = _deny_at(query, owner, zone) if rotation is None else _take(rotation, asker)
    scope = max((bits for _, bits in looks), default=0)
    return outcome._replace(scope=scope) if scope and asker.believed else outcome


def _asked_for(qtype: int, answers: Answers) -> Iterable[Rotation]:
    """Return what answers a question of this type: the first one that the client gets."""
    rotation = answers.get(rrtype.question_tail(qtype))
    if rotation is not None:
        return (rotation,)
    if qtype != rrtype.ANY:
        return ()
    # One RRset is enough for ANY (RFC 8482 section 4.1); of an alias it is the alias, which ANY does not follow.
    return (answers[ALIAS],) if ALIAS in answers else answers.values()


def _take(rotation: Rotation, asker: Asker) -> _Outcome:
    ring = rotation.ring
    if not ring:
        return _SERVFAIL._replace(notice=rotation.notice)
    found = _data(ring[asker.turn_at(rotation) % len(ring)], rotation.additional)
    return found._replace(notice=rotation.notice) if rotation.notice else found


def _deny_at(query: Query, owner: bytes, zone: CompiledZone) -> _Outcome:
    """Answer for a name that is there, and has no such data."""
    alias = zone.aliases.get(owner) if query.qtype not in rrtype.BESIDE_CNAME else None
    return _deny(query, zone, Rcode.NOERROR) if alias is None else _dangling(query, zone, alias)


def _data(variant: Variant, additional: bytes) -> _Outcome:
    counts = variant.counts
    answers, additionals = int.from_bytes(counts[2:4], "big"), int.from_bytes(counts[6:8], "big")
    return _Outcome(Rcode.NOERROR, _OURS, answers, 0, additionals, variant.answer, b"", additional)


def _dangling(query: Query, zone: CompiledZone, alias: Alias) -> _Outcome:
    """Answer with a CNAME chain that ends where the type is not, or outside the zone."""
    found = _data(alias.chain, b"")
    if not alias.with_soa:
        return found._replace(onward=alias.onward)
    denied = _deny(query, zone, alias.rcode)
    return denied._replace(answers=found.answers, answer=found.answer)


def _redirect(query: Query, owner: bytes, redirect: Redirect) -> _Outcome:
    """Answer for a name below a DNAME: with that, and the CNAME that it makes of the name (RFC 6672 section 3.1)."""
    dname = _pointer_to(query, owner) + redirect.record
    target = query.question[: len(query.qname) - len(owner)] + redirect.target
    if len(target) > name.MAX_NAME:
        return _Outcome(Rcode.YXDOMAIN, _OURS | Rcode.YXDOMAIN, answers=1, answer=dname)
    cname = record(QNAME_POINTER, rrtype.CNAME, redirect.ttl, target)
    onward = target.lower() if query.qtype != rrtype.CNAME else b""
    return _Outcome(Rcode.NOERROR, _OURS, answers=2, answer=dname + cname, onward=onward)


def _onward(there: Query, zone: CompiledZone, snapshot: Snapshot, asker: Asker) -> _Outcome | None:
    """Look up where an alias leads to, None outside its zone."""
    return _look_up_in(zone, there, snapshot, asker) if _zone_of(there, snapshot) is zone else None


def _follow(query: Query, outcome: _Outcome, look_up: Callable[[Query], _Outcome | None], limit: int) -> _Outcome:
    """Go on with the name that an answer leads to, and the next ones (RFC 1034 section 4.3.2, 3a).

    What can be known before is compiled behind an alias; this is for names that only a question brings up: below a
    DNAME, and at or behind a wildcard.
    """
    places = suffixes(query.qname)
    # A chain that comes round brings the same records again.
    answer: dict[bytes, None] = {}
    room = limit - header.SIZE - len(query.question)
    passed, scope, there = {query.qname}, outcome.scope, query
    while True:
        room = _add(answer, there, outcome, places, room)
        if room < 0:
            return _Outcome(outcome.rcode, _OURS | outcome.rcode | header.TC, scope=scope)
        if not outcome.onward or outcome.onward in passed or len(passed) > _MOST_STEPS:
            break
        following = query._replace(qname=outcome.onward, question=outcome.onward + query.question[-4:])
        found = look_up(following)
        if found is None:
            break
        outcome, there = found, following
        passed.add(there.qname)
        scope = max(scope, outcome.scope)
    if outcome.rcode is Rcode.SERVFAIL:
        return outcome._replace(scope=scope)
    # The first name's data are ours (AA), whatever is at the end.
    return outcome._replace(
        flags=_OURS | outcome.rcode,
        answers=len(answer),
        answer=b"".join(answer),
        authority=b"".join(rewritten(there.question, outcome.authority, places)),
        additional=b"".join(rewritten(there.question, outcome.additional, places)),
        scope=scope,
    )


def _add(answer: dict[bytes, None], there: Query, outcome: _Outcome, places: Places, room: int) -> int:
    """Add the records of an answer that are new, and return how much room is left; below 0 they are not all there.

    Whoever asks by a long way for what has no room does not make us go it to its end, nor write all that for nothing.
    """
    # So many are new at least.
    if (outcome.answers - len(answer)) * SHORTEST > room:
        return -1
    for each in rewritten(there.question, outcome.answer, places):
        if each not in answer:
            answer[each] = None
            room -= len(each)
            if room < 0:
                break
    return room


def _deny(query: Query, zone: CompiledZone, rcode: Rcode) -> _Outcome:
    """Answer NODATA or NXDOMAIN, with the SOA that says how long to believe it (RFC 2308 sections 2 and 5)."""
    return _Outcome(rcode, _OURS | rcode, 0, 1, 0, b"", _pointer_to(query, zone.apex).join(zone.soa))


def _pointer_to(query: Query, suffix: bytes) -> bytes:
    return pointer(header.SIZE + len(query.qname) - len(suffix))


def _compose(identity: bytes, query: Query, outcome: _Outcome, opt: bytes, limit: int) -> bytes:
    """Write the response, leaving out what does not fit: first what is not needed, then all but the question (TC).

    The notice goes first. TC does not say so, as RFC 8914 section 3 would have it: nobody should have to ask again
    over TCP, which not everybody can, for an answer that he has.
    """
    room = limit - header.SIZE - len(query.question) - len(opt)
    fitting = _fitting(outcome, room)
    left = room - len(fitting.answer) - len(fitting.authority) - len(fitting.additional)
    if opt and 0 < len(outcome.notice) <= left:
        opt = with_option(opt, outcome.notice)
    return _write(identity, query, fitting, opt)


def _fitting(outcome: _Outcome, room: int) -> _Outcome:
    """Return what of an outcome fits into so many octets."""
    fixed = len(outcome.answer) + len(outcome.authority)
    if fixed + len(outcome.additional) <= room:
        return outcome
    if fixed <= room and not outcome.needed:
        return outcome._replace(additional=b"", additionals=0)
    return _Outcome(outcome.rcode, outcome.flags | header.TC)


def _write(identity: bytes, query: Query, outcome: _Outcome, opt: bytes) -> bytes:
    _, flags, answers, authorities, additionals, answer, authority, additional, *_ = outcome
    flags |= query.flags & header.COPIED
    counts = header.counts(answers, authorities, additionals + bool(opt))
    return b"".join((identity, flags.to_bytes(2, "big"), counts, query.question, answer, authority, additional, opt))
