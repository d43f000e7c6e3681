"""Brings one target its events, in their order and one message at a time, and tries again if that fails."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from dnslb.notify.backlog import Backlog, Batch
from dnslb.notify.message import MOST, Message, Sender, message_of
from dnslb.notify.target import Event, Target
from dnslb.notify.undelivered import UndeliveredError

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, *[60.0] * 58)
"""Seconds between the tries of one message, which is given up after the last: about an hour."""

_log = structlog.get_logger()

Deliver = Callable[[Target, Message], Awaitable[str]]
"""Brings a target a message; returns what it has to say to that, "" for nothing, or raises UndeliveredError."""


class Courier:
    """Has a task as long as there is something to bring.

    What comes while a message is under way goes with the next one: so a burst is a few messages, and never more than
    one process at a time. `jitter` makes of a pause another one, so that not all who failed together come again
    together.
    `delivered` counts events.
    """

    def __init__(self, target: Target, sender: Sender, deliver: Deliver, jitter: Callable[[float], float]) -> None:
        self.target = target
        self.delivered = 0
        self.failing = False
        self._sender = sender
        self._deliver = deliver
        self._jitter = jitter
        self._backlog = Backlog()
        self._hurried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._under_way = 0

    @property
    def missed(self) -> int:
        """How many events it has not been told of, and never will be."""
        return self._backlog.lost

    @property
    def waiting(self) -> int:
        """How many events have yet to arrive."""
        return len(self._backlog) + self._under_way

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that brings what there is, None if there is nothing."""
        return self._task

    def tell(self, event: Event) -> None:
        """Have the target told of an event, if it wants to know."""
        if self.target.wants(event):
            self._backlog.put(event)
            if self._task is None:
                self._task = asyncio.create_task(self._run())

    def hurry(self) -> None:
        """Try once what is left, at once."""
        self._hurried.set()

    def end(self) -> None:
        """Leave off."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._backlog:
                batch = self._backlog.take(MOST)
                self._under_way = len(batch.events)
                await self._bring(batch)
                self._under_way = 0
        finally:
            self._task = None

    async def _bring(self, batch: Batch) -> None:
        message = message_of(self._sender, batch)
        for pause in (*PAUSES, None):
            try:
                said = await self._attempt(message)
            except UndeliveredError as error:
                self._failed(str(error))
                if pause is None or not error.again or self._hurried.is_set():
                    break
            else:
                self._arrived(batch, said)
                return
            await self._wait(self._jitter(pause))
        self._backlog.give_up(batch)

    async def _attempt(self, message: Message) -> str:
        try:
            return await self._deliver(self.target, message)
        except UndeliveredError:
            raise
        except Exception as error:
            _log.exception("notify_fault", target=self.target.name)
            raise UndeliveredError("a fault of dnslb", again=False) from error

    def _failed(self, why: str) -> None:
        if not self.failing:
            _log.warning("notify_failing", target=self.target.name, reason=why)
        self.failing = True

    def _arrived(self, batch: Batch, said: str) -> None:
        if self.failing:
            _log.info("notify_works", target=self.target.name, missed=batch.missed)
        self.failing = False
        self.delivered += len(batch.events)
        if said:
            _log.info("notify_output", target=self.target.name, text=said)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurried.wait()
