"""What happens, written down: health, serials and events, on their way to the store.

Writing is never waited for, since a slow or full disk must not hold up answers. What comes while a write is under way
goes with the next one, so that a thousand members that change at once are a few writes.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import structlog

from dnslb.daemon.roster import Key
from dnslb.pool.health import Health
from dnslb.store import Event, EventKind, Store, StoreError

_log = structlog.get_logger()


class Journal:
    """What is to be written, and the one task that writes it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._healths: dict[Key, Health] = {}
        self._serials: dict[str, int] = {}
        self._events: list[Event] = []
        self._writing: asyncio.Task[None] | None = None
        self._failing = False

    def event(self, kind: EventKind, text: str, *, pool: str = "", member: str = "", **details: Any) -> None:  # noqa: ANN401 - JSON
        """Record one thing that happened."""
        who = str(details.pop("who", ""))
        self._events.append(Event(time.time(), kind, text, pool=pool, member=member, who=who, details=details))
        self._write_soon()

    def health(self, changes: Mapping[Key, Health]) -> None:
        """Record members' health."""
        self._healths |= changes
        self._write_soon()

    def serials(self, serials: Mapping[str, int]) -> None:
        """Record the serials that zones are at, by name as text."""
        self._serials |= serials
        self._write_soon()

    def _write_soon(self) -> None:
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._healths or self._serials or self._events:
                healths, self._healths = self._healths, {}
                serials, self._serials = self._serials, {}
                events, self._events = self._events, []
                await self._try(healths, serials, events)
        finally:
            self._writing = None

    async def _try(self, healths: Mapping[Key, Health], serials: Mapping[str, int], events: list[Event]) -> None:
        """Write, or report once that the store has begun to fail: what could not be written is given up."""
        try:
            if healths:
                await self._store.save_health(healths)
            if serials:
                await self._store.save_serials(serials)
            if events:
                await self._store.add_events(events)
        except StoreError as error:
            if not self._failing:
                _log.error("state_not_saved", reason=str(error))
            self._failing = True
        else:
            self._failing = False

    async def settle(self) -> None:
        """Wait until all is written."""
        if self._writing is not None:
            await self._writing
