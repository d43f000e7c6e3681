"""Each client has members of its own, and keeps them whatever happens to the others."""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from hashlib import sha256
from itertools import chain
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.pool.rendezvous import BUCKETS, source_ring, source_shares

_POOLS = st.lists(st.integers(1, 5) | st.integers(1, 65535), min_size=2, max_size=8).map(
    lambda weights: {f"mx{n}": weight for n, weight in enumerate(weights)}
)


def _rankings(pool: Mapping[str, int], k: int = 99) -> list[tuple[str, ...]]:
    """Return the names of the best k members in each bucket."""
    names = list(pool)
    return [tuple(names[index] for index in variant) for variant in source_ring(names, list(pool.values()), k)]


@given(pool=_POOLS, place=st.integers(0, 7))
def test_one_that_leaves_moves_only_its_own_clients(pool: dict[str, int], place: int) -> None:
    """In every bucket the members that stay keep their order, so that only who had the leaver is led elsewhere."""
    leaver = list(pool)[place % len(pool)]
    staying = {name: weight for name, weight in pool.items() if name != leaver}
    before, after = _rankings(pool), _rankings(staying)
    assert [tuple(name for name in ranking if name != leaver) for ranking in before] == after


@given(pool=_POOLS, weight=st.integers(1, 65535))
def test_a_weight_moves_only_the_part_that_it_asks_for(pool: dict[str, int], weight: int) -> None:
    """Clients come to a member whose weight rises, or leave one whose weight falls, and none goes between others."""
    before, after = _rankings(pool), _rankings({**pool, "mx0": weight})
    for old, new in zip(before, after, strict=True):
        assert [name for name in old if name != "mx0"] == [name for name in new if name != "mx0"]
        moved = new.index("mx0") - old.index("mx0")
        assert moved <= 0 if weight >= pool["mx0"] else moved >= 0


@given(pool=_POOLS, k=st.integers(1, 4))
def test_an_answer_holds_the_best_of_the_ranking(pool: dict[str, int], k: int) -> None:
    """There is one ranking for each bucket: an answer with fewer records is the beginning of one with more."""
    assert _rankings(pool, k) == [ranking[:k] for ranking in _rankings(pool)]


@given(pool=_POOLS, k=st.integers(1, 4))
def test_the_order_of_the_file_does_not_matter(pool: dict[str, int], k: int) -> None:
    """Members are known by their names."""
    assert _rankings(dict(reversed(pool.items())), k) == _rankings(pool, k)


@given(pool=_POOLS, k=st.integers(1, 9))
def test_reported_shares_are_those_of_the_ring(pool: dict[str, int], k: int) -> None:
    """A share is the part of all places in answers, whatever the weights promise."""
    counted = Counter(chain.from_iterable(_rankings(pool, k)))
    found = source_shares(list(pool), list(pool.values()), k)
    assert list(found) == [Fraction(counted[name], counted.total()) for name in pool]
    assert sum(found) == 1


_GROUPS = ["r1", "", "r1", "r2", "r1", "r2", "", "r3"]


@given(pool=_POOLS, k=st.integers(1, 9))
def test_an_answer_holds_different_groups_first(pool: dict[str, int], k: int) -> None:
    """A group comes again only when all the others have come as often; whoever is first stays so."""
    weights, groups = list(pool.values()), _GROUPS[: len(pool)]
    alone = source_ring(list(pool), weights, k)
    for variant, best in zip(source_ring(list(pool), weights, k, groups), alone, strict=True):
        assert variant[0] == best[0]
        came = [groups[index] or str(index) for index in variant]
        rounds = [came[:place].count(group) for place, group in enumerate(came)]
        assert rounds == sorted(rounds)
    counted = Counter(chain.from_iterable(source_ring(list(pool), weights, k, groups)))
    found = source_shares(list(pool), weights, k, groups)
    assert list(found) == [Fraction(counted[index], counted.total()) for index in range(len(pool))]


def _off(weights: Sequence[int]) -> list[tuple[float, float]]:
    """Return for each member by how much its share of first places misses its weight, and the weight's part."""
    parts = [weight / sum(weights) for weight in weights]
    found = source_shares([f"mx{n}" for n in range(len(weights))], weights, 1)
    return [(abs(float(share) - part), part) for share, part in zip(found, parts, strict=True)]


@given(pool=_POOLS)
def test_shares_follow_the_weights(pool: dict[str, int]) -> None:
    """Over all buckets the first places are by weight, as nearly as that many draws can be."""
    for error, part in _off(list(pool.values())):
        assert error <= 5 * sqrt(part * (1 - part) / BUCKETS) + 4 / BUCKETS


@pytest.mark.parametrize("weights", [[1, 1], [5, 3, 1, 1], [1] * 8, [50, 1]])
def test_shares_of_usual_pools(weights: list[int]) -> None:
    """Nobody's share is off by more than 1.5 points."""
    assert max(error for error, _ in _off(weights)) < 0.015


def test_those_behind_the_first_are_by_weight_too() -> None:
    """The clients of a member that is gone are shared by the weights of the others."""
    seconds = Counter(ranking[1] for ranking in _rankings({"a": 5, "b": 3, "c": 1, "d": 1}) if ranking[0] == "a")
    assert [round(seconds[name] / seconds.total(), 1) for name in "bcd"] == [0.6, 0.2, 0.2]


def test_hundredths_change_nothing() -> None:
    """When a portion makes weights count in hundredths, nobody moves."""
    assert _rankings({"a": 5, "b": 3, "c": 1}) == _rankings({"a": 500, "b": 300, "c": 100})


def test_the_ring_is_the_same_everywhere() -> None:
    """No restart, machine or version of Python moves a client."""
    octets = bytes(chain.from_iterable(source_ring(["mx1", "mx2", "mx3"], [5, 3, 1], 3)))
    assert sha256(octets).hexdigest()[:16] == "a4c78599287197d9"
