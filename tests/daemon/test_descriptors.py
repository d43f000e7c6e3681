"""Descriptors: enough for probes whatever stalls, and a warning when they are too few."""

import pytest

from dnslb.daemon import descriptors


@pytest.mark.parametrize(("limit", "places"), [(64, 256), (1024, 512), (2512, 2000), (65536, 4096)])
def test_probes_leave_descriptors_for_others(limit: int, places: int) -> None:
    """They take what is left, within bounds."""
    assert descriptors.for_probes(limit) == places


def test_a_limit_that_is_high_enough_is_no_warning() -> None:
    """Members and listeners take one each, all else the reserve."""
    assert descriptors.shortage(266, members=7, listeners=3) == ()
    (warning,) = descriptors.shortage(265, members=7, listeners=3)
    assert "need 266 open files, and only 265" in warning
