"""What operators and servers might do to a pool: changes made to copies, for the selection to judge."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Health, State, Verdict, back_in_answers
from dnslb.pool.member import Member
from dnslb.pool.portion import WHOLE
from dnslb.pool.selection import Candidate


class Step(StrEnum):
    """What happens to one member."""

    ADD = "add"
    DRAIN = "drain"
    READY = "ready"
    MAINT = "maint"
    DOWN = "down"
    WEIGHT = "weight"


@dataclass(frozen=True, slots=True)
class Planned:
    """One step of a plan.

    `weight` is that of an added member (0..65535), or the run-time weight of one that is there, None meaning the
    configured one. `tier` is an added member's.
    """

    step: Step
    pool: str
    member: str
    weight: int | None = None
    tier: int = 1


_ADMIN = {Step.DRAIN: AdminState.DRAIN, Step.READY: AdminState.READY, Step.MAINT: AdminState.MAINT}


def changed(candidates: Iterable[Candidate], changes: Sequence[Planned], now: float) -> tuple[Candidate, ...]:
    """Return a pool's members as they would be after the changes at Unix time `now`, which are all of this pool.

    An added member has no addresses, and is up. One that goes down does so as if it had been switched off; nothing else
    of their health changes: a member that is down stays so when an operator says that it is ready.
    """
    added = (_added(change) for change in changes if change.step is Step.ADD)
    of: dict[str, list[Planned]] = {}
    for change in changes:
        of.setdefault(change.member, []).append(change)
    return tuple(_after(candidate, of.get(candidate.member.name, ()), now) for candidate in (*candidates, *added))


def _added(change: Planned) -> Candidate:
    return Candidate(Member(change.member, (), change.weight or 0, change.tier), Admin(), Health(State.UP, Verdict.OK))


def _after(candidate: Candidate, changes: Iterable[Planned], now: float) -> Candidate:
    for change in changes:
        candidate = _stepped(candidate, change, now)
    return candidate


def _stepped(candidate: Candidate, change: Planned, now: float) -> Candidate:
    if change.step is Step.DOWN:
        health = candidate.health
        # As of now, that is: no clock is nearer than the last probe.
        down = health if health.state is State.DOWN else Health(State.DOWN, Verdict.TIMEOUT, since=health.last_probe)
        return replace(candidate, health=down, portion=WHOLE, outlook=None)
    if change.step is Step.WEIGHT:
        return replace(candidate, admin=replace(candidate.admin, weight=change.weight))
    if change.step is Step.ADD:
        return candidate
    # Whoever said the last word, and why, is not who would say this one.
    admin = replace(candidate.admin, state=_ADMIN[change.step], reason="", who="")
    if change.step is Step.READY and candidate.admin.state is not AdminState.READY:
        health = back_in_answers(candidate.health, candidate.admin.since, now)
        return replace(candidate, admin=admin, health=health)
    return replace(candidate, admin=admin)
