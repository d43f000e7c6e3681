"""How far shares are off to be expected, from who asks how often: arithmetic where `figures` runs it.

What is expected is by queries: a network counts for the mail that its part of the queries stands for, and is taken for
one cache, which asks again when the TTL is over. A cache asks once per TTL however much mail is behind it, so one that
much mail is behind makes shares worse than this says; a network of many caches makes them better.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from itertools import accumulate
from math import sqrt
from operator import sub
from typing import TYPE_CHECKING, NamedTuple

from dnslb.answer.service import Preference, ServiceType
from dnslb.pool.rotation import sample_ring
from dnslb.pool.selection import best_tier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dnslb.answer.service import Service
    from dnslb.answer.sketch import Summary
    from dnslb.pool.selection import Selection

SECONDS = 900.0
"""The time after which shares are looked at."""
_MOST_MEMBERS = 16
"""Of larger pools so many members are looked at, those with most weight: it is they who get most mail too much."""


class Asker(NamedTuple):
    """Who asks: a fraction of all queries, how many these are in a second, and how many networks are alike."""

    share: float
    per_second: float
    number: float = 1.0


class Error(NamedTuple):
    """The largest error of any member, as a fraction of all mail, on average; and whose share is off most."""

    largest: float
    member: str


def askers_of(summary: Summary) -> tuple[Asker, ...]:
    """Return who asks. What is not known of anybody for certain comes from as large networks as may be."""
    if not summary.seen or not summary.seconds:
        return ()
    sure = [entry.number - entry.error for entry in summary.entries]
    rest = summary.seen - sum(sure)
    known = [(number, 1.0) for number in sure if number > 0]
    alike = [(summary.missed, rest / summary.missed)] if summary.missed and rest > 0 else []
    return tuple(
        Asker(number / summary.seen, number / summary.seconds, networks) for number, networks in (*known, *alike)
    )


def effective(askers: Iterable[Asker]) -> float | None:
    """Return how many networks of one size would be as even as these, None if nobody asks."""
    squares = sum(asker.number * asker.share**2 for asker in askers)
    return 1 / squares if squares else None


def expected_error(service: Service, selection: Selection, askers: Iterable[Asker], ttl: float) -> Error | None:
    """Return how far shares are off after SECONDS; None if there is nobody to send mail to.

    Each network is somewhere on its way round the ring, and takes as many consecutive variants as it gets answers. The
    members of a variant get the same. Networks are where they are independently: the squares of their parts add up.
    """
    choices = best_tier(selection.published)
    if not choices:
        return None
    ring = _Ring(tuple(choice.weight for choice in choices), _chosen_from(service, len(choices)))
    largest, each = 0.0, [0.0] * len(_looked_at(ring))
    for answers, load in _loads(askers, ttl).items():
        deviations = _deviations(ring, answers)
        largest += load * deviations.largest**2
        each = [sum_ + load * deviation**2 for sum_, deviation in zip(each, deviations.each, strict=True)]
    worst = _looked_at(ring)[each.index(max(each))]
    return Error(sqrt(largest), choices[worst].member.name)


def _loads(askers: Iterable[Asker], ttl: float) -> Mapping[int, float]:
    """Return the squares of the askers' shares, added up by how many answers each gets.

    Of those that ask less than once in the time only some do: each answer is for as much mail the more.
    """
    loads: defaultdict[int, float] = defaultdict(float)
    for share, per_second, number in askers:
        asked = per_second * SECONDS
        held = max(1.0, SECONDS / ttl) if ttl else asked
        loads[max(1, round(min(asked, held)))] += number * share**2 / min(1.0, asked)
    return loads


class _Ring(NamedTuple):
    """What a ring is made from: the weights, and among how many members of a variant a client chooses."""

    weights: tuple[int, ...]
    chosen_from: int


def _chosen_from(service: Service, members: int) -> int:
    """Return among how many members a client chooses. SRV records and lists of all members are always the same."""
    if service.type is ServiceType.SRV:
        return members
    ranked = service.type is ServiceType.MX and service.preference is Preference.RANKED
    return 1 if ranked else min(service.records or members, members)


def _looked_at(ring: _Ring) -> Sequence[int]:
    """Return the members that are looked at."""
    return sorted(range(len(ring.weights)), key=lambda index: -ring.weights[index])[:_MOST_MEMBERS]


class _Deviations(NamedTuple):
    """How far the largest members of a ring are off, on average over all beginnings: the furthest, and each."""

    largest: float
    each: tuple[float, ...]


@lru_cache(maxsize=4096)
def _deviations(ring: _Ring, answers: int) -> _Deviations:
    """Return how far members are off in so many consecutive variants, as fractions of what these give."""
    if ring.chosen_from >= len(ring.weights):
        return _Deviations(0.0, (0.0,) * len(_looked_at(ring)))
    # Whole turns are exact.
    off = [_off(member, answers % len(member)) for member in _presences(ring)]
    picks = answers * ring.chosen_from
    return _Deviations(_mean(map(max, *off)) / picks, tuple(_mean(member) / picks for member in off))


@lru_cache(maxsize=256)
def _presences(ring: _Ring) -> tuple[tuple[bool, ...], ...]:
    """Return for each of the largest members in which variants of the ring it is."""
    # Those that are first in a ranking are those of a ring with one record.
    variants = [frozenset(variant) for variant in sample_ring(ring.weights, ring.chosen_from)]
    return tuple(tuple(member in variant for variant in variants) for member in _looked_at(ring))


def _off(presence: Sequence[bool], window: int) -> list[float]:
    """Return how far from its mean a member's number in a window is, for each beginning of the window on the ring."""
    length = len(presence)
    twice = (*presence, *presence)
    mean = sum(presence) * window / length
    # Moved on by one, a window gains what is behind its end and loses what it began with.
    moves = map(sub, twice[window : window + length - 1], twice)
    return [abs(number - mean) for number in accumulate(moves, initial=sum(twice[:window]))]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
