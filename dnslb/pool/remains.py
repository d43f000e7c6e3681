"""What is left of a pool while a member is out of it, counted as the selection counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dnslb.pool.admin import AdminState
from dnslb.pool.health import State
from dnslb.pool.member import Pool
from dnslb.pool.selection import Candidate, Rung, select
from dnslb.pool.window import Window, state_at

_WORDS = {AdminState.DRAIN: "drained", AdminState.MAINT: "in maintenance"}


@dataclass(frozen=True, slots=True)
class Remains:
    """What is left of a pool that `member` has left.

    `members` of the `of` that are configured are ready and healthy, with `weight` of the `total` weight, in which that
    of drained members counts too. `healthy` is that weight as the selection counts it: a group as a whole or not at
    all. `out` says of the others, but for the member itself, why they are not among them. `anybody` says whether a
    ready member that works is left, though it may be busy or unprobed; `answers` names who is in the answers then, and
    `back` those of them who were not before. The pool panics below the fraction `least`.
    """

    member: str
    members: int
    of: int
    weight: int
    healthy: int
    total: int
    least: float
    out: Mapping[str, str]
    panic: bool
    anybody: bool
    answers: Sequence[str]
    back: Sequence[str]

    @property
    def enough(self) -> bool:
        """Return whether the pool can do without the member."""
        return self.anybody and not self.panic

    @property
    def percent(self) -> float:
        """Return the weight that is left in percent of the pool's."""
        return _percent(self.weight, self.total)


def remains(
    pool: Pool, candidates: Sequence[Candidate], last_good: frozenset[str], leaver: str, to: AdminState
) -> Remains:
    """Return what is left when the member `leaver` goes to the admin state `to`, and all else stays as it is.

    `candidates` and `last_good` are those of `select`.
    """
    after = [replace(c, admin=replace(c.admin, state=to)) if c.member.name == leaver else c for c in candidates]
    others = [c for c in after if c.member.name != leaver]
    out = {c.member.name: why for c in others if (why := _why_out(pool, c))}
    selection = select(pool, after, last_good)
    before = {choice.member.name for choice in select(pool, candidates, last_good).published}
    answers = [choice.member.name for choice in selection.published]
    return Remains(
        member=leaver,
        members=len(others) - len(out),
        of=len(candidates),
        weight=sum(c.full_weight(pool.policy) for c in others if c.member.name not in out),
        healthy=selection.healthy_weight,
        total=selection.total_weight,
        least=pool.min_healthy,
        out=out,
        panic=selection.panic,
        anybody=any(c.rung <= Rung.UNPROBED and c.full_weight(pool.policy) for c in others),
        answers=answers,
        back=[name for name in answers if name not in before],
    )


def remains_during(
    pool: Pool,
    candidates: Sequence[Candidate],
    last_good: frozenset[str],
    window: Window,
    others: Iterable[Window],
) -> Remains:
    """Return the least that is left at any time during a window, as far as is known.

    `others` are the windows of the pool's other members. Who is down now is taken to be down then.
    """
    by_name = {other.member: other for other in others}
    # Members leave only when a window begins, so after one of these moments least is left.
    begins = [other.begin for other in by_name.values() if window.begin < other.begin and window.covers(other.begin)]
    found = [
        _with_plans(
            remains(pool, _at(candidates, by_name, moment), last_good, window.member, AdminState.DRAIN),
            [by_name[c.member.name] for c in candidates if _is_to_leave(c, by_name, moment)],
        )
        for moment in (window.begin, *begins)
    ]
    return min(found, key=lambda each: (each.enough, each.weight, each.members))


def in_words(left: Remains) -> str:
    """Return the numbers, and who is missing beside the member, as a phrase: "1 of 3 members with ..."."""
    out = ", ".join(f"{name} is {why}" for name, why in left.out.items())
    by_groups = _percent(left.healthy, left.total)
    counted = "" if left.healthy == left.weight else f", or {by_groups:.4g} % with groups counted whole or not at all"
    numbers = (
        f"{left.members} of {left.of} members with {left.weight} of the pool's weight of {left.total}"
        f" ({left.percent:.4g} %{counted}; min_healthy is {100 * left.least:.4g} %)"
    )
    return numbers + (f": {out}" if out else "")


def warning(left: Remains) -> str:
    """Return what is to be said of a member that leaves too little behind, "" if it is enough."""
    if left.enough:
        return ""
    numbers = in_words(left)
    if left.anybody:
        back = _back(left, "; ", " into the answers")
        return f"too little is left without {left.member}, and the pool panics{back}: {numbers}"
    return f"no ready member that works is left: {_answers(left)}; without {left.member} there are {numbers}"


def _answers(left: Remains) -> str:
    """Return who is in the answers where nobody is left who should be."""
    if not left.answers:
        return "nobody is in the answers, and queries get SERVFAIL"
    if left.member in left.answers:
        return f"{left.member} stays in the answers{_back(left, ', and ')}"
    return f"the answers have {', '.join(left.answers)}{_back(left, '; ')}"


def _back(left: Remains, link: str, where: str = "") -> str:
    """Return who comes back into the answers: somebody may have been told that it is safe to stop them."""
    if not left.back:
        return ""
    come, those = ("comes", "it") if len(left.back) == 1 else ("come", "them")
    return f"{link}{', '.join(left.back)} {come} back{where} (do not stop {those})"


def _is_to_leave(candidate: Candidate, windows: Mapping[str, Window], moment: float) -> bool:
    """Whether a member that is ready now will be drained by its window at Unix time `moment`."""
    window = windows.get(candidate.member.name)
    return candidate.admin.state is AdminState.READY and window is not None and window.covers(moment)


def _with_plans(left: Remains, windows: Iterable[Window]) -> Remains:
    """Return the same, with the windows of those who are not drained yet in the place of a state."""
    planned = {window.member: _planned(window) for window in windows}
    drained = _WORDS[AdminState.DRAIN]
    return replace(
        left, out={name: planned.get(name, why) if why == drained else why for name, why in left.out.items()}
    )


def _planned(window: Window) -> str:
    begin = datetime.fromtimestamp(window.begin, UTC).astimezone()
    if window.end is None:
        return f"in its window then (from {begin:%Y-%m-%d %H:%M %Z} on)"
    end = datetime.fromtimestamp(window.end, UTC).astimezone()
    day = "" if end.date() == begin.date() else "%Y-%m-%d "
    return f"in its window then ({begin:%Y-%m-%d %H:%M} to {end:{day}%H:%M %Z})"


def _at(candidates: Iterable[Candidate], windows: Mapping[str, Window], moment: float) -> list[Candidate]:
    """Return the candidates with the admin states that they will have at Unix time `moment`."""
    return [
        replace(c, admin=replace(c.admin, state=state_at(c.admin, windows.get(c.member.name), moment)))
        for c in candidates
    ]


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _why_out(pool: Pool, candidate: Candidate) -> str:
    """Return why a member does not count as healthy, "" if it does."""
    if candidate.full_weight(pool.policy) == 0:
        return "without weight"
    if candidate.admin.state is not AdminState.READY:
        return _WORDS[candidate.admin.state]
    if candidate.rung is Rung.UNPROBED:
        return "not probed yet"
    well = candidate.rung is Rung.WORKING and candidate.health.state is not State.BUSY
    return "" if well else str(candidate.health.state)
