"""What a soak measures of the daemon's processes, how that is shown, and what it says of growth."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from tests.bench import machine
from tests.bench.report import figure, say, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

GROWTH_LIMIT = 2.0
_WARM_UP = 1 / 3
"""Part of a run in which tables fill and ten minutes of history come together."""
_FIFTH = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at all processes, by name; `database` in MB."""

    at: float
    memory: Mapping[str, machine.Memory]
    descriptors: Mapping[str, int]
    threads: Mapping[str, int]
    database: float


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
            database=sum(path.stat().st_size for path in self.state.glob("state.db*")) / 1e6,
        )
        self.samples.append(sample)
        return sample


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
    _say_cells((f"{seconds / 60:.1f}", *of_processes, f"{sample.database:.2f}", *map(str, counts)))


def _say_cells(cells: Sequence[str]) -> None:
    say("  " + "".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True)))


_VALUES: dict[str, Callable[[Sample, str], float]] = {
    "USS MB": lambda sample, name: sample.memory[name].uss,
    "PSS MB": lambda sample, name: sample.memory[name].pss,
    "RSS MB": lambda sample, name: sample.memory[name].rss,
    "descriptors": lambda sample, name: sample.descriptors[name],
    "threads": lambda sample, name: sample.threads[name],
}
"""What is compared of each process."""


def conclude(samples: Sequence[Sample]) -> None:
    """Print what grew from the first to the last fifth of the samples after the warm-up, by their medians."""
    warm = samples[int(_WARM_UP * len(samples)) :]
    if len(warm) < _FIFTH:
        say("\ntoo short to tell what grows")
        return
    first, last = warm[: len(warm) // _FIFTH], warm[-(len(warm) // _FIFTH) :]
    grown = {
        f"{name}, {what}": _medians(first, last, lambda sample, name=name, value=value: value(sample, name))  # type: ignore[misc]  # loop variables
        for name in first[0].memory
        for what, value in _VALUES.items()
    }
    grown["state database, MB"] = _medians(first, last, lambda sample: sample.database)
    grown["descriptors of all"] = _medians(first, last, lambda sample: sum(sample.descriptors.values()))
    minutes = (warm[-1].at - warm[0].at) / 60
    say(
        f"\nafter the warm-up, {minutes:.1f} minutes: medians of their first and last fifth ({len(first)} samples each)"
    )
    rows = [(what, *map("{:.2f}".format, both), f"{_percent(*both):+.2f}") for what, both in grown.items()]
    table(("", "first", "last", "growth %"), rows)
    for what, both in grown.items():
        if "USS" in what or what == "descriptors of all":
            figure(f"growth of {what}", _percent(*both), GROWTH_LIMIT, "%")


def _medians(first: Sequence[Sample], last: Sequence[Sample], value: Callable[[Sample], float]) -> tuple[float, float]:
    return median(map(value, first)), median(map(value, last))


def _percent(before: float, after: float) -> float:
    return 100 * (after / before - 1)
