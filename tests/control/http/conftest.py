"""An HTTP door on a free port of loopback, before an operator who only says what was asked of it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from dnslb.answer.senders import Client
from dnslb.control.http.door import HttpServer, bind
from dnslb.control.http.tokens import Scope, Token, digest_of
from dnslb.pool.admin import AdminState
from dnslb.pool.planned import Planned
from dnslb.pool.window import Span

Opener = Callable[..., Awaitable[HttpServer]]

READER = "reads-and-reads-and-reads"
WRITER = "writes-and-writes-and-writes"
TOKENS = (Token("rita", Scope.READ, digest_of(READER)), Token("walt", Scope.WRITE, digest_of(WRITER)))


def bearer(token: str) -> dict[str, str]:
    """Return the header that shows a token."""
    return {"Authorization": f"Bearer {token}"}


class Asked:
    """An operator that notes what it is asked for. `now` is the status, unless it is broken; `past` are the events."""

    def __init__(self) -> None:
        self.now: dict[str, Any] = {"version": "0.1.0", "pools": {}}
        self.broken = False
        self.past: list[dict[str, Any]] = []
        self.calls: list[tuple[Any, ...]] = []

    async def status(self) -> dict[str, Any]:
        """Return the status as it is now."""
        if self.broken:
            raise ZeroDivisionError
        return json.loads(json.dumps(self.now))  # type: ignore[no-any-return] # an object, as it was

    async def set_admin(self, pool: str, member: str, state: AdminState, reason: str, who: str) -> dict[str, Any]:
        """Note the call."""
        return self._noted("admin", pool, member, state, reason, who)

    async def set_window(self, pool: str, member: str, span: Span, reason: str, who: str) -> dict[str, Any]:
        """Note the call."""
        return self._noted("window", pool, member, span, reason, who)

    async def set_weight(self, pool: str, member: str, weight: int | None, reason: str, who: str) -> dict[str, Any]:
        """Note the call."""
        return self._noted("weight", pool, member, weight, reason, who)

    async def reload(self, who: str) -> dict[str, Any]:
        """Note the call."""
        return self._noted("reload", who)

    async def events(
        self, since: float | None, pool: str | None, after: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Return the newest events."""
        self._noted("events", since, pool, after, limit)
        return self.past[-limit:]

    async def explain(self, name: bytes, rtype: int | None, client: Client | None) -> dict[str, Any]:
        """Note the call."""
        return self._noted("explain", name, rtype, client)

    async def plan(self, changes: Sequence[Planned]) -> dict[str, Any]:
        """Note the call."""
        return self._noted("plan", tuple(changes))

    async def probe(self, pool: str, member: str, who: str) -> dict[str, Any]:
        """Note the call."""
        return self._noted("probe", pool, member, who)

    def version(self) -> dict[str, Any]:
        """Note the call."""
        return self._noted("version")

    def _noted(self, *call: object) -> dict[str, Any]:
        self.calls.append(call)
        return {"done": str(call[0])}


@pytest.fixture
def operator() -> Asked:
    """Return whom the door asks."""
    return Asked()


@pytest.fixture
async def opened(operator: Asked) -> AsyncIterator[Opener]:
    """Return what opens doors, which end with the test; by default on 127.0.0.1 and with two tokens."""
    async with AsyncExitStack() as stack:

        async def opened(host: str = "127.0.0.1", **values: Any) -> HttpServer:  # noqa: ANN401 - as HttpServer has it
            given = {"exposition": lambda: b"dnslb_generation 7\n", "tokens": TOKENS, "pace": 0.01, **values}
            server = HttpServer(bind(host, 0), given.pop("operator", operator), **given)
            await server.start()
            stack.push_async_callback(server.stop)
            return server

        yield opened


@pytest.fixture
async def server(opened: Opener) -> HttpServer:
    """Return a door on 127.0.0.1."""
    return await opened()


@pytest.fixture
async def client(server: HttpServer) -> AsyncIterator[aiohttp.ClientSession]:
    """Return a client of that door, who shows no token."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        yield client
