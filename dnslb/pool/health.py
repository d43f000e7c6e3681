"""The operational axis: what probes say of a member. The clock is an argument.

Each result argues for a state, and `_MOVES` says how much of that it takes until the member follows:

* The first result of all decides at once.
* A member at work (up, degraded, busy) goes down after `fall` failures in a row, or after 2 * fall - 1 failures between
  which there never were `rise` successes in a row: one that fails every second time gives no rows (gdnsd's ok_thresh
  is there for the same). With `fall` = 1 a single lost packet decides, with `rise` = 1 every success wipes out what was
  before, so that only rows count.
* What the server says in words (rejecting, wrong certificate ...) is confirmed by one more probe. The failure before it
  may have been any other: the network loses packets, but it does not make up replies.
* A busy member is so at once, since that costs it weight and not its place, and up again with one good probe. Busy for
  a minute without a good probe in between is as good as leaving.
* A member that is out (down, draining) comes back after `rise` successes in a row. Until then `busy` only shows that
  somebody is there: it is better than down, and no reason to send mail.

A success is a probe that found the member taking mail and has examined all that is in trouble: a good greeting says
nothing of a domain that was rejected.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto
from types import MappingProxyType


class State(StrEnum):
    """What the probes so far say of a member."""

    UNKNOWN = "unknown"
    UP = "up"
    DEGRADED = "degraded"
    BUSY = "busy"
    DRAINING = "draining"
    DOWN = "down"


class Verdict(StrEnum):
    """Why: one word for one probe's result."""

    OK = "ok"
    SLOW = "slow"
    BUSY = "busy"
    STORAGE = "storage"
    DRAINING = "draining"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    NOT_SMTP = "not_smtp"
    REJECTING = "rejecting"
    REJECTS_DOMAIN = "rejects_domain"
    TLS_BROKEN = "tls_broken"
    TLS_INVALID = "tls_invalid"
    AUTH_FAILED = "auth_failed"
    PROBE_LIMITED = "probe_limited"
    PROBE_BLOCKED = "probe_blocked"
    UNKNOWN = "unknown"


class Aspect(StrEnum):
    """A part of a member that a probe can examine, in the order of a conversation.

    The session is the connection, the greeting and EHLO: every probe examines it. The others cost the member more, and
    are examined more seldom.
    """

    SESSION = "session"
    TLS = "tls"
    CERTIFICATE = "certificate"
    AUTH = "auth"
    RECIPIENT = "recipient"


class Patience(StrEnum):
    """How many results in a row a verdict needs before the member's state follows it."""

    AT_ONCE = "at once"
    CONFIRM = "confirm"
    """The server has said it in words: one more probe makes sure, but never more than `fall`."""
    FALL = "fall"
    """The network may have said it: `fall` probes."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a verdict does to a member.

    `state` is the state that it argues for, None if it says nothing of the member's health (only of the probe).
    `percent` is the part of its weight that a member keeps while this is its verdict. `alert` is for what a person has
    to mend.
    """

    state: State | None
    patience: Patience = Patience.FALL
    percent: int = 100
    alert: bool = False


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe of one member found.

    `reason` is a sentence for people, "" when all is well. `latency_ms` runs from the first connect to the last line
    of the greeting, None when there was no greeting. `duration_s` is the whole conversation's. `at` is Unix time of
    its end. `aspect` is what the verdict speaks of, and `examined` all that the probe came to look at, well or not.
    `warnings` are sentences on what does not change the verdict yet, as a certificate that soon expires.
    """

    verdict: Verdict
    reason: str
    effect: Effect
    latency_ms: float | None
    duration_s: float
    at: float
    aspect: Aspect = Aspect.SESSION
    examined: frozenset[Aspect] = frozenset({Aspect.SESSION})
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How many results in a row move a member up (`rise`) or down (`fall`), and the seconds between probes."""

    rise: int
    fall: int
    interval: float


@dataclass(frozen=True, slots=True)
class NextProbe:
    """When a member should be probed next, and how deep.

    `delay` is in seconds, from the start of the last probe to the start of the next one. `aspects` are those that it
    has to examine, beside those whose own interval has passed.
    """

    delay: float
    aspects: frozenset[Aspect] = frozenset()


