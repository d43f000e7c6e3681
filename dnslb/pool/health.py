"""The operational axis: what probes say of a member (rise, fall, confirm). The clock is an argument."""

from dataclasses import dataclass, replace
from enum import StrEnum


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
class Health:
    """All that is known of a member from its probes. All times are Unix times, None if never.

    `successes` and `failures` are rows that are running; `doubts` are the failures since `rise` successes last came in
    a row. `latency_ms` is the last greeting's, `smoothed_ms` the mean in which older ones fade. `trouble` holds the
    aspects that have failed and were not found well since. `percent` is the part of its weight that the member keeps
    for what its verdict says, `alert` whether a person has to mend it. `returned_at` is when it came back from being
    down or draining, `busy_since` when it began to say that it is busy.
    """

    state: State = State.UNKNOWN
    verdict: Verdict = Verdict.UNKNOWN
    reason: str = ""
    successes: int = 0
    failures: int = 0
    since: float | None = None
    last_probe: float | None = None
    latency_ms: float | None = None
    trouble: frozenset[Aspect] = frozenset()
    doubts: int = 0
    percent: int = 100
    alert: bool = False
    smoothed_ms: float | None = None
    returned_at: float | None = None
    busy_since: float | None = None


_FIRST_CONFIRM = 1.0
_NEXT_CONFIRM = 2.0


def observe(health: Health, result: ProbeResult, thresholds: Thresholds) -> Health:
    """Return what is known of a member after one more probe.

    The first result decides at once; after that `fall` failures in a row move a member down and `rise` successes in a
    row move it up. Verdict `unknown` is no information, and a verdict on the probe itself (limited, blocked) is
    recorded without being counted.
    """
    if result.verdict is Verdict.UNKNOWN:
        return replace(health, last_probe=result.at)
    seen = replace(health, verdict=result.verdict, reason=result.reason, last_probe=result.at)
    towards = result.effect.state
    if towards is None:
        return seen
    return _moved(_counted(seen, result, towards), towards, thresholds, result.at)


def next_probe(health: Health, thresholds: Thresholds) -> NextProbe:
    """Return when to probe a member again, and what to look at.

    An up member that has begun to fail is asked again at once, so that a death is sure after seconds and a lost packet
    costs nothing: the first time after 1 s, then every 2 s. Never longer than the interval. What has failed is looked
    at each time until it is well, but for the login: failed logins get a guest banned.
    """
    return NextProbe(_delay(health, thresholds), health.trouble - {Aspect.AUTH})


def _delay(health: Health, thresholds: Thresholds) -> float:
    failing = health.state is not State.DOWN and 0 < health.failures < thresholds.fall
    if not failing:
        return thresholds.interval
    confirm = _FIRST_CONFIRM if health.failures == 1 else _NEXT_CONFIRM
    return min(confirm, thresholds.interval)


def _counted(health: Health, result: ProbeResult, towards: State) -> Health:
    failed = towards is State.DOWN
    return replace(
        health,
        successes=0 if failed else health.successes + 1,
        failures=health.failures + 1 if failed else 0,
        latency_ms=result.latency_ms,
    )


def _moved(health: Health, towards: State, thresholds: Thresholds, at: float) -> Health:
    if towards is health.state or not _decided(health, thresholds):
        return health
    return replace(health, state=towards, since=at)


def _decided(health: Health, thresholds: Thresholds) -> bool:
    if health.state is State.UNKNOWN:
        return True
    if health.state is State.DOWN:
        return health.successes >= thresholds.rise
    return health.successes > 0 or health.failures >= thresholds.fall
