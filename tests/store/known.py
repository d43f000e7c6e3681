"""What a run may leave to the next, with nothing in it that is as it would be without being said."""

from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Aspect, Fault, Health, State, Verdict
from dnslb.pool.leaving import GivenOut, Instant, Leavings, Left
from dnslb.pool.window import Window
from dnslb.store import Event, EventKind, Remembered

KEY = ("inbound", "mx1")
DRAINED = Admin(AdminState.DRAIN, weight=None, reason="kernel", who="root", since=1000.5)
DOWN = Health(State.DOWN, Verdict.TIMEOUT, "no greeting", 0, 3, since=10.0, last_probe=20.0, latency_ms=None)
RETURNED = Health(
    State.DEGRADED,
    Verdict.TLS_BROKEN,
    "no handshake",
    successes=2,
    failures=1,
    since=10.0,
    last_probe=20.0,
    latency_ms=4.0,
    argued=State.DEGRADED,
    doubts=2,
    faults=(
        Fault(Aspect.TLS, Verdict.TLS_BROKEN, "no handshake", alert=True),
        Fault(Aspect.AUTH, Verdict.BUSY, "454 sp\u00e4ter", alert=False),
    ),
    percent=50,
    alert=True,
    smoothed_ms=5.5,
    returned_at=10.0,
    busy_since=15.0,
)
"""Each field differs from its default."""
WINDOW = Window("inbound", "mx1", 10.5, 20.5, "disks", "ann", forced=True, before=AdminState.MAINT, begun=True)
"""The same."""
LEAVINGS = Leavings(
    Instant("a boot", 50.5, 1000.5),
    {"inbound": GivenOut(600, 650.5)},
    {("inbound", "mx1"): Left(20.5, 620.5), ("inbound", "mx2"): Left(30.5, 630.5)},
)
KNOWN = Remembered(
    admins={KEY: DRAINED, ("inbound", "mx2"): Admin(weight=7)},
    healths={KEY: DOWN, ("inbound", "mx2"): RETURNED, ("inbound", "mx3"): Health()},
    serials={"lb.example.org": 4_294_967_295},
    windows={KEY: WINDOW, ("inbound", "mx2"): Window("inbound", "mx2", 10.5, None)},
    leavings=LEAVINGS,
)
"""Of each part something."""


def an_event(text: str, at: float = 0.0, pool: str = "inbound") -> Event:
    """Return an event that is not stored yet."""
    return Event(at, EventKind.STATE, text, pool, "mx1", "root", {"n": 1})
