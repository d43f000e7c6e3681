"""The part of the status that says why shares are off."""

from dataclasses import replace
from ipaddress import IPv4Network

from dnslb.answer.service import Service, ServiceType
from dnslb.answer.sketch import Entry, Summary
from dnslb.answer.views import Audience
from dnslb.daemon.concentration import ENOUGH, resolvers_json, resolvers_reading
from dnslb.metrics import ResolversReading
from tests.conftest import member, pool, service
from tests.daemon.test_planning import view_of

_POOL = pool(*(member(f"mx{n}", f"192.0.2.{n}", weight=weight) for n, weight in enumerate((5, 3, 1, 1), 1)))
_V4, _V6 = bytes([192, 0, 2]), bytes.fromhex("20010db8000001")
_SEEN = Summary(900.0, 1200.0, 600.0, 1000.0, 10.0, (Entry(_V4, 600, 0), Entry(_V6, 390, 10)))


def _json(summary: Summary, *services: Service) -> dict[str, object]:
    return resolvers_json(summary, view_of(_POOL, services=services))


def test_it_says_who_asks_and_what_that_means() -> None:
    """Networks as people write them, each with how sure that is, and the error by service at the TTL of now."""
    found = _json(_SEEN, service(records=1, ttl=60), service(kind=ServiceType.SRV, ttl=5))
    errors = found.pop("expected_share_error")
    assert found == {
        "queries_seen": 1000,
        "window_s": 600.0,
        "enough": True,
        "prefixes_at_least": 2,
        "uncounted_at_most": 0.01,
        "largest": [
            {"prefix": "192.0.2.0/24", "share": 0.6, "at_most_off_by": 0.0},
            {"prefix": "2001:db8:0:100::/56", "share": 0.39, "at_most_off_by": 0.01},
        ],
        "effective": 1.98,
    }
    assert isinstance(errors, dict)
    one, other = errors.values()
    assert (one["ttl"], one["worst_member"]) == (60, "mx1")
    assert 0.01 < one["after_15m"] < 0.05
    assert (other["ttl"], other["after_15m"]) == (5, 0.0)


def test_a_service_is_looked_at_with_those_whom_it_is_for() -> None:
    """Networks count for their view, and for the others where nothing is for that view; one is all if it is alone."""
    everybody, one_only = service(records=1, ttl=60), service("relay.lb.test", records=1, ttl=60)
    internal = replace(everybody, view="internal")
    nobody = replace(one_only, name=b"\x01x\x00", view="other")
    entries = tuple(Entry(bytes([10, 0, n]), 50, 0) for n in range(10))
    summary = Summary(900.0, 1200.0, 600.0, 1000.0, 0.0, (Entry(_V4, 500, 0), *entries))
    audience = Audience({"internal": (IPv4Network("192.0.2.0/25"),), "other": (IPv4Network("203.0.113.0/24"),)})
    services = (everybody, internal, one_only, nobody)
    found = resolvers_json(summary, view_of(_POOL, services=services), audience)
    errors = {key: facts["after_15m"] for key, facts in found["expected_share_error"].items()}
    everybody_s, inside, only = "mx.lb.test", "mx.lb.test address internal", "relay.lb.test"
    assert list(errors) == [everybody_s, inside, only]
    alone = _json(Summary(900.0, 1200.0, 600.0, 1000.0, 0.0, (Entry(_V4, 1000, 0),)), everybody)
    assert isinstance(alone["expected_share_error"], dict)
    assert errors[inside] == alone["expected_share_error"]["mx.lb.test"]["after_15m"]
    assert errors[everybody_s] < errors[only] < errors[inside]


def test_several_workers_for_one_client_make_it_worse() -> None:
    """Where the kernel does not steer queries by their source, each worker has turns of its own for it."""
    view = view_of(_POOL, services=[service(records=1, ttl=60)])
    one, two = (resolvers_json(_SEEN, view, walks=walks)["expected_share_error"]["mx.lb.test"] for walks in (1, 2))
    assert one["after_15m"] < two["after_15m"]


def test_too_few_queries_say_nothing_of_shares() -> None:
    """Who asked is shown all the same."""
    few = Summary(10.0, 605.0, 5.0, ENOUGH - 1, 0.0, (Entry(_V4, ENOUGH - 1, 0),))
    found = _json(few, service(records=1))
    assert (found["enough"], found["expected_share_error"], found["effective"]) == (False, {}, 1.0)
    assert found["largest"] == [{"prefix": "192.0.2.0/24", "share": 1.0, "at_most_off_by": 0.0}]


def test_before_the_first_query() -> None:
    """All is there, and empty."""
    found = _json(Summary(), service(records=1))
    assert (found["queries_seen"], found["largest"], found["effective"], found["enough"]) == (0, [], None, False)
    assert resolvers_reading(Summary()) is None


def test_networks_that_asked_long_ago_are_not_counted() -> None:
    """What is left of them after some halvings is no resolver of now; nor is what may be somebody else's."""
    entries = (*_SEEN.entries, Entry(b"\x0a\x00\x00", 0.25, 0), Entry(b"\x0a\x00\x01", 7, 7))
    assert _json(Summary(900.0, 1200.0, 600.0, 1000.0, 0.0, entries))["prefixes_at_least"] == 2


def test_ten_are_listed_and_twenty_services_looked_at() -> None:
    """A status of a thousand pools must not become slow by this."""
    entries = tuple(Entry(bytes([10, 0, n]), 50, 0) for n in range(20))
    found = _json(
        Summary(900.0, 1200.0, 600.0, 1000.0, 0.0, entries), *(service(f"mx{n}.lb.test", records=1) for n in range(60))
    )
    assert isinstance(found["largest"], list)
    assert isinstance(found["expected_share_error"], dict)
    assert len(found["largest"]) == 10
    assert list(found["expected_share_error"]) == [f"mx{n}.lb.test" for n in range(20)]


def test_metrics_get_two_figures() -> None:
    """The largest network's part, and how many equal ones there might as well be."""
    found = resolvers_reading(_SEEN)
    assert isinstance(found, ResolversReading)
    assert found.concentration == 0.6
    assert 1.9 < found.effective < 2.1
