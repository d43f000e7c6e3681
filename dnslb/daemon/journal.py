"""What happens, told once: a log line for those who watch, an event in the store for those who ask later.

Writing is waited for only where the next run could tell something wrong without it, and then not for long: a slow or
full disk must not hold up answers. What comes while a write is under way goes with the next one, so that a thousand
members that change at once are a few writes. All events come this way, those of operators too: who listens hears each
of them, in the order of their ids.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from dnslb import __version__
from dnslb.daemon.roster import Key
from dnslb.pool.health import Health, State, Verdict
from dnslb.pool.leaving import Leavings
from dnslb.pool.selection import QUESTIONS, Selection
from dnslb.publisher import Publication
from dnslb.server import engine
from dnslb.server.supervisor import Death
from dnslb.store import Event, EventKind, Store, StoreError
from dnslb.wire import name
from dnslb.zone.serial import ahead, is_newer

_AHEAD = 64
"""So far ahead of a zone's serial is what is written of it, and half of that when it is written anew."""
_log = structlog.get_logger()


class Journal:
    """What is to be written, and the one task that writes it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._healths: dict[Key, Health] = {}
        self._serials: dict[str, int] = {}
        self._current: dict[str, int] = {}
        self._reserved: dict[str, int] = {}
        """The serials that zones are at, and what is written of them."""
        self._events: list[Event] = []
        self._listeners: list[Callable[[Event], None]] = []
        self._leavings: Leavings | None = None
        self._writing: asyncio.Task[None] | None = None
        self._failing = False

    def event(self, kind: EventKind, text: str, *, pool: str = "", member: str = "", **details: Any) -> None:  # noqa: ANN401 - JSON
        """Record one thing that happened."""
        who = str(details.pop("who", ""))
        self._events.append(Event(time.time(), kind, text, pool=pool, member=member, who=who, details=details))
        self._write_soon()

    async def keep(self, *events: Event) -> None:
        """Record things that happened, and return when they are written, or cannot be."""
        self._events += events
        self._write_soon()
        await self.settle()

    def listen(self, callback: Callable[[Event], None]) -> None:
        """Have the callback hear each event from now on, in the loop, once the store has given it its id.

        An event that could not be stored is heard with id 0.
        """
        self._listeners.append(callback)

    def _tell(self, events: Sequence[Event]) -> None:
        loop = asyncio.get_running_loop()
        for event in events:
            for listener in self._listeners:
                # Not called from here: what goes wrong in one of them is not the journal's trouble.
                loop.call_soon(listener, event)

    def health(self, changes: Mapping[Key, Health]) -> None:
        """Record members' health."""
        self._healths |= changes
        self._write_soon()

    def serials(self, serials: Mapping[str, int]) -> None:
        """Record the serials that zones are at, by name as text.

        What is written is ahead of them, long before they get there: so no serial is given out twice, although a killed
        run had not written its last ones.
        """
        self._current |= serials
        for zone, serial in serials.items():
            reserved = self._reserved.get(zone)
            if reserved is None or not is_newer(reserved, ahead(serial, _AHEAD // 2)):
                self._serials[zone] = self._reserved[zone] = ahead(serial, _AHEAD)
                self._write_soon()

    def leavings(self, leavings: Leavings) -> None:
        """Record who has left the answers, in place of what was recorded before."""
        self._leavings = leavings
        self._write_soon()

    def _write_soon(self) -> None:
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._healths or self._serials or self._events or self._leavings:
                leavings, self._leavings = self._leavings, None
                healths, self._healths = self._healths, {}
                serials, self._serials = self._serials, {}
                events, self._events = self._events, []
                await self._try(leavings, healths, serials, events)
        finally:
            self._writing = None

    async def _try(
        self,
        leavings: Leavings | None,
        healths: Mapping[Key, Health],
        serials: Mapping[str, int],
        events: list[Event],
    ) -> None:
        """Write, or report once that the store has begun to fail: what could not be written is given up."""
        told: Sequence[Event] = events
        try:
            if leavings:
                await self._store.save_leavings(leavings)
            if healths:
                await self._store.save_health(healths)
            if serials:
                await self._store.save_serials(serials)
            if events:
                told = await self._store.add_events(events)
        except StoreError as error:
            if not self._failing:
                _log.error("state_not_saved", reason=str(error))
            self._failing = True
        else:
            self._failing = False
        self._tell(told)

    # What is told

    def started(self, listen: Sequence[str], generation: int) -> None:
        """Tell that queries are answered."""
        _log.info("ready", listen=listen, generation=generation, pid=os.getpid(), engine=engine.describe())
        self.event(EventKind.START, f"dnslb {__version__} started", generation=generation)

    def stopped(self) -> None:
        """Tell that no query is answered any more, and that no more serials are given out."""
        self._serials |= self._current
        self.event(EventKind.STOP, f"dnslb {__version__} stopped")

    def member_suspected(self, key: Key, health: Health) -> None:
        """Tell that an up member has begun to fail, and is being asked again to be sure."""
        pool, member = key
        _log.info("member_suspected", pool=pool, member=member, verdict=health.verdict, reason=health.reason)

    def member_changed(self, key: Key, before: Health, after: Health) -> None:
        """Tell that probes have decided a member's state anew."""
        pool, member = key
        note = _log.warning if after.state is State.DOWN else _log.info
        why = {"reason": after.reason} if after.reason else {}
        note(
            "member_state", pool=pool, member=member, state=after.state, was=before.state, verdict=after.verdict, **why
        )
        text = f"{member} is {after.state} (was {before.state}): {after.reason or after.verdict}"
        facts = {"before": before.state, "after": after.state, "verdict": after.verdict}
        self.event(EventKind.STATE, text, pool=pool, member=member, **facts)
        self.health({key: after})

    def member_alerted(self, key: Key, verdict: Verdict, reason: str) -> None:
        """Tell of what a person has to mend at a member, or at the probe that asks it."""
        pool, member = key
        _log.warning("member_alert", pool=pool, member=member, verdict=verdict, reason=reason)
        self.event(EventKind.ALERT, f"{member}: {verdict}: {reason}", pool=pool, member=member, verdict=verdict)

    def member_mended(self, key: Key, verdict: Verdict) -> None:
        """Tell that what had to be mended has been."""
        pool, member = key
        _log.info("member_mended", pool=pool, member=member, verdict=verdict)
        self.event(EventKind.ALERT, f"{member}: {verdict} no more", pool=pool, member=member, verdict=verdict)

    def member_warned(self, key: Key, text: str) -> None:
        """Tell of what will need a person soon."""
        pool, member = key
        _log.warning("member_warning", pool=pool, member=member, text=text)
        self.event(EventKind.ALERT, f"{member}: {text}", pool=pool, member=member)

    def prober_suspected(self, pool: str, findings: Mapping[str, str], seconds: float) -> None:
        """Tell that members fail together, which may be the fault of who probes them; `findings` by member."""
        _log.error("prober_suspected", pool=pool, frozen_seconds=seconds, second_look=dict(findings))
        looks = "; ".join(f"{member} ({look})" for member, look in findings.items())
        text = (
            f"half of pool {pool} or more fails at the same time, so the fault may be here: no more of its members"
            f" leave the answers for {seconds:g} s. A bare connection says: {looks}"
        )
        self.event(EventKind.ALERT, text, pool=pool, second_look=dict(findings))

    def published(self, publication: Publication) -> None:
        """Tell which pools' answers have changed, and which pools have begun or ceased to panic."""
        if publication.serials:
            self.serials({name.to_text(apex): serial for apex, serial in publication.serials.items()})
        for pool, (before, after) in publication.pools.items():
            if after.panic != (before is not None and before.panic):
                self._panic_changed(pool, after)
            if after.suspect is not None and after.suspect is not (before and before.suspect):
                self._question_suspected(pool, after.suspect)
            if before is not None and before.published != after.published:
                members = [choice.member.name for choice in after.published]
                _log.info("answers_changed", pool=pool, published=members, generation=publication.generation)

    def _panic_changed(self, pool: str, selection: Selection) -> None:
        healthy, total = selection.healthy_weight, selection.total_weight
        if selection.panic:
            text = f"pool {pool} panics: {selection.panic_reason}"
            _log.error("pool_panic", pool=pool, healthy_weight=healthy, total_weight=total)
        else:
            text = f"pool {pool} panics no more: healthy weight {healthy} of {total}"
            _log.info("pool_recovered", pool=pool, healthy_weight=healthy, total_weight=total)
        self.event(EventKind.PANIC, text, pool=pool, panic=selection.panic)

    def _question_suspected(self, pool: str, verdict: Verdict) -> None:
        _log.error("question_suspected", pool=pool, verdict=verdict)
        text = f"pool {pool}: {QUESTIONS[verdict]}, and mail goes on to all of them"
        self.event(EventKind.ALERT, text, pool=pool, verdict=verdict)

    def worker_died(self, death: Death) -> None:
        """Tell that a worker has ended by itself."""
        _log.error("worker_died", pid=death.pid, how=death.how, replaced_in_seconds=death.pause)
        worker = f"worker {death.pid}" if death.pid else "a worker"
        self.event(EventKind.WORKER, f"{worker} {death.how} and is replaced", pid=death.pid)

    def reloaded(self, who: str, generation: int, warnings: Sequence[str], *, changed: bool, **details: Any) -> None:  # noqa: ANN401 - JSON
        """Tell that the configuration has been read again and is in use."""
        _log.info("reloaded", by=who, changed=changed, generation=generation, warnings=list(warnings))
        text = f"reload by {who}: generation {generation}" + ("" if changed else ", answers as before")
        self.event(EventKind.RELOAD, text, who=who, changed=changed, **details)

    def reload_refused(self, who: str, problems: Sequence[str]) -> None:
        """Tell that the configuration is wrong, and the old one stays in use."""
        _log.error("reload_refused", by=who, problems=list(problems))
        self.event(EventKind.RELOAD, f"reload by {who} refused: {len(problems)} problems", who=who, problems=problems)

    async def settle(self, at_most: float | None = None) -> None:
        """Wait until all is written, or for so many seconds."""
        if self._writing is not None:
            done, _ = await asyncio.wait({self._writing}, timeout=at_most)
            for written in done:
                written.result()
