"""How large resolvers are, and what they do to the order of records."""

from collections import Counter
from fractions import Fraction
from random import Random

import pytest

from dnslb.answer.service import ServiceType
from dnslb.simulation.answers import Record
from dnslb.simulation.resolvers import Resolver, Spread

_RECORDS = [Record(name) for name in ("a", "b", "c", "d")]


def test_sizes_by_zipf() -> None:
    """The second is half as large as the first, the third a third; all add up to 1."""
    sizes = Spread(zipf=True).sizes(50)
    assert sum(sizes) == pytest.approx(1)
    assert sizes[1] == pytest.approx(sizes[0] / 2)
    assert sizes[0] == pytest.approx(0.222, abs=0.001)


def test_sizes_by_percentages() -> None:
    """What is left is shared equally by the others; none named is all of one size."""
    assert Spread(percents=(Fraction(40), Fraction(10))).sizes(7) == [0.4, 0.1, *[0.1] * 5]
    assert Spread().sizes(4) == [0.25] * 4
    assert Spread(percents=(Fraction(60), Fraction(40))).sizes(2) == [0.6, 0.4]


@pytest.mark.parametrize(("percents", "resolvers"), [((60, 50), 10), ((60, 20), 2), ((60, 20, 0), 9)])
def test_percentages_that_do_not_fit_are_refused(percents: tuple[int, ...], resolvers: int) -> None:
    """More than all, a rest that nobody sends, and a resolver without mail."""
    with pytest.raises(ValueError, match=r"percentages|who sends"):
        Spread(percents=tuple(map(Fraction, percents))).sizes(resolvers)


@pytest.mark.parametrize(("resolver", "orders"), [(Resolver.UNBOUND, 4), (Resolver.DNSMASQ, 4), (Resolver.BIND, 24)])
def test_the_orders_that_clients_get(resolver: Resolver, orders: int) -> None:
    """Rotations or all permutations, each record as often first as any other."""
    random = Random(1)
    found = [tuple(record.member for record in resolver.order(_RECORDS, random)) for _ in range(4000)]
    assert len(set(found)) == orders
    assert all(900 < count < 1100 for count in Counter(order[0] for order in found).values())


def test_what_is_cached() -> None:
    """Dnsmasq forwards each MX query; all others keep all answers."""
    assert not Resolver.DNSMASQ.caches(ServiceType.MX)
    assert Resolver.DNSMASQ.caches(ServiceType.ADDRESS)
    assert Resolver.UNBOUND.caches(ServiceType.MX)
