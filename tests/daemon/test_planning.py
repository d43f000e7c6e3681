"""The object of `dnslb plan --json`: now, and after changes that are made to copies."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from dnslb.answer.service import Service, ServiceType, Ttl
from dnslb.daemon.planning import plan_json
from dnslb.daemon.report import View
from dnslb.daemon.roster import Entry, Roster, Standing
from dnslb.pool.admin import Admin
from dnslb.pool.health import Health, State, Thresholds
from dnslb.pool.member import AllDown, Policy, Pool
from dnslb.pool.outlook import Outlook
from dnslb.pool.planned import Planned, Step
from dnslb.pool.portion import Portion
from dnslb.pool.rendezvous import source_shares
from dnslb.pool.selection import select
from tests.conftest import member, pool, service

TRIO = (member("mx1", weight=50), member("mx2", weight=30), member("mx3", weight=20))
NOW = 1_000_000.0
OTHER = pool(member("out1"), name="outbound")


def view_of(*pools: Pool, services: Sequence[Service] = ()) -> View:
    """Return what is published of pools whose members are all up."""
    known = {one.name: one for one in pools}
    entries = {
        (one.name, each.name): Entry(each, Thresholds(1, 1, 10), Standing(Admin(), Health(State.UP)))
        for one in pools
        for each in one.members
    }
    roster = Roster(entries)
    selections = {name: select(one, roster.candidates(name), frozenset()) for name, one in known.items()}
    return View(known, services, roster, selections)


def planned(view: View, *changes: Planned, last_good: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the plan."""
    return plan_json(replace(view, last_good=lambda _pool: last_good), changes, NOW)


def shares(facts: dict[str, Any]) -> dict[str, float]:
    """Return the shares of the published members."""
    return {name: each["share"] for name, each in facts["members"].items() if each["published"]}


def drained(*names: str) -> list[Planned]:
    """Return the drain of members of the pool inbound."""
    return [Planned(Step.DRAIN, "inbound", name) for name in names]


def test_shares_are_told_for_now_and_after() -> None:
    """All pools are there, in full, and only what the plan touches is different."""
    view = view_of(pool(*TRIO), OTHER)
    found = planned(view, *drained("mx1"))
    assert shares(found["before"]["inbound"]) == {"mx1": 0.5, "mx2": 0.3, "mx3": 0.2}
    assert shares(found["after"]["inbound"]) == {"mx2": 0.6, "mx3": 0.4}
    out = found["after"]["inbound"]["members"]["mx1"]
    assert (out["published"], out["share"], out["rule"]) == (False, 0.0, "not published: drained")
    assert found["after"]["outbound"] == found["before"]["outbound"]
    assert found["panics"] == []


def test_a_plan_moves_the_networks_of_a_source_hash_pool() -> None:
    """Members that stay keep their networks, and share those of the one that leaves."""
    view = view_of(pool(*TRIO, policy=Policy.SOURCE_HASH), OTHER)
    found = planned(view, *drained("mx1"))
    before, after = shares(found["before"]["inbound"]), shares(found["after"]["inbound"])
    names, weights = [each.name for each in TRIO], [each.weight for each in TRIO]
    assert list(before.values()) == list(map(float, source_shares(names, weights, 1)))
    assert list(after.values()) == list(map(float, source_shares(names[1:], weights[1:], 1)))
    assert found["after"]["inbound"]["policy"] == "source-hash"


def test_a_plan_opens_tiers_by_need() -> None:
    """What a drain leaves is too few: the spare joins, beside the members that stay."""
    view = view_of(pool(*TRIO[:2], member("spare", weight=30, tier=2), tier_min=2))
    found = planned(view, *drained("mx1"))
    assert shares(found["before"]["inbound"]) == {"mx1": 0.625, "mx2": 0.375, "spare": 0.0}
    assert shares(found["after"]["inbound"]) == {"mx2": 0.5, "spare": 0.5}
    spare = found["after"]["inbound"]["members"]["spare"]
    assert (spare["tier"], spare["rule"][:17]) == (2, "up, joins tier 1 ")


def test_a_plan_counts_a_group_as_one() -> None:
    """A drain of one of two in a rack is no panic where both of them would be."""
    rack = [member(name, weight=30, group="r1") for name in ("mx1", "mx2")]
    view = view_of(pool(*rack, member("mx3", weight=40), min_healthy=0.5))
    assert planned(view, *drained("mx1"))["panics"] == []
    assert planned(view, *drained("mx1", "mx2"))["panics"] == ["inbound"]


def test_nothing_is_changed() -> None:
    """The daemon's own values are as they were: another plan begins where this one did."""
    view = view_of(pool(*TRIO))
    first = planned(view, *drained("mx1"), Planned(Step.WEIGHT, "inbound", "mx2", 1))
    assert planned(view, *drained("mx1"), Planned(Step.WEIGHT, "inbound", "mx2", 1)) == first
    assert view.roster.admins() == {("inbound", each.name): Admin() for each in TRIO}


