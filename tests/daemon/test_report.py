"""What the status says of members whose weight, tier or group is not counted as configured."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from dnslb.answer.service import ServiceType
from dnslb.daemon.report import View, pools_json, service_keys, services_json
from dnslb.daemon.roster import Entry, Roster, Standing
from dnslb.pool.admin import Admin
from dnslb.pool.health import Health, State, Thresholds, Verdict
from dnslb.pool.member import Policy, Pool
from dnslb.pool.portion import WHOLE, Pace, portion_of
from dnslb.pool.rendezvous import source_shares
from dnslb.pool.selection import Candidate, select
from tests.conftest import member, pool, service

_WELL = Health(State.UP, Verdict.OK)
_DOWN = Standing(Admin(), Health(State.DOWN, Verdict.REFUSED))


def _told(of: Pool, **standings: Standing) -> dict[str, Any]:
    """Return the status of a pool; members that are not spoken of are up."""
    entries = {
        (of.name, one.name): Entry(one, Thresholds(1, 1, 10), standings.get(one.name, Standing(Admin(), _WELL)))
        for one in of.members
    }
    roster = Roster(entries)
    selections = {of.name: select(of, roster.candidates(of.name), frozenset())}
    found: dict[str, Any] = pools_json(View({of.name: of}, (), roster, selections))[of.name]
    return found


def test_who_is_outrun_is_up() -> None:
    """The policy gives it less, and nothing is wrong with it."""
    greeting = Health(State.UP, Verdict.OK, smoothed_ms=180.0)
    standing = Standing(Admin(), greeting, portion_of(greeting, Pace(40.0, 40.0), 0.0, 0.0, WHOLE))
    found = _told(pool(member("mx1", weight=50), member("mx2", weight=50), policy=Policy.LATENCY), mx2=standing)
    mx2 = found["members"]["mx2"]
    assert (mx2["state"], mx2["verdict"], mx2["weight"], mx2["effective_weight"]) == ("up", "ok", 50, 12.5)
    assert mx2["rule"] == "up, with 25 % of its weight (it greets after 180 ms, the fastest after 40 ms)"
    assert (found["healthy_weight"], found["members"]["mx1"]["share"], mx2["share"]) == (100, 0.8, 0.2)


def test_shares_of_a_source_hash_pool_are_those_of_networks() -> None:
    """They are counted in the ring, and so are not quite the weights."""
    found = _told(pool(member("mx1", weight=3), member("mx2", weight=1), policy=Policy.SOURCE_HASH))
    shares = [facts["share"] for facts in found["members"].values()]
    assert shares == list(map(float, source_shares(["mx1", "mx2"], [3, 1], 1)))
    assert (found["policy"], sum(shares), shares != [0.75, 0.25]) == ("source-hash", 1, True)


def test_shares_of_a_pool_are_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not again for each member: with thousands of them the loop, and whoever has asked, would wait."""
    asked: list[str] = []

    def counted(_view: View, name: str) -> dict[str, Fraction]:
        asked.append(name)
        return {}

    monkeypatch.setattr("dnslb.daemon.report.pool_shares", counted)
    _told(pool(*(member(f"mx{number}") for number in range(10)), name="inbound"))
    assert asked == ["inbound"]


def test_the_tier_that_is_shown_is_the_configured_one() -> None:
    """The share and the rule say that it has joined a better one."""
    found = _told(pool(member("mx1"), member("mx2"), member("spare", tier=2), tier_min=2), mx2=_DOWN)
    spare = found["members"]["spare"]
    assert (spare["tier"], spare["share"], spare["published"]) == (2, 0.5, True)
    assert spare["rule"] == "up, joins tier 1 because fewer than 2 of it are published (tier_min)"


def test_healthy_weight_counts_a_group_as_a_whole() -> None:
    """What is shown beside PANIC is what `min_healthy` is held against."""
    of = pool(member("mx1", group="r1"), member("mx2", group="r1"), member("mx3"), min_healthy=0.5)
    for down, healthy, panic in ((("mx1",), 3, False), (("mx1", "mx2"), 1, True)):
        found = _told(of, **dict.fromkeys(down, _DOWN))
        assert (found["healthy_weight"], found["total_weight"], found["panic"]) == (healthy, 3, panic)
        assert found["panic_reason"] == ("healthy weight 1 of 3" if panic else "")
        assert [facts["group"] for facts in found["members"].values()] == ["r1", "r1", ""]


def test_each_service_has_a_key_of_its_own() -> None:
    """The name alone for the first, then with the type, and with the view if it is for one."""
    mx = service("mx.lb.test", kind=ServiceType.MX)
    address = service("mx.lb.test")
    views = [replace(address, view=view) for view in ("internal", "partners")]
    assert list(service_keys([address, mx, *views, service("relay.lb.test")])) == [
        "mx.lb.test",
        "mx.lb.test MX",
        "mx.lb.test address internal",
        "mx.lb.test address partners",
        "relay.lb.test",
    ]


def test_a_service_says_whose_it_is() -> None:
    """The view of its clients, or nothing for all others; that two have one name hides none of them."""
    of = pool(member("mx1"))
    selections = {of.name: select(of, [Candidate(of.members[0], Admin(), _WELL)], frozenset())}
    services = (service(view="dmz"), service())
    found = services_json(View({of.name: of}, services, Roster({}), selections))
    assert {key: facts["view"] for key, facts in found.items()} == {"mx.lb.test address dmz": "dmz", "mx.lb.test": ""}


def test_a_weight_of_people_stands_beside_the_configured_one() -> None:
    """Null says that nobody has set one."""
    of = pool(member("mx1", weight=50), member("mx2", weight=50))
    members = _told(of, mx1=Standing(Admin(weight=7), _WELL))["members"]
    found = [(facts["weight"], facts["admin_weight"], facts["effective_weight"]) for facts in members.values()]
    assert found == [(50, 7, 7), (50, None, 50)]
