"""Which members a client always gets: rendezvous hashing, also called highest random weight.

Clients come in buckets by a hash of their network. In each bucket a member has a number u of its own, drawn from its
name, and members rank by -ln(u) / weight, the least first: the first of them is each as often as its weight asks for,
and those behind it likewise (a race of exponential clocks: Thaler and Ravishankar 1998, Schindelhauer and Schomaker
2005). A member's place beside another depends on these two alone. So one that leaves moves its own clients and nobody
else's, they go to all the others by weight, and it has them back when it returns; of a weight that rises or falls only
the part by which it does.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from hashlib import shake_128
from math import log
from struct import unpack

from dnslb.pool.groups import fates_among

BUCKETS = 2048
"""A power of two. Shares differ from weights by up to a point; twice as many take twice the time for 0.7 of that."""

_OCTETS = 8


def source_ring(
    names: Sequence[str], weights: Sequence[int], k: int, groups: Sequence[str] = ()
) -> tuple[tuple[int, ...], ...]:
    """Return for each bucket the best `k` members as indexes into `names`, best first.

    Weights are positive. Names decide, so that the order in which they are given does not matter. `groups` names each
    member's group, "" for none: a group comes again only when all others have come as often, or have no member left.
    """
    return _ring(tuple(names), tuple(weights), min(k, len(names)), fates_among(len(names), groups))


def source_shares(
    names: Sequence[str], weights: Sequence[int], k: int, groups: Sequence[str] = ()
) -> tuple[Fraction, ...]:
    """Return the fraction of buckets whose connections each member gets, if a client takes any of its `k` alike."""
    return _shares(tuple(names), tuple(weights), min(k, len(names)), fates_among(len(names), groups))


@lru_cache(maxsize=512)
def _shares(names: tuple[str, ...], weights: tuple[int, ...], k: int, fates: tuple[int, ...]) -> tuple[Fraction, ...]:
    held = Counter(index for variant in _ring(names, weights, k, fates) for index in variant)
    return tuple(Fraction(held[index], k * BUCKETS) for index in range(len(names)))


# Few, for with many members each takes a megabyte: enough for A and AAAA, and for several services of one pool.
@lru_cache(maxsize=32)
def _ring(
    names: tuple[str, ...], weights: tuple[int, ...], k: int, fates: tuple[int, ...]
) -> tuple[tuple[int, ...], ...]:
    columns = [_scores(name, weight) for name, weight in zip(names, weights, strict=True)]
    rows = zip(*columns, strict=True)
    if k == 1:
        single = [(index,) for index in range(len(names))]
        return tuple([single[row.index(min(row))] for row in rows])
    members = range(len(names))
    ranked = (sorted(members, key=row.__getitem__) for row in rows)
    if len(set(fates)) < len(fates):
        ranked = (_apart(ranking, fates) for ranking in ranked)
    return tuple([tuple(ranking[:k]) for ranking in ranked])


def _apart(ranking: Iterable[int], fates: Sequence[int]) -> list[int]:
    """Return the best of each group, then the second best of each, and so on."""
    came = Counter[int]()
    rounds: dict[int, int] = {}
    for index in ranking:
        rounds[index] = came[fates[index]]
        came[fates[index]] += 1
    return sorted(rounds, key=rounds.__getitem__)


def _scores(name: str, weight: int) -> list[float]:
    return [clock / weight for clock in _clocks(name)]


@lru_cache(maxsize=1024)
def _clocks(name: str) -> "array[float]":
    """Return -ln(u) of the member in each bucket.

    Its numbers u stand one in each of as many equal parts of the unit interval, in an order of its own: shares are
    nearer to the weights by a third than with numbers that know nothing of each other.
    """
    drawn = unpack(f"<{BUCKETS}Q", shake_128(name.encode()).digest(_OCTETS * BUCKETS))
    clocks = array("d", bytes(_OCTETS * BUCKETS))
    for place, bucket in enumerate(sorted(range(BUCKETS), key=drawn.__getitem__)):
        clocks[bucket] = -log((place + (drawn[bucket] + 0.5) / 2**64) / BUCKETS)
    return clocks
