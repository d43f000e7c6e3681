"""Planned drains as time passes: they begin, wait for the pool to be able to do without the member, and end.

The clock is that on the wall, looked at each second: a step of it makes a window begin or end early or late, and never
twice (dnslb.pool.window says how).
"""

import asyncio
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import structlog

from dnslb.daemon.journal import Journal
from dnslb.daemon.report import View, to_select, window_json
from dnslb.daemon.roster import Key
from dnslb.daemon.wishes import Wishes
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.remains import Remains, in_words, remains
from dnslb.pool.window import Due, Window, all_due, begun, ended
from dnslb.store import Event, EventKind, StoreError

_TICK_SECONDS = 1.0
_IN_STATE = {AdminState.READY: "ready", AdminState.DRAIN: "drained", AdminState.MAINT: "in maintenance"}

_log = structlog.get_logger()


class Windows:
    """Takes the steps that are due.

    `view` returns what is configured and known now. `changing` is held by whoever changes what is wanted.
    """

    def __init__(
        self,
        *,
        wishes: Wishes,
        view: Callable[[], View],
        journal: Journal,
        changing: asyncio.Lock,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._wishes = wishes
        self._view = view
        self._journal = journal
        self._changing = changing
        self._wall = wall
        self._held: dict[Window, str] = {}
        """Windows that should have begun, and what of the pool would be left if they had."""
        self._failing = False

    def held(self, window: Window) -> str:
        """Return what would be left of the pool, if that has kept a window from beginning in time, else ""."""
        return self._held.get(window, "")

    async def run(self) -> None:
        """Look at the clock each second, for ever."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                await self.tick()
            except Exception:  # noqa: BLE001 - a fault in one step must not leave every member drained for good
                self._complain(lambda: _log.exception("windows_failed"))

    async def tick(self) -> None:
        """Take the steps that are due now, between the changes of others."""
        if not self._due():
            self._failing = False
            return
        async with self._changing:
            await self.catch_up()

    async def catch_up(self) -> None:
        """Take the steps that are due now. For who holds the lock."""
        self._held = {each: why for each, why in self._held.items() if self._wishes.window(each.key) == each}
        try:
            for what, window in self._due():
                await self._take(what, window)
        except StoreError as error:
            # Tried again at the next tick.
            self._complain(partial(_log.error, "window_not_kept", reason=str(error)))
        else:
            self._failing = False

    def _complain(self, log: Callable[[], object]) -> None:
        """Tell of what fails each second, once."""
        if not self._failing:
            log()
        self._failing = True

    def _due(self) -> list[tuple[Due, Window]]:
        windows = self._wishes.windows()
        # Nobody is left whom `ready` could be said of.
        endless = [(Due.END, each) for each in windows if each.begun and each.end is None and self._is_gone(each)]
        return [*all_due(windows, self._wall()), *endless]

    def _is_gone(self, window: Window) -> bool:
        return self._view().roster.get(*window.key) is None

    async def _take(self, what: Due, window: Window) -> None:
        if what is Due.BEGIN:
            await self._begin(window)
        elif what is Due.END:
            await self._end(window)
        else:
            await self._leave_out(window)

    async def _begin(self, window: Window) -> None:
        before = self._wishes.admin(window.key)
        # Who is out already leaves nothing.
        leaves = before.state is AdminState.READY and not self._is_gone(window)
        why = self._too_few_without(window) if leaves and not window.forced else ""
        if why:
            self._hold(window, why)
            return
        running, admin = begun(window, before, self._wall())
        text = f"the window of {window.member} begins: drained {_until(window)}{_signed(window)}"
        await self._change(window, admin, running, "begun", text)

    def _too_few_without(self, window: Window) -> str:
        """Return what would be left without the member now if that is too little, "" if it is enough."""
        left = remains(*to_select(self._view(), window.pool), window.member, AdminState.DRAIN)
        return "" if left.enough else in_words(left)

    def _hold(self, window: Window, why: str) -> None:
        told = window in self._held
        self._held[window] = why
        if not told:
            _log.warning("window_held", pool=window.pool, member=window.member, left=why)
            text = f"the window of {window.member} does not begin yet: it would leave {why}"
            details = {"what": "held", "window": window_json(window)}
            self._journal.event(EventKind.ALERT, text, pool=window.pool, member=window.member, **details)

    async def _end(self, window: Window) -> None:
        admin = ended(window, self._wishes.admin(window.key), self._wall())
        text = f"the window of {window.member} is over{_signed(window)}: it is {self._state(window, admin)}"
        await self._change(window, admin, None, "ended", text)

    async def _leave_out(self, window: Window) -> None:
        admin = ended(window, self._wishes.admin(window.key), self._wall())
        unseen = "dnslb did not run then, or the clock was set"
        why = f"it would have left {self._held[window]}" if window in self._held else unseen
        text = f"the window of {window.member} {_span(window)} was left out: {why}; it is {self._state(window, admin)}"
        await self._change(window, admin, None, "missed", text)

    def _state(self, window: Window, admin: Admin) -> str:
        return "configured no more" if self._is_gone(window) else _IN_STATE[admin.state]

    async def _change(self, window: Window, admin: Admin, after: Window | None, what: str, text: str) -> None:
        await self._wishes.change(window.key, admin, after, _event(self._wall(), what, text, window))


def announced(window: Window, old: Window | None, left: Remains, now: float) -> Event:
    """Return the event of a new window, which may take the place of an old one, and of what it leaves of the pool."""
    instead = f"; the window {_span(old)} gives way" if old is not None else ""
    forced = "" if left.enough else f"; forced, though it leaves {in_words(left)}"
    what, verb = ("begun", "is drained") if window.begun else ("announced", "is to be drained")
    return _event(now, what, f"{window.member} {verb} {_span(window)}{instead}{forced}", window)


def unattended(windows: Iterable[Window], configured: Container[Key]) -> tuple[str, ...]:
    """Return what is to be said of windows whose members a reload has removed."""
    return tuple(
        f"{window.pool}/{window.member} is configured no more, and its window {_span(window)} stays: it holds if the"
        " member comes back before its end"
        for window in windows
        if window.key not in configured
    )


def refused(window: Window, left: Remains, now: float) -> Event:
    """Return the event of a window that is not taken."""
    return _event(
        now, "refused", f"no window for {window.member} {_span(window)}: it would leave {in_words(left)}", window
    )


def cancelled(window: Window, who: str, reason: str, now: float) -> Event:
    """Return the event of a window that somebody has ended before its time, for a reason that may be ""."""
    text = f"the window of {window.member} {_span(window)} is cancelled by {who}"
    planned = _event(now, "cancelled", text, window)
    return replace(planned, who=who, details={**planned.details, "reason": reason})


def moment(at: float) -> str:
    """Return Unix time as people read it where the daemon runs."""
    return f"{datetime.fromtimestamp(at, UTC).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def _event(at: float, what: str, text: str, window: Window) -> Event:
    """Return the event of a window: whoever planned it is behind what becomes of it, unless somebody else is named."""
    details = {"what": what, "window": window_json(window), "reason": window.reason}
    return Event(at, EventKind.WINDOW, text, who=window.who, details=details)


def _span(window: Window) -> str:
    """Return from when until when a window lasts, and who wanted it, as a phrase."""
    return f"from {moment(window.begin)} {_until(window)}{_signed(window)}"


def _until(window: Window) -> str:
    return "until it is set to ready" if window.end is None else f"until {moment(window.end)}"


def _signed(window: Window) -> str:
    said = ": ".join(part for part in (window.who, window.reason) if part)
    return f" ({said})" if said else ""
