"""One turn of a ring gives each member its share, and any part of a turn nearly so."""

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import accumulate, chain
from math import ceil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dnslb.pool.rotation import rank_ring, sample_ring, shares

_WEIGHTS = st.one_of(
    st.lists(st.integers(1, 5), min_size=1, max_size=12),
    st.lists(st.integers(1, 65535), min_size=1, max_size=12),
)
_RECORDS = st.integers(1, 6)

_THIRD, _SIXTH = Fraction(1, 3), Fraction(1, 6)


def _water_filled(weights: Sequence[int], k: int) -> list[Fraction]:
    """Return the inclusion probabilities min(1, c * w) that add up to k, by raising c from one bend to the next."""

    def filled(c: Fraction) -> list[Fraction]:
        return [min(Fraction(1), c * weight) for weight in weights]

    below = Fraction(0)
    for bend in sorted(Fraction(1, weight) for weight in weights):
        if sum(filled(bend)) >= k:
            rise = sum(filled(bend)) - sum(filled(below))
            return filled(below + (bend - below) * (k - sum(filled(below))) / rise)
        below = bend
    raise AssertionError("k is more than the members")


def _share_errors(counted: Counter[int], places: int, wanted: Sequence[Fraction]) -> list[Fraction]:
    return [abs(Fraction(counted[index], places) - share) for index, share in enumerate(wanted)]


def _unevenness(hits: Sequence[bool]) -> Fraction:
    """Return the largest difference, in any window of the ring, of the hits from the window's part of all hits."""
    rate = Fraction(sum(hits), len(hits))
    drift = list(accumulate((hit - rate for hit in hits), initial=Fraction(0)))
    return max(drift) - min(drift)


@given(weights=_WEIGHTS, k=_RECORDS)
def test_shares_follow_the_cap_rule(weights: list[int], k: int) -> None:
    """Shares are inclusion probabilities min(1, c * w) over k: weight shares, but none above 1/k."""
    k = min(k, len(weights))
    assert list(shares(weights, k)) == [inclusion / k for inclusion in _water_filled(weights, k)]
    assert sum(shares(weights, k)) == 1


