"""What the daemon tells of itself: the status object and the readings for metrics. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from dnslb.answer import tally
from dnslb.answer.service import Service
from dnslb.answer.variants import service_shares, tier_shares
from dnslb.daemon.farewell import Farewells
from dnslb.daemon.roster import Entry, Key, Roster, Standing
from dnslb.metrics import MemberReading, PoolReading, Reading
from dnslb.pool.admin import AdminState
from dnslb.pool.health import State, Verdict
from dnslb.pool.member import Pool
from dnslb.pool.remains import Remains
from dnslb.pool.selection import Candidate, Selection
from dnslb.pool.window import Window
from dnslb.probe.transcript import TlsFacts
from dnslb.rfc3339 import rfc3339
from dnslb.wire import name


@dataclass(frozen=True, slots=True)
class View:
    """What a report is made from: the configuration, the states and what is published of them.

    `last_good` returns who was published in a pool when it last was not in panic. `held_until` says until when (Unix
    time) the falls in a pool are held, because too many came at once. `window` is a member's planned drain;
    `held_window` says what keeps a window from beginning, "" if nothing does.
    """

    pools: Mapping[str, Pool]
    services: Sequence[Service]
    roster: Roster
    selections: Mapping[str, Selection]
    last_good: Callable[[str], frozenset[str]] = lambda _pool: frozenset()
    farewells: Farewells = field(default_factory=Farewells)
    held_until: Callable[[str], float | None] = lambda _pool: None
    window: Callable[[Key], Window | None] = lambda _key: None
    held_window: Callable[[Window], str] = lambda _window: ""


def to_select(view: View, pool: str) -> tuple[Pool, Sequence[Candidate], frozenset[str]]:
    """Return what is known of a pool now, as the arguments of `select` and of all that counts like it."""
    return view.pools[pool], view.roster.candidates(pool), view.last_good(pool)


def pools_json(view: View) -> dict[str, Any]:
    """Return the status of all pools."""
    return {pool.name: _pool_json(view, pool) for pool in view.pools.values()}


@dataclass(frozen=True, slots=True)
class _Given:
    """What answers give of a pool: worked out once for all of its members."""

    published: frozenset[str]
    rules: Mapping[str, str]
    shares: Mapping[str, Fraction]
    share_of: str


def _given(view: View, pool: str) -> _Given:
    selection = view.selections[pool]
    published = frozenset(choice.member.name for choice in selection.published)
    return _Given(published, selection.reasons, pool_shares(view, pool), share_of(view, pool))


def member_json(view: View, pool: Pool, entry: Entry) -> dict[str, Any]:
    """Return one member's status."""
    return _member_json(view, pool, entry, _given(view, pool.name))


def _member_json(view: View, pool: Pool, entry: Entry, given: _Given) -> dict[str, Any]:
    member_name = entry.member.name
    standing = entry.standing
    state, verdict, reason = _found(standing)
    return {
        "admin": standing.admin.state,
        "state": state,
        "verdict": verdict,
        "reason": reason,
        "published": member_name in given.published,
        "rule": given.rules.get(member_name, ""),
        "weight": entry.member.weight,
        "effective_weight": weight_of(pool, entry),
        "share": float(given.shares.get(member_name, 0)),
        "share_of": given.share_of,
        "tier": entry.member.tier,
        "group": entry.member.group,
        "addresses": [str(address) for address in entry.member.addresses],
        "since": rfc3339(standing.health.since),
        "last_probe": rfc3339(standing.health.last_probe),
        "latency_ms": _milliseconds(standing.health.latency_ms),
        "smoothed_ms": _milliseconds(standing.health.smoothed_ms),
        "warnings": sorted(standing.warnings),
        "certificate": None if standing.tls is None else _certificate_json(standing.tls),
        "admin_weight": standing.admin.weight,
        "admin_reason": standing.admin.reason,
        "admin_who": standing.admin.who,
        "admin_since": rfc3339(standing.admin.since or None),
        "drain": _drain_json(view, pool, entry),
        "window": _window_of(view, (pool.name, member_name)),
    }


