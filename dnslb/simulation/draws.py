"""Random numbers: how many messages come in a time, and how many of them go each way."""

from __future__ import annotations

from math import exp, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

_MANY = 30.0
"""From this mean on, a Poisson number is drawn as a normal one: 20 times as fast, and hard to tell apart."""
_SPREAD_OUT = 9.0
"""The same for a binomial number, by its variance."""
_TRIALS = 300
"""Of more trials with a smaller variance so few succeed that their number is almost a Poisson one."""


def poisson(random: Random, mean: float) -> int:
    """Return how many of the events come that are `mean` on average, at any time with the same chance."""
    if mean > _MANY:
        return max(0, round(random.gauss(mean, sqrt(mean))))
    limit, product, count = exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count


def binomial(random: Random, number: int, chance: float) -> int:
    """Return how many of `number` trials succeed, each with this chance."""
    if chance > 0.5:  # noqa: PLR2004 -- the rarer of both is drawn
        return number - binomial(random, number, 1 - chance)
    variance = number * chance * (1 - chance)
    if variance > _SPREAD_OUT:
        return min(number, max(0, round(random.gauss(number * chance, sqrt(variance)))))
    if number > _TRIALS:
        return min(number, poisson(random, number * chance))
    return sum(random.random() < chance for _ in range(number))


def split(random: Random, number: int, chances: Sequence[float]) -> list[int]:
    """Return how many of `number` go each way. The chances add up to 1."""
    parts: list[int] = []
    left, chance_left = number, 1.0
    for chance in chances[:-1]:
        part = binomial(random, left, min(1.0, chance / chance_left)) if left and chance_left > 0 else 0
        parts.append(part)
        left -= part
        chance_left -= chance
    return [*parts, left]
