"""Random numbers have the mean and the spread that they should, whichever way they are drawn."""

from math import sqrt
from random import Random
from statistics import mean, pvariance

import pytest

from dnslb.simulation.draws import binomial, poisson, split

_DRAWS = 4000


@pytest.mark.parametrize("expected", [0.0, 0.3, 5.0, 29.0, 31.0, 400.0])
def test_a_poisson_number_has_a_variance_like_its_mean(expected: float) -> None:
    """Below and above the mean from which it is drawn as a normal number."""
    random = Random(1)
    found = [poisson(random, expected) for _ in range(_DRAWS)]
    assert mean(found) == pytest.approx(expected, abs=5 * sqrt((expected or 1e-9) / _DRAWS))
    assert pvariance(found) == pytest.approx(expected, rel=0.15)
    assert min(found) >= 0


@pytest.mark.parametrize("chance", [0.0, 0.01, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("number", [0, 1, 30, 2000])
def test_a_binomial_number_has_its_mean_and_variance(number: int, chance: float) -> None:
    """Few trials, many, and many of which few succeed or few fail."""
    random = Random(2)
    found = [binomial(random, number, chance) for _ in range(_DRAWS)]
    variance = number * chance * (1 - chance)
    assert mean(found) == pytest.approx(number * chance, abs=5 * sqrt((variance or 1e-9) / _DRAWS))
    assert pvariance(found) == pytest.approx(variance, rel=0.15)
    assert 0 <= min(found) <= max(found) <= number


@pytest.mark.parametrize("number", [0, 1, 7, 1000])
def test_a_split_loses_nothing_and_follows_the_chances(number: int) -> None:
    """All parts add up to the whole, and a chance of 0 gets nothing."""
    random = Random(3)
    chances = (0.5, 0.0, 0.3, 0.2)
    found = [split(random, number, chances) for _ in range(_DRAWS)]
    assert {sum(parts) for parts in found} == {number}
    for column, chance in zip(zip(*found, strict=True), chances, strict=True):
        variance = number * chance * (1 - chance)
        assert mean(column) == pytest.approx(number * chance, abs=5 * sqrt((variance or 1e-9) / _DRAWS))
