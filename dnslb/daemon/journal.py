"""What happens, written once: a log line for people who watch, an event for those who ask later.

Writing is never waited for: a full disk must not hold up answers. A store that fails is reported when it begins to.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from dnslb.daemon.roster import Key
from dnslb.pool.health import Health
from dnslb.store import Event, EventKind, Store, StoreError

_log = structlog.get_logger()


class Journal:
    """Events, health and serials on their way to the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writing: set[asyncio.Task[None]] = set()
        self._failing = False

    def event(self, kind: EventKind, text: str, *, pool: str = "", member: str = "", **details: Any) -> None:  # noqa: ANN401 - JSON
        """Record one thing that happened."""
        event = Event(
            time.time(), kind, text, pool=pool, member=member, who=str(details.pop("who", "")), details=details
        )
        self._write(lambda: self._store.add_events([event]))

    def health(self, changes: Mapping[Key, Health]) -> None:
        """Record members' health."""
        self._write(lambda: self._store.save_health(changes))

    def serials(self, serials: Mapping[str, int]) -> None:
        """Record the serials that zones are at, by name as text."""
        self._write(lambda: self._store.save_serials(serials))

    def _write(self, write: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._try(write))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _try(self, write: Callable[[], Awaitable[None]]) -> None:
        try:
            await write()
        except StoreError as error:
            if not self._failing:
                _log.error("state_not_saved", reason=str(error))
            self._failing = True
        else:
            self._failing = False

    async def settle(self) -> None:
        """Wait until all is written."""
        await asyncio.gather(*self._writing)