@pytest.mark.parametrize(("names", "panics"), [(["mx2"], []), (["mx1", "mx2"], ["inbound"])])
def test_a_panic_that_the_plan_would_cause_is_named(names: list[str], panics: list[str]) -> None:
    """Below `min_healthy`, that is: two drains together are one plan."""
    found = planned(view_of(pool(*TRIO, min_healthy=0.5), OTHER), *drained(*names))
    assert found["panics"] == panics
    assert found["after"]["inbound"]["panic"] is bool(panics)
    assert (found["after"]["inbound"]["healthy_weight"], found["after"]["inbound"]["total_weight"]) == (
        100 - sum(each.weight for each in TRIO if each.name in names),
        100,
    )


def test_a_panic_that_there_is_already_is_not_the_plans() -> None:
    """The exit status is about what the plan does."""
    view = view_of(pool(*TRIO, min_healthy=0.5))
    for name in ("mx1", "mx2"):
        entry = view.roster.get("inbound", name)
        assert entry is not None
        entry.standing.health = Health(State.DOWN)
    of = view.pools["inbound"]
    panicking = View(
        view.pools, (), view.roster, {"inbound": select(of, view.roster.candidates("inbound"), frozenset())}
    )
    found = planned(panicking, *drained("mx3"))
    assert (found["before"]["inbound"]["panic"], found["after"]["inbound"]["panic"]) == (True, True)
    assert found["panics"] == []


def test_services_have_their_shares_and_ttl_now_and_after() -> None:
    """An address answer of two members halves what an MX ranking divides by weight."""
    services = (service(records=2, ttl=20), service("lb.test", ServiceType.MX, ttl=40))
    found = planned(view_of(pool(*TRIO), services=services), *drained("mx3"))
    assert found["after"]["inbound"]["services"] == {
        "mx.lb.test": {"type": "address", "view": "", "ttl": 20, "ttl_max": 20, "shares": {"mx1": 0.5, "mx2": 0.5}},
        "lb.test": {"type": "MX", "view": "", "ttl": 40, "ttl_max": 40, "shares": {"mx1": 0.625, "mx2": 0.375}},
    }
    assert found["before"]["inbound"]["services"]["lb.test"]["shares"] == {"mx1": 0.5, "mx2": 0.3, "mx3": 0.2}
    assert found["after"]["inbound"]["share_of"] == "mx.lb.test"


def test_the_ttl_after_is_that_of_the_members_left() -> None:
    """Without the member that fails no change is near; one that would be dead is no more about to die."""
    view = view_of(pool(*TRIO), services=(service(ttl=Ttl(10, 120)),))
    entry = view.roster.get("inbound", "mx3")
    assert entry is not None
    entry.standing.outlook = Outlook(3, "fails, and is being confirmed")
    candidates = view.roster.candidates("inbound")
    view = replace(view, selections={"inbound": select(view.pools["inbound"], candidates, frozenset())})
    for step in (Step.DRAIN, Step.DOWN, Step.MAINT):
        found = planned(view, Planned(step, "inbound", "mx3"))
        services = [found[when]["inbound"]["services"]["mx.lb.test"] for when in ("before", "after")]
        assert [(facts["ttl"], facts["ttl_max"]) for facts in services] == [(10, 120), (120, 120)]


def test_a_new_member_stands_in_after_only() -> None:
    """With the share that it would get."""
    found = planned(view_of(pool(*TRIO)), Planned(Step.ADD, "inbound", "mx4", 100))
    assert "mx4" not in found["before"]["inbound"]["members"]
    assert shares(found["after"]["inbound"])["mx4"] == 0.5
    assert found["changes"] == [{"step": "add", "pool": "inbound", "member": "mx4", "weight": 100, "tier": 1}]


def test_the_last_good_members_are_known_to_a_plan() -> None:
    """A pool that would keep them is told to."""
    found = planned(
        view_of(pool(*TRIO, all_down=AllDown.LAST_GOOD)),
        *(Planned(Step.DOWN, "inbound", each.name) for each in TRIO),
        last_good=frozenset({"mx2"}),
    )
    assert shares(found["after"]["inbound"]) == {"mx2": 1.0}
    assert found["panics"] == ["inbound"]


def test_the_shares_of_a_plan_are_those_that_last() -> None:
    """With the policy latency the others count beside the fastest of those who are left, and the words say so."""
    view = view_of(pool(*TRIO, policy=Policy.LATENCY))
    for (_, name), entry in view.roster.items():
        ms = {"mx1": 40.0, "mx2": 80.0, "mx3": 160.0}[name]
        entry.standing.health = Health(State.UP, smoothed_ms=ms)
        why = f"it greets after {ms:.0f} ms, the fastest after 40 ms"
        entry.standing.portion = Portion() if name == "mx1" else Portion(int(4000 / ms), why, outrun=True)
    found = planned(view, *drained("mx1"))["after"]["inbound"]
    assert shares(found) == {"mx2": 0.75, "mx3": 0.25}
    assert (
        found["members"]["mx3"]["rule"]
        == "up, with 50 % of its weight (it greets after 160 ms, the fastest after 80 ms)"
    )
