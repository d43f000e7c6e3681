"""A drain of one member that is planned: from when until when, and what is due of it at a given time.

Windows go by the clock on the wall, which may be set: what has begun is not begun again when the clock goes back, and
what the clock has jumped over is left out. Each step is taken once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from dnslb.pool.admin import Admin, AdminState


class Due(IntEnum):
    """What is to be done about a window, in the order in which several of them are taken.

    A member that is back may be what another one needs to leave.
    """

    END = 1
    SKIP = 2
    BEGIN = 3


@dataclass(frozen=True, slots=True)
class Span:
    """When a drain is wanted: from `begin` (Unix time, None for now) on, for so many seconds, None for ever.

    `forced` says that it is wanted whatever is left of the pool.
    """

    begin: float | None = None
    seconds: float | None = None
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """A drain of a member from `begin` (Unix time) to `end`, None meaning until somebody says `ready`.

    `before` is the admin state that the member goes back to at the end. A `forced` window begins whatever is left of
    the pool then. `begun` says that the member has been drained for it.
    """

    pool: str
    member: str
    begin: float
    end: float | None
    reason: str = ""
    who: str = ""
    forced: bool = False
    before: AdminState = AdminState.READY
    begun: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Pool and member."""
        return self.pool, self.member

    def covers(self, at: float) -> bool:
        """Return whether the member is to be drained at Unix time `at`."""
        return (self.begun or self.begin <= at) and not self.is_over(at)

    def is_over(self, at: float) -> bool:
        """Return whether the window has ended at Unix time `at`."""
        return self.end is not None and self.end <= at


def due(window: Window, now: float) -> Due | None:
    """Return what is due of a window at Unix time `now`, None if nothing is."""
    if window.is_over(now):
        return Due.END if window.begun else Due.SKIP
    return Due.BEGIN if window.covers(now) and not window.begun else None


def all_due(windows: Iterable[Window], now: float) -> list[tuple[Due, Window]]:
    """Return what is due at Unix time `now`, in the order in which it is to be done."""
    found = [(what, window) for window in windows if (what := due(window, now)) is not None]
    return sorted(found, key=lambda each: (each[0], each[1].begin, each[1].key))


def begun(window: Window, admin: Admin, now: float) -> tuple[Window, Admin]:
    """Return a window that begins at Unix time `now`, and the admin state of its member from then on.

    A member in maintenance stays there: drained it would be nearer to the answers. One that people have drained stays
    as they said.
    """
    if admin.state is AdminState.MAINT or window.before is not AdminState.READY:
        return replace(window, begun=True, before=admin.state), admin
    since = admin.since if admin.state is AdminState.DRAIN else now
    drained = replace(admin, state=AdminState.DRAIN, reason=window.reason, who=window.who, since=since)
    return replace(window, begun=True), drained


def ended(window: Window, admin: Admin, now: float) -> Admin:
    """Return the admin state of a window's member when it is over, at Unix time `now`.

    What people have said of the member since stays, and so does what they said before. A window without an end leaves
    its member drained. One that never began may have a member to bring back too: it took the place of one that had.
    """
    undone = window.end is not None and window.before is AdminState.READY
    if not undone or admin.state is not AdminState.DRAIN:
        return admin
    return replace(admin, state=AdminState.READY, reason="", who=window.who, since=now)


def state_at(admin: Admin, window: Window | None, at: float) -> AdminState:
    """Return the admin state that a member will have at Unix time `at` if nobody says anything else."""
    if window is None:
        return admin.state
    if window.covers(at):
        return begun(window, admin, at)[1].state
    return ended(window, admin, at).state if window.is_over(at) else admin.state
