"""What happens, told once: a log line for those who watch, an event in the store for those who ask later.

Writing is waited for only where the next run could tell something wrong without it, and then not for long: a slow or
full disk must not hold up answers. What comes while a write is under way goes with the next one, so that a thousand
members that change at once are a few writes. What the next run needs is written whole each time: so a disk that has
failed needs no more than one write that succeeds. That is much work for thousands of members; so writes that nobody
waits for are paced. All events come this way, those of operators too: who listens hears each of them, in the order of
their ids.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from dnslb import __version__
from dnslb.daemon.roster import Key
from dnslb.pool.health import Health, State, Verdict
from dnslb.pool.selection import QUESTIONS, Selection
from dnslb.publisher import Publication
from dnslb.server import engine
from dnslb.server.supervisor import Death
from dnslb.store import Event, EventKind, Remembered, Store, StoreError
from dnslb.wire import name
from dnslb.zone.serial import ahead, is_newer

_AHEAD = 64
"""So far ahead of a zone's serial is what is written of it, and half of that when it is written anew."""
_REST = 9
"""So many times as long as the last write has taken, one that nobody waits for waits: a tenth of the time is theirs."""
_log = structlog.get_logger()


class Journal:
    """What is to be written, and the one task that writes it.

    `known` returns what the next run is to remember, but for serials of zones that are answered from; `take_up` gets
    what the last run left, if that could not be read at the start.
    """

    def __init__(
        self,
        store: Store,
        known: Callable[[], Remembered] = Remembered,
        take_up: Callable[[Remembered], None] = lambda _found: None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._known = known
        self._take_up = take_up
        self._steady = steady
        self._current: dict[str, int] = {}
        self._reserved: dict[str, int] = {}
        """The serials that zones are at, and what is written of them."""
        self._listeners: list[Callable[[Event], None]] = []
        self._stale = False
        """Whether more is known than is written."""
        self._saving = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None
        self._awaited: list[asyncio.Future[None]] = []
        """Those who wait for the next write, each with what is done at its end."""
        self._hurried = asyncio.Event()
        """Set while there are any."""
        self._rests_until = 0.0
        self._failing_since = 0.0
        self.failing = ""
        """Why nothing can be kept now."""
        self.unreachable = ""
        """Why nobody can reach us by the control socket."""

    def event(self, kind: EventKind, text: str, *, pool: str = "", member: str = "", **details: Any) -> None:  # noqa: ANN401 - JSON
        """Record one thing that happened."""
        who = str(details.pop("who", ""))
        self._note(Event(time.time(), kind, text, pool=pool, member=member, who=who, details=details))

    async def keep(self, *events: Event) -> None:
        """Record things that happened, and return when they are written, or cannot be."""
        for event in events:
            self._note(event)
        await self.settle()

    def _note(self, event: Event) -> None:
        noted = self._store.note(event)
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            # Not called from here: what goes wrong in one of them is not the journal's trouble.
            loop.call_soon(listener, noted)
        self._write_soon()

    def listen(self, callback: Callable[[Event], None]) -> None:
        """Have the callback hear each event from now on, with its id, in the loop, whether or not it can be written."""
        self._listeners.append(callback)

    def also(self, name: str, write: Callable[[], None]) -> None:
        """Have a file of somebody else's in the state directory written soon, with the same patience and alert."""
        self._store.also(name, write)
        self.changed()

    def changed(self) -> None:
        """Have what is known now on disk soon."""
        self._stale = True
        self._write_soon()

    def serials(self, serials: Mapping[str, int]) -> bool:
        """Record the serials that zones are at, by name as text; return whether anything is written for it.

        What is written is ahead of them, long before they get there: so no serial is given out twice, although a killed
        run had not written its last ones.
        """
        self._current |= serials
        near = [zone for zone, serial in serials.items() if self._is_near(zone, serial)]
        for zone in near:
            self._reserved[zone] = ahead(serials[zone], _AHEAD)
            self.changed()
        return bool(near)

    def _is_near(self, zone: str, serial: int) -> bool:
        """Say whether more serials have to be written before a zone gets to the last one that is."""
        reserved = self._reserved.get(zone)
        return reserved is None or not is_newer(reserved, ahead(serial, _AHEAD // 2))

    async def save(self, change: Callable[[Remembered], Remembered], adopt: Callable[[], None]) -> None:
        """Have on disk what is known with a change made, and then adopt the change.

        Raise StoreError if it cannot be, and nothing has changed; if it comes to the disk later, it is undone there.
        """
        async with self._saving:
            try:
                await self._store.save(change(self._all()))
            except StoreError as error:
                self._failed(error)
                raise
            adopt()

    def _all(self) -> Remembered:
        known = self._known()
        return replace(known, serials={**known.serials, **self._reserved})

    def _write_soon(self) -> None:
        if self._writing is None and not self._store.is_closed:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        """Write what there is to be written. What cannot be is tried again with whatever comes next."""
        try:
            while self._stale or self._store.has_unwritten:
                await self._rest()
                if self._store.is_closed:
                    return
                await self._write_once()
        except StoreError as error:
            self._failed(error)
            self._tell_findings()
        finally:
            self._writing = None

    async def _rest(self) -> None:
        """Wait until the last write has taken no more than its part of the time, or until somebody waits for this."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._rests_until - self._steady()):
                await self._hurried.wait()

    async def _write_once(self) -> None:
        """Write what there is now, and tell those who wait for it."""
        awaited, self._awaited = self._awaited, []
        self._hurried.clear()
        began = self._steady()
        try:
            await self._save()
            await self._store.flush()
            self._worked()
            self._tell_findings()
            # What has just been told.
            await self._store.flush()
        finally:
            ended = self._steady()
            self._rests_until = ended + _REST * (ended - began)
        for each in awaited:
            each.set_result(None)

    async def _save(self) -> None:
        if not self._stale:
            return
        async with self._saving:
            if self._store.unread and (found := await self._store.load_late()):
                self._take_up(found)
            # What changes from here on is for the next time.
            self._stale = False
            await self._store.save(self._all())

    def _failed(self, error: StoreError) -> None:
        """Tell it when it begins, and see that the disk gets what is known, however that write has ended."""
        self._stale = True
        begins, self.failing = not self.failing, str(error)
        self._store.call_when_free(self._write_soon)
        if begins:
            self._failing_since = time.monotonic()
            _log.error("state_failing", reason=self.failing)
            self.event(EventKind.ALERT, f"{self.failing}; answers and probes go on")

    def _worked(self) -> None:
        if not self.failing:
            return
        self.failing = ""
        seconds = round(time.monotonic() - self._failing_since)
        _log.info("state_kept_again", seconds=seconds)
        self.event(EventKind.ALERT, f"the state is kept again, after {seconds} s: all that is known has been written")

    def control(self, trouble: str = "") -> None:
        """Tell, when it begins, why nobody can reach us by the control socket, and that it is over when nothing is."""
        if trouble and not self.unreachable:
            _log.error("control_unreachable", reason=trouble)
            self.event(EventKind.ALERT, f"{trouble}; answers and probes go on, and it is tried again")
        elif self.unreachable and not trouble:
            _log.info("control_reachable_again")
            self.event(EventKind.ALERT, "the control socket can be reached again")
        self.unreachable = trouble

    def _tell_findings(self) -> None:
        while self._store.findings:
            text = self._store.findings.pop(0)
            _log.warning("state_found", text=text)
            self.event(EventKind.ALERT, text)

    # What is told

    def started(self, listen: Sequence[str], generation: int) -> None:
        """Tell that queries are answered."""
        _log.info("ready", listen=listen, generation=generation, pid=os.getpid(), engine=engine.describe())
        self.event(EventKind.START, f"dnslb {__version__} started", generation=generation)

    def stopped(self, successor: int | None = None) -> None:
        """Tell that we give out no more serials, because nobody asks any more or because a process takes our place."""
        self._reserved |= self._current
        self.changed()
        how = "stopped" if successor is None else f"hands over to process {successor}"
        self.event(EventKind.STOP, f"dnslb {__version__} {how}")

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
        self.changed()

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
        """Wait until all that is known and told now is written, or cannot be, or for so many seconds."""
        if (writing := self._writing) is None:
            return
        written = asyncio.get_running_loop().create_future()
        self._awaited.append(written)
        self._hurried.set()
        await asyncio.wait({written, writing}, timeout=at_most, return_when=asyncio.FIRST_COMPLETED)
        if writing.done():
            writing.result()
