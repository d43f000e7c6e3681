"""The HTTP server: which request gets which answer."""

import asyncio
import json
import os
import re
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

import structlog
from aiohttp import hdrs, web

from dnslb import __version__
from dnslb.control.commands import Operator, execute
from dnslb.control.http import replies
from dnslb.control.http.asked import asked
from dnslb.control.http.connections import Connections, abort
from dnslb.control.http.files import File, page_files
from dnslb.control.http.gate import Denied, Gate, check_origin
from dnslb.control.http.openapi import document
from dnslb.control.http.replies import HEADERS
from dnslb.control.http.routes import API, VERBS
from dnslb.control.http.stream import PACE, QUIET, Stream
from dnslb.control.http.tokens import Scope, Token
from dnslb.control.protocol import Code, Refused
from dnslb.metrics import CONTENT_TYPE

IDLE = 10.0
"""Seconds in which a client must complete a request, from its connection or the last response on, and take a piece."""
MAX_STREAMS = 32
"""How many listen to the stream: beside the other connections, so that neither keeps the other out."""

_SECONDS_TO_FINISH = 2.0
_READING = ("GET", "HEAD")
_NUMBER = re.compile(r"[0-9]{1,18}")
_FAULT = "a fault of dnslb: its log has the details"

_log = structlog.get_logger()


