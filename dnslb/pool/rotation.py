"""In which order members are answered: rings of variants whose one turn gives each member its share.

A ring is compiled from weights when they change; a query takes the variant of its turn. Shuffling senders, rotating
resolvers and sorting stub resolvers leave only two things standing: which members an answer holds (`sample_ring`) and
the preferences they are given (`rank_ring`).

Both rings lay the members side by side on a circle of cells, each member as many cells as its share asks for, and
visit the cells with a step near which no small fraction lies, as with the golden ratio. So any few consecutive variants
are already close to the weights, and so is every second one, which is what counts where the A and AAAA lookups of one
client alternate. Integers only: equal weights give equal rings on every machine.

Members of a group (a rack, a site) die together, so an answer should hold different groups. They stand side by side on
the circle: as long as a group has no more cells than lie between two records of an answer, no answer meets it twice,
and a larger one is met as evenly as can be. A group's share decides that, so it changes nobody's.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from math import gcd

from dnslb.pool.groups import fates_among

_DEEPEST = 32
"""So many places of a ranking are drawn by weight. No sender tries as many, and a thousand would take ten seconds."""
_FINE = 32
_FRACTION = 2**_FINE - 1
"""Bits of a point's fraction, and their mask: finer than 16-bit weights can tell apart on a ring."""


def shares(weights: Sequence[int], k: int) -> tuple[Fraction, ...]:
    """Return the fraction of new connections each member gets when answers hold `k` of them; the sum is 1.

    Members are in an answer with probability min(1, c * weight), c such that these add up to `k`: each gets its
    weight's share, except that none gets more than 1/k, and the surplus goes to the others in proportion. Weights are
    positive.
    """
    k = min(k, len(weights))
    capped, open_records, open_weight = _cap(weights, k)
    return tuple(
        Fraction(1, k) if index in capped else Fraction(open_records * weight, k * open_weight)
        for index, weight in enumerate(weights)
    )


def sample_ring(
    weights: Sequence[int], k: int, length: int = 64, groups: Sequence[str] = ()
) -> tuple[tuple[int, ...], ...]:
    """Return variants of `k` distinct indexes into `weights` each; the first is what a first-taking client uses.

    This is systematic sampling with inclusion probability proportional to size: over one turn of the ring each member's
    count, both in first place and divided by `k` over all places, is its share (see `shares`) of the ring to less than
    one variant, and exactly where the reduced weights divide a ring of at most `length` variants. A share below one
    variant is rounded up where there is room. The ring is longer than `length` only if `k` or the members are more.

    `groups` names each member's group, "" for none. A variant holds at most k times a group's share of its members,
    rounded up: never two of a group whose share is at most 1/k.
    """
    fates = fates_among(len(weights), groups)
    if k >= len(weights):
        return _ranked((1,) * len(weights), fates, length)
    return _sampled(_reduced(weights), fates, k, length)


def rank_ring(weights: Sequence[int], length: int = 64, groups: Sequence[str] = ()) -> tuple[tuple[int, ...], ...]:
    """Return variants that each rank all of `weights`, best first.

    Over one turn each member is first as often as its weight asks for, to less than one variant (exactly as in
    `sample_ring` for one record); those that share a first spread the second place by the remaining weights, and so on.
    With `groups` (see `sample_ring`) a group comes again only when all others have had a place, or have no member left.
    """
    return _ranked(_reduced(weights), fates_among(len(weights), groups), length)


