"""What an operator can ask of the daemon (see dnslb.control.commands.Operator)."""

import asyncio
import platform
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from dnslb import __version__
from dnslb.answer.senders import Client
from dnslb.config import ConfigError
from dnslb.control.commands import no_such_member, no_such_pool
from dnslb.control.protocol import Code, Refused
from dnslb.daemon import report
from dnslb.daemon.explanation import Question, explanation_json, find
from dnslb.daemon.planning import plan_json
from dnslb.daemon.roster import Entry, Key
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.planned import Planned, Step
from dnslb.probe.report_json import report_json
from dnslb.probe.transcript import Report
from dnslb.publisher import Publisher
from dnslb.store import Event, EventKind, Store, StoreError

_log = structlog.get_logger()


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
        publisher: Publisher,
        store: Store,
        status: Callable[[], dict[str, Any]],
        probe: Callable[[Key], Awaitable[Report]],
        reload: Callable[[str], Awaitable[Reloaded]],
        changing: asyncio.Lock,
    ) -> None:
        self._view = view
        self._publisher = publisher
        self._store = store
        self._status = status
        self._probe = probe
        self._reload = reload
        self._changing = changing

    async def status(self) -> dict[str, Any]:
        """Return the object of `dnslb status --json`."""
        return self._status()

    async def set_admin(self, pool: str, member: str, state: AdminState, reason: str, who: str) -> dict[str, Any]:
        """Set a member's admin state and return when answers have changed."""
        # Together: a word that is based on what was before must not undo another one that comes in between.
        async with self._changing:
            entry = self._entry(pool, member)
            before = entry.standing.admin
            since = before.since if before.state is state else time.time()
            admin = replace(before, state=state, reason=reason, who=who, since=since)
            text = f"{member} set to {state} by {who}" + (f": {reason}" if reason else "")
            details = {"before": before.state, "after": state, "reason": reason}
            return await self._change(pool, entry, admin, Event(time.time(), EventKind.ADMIN, text, details=details))

    async def set_weight(self, pool: str, member: str, weight: int | None, reason: str, who: str) -> dict[str, Any]:
        """Set a member's run-time weight and return when answers have changed."""
        async with self._changing:
            entry = self._entry(pool, member)
            before = entry.standing.admin
            self._check_weight_left(pool, entry, weight)
            word = "the configured one" if weight is None else str(weight)
            text = f"weight of {member} set to {word} by {who}" + (f": {reason}" if reason else "")
            details = {"before": before.weight, "after": weight, "configured": entry.member.weight, "reason": reason}
            event = Event(time.time(), EventKind.WEIGHT, text, who=who, details=details)
            return await self._change(pool, entry, replace(before, weight=weight), event)

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

    async def _change(self, pool: str, entry: Entry, admin: Admin, event: Event) -> dict[str, Any]:
        """Remember first, so that what was confirmed is never forgotten; then publish."""
        member = entry.member.name
        try:
            await self._store.save_admin(pool, member, admin)
        except StoreError as error:
            raise Refused(Code.REFUSED, f"nothing was changed: {error}") from error
        entry.standing.admin = admin
        _log.info(f"member_{event.kind}", pool=pool, member=member, text=event.text)
        try:
            await self._store.add_events([replace(event, pool=pool, member=member, who=event.who or admin.who)])
        except StoreError as error:
            _log.error("event_not_saved", reason=str(error))
        self._publisher.touch(pool)
        await self._publisher.publish()
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
                Code.CONFIG, f"{len(problems)} problems; nothing was changed", {"problems": problems}
            ) from error
        return {"generation": done.generation, "changed": done.changed, "warnings": list(done.warnings)}

    async def events(
        self, since: float | None, pool: str | None, after: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Return events, oldest first."""
        try:
            found = await self._store.events(since, pool, after, limit)
        except StoreError as error:
            raise Refused(Code.INTERNAL, str(error)) from error
        return [event.as_json() for event in found]

    async def probe(self, pool: str, member: str) -> dict[str, Any]:
        """Probe a member now, in all its aspects; what is found counts like any probe."""
        self._entry(pool, member)
        return report_json(f"{pool}/{member}", await self._probe((pool, member)))

    async def explain(self, name: bytes, rtype: int | None, client: Client | None) -> dict[str, Any]:
        """Tell why a name is answered as it is, from what the answers are compiled from."""
        if not self._publisher.generation:
            raise Refused(Code.REFUSED, "the daemon is still probing for its first answers: ask again in a moment")
        view, question = self._view(), Question(name, rtype, client)
        generation = self._publisher.generation
        # In a thread: the variants of a thousand members take a second.
        found = await asyncio.to_thread(find, self._publisher.world, self._publisher.pools, question)
        return {**explanation_json(view, question, found), "generation": generation}

    async def plan(self, changes: Sequence[Planned]) -> dict[str, Any]:
        """Tell what changes would do, and make none of them."""
        for change in changes:
            self._check_planned(change, changes)
        return plan_json(self._view(), changes, self._publisher.last_good)

    def _check_planned(self, change: Planned, changes: Sequence[Planned]) -> None:
        key = (change.pool, change.member)
        times = sum(each.step is Step.ADD and (each.pool, each.member) == key for each in changes)
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
        return {"version": __version__, "python": platform.python_version()}
