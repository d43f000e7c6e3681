"""How near shares come to weights: in one turn of the ring, and in simulated mail beside what other balancers do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from dnslb.pool.rotation import rank_ring, sample_ring, shares
from tests.bench.parts import ROOT
from tests.bench.report import figure, say, table, title

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WEIGHTS = ((5, 3, 1, 1), (50, 50), (3, 2), (100, 70, 30, 7, 1), (1, 1, 1, 1, 1, 1, 1), (997, 991, 983))
_RECORDS = (1, 2, 3)
_PROMISED = "one has 40 %, 1 record"
_SCENES = {
    _PROMISED: "--spread 40 --records 1",
    "2 records": "--spread 40 --records 2",
    "ranked MX": "--spread 40 --type MX",
    "Zipf, 1 record": "--spread zipf --records 1",
}
_COMMAND = "simulate --weights 5,3,1,1 {scene} --ttl 60 --for 15m --runs 200 --compare"
_LIMIT = 2.2


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a ring: for which weights, with how many records (0: a ranked MX), and of how many variants.

    `error` is the largest distance of a member's part of the turn from its share, as a fraction of 1.
    """

    weights: tuple[int, ...]
    records: int
    length: int
    error: Fraction

    @property
    def variants(self) -> float:
        """The error in variants of the ring."""
        return float(self.error * self.length)


def main() -> None:
    """Measure and print."""
    title("5. Shares: one turn of the ring, and simulated mail beside other balancers")
    _print_turns([_turn(weights, records) for weights in _WEIGHTS for records in _listings(weights)])
    _print_simulations({name: _simulated(scene) for name, scene in _SCENES.items()})


def _listings(weights: Sequence[int]) -> Iterator[int]:
    yield from (records for records in _RECORDS if records < len(weights))
    yield 0


def _turn(weights: tuple[int, ...], records: int) -> Turn:
    """Go round one ring, and count whom a sender comes to that takes any of the records, or the best of a ranking."""
    ring = sample_ring(weights, records) if records else rank_ring(weights)
    taken = max(records, 1)
    counts = Counter(index for variant in ring for index in variant[:taken])
    parts = [Fraction(counts[index], taken * len(ring)) for index in range(len(weights))]
    error = max(abs(part - share) for part, share in zip(parts, shares(weights, taken), strict=True))
    return Turn(weights, records, len(ring), error)


def _print_turns(turns: Sequence[Turn]) -> None:
    say(
        "One turn of a ring: the largest distance of a member's part of it from its share (0 is exact; below one\n"
        "variant is as near as a ring of that length can come):"
    )
    rows = [
        (
            ":".join(map(str, turn.weights)),
            f"records = {turn.records}" if turn.records else "ranked MX",
            str(turn.length),
            f"{turn.variants:.2f}",
            f"{100 * float(turn.error):.2f}",
        )
        for turn in turns
    ]
    table(("weights", "answers", "ring", "variants", "points"), rows)
    first = [turn for turn in turns if turn.weights == _WEIGHTS[0]]
    figure("one turn of the ring, 5:3:1:1", 100 * float(max(turn.error for turn in first)), 0, "points")
    figure("one turn of any of these rings", max(turn.variants for turn in turns), 1, "variants")


def _simulated(scene: str) -> dict[str, Any]:
    """Return what each authority makes of a scene: what `--compare --json` prints."""
    command = [sys.executable, "-m", "dnslb", *_COMMAND.format(scene=scene).split(), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(done.stdout)["compare"]
    return found


def _print_simulations(found: dict[str, dict[str, Any]]) -> None:
    say("\nThe largest error of any member in points, mean (and worst) of 200 simulated quarters of an hour:")
    for name, scene in _SCENES.items():
        say(f"  {name}: dnslb {_COMMAND.format(scene=scene)}")
    authorities = list(found[_PROMISED])
    rows = [(authority, *(_points(of[authority]) for of in found.values())) for authority in authorities]
    table(("answers by", *found), rows)
    figure(
        f"{authorities[0]}, {_PROMISED}, TTL 60",
        100 * found[_PROMISED][authorities[0]]["largest_error"],
        _LIMIT,
        "points",
    )


def _points(of: dict[str, Any]) -> str:
    return f"{100 * of['largest_error']:.1f} ({100 * of['worst_error']:.1f})"
