"""The open state directory: what a restart takes up again, and events.

A disk that fails is an error for whoever waits for it, and for nobody else. The directory needs no care then: each
write makes anew what is missing of it.
"""

import asyncio
import itertools
import math
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from dnslb.store.directory import TROUBLE, Claim, StoreError, claim
from dnslb.store.event import Event
from dnslb.store.events import EventLog
from dnslb.store.legacy import EVENTS
from dnslb.store.remembered import Remembered
from dnslb.store.state import StateFiles
from dnslb.store.thread import LateError, Thread

PATIENCE = 5.0
"""Seconds for which anybody waits for the disk."""
MAX_PENDING = 10_000
"""Events that are kept in memory while they cannot be written; then the oldest go."""

_Result = TypeVar("_Result")


class Store:
    """Made by open(); no other dnslb can open the directory until close().

    The coroutines do their work in one thread, in the order in which they are called. What they write is on disk when
    they return. Each raises StoreError if it fails, or has not ended after five seconds. `retention` is for how many
    seconds events are kept, and may be set at any time.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.retention = math.inf
        self.findings: list[str] = []
        """What people should know of what was found; whoever tells them takes it from here."""
        self.unread: OSError | None = None
        """Why that which the last run left could not be read, if it may still be there."""
        self.is_lost = False
        """Whether there was something that the last run had left, and none of it was read at the start."""
        self.is_closed = False
        self._claim: Claim | None = None
        self._state = StateFiles(directory, self.findings.append)
        self._log = EventLog(directory / EVENTS, self.findings.append)
        self._pending: deque[Event] = deque(maxlen=MAX_PENDING)
        self._others: dict[str, Callable[[], None]] = {}
        self._due: set[str] = set()
        """Files of others in the directory, and which of them are still to be written."""
        self._ids = itertools.count(1)
        self._thread = Thread(PATIENCE)
        self._reading = asyncio.Lock()

    @classmethod
    def open(cls, directory: Path) -> "Store":
        """Open the directory, made (mode 0700) if it is missing (blocking).

        Raise StoreError if another dnslb has it, or if a person has to set something right first. A disk in trouble is
        no error here.
        """
        store = cls(directory)
        # If not, the first write says so.
        with suppress(OSError):
            store._own()
        return store

    def _own(self) -> None:
        """See that the directory is there, and ours."""
        if self.is_closed:
            raise StoreError(f"the state in {self.directory} is another's now")
        if self._claim is not None and self._claim.holds():
            return
        before, self._claim = self._claim, claim(self.directory)
        if before is not None:
            before.release()
            self._due |= self._others.keys()
            self.findings.append(f"the state directory {self.directory} was removed, and is made anew")

    def load(self) -> Remembered | None:
        """Return what the last run left, None if that is nothing, or nothing that can be read now.

        Blocking; for start-up, before the first coroutine. Raise StoreError if a person has to set something right.
        """
        found = self._read()
        self.is_lost = found is None and (self.unread is not None or self._state.has_damage)
        self._ids = itertools.count(self._first_id())
        return found

    def _read(self) -> Remembered | None:
        self.unread = None
        try:
            return self._state.read()
        except OSError as error:
            if error.errno not in TROUBLE:
                raise StoreError(f"cannot read the state in {self.directory}: {error}") from error
            self.unread = error
            return None

    def _first_id(self) -> int:
        with suppress(OSError, sqlite3.Error):
            if (last := self._log.last_id()) is not None:
                return last + 1
        # Greater than any that was given: there was not one event a second since 1970.
        return int(time.time())

    async def load_late(self) -> Remembered | None:
        """Return what could not be read at the start, None if it was nothing."""
        return await self._run(self._read)

    def also(self, name: str, write: Callable[[], None]) -> None:
        """Have a file of somebody else's written with the next save, and whenever the directory is made anew."""
        self._others[name] = write
        self._due.add(name)

    async def save(self, known: Remembered) -> None:
        """Remember this in place of all that was remembered."""
        await self._run(lambda: self._save(known))

    def _save(self, known: Remembered) -> None:
        if self.unread is not None:
            # Nobody knows what would be lost.
            raise self.unread
        self._own()
        self._write_others()
        self._state.write(known, confirm=self._thread.check_awaited)

    def _write_others(self) -> None:
        for name in list(self._due):
            self._due.discard(name)
            try:
                self._others[name]()
            except OSError:
                self._due.add(name)
                raise

    def note(self, event: Event) -> Event:
        """Take an event, which `events` knows of from now on; return it with its id. `flush` writes it."""
        noted = replace(event, id=next(self._ids))
        self._pending.append(noted)
        return noted

    async def flush(self) -> None:
        """Write the events that are not written yet."""
        batch = list(self._pending)
        if batch:
            await self._run(lambda: self._append(batch))
        while self._pending and self._pending[0].id <= batch[-1].id:
            self._pending.popleft()

    def _append(self, batch: list[Event]) -> None:
        self._own()
        self._log.append(batch, self.retention)

    async def events(
        self, since: float | None = None, pool: str | None = None, after: int | None = None, limit: int = 100
    ) -> list[Event]:
        """Return at most `limit` events, oldest first: from `since` (Unix time) on, of `pool`, later than id `after`.

        With `after` they are the oldest that fit, so that a follower misses none; without it the newest. While the disk
        fails they are those that are not written yet, and raise nothing.
        """
        # Taken first: what is written meanwhile is found there.
        pending = [event for event in self._pending if _fits(event, since, pool, after)]
        found: list[Event] = []
        # One reader at a time, for whom a write may have to wait: many of them would be a disk that does not answer.
        async with self._reading:
            with suppress(StoreError):
                found = await self._run(lambda: self._log.find(since, pool, after, limit))
        known = {event.id: event for event in (*found, *pending)}
        fitting = sorted(known.values(), key=lambda event: event.id)
        return fitting[-limit:] if after is None else fitting[:limit]

    @property
    def has_unwritten(self) -> bool:
        """Whether there are events that `flush` would write."""
        return bool(self._pending)

    def call_when_free(self, callback: Callable[[], object]) -> None:
        """Have the callback called, in the loop, when a write ends that nobody waits for any more, if there is one."""
        if (late := self._thread.late) is not None:
            loop = asyncio.get_running_loop()
            late.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(callback))

    async def close(self) -> None:
        """Finish what has been asked, if the disk lets us, and let another dnslb open the directory."""
        with suppress(StoreError):
            await self._run(self._end)
        self.is_closed = True
        self._thread.end()
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    def _end(self) -> None:
        # Already here: what has been asked meanwhile comes next, and would open the events again.
        self.is_closed = True
        self._log.close()

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        try:
            return await self._thread.run(work)
        except (OSError, sqlite3.Error, LateError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise StoreError(f"the state cannot be kept in {self.directory}: {why}") from error


def _fits(event: Event, since: float | None, pool: str | None, after: int | None) -> bool:
    return (
        (since is None or event.at >= since)
        and (pool is None or event.pool == pool)
        and (after is None or event.id > after)
    )
