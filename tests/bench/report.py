"""What a benchmark prints: tables, and figures with their limits."""

from __future__ import annotations

import sys
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def say(text: str = "") -> None:
    """Print a line now, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def title(text: str) -> None:
    """Begin a benchmark's part of the output."""
    say(f"\n=== {text}")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below their heads: the first column to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    for row in (heads, *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        say("  " + "  ".join(cells).rstrip())


def figure(what: str, value: float, limit: float, unit: str) -> None:
    """Print a measured value beside the limit that it must not exceed."""
    word = "ok" if value <= limit else "MISSED"
    say(f"figure: {what}: {value:.3g} {unit}   limit: {limit:g} {unit}   {word}")


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Return the median with the least and the greatest value."""
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"
