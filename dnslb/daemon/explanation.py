"""The object of `dnslb explain --json`: an explained answer, beside what is known of each member. Pure."""

import difflib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dnslb.answer.compiler import Pools
from dnslb.answer.explain import Explanation, Shown, explain
from dnslb.answer.offers import Offer, offers
from dnslb.answer.senders import SENDERS, Client, Sender, behaviour
from dnslb.answer.service import Service, ServiceType, Ttl
from dnslb.answer.sources import bucket_of, network_of, prefix_of
from dnslb.answer.variants import NOBODY, Led, led_to, service_shares
from dnslb.answer.views import Network
from dnslb.answer.world import World
from dnslb.daemon import report
from dnslb.daemon.report import View
from dnslb.daemon.roster import Entry
from dnslb.pool.selection import Selection, best_tier
from dnslb.wire import name, rdata, rrtype
from dnslb.wire.header import Rcode


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be explained. `rtype` None means all that a client of such a name would ask for."""

    name: bytes
    rtype: int | None
    client: Client | None

    @property
    def octets(self) -> bytes:
        """The client's address, b"" without a client."""
        return self.client.ip.packed if self.client is not None else b""


@dataclass(frozen=True, slots=True)
class Found:
    """What takes long with large pools, and can be worked out beside the loop: the answer, and what comes of it.

    `offered` is what the variants hold of the types that were asked for, `rotations` that of each type by itself;
    `clients` go by those of both families. `led` are the members that the client always gets, if that is decided by its
    network. `source` is the view that the client is in, and the network of it that decides this, None if it is in none;
    `others` are the views that may be answered something else.
    """

    explanation: Explanation
    selection: Selection | None
    offered: Sequence[Offer]
    clients: Mapping[str, Any]
    rotations: Mapping[int, Sequence[Offer]] = field(default_factory=dict)
    led: Led = NOBODY
    source: tuple[str, Network] | None = None
    others: tuple[str, ...] = ()


def find(world: World, pools: Pools, question: Question) -> Found:
    """Work out an explanation, from values that never change."""
    source = world.audience.source_of(question.client.ip) if question.client is not None else None
    view = source[0] if source is not None else ""
    others = tuple(other for other, apart in world.overlays.items() if question.name in apart and other != view)
    explanation = explain(world.seen_from(view), pools, question.name, question.rtype, question.octets)
    service = explanation.service
    if service is None:
        return Found(explanation, None, (), {}, source=source, others=others)
    selection = pools.selections[service.pool]
    everything = offers(service, selection, client=question.octets)
    clients = {key: _client_json(sender, service, everything, question.client) for key, sender in SENDERS.items()}
    asked = tuple(shown.rtype for shown in explanation.shown)
    half = service.type is ServiceType.ADDRESS and asked != rrtype.ADDRESSES
    offered = offers(service, selection, asked, question.octets) if half else everything
    rotations = {rtype: offers(service, selection, _families(rtype), question.octets) for rtype in asked}
    led = led_to(service, selection, bucket_of(question.octets)) if question.client else NOBODY
    return Found(explanation, selection, offered, clients, rotations, led, source, others)


def _families(rtype: int) -> tuple[int, ...]:
    """Return the addresses that a record of the type leads to: those of its own family, or a host's."""
    return (rtype,) if rtype in rrtype.ADDRESSES else rrtype.ADDRESSES


def explanation_json(view: View, question: Question, found: Found) -> dict[str, Any]:
    """Return the object of `dnslb explain --json`."""
    explanation, service, selection = found.explanation, found.explanation.service, found.selection
    client = question.client
    return {
        "name": name.to_text(question.name),
        "type": _type(explanation.shown),
        "why": explanation.why,
        "zone": None if explanation.apex is None else name.to_text(explanation.apex),
        "view": _view(found),
        "other_views": list(found.others),
        "service": None if service is None else name.to_text(service.name),
        "pool": None if service is None else service.pool,
        "records": None if service is None else service.records or "all",
        "ttl": next((shown.ttl for shown in explanation.shown if shown.ttl is not None), None),
        "ttl_min": None if service is None else service.ttl.min,
        "ttl_max": None if service is None else service.ttl.max,
        "ttl_why": "" if service is None or selection is None else _ttl_why(service.ttl, selection),
        "panic": selection is not None and selection.panic,
        "answers": [_shown_json(shown, found) for shown in explanation.shown],
        "close": _close(view, explanation, question.name),
        "other_types": [rdata.type_text(rtype) for rtype in explanation.others],
        "members": {} if service is None or selection is None else _members_json(view, service, selection, found),
        "clients": found.clients,
        "client": None if client is None else _client_is(client, found),
    }


def _view(found: Found) -> str:
    """Return the view whose answers these are, "" for those of all others."""
    if found.source is not None:
        return found.source[0]
    # Without a client they are those of all others; where views hold all addresses there are none, and one stands in.
    return found.explanation.service.view if found.explanation.service is not None else ""


def _client_is(client: Client, found: Found) -> dict[str, Any]:
    return {
        "address": str(client.ip),
        "subnet": str(client.network),
        "view_source": None if found.source is None else str(found.source[1]),
        "source": _led_json(client, found.led) if found.led.first else None,
    }


