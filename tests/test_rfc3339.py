"""Times as text."""

import pytest

from dnslb.rfc3339 import rfc3339


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_767_225_600.25, "2026-01-01T00:00:00.250Z"),
        (None, None),
        (1e18, None),
        (float("nan"), None),
    ],
)
def test_text(at: float | None, text: str | None) -> None:
    """A Unix time is written in UTC to the millisecond; never, and what no calendar reaches, is no time at all."""
    assert rfc3339(at) == text


def test_precision() -> None:
    """Where fractions of a second say nothing, they are left out."""
    assert rfc3339(1_767_225_600.25, "seconds") == "2026-01-01T00:00:00Z"
