"""What senders make of answers: the programs' rules, and the shares that field measurements found."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.answer.offers import offers
from dnslb.answer.senders import SENDERS, Behaviour, Client, behaviour, client_of
from dnslb.answer.service import Preference, Service, ServiceType
from dnslb.answer.variants import service_shares
from dnslb.pool.member import Member
from dnslb.pool.selection import Selection, select
from dnslb.simulation.answers import ring_of
from dnslb.simulation.resolvers import Resolver
from dnslb.simulation.senders import MANNERS, Sender, firsts
from dnslb.wire import rrtype
from tests.conftest import candidate, member, pool, selections, service, world

_MX, _SRV, _ADDRESS = ServiceType.MX, ServiceType.SRV, ServiceType.ADDRESS
_EQUAL = service(kind=_MX, preference=Preference.EQUAL)


def does(sender: str, of: Service, *members: Member, client: str = "") -> Behaviour:
    """Return what a sender does with the answers of a service of a pool whose members are all up."""
    selection = selections(world(pool(*members)))["inbound"]
    at: Client | None = client_of(client) if client else None
    return behaviour(SENDERS[sender], of.type, offers(of, selection), at)


def first(sender: str, of: Service, *members: Member, client: str = "") -> dict[str, Fraction]:
    """Return whom it tries first, as fractions."""
    return dict(does(sender, of, *members, client=client).first)


def four(*weights: int) -> list[Member]:
    """Return members a, b, c, d with one IPv4 address each."""
    return [member(name, f"192.0.2.{n}", weight=w) for n, (name, w) in enumerate(zip("abcd", weights, strict=True), 1)]


_EIGHTS = {"a": Fraction(1, 2), "b": Fraction(1, 4), "c": Fraction(1, 8), "d": Fraction(1, 8)}
_QUARTERS = dict.fromkeys("abcd", Fraction(1, 4))


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("records", [1, 2])
def test_an_address_answer_of_k_gives_each_sender_the_weights(sender: str, records: int) -> None:
    """However it shuffles: 4:2:1:1, and with k = 2 the largest share is just the most that there can be."""
    assert first(sender, service(records=records), *four(4, 2, 1, 1)) == _EIGHTS


@pytest.mark.parametrize("sender", SENDERS)
def test_an_address_answer_of_all_gives_each_sender_equal_parts(sender: str) -> None:
    """The order carries no weight."""
    assert first(sender, service(), *four(4, 2, 1, 1)) == _QUARTERS


@pytest.mark.parametrize("sender", ["postfix", "exim", "opensmtpd"])
def test_mx_ranked_gives_the_weights_and_mx_equal_does_not(sender: str) -> None:
    """Preferences are obeyed, and equal ones are shuffled."""
    assert first(sender, service(kind=_MX), *four(4, 2, 1, 1)) == _EIGHTS
    assert first(sender, _EQUAL, *four(4, 2, 1, 1)) == _QUARTERS


@pytest.mark.parametrize("sender", ["postfix", "exim"])
def test_srv_gives_the_weights_of_the_best_priority(sender: str) -> None:
    """RFC 2782, where it is looked up at all."""
    assert first(sender, service(kind=_SRV), *four(4, 2, 1, 1), member("e", "192.0.2.9", tier=2)) == _EIGHTS


@pytest.mark.parametrize(("sender", "kind"), [("opensmtpd", _SRV), ("getaddrinfo", _MX), ("getaddrinfo", _SRV)])
def test_who_does_not_ask_does_nothing(sender: str, kind: ServiceType) -> None:
    """No chance is made up."""
    found = does(sender, service(kind=kind), *four(1, 1, 1, 1))
    assert (dict(found.first), found.tries, found.addresses, found.note) == ({}, 0, 0, "")


_DUAL = (member("a", "192.0.2.1", "2001:db8::1"), member("b", "192.0.2.2"))


@pytest.mark.parametrize(
    ("sender", "of", "expected"),
    [
        ("postfix", service(), {"a": Fraction(2, 3), "b": Fraction(1, 3)}),
        ("postfix", _EQUAL, {"a": Fraction(2, 3), "b": Fraction(1, 3)}),
        ("exim", service(), {"a": 1}),
        ("exim", _EQUAL, {"a": 1}),
        ("opensmtpd", service(), {"a": 1}),
        ("opensmtpd", _EQUAL, {"a": Fraction(1, 2), "b": Fraction(1, 2)}),
        ("getaddrinfo", service(), {"a": 1}),
    ],
)
def test_ipv6_on_one_member_draws_the_mail_to_it(sender: str, of: Service, expected: dict[str, Fraction]) -> None:
    """Postfix counts addresses, Exim and resolver libraries put IPv6 first."""
    assert first(sender, of, *_DUAL) == expected


def test_rings_of_the_two_families_go_round_together() -> None:
    """Exactly, though they differ in length: a third of the A records and half of the AAAA records."""
    members = [member(name, f"192.0.2.{n}", f"2001:db8::{n}") for n, name in enumerate("ab", 1)]
    found = first("postfix", service(records=1), *members, member("c", "192.0.2.3"))
    assert found == {"a": Fraction(5, 12), "b": Fraction(5, 12), "c": Fraction(1, 6)}


def test_a_client_with_ipv4_alone_is_not_drawn() -> None:
    """It has no use for AAAA, and tries what it can reach."""
    found = does("getaddrinfo", service(), *_DUAL, client="198.51.100.7")
    assert dict(found.first) == {"a": Fraction(1, 2), "b": Fraction(1, 2)}
    assert (found.tries, found.addresses, found.note) == (2, 3, "")


def _relays(*numbers: int, net: str = "10.99.0.") -> list[Member]:
    return [member(f"m{n}", f"{net}{n}") for n in numbers]


def test_a_client_in_the_subnet_takes_the_nearest_each_time() -> None:
    """Measured: 10.99.0.5/24 always takes .6 of .20, .10, .6, .130, and balances nothing."""
    found = does("getaddrinfo", service(), *_relays(20, 10, 6, 130), client="10.99.0.5/24")
    assert dict(found.first) == {"m6": 1}
    assert found.note == (
        "closeness to 10.99.0.5 decides, not the weights: this client takes the same member whenever an answer holds"
        " it; only records = 1 balances here"
    )


def test_a_client_outside_of_the_subnet_does_not_care() -> None:
    """Measured: addresses that are not local keep their order. A smaller subnet says so for these too."""
    quarter = Fraction(1, 4)
    for client in ("10.98.0.5", "10.99.0.5/32"):
        found = does("getaddrinfo", service(), *_relays(20, 10, 6, 130), client=client)
        assert (set(found.first.values()), found.note) == ({quarter}, "")


def test_one_record_balances_in_the_subnet_too() -> None:
    """What is not in the answer cannot be nearer."""
    assert set(first("getaddrinfo", service(records=1), *_relays(20, 6), client="10.99.0.5").values()) == {
        Fraction(1, 2)
    }


def test_other_senders_do_not_look_at_closeness() -> None:
    """Postfix and Exim shuffle by themselves."""
    for sender in ("postfix", "exim"):
        found = does(sender, service(), *_relays(20, 6), client="10.99.0.5")
        assert (found.first["m6"], found.note) == (Fraction(1, 2), "")


def test_ipv6_is_compared_in_all_bits_everywhere() -> None:
    """Measured: the longest common prefix is first, in the subnet or not; without a client nobody can tell."""
    members = [member("near", "2001:db8:1::1"), member("far", "2001:db8:2::1")]
    assert first("getaddrinfo", service(), *members, client="2001:db8:1::7") == {"near": 1}
    unknown = does("getaddrinfo", service(), *members)
    assert unknown.first["near"] == Fraction(1, 2)
    assert unknown.note == "of IPv6 addresses in several networks, that nearest to the client comes first: see --client"
    assert does("getaddrinfo", service(), *_relays(1, 2, net="2001:db8:1::")).note == ""


def test_unique_local_addresses_come_behind_ipv4_but_for_their_own() -> None:
    """RFC 6724 section 2.1: precedence 40, 35, 3."""
    members = [member("six", "fd00::1"), member("four", "192.0.2.1")]
    assert first("getaddrinfo", service(), *members) == {"four": 1}
    assert first("getaddrinfo", service(), *members, client="fd00::7") == {"six": 1}


def test_so_many_addresses_are_tried() -> None:
    """Postfix and Exim stop at five."""
    members = [member(f"m{n}", f"192.0.2.{n}", f"2001:db8::{n}") for n in range(1, 5)]
    found = {sender: does(sender, service(), *members) for sender in SENDERS}
    assert {sender: one.tries for sender, one in found.items()} == {
        "postfix": 5,
        "exim": 5,
        "opensmtpd": 8,
        "getaddrinfo": 8,
    }
    assert {one.addresses for one in found.values()} == {8}


def test_nobody_published_is_nobody_tried() -> None:
    """SERVFAIL offers nothing."""
    nobody = Selection((), panic=True, healthy_weight=0, total_weight=1, reasons={})
    for kind in ServiceType:
        assert offers(service(kind=kind), nobody) == ()
    assert behaviour(SENDERS["postfix"], _ADDRESS, (), None).first == {}


def test_members_that_share_an_address_are_offered_each() -> None:
    """Whose address it is cannot be seen in the answer; who is in it is known here."""
    selection = selections(world(pool(member("a", "192.0.2.1"), member("b", "192.0.2.1"))))["inbound"]
    assert [offer.members for offer in offers(service(), selection)] == [{"a", "b"}]


def test_variants_that_nobody_can_tell_apart_are_one_offer() -> None:
    """The order of addresses is lost on the way, and what stands behind the best preference is tried only later."""
    selection = selections(world(pool(*four(1, 1, 1, 1))))["inbound"]
    assert [offer.times for offer in offers(service(), selection)] == [64]
    ranked = offers(service(kind=_MX), selection)
    assert [(len(offer.best), len(offer.members), offer.times) for offer in ranked] == [(1, 4, 16)] * 4


def test_an_offer_can_be_of_one_family() -> None:
    """What is in the answer to one question, of services that answer with addresses."""
    selection = selections(world(pool(*_DUAL)))["inbound"]
    for family, held, ipv4, ipv6 in ((rrtype.A, {"a", "b"}, 2, 0), (rrtype.AAAA, {"a"}, 0, 1)):
        found = offers(service(), selection, [family])
        assert [(set(offer.members), offer.ipv4, offer.ipv6) for offer in found] == [(held, ipv4, ipv6)]


@given(
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    records=st.sampled_from([1, 2, 3, None]),
    kind=st.sampled_from([_ADDRESS, _MX, _SRV]),
    sender=st.sampled_from(["postfix", "exim"]),
)
def test_shares_that_status_tells_are_first_choices(
    weights: list[int], records: int | None, kind: ServiceType, sender: str
) -> None:
    """With one address each, a sender's first choice is the share of the service, to a variant of the ring."""
    members = [candidate(f"m{n}", weight=weight) for n, weight in enumerate(weights)]
    selection = select(pool(*(one.member for one in members)), members, frozenset())
    of = service(kind=kind, records=records)
    offered = offers(of, selection)
    found = behaviour(SENDERS[sender], kind, offered, None).first
    assert sum(found.values()) == 1
    for name, share in service_shares(of, selection).items():
        assert abs(found[name] - share) <= Fraction(1, sum(offer.times for offer in offered))