class HttpError(Exception):
    """The HTTP door could not be opened; the text says why and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 picks a free port. Raise HttpError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise HttpError(
            f"cannot listen for HTTP on {host} port {port}: {_reason(error)}; choose another address"
            ' for "http" in [server], or "" to do without'
        ) from error


class HttpServer:
    """Answers what comes to a listening socket, which it closes at its end.

    `exposition` returns the metrics as text, and is called in a thread because it takes long with many members.
    `history` returns the JSON object of the stream's event of that name.
    """

    def __init__(  # noqa: PLR0913 -- all that it works with, by keyword
        self,
        listener: socket.socket,
        operator: Operator,
        *,
        exposition: Callable[[], bytes],
        history: Callable[[], dict[str, Any]] = dict,
        tokens: tuple[Token, ...] = (),
        idle: float = IDLE,
        pace: float = PACE,
        quiet: float = QUIET,
    ) -> None:
        self._listener = listener
        self._operator = operator
        self._exposition = exposition
        self._idle = idle
        self._gate = Gate(not ip_address(listener.getsockname()[0]).is_loopback, tokens)
        self._stream = Stream(operator.status, self._newest, history, pace=pace, quiet=quiet)
        self._connections = Connections(self._answer, idle)
        self._runner: web.ServerRunner | None = None
        self._turns = {name: asyncio.Lock() for name in (*VERBS, "metrics")}
        self._tasks: set[asyncio.Task[object]] = set()
        """What clients have asked for, and is not done yet."""
        self._table = self._routes()

    async def start(self) -> None:
        """Begin to answer."""
        self._runner = web.ServerRunner(self._connections, handle_signals=False, shutdown_timeout=_SECONDS_TO_FINISH)
        await self._runner.setup()
        await web.SockSite(self._runner, self._listener).start()

    async def stop(self) -> None:
        """Close the listener and, after those that are being answered, the connections. Harmless if not started."""
        self._stream.keep(lambda _token: False)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._tasks:
            _done, late = await asyncio.wait(self._tasks, timeout=_SECONDS_TO_FINISH)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    @property
    def port(self) -> int:
        """The port."""
        return int(self._listener.getsockname()[1])

    def use(self, tokens: tuple[Token, ...]) -> None:
        """Take other tokens from now on; who listens with one that is none any more is sent away."""
        self._gate = Gate(self._gate.public, tokens)
        digests = {token.digest for token in tokens}
        self._stream.keep(lambda token: token is None or token.digest in digests)

    def tell(self, event: dict[str, Any]) -> None:
        """Tell all who listen of an event, in the form of `dnslb events --json`."""
        self._stream.tell(event)

    async def _newest(self, number: int) -> list[dict[str, Any]]:
        return await self._operator.events(None, None, None, number)

    def _routes(self) -> dict[str, "_Route"]:
        files = {path: _Route(None, _READING, partial(_page, file)) for path, file in page_files().items()}
        verbs = {
            API + name: _Route(verb.scope, verb.methods, partial(self._verb, name)) for name, verb in VERBS.items()
        }
        metrics = {"/metrics": _Route(Scope.READ, _READING, self._metrics)}
        more = {"stream": self._listen, "openapi.json": self._document}
        others = {API + name: _Route(Scope.READ, _READING, answer) for name, answer in more.items()}
        return files | metrics | verbs | others

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._routed(request)
        except Denied as denied:
            return replies.denied(request, denied)
        except Refused as refused:
            return replies.refused(refused)
        except Exception:  # noqa: BLE001 -- the client gets an answer, the log the traceback, and the daemon goes on
            _log.exception("http_request_failed", path=request.path)
            return replies.denied(request, Denied(HTTPStatus.INTERNAL_SERVER_ERROR, Code.INTERNAL, _FAULT))

    async def _routed(self, request: web.BaseRequest) -> web.StreamResponse:
        route = self._table.get(request.path, _NOWHERE)
        if request.method not in route.methods:
            allowed = ", ".join(route.methods)
            message = f"the methods here are {allowed}"
            raise Denied(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", message, {hdrs.ALLOW: allowed})
        token = None if route.scope is None else self._gate.admit(request, route.scope)
        if request.method == "POST":
            check_origin(request)
        return await route.answer(request, token)

    async def _metrics(self, _request: web.BaseRequest, _token: Token | None) -> web.StreamResponse:
        async with self._turns["metrics"]:
            body = await asyncio.to_thread(self._exposition)
        return web.Response(body=body, headers={**HEADERS, hdrs.CONTENT_TYPE: CONTENT_TYPE})

    async def _document(self, _request: web.BaseRequest, _token: Token | None) -> web.StreamResponse:
        return replies.as_json(json.dumps(document(__version__)))

    async def _verb(self, name: str, request: web.BaseRequest, token: Token | None) -> web.StreamResponse:
        what = await asked(request, name, self._idle)
        if VERBS[name].scope is Scope.READ:
            # One after the other: many at a time would keep probes waiting for as long as all of them take.
            async with self._turns[name]:
                result = await execute(self._operator, what, "")
                return replies.as_json(await asyncio.to_thread(json.dumps, result))
        who = "" if token is None else f"{token.name} (token)"
        result = await self._done_whole(execute(self._operator, what, who))
        return replies.as_json(await asyncio.to_thread(json.dumps, result))

    async def _done_whole(self, work: Coroutine[Any, Any, object]) -> object:
        """Return the result. What has begun is done, whether or not its client waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits for it is told; if nobody does, it is no news

    async def _listen(self, request: web.BaseRequest, token: Token | None) -> web.StreamResponse:
        headers = {**HEADERS, hdrs.CONTENT_TYPE: "text/event-stream", "X-Accel-Buffering": "no"}
        heard = request.headers.get("Last-Event-ID", "")
        if request.method == "HEAD":
            return web.Response(headers=headers)
        if len(self._stream) >= MAX_STREAMS:
            message = f"{MAX_STREAMS} listen already"
            raise Denied(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", message, {hdrs.RETRY_AFTER: "5"})
        with self._stream.listening(token, int(heard) if _NUMBER.fullmatch(heard) else None) as listener:
            response = web.StreamResponse(headers=headers)
            response.force_close()
            try:
                await response.prepare(request)
                self._connections.set_apart(request)
                async for piece in listener.pieces():
                    async with asyncio.timeout(self._idle):
                        await response.write(piece)
            except (TimeoutError, ConnectionError):
                abort(request)
        return response


_Answer = Callable[[web.BaseRequest, Token | None], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class _Route:
    """What a path is answered with, by which methods, and which scope that takes (None: anybody may)."""

    scope: Scope | None
    methods: tuple[str, ...]
    answer: _Answer


async def _page(file: File, request: web.BaseRequest, _token: Token | None) -> web.StreamResponse:
    return replies.as_file(file, request)


async def _missing(request: web.BaseRequest, _token: Token | None) -> web.StreamResponse:
    if request.path.startswith(API):
        known = sorted(VERBS)
        raise Refused(Code.UNKNOWN_VERB, f"there is no such verb: one of {', '.join(known)}", {"known": known})
    raise Denied(HTTPStatus.NOT_FOUND, Code.NOT_FOUND, "there is nothing here; / says what there is")


_NOWHERE = _Route(Scope.READ, ("GET", "HEAD", "POST"), _missing)


def _reason(error: OSError) -> str:
    """Return the system's words, without the library's."""
    return os.strerror(error.errno) if error.errno else str(error)