def _found(standing: Standing) -> tuple[State, Verdict, str]:
    """Return what probes say: a member that is up, and slow beside the others of its pool, is degraded."""
    health, portion = standing.health, standing.portion
    if health.state is State.UP and portion.slow:
        return State.DEGRADED, Verdict.SLOW, portion.why
    return health.state, health.verdict, health.reason


def _milliseconds(latency: float | None) -> float | None:
    return None if latency is None else round(latency, 3)


def _certificate_json(tls: TlsFacts) -> dict[str, Any] | None:
    certificate = tls.certificate
    if certificate is None:
        return None
    return {
        "names": list(certificate.names),
        "not_after": rfc3339(certificate.not_after),
        "key_hash": certificate.key_hash,
        "trusted": tls.trusted,
        "problem": tls.problem,
    }


def weight_of(pool: Pool, entry: Entry) -> float:
    """Return the weight that counts now."""
    return entry.candidate().effective_weight(pool.policy)


def _drain_json(view: View, pool: Pool, entry: Entry) -> dict[str, Any] | None:
    """Return how far a member that people have taken out has come, drained or in maintenance: both are stopped then.

    A queue is not known: a mail server does not tell its clients.
    """
    if entry.standing.admin.state is AdminState.READY:
        return None
    countdown = view.farewells.countdown((pool.name, entry.member.name), pool.client_reuse)
    return {
        "since": rfc3339(entry.standing.admin.since or None),
        "last_answer": rfc3339(countdown.last_answer),
        "caches_expire": rfc3339(countdown.caches_expire),
        "clients_expire": rfc3339(countdown.clients_expire),
        "queue": None,
        "safe_to_stop": countdown.safe_to_stop,
    }


def _window_of(view: View, key: Key) -> dict[str, Any] | None:
    window = view.window(key)
    return None if window is None else window_json(window) | {"held": view.held_window(window)}


def window_json(window: Window) -> dict[str, Any]:
    """Return a planned drain."""
    return {
        "begin": rfc3339(window.begin),
        "end": rfc3339(window.end),
        "reason": window.reason,
        "who": window.who,
        "state": "running" if window.begun else "announced",
        "forced": window.forced,
    }


def remains_json(left: Remains) -> dict[str, Any]:
    """Return what a member leaves of its pool."""
    return {
        "members": left.members,
        "of": left.of,
        "weight": left.weight,
        "healthy_weight": left.healthy,
        "total_weight": left.total,
        "percent": round(left.percent, 2),
        "min_healthy": left.least,
        "out": dict(left.out),
        "come_back": list(left.back),
        "enough": left.enough,
    }


def _pool_json(view: View, pool: Pool) -> dict[str, Any]:
    selection, given = view.selections[pool.name], _given(view, pool.name)
    return {
        "policy": pool.policy,
        "panic": selection.panic,
        "panic_reason": selection.panic_reason,
        "suspect": selection.suspect,
        "held_until": rfc3339(view.held_until(pool.name)),
        "healthy_weight": selection.healthy_weight,
        "total_weight": selection.total_weight,
        "members": {
            entry.member.name: _member_json(view, pool, entry, given) for entry in view.roster.entries(pool.name)
        },
    }


def pool_shares(view: View, pool: str) -> dict[str, Fraction]:
    """Return each published member's share: that of the pool's first service, or by weight where there is none."""
    selection = view.selections[pool]
    service = _first_service(view, pool)
    if service is not None:
        return service_shares(service, selection)
    return tier_shares(selection, 1)


def share_of(view: View, pool: str) -> str:
    """Return the name of the service whose shares are shown as the pool's, "" if it has none."""
    service = _first_service(view, pool)
    return "" if service is None else name.to_text(service.name)


