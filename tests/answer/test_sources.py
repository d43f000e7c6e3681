"""Which clients count as one, and where they enter a ring."""

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnslb.answer.responder import respond
from dnslb.answer.service import Preference, ServiceType
from dnslb.answer.snapshot import Snapshot
from dnslb.answer.sources import bucket_of, prefix_of
from dnslb.answer.turns import Turns
from dnslb.pool.health import State
from dnslb.pool.member import Policy
from dnslb.pool.rendezvous import BUCKETS
from tests.conftest import candidate, decoded, lines, member, pool, question, service, snapshot


def _packed(text: str) -> bytes:
    return ip_address(text).packed


@pytest.mark.parametrize(
    ("address", "prefix"),
    [("192.0.2.7", "c00002"), ("192.0.2.255", "c00002"), ("2001:db8:0:1ff::1", "20010db8000001")],
)
def test_prefixes(address: str, prefix: str) -> None:
    """An IPv4 client is its /24, an IPv6 client its /56."""
    assert prefix_of(_packed(address)).hex() == prefix


@pytest.mark.parametrize(("address", "bucket"), [("192.0.2.7", 1662), ("2001:db8::1", 1923), ("10.0.0.1", 1220)])
def test_buckets_are_the_same_everywhere(address: str, bucket: int) -> None:
    """A client's place in the ring is a number that no restart, machine or Python version changes."""
    assert bucket_of(_packed(address)) == bucket


@pytest.mark.parametrize("network", ["10.1.{}.9", "10.{}.0.9", "2001:db8:0:{:x}00::9", "2001:db8:{:x}::9"])
def test_neighbours_are_spread(network: str) -> None:
    """Of 256 networks side by side each has a place of its own: a small site is spread as well as the Internet."""
    assert len({bucket_of(_packed(network.format(n))) for n in range(256)}) == 256


def test_many_networks_fill_all_buckets() -> None:
    """65536 neighbouring networks come to each place as often as to any other."""
    found = Counter(bucket_of(bytes([10, a, b, 1])) for a in range(256) for b in range(256))
    assert set(found.values()) == {65536 // BUCKETS}


# Answers that depend on who asks

_MEMBERS = [member(f"mx{n}", f"192.0.2.{n}", f"2001:db8::{n}", weight=n) for n in range(1, 5)]
_BY_SOURCE = pool(*_MEMBERS, policy=Policy.SOURCE_HASH)
_HOSTS = [f"10.0.{n}.1" for n in range(40)]


def _answers(of: Snapshot, text: str, host: str, payload: int | None = None) -> set[tuple[str, ...]]:
    """Return the different answers that a client gets, whatever the turn."""
    query = question(text, payload=payload)
    found = [respond(query, of, Turns(begin), _packed(host), stream=False)[0] or b"" for begin in range(5)]
    return {tuple(lines(decoded(response).answer)) for response in found}


@pytest.mark.parametrize("payload", [None, 1232, 1000])
@pytest.mark.parametrize("rdtype", ["A", "ANY"])
def test_a_client_keeps_its_place(rdtype: str, payload: int | None) -> None:
    """Answers depend on the network that asks and on nothing else: not on the turn, nor on the way to the answer."""
    found = snapshot(_BY_SOURCE, service("relay.lb.test", records=1))
    answers = [_answers(found, f"relay.lb.test {rdtype}", host, payload) for host in _HOSTS]
    assert {len(each) for each in answers} == {1}
    assert len(set(map(frozenset, answers))) == 4
    assert _answers(found, f"relay.lb.test {rdtype}", "10.0.0.99", payload) == answers[0]


def test_a_client_keeps_its_place_in_an_answer_that_is_too_long() -> None:
    """What is left of an answer without its additional records is of the same variant."""
    long = [member(f"mx{n}", f"192.0.2.{n}", host=f"{'x' * 60}{n}.lb.test") for n in range(1, 9)]
    found = snapshot(pool(*long, policy=Policy.SOURCE_HASH), service("mail.lb.test", ServiceType.MX, records=4))
    for host in _HOSTS[:5]:
        (whole,) = _answers(found, "mail.lb.test MX", host, 4096)
        assert _answers(found, "mail.lb.test MX", host) == {whole}


def test_both_families_lead_to_the_same_members() -> None:
    """A client that asks for A and AAAA finds two addresses of one member."""
    found = snapshot(_BY_SOURCE, service("relay.lb.test", records=1))
    for host in _HOSTS:
        (((ipv4,),), ((ipv6,),)) = (_answers(found, f"relay.lb.test {rdtype}", host) for rdtype in ("A", "AAAA"))
        assert ipv4.rpartition(".")[2] == ipv6.rpartition(":")[2]


def test_a_ranked_answer_is_the_whole_ranking() -> None:
    """All members by preference, those of a worse tier behind, in an order that is the client's own."""
    spares = [member(f"spare{n}", f"192.0.2.1{n}", tier=2) for n in range(3)]
    found = snapshot(pool(*_MEMBERS, *spares, policy=Policy.SOURCE_HASH), service("mail.lb.test", ServiceType.MX))
    orders = set()
    for host in _HOSTS:
        (answer,) = _answers(found, "mail.lb.test MX", host)
        preferences = [int(line.split()[3]) for line in answer]
        assert preferences == [10, 20, 30, 40, 50, 60, 70]
        orders.add(tuple(line.split()[4].partition(".")[0] for line in answer))
    assert all(set(order[:4]) == {"mx1", "mx2", "mx3", "mx4"} for order in orders)
    assert len({order[:4] for order in orders}) > 5
    assert len({order[4:] for order in orders}) == 6


def test_equal_preferences_hold_the_best() -> None:
    """Of an MX answer with k records of one preference the client always has the same k members."""
    best = service("mail.lb.test", ServiceType.MX, records=2, preference=Preference.EQUAL)
    all_of_them = snapshot(_BY_SOURCE, service("mail.lb.test", ServiceType.MX))
    for host in _HOSTS:
        ((ranked,), (equal,)) = (
            _answers(of, "mail.lb.test MX", host) for of in (all_of_them, snapshot(_BY_SOURCE, best))
        )
        assert [line.split()[4] for line in equal] == [line.split()[4] for line in ranked[:2]]
        assert {line.split()[3] for line in equal} == {"10"}


def test_srv_records_are_the_same_for_all() -> None:
    """Clients go by the weights that they hold."""
    found = snapshot(_BY_SOURCE, service("_submission._tcp.lb.test", ServiceType.SRV))
    assert len({frozenset(_answers(found, "_submission._tcp.lb.test SRV", host)) for host in _HOSTS}) == 1


def test_a_member_that_dies_moves_only_its_clients() -> None:
    """All others are answered as before, and the dead one's are spread over those that are left."""
    relay = service("relay.lb.test", records=1)
    before = snapshot(_BY_SOURCE, relay)
    after = snapshot(_BY_SOURCE, relay, candidates=[replace(candidate(state=State.DOWN), member=_MEMBERS[3])])
    moved = set()
    for host in _HOSTS:
        old, new = (_answers(of, "relay.lb.test A", host) for of in (before, after))
        if "192.0.2.4" in str(old):
            moved |= new
        else:
            assert new == old
    assert len(moved) == 3
