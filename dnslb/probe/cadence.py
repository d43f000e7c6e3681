"""How deep the next probe of a member goes: which of its aspects are due, and how many members may go deep at once.

Times and draws are arguments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from dnslb.pool.health import Aspect, ProbeResult, Verdict

VARIATION = 0.1
"""Intervals of single aspects vary by this fraction either way, so that deep probes of many members drift apart."""

NEAREST = 0.5
"""An aspect is examined by the probe that is nearest to its time: up to this part of the probes' interval early."""

EARLIEST_RETRY = 0.9
"""The part of the probes' interval after which one counts as the next in their own pace, which varies a little."""

LOGIN_PAUSE = 3600.0
"""Seconds without a login after a refused one. fail2ban bans an address that fails 5 times in 10 minutes, and servers
lock an account after a few failures: a wrong password must not shut out the prober, or whoever uses its account."""


_WELL = frozenset({Verdict.OK, Verdict.SLOW})


@dataclass(frozen=True, slots=True)
class Cadence:
    """When the aspects of one member are next to be examined. The empty one asks for all of them.

    `due` is the time (seconds of the event loop's clock) from which a probe examines an aspect, without those that were
    never examined. `retry_at` is the time before which nothing is examined just because it is due. `asked` are the
    aspects that the next probe examines anyway. Before `no_login_before` it does not log in for either reason.
    `turned_away` says that the last login was not let in, whatever the server said.
    """

    due: Mapping[Aspect, float] = field(default_factory=dict)
    retry_at: float = -inf
    asked: frozenset[Aspect] = frozenset()
    no_login_before: float = -inf
    turned_away: bool = False

    def wanted(self, intervals: Mapping[Aspect, float], now: float) -> frozenset[Aspect]:
        """Return what a probe that begins now has to examine, of those aspects that have an interval.

        Where there is an account, the recipient is examined only in a probe that logs in. So a login is made when it is
        due or asked for, and also when the recipient is asked for, but not for that if the last one did not get so far.
        """
        aspects = self.asked.intersection(intervals) | {Aspect.SESSION}
        if Aspect.RECIPIENT in aspects and Aspect.AUTH in intervals and not self.turned_away:
            aspects |= {Aspect.AUTH}
        if now >= self.retry_at:
            aspects |= {aspect for aspect in intervals if self.due.get(aspect, -inf) <= now}
        if now < self.no_login_before:
            aspects -= {Aspect.AUTH}
        if Aspect.AUTH in intervals and Aspect.AUTH not in aspects:
            aspects -= {Aspect.RECIPIENT}
        return aspects

    def after(
        self,
        intervals: Mapping[Aspect, float],
        wanted: frozenset[Aspect],
        result: ProbeResult,
        began: float,
        draw: float,
    ) -> "Cadence":
        """Return the cadence after a probe that began at `began` and had to examine `wanted`.

        `draw` is a random number from 0 to 1. What was not reached stays due, but is tried again in the probes' own
        pace at the earliest.
        """
        seen = result.examined & intervals.keys() - {Aspect.SESSION}
        tried = Aspect.AUTH in seen
        refused = tried and result.verdict is Verdict.AUTH_FAILED
        failed = result.aspect is Aspect.AUTH and result.verdict not in _WELL
        return Cadence(
            due={**self.due, **{aspect: self._next(aspect, intervals, began, draw) for aspect in seen}},
            retry_at=self.retry_at if wanted <= result.examined else began + EARLIEST_RETRY * intervals[Aspect.SESSION],
            no_login_before=began + LOGIN_PAUSE if refused else self.no_login_before,
            turned_away=failed if tried else self.turned_away,
        )

    def _next(self, aspect: Aspect, intervals: Mapping[Aspect, float], began: float, draw: float) -> float:
        """Return when an aspect is due again: with a regular probe, not with one that confirms a change meanwhile.

        One that was examined for the first time, or much too late, is so together with those of many other members:
        its next time is anywhere in its interval.
        """
        pace = intervals[Aspect.SESSION]
        in_rhythm = began - self.due.get(aspect, -inf) <= 2 * pace
        part = 1 + VARIATION * (2 * draw - 1) if in_rhythm else draw
        return began + max(NEAREST * pace, part * intervals[aspect] - NEAREST * pace)


DEEP_RATE = 200.0
DEEP_BURST = 1000.0
DEEP_RESERVE = 500.0
"""How many probes that go beyond the session may begin in a second on average, how many at once, and how many of those
are kept for what is asked for. With TLS a probe takes 1 to 2.5 ms of CPU, ten times as much as without. When ten
thousand members were due for it at once, all conversations would outlast their time limits, and good members look dead.
"""

LATE = 0.05
"""Seconds that a probe may be late and still go deep. Where all are later, this process has more to do than it can."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many deep probes may begin now: `left` of them at `at` (loop time)."""

    left: float = DEEP_BURST
    at: float = -inf

    def spend(self, now: float, late: float, *, asked: bool) -> "Allowance | None":
        """Return what is left after a deep probe, None if it must not go deep now.

        One that is `late` (seconds), or finds little left, only does if what it looks at was asked for.
        """
        left = min(DEEP_BURST, self.left + (now - self.at) * DEEP_RATE)
        least = 1.0 if asked else 1.0 + DEEP_RESERVE
        return Allowance(left - 1, now) if left >= least and (asked or late <= LATE) else None
