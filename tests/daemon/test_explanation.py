"""The object of `dnslb explain --json`: members in or out with the rule, and what clients do."""

from dataclasses import replace
from typing import Any

import pytest

from dnslb.answer.compiler import Pools
from dnslb.answer.senders import client_of
from dnslb.answer.service import Preference, Service, ServiceType, Ttl
from dnslb.answer.views import Audience
from dnslb.answer.world import build
from dnslb.daemon.explanation import Question, explanation_json, find
from dnslb.daemon.report import View
from dnslb.daemon.roster import Entry, Roster, Standing
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Health, State, Thresholds, Verdict
from dnslb.pool.member import AllDown, Policy, Pool
from dnslb.pool.outlook import Outlook
from dnslb.pool.portion import Portion
from dnslb.pool.selection import select
from dnslb.wire.name import from_text
from dnslb.wire.rdata import type_number
from tests.conftest import audience, member, pool, service, zone

UP = Standing(Admin(), Health(State.UP, Verdict.OK))
TRIO = pool(
    member("mx1", "192.0.2.11", "2001:db8::11", weight=50),
    member("mx2", "192.0.2.12", weight=30),
    member("mx3", "192.0.2.13", weight=20),
    member("spare", "192.0.2.14", weight=7, tier=2),
)
SERVICES = (service(records=2), service("lb.test", ServiceType.MX, records=2), service("one.lb.test", records=1))


def told(
    text: str,
    of: Pool = TRIO,
    services: tuple[Service, ...] = SERVICES,
    views: Audience | None = None,
    **standings: Standing,
) -> dict[str, Any]:
    """Explain "NAME [TYPE [CLIENT]]"; members that are not spoken of are up."""
    name, rtype, client = [*text.split(), "", ""][:3]
    entries = {(of.name, one.name): Entry(one, Thresholds(1, 1, 10), standings.get(one.name, UP)) for one in of.members}
    roster, pools = Roster(entries), {of.name: of}
    chosen = {of.name: select(of, roster.candidates(of.name), frozenset())}
    world = build([zone("")], pools, services, views)
    question = Question(from_text(name), type_number(rtype) if rtype else None, client_of(client) if client else None)
    found = find(world, Pools(chosen, dict.fromkeys(world.zones, 1)), question)
    return explanation_json(View(pools, services, roster, chosen), question, found)


def test_the_contract_is_kept() -> None:
    """Names and types of what scripts read."""
    found = told("mx.lb.test")
    assert {key: found[key] for key in ("name", "type", "service", "pool", "ttl", "records", "zone")} == {
        "name": "mx.lb.test",
        "type": "address",
        "service": "mx.lb.test",
        "pool": "inbound",
        "ttl": 30,
        "records": 2,
        "zone": "lb.test",
    }
    assert set(found["members"]["mx1"]) >= {
        *("in", "rule", "share", "admin", "state", "verdict", "weight", "effective_weight", "tier"),
    }
    assert set(found["clients"]) == {"postfix", "exim", "opensmtpd", "getaddrinfo"}
    assert found["client"] is None
    assert (told("lb.test")["type"], told("mx.lb.test AAAA")["type"]) == ("MX", "AAAA")


def test_the_variants_in_rotation_are_counted_by_what_they_hold() -> None:
    """Each type by itself; of ranked MX records by who is preferred, for all of them name all members."""
    four, six = told("mx.lb.test")["answers"]
    counted = {tuple(each["members"]): each["part"] for each in four["rotation"]}
    assert counted == {("mx1", "mx2"): 0.6, ("mx1", "mx3"): 0.4}
    assert six["rotation"] == [{"first": ("mx1",), "members": ("mx1",), "part": 1}]
    ranked = told("lb.test", services=(service("lb.test", ServiceType.MX),))["answers"][0]["rotation"]
    assert [(each["first"], each["part"]) for each in ranked] == [(("mx1",), 0.5), (("mx2",), 0.3), (("mx3",), 0.2)]
    assert {each["members"] for each in ranked} == {("mx1", "mx2", "mx3", "spare")}
    assert told("ns.lb.test A")["answers"][0]["rotation"] == []


