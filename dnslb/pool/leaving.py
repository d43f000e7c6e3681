"""Who has left the answers, and what caches may still keep: as it is remembered from one run to the next.

Its times are seconds on the steady clock, which nobody sets, and which begins anew when the machine is started.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment by both clocks: `steady` counts from the start of the machine that `boot` names, `wall` is Unix time.

    `boot` is "" where it is not known.
    """

    boot: str
    steady: float
    wall: float

    def passed(self, now: "Instant") -> float:
        """Return how many seconds have surely passed from here until `now`.

        After another start of the machine it may be none: then there is only the clock that anybody may have set.
        """
        if not self.boot or self.boot != now.boot:
            return 0.0
        return max(0.0, min(now.steady - self.steady, now.wall - self.wall))


@dataclass(frozen=True, slots=True)
class Left:
    """When a member left the answers, and when the last cache forgets it."""

    at: float
    forgotten: float


@dataclass(frozen=True, slots=True)
class GivenOut:
    """What caches may keep of a pool: answers given out until now, for at most `ttl` s, and older ones until `horizon`.

    None of the services' TTLs is longer than `ttl`, though shorter ones may be given out.
    """

    ttl: int
    horizon: float


@dataclass(frozen=True, slots=True)
class Leavings:
    """All of it at one moment: by pool, and by pool and member for those who are in no answer."""

    moment: Instant
    pools: Mapping[str, GivenOut] = field(default_factory=dict)
    members: Mapping[tuple[str, str], Left] = field(default_factory=dict)

    def carried(self, now: Instant) -> "Leavings":
        """Return the same by the clock of `now`, with nothing sooner over than it surely is."""
        shift = now.steady - self.moment.steady - self.moment.passed(now)
        return Leavings(
            now,
            {pool: GivenOut(each.ttl, each.horizon + shift) for pool, each in self.pools.items()},
            {key: Left(each.at + shift, each.forgotten + shift) for key, each in self.members.items()},
        )