def _first_service(view: View, pool: str) -> Service | None:
    return next((service for service in view.services if service.pool == pool), None)


def service_keys(services: Iterable[Service]) -> Iterable[str]:
    """Return each service's name; a second one of a name has its type behind it, and one for a view that view too."""
    keys: dict[str, None] = {}
    for service in services:
        key = name.to_text(service.name)
        if service.view:
            key = f"{key} {service.type} {service.view}"
        elif key in keys:
            key = f"{key} {service.type}"
        keys[key] = None
    return keys


def services_json(view: View) -> dict[str, Any]:
    """Return all services, by their keys."""
    found: dict[str, Any] = {}
    for key, service in zip(service_keys(view.services), view.services, strict=True):
        by_member = service_shares(service, view.selections[service.pool])
        found[key] = {
            "type": service.type,
            "view": service.view,
            "pool": service.pool,
            "ttl": service.ttl_now(view.selections[service.pool]),
            "ttl_min": service.ttl.min,
            "ttl_max": service.ttl.max,
            "records": service.records or "all",
            "zone": name.to_text(service.zone),
            "shares": {member: float(share) for member, share in by_member.items()},
        }
    return found


def reading(view: View, generation: int, counters: Iterable[Mapping[str, Sequence[int]]]) -> Reading:
    """Return what metrics show beside what they count themselves.

    It is read in another thread: in the instant of a reload a pool may have no selection yet.
    """
    queries: Counter[tuple[str, str, str]] = Counter()
    every = [(protocol, slots) for by_protocol in counters for protocol, slots in by_protocol.items()]
    for protocol, slots in every:
        _count_queries(protocol, slots, queries)
    read = [slots for _, slots in every]
    drops, limited, closed = (
        _sum(labels, read) for labels in (tally.dropped_labels(), tally.limited_labels(), tally.closed_labels())
    )
    pools = {pool.name: _pool_reading(view, pool) for pool in view.pools.values() if pool.name in view.selections}
    return Reading(queries, drops, generation, pools, limited=limited, closed=closed)


def rcodes_json(counters: Iterable[Mapping[str, Sequence[int]]]) -> dict[str, int]:
    """Return how many answers there were with each response code that has been given; all workers, UDP and TCP."""
    read = [slots for by_protocol in counters for slots in by_protocol.values()]
    labels = ((slot, rcode) for slot, _qtype, rcode in tally.answered_labels())
    found: Counter[str] = Counter()
    for slot, rcode in labels:
        found[rcode] += sum(slots[slot] for slots in read)
    return dict(+found)


def _count_queries(protocol: str, slots: Sequence[int], queries: Counter[tuple[str, str, str]]) -> None:
    for slot, qtype, rcode in tally.answered_labels():
        if slots[slot]:
            queries[protocol, qtype, rcode] += slots[slot]


def _sum(labels: Iterable[tuple[int, str]], read: Sequence[Sequence[int]]) -> dict[str, int]:
    """Return what all have counted under each label."""
    return {label: sum(slots[slot] for slots in read) for slot, label in labels}


def _pool_reading(view: View, pool: Pool) -> PoolReading:
    selection = view.selections[pool.name]
    published = {choice.member.name for choice in selection.published}
    share = pool_shares(view, pool.name)
    members = {
        entry.member.name: MemberReading(
            up=entry.standing.health.state is State.UP,
            published=entry.member.name in published,
            share=float(share.get(entry.member.name, 0)),
            weight=weight_of(pool, entry),
            state=entry.standing.health.state.value,
            admin=entry.standing.admin.state.value,
            certificate_expires=_expiry(entry.standing.tls),
        )
        for entry in view.roster.entries(pool.name)
    }
    return PoolReading(selection.panic, members)


def _expiry(tls: TlsFacts | None) -> float | None:
    return None if tls is None or tls.certificate is None else tls.certificate.not_after
