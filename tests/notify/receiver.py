"""A receiver of webhooks, real and badly behaved; and events to tell it of."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiohttp import web

from dnslb.notify.backlog import Batch
from dnslb.notify.message import Message, Sender, message_of
from dnslb.notify.target import Event, Target, Webhook

SENDER = Sender("ns1", "0.1.0")
SECRET = "T000/B000/abcdef?token=xyz"  # noqa: S105 - of nobody
Answer = Callable[[], Awaitable[web.StreamResponse]]


def an_event(number: int, **facts: object) -> Event:
    """Return an event as the store tells it."""
    about = {"pool": "inbound", "member": "mx1", "who": "", "text": f"text {number}", "details": {}}
    return {"id": number, "at": "2026-01-01T00:00:00.250Z", "kind": "state", **about, **facts}


def a_message(*events: Event, missed: int = 0) -> Message:
    """Return a message of these events, or of one."""
    return message_of(SENDER, Batch(events or (an_event(1),), missed))


class Receiver:
    """Takes messages at `url`. `answers` are what it does with the next ones; with all others it says 200."""

    def __init__(self) -> None:
        self.port = 0
        self.scheme = "http"
        self.taken: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.headers: list[dict[str, str]] = []
        self.answers: list[int | Answer] = []
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        """Where it is, with a path that nobody should see."""
        return f"{self.scheme}://localhost:{self.port}/services/{SECRET}"

    def target(self, **facts: Any) -> Target:  # noqa: ANN401 - fields of a target
        """Return it as a target."""
        return replace(Target("localhost", Webhook(self.url), frozenset({"state"})), **facts)

    async def open(self, context: ssl.SSLContext | None = None) -> None:
        """Listen, on the same port as before if it did."""
        self.scheme = "https" if context else "http"
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "localhost", self.port, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Refuse connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def texts(self, number: int) -> list[str]:
        """Wait for so many messages that are taken, and return their texts."""
        return [(await self.taken.get())["text"] for _ in range(number)]

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        message = json.loads(await request.read())
        self.headers.append({**request.headers, "path": request.path_qs})
        answer = self.answers.pop(0) if self.answers else 200
        if not isinstance(answer, int):
            return await answer()
        if answer < 300:
            self.taken.put_nowait(message)
        return web.Response(status=answer, headers={"Location": "/elsewhere"})


async def hang() -> web.StreamResponse:
    """Say nothing, for ever."""
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Give a receiver that listens."""
    receiver = Receiver()
    await receiver.open()
    try:
        yield receiver
    finally:
        await receiver.close()