@given(
    weights=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 2), st.integers(1, 2)), min_size=1, max_size=5),
    records=st.sampled_from([1, 2, None]),
    kind=st.sampled_from(ServiceType),
    preference=st.sampled_from(Preference),
    sender=st.sampled_from([Sender.POSTFIX, Sender.EXIM, Sender.OPENSMTPD]),
)
def test_the_simulation_of_these_senders_agrees(
    weights: list[tuple[int, int, int]], records: int | None, kind: ServiceType, preference: Preference, sender: Sender
) -> None:
    """Two models of one program, behind a resolver that rotates: neither may say anything else than the other."""
    members = [
        member(f"m{n}", *(f"192.0.2.{8 * n + each}" for each in range(addresses)), weight=weight, tier=tier)
        for n, (weight, tier, addresses) in enumerate(weights)
    ]
    of = service(kind=kind, records=records, preference=preference)
    selection = selections(world(pool(*members)))["inbound"]
    found = behaviour(SENDERS[sender], kind, offers(of, selection), None).first
    simulated = Counter[str]()
    ring = ring_of(of, selection) if kind in SENDERS[sender].order else ()
    for answer in ring:
        simulated.update(firsts(answer, MANNERS[sender], Resolver.UNBOUND))
    assert dict(found) == pytest.approx({name: chance / len(ring) for name, chance in simulated.items()})


@pytest.mark.parametrize(
    ("text", "client"), [("192.0.2.7", "192.0.2.7/24"), ("192.0.2.7/26", "192.0.2.7/26"), ("::1", "::1/64")]
)
def test_a_client_has_a_subnet(text: str, client: str) -> None:
    """The usual one if it is not said."""
    assert str(client_of(text)) == client


def test_what_is_no_client_is_told_so() -> None:
    """With an example."""
    with pytest.raises(ValueError, match=r"'mx1' is no address: write for example 192\.0\.2\.7 or "):
        client_of("mx1")
