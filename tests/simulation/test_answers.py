"""What clients see of an answer is what the workers' rings hold."""

from collections import Counter

from dnslb.answer.service import Preference, Service, ServiceType
from dnslb.answer.variants import address_ring, mx_ring, service_shares, srv_listing
from dnslb.pool.member import Pool
from dnslb.pool.selection import Selection
from dnslb.simulation.answers import Record, ring_of
from dnslb.wire import rrtype
from tests.conftest import member, pool, selections, service, world

_POOL = pool(
    member("mx1", "192.0.2.1", "2001:db8::1", weight=5),
    member("mx2", "192.0.2.2", "192.0.2.22", weight=3),
    member("mx3", "192.0.2.3", weight=2),
    member("spare", "192.0.2.4", tier=2),
)


def _selection(of: Pool, kind: Service) -> Selection:
    return selections(world(of, kind))["inbound"]


def test_an_address_answer_leads_to_the_members_whose_addresses_it_holds() -> None:
    """A member with two addresses is there twice, as in the workers' answers; of the best tier only."""
    kind = service(records=2)
    selection = _selection(_POOL, kind)
    octets, ring = address_ring(kind, selection, rrtype.A)
    names = {
        b"\xc0\x00\x02\x01": "mx1",
        b"\xc0\x00\x02\x02": "mx2",
        b"\xc0\x00\x02\x16": "mx2",
        b"\xc0\x00\x02\x03": "mx3",
    }
    expected = [[names[octets[place]] for place in variant] for variant in ring]
    assert [[record.member for record in answer.records] for answer in ring_of(kind, selection)] == expected


def test_members_without_ipv4_are_asked_for_by_ipv6() -> None:
    """Where nobody has an IPv4 address, the AAAA records are what senders use."""
    of = pool(member("mx1", "2001:db8::1"), member("mx2", "2001:db8::2"))
    kind = service(records=1)
    assert {answer.members for answer in ring_of(kind, _selection(of, kind))} == {
        frozenset({"mx1"}),
        frozenset({"mx2"}),
    }


def test_an_mx_answer_has_preferences_and_the_addresses_of_each_name() -> None:
    """Each variant is that of `mx_ring`: worse tiers behind better ones, and mx2 has two IPv4 addresses."""
    kind = service(kind=ServiceType.MX, preference=Preference.RANKED)
    selection = _selection(_POOL, kind)
    listing = mx_ring(kind, selection)
    ring = ring_of(kind, selection)
    assert [[(each.member, each.preference) for each in answer.records] for answer in ring] == [
        [(listing.records[index].member.name, listing.records[index].preference) for index in variant]
        for variant in listing.ring
    ]
    assert {(each.member, each.addresses) for each in ring[0].records} == {
        ("mx1", 1),
        ("mx2", 2),
        ("mx3", 1),
        ("spare", 1),
    }


def test_an_srv_answer_has_priorities_and_weights() -> None:
    """One answer, with the numbers of RFC 2782."""
    kind = service(kind=ServiceType.SRV)
    selection = _selection(_POOL, kind)
    (answer,) = ring_of(kind, selection)
    assert len(answer.records) == len(srv_listing(selection).records)
    assert answer.records[0] == Record("mx1", 1, 5)
    assert answer.records[3] == Record("spare", 2, 1)


def test_equal_variants_are_one_answer() -> None:
    """What is worked out for one counts for all of them."""
    kind = service(records=1)
    ring = ring_of(kind, _selection(_POOL, kind))
    assert len({id(answer) for answer in ring}) == 3
    firsts = Counter(answer.records[0].member for answer in ring)
    shares = service_shares(kind, _selection(_POOL, kind))
    assert {name: count / len(ring) for name, count in firsts.items()} == {
        name: float(of) for name, of in shares.items()
    }
