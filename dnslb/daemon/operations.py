"""What an operator can ask of the daemon (see dnslb.control.commands.Operator)."""

import asyncio
import platform
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from dnslb import __version__
from dnslb.answer.senders import Client
from dnslb.answer.service import steps_of
from dnslb.config import ConfigError
from dnslb.control.commands import no_such_member, no_such_pool
from dnslb.control.protocol import MAX_SPAN, Code, Refused
from dnslb.daemon import report, windows
from dnslb.daemon.explanation import Found, Question, explanation_json, find
from dnslb.daemon.planning import plan_json
from dnslb.daemon.roster import Entry, Key
from dnslb.daemon.wishes import Wishes
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.planned import Planned, Step
from dnslb.pool.remains import Remains, in_words, remains, remains_during, warning
from dnslb.pool.window import Span, Window, begun
from dnslb.probe.report_json import report_json
from dnslb.probe.transcript import Report
from dnslb.publisher import Publisher
from dnslb.rfc3339 import rfc3339
from dnslb.server import engine
from dnslb.store import Event, EventKind, Store, StoreError
from dnslb.store.thread import LateError, Thread

_EXPLAIN_SECONDS = 60.0
_PATIENCE = 60.0
"""Seconds for which a time that has passed is taken for now."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did. `warnings` are sentences."""

    generation: int
    changed: bool
    warnings: tuple[str, ...]


