"""Which clients count as one, and where they enter a ring."""

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnslb.answer.responder import respond
from dnslb.answer.snapshot import Snapshot
from dnslb.answer.sources import bucket_of, prefix_of
from dnslb.answer.turns import Turns
from dnslb.pool.rotation import BUCKETS
from dnslb.wire import rrtype
from tests.conftest import decoded, lines, member, pool, question, service, snapshot, zone


def _packed(text: str) -> bytes:
    return ip_address(text).packed


@pytest.mark.parametrize(
    ("address", "prefix"),
    [("192.0.2.7", "c00002"), ("192.0.2.255", "c00002"), ("2001:db8:0:1ff::1", "20010db8000001")],
)
def test_prefixes(address: str, prefix: str) -> None:
    """An IPv4 client is its /24, an IPv6 client its /56."""
    assert prefix_of(_packed(address)).hex() == prefix


@pytest.mark.parametrize(("address", "bucket"), [("192.0.2.7", 638), ("2001:db8::1", 899), ("10.0.0.1", 196)])
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


# A ring that is entered by source


def _by_source(variants: int) -> Snapshot:
    """Return a snapshot whose address service relay is entered by source."""
    relay = service("relay.lb.test", records=1)
    members = [member(f"mx{n}", f"192.0.2.{n}") for n in range(1, variants + 1)]
    found = snapshot(zone(""), pool(*members), relay)
    key = rrtype.question_tail(rrtype.A)
    rotation = found.names[relay.name][key]._replace(by_source=True)
    return replace(found, names={**found.names, relay.name: {key: rotation}})


@pytest.mark.parametrize("payload", [None, 1232, 1000])
@pytest.mark.parametrize("rdtype", ["A", "ANY"])
def test_a_client_keeps_its_place(rdtype: str, payload: int | None) -> None:
    """Answers depend on the network that asks and on nothing else: not on the turn, nor on the way to the answer."""
    found = _by_source(4)
    query = question(f"relay.lb.test {rdtype}", payload=payload)
    answers = {
        host: {
            tuple(lines(decoded(respond(query, found, Turns(begin), _packed(host), stream=False)[0] or b"").answer))
            for begin in range(5)
        }
        for host in ("10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.2.1", "10.0.3.1")
    }
    assert all(len(each) == 1 for each in answers.values())
    assert answers["10.0.0.1"] == answers["10.0.0.2"]
    assert len(set(map(frozenset, answers.values()))) == 3