@pytest.mark.parametrize(
    ("ttl", "outlook", "told_of"),
    [
        (30, None, (30, 30, 30, "as configured")),
        (Ttl(10, 120), None, (120, 10, 120, "no change is seen coming")),
        (Ttl(10, 120), Outlook(3, "fails, and is being confirmed"), (10, 10, 120, "mx2 fails, and is being confirmed")),
        (Ttl(10, 120), Outlook(45, "is about to be drained"), (30, 10, 120, "mx2 is about to be drained")),
        (Ttl(10, 60), Outlook(60, "is about to be drained"), (60, 10, 60, "no change is seen coming")),
    ],
)
def test_the_ttl_has_its_reason(ttl: int | Ttl, outlook: Outlook | None, told_of: tuple[int, int, int, str]) -> None:
    """The member whose change is nearest, and what is the matter with it; far enough away it is no reason."""
    found = told("relay.lb.test", services=(service("relay.lb.test", ttl=ttl),), mx2=replace(UP, outlook=outlook))
    assert (found["ttl"], found["ttl_min"], found["ttl_max"], found["ttl_why"]) == told_of


def test_what_is_no_service_has_a_ttl_alone() -> None:
    """Nobody has to explain a number of the zone file."""
    found = told("ns.lb.test A")
    assert (found["ttl_min"], found["ttl_max"], found["ttl_why"]) == (None, None, "")


def test_members_are_in_or_out_by_a_rule() -> None:
    """Down, drained, of a worse tier: each says so, and those that are in have their shares of this service."""
    found = told(
        "one.lb.test A",
        mx2=Standing(Admin(AdminState.DRAIN, reason="kernel", who="ann"), UP.health),
        mx3=Standing(Admin(), Health(State.DOWN, Verdict.REFUSED)),
    )["members"]
    assert {name: (facts["in"], facts["rule"]) for name, facts in found.items()} == {
        "mx1": (True, "up"),
        "mx2": (False, "not published: drained by ann: kernel"),
        "mx3": (False, "not published: down (refused)"),
        "spare": (False, "published, but not here: an address answer holds tier 1, and it is of tier 2"),
    }
    assert (found["mx1"]["share"], found["spare"]["share"]) == (1.0, 0.0)


def test_a_tier_that_joins_is_in_and_the_next_one_is_not() -> None:
    """Which tiers an answer holds is what the selection says, not what is configured."""
    of = pool(*TRIO.members, member("last", "192.0.2.15", tier=3), tier_min=2)
    down = Standing(Admin(), Health(State.DOWN, Verdict.REFUSED))
    found = told("mx.lb.test A", of, mx2=down, mx3=down)["members"]
    assert found["spare"]["rule"] == "up, joins tier 1 because fewer than 2 of it are published (tier_min)"
    assert (found["spare"]["in"], found["spare"]["tier"], found["spare"]["share"]) == (True, 2, 0.5)
    assert (
        found["last"]["rule"] == "published, but not here: an address answer holds tiers 1 and 2, and it is of tier 3"
    )


def test_a_member_of_k_is_in_so_many_of_the_answers() -> None:
    """50:30:20 with k = 2: all, three fifths and two fifths; shares are half of that."""
    found = told("mx.lb.test A")["members"]
    assert {name: facts["share"] for name, facts in found.items()} == {"mx1": 0.5, "mx2": 0.3, "mx3": 0.2, "spare": 0}
    assert [round(found[name]["in_answers"], 1) for name in TRIO_NAMES] == [1.0, 0.6, 0.4, 0.0]


TRIO_NAMES = [one.name for one in TRIO.members]


def test_a_family_leaves_members_out() -> None:
    """In the answer to AAAA is who has such an address."""
    found = told("mx.lb.test AAAA")["members"]
    assert [found[name]["in"] for name in TRIO_NAMES] == [True, False, False, False]
    assert found["mx2"]["rule"] == "published, but not here: it has no address for AAAA"


def test_an_mx_answer_of_k_leaves_worse_tiers_out() -> None:
    """They are published, and have no place."""
    spare = told("lb.test MX")["members"]["spare"]
    assert (spare["published"], spare["in"]) == (True, False)
    assert spare["rule"] == "published, but not here: an answer holds 2 members, and better ones fill it"


def test_a_weight_too_small_for_the_ring_is_said_so() -> None:
    """Nobody wonders why a member with a weight gets nothing."""
    many = [member(f"m{n}", f"192.0.2.{n}", weight=1) for n in range(1, 65)]
    of = pool(*many, member("huge", "192.0.2.99", weight=65535))
    found = told("one.lb.test A", of)["members"]
    rules = {facts["rule"] for facts in found.values() if not facts["in"]}
    assert rules == {"published, but not here: its weight is too small for a place in the ring"}