@dataclass(frozen=True, slots=True)
class Fault:
    """An aspect that has failed and was not found well since, with what was last said of it."""

    aspect: Aspect
    verdict: Verdict
    reason: str
    alert: bool


@dataclass(frozen=True, slots=True)
class Health:
    """All that is known of a member from its probes. All times are Unix times, None if never.

    `successes` is the row of probes that found it taking mail, `failures` the row of those that argued for `argued`, a
    state worse than up; neither is counted further than it matters. `doubts` are the failures that argued for down
    since `rise` successes last came in a row. `latency_ms` is the last greeting's, `smoothed_ms` the mean of the good
    ones, in which older ones fade. `percent` is the part of its weight that the member keeps in its state, `alert` says
    that a person has to mend what the verdict speaks of. `returned_at` is when it came back from being down or
    draining, `busy_since` when it began to say that it is busy.
    """

    state: State = State.UNKNOWN
    verdict: Verdict = Verdict.UNKNOWN
    reason: str = ""
    successes: int = 0
    failures: int = 0
    since: float | None = None
    last_probe: float | None = None
    latency_ms: float | None = None
    argued: State = State.UNKNOWN
    doubts: int = 0
    faults: tuple[Fault, ...] = ()
    percent: int = 100
    alert: bool = False
    smoothed_ms: float | None = None
    returned_at: float | None = None
    busy_since: float | None = None

    @property
    def trouble(self) -> frozenset[Aspect]:
        """The aspects that have to be found well before the member counts as well."""
        return frozenset(fault.aspect for fault in self.faults)

    @property
    def wavers(self) -> bool:
        """Whether something else is said of it than its state is, which may be confirmed or turn out a lost packet."""
        return self.failures > 0 and self.argued is not self.state

    def shows(self, verdict: Verdict) -> bool:
        """Whether this is what is wrong with it, or part of that."""
        return verdict is self.verdict or any(fault.verdict is verdict for fault in self.faults)


AT_WORK = frozenset({State.UP, State.DEGRADED, State.BUSY})
"""The states in which a member takes mail."""

_WELL = frozenset({State.UP, State.DEGRADED})
_SUSTAINED = 60.0
_FRESH = 0.3
"""The weight of the newest greeting in the smoothed one."""
_FIRST_CONFIRM = 1.0
_NEXT_CONFIRM = 2.0
_LONG_DEAD = 300.0
_SLOWEST = 6
_SLOW_PACE = 60.0


class _Need(Enum):
    """How much of an argument it takes."""

    NOW = auto()
    PATIENCE = auto()
    """As many in a row as the verdict's patience says."""
    FALL = auto()
    """The same, or too many failures with too few successes between them."""
    RISE = auto()
    """`rise` successes in a row."""
    ROW = auto()
    """As many in a row as would be needed of successes."""


_Moves = Mapping[State, tuple[_Need, State]]
"""What the result argues for -> how much of that is needed, and the state that follows."""

_FROM_WORK: _Moves = MappingProxyType(
    {
        State.UP: (_Need.NOW, State.UP),
        State.DEGRADED: (_Need.PATIENCE, State.DEGRADED),
        State.BUSY: (_Need.PATIENCE, State.BUSY),
        State.DRAINING: (_Need.PATIENCE, State.DRAINING),
        State.DOWN: (_Need.FALL, State.DOWN),
    }
)
_MOVES: Mapping[State, _Moves] = MappingProxyType(
    {
        State.UNKNOWN: {state: (_Need.NOW, state) for state in _FROM_WORK},
        State.UP: _FROM_WORK,
        State.DEGRADED: _FROM_WORK,
        State.BUSY: _FROM_WORK,
        State.DRAINING: {
            State.UP: (_Need.RISE, State.UP),
            State.DEGRADED: (_Need.RISE, State.DEGRADED),
            State.BUSY: (_Need.NOW, State.DRAINING),
            State.DRAINING: (_Need.NOW, State.DRAINING),
            State.DOWN: (_Need.FALL, State.DOWN),
        },
        State.DOWN: {
            State.UP: (_Need.RISE, State.UP),
            State.DEGRADED: (_Need.RISE, State.DEGRADED),
            State.BUSY: (_Need.ROW, State.DRAINING),
            State.DRAINING: (_Need.ROW, State.DRAINING),
            State.DOWN: (_Need.NOW, State.DOWN),
        },
    }
)


