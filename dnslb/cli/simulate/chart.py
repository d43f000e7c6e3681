"""The shares as a picture: what each member should get, and what it got, from whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dnslb.simulation.figures import Figures

_WIDTH = 0.8
"""Of a member's place, the part that its bars take."""


def available() -> bool:
    """Return whether pictures can be drawn."""
    try:
        import matplotlib.figure  # noqa: F401, PLC0415 -- an extra, and slow to import
    except ImportError:
        return False
    return True


def draw(title: str, figures: Mapping[str, Figures], path: Path) -> None:
    """Write a picture, SVG or PNG by the path's end. Raise OSError if it cannot be written."""
    from matplotlib.figure import Figure  # noqa: PLC0415 -- as above

    members = next(iter(figures.values())).members
    picture = Figure(figsize=(max(6.4, 0.4 * len(members) * len(figures)), 5.4), layout="constrained")
    axes = picture.subplots()
    width = _WIDTH / len(figures)
    for index, (label, of) in enumerate(figures.items()):
        places = [place - _WIDTH / 2 + width * (index + 0.5) for place in range(len(members))]
        shares = [100 * got.share for got in of.members.values()]
        axes.bar(places, shares, width, label=f"{label} (largest error {100 * of.largest:.1f} points)")
    for place, got in enumerate(members.values()):
        label = "wanted" if place == 0 else ""
        axes.hlines(100 * got.wanted, place - 0.45, place + 0.45, colors="black", label=label)
    axes.set_xticks(range(len(members)), list(members))
    axes.set_ylabel("share of the mail in %")
    axes.set_title(title)
    picture.legend(loc="outside lower center", ncols=2)
    picture.savefig(path)