def test_a_portion_is_shown_with_its_reason() -> None:
    """A slow start is why a member has less than its weight."""
    found = told("lb.test MX", mx2=Standing(Admin(), UP.health, Portion(10, "slow start")))["members"]["mx2"]
    assert found["portion"] == {"percent": 10, "why": "slow start"}
    assert (found["weight"], found["effective_weight"]) == (30, 3)
    assert found["rule"] == "up, with 10 % of its weight (slow start)"


def test_clients_have_their_first_choices() -> None:
    """Of both families, whatever was asked: IPv6 on one member alone draws Exim and getaddrinfo to it."""
    for text in ("one.lb.test", "one.lb.test A"):
        found = told(text)["clients"]
        assert found["exim"]["first"] == found["getaddrinfo"]["first"] == {"mx1": 1.0}
        assert (found["postfix"]["tries"], found["postfix"]["addresses"]) == (2, 2)
    assert told("lb.test MX")["clients"]["getaddrinfo"]["asks"] is False


def test_a_client_of_the_same_subnet_is_warned_of() -> None:
    """`--client` changes what is said of it, and nothing of the answer."""
    near, far = told("mx.lb.test A 192.0.2.15"), told("mx.lb.test A 198.51.100.7")
    assert near["client"] == {"address": "192.0.2.15", "subnet": "192.0.2.0/24", "view_source": None, "source": None}
    assert near["clients"]["getaddrinfo"]["note"].startswith("closeness to 192.0.2.15 decides")
    assert far["clients"]["getaddrinfo"]["note"] == ""
    assert near["answers"] == far["answers"]
    assert near["members"] == far["members"]


def test_a_client_of_a_source_hash_pool_has_members_of_its_own() -> None:
    """The answer, who is in it, and what senders do with it are this client's; shares are those of all."""
    by_source = replace(TRIO, policy=Policy.SOURCE_HASH)
    anybody = told("one.lb.test", by_source)
    assert [(answer["by_source"], answer["variants"]) for answer in anybody["answers"]] == [(True, 3), (True, 1)]
    assert sum(facts["in_answers"] for facts in told("one.lb.test A", by_source)["members"].values()) == 1
    assert set(anybody["clients"]["postfix"]["first"]) == {"mx1", "mx2", "mx3"}
    for host in ("192.0.2.7", "198.51.100.7", "203.0.113.7", "2001:db8::7"):
        found = told(f"one.lb.test A {host}", by_source)
        (mine,) = found["client"]["source"]["first"]
        others = {"mx1", "mx2", "mx3"} - {mine}
        assert [name for name, facts in found["members"].items() if facts["in"]] == [mine]
        assert found["answers"][0]["answer"] == [f"one.lb.test. 30 A {found['members'][mine]['addresses'][0]}"]
        assert {found["members"][name]["rule"] for name in others} == {
            "published, but not for this client: its network is led to others"
        }
        assert {name: facts["share"] for name, facts in found["members"].items()} == {
            name: facts["share"] for name, facts in anybody["members"].items()
        }
        first = found["clients"]["postfix"]["first"]
        assert (mine in first, sum(first.values())) == (True, 1)


def test_a_client_is_told_its_ranking() -> None:
    """Of ranked records one is first, of equal ones any; SRV records lead all clients alike."""
    by_source = replace(TRIO, policy=Policy.SOURCE_HASH)
    equal = service("equal.lb.test", ServiceType.MX, preference=Preference.EQUAL)
    services = (service("lb.test", ServiceType.MX), equal, service("srv.lb.test", ServiceType.SRV))
    found = told("lb.test MX 192.0.2.7", by_source, services)
    ranked = found["client"]["source"]
    assert ranked["network"] == "192.0.2.0/24"
    order = [line.split()[4].partition(".")[0] for line in found["answers"][0]["answer"]]
    assert [*ranked["first"], *ranked["then"]] == order
    assert (len(ranked["first"]), ranked["then"][-1]) == (1, "spare")
    assert found["clients"]["postfix"]["first"] == {ranked["first"][0]: 1}
    any_of = told("equal.lb.test MX 2001:db8::7", by_source, services)["client"]["source"]
    assert (any_of["network"], set(any_of["first"]), any_of["then"]) == (
        "2001:db8::/56",
        {"mx1", "mx2", "mx3"},
        ("spare",),
    )
    assert told("srv.lb.test SRV 192.0.2.7", by_source, services)["client"]["source"] is None


