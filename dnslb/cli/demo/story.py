"""What happened in the demo, told by the answers alone. Pure: every time is an argument, in seconds of one clock."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SURE = 10
"""So many complete answers in a row must be without a member before it counts as gone: each worker has its say."""

_RECENT = 60


@dataclass(slots=True)
class Round:
    """One server killed and brought back. A time is None as long as that has not been seen."""

    member: str
    killed_at: float
    left_at: float | None = None
    restored_at: float | None = None
    returned_at: float | None = None
    _missing_since: float | None = None
    _missing: int = 0

    @property
    def left_after_ms(self) -> float | None:
        """From the kill to the first of the answers without the member."""
        return _milliseconds(self.killed_at, self.left_at)

    @property
    def returned_after_ms(self) -> float | None:
        """From the server's return to the first answer with the member."""
        return _milliseconds(self.restored_at, self.returned_at)

    @property
    def is_complete(self) -> bool:
        """Whether the member was seen leaving the answers and coming back to them."""
        return self.left_at is not None and self.returned_at is not None

    def named(self, at: float) -> None:
        """Note an answer that holds the member."""
        if self.restored_at is None:
            self.left_at = self._missing_since = None
            self._missing = 0
        elif self.returned_at is None:
            self.returned_at = at

    def missed(self, at: float) -> None:
        """Note an answer that would hold the member if it were published."""
        if self.restored_at is not None:
            return
        self._missing += 1
        if self._missing_since is None:
            self._missing_since = at
        if self._missing >= SURE:
            self.left_at = self._missing_since


def _milliseconds(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else round((end - begin) * 1000, 1)


@dataclass(slots=True)
class Story:
    """Queries and answers counted, rounds timed.

    `whole` is the latest answer of the name that has every published member; `chosen` the latest answers of the
    name that has one; `now` counts the latter since the last change, `calm` those given while all were published.
    """

    weights: Mapping[str, int]
    queries: int = 0
    answers: int = 0
    rounds: list[Round] = field(default_factory=list)
    whole: tuple[str, ...] = ()
    chosen: deque[str] = field(default_factory=lambda: deque(maxlen=_RECENT))
    now: Counter[str] = field(default_factory=Counter)
    calm: Counter[str] = field(default_factory=Counter)

    def kill(self, member: str, at: float) -> Round:
        """Begin a round."""
        self.rounds.append(Round(member, at))
        return self.rounds[-1]

    def asked(self) -> None:
        """Count a query."""
        self.queries += 1

    def answered_whole(self, members: tuple[str, ...], at: float) -> None:
        """Note an answer that holds every published member, best first."""
        self.answers += 1
        if set(members) != set(self.whole):
            self.now.clear()
        self.whole = members
        if self._latest and self._latest.member in members:
            self._latest.named(at)
        elif self._latest:
            self._latest.missed(at)

    def answered_one(self, member: str, at: float) -> None:
        """Note an answer that holds one member, chosen by weight."""
        self.answers += 1
        self.chosen.append(member)
        self.now[member] += 1
        if self._latest and self._latest.member == member:
            self._latest.named(at)
        if self.is_calm:
            self.calm[member] += 1

    @property
    def is_calm(self) -> bool:
        """Whether no round is under way and every member is published."""
        return (self._latest is None or self._latest.is_complete) and set(self.whole) == set(self.weights)

    @property
    def has_complete_round(self) -> bool:
        """Whether a member was seen leaving and returning."""
        return any(each.is_complete for each in self.rounds)

    @property
    def _latest(self) -> Round | None:
        return self.rounds[-1] if self.rounds else None


def shares(counts: Mapping[str, int], members: Mapping[str, int]) -> dict[str, float]:
    """Return each member's fraction of the counts, 0 while nothing is counted."""
    total = sum(counts.values())
    return {member: counts.get(member, 0) / total if total else 0.0 for member in members}


def report(story: Story) -> dict[str, Any]:
    """Return what `dnslb demo --json` prints: the best round at the top, all of them in `rounds`.

    `members` compares the share that weights ask for with the one of the answers given while all were published.
    """
    best = next((each for each in story.rounds if each.is_complete), story.rounds[0] if story.rounds else None)
    return {
        "queries": story.queries,
        "answers": story.answers,
        "killed": best.member if best else None,
        "left_after_ms": best.left_after_ms if best else None,
        "returned_after_ms": best.returned_after_ms if best else None,
        "members": _members(story),
        "rounds": [
            {
                "killed": each.member,
                "left_after_ms": each.left_after_ms,
                "returned_after_ms": each.returned_after_ms,
            }
            for each in story.rounds
        ],
    }


def _members(story: Story) -> dict[str, object]:
    wanted = shares(story.weights, story.weights)
    measured = shares(story.calm, story.weights)
    return {
        member: {
            "weight": weight,
            "wanted": round(wanted[member], 4),
            "share": round(measured[member], 4),
            "answers": story.calm[member],
        }
        for member, weight in story.weights.items()
    }