def _reduced(weights: Sequence[int]) -> tuple[int, ...]:
    divisor = gcd(*weights)
    return tuple(weight // divisor for weight in weights)


def _cap(weights: Sequence[int], k: int) -> tuple[frozenset[int], int, int]:
    """Return the members that are in every answer, and the records and the weight that are left for the others."""
    left = sum(weights)
    capped: list[int] = []
    for index in sorted(range(len(weights)), key=lambda i: -weights[i]):
        if (k - len(capped)) * weights[index] < left or len(capped) == k:
            break
        capped.append(index)
        left -= weights[index]
    return frozenset(capped), k - len(capped), left


@lru_cache(maxsize=512)
def _sampled(weights: tuple[int, ...], fates: tuple[int, ...], k: int, length: int) -> tuple[tuple[int, ...], ...]:
    slots = _slots(weights, fates, k, length)
    # One record has no companions that should vary: a single long lap is the more even one.
    laps = 1 if k == 1 else gcd(sum(slots) // k, *slots)
    variants: list[tuple[int, ...]] = []
    for lap in range(laps):
        variants += _lap([count // laps for count in slots], _order(fates, lap), k)
    return tuple(variants)


def _lap(slots: Sequence[int], order: Iterable[int], k: int) -> list[tuple[int, ...]]:
    """Return the variants of once round a circle, on which the members stand in an order of this lap's own.

    Different orders give a member different companions: if it dies, what caches hold of it goes to all the others.
    """
    twice = [index for index in order for _ in range(slots[index])] * 2
    size = len(twice) // 2
    # No member has more cells than this stride, so that no variant meets it twice.
    stride = size // k
    return [tuple(twice[cell : cell + size : stride]) for cell in _visits(size, stride)]


def _order(fates: Sequence[int], lap: int) -> list[int]:
    """Return an order of the members that is each lap's own, groups side by side: hashed, but as found in the first."""
    return sorted(range(len(fates)), key=lambda index: (_key(fates[index], lap), _key(index, lap)))


def _key(index: int, lap: int) -> bytes:
    return index.to_bytes(8, "big") if lap == 0 else blake2b(b"%d %d" % (lap, index), digest_size=8).digest()


def _slots(weights: tuple[int, ...], fates: tuple[int, ...], k: int, length: int) -> list[int]:
    """Return how many cells of the circle each member gets: its quota, rounded up or down.

    A group gets no more than one stride, or than its own quota rounded up if that is more.
    """
    capped, open_records, open_weight = _cap(weights, k)
    unit = _exact_stride([w for i, w in enumerate(weights) if i not in capped], open_records)
    stride = _stride(unit, max(length, len(weights)) // k)
    # In parts of a cell, of which `parts` make one: a whole stride of them for who is in every answer.
    parts = open_weight or 1
    quotas = [
        stride * parts if index in capped else weight * open_records * stride for index, weight in enumerate(weights)
    ]
    by_group: Counter[int] = Counter()
    for fate, quota in zip(fates, quotas, strict=True):
        by_group[fate] += quota
    room = {fate: max(stride, -(-quota // parts)) for fate, quota in by_group.items()}
    return _rounded([divmod(quota, parts) for quota in quotas], k * stride, fates, room)


def _exact_stride(weights: Sequence[int], records: int) -> int:
    """Return the least stride (cells per record) with which every quota is a whole number."""
    if not weights:
        return 1
    total = sum(weights) // gcd(*weights)
    return total // gcd(total, records)


def _stride(unit: int, longest: int) -> int:
    """Return as many whole units as fit, since a long ring serves every second query evenly too; else `longest`."""
    return longest // unit * unit or max(longest, 1)


def _rounded(quotas: Sequence[tuple[int, int]], total: int, fates: Sequence[int], room: Mapping[int, int]) -> list[int]:
    """Give the cells that are left to members that have none yet, then to the largest remainders.

    A group that has no `room` for more is passed over. Never all of them: the cells that are left are as many as the
    remainders add up to, and those of each group find room in it.
    """
    slots = [whole for whole, _ in quotas]
    free = Counter(room)
    for fate, whole in zip(fates, slots, strict=True):
        free[fate] -= whole
    left = total - sum(slots)
    claims = sorted((whole > 0, -remainder, index) for index, (whole, remainder) in enumerate(quotas) if remainder)
    for _, _, index in claims:
        if left and free[fates[index]]:
            slots[index] += 1
            free[fates[index]] -= 1
            left -= 1
    return slots


@lru_cache(maxsize=512)
def _visits(size: int, stride: int) -> tuple[int, ...]:
    """Return the cells 0 .. size - 1 in the order of visits, evenly spread both over `size` and modulo `stride`."""
    steps = (step for step in range(1, size + 1) if gcd(step, size) == 1)
    best = min(steps, key=lambda step: (max(_lumpiness(step, size), _lumpiness(step, stride)), -step))
    return tuple(turn * best % size for turn in range(size))


def _lumpiness(step: int, size: int) -> int:
    """Return the largest partial quotient of step / size.

    The smaller it is, the more evenly any number of consecutive multiples of the step lie on a circle of that size (the
    golden ratio has only ones).
    """
    below, above, largest = step % size, size, 0
    while below:
        largest = max(largest, above // below)
        below, above = above % below, below
    return largest


@lru_cache(maxsize=512)
def _ranked(weights: tuple[int, ...], fates: tuple[int, ...], length: int) -> tuple[tuple[int, ...], ...]:
    mates = _mates(fates)
    circle = [
        _ranking(weights, mates, first, _middle(cell, count))
        for first, count in enumerate(_slots(weights, fates, 1, length))
        for cell in range(count)
    ]
    return tuple(circle[cell] for cell in _visits(len(circle), len(circle)))


def _mates(fates: Sequence[int]) -> list[frozenset[int]]:
    """Return the others of each member's group."""
    groups: defaultdict[int, set[int]] = defaultdict(set)
    for index, fate in enumerate(fates):
        groups[fate].add(index)
    return [frozenset(groups[fate] - {index}) for index, fate in enumerate(fates)]


def _middle(cell: int, count: int) -> int:
    """Return the middle of one of `count` equal cells of the unit interval, in `_FINE` bits."""
    # Rounded up, so that a middle on the border of two members stays with the one whose part begins there.
    return -(-(2 * cell + 1 << _FINE) // (2 * count))


def _ranking(weights: tuple[int, ...], mates: Sequence[frozenset[int]], first: int, point: int) -> tuple[int, ...]:
    """Rank the members behind `first` by unfolding a point of the unit interval (an integer of `_FINE` bits).

    The members that are left share the interval by weight; the one that holds the point comes next, and the point's
    place within its part is the point for the ones after it (arithmetic decoding). The `mates` of one that has come,
    the others of its group, wait until nobody else is left. The last ones of many stand as configured.
    """
    ranking = [first]
    left, parts = list(range(len(weights))), list(weights)
    waiting: list[int] = []
    del left[first], parts[first]
    total = sum(parts)
    while (len(left) > 1 or waiting) and len(ranking) < _DEEPEST:
        # Most members are alone, and go on with what is left of the round.
        if mates[ranking[-1]] or not left:
            left, waiting = _round(left, waiting, mates[ranking[-1]])
            parts = [weights[index] for index in left]
            total = sum(parts)
        point *= total
        whole = point >> _FINE
        place = 0
        while whole >= parts[place]:
            whole -= parts[place]
            place += 1
        part = parts.pop(place)
        ranking.append(left.pop(place))
        point = (whole << _FINE | point & _FRACTION) // part
        total -= part
    return (*ranking, *left, *waiting)


def _round(left: list[int], waiting: list[int], mates: frozenset[int]) -> tuple[list[int], list[int]]:
    """Return who may come next, and who has to wait for the next round, once one with these mates has come."""
    waiting = waiting + [index for index in left if index in mates]
    left = [index for index in left if index not in mates]
    return (left, waiting) if left else (sorted(waiting), [])
