"""The HTTP server: which request gets which answer, and how many connections there are."""

import asyncio
import json
import logging
import os
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

import structlog
from aiohttp import hdrs, web

from dnslb import __version__
from dnslb.control.commands import Operator, execute
from dnslb.control.http.asked import JSON, asked
from dnslb.control.http.files import File, page_files
from dnslb.control.http.gate import Denied, Gate, check_origin
from dnslb.control.http.openapi import document
from dnslb.control.http.routes import API, VERBS
from dnslb.control.http.stream import PACE, QUIET, Stream
from dnslb.control.http.tokens import Scope, Token
from dnslb.control.protocol import Code, Refused
from dnslb.metrics import CONTENT_TYPE

IDLE = 10.0
"""Seconds in which a client must complete a request, from its connection or the last response on, and take a piece."""
MAX_CONNECTIONS = 64
MAX_STREAMS = 32
"""How many listen to the stream: beside the other connections, so that neither keeps the other out."""

_SECONDS_TO_FINISH = 2.0
_HEADERS = {
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    hdrs.SERVER: "dnslb",
    "X-Content-Type-Options": "nosniff",
}
_READING = ("GET", "HEAD")
_RETRY_SECONDS = 5
_NUMBER = re.compile(r"[0-9]{1,18}")
_FAULT = "a fault of dnslb: its log has the details"

_STATUS = {
    Code.INVALID: HTTPStatus.BAD_REQUEST,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.UNKNOWN_VERB: HTTPStatus.NOT_FOUND,
    Code.REFUSED: HTTPStatus.CONFLICT,
    Code.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Code.CONFIG: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}

# The library writes an error with a traceback for each request that is no HTTP: what anybody can cause is no news.
# What goes wrong in our own answers is logged here.
_library_log = logging.getLogger(f"{__name__}.library")
_library_log.setLevel(logging.CRITICAL)
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
        self._server: _Server | None = None
        self._runner: web.ServerRunner | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        """What clients have asked for, and is not done yet."""
        self._table = self._routes()

    async def start(self) -> None:
        """Begin to answer."""
        self._server = _Server(self._answer, self._idle)
        self._runner = web.ServerRunner(self._server, handle_signals=False, shutdown_timeout=_SECONDS_TO_FINISH)
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
        files = {path: _Route(None, _READING, partial(_sent, file)) for path, file in page_files().items()}
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
            return _refusal(request, denied)
        except Refused as refused:
            return _error(_STATUS[refused.code], refused.code, refused.message, refused.details)
        except Exception:  # noqa: BLE001 -- the client gets an answer, the log the traceback, and the daemon goes on
            _log.exception("http_request_failed", path=request.path)
            return _refusal(request, Denied(HTTPStatus.INTERNAL_SERVER_ERROR, Code.INTERNAL, _FAULT))

    async def _routed(self, request: web.BaseRequest) -> web.StreamResponse:
        route = self._table.get(request.path, _NOWHERE)
        if request.method not in route.methods:
            raise _wrong_method(route)
        token = None if route.scope is None else self._gate.admit(request, route.scope)
        if request.method == "POST":
            check_origin(request)
        return await route.answer(request, token)

    async def _metrics(self, _request: web.BaseRequest, _token: Token | None) -> web.StreamResponse:
        body = await asyncio.to_thread(self._exposition)
        return web.Response(body=body, headers={**_HEADERS, hdrs.CONTENT_TYPE: CONTENT_TYPE})

    async def _document(self, _request: web.BaseRequest, _token: Token | None) -> web.StreamResponse:
        text = json.dumps(document(__version__))
        return web.Response(text=text, content_type=JSON, headers=_HEADERS)

    async def _verb(self, name: str, request: web.BaseRequest, token: Token | None) -> web.StreamResponse:
        what = await asked(request, name, self._idle)
        who = "" if token is None else f"{token.name} (token)"
        task = asyncio.create_task(execute(self._operator, what, who))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        # What has begun is done, whether or not its client waits for it.
        text = await asyncio.to_thread(json.dumps, await asyncio.shield(task))
        return web.Response(text=text, content_type=JSON, headers=_HEADERS)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits for it is told; if nobody does, it is no news

    async def _listen(self, request: web.BaseRequest, token: Token | None) -> web.StreamResponse:
        headers = {**_HEADERS, hdrs.CONTENT_TYPE: "text/event-stream", "X-Accel-Buffering": "no"}
        heard = request.headers.get("Last-Event-ID", "")
        if request.method == "HEAD":
            return web.Response(headers=headers)
        if len(self._stream) >= MAX_STREAMS:
            raise _too_many()
        with self._stream.listening(token, int(heard) if _NUMBER.fullmatch(heard) else None) as listener:
            response = web.StreamResponse(headers=headers)
            try:
                await response.prepare(request)
                self._set_apart(request)
                async for piece in listener.pieces():
                    async with asyncio.timeout(self._idle):
                        await response.write(piece)
            except (TimeoutError, ConnectionError):
                _abort(request)
        return response

    def _set_apart(self, request: web.BaseRequest) -> None:
        if self._server is not None:
            self._server.set_apart(request.protocol)
        # A peer that has vanished without a word must not keep a place.
        connection = request.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * self._idle))


