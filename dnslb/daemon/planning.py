"""What a plan would change: the facts of status now, and after changes that are made to copies only. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from typing import Any

from dnslb.daemon import report
from dnslb.daemon.report import View
from dnslb.pool.member import Pool
from dnslb.pool.pace import weighed
from dnslb.pool.planned import Planned, changed
from dnslb.pool.selection import Candidate, select

_Candidates = Mapping[str, Sequence[Candidate]]


def plan_json(view: View, changes: Sequence[Planned], now: float) -> dict[str, Any]:
    """Return the object of `dnslb plan --json`.

    The changes are of pools and members that there are, or that they add. `now` is Unix time.
    """
    before: _Candidates = {pool: view.roster.candidates(pool) for pool in view.pools}
    planned = {pool: _weighed(view.pools[pool], before[pool], theirs, now) for pool, theirs in _by_pool(changes)}
    then: _Candidates = {**before, **planned}
    touched = [pool for pool in view.pools if pool in planned]
    selections = {pool: select(view.pools[pool], then[pool], view.last_good(pool)) for pool in touched}
    after = replace(view, selections={**view.selections, **selections})
    return {
        "changes": [_change_json(change) for change in changes],
        "before": _pools_json(view, before),
        "after": _pools_json(after, then),
        "panics": [pool for pool in touched if after.selections[pool].panic and not view.selections[pool].panic],
    }


def _weighed(pool: Pool, before: Sequence[Candidate], changes: Sequence[Planned], now: float) -> tuple[Candidate, ...]:
    """Return a pool's members after the changes, with the weights that they have beside one another then."""
    after = changed(before, changes, now)
    moved = any(was.admin.state is not will.admin.state for was, will in zip(before, after, strict=False))
    return weighed(pool, after, now, anew=moved)


def _by_pool(changes: Iterable[Planned]) -> Iterable[tuple[str, list[Planned]]]:
    # Sorted by nothing else: the changes of a pool keep their order.
    for pool, theirs in groupby(sorted(changes, key=attrgetter("pool")), key=attrgetter("pool")):
        yield pool, list(theirs)


def _change_json(change: Planned) -> dict[str, Any]:
    return {
        "step": change.step,
        "pool": change.pool,
        "member": change.member,
        "weight": change.weight,
        "tier": change.tier,
    }


def _pools_json(view: View, candidates: _Candidates) -> dict[str, Any]:
    services = report.services_json(view)
    return {
        name: _pool_json(view, pool, candidates[name])
        | {"services": {key: _service_json(facts) for key, facts in services.items() if facts["pool"] == name}}
        for name, pool in view.pools.items()
    }


def _service_json(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: facts[key] for key in ("type", "view", "ttl", "ttl_max", "shares")}


def _pool_json(view: View, pool: Pool, candidates: Iterable[Candidate]) -> dict[str, Any]:
    selection = view.selections[pool.name]
    published = {choice.member.name for choice in selection.published}
    shares = report.pool_shares(view, pool.name)
    return {
        "policy": pool.policy,
        "panic": selection.panic,
        "healthy_weight": selection.healthy_weight,
        "total_weight": selection.total_weight,
        "share_of": report.share_of(view, pool.name),
        "members": {
            candidate.member.name: {
                "published": candidate.member.name in published,
                "share": float(shares.get(candidate.member.name, 0)),
                "rule": selection.reasons.get(candidate.member.name, ""),
                "admin": candidate.admin.state,
                "state": candidate.health.state,
                "weight": candidate.member.weight,
                "effective_weight": candidate.effective_weight(pool.policy),
                "tier": candidate.member.tier,
            }
            for candidate in candidates
        },
    }