def observe(health: Health, result: ProbeResult, thresholds: Thresholds) -> Health:
    """Return what is known of a member after one more probe.

    Verdict `unknown` is no information, and a verdict on the probe itself (limited, blocked) is shown without being
    counted. A good probe that has not examined all that is in trouble leaves the member as it is.
    """
    if result.verdict is Verdict.UNKNOWN:
        return replace(health, last_probe=result.at)
    if result.effect.state is None:
        return _shown(health, result)
    if result.effect.state is State.UP and not health.trouble <= result.examined:
        return _passed_by(health, result)
    argument = _argument(health, result, result.effect.state)
    counted = _counted(_timed(_shown(health, result), result, argument), result, argument, thresholds)
    moved = _moved(counted, result, argument, thresholds)
    return replace(moved, faults=_faults(moved, result, argument))


def back_in_answers(health: Health, out_since: float, now: float) -> Health:
    """Return the health of a member that people took out at Unix time `out_since`, and put back `now`.

    If it was down meanwhile its slow start begins now: nobody has warmed it up.
    """
    if health.returned_at is None or health.returned_at < out_since:
        return health
    return replace(health, returned_at=now)


def next_probe(health: Health, thresholds: Thresholds) -> NextProbe:
    """Return when to probe a member again, and what to look at.

    A member at work of which something worse is said is asked again at once, so that a death is sure after seconds and
    a lost packet costs nothing: the first time after 1 s, then every 2 s, never later than the interval. One that has
    been down for long is asked more seldom, up to once a minute, until it answers. What is in trouble is looked at each
    time, but for the login: failed logins get a guest banned.
    """
    return NextProbe(_delay(health, thresholds), health.trouble - {Aspect.AUTH})


def confirmed_in(health: Health, thresholds: Thresholds) -> float | None:
    """Return the seconds until what is said against a member at work may be believed, None if nothing is.

    It is the time of the probes that are still needed: at most, since what a server says in words needs fewer of them.
    A fall that is held may come with the next one.
    """
    if health.state not in AT_WORK or not health.wavers:
        return None
    row, doubts = thresholds.fall - health.failures, _doubtful(thresholds) - health.doubts
    needed = max(1, min(row, doubts) if health.argued is State.DOWN else row)
    return _delay(health, thresholds) + (needed - 1) * min(_NEXT_CONFIRM, thresholds.interval)


def draining_in(health: Health, now: float) -> float | None:
    """Return the seconds from Unix time `now` until a busy member that stays so counts as leaving, None if none is."""
    if health.state is not State.BUSY or health.busy_since is None:
        return None
    return max(0.0, health.busy_since + _SUSTAINED - now)


def narrowed(health: Health, aspects: Iterable[Aspect]) -> Health:
    """Return the health without faults of other aspects than these.

    It is for a recipe that has changed: what no probe examines any more could never be found well.
    """
    kept = frozenset(aspects)
    if health.trouble <= kept:
        return health
    return replace(health, faults=tuple(fault for fault in health.faults if fault.aspect in kept))


