"""What changes, told to all who listen (server-sent events): the status, then patches of it, and events as they come.

One producer makes what all hear, and only while somebody listens. A listener has what it did not take yet in a queue;
one that does not read is dropped, so that it costs nobody else anything.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import structlog

from dnslb.control.http.patch import patch_between
from dnslb.control.http.tokens import Token
from dnslb.control.protocol import Refused

PACE = 1.0
"""Seconds between two patches, at least."""
QUIET = 15.0
"""Seconds without news after which a comment tells a listener that the connection is alive."""
BACKLOG = 16_777_216
"""Octets that wait for one listener before it is dropped."""
REPLAYED = 50
"""Events that a listener hears of what was before it came."""
MOST_REPLAYED = 1_000
"""The same for one who comes back and says what it has heard."""
_SHARE = 9
"""A tenth of the time is spent on producing at most: so many times as long as it took, nothing is produced."""

_log = structlog.get_logger()

Json = dict[str, Any]


def message(kind: str, data: str, event_id: int = 0) -> bytes:
    """Return one server-sent event; data is one line. Without an id, a listener's last one stays as it is."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"event: {kind}\n{head}data: {data}\n\n".encode()


class Listener:
    """One who listens, with the token that it showed: what it has to hear and did not take yet."""

    def __init__(self, token: Token | None, quiet: float, backlog: int) -> None:
        self.token = token
        self.has_status = asyncio.Event()
        self._quiet = quiet
        self._backlog = backlog
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._news = asyncio.Event()
        self._ended = False
        self._early: list[Json] | None = []
        """The events that came before the older ones were read."""
        self._replayed: frozenset[int] = frozenset()

    def hear(self, piece: bytes) -> None:
        """Queue a piece; a listener for whom too much waits hears nothing more."""
        if self._ended:
            return
        if self._pieces and self._waiting + len(piece) > self._backlog:
            self.end()
        else:
            self._pieces.append(piece)
            self._waiting += len(piece)
            self._news.set()

    def hear_event(self, event: Json, piece: bytes) -> None:
        """Queue an event of now, behind those of before; it may be among these already."""
        if self._early is not None:
            self._early.append(event)
        elif event["id"] not in self._replayed:
            # Not for ever: a store that had to begin anew gives the same ids again.
            self._replayed = frozenset()
            self.hear(piece)

    def replay(self, events: list[Json]) -> None:
        """Queue the events of before, and then those that came meanwhile."""
        early, self._early = self._early or [], None
        self._replayed = frozenset(event["id"] for event in events)
        for event in events:
            self.hear(_event(event))
        for event in early:
            self.hear_event(event, _event(event))

    def end(self) -> None:
        """Tell it nothing more, not even what waits."""
        self._ended = True
        self._pieces.clear()
        self._news.set()
        self.has_status.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield what there is to hear, until it ends."""
        while not self._ended:
            if self._pieces:
                self._waiting -= len(self._pieces[0])
                yield self._pieces.popleft()
                continue
            self._news.clear()
            try:
                async with asyncio.timeout(self._quiet):
                    await self._news.wait()
            except TimeoutError:
                yield b": \n\n"


class Stream:
    """Tells all listeners of the status and of events.

    `status` and `history` return JSON objects; `events` the newest ones, so many, oldest first.
    """

    def __init__(  # noqa: PLR0913 -- all that it works with
        self,
        status: Callable[[], Awaitable[Json]],
        events: Callable[[int], Awaitable[list[Json]]],
        history: Callable[[], Json],
        *,
        pace: float = PACE,
        quiet: float = QUIET,
        backlog: int = BACKLOG,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._status = status
        self._events = events
        self._history = history
        self._pace = pace
        self._quiet = quiet
        self._backlog = backlog
        self._clock = clock
        self._listeners: set[Listener] = set()
        self._joined = asyncio.Event()
        self._producer: asyncio.Task[None] | None = None
        self._last: Json | None = None
        self._length = 0
        """Octets of the whole status, when it was last sent."""

    def __len__(self) -> int:
        """Return how many listen."""
        return len(self._listeners)

    @contextmanager
    def listening(self, token: Token | None, heard: int | None = None) -> Iterator[Listener]:
        """Have one more listener, as long as the context lasts.

        It hears the status, what was before, and the events since the last one that it has `heard`; without such a one
        the newest.
        """
        listener = Listener(token, self._quiet, self._backlog)
        self._listeners.add(listener)
        self._joined.set()
        if self._producer is None:
            self._producer = asyncio.create_task(self._produce())
        # Beside what is now: a disk that hangs keeps the events of before, and nobody from what is now.
        priming = asyncio.create_task(self._prime(listener, heard))
        try:
            yield listener
        finally:
            priming.cancel()
            self._listeners.discard(listener)
            if not self._listeners:
                self._rest()

    async def _prime(self, listener: Listener, heard: int | None) -> None:
        try:
            await listener.has_status.wait()
            listener.hear(message("history", await asyncio.to_thread(json.dumps, self._history())))
            listener.replay(await self._since(heard))
        except Exception:  # noqa: BLE001 -- it comes again, the log gets the traceback, and the others listen on
            _log.exception("stream_failed")
            listener.end()

    async def _since(self, heard: int | None) -> list[Json]:
        try:
            events = await self._events(REPLAYED if heard is None else MOST_REPLAYED)
        except Refused:
            return []  # a store that fails keeps nobody from what is now
        return [event for event in events if event["id"] > (heard or 0)]

    def tell(self, event: Json) -> None:
        """Tell all of an event, in the form of `dnslb events --json`."""
        if self._listeners:
            piece = _event(event)
            for listener in self._listeners:
                listener.hear_event(event, piece)

    def keep(self, may_stay: Callable[[Token | None], bool]) -> None:
        """End the listeners whose token may not stay."""
        for listener in self._listeners:
            if not may_stay(listener.token):
                listener.end()

    def _rest(self) -> None:
        if self._producer is not None:
            self._producer.cancel()
        self._producer = self._last = None

    async def _produce(self) -> None:
        try:
            while True:
                self._joined.clear()
                begun = self._clock()
                await self._one_round()
                spent = self._clock() - begun
                await asyncio.sleep(_SHARE * spent)
                with suppress(TimeoutError):
                    # Who comes need not wait for the next round.
                    async with asyncio.timeout(self._pace - (_SHARE + 1) * spent):
                        await self._joined.wait()
        except Exception:  # noqa: BLE001 -- listeners come again, the log gets the traceback, and the daemon goes on
            _log.exception("stream_failed")
            self._producer = self._last = None
            self.keep(lambda _token: False)

    async def _one_round(self) -> None:
        status, last = await self._status(), self._last
        listeners = list(self._listeners)
        new = [listener for listener in listeners if not listener.has_status.is_set()]
        # In a thread: the status of a thousand members is long.
        whole, patch = await asyncio.to_thread(_texts, last, status, self._length, wanted=bool(new))
        self._last = status
        if whole is not None:
            self._length = len(whole)
        for listener in listeners:
            piece = whole if patch is None or listener in new else patch
            if piece:
                listener.hear(piece)
            listener.has_status.set()


def _texts(last: Json | None, status: Json, length: int, *, wanted: bool) -> tuple[bytes | None, bytes | None]:
    """Return the whole status, None if nobody needs it, and the patch, None if the whole is to be sent instead.

    The patch is b"" if nothing has changed.
    """
    patch = None if last is None else _patch(last, status)
    if patch is not None and len(patch) >= length:
        patch = None
    whole = message("status", json.dumps(status)) if wanted or patch is None else None
    return whole, patch


def _patch(last: Mapping[str, Any], status: Mapping[str, Any]) -> bytes:
    operations = patch_between(last, status)
    return message("patch", json.dumps(operations)) if operations else b""


def _event(event: Json) -> bytes:
    return message("event", json.dumps(event), event["id"])