def _led_json(client: Client, led: Led) -> dict[str, Any]:
    return {"network": str(network_of(prefix_of(client.ip.packed))), "first": led.first, "then": led.then}


def _ttl_why(ttl: Ttl, selection: Selection) -> str:
    if ttl.min == ttl.max:
        return "as configured"
    return selection.changes_why if ttl.at(selection.changes_in) < ttl.max else "no change is seen coming"


def _close(view: View, explanation: Explanation, qname: bytes) -> list[str]:
    """Return the services that may be meant by a name that there is not."""
    if explanation.shown[0].rcode not in {Rcode.NXDOMAIN, Rcode.REFUSED}:
        return []
    known = dict.fromkeys(name.to_text(service.name) for service in view.services)
    return difflib.get_close_matches(name.to_text(qname), known)


def _type(shown: Sequence[Shown]) -> str:
    return rdata.type_text(shown[0].rtype) if len(shown) == 1 else ServiceType.ADDRESS


def _shown_json(shown: Shown, found: Found) -> dict[str, Any]:
    return {
        "type": rdata.type_text(shown.rtype),
        "rcode": shown.rcode.name,
        "authoritative": shown.authoritative,
        "variants": shown.variants,
        "by_source": shown.by_source,
        "rotation": _rotation_json(found.rotations.get(shown.rtype, ())),
        "answer": list(map(str, shown.sections.answer)),
        "authority": list(map(str, shown.sections.authority)),
        "additional": list(map(str, shown.sections.additional)),
    }


def _rotation_json(offered: Sequence[Offer]) -> list[dict[str, Any]]:
    """Return whom the variants that are in rotation name, and which part of them does, the most frequent first.

    `first` are those among them of the best preference.
    """
    times: Counter[tuple[tuple[str, ...], tuple[str, ...]]] = Counter()
    for offer in offered:
        first = {place.member for host in offer.best for place in host.places}
        times[tuple(sorted(first)), tuple(sorted(offer.members))] += offer.times
    whole = times.total()
    return [
        {"first": first, "members": members, "part": number / whole} for (first, members), number in times.most_common()
    ]


def _client_json(sender: Sender, service: Service, offered: Sequence[Offer], client: Client | None) -> dict[str, Any]:
    does = behaviour(sender, service.type, offered, client)
    return {
        "title": sender.title,
        "asks": service.type in sender.order,
        "order": sender.order.get(service.type, ""),
        "first": {member: float(chance) for member, chance in does.first.items()},
        "tries": does.tries,
        "addresses": does.addresses,
        "then": sender.then,
        "note": does.note,
        "source": sender.source,
    }


def _members_json(view: View, service: Service, selection: Selection, found: Found) -> dict[str, Any]:
    shares = service_shares(service, selection)
    whole = sum(offer.times for offer in found.offered)
    held = Counter[str]()
    for offer in found.offered:
        held.update(dict.fromkeys(offer.members, offer.times))
    pool = view.pools[service.pool]
    members = {}
    for entry in view.roster.entries(pool.name):
        facts = report.member_json(view, pool, entry)
        times = held[entry.member.name]
        members[entry.member.name] = {
            "in": times > 0,
            "rule": facts["rule"] if times or not facts["published"] else _left_out(service, selection, entry, found),
            "share": float(shares.get(entry.member.name, 0)),
            "in_answers": times / whole if times else 0.0,
            **{key: facts[key] for key in _OF_STATUS},
            "addresses": [str(address) for address in entry.member.addresses_in(service.view)],
            "portion": {"percent": entry.standing.portion.percent, "why": entry.standing.portion.why},
        }
    return members


_OF_STATUS = ("published", "admin", "state", "verdict", "reason", "weight", "effective_weight", "tier")


def _left_out(service: Service, selection: Selection, entry: Entry, found: Found) -> str:
    """Return why no answer holds a member that is published."""
    best = best_tier(selection.published)
    if service.type is ServiceType.ADDRESS and entry.member.name not in {choice.member.name for choice in best}:
        held = _tiers({choice.member.tier for choice in best})
        return f"published, but not here: an address answer holds {held}, and it is of tier {entry.member.tier}"
    if service.type is ServiceType.ADDRESS and not _has_family(entry, service.view, found):
        families = " or ".join(rdata.type_text(shown.rtype) for shown in found.explanation.shown)
        return f"published, but not here: it has no address for {families}"
    if found.led.first:
        return "published, but not for this client: its network is led to others"
    if service.type is ServiceType.MX and service.records is not None:
        return f"published, but not here: an answer holds {service.records} members, and better ones fill it"
    return "published, but not here: its weight is too small for a place in the ring"


def _tiers(tiers: Collection[int]) -> str:
    *first, last = map(str, sorted(tiers))
    return f"tiers {', '.join(first)} and {last}" if first else f"tier {last}"


def _has_family(entry: Entry, view: str, found: Found) -> bool:
    asked = {shown.rtype for shown in found.explanation.shown}
    return any(rdata.address(address)[0] in asked for address in entry.member.addresses_in(view))