def test_a_client_gets_the_answer_of_its_view() -> None:
    """With the network that decides it, the service and the addresses; without a client it is what all others get."""
    seen = pool(
        member("mx1", "192.0.2.11", "2001:db8::11", seen={"internal": "10.0.0.11"}), member("mx2", "192.0.2.12")
    )
    services = (service(records=2), service(records=1, ttl=5, view="dmz"))
    views = audience(internal="10.0.0.0/8 fd00::/8", dmz="10.200.0.0/16")
    found = {
        client: told(f"mx.lb.test A {client}", seen, services, views)
        for client in ("192.0.2.7", "10.0.0.7", "10.200.0.7", "")
    }
    assert {client: (each["view"], each["other_views"], each["ttl"]) for client, each in found.items()} == {
        "192.0.2.7": ("", ["internal", "dmz"], 30),
        "10.0.0.7": ("internal", ["dmz"], 30),
        "10.200.0.7": ("dmz", ["internal"], 5),
        "": ("", ["internal", "dmz"], 30),
    }
    sources = [each["client"]["view_source"] for client, each in found.items() if client]
    assert sources == [None, "10.0.0.0/8", "10.200.0.0/16"]
    assert {line.split()[-1] for line in found["10.0.0.7"]["answers"][0]["answer"]} == {"10.0.0.11", "192.0.2.12"}
    assert found["10.0.0.7"]["members"]["mx1"]["addresses"] == ["10.0.0.11"]
    assert (
        found["10.0.0.7"]["why"] == "a service of type address for clients of view internal, answered from pool inbound"
    )
    assert found[""]["why"] == "a service of type address, answered from pool inbound"
    assert told("mx.lb.test AAAA 10.0.0.7", seen, services, views)["members"]["mx1"]["rule"] == (
        "published, but not here: it has no address for AAAA"
    )
    assert told("ns.lb.test A 10.0.0.7", seen, services, views)["view"] == "internal"


def test_where_all_clients_are_in_views_one_of_them_stands_in() -> None:
    """A question without a client has an answer all the same, and says whose it is."""
    services = (service(records=1, view="low"), service(records=2, view="high"))
    views = audience(low="0.0.0.0/1 ::/1", high="128.0.0.0/1 8000::/1")
    assert told("mx.lb.test A", TRIO, services, views)["view"] == "low"
    assert told("mx.lb.test A 192.0.2.1", TRIO, services, views)["records"] == 2


def test_a_panic_is_told() -> None:
    """Members that are down are in, and the rule says why."""
    down = Standing(Admin(), Health(State.DOWN, Verdict.TIMEOUT))
    found = told("mx.lb.test A", mx1=down, mx2=down, mx3=down, spare=down)
    assert found["panic"] is True
    assert found["members"]["mx1"]["rule"] == "published: nothing better is left (down (timeout))"


def test_a_pool_that_is_silent_offers_nothing() -> None:
    """SERVFAIL: no member is in, no client has a choice, and no TTL is made up."""
    found = told(
        "mx.lb.test A", pool(member("mx1"), all_down=AllDown.SERVFAIL), mx1=Standing(Admin(), Health(State.DOWN))
    )
    assert (found["answers"][0]["rcode"], found["ttl"], found["members"]["mx1"]["in"]) == ("SERVFAIL", None, False)
    assert all(client["first"] == {} for client in found["clients"].values())


@pytest.mark.parametrize("text", ["mx1.lb.test", "lb.test NS", "nope.lb.test", "nope.test", "mx.lb.test MX"])
def test_what_is_no_service_has_no_members(text: str) -> None:
    """The reason and the answer are all that there is to say."""
    found = told(text)
    assert (found["service"], found["pool"], found["members"], found["clients"]) == (None, None, {}, {})
    assert found["why"]


def test_a_mistyped_name_gets_the_likely_service() -> None:
    """Where there is no such name only."""
    assert told("mxx.lb.test")["close"][0] == "mx.lb.test"
    assert told("mx.lb.tset")["close"][0] == "mx.lb.test"
    assert told("mx.lb.test MX")["close"] == []


def test_equal_preferences_are_those_of_the_service() -> None:
    """The service that answers decides, not the pool's first one."""
    services = (service(records=1), service("lb.test", ServiceType.MX, preference=Preference.EQUAL))
    found = told("lb.test MX", services=services)
    assert [found["members"][name]["share"] for name in TRIO_NAMES[:3]] == pytest.approx([1 / 3] * 3)
