"""How far shares are off to be expected, from who asks how often: arithmetic where `figures` runs it.

What is expected is by queries: a network counts for the mail that its part of the queries stands for, and is taken for
one cache, which asks again when the TTL is over. A cache asks once per TTL however much mail is behind it, so one that
much mail is behind makes shares worse than this says; a network of many caches makes them better.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import lru_cache
from itertools import accumulate
from math import sqrt
from operator import sub
from typing import TYPE_CHECKING, NamedTuple

from dnslb.answer.sources import bucket_of
from dnslb.answer.variants import first_choices
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
    """A network that asks: its fraction of all queries, and how many these are in a second.

    `prefix` is empty where it is not known; so many of them are alike then.
    """

    share: float
    per_second: float
    prefix: bytes = b""
    alike: float = 1.0


class Error(NamedTuple):
    """The largest error of any member, as a fraction of all mail, on average; and whose share is off most."""

    largest: float
    member: str


def askers_of(summary: Summary) -> tuple[Asker, ...]:
    """Return who asks. What is not known of anybody for certain comes from as large networks as may be."""
    if not summary.seen or not summary.seconds:
        return ()
    sure = [(entry.number - entry.error, entry.prefix, 1.0) for entry in summary.entries if entry.number > entry.error]
    rest = summary.seen - sum(number for number, _, _ in sure)
    if rest > 0 and summary.missed:
        sure.append((summary.missed, b"", rest / summary.missed))
    return tuple(
        Asker(number / summary.seen, number / summary.seconds, prefix, alike) for number, prefix, alike in sure
    )


def effective(askers: Iterable[Asker]) -> float | None:
    """Return how many networks of one size would be as even as these, None if nobody asks."""
    squares = sum(asker.alike * asker.share**2 for asker in askers)
    return 1 / squares if squares else None


def expected_error(
    service: Service, selection: Selection, askers: Sequence[Asker], ttl: float, walks: int = 1
) -> Error | None:
    """Return how far shares are off after SECONDS; None if nobody asks, or there is nobody to send mail to.

    A network's queries come to so many workers by chance, each of which has it go round the ring in a walk of its own.
    Where clients go by source it is how far they are off for as long as the same networks ask.
    """
    choices = best_tier(selection.published)
    if not choices or not askers:
        return None
    variants = first_choices(service, selection)
    if not variants:
        return Error(0.0, choices[0].member.name)
    if selection.by_source:
        largest, place = _by_source(variants, askers)
    else:
        largest, place = _by_turn(variants, _loads(askers, ttl, walks))
    return Error(largest, choices[place].member.name)


_Variants = tuple[tuple[int, ...], ...]
"""The members of each variant, by their places in the pool."""


def _by_source(variants: _Variants, askers: Iterable[Asker]) -> tuple[float, int]:
    """Return the largest error and whose it is: networks that always get the same variant, whatever their size.

    Of those that are not known, which are small, each member has its proportion.
    """
    known = [asker for asker in askers if asker.prefix]
    off: Counter[int] = Counter()
    even = sum(asker.share for asker in known) / len(variants)
    for variant in variants:
        off.subtract(dict.fromkeys(variant, even))
    for asker in known:
        off.update(dict.fromkeys(variants[bucket_of(asker.prefix)], asker.share))
    worst = max(off, key=lambda place: abs(off[place]))
    return abs(off[worst]) / len(variants[0]), worst


def _by_turn(variants: _Variants, loads: Mapping[int, float]) -> tuple[float, int]:
    """Return the largest error and whose it is: networks that go round the ring, each from anywhere on it.

    A network gets as many consecutive variants as it gets answers. Where they begin is independent: squares add up.
    """
    each_in = Counter(place for variant in variants for place in variant)
    looked_at = tuple(place for place, _ in each_in.most_common(_MOST_MEMBERS))
    largest, each = 0.0, [0.0] * len(looked_at)
    for answers, load in loads.items():
        deviations = _deviations(variants, looked_at, answers)
        largest += load * deviations.largest**2
        each = [before + load * deviation**2 for before, deviation in zip(each, deviations.each, strict=True)]
    return sqrt(largest), looked_at[each.index(max(each))]


def _loads(askers: Iterable[Asker], ttl: float, walks: int) -> Mapping[int, float]:
    """Return the squares of the askers' shares, added up by how many answers each walk gets.

    Of those that ask less than once in the time only some do: each answer is for as much mail the more.
    """
    loads: defaultdict[int, float] = defaultdict(float)
    for share, per_second, _, alike in askers:
        asked = per_second * SECONDS
        held = max(1.0, SECONDS / ttl) if ttl else asked
        answers = max(1.0, min(asked, held))
        parts = min(walks, answers)
        loads[round(answers / parts)] += alike * share**2 / parts / min(1.0, asked)
    return loads


class _Deviations(NamedTuple):
    """How far members of a ring are off, on average over all beginnings: the furthest of them, and each."""

    largest: float
    each: tuple[float, ...]


# Each keeps its ring, of ten kilobytes and more.
@lru_cache(maxsize=1024)
def _deviations(variants: _Variants, looked_at: tuple[int, ...], answers: int) -> _Deviations:
    """Return how far members are off in so many consecutive variants, as fractions of what these give."""
    picks = answers * len(variants[0])
    # Whole turns are exact.
    off = [_off(member, answers % len(member)) for member in _presences(variants, looked_at)]
    return _Deviations(_mean(map(max, *off)) / picks, tuple(_mean(member) / picks for member in off))


@lru_cache(maxsize=256)
def _presences(variants: _Variants, looked_at: tuple[int, ...]) -> tuple[tuple[bool, ...], ...]:
    """Return for each member that is looked at in which variants it is."""
    return tuple(tuple(place in variant for variant in variants) for place in looked_at)


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
