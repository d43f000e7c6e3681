"""Shares that are reported are those that the compiled rings give."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.answer.service import Preference, Service, ServiceType
from dnslb.answer.variants import address_ring, mx_ring, service_shares, srv_listing
from dnslb.pool.health import Health, State
from dnslb.pool.member import Member, Policy
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


_RACKS = {"a": "r1", "b": "r1", "c": "r2", "d": "r2"}


def _answers(kind: Service, selection: Selection) -> list[tuple[str, ...]]:
    """Return the members of each variant, the best preference first; members have a lower-case letter as name."""
    if kind.type is ServiceType.MX:
        listing = mx_ring(kind, selection)
        return [tuple(listing.records[place].member.name for place in variant) for variant in listing.ring]
    octets, ring = address_ring(kind, selection, rrtype.A)
    return [tuple(chr(octets[place][-1]) for place in variant) for variant in ring]


def _lettered(**names: dict[str, Any]) -> dict[str, Member]:
    """Return members with IPv4 and IPv6 addresses that end in their letter."""
    return {
        name: member(name, f"192.0.2.{ord(name)}", f"2001:db8::{ord(name):x}", **keywords)
        for name, keywords in names.items()
    }


@pytest.mark.parametrize("policy", [Policy.WEIGHTED, Policy.ROUND_ROBIN, Policy.SOURCE_HASH])
@pytest.mark.parametrize(
    "kind",
    [
        service(records=2),
        service(kind=ServiceType.MX, records=2),
        service(kind=ServiceType.MX, preference=Preference.EQUAL, records=2),
    ],
)
def test_two_records_are_of_two_racks(kind: Service, policy: Policy) -> None:
    """Whatever the kind of answer and the policy: a rack that dies leaves one of them."""
    members = _lettered(**{name: {"weight": 3, "group": group} for name, group in _RACKS.items()})
    selection = selections(world(pool(*members.values(), policy=policy)))["inbound"]
    answers = _answers(kind, selection)
    assert {_RACKS[name] for answer in answers for name in answer} == {"r1", "r2"}
    assert all({_RACKS[name] for name in answer} == {"r1", "r2"} for answer in answers)
    shares = service_shares(kind, selection)
    if policy is not Policy.SOURCE_HASH:
        assert set(shares.values()) == {Fraction(1, 4)}


def test_who_joins_a_tier_stands_beside_it_in_every_kind_of_answer() -> None:
    """One tier of three, in the same preferences and with the weights of each; the last tier stays behind it."""
    facts = {"a": {"weight": 2}, "b": {"tier": 2}, "c": {"tier": 2}, "d": {"tier": 3}}
    selection = selections(world(pool(*_lettered(**facts).values(), tier_min=3)))["inbound"]
    wanted = {"a": Fraction(1, 2), "b": Fraction(1, 4), "c": Fraction(1, 4)}
    for kind in (service(records=1), service(kind=ServiceType.MX)):
        assert service_shares(kind, selection) == wanted
        first = Counter(answer[0] for answer in _answers(kind, selection))
        assert {name: Fraction(first[name], first.total()) for name in first} == wanted
    assert all(answer[3] == "d" for answer in _answers(service(kind=ServiceType.MX), selection))
    assert service_shares(service(kind=ServiceType.SRV), selection) == wanted
    srv = {record.member.name: (record.preference, record.weight) for record in srv_listing(selection).records}
    assert srv == {"a": (1, 2), "b": (1, 1), "c": (1, 1), "d": (3, 1)}
    equal = mx_ring(service(kind=ServiceType.MX, preference=Preference.EQUAL), selection)
    assert {(record.member.name, record.preference) for record in equal.records} == {
        ("a", 10),
        ("b", 10),
        ("c", 10),
        ("d", 30),
    }


@given(st.lists(st.sampled_from(State), min_size=1, max_size=5), st.sampled_from([None, 1, 2]))
def test_both_families_hold_the_same_members(states: list[State], records: int | None) -> None:
    """Health is of the member: its A and its AAAA are in or out together, at every turn where all have both."""
    members = _lettered(**{name: {} for name in "abcde"[: len(states)]})
    of = pool(*members.values())
    candidates = [
        replace(candidate(), member=one, health=Health(state))
        for one, state in zip(members.values(), states, strict=True)
    ]
    selection = select(of, candidates, frozenset())
    of_v4, of_v6 = (
        [{octets[place][-1] for place in variant} for variant in ring]
        for octets, ring in (
            address_ring(service(records=records), selection, family) for family in (rrtype.A, rrtype.AAAA)
        )
    )
    assert of_v4 == of_v6
