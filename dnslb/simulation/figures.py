"""Many runs, and how far they are from what is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

from dnslb.answer.service import steps_of
from dnslb.answer.variants import service_shares
from dnslb.simulation.authorities import Authority, Workers, authority
from dnslb.simulation.faults import Fault, Rules, epochs_of
from dnslb.simulation.traffic import Counts, Crowd, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dnslb.answer.service import Service
    from dnslb.pool.health import Thresholds
    from dnslb.pool.member import Pool
    from dnslb.simulation.faults import Epoch


@dataclass(frozen=True, slots=True)
class Scene:
    """What is simulated: a service and its pool, how it is probed, who sends, what breaks, and for how many seconds.

    Senders are all in one view: the members have the addresses that they get there, and the service has none.
    """

    service: Service
    pool: Pool
    thresholds: Thresholds
    crowd: Crowd
    duration: float
    faults: tuple[Fault, ...] = ()
    workers: Workers = field(default_factory=Workers)
    epochs: tuple[Epoch, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rules = Rules(self.pool, self.thresholds, steps_of([self.service])[self.service.pool])
        epochs = epochs_of(rules, self.faults, self.duration)
        object.__setattr__(self, "epochs", epochs)


@dataclass(frozen=True, slots=True)
class Got:
    """What a member was to get and got, as fractions of the mail that was taken.

    `share` is the mean over the runs, `error` the mean of its distance from `wanted` in each. `refused` is the mean
    number of connections that it refused.
    """

    wanted: float
    share: float
    error: float
    refused: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of all runs: means over them, but for the `worst` of the largest errors of any member."""

    members: Mapping[str, Got]
    largest: float
    worst: float
    messages: float
    deferred: float
    queries: float


def wanted_of(scene: Scene) -> dict[str, float]:
    """Return the share that each member should have over the run: what `status` would show, on average."""
    wanted = {member.name: 0.0 for member in scene.pool.members}
    ends = [*(epoch.begin for epoch in scene.epochs), scene.duration]
    for epoch, (begin, end) in zip(scene.epochs, pairwise(ends), strict=True):
        for member, share in service_shares(scene.service, epoch.selection).items():
            wanted[member] += float(share) * (end - begin) / scene.duration
    return wanted


def simulate(
    scene: Scene,
    kind: Authority = Authority.DNSLB,
    *,
    seed: int = 1,
    runs: int = 20,
    after_run: Callable[[], None] = lambda: None,
) -> Figures:
    """Return the figures of so many runs. The same seed gives the same figures."""
    counts = []
    for run in range(runs):
        counts.append(one_run(scene, kind, Random(f"{seed} {run}")))  # noqa: S311 -- a simulation, to be repeated
        after_run()
    return _figures(wanted_of(scene), counts)


def one_run(scene: Scene, kind: Authority, random: Random) -> Counts:
    """Return what came of one run."""
    ask = authority(kind, scene.service, scene.epochs, random, scene.workers)
    return Run(scene.service, scene.epochs, scene.crowd, ask, random).go(scene.duration)


def _figures(wanted: Mapping[str, float], runs: Sequence[Counts]) -> Figures:
    shares = [{name: run.taken[name] / (run.taken.total() or 1) for name in wanted} for run in runs]
    largest = [max(abs(of[name] - wanted[name]) for name in wanted) for of in shares]
    return Figures(
        members={
            name: Got(
                wanted=wanted[name],
                share=_mean(of[name] for of in shares),
                error=_mean(abs(of[name] - wanted[name]) for of in shares),
                refused=_mean(run.refused[name] for run in runs),
            )
            for name in wanted
        },
        largest=_mean(largest),
        worst=max(largest),
        messages=_mean(run.taken.total() + run.deferred for run in runs),
        deferred=_mean(run.deferred for run in runs),
        queries=_mean(run.queries for run in runs),
    )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
