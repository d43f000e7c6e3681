"""The figures for people and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dnslb.cli.output import Column, bar, duration, plain, table
from dnslb.pool.member import Policy
from dnslb.simulation.answers import ring_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dnslb.answer.service import Ttl
    from dnslb.simulation.authorities import Authority
    from dnslb.simulation.figures import Figures, Scene
    from dnslb.simulation.traffic import Crowd

_MEMBERS = (
    Column("MEMBER"),
    Column("WANTED", right=True),
    Column("SHARE", right=True),
    Column("ERROR", right=True),
    Column(""),
)
_COMPARED = (Column("ANSWERS BY"), Column("ERROR", right=True), Column("WORST RUN", right=True))
_FEW = 8
"""So many members have a column of their own."""


def headline(name: str, scene: Scene, runs: int) -> str:
    """Return what is simulated, in two lines."""
    service, crowd = scene.service, scene.crowd
    senders = ", ".join(
        f"{sender} {part:g}" if len(crowd.senders) > 1 else sender for sender, part in crowd.senders.items()
    )
    whose = " by the client's network" if scene.pool.policy is Policy.SOURCE_HASH else ""
    members = f"{_listed(scene)} of {len(scene.pool.members)} members in an answer{whose}"
    return plain(f"{name}: {members}, TTL {_ttl(service.ttl)} s") + (
        f"\n{crowd.resolvers} resolvers ({crowd.kind}, {_spread(crowd)}), senders: {senders}, {crowd.rate:g} messages"
        f" a second for {duration(scene.duration)}; " + (f"mean of {runs} runs" if runs > 1 else "one run")
    )


def _listed(scene: Scene) -> str:
    """Return how many members an answer holds while all are up: no more than there are, and none without weight."""
    most = max((len(answer.members) for answer in ring_of(scene.service, scene.epochs[0].selection)), default=0)
    return "all" if most == len(scene.pool.members) else f"{most}"


def _ttl(ttl: Ttl) -> str:
    return f"{ttl.max}" if ttl.min == ttl.max else f"{ttl.min} to {ttl.max}"


def _spread(crowd: Crowd) -> str:
    if crowd.spread.zipf:
        return "sizes by Zipf's law"
    percents = ", ".join(f"{float(percent):g} %" for percent in crowd.spread.percents)
    return f"the largest with {percents}" if percents else "all of one size"


def shares(figures: Figures) -> str:
    """Return the table of members, and what else came of the runs."""
    rows = (
        (name, _percent(got.wanted), _percent(got.share), _points(got.error), bar(got.share))
        for name, got in figures.members.items()
    )
    return "\n".join([table(_MEMBERS, rows), "", *_remarks(figures)])


def _remarks(figures: Figures) -> Iterator[str]:
    largest, worst = _points(figures.largest), _points(figures.worst)
    yield f"Largest error of any member: {largest} on average, {worst} in the worst run."
    yield f"{figures.messages:.0f} messages brought {figures.queries:.0f} queries."
    for name, got in figures.members.items():
        if got.refused:
            yield f"{plain(name)} refused {got.refused:.0f} connections of {figures.messages:.0f} messages."
    if figures.deferred:
        yield f"{figures.deferred:.0f} of {figures.messages:.0f} messages found nobody to take them, and wait."


def comparison(figures: Mapping[Authority, Figures]) -> str:
    """Return the table of those who could give the answers, with the shares that members get from each."""
    members = next(iter(figures.values())).members
    shown = list(members) if len(members) <= _FEW else []
    deferred = any(of.deferred for of in figures.values())
    columns = [
        *_COMPARED,
        *([Column("DEFERRED", right=True)] if deferred else []),
        *(Column(name.upper(), right=True) for name in shown),
    ]
    wanted = ["(wanted)", "", "", *([""] if deferred else []), *(_percent(members[name].wanted) for name in shown)]
    rows = [
        [
            kind.value,
            _points(of.largest),
            _points(of.worst),
            *([f"{of.deferred:.0f}"] if deferred else []),
            *(_percent(of.members[name].share) for name in shown),
        ]
        for kind, of in figures.items()
    ]
    return table(columns, [wanted, *rows])


def as_json(name: str, scene: Scene, figures: Mapping[Authority, Figures], *, seed: int, runs: int) -> dict[str, Any]:
    """Return all of it; `members` are those of the first figures. Shares and errors are fractions of 1."""
    crowd, service = scene.crowd, scene.service
    first, *others = figures.items()
    found = _figures_json(first[1]) | {
        "service": name,
        "type": service.type,
        "policy": scene.pool.policy,
        "records": "all" if service.records is None else service.records,
        "ttl": service.ttl.max,
        "ttl_min": service.ttl.min,
        "ttl_max": service.ttl.max,
        "resolvers": crowd.resolvers,
        "resolver": crowd.kind,
        "largest_resolver": max(crowd.spread.sizes(crowd.resolvers)),
        "senders": dict(crowd.senders),
        "rate": crowd.rate,
        "duration_s": scene.duration,
        "workers": scene.workers.number,
        "steered": scene.workers.steered,
        "runs": runs,
        "seed": seed,
    }
    if others:
        found["compare"] = {kind.value: _figures_json(of) for kind, of in figures.items()}
    return found


def _figures_json(figures: Figures) -> dict[str, Any]:
    return {
        "members": {name: asdict(got) for name, got in figures.members.items()},
        "largest_error": figures.largest,
        "worst_error": figures.worst,
        "messages": figures.messages,
        "deferred": figures.deferred,
        "queries": figures.queries,
    }


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}%"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f} points"
