"""The operational axis: what probes say of a member (rise, fall, confirm). The clock is an argument."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe of one member found.

    `reason` is a sentence for people, "" when all is well. `latency_ms` runs from the first connect to the last line
    of the greeting, None when there was no greeting. `duration_s` is the whole conversation's. `at` is Unix time of
    its end.
    """

    verdict: Verdict
    reason: str
    latency_ms: float | None
    duration_s: float
    at: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How many results in a row move a member up (`rise`) or down (`fall`), and the seconds between probes."""

    rise: int
    fall: int
    interval: float


@dataclass(frozen=True, slots=True)
class Health:
    """All that is known of a member from its probes. `since` and `last_probe` are Unix times, None if never."""

    state: State = State.UNKNOWN
    verdict: Verdict = Verdict.UNKNOWN
    reason: str = ""
    successes: int = 0
    failures: int = 0
    since: float | None = None
    last_probe: float | None = None
    latency_ms: float | None = None
