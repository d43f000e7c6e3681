"""Time spans as people read them."""

import pytest

from dnslb.cli.output import duration, remaining


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0.9, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (599, "9m59s"),
        (3_600, "1h"),
        (3_630, "1h"),
        (7_199, "1h59m"),
        (137_000, "1d14h"),
        (86_460, "1d"),
    ],
)
def test_what_has_lasted_is_told_in_two_units(seconds: float, text: str) -> None:
    """Nearly two hours are not one; what is smaller than both units is left out."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.1, "1s"),
        (28, "28s"),
        (598.2, "9m59s"),
        (3_599.5, "1h"),
        (7_080, "1h58m"),
        (7_080.1, "1h59m"),
        (7_199.9, "2h"),
        (86_399, "1d"),
        (136_801, "1d15h"),
    ],
)
def test_what_is_still_to_come_is_never_told_too_short(seconds: float, text: str) -> None:
    """Who was told two hours and comes back then finds it over."""
    assert remaining(seconds) == text