class _Server(web.Server):
    """Has at most MAX_CONNECTIONS at a time: one more closes the one that has been there for longest.

    So whoever holds connections open takes neither the process's descriptors nor the door from others. Those that are
    set apart do not count.
    """

    def __init__(self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], idle: float) -> None:
        super().__init__(
            answer,
            handler_cancellation=True,
            keepalive_timeout=idle,
            access_log=None,
            logger=_library_log,
            auto_decompress=False,
        )
        self._transports: dict[web.RequestHandler, asyncio.Transport] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._transports[handler] = transport
        if len(self._transports) > MAX_CONNECTIONS:
            oldest = next(iter(self._transports))
            # close() would wait for a client that does not read its response.
            self._transports.pop(oldest).abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._transports.pop(handler, None)

    def set_apart(self, handler: web.RequestHandler) -> None:
        """Count a connection no more."""
        self._transports.pop(handler, None)


_Answer = Callable[[web.BaseRequest, Token | None], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class _Route:
    """What a path is answered with, by which methods, and which scope that takes (None: anybody may)."""

    scope: Scope | None
    methods: tuple[str, ...]
    answer: _Answer


async def _sent(file: File, request: web.BaseRequest, _token: Token | None) -> web.StreamResponse:
    # To be asked for each time: another dnslb on this address has another page.
    headers = {**_HEADERS, hdrs.CACHE_CONTROL: "no-cache", hdrs.ETAG: file.tag}
    if request.headers.get(hdrs.IF_NONE_MATCH) == file.tag:
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.Response(body=file.body, headers={**headers, hdrs.CONTENT_TYPE: file.type})


async def _missing(request: web.BaseRequest, _token: Token | None) -> web.StreamResponse:
    if request.path.startswith(API):
        known = sorted(VERBS)
        raise Refused(Code.UNKNOWN_VERB, f"there is no such verb: one of {', '.join(known)}", {"known": known})
    raise Denied(HTTPStatus.NOT_FOUND, Code.NOT_FOUND, "there is nothing here; / says what there is")


_NOWHERE = _Route(Scope.READ, ("GET", "HEAD", "POST"), _missing)


def _wrong_method(route: _Route) -> Denied:
    allowed = ", ".join(route.methods)
    return Denied(
        HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", f"the methods here are {allowed}", {hdrs.ALLOW: allowed}
    )


def _too_many() -> Denied:
    return Denied(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "unavailable",
        f"{MAX_STREAMS} listen already",
        {hdrs.RETRY_AFTER: str(_RETRY_SECONDS)},
    )


def _refusal(request: web.BaseRequest, denied: Denied) -> web.Response:
    """Return what a request is refused with: JSON for programs, a line for others."""
    if request.path.startswith("/api/"):
        return _error(denied.status, denied.code, denied.message, {}, denied.headers)
    headers = {**_HEADERS, **denied.headers}
    return web.Response(status=denied.status, text=f"{denied.message}\n", headers=headers)


def _error(
    status: HTTPStatus, code: str, message: str, details: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> web.Response:
    text = json.dumps({"error": {"code": code, "message": message, "details": details}})
    return web.Response(status=status, text=text, content_type=JSON, headers={**_HEADERS, **(headers or {})})


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        # close() would wait for a client that does not read.
        request.transport.abort()


def _reason(error: OSError) -> str:
    """Return the system's words, without the library's."""
    return os.strerror(error.errno) if error.errno else str(error)
