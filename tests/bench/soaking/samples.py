"""What a soak measures of the daemon's processes, how that is shown, and what it says of growth."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from tests.bench import machine
from tests.bench.report import figure, say, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

GROWTH_LIMIT = 2.0
_WARM_UP = 1 / 3
"""Part of a run in which tables fill and ten minutes of history come together."""
_FIFTH = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at all processes, by name; `state` is the size of what is kept on disk in MB."""

    at: float
    memory: Mapping[str, machine.Memory]
    descriptors: Mapping[str, int]
    threads: Mapping[str, int]
    state: float


@dataclass(frozen=True, slots=True)
class Watch:
    """The processes that are looked at, by name, their state directory, and what has been seen."""

    processes: Mapping[str, int]
    state: Path
    samples: list[Sample] = field(default_factory=list)

    def look(self) -> Sample:
        """Take a sample and return it."""
        sample = Sample(
            at=time.monotonic(),
            memory={name: machine.memory(pid) for name, pid in self.processes.items()},
            descriptors={name: machine.descriptors(pid) for name, pid in self.processes.items()},
            threads={name: machine.threads(pid) for name, pid in self.processes.items()},
            state=sum(map(_size, self.state.iterdir())) / 1e6,
        )
        self.samples.append(sample)
        return sample


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # another file has just taken its place


_HEADS = ("min", "USS MB", "descriptors", "threads", "state MB", "answers", "lost", "wrong", "reloads", "changes")
_WIDTHS = (6, 24, 14, 9, 9, 9, 5, 6, 8, 8)


def say_heads() -> None:
    """Begin the table over time: it grows while the soak runs, so its widths are given."""
    _say_cells(_HEADS)


def say_row(seconds: float, sample: Sample, counts: Iterable[int]) -> None:
    """Print what a sample says, of the controller and of each worker, and what has been counted until then."""
    of_processes = (
        " ".join(f"{used.uss:.1f}" for used in sample.memory.values()),
        " ".join(map(str, sample.descriptors.values())),
        " ".join(map(str, sample.threads.values())),
    )
    _say_cells((f"{seconds / 60:.1f}", *of_processes, f"{sample.state:.2f}", *map(str, counts)))


def _say_cells(cells: Sequence[str]) -> None:
    say("  " + "".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True)))


def conclude(samples: Sequence[Sample]) -> None:
    """Print what grew from the first to the last fifth of the samples after the warm-up.

    By the medians; but by the lower quartiles of descriptors: others come and go with connections and probes, and all
    idle clients may have gone for a moment.
    """
    warm = samples[int(_WARM_UP * len(samples)) :]
    if len(warm) < _FIFTH:
        say("\ntoo short to tell what grows")
        return
    readings = [_readings(sample) for sample in warm]
    fifth = len(warm) // _FIFTH
    first, last = readings[:fifth], readings[-fifth:]
    minutes = (warm[-1].at - warm[0].at) / 60
    say(f"\nafter the warm-up, {minutes:.1f} minutes: medians of the first and the last fifth ({fifth} samples each),")
    say("and the lower quartiles of the numbers of descriptors in them")
    grown = {what: (_typical(what, first), _typical(what, last)) for what in first[0]}
    rows = [(what, *map("{:.2f}".format, both), f"{_percent(*both):+.2f}") for what, both in grown.items()]
    table(("", "first", "last", "growth %"), rows)
    for what, both in grown.items():
        if "USS" in what or what == _ALL_DESCRIPTORS:
            figure(f"growth of {what}", _percent(*both), GROWTH_LIMIT, "%")


_ALL_DESCRIPTORS = "descriptors of all"


def _readings(sample: Sample) -> dict[str, float]:
    """Return all numbers of a sample by their names."""
    readings: dict[str, float] = {}
    for name, used in sample.memory.items():
        readings |= {f"{name}, {kind.upper()} MB": getattr(used, kind) for kind in ("uss", "pss", "rss")}
        readings[f"{name}, descriptors"] = sample.descriptors[name]
        readings[f"{name}, threads"] = sample.threads[name]
    readings["state directory, MB"] = sample.state
    readings[_ALL_DESCRIPTORS] = sum(sample.descriptors.values())
    return readings


def _typical(what: str, readings: Sequence[Mapping[str, float]]) -> float:
    values = [each[what] for each in readings]
    return sorted(values)[len(values) // 4] if "descriptors" in what else median(values)


def _percent(before: float, after: float) -> float:
    return 100 * (after / before - 1)
