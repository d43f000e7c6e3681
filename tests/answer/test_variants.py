"""Shares that are reported are those that the compiled rings give."""

from collections import Counter
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from dnslb.answer.service import Preference, Service, ServiceType
from dnslb.answer.variants import address_ring, mx_ring, service_shares, srv_listing
from dnslb.pool.health import State
from dnslb.pool.selection import Selection, select
from dnslb.wire import rdata, rrtype
from tests.conftest import candidate, member, pool, selections, service, world

_WEIGHTS = st.lists(st.integers(1, 65535) | st.integers(1, 9), min_size=1, max_size=6)
_RECORDS = st.sampled_from([None, 1, 2, 3])


def _given(kind: Service, weights: list[int]) -> tuple[dict[str, Fraction], list[tuple[str, ...]]]:
    """Return the reported shares, and the ring as names of members in the order of their preference."""
    members = [member(f"mx{n}", f"192.0.2.{n}", weight=weight) for n, weight in enumerate(weights)]
    selection = selections(world(pool(*members)))["inbound"]
    if kind.type is ServiceType.MX:
        listing = mx_ring(kind, selection)
        ring = [tuple(listing.records[place].member.name for place in variant) for variant in listing.ring]
    else:
        owners = {rdata.address(one.addresses[0])[1]: one.name for one in members}
        octets, places = address_ring(kind, selection, rrtype.A)
        ring = [tuple(owners[octets[place]] for place in variant) for variant in places]
    return service_shares(kind, selection), ring


@given(_WEIGHTS, _RECORDS, st.sampled_from([service(), service(kind=ServiceType.MX, preference=Preference.EQUAL)]))
def test_reported_shares_of_sampled_records(weights: list[int], records: int | None, kind: Service) -> None:
    """A client that shuffles finds each member as often as it is in answers, one that does not as often as first."""
    kind = Service(kind.name, kind.zone, kind.type, kind.pool, records, kind.ttl, kind.preference)
    reported, ring = _given(kind, weights)
    assert sum(reported.values()) == 1
    first, any_place = Counter(variant[0] for variant in ring), Counter(name for variant in ring for name in variant)
    for name, share in reported.items():
        assert abs(Fraction(first[name], len(ring)) - share) < Fraction(1, len(ring))
        assert abs(Fraction(any_place[name], any_place.total()) - share) < Fraction(1, len(ring))


@given(_WEIGHTS, _RECORDS)
def test_reported_shares_of_rankings(weights: list[int], records: int | None) -> None:
    """Every sender goes to the best preference; how many stand behind it does not matter."""
    reported, ring = _given(service(kind=ServiceType.MX, records=records), weights)
    assert sum(reported.values()) == 1
    first = Counter(variant[0] for variant in ring)
    for name, share in reported.items():
        assert share == Fraction(weights[int(name[2:])], sum(weights))
        assert abs(Fraction(first[name], len(ring)) - share) < Fraction(1, len(ring))


@given(st.lists(st.integers(1, 65535 * 100), min_size=1, max_size=6))
def test_srv_weights_fit_into_16_bits(weights: list[int]) -> None:
    """Larger ones are scaled down together, nobody's to 0, and the shares reported are those of the records."""
    members = [member(f"mx{n}", weight=weight) for n, weight in enumerate(weights)]
    selection = selections(world(pool(*members)))["inbound"]
    written = [record.weight for record in srv_listing(selection).records]
    if max(weights) <= 65535:
        assert written == weights
    else:
        assert max(written) == 65535
        scale = Fraction(65535, max(weights))
        assert all(n == max(1, int(weight * scale)) for n, weight in zip(written, weights, strict=True))
    shares = service_shares(service(kind=ServiceType.SRV), selection)
    assert list(shares.values()) == [Fraction(weight, sum(written)) for weight in written]


def test_a_portion_of_weight_reaches_the_answers() -> None:
    """A member with a tenth of its weight gets a tenth of the connections that it would get otherwise."""
    members = [candidate("a", weight=50), candidate("b", State.BUSY, weight=50, percent=10)]
    selection = select(pool(*(one.member for one in members)), members, frozenset())
    for kind in (service(records=1), service(kind=ServiceType.MX), service(kind=ServiceType.SRV)):
        assert service_shares(kind, selection) == {"a": Fraction(10, 11), "b": Fraction(1, 11)}
    listing = mx_ring(service(kind=ServiceType.MX), selection)
    first = Counter(listing.records[variant[0]].member.name for variant in listing.ring)
    assert (first["b"], first.total() % 11) == (first.total() // 11, 0)


def test_nobody_published_is_no_ring() -> None:
    """An empty ring, which the compiler turns into SERVFAIL, and no shares."""
    nobody = Selection((), panic=True, healthy_weight=0, total_weight=1, reasons={})
    assert address_ring(service(), nobody, rrtype.A) == ([], [])
    for preference in Preference:
        assert mx_ring(service(kind=ServiceType.MX, preference=preference), nobody).ring == []
    assert srv_listing(nobody).ring == []
    assert service_shares(service(), nobody) == {}