def _delay(health: Health, thresholds: Thresholds) -> float:
    interval = thresholds.interval
    if health.state in AT_WORK and health.wavers:
        return min(_FIRST_CONFIRM if health.failures == 1 else _NEXT_CONFIRM, interval)
    if health.state is State.DOWN and not health.successes:
        pace = min(_SLOWEST, 1 + int(_age(health) // _LONG_DEAD))
        return min(interval * pace, max(interval, _SLOW_PACE))
    return interval


def _age(health: Health) -> float:
    if health.since is None or health.last_probe is None:
        return 0.0
    # A clock that was set back makes nobody younger than new.
    return max(0.0, health.last_probe - health.since)


def _shown(health: Health, result: ProbeResult) -> Health:
    alert = result.effect.alert
    return replace(health, verdict=result.verdict, reason=result.reason, alert=alert, last_probe=result.at)


def _passed_by(health: Health, result: ProbeResult) -> Health:
    """Return the health after a good probe that did not look at everything: what it has not seen is still wrong."""
    left = tuple(fault for fault in health.faults if fault.aspect not in result.examined)
    shown = left[0]
    timed = replace(_timed(health, result, State.UP), last_probe=result.at, faults=left)
    return replace(timed, verdict=shown.verdict, reason=shown.reason, alert=shown.alert)


def _argument(health: Health, result: ProbeResult, towards: State) -> State:
    """Return what the result argues for: `towards`, but draining where that is busy for too long."""
    if towards is not State.BUSY or health.state is not State.BUSY or health.busy_since is None:
        return towards
    return State.DRAINING if result.at - health.busy_since >= _SUSTAINED else State.BUSY


def _timed(health: Health, result: ProbeResult, argument: State) -> Health:
    """Note the greeting's time. Only good ones are smoothed: a refusal may be quick where mail is taken slowly."""
    smoothed = health.smoothed_ms
    if argument in _WELL and result.latency_ms is not None:
        before = result.latency_ms if smoothed is None else smoothed
        smoothed = before + _FRESH * (result.latency_ms - before)
    return replace(health, latency_ms=result.latency_ms, smoothed_ms=smoothed)


def _counted(health: Health, result: ProbeResult, argument: State, thresholds: Thresholds) -> Health:
    successes = _successes(health, result, argument, thresholds)
    doubts = health.doubts + (argument is State.DOWN)
    busy_since = health.busy_since
    if result.effect.state is State.BUSY and busy_since is None:
        busy_since = result.at
    return replace(
        health,
        argued=argument,
        successes=successes,
        failures=_failures(health, argument, thresholds),
        doubts=0 if successes >= thresholds.rise else min(doubts, _doubtful(thresholds)),
        busy_since=None if successes else busy_since,
    )


def _successes(health: Health, result: ProbeResult, argument: State, thresholds: Thresholds) -> int:
    if argument not in _WELL:
        return 0
    proven = health.trouble <= result.examined
    return min(health.successes + proven, thresholds.rise)


def _failures(health: Health, argument: State, thresholds: Thresholds) -> int:
    if argument is State.UP:
        return 0
    row = health.failures if argument is health.argued else 0
    return min(row + 1, max(thresholds.rise, thresholds.fall))


def _moved(health: Health, result: ProbeResult, argument: State, thresholds: Thresholds) -> Health:
    need, state = _MOVES[health.state][argument]
    if not _met(need, health, result.effect.patience, thresholds):
        return health
    settled = replace(health, percent=result.effect.percent)
    if state is health.state:
        return settled
    moved = replace(settled, state=state, since=result.at)
    if state not in AT_WORK:
        return replace(moved, doubts=0, returned_at=None)
    if health.state in AT_WORK or health.state is State.UNKNOWN:
        return moved
    return replace(moved, returned_at=result.at, smoothed_ms=result.latency_ms)


def _met(need: _Need, health: Health, patience: Patience, thresholds: Thresholds) -> bool:
    row = health.failures >= _enough(patience, thresholds)
    met = {
        _Need.NOW: True,
        _Need.PATIENCE: row,
        _Need.FALL: row or health.doubts >= _doubtful(thresholds),
        _Need.RISE: health.successes >= thresholds.rise,
        _Need.ROW: health.failures >= thresholds.rise,
    }
    return met[need]


def _enough(patience: Patience, thresholds: Thresholds) -> int:
    most = {Patience.AT_ONCE: 1, Patience.CONFIRM: 2, Patience.FALL: thresholds.fall}
    return min(most[patience], thresholds.fall)


def _doubtful(thresholds: Thresholds) -> int:
    return 2 * thresholds.fall - 1


def _faults(health: Health, result: ProbeResult, argument: State) -> tuple[Fault, ...]:
    """Return what is wrong after a result that was counted; `health` is the one that it led to."""
    fault = Fault(result.aspect, result.verdict, result.reason, result.effect.alert)
    own = () if argument is State.UP else (fault,)
    others = tuple(each for each in health.faults if argument is State.UP or each.aspect is not result.aspect)
    if argument not in _WELL or not health.trouble <= result.examined:
        return own + others
    if health.state in AT_WORK:
        return own
    # While it is out each success has to prove the same again, but for the login, whose next try may be far away.
    return own + tuple(each for each in others if each.aspect is not Aspect.AUTH)