class Operations:
    """The Operator of the control socket: looks up, changes, remembers, publishes, and tells what is now true."""

    def __init__(  # noqa: PLR0913 - all that it works with, by keyword
        self,
        *,
        view: Callable[[], report.View],
        wishes: Wishes,
        publisher: Publisher,
        store: Store,
        status: Callable[[], dict[str, Any]],
        parts: Callable[[], dict[str, bool]],
        probe: Callable[[Key], Awaitable[Report]],
        reload: Callable[[str], Awaitable[Reloaded]],
        changing: asyncio.Lock,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._view = view
        self._wishes = wishes
        self._publisher = publisher
        self._store = store
        self._status = status
        self._parts = parts
        self._probe = probe
        self._reload = reload
        self._changing = changing
        self._wall = wall
        self._explaining = Thread(_EXPLAIN_SECONDS, "explain")

    async def status(self) -> dict[str, Any]:
        """Return the object of `dnslb status --json`."""
        return self._status()

    async def set_admin(self, pool: str, member: str, state: AdminState, reason: str, who: str) -> dict[str, Any]:
        """Set a member's admin state and return when answers have changed."""
        # Together: a word that is based on what was before must not undo another one that comes in between.
        async with self._changing:
            entry, now = self._entry(pool, member), self._wall()
            before = entry.standing.admin
            since = before.since if before.state is state else now
            admin = replace(before, state=state, reason=reason, who=who, since=since)
            ready = state is AdminState.READY
            left = None if ready else remains(*report.to_select(self._view(), pool), member, state)
            window = self._wishes.window((pool, member))
            # Who says maintenance may still mean the end of the window: it only keeps the member out in another way.
            kept, gone = (window, None) if state is AdminState.MAINT else (None, window)
            cancelled = [windows.cancelled(gone, who, reason, now)] if gone else []
            done = await self._change(entry, pool, admin, kept, _admin_event(member, admin, now), *cancelled)
            return done | {
                "remains": left and report.remains_json(left),
                "cancelled": gone and report.window_json(gone),
                "warnings": _said(warning(left)) if left else [],
            }

    async def set_window(self, pool: str, member: str, span: Span, reason: str, who: str) -> dict[str, Any]:
        """Plan a drain, or begin one that has an end, and return when answers have changed."""
        async with self._changing:
            entry, now = self._entry(pool, member), self._wall()
            begin, end = _times(span, now)
            old = self._wishes.window((pool, member))
            admin = entry.standing.admin
            # Who is out by a window goes back to what was before it, however often that window is corrected.
            before = old.before if old and admin.state is AdminState.DRAIN else admin.state
            window = Window(pool, member, begin, end, reason, who, span.forced, before)
            left = self._remains_during(window)
            if not left.enough and not span.forced:
                raise await self._refused(window, left)
            if begin <= now:
                window, admin = begun(window, admin, now)
            done = await self._change(entry, pool, admin, window, windows.announced(window, old, left, now))
            return done | {
                "remains": report.remains_json(left),
                "replaced": old and report.window_json(old),
                "ttls_shorten_at": self._ttls_shorten_at(window, now),
                "warnings": _said(warning(left), _lasting(window)),
            }

    def _remains_during(self, window: Window) -> Remains:
        pool = window.pool
        others = [each for each in self._wishes.windows() if each.pool == pool and each.member != window.member]
        return remains_during(*report.to_select(self._view(), pool), window, others)

    def _ttls_shorten_at(self, window: Window, now: float) -> str | None:
        """Return when answers begin to have shorter TTLs because of a window, None if they do not."""
        steps = steps_of(self._view().services).get(window.pool, ())
        return rfc3339(max(now, window.begin - steps[0])) if steps and not window.begun else None

    async def _refused(self, window: Window, left: Remains) -> Refused:
        """Tell that a window is not taken, and return why not."""
        await self._wishes.tell(window.key, windows.refused(window, left, self._wall()))
        return Refused(
            Code.REFUSED,
            f"the drain of {window.member} would leave {in_words(left)}; --force drains it all the same",
            {"remains": report.remains_json(left)},
        )

    async def set_weight(self, pool: str, member: str, weight: int | None, reason: str, who: str) -> dict[str, Any]:
        """Set a member's run-time weight and return when answers have changed."""
        async with self._changing:
            entry = self._entry(pool, member)
            before = entry.standing.admin
            self._check_weight_left(pool, entry, weight)
            word = "the configured one" if weight is None else str(weight)
            text = f"weight of {member} set to {word} by {who}" + (f": {reason}" if reason else "")
            details = {"configured": entry.member.weight, "reason": reason}
            said = Event(self._wall(), EventKind.WEIGHT, text, who=who, details=details)
            window = self._wishes.window((pool, member))
            return await self._change(entry, pool, replace(before, weight=weight), window, said)

    def _check_weight_left(self, pool: str, entry: Entry, weight: int | None) -> None:
        configured = self._view().pools[pool]
        entries = self._view().roster.entries(pool)
        others = sum(report.weight_of(configured, other) for other in entries if other is not entry)
        if others == 0 and (entry.member.weight if weight is None else weight) == 0:
            raise Refused(
                Code.REFUSED,
                f"pool {pool!r} would have no weight left, and so nobody to answer with; "
                f"to take {entry.member.name} out use dnslb drain {pool}/{entry.member.name}",
            )

    async def _change(
        self, entry: Entry, pool: str, admin: Admin, window: Window | None, *events: Event
    ) -> dict[str, Any]:
        """Have it so, and return what is then true of the member."""
        try:
            await self._wishes.change((pool, entry.member.name), admin, window, *events)
        except StoreError as error:
            raise Refused(Code.REFUSED, f"nothing was changed: {error}") from error
        view = self._view()
        found = report.member_json(view, view.pools[pool], entry)
        return {**found, "generation": self._publisher.generation}

    def _entry(self, pool: str, member: str) -> Entry:
        view = self._view()
        if pool not in view.pools:
            raise no_such_pool(pool, list(view.pools))
        entry = view.roster.get(pool, member)
        if entry is None:
            raise no_such_member(pool, member, view.roster.members_of(pool))
        return entry

    async def reload(self, who: str) -> dict[str, Any]:
        """Read the configuration again; a bad one changes nothing."""
        try:
            done = await self._reload(who)
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
            raise Refused(
                Code.CONFIG, f"{_errors(len(problems))}; nothing was changed", {"problems": problems}
            ) from error
        return {"generation": done.generation, "changed": done.changed, "warnings": list(done.warnings)}

    async def events(
        self, since: float | None, pool: str | None, after: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Return events, oldest first."""
        return [event.as_json() for event in await self._store.events(since, pool, after, limit)]

    async def probe(self, pool: str, member: str, who: str) -> dict[str, Any]:
        """Probe a member now, in all its aspects; what is found counts like any probe."""
        self._entry(pool, member)
        found = report_json(f"{pool}/{member}", await self._probe((pool, member)))
        text = f"{member} probed by {who}: {found['verdict']}"
        details = {"verdict": found["verdict"], "up": found["up"]}
        await self._wishes.tell((pool, member), Event(self._wall(), EventKind.PROBE, text, who=who, details=details))
        return found

    async def explain(self, name: bytes, rtype: int | None, client: Client | None) -> dict[str, Any]:
        """Tell why a name is answered as it is, from what the answers are compiled from."""
        if not self._publisher.has_begun:
            raise Refused(Code.REFUSED, "the daemon is still probing for its first answers: ask again in a moment")
        view, question = self._view(), Question(name, rtype, client)
        generation = self._publisher.generation
        found = await self._find(question)
        return {**explanation_json(view, question, found), "generation": generation}

    async def _find(self, question: Question) -> Found:
        # In a thread of its own: the variants of a thousand members take seconds, and nobody else waits for them.
        work = partial(find, self._publisher.world, self._publisher.pools, question)
        try:
            return await self._explaining.run(work)
        except LateError:
            raise Refused(Code.REFUSED, "this takes too long, or others have asked before: try again later") from None

    async def plan(self, changes: Sequence[Planned]) -> dict[str, Any]:
        """Tell what changes would do, and make none of them."""
        added = Counter((change.pool, change.member) for change in changes if change.step is Step.ADD)
        for change in changes:
            self._check_planned(change, added[change.pool, change.member])
        return plan_json(self._view(), changes, self._wall())

    def _check_planned(self, change: Planned, times: int) -> None:
        """Raise Refused if there is no such member, and none that is added so many times."""
        key = (change.pool, change.member)
        if not times:
            self._entry(*key)
            return
        view = self._view()
        if change.pool not in view.pools:
            raise no_such_pool(change.pool, list(view.pools))
        if times > 1 or view.roster.get(*key) is not None:
            raise Refused(Code.REFUSED, f"pool {change.pool!r} cannot get a second member {change.member!r}")

    def version(self) -> dict[str, Any]:
        """Return what runs."""
        return {
            "version": __version__,
            "python": platform.python_version(),
            "engine": engine.describe(),
            "parts": self._parts(),
        }


def _admin_event(member: str, after: Admin, now: float) -> Event:
    text = f"{member} set to {after.state} by {after.who}" + (f": {after.reason}" if after.reason else "")
    return Event(now, EventKind.ADMIN, text, who=after.who, details={"reason": after.reason})


def _times(span: Span, now: float) -> tuple[float, float | None]:
    """Return the Unix times of a window's beginning and end. Raise Refused if they make no sense at `now`."""
    if span.begin is None and span.seconds is None:
        raise Refused(Code.INVALID, "a window needs a beginning or a length: without both it is a drain from now on")
    begin = now if span.begin is None else span.begin
    # What was in the future when it was typed may be over by now.
    if not now - _PATIENCE <= begin <= now + MAX_SPAN:
        raise Refused(
            Code.INVALID,
            f"begin of window: expected a time within a year from now, which is {windows.moment(now)};"
            f" it is {rfc3339(begin) or begin}",
        )
    return begin, None if span.seconds is None else begin + span.seconds


def _lasting(window: Window) -> str:
    """Return what is to be said of a window that will not bring its member back, "" if it will, or has no end."""
    if window.end is None or window.before is AdminState.READY:
        return ""
    return f"{window.member} is set to {window.before} already, and stays so when the window is over"


def _said(*worries: str) -> list[str]:
    return [worry for worry in worries if worry]


def _errors(count: int) -> str:
    return "the configuration has an error" if count == 1 else f"the configuration has {count} errors"