@given(weights=_WEIGHTS)
def test_shares_are_the_weights_below_the_cap(weights: list[int]) -> None:
    """As long as k times the largest weight is at most the total, shares are exactly the weights."""
    k = max(1, sum(weights) // max(weights))
    assert list(shares(weights, k)) == [Fraction(weight, sum(weights)) for weight in weights]


@given(weights=_WEIGHTS, more=st.integers(0, 3))
def test_all_members_in_an_answer_share_alike(weights: list[int], more: int) -> None:
    """Where every member is in every answer, order carries no weight: each gets 1/n."""
    n = len(weights)
    assert shares(weights, n + more) == (Fraction(1, n),) * n


@given(weights=_WEIGHTS, k=_RECORDS)
def test_one_turn_of_a_sample_ring_holds_the_shares(weights: list[int], k: int) -> None:
    """First places and inclusions over one turn are the shares to 1/length, of distinct members."""
    ring, wanted = sample_ring(weights, k), shares(weights, k)
    k = min(k, len(weights))
    assert all(len(set(variant)) == len(variant) == k for variant in ring)
    assert len(ring) % k == 0
    assert len(ring) <= 64
    firsts = Counter(variant[0] for variant in ring)
    assert max(_share_errors(firsts, len(ring), wanted)) < Fraction(1, len(ring))
    inclusions = Counter(chain.from_iterable(ring))
    assert max(_share_errors(inclusions, k * len(ring), wanted)) < Fraction(1, len(ring))


@given(weights=st.lists(st.integers(1, 5), min_size=1, max_size=12), k=_RECORDS)
def test_a_ring_that_the_weights_divide_is_exact(weights: list[int], k: int) -> None:
    """Where some number of variants up to the length makes all shares whole, the ring is exact."""
    k = min(k, len(weights))
    wanted = shares(weights, k)
    exact = any(all((share * length).denominator == 1 for share in wanted) for length in range(k, 65, k))
    ring = sample_ring(weights, k)
    errors = _share_errors(Counter(variant[0] for variant in ring), len(ring), wanted)
    assert (max(errors) == 0) or not exact


@pytest.mark.parametrize(
    ("k", "wanted"),
    [
        (1, [Fraction(5, 10), Fraction(3, 10), Fraction(1, 10), Fraction(1, 10)]),
        (2, [Fraction(5, 10), Fraction(3, 10), Fraction(1, 10), Fraction(1, 10)]),
        (3, [_THIRD, _THIRD, _SIXTH, _SIXTH]),
        (4, [Fraction(1, 4)] * 4),
    ],
)
def test_5_3_1_1(k: int, wanted: list[Fraction]) -> None:
    """The example of the design is exact: 50/30/10/10 with one or two records, 1/3, 1/3, 1/6, 1/6 with three."""
    ring = sample_ring([5, 3, 1, 1], k)
    counted = [Counter(variant[0] for variant in ring), Counter(chain.from_iterable(ring))]
    assert [_share_errors(count, count.total(), wanted) for count in counted] == [[0] * 4] * 2
    assert list(shares([5, 3, 1, 1], k)) == wanted


@given(weights=_WEIGHTS, k=_RECORDS)
def test_few_consecutive_variants_are_near_the_weights(weights: list[int], k: int) -> None:
    """In any window of a turn each member is first, and is included, within 4 times of the window's part."""
    ring = sample_ring(weights, k)
    for index in range(len(weights)):
        assert _unevenness([variant[0] == index for variant in ring]) < 4
        assert _unevenness([index in variant for variant in ring]) < 4


def test_a_member_has_different_companions() -> None:
    """Of four equal members in answers of two, every pair is given out: no one inherits all of a dead one's cache."""
    pairs = Counter(frozenset(variant) for variant in sample_ring([1, 1, 1, 1], 2))
    assert len(pairs) == 6
    assert max(pairs.values()) <= 16


@given(weights=_WEIGHTS, ranked=st.booleans())
def test_every_second_variant_holds_the_shares_too(weights: list[int], ranked: bool) -> None:  # noqa: FBT001 -- drawn
    """Two resolvers behind one address that alternate get the shares each: odd and even turns differ by one at most."""
    ring = rank_ring(weights) if ranked else sample_ring(weights, 1)
    for index in range(len(weights)):
        hits = [variant[0] == index for variant in ring * (1 + len(ring) % 2)]
        assert abs(sum(hits[::2]) - sum(hits[1::2])) <= 1


def test_a_member_with_a_small_share_is_not_forgotten() -> None:
    """What is published is in some answer, although its share is below one variant of the ring."""
    assert sorted(Counter(first for (first,) in sample_ring([500, 500, 1], 1)).values()) == [1, 31, 32]


def test_cells_left_over_go_to_the_largest_remainders() -> None:
    """Quotas of 2.6, 3.7 and 3.7 variants become 2, 4 and 4."""
    assert Counter(first for (first,) in sample_ring([26, 37, 37], 1, length=10)) == {0: 2, 1: 4, 2: 4}


def test_more_members_than_variants() -> None:
    """A ring grows with the members, so that a hundred equal ones are all answered."""
    assert Counter(first for (first,) in sample_ring([1] * 100, 1)) == dict.fromkeys(range(100), 1)
    assert {len(variant) for variant in sample_ring([1] * 100, 100)} == {100}


def test_a_ring_needs_no_memory_for_large_weights() -> None:
    """Weights of a million in total still make a ring of the asked length."""
    assert len(sample_ring([65535] * 15 + [65534], 3, length=30)) == 30


@given(n=st.integers(1, 12))
def test_all_records_take_equal_turns_in_front(n: int) -> None:
    """With all members in the answer each is first equally often, whatever the weights, and the rest varies."""
    ring = sample_ring(range(1, n + 1), n)
    assert all(sorted(variant) == list(range(n)) for variant in ring)
    assert set(Counter(variant[0] for variant in ring).values()) == {len(ring) // n}
    assert len(set(ring)) > n or n < 4


@given(weights=_WEIGHTS)
def test_a_rank_ring_ranks_all_members(weights: list[int]) -> None:
    """Every variant is a permutation, and first places are as exact as with one record."""
    ring = rank_ring(weights)
    assert all(sorted(variant) == list(range(len(weights))) for variant in ring)
    firsts = [variant[0] for variant in ring]
    assert firsts == [first for (first,) in sample_ring(weights, 1)]


def test_the_end_of_a_long_ranking_is_not_drawn() -> None:
    """Nobody tries 32 servers: behind those, all others stand in the order of the configuration."""
    ring = rank_ring([weight % 7 + 1 for weight in range(100)])
    assert all(sorted(ranking) == list(range(100)) for ranking in ring)
    assert all(list(ranking[32:]) == sorted(ranking[32:]) for ranking in ring)
    assert len({ranking[:32] for ranking in ring}) == len({ranking[0] for ranking in ring}) == 100


@given(weights=_WEIGHTS)
@example(weights=[1, 1, 2, 1, 2])  # cells whose middles are borders of members
def test_those_that_share_a_first_spread_the_second_by_weight(weights: list[int]) -> None:
    """Within the variants of one first, the second place goes by the other weights, to less than one variant."""
    ring = rank_ring(weights)
    for first in range(len(weights)):
        seconds = Counter(variant[1] for variant in ring if variant[0] == first and len(weights) > 1)
        left = sum(weights) - weights[first]
        for index in seconds:
            assert abs(seconds[index] - Fraction(seconds.total() * weights[index], left)) < 1


@given(weights=_WEIGHTS, factor=st.integers(2, 1000), k=_RECORDS)
def test_only_the_proportions_of_weights_matter(weights: list[int], factor: int, k: int) -> None:
    """Weights 50 and 30 make the same ring as 5 and 3."""
    scaled = [weight * factor for weight in weights]
    assert sample_ring(scaled, k) == sample_ring(weights, k)
    assert rank_ring(scaled) == rank_ring(weights)


# Groups


@st.composite
def _grouped(draw: st.DrawFn) -> tuple[list[int], list[str]]:
    """Return weights, and the group of each member."""
    weights = draw(_WEIGHTS)
    return weights, [draw(st.sampled_from(["", "", "r1", "r2", "r3", "r4"])) for _ in weights]


def _by_group(values: Iterable[Fraction], groups: Sequence[str]) -> dict[str, Fraction]:
    """Return the sum of each group's values; a member without one is a group of its own."""
    sums: dict[str, Fraction] = {}
    for index, value in enumerate(values):
        group = groups[index] or f"alone {index}"
        sums[group] = sums.get(group, Fraction(0)) + value
    return sums


@given(grouped=_grouped(), k=_RECORDS)
@example(grouped=([7707, 2, 1541, 6190], ["r1", "r1", "r2", ""]), k=2)  # a cell for each of r1 would be too many
def test_groups_change_no_share(grouped: tuple[list[int], list[str]], k: int) -> None:
    """Rounding apart, and not even that where the ring is exact: first places and inclusions are the shares."""
    weights, groups = grouped
    ring, wanted = sample_ring(weights, k, groups=groups), shares(weights, k)
    k = min(k, len(weights))
    assert len(ring) == len(sample_ring(weights, k))
    assert all(len(set(variant)) == len(variant) == k for variant in ring)
    errors = [
        *_share_errors(Counter(variant[0] for variant in ring), len(ring), wanted),
        *_share_errors(Counter(chain.from_iterable(ring)), k * len(ring), wanted),
    ]
    assert max(errors) < Fraction(1, len(ring))
    exact = any(all((share * length).denominator == 1 for share in wanted) for length in range(k, 65, k))
    assert (max(errors) == 0) or not exact


@given(grouped=_grouped(), k=_RECORDS)
@example(grouped=([7707, 2, 1541, 6190], ["r1", "r1", "r2", ""]), k=2)  # a cell for each of r1 would be too many
def test_an_answer_holds_as_few_of_a_group_as_its_share_allows(grouped: tuple[list[int], list[str]], k: int) -> None:
    """One at most of a group with a share of up to 1/k; else k times the share, rounded up: less cannot be always."""
    weights, groups = grouped
    k = min(k, len(weights))
    most = {group: ceil(k * share) for group, share in _by_group(shares(weights, k), groups).items()}
    for variant in sample_ring(weights, k, groups=groups):
        held = _by_group((Fraction(index in variant) for index in range(len(weights))), groups)
        assert all(held[group] <= most[group] for group in most)


@given(grouped=_grouped(), k=_RECORDS)
def test_few_consecutive_variants_are_near_the_weights_with_groups_too(
    grouped: tuple[list[int], list[str]], k: int
) -> None:
    """Members of a group stand side by side, and are visited as evenly as others."""
    weights, groups = grouped
    ring = sample_ring(weights, k, groups=groups)
    for index in range(len(weights)):
        assert _unevenness([variant[0] == index for variant in ring]) < 4
        assert _unevenness([index in variant for variant in ring]) < 4


def test_two_racks_of_two() -> None:
    """Each answer of two holds one of each rack, and each member has both of the other rack for company."""
    pairs = Counter(frozenset(variant) for variant in sample_ring([1, 1, 1, 1], 2, groups=["r1", "r1", "r2", "r2"]))
    assert set(pairs) == {frozenset({one, other}) for one in (0, 1) for other in (2, 3)}


@given(grouped=_grouped())
def test_a_ranking_goes_round_the_groups(grouped: tuple[list[int], list[str]]) -> None:
    """First places are as without groups; behind them no group comes again while another waits that came less often."""
    weights, groups = grouped
    ring = rank_ring(weights, groups=groups)
    assert [ranking[0] for ranking in ring] == [ranking[0] for ranking in rank_ring(weights)]
    for ranking in ring:
        assert sorted(ranking) == list(range(len(weights)))
        left = [{groups[other] or f"alone {other}" for other in ranking[n:]} for n in range(len(ranking))]
        counts = Counter[str]()
        for place, index in enumerate(ranking):
            group = groups[index] or f"alone {index}"
            assert counts[group] == min(counts[other] for other in left[place])
            counts[group] += 1


def test_the_second_place_is_spread_by_weight_over_other_groups() -> None:
    """Behind a member of r1 stand those of r2, twice as often the one with twice the weight."""
    ring = rank_ring([6, 6, 4, 2], groups=["r1", "r1", "r2", "r2"])
    assert Counter(ranking[1] for ranking in ring if ranking[0] == 0) == {2: 14, 3: 7}
