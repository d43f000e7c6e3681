"""The HTTP door: metrics, the status as JSON, and a page that says where both are. It only tells, it changes nothing.

A web page from anywhere may make a browser ask 127.0.0.1 under a name that its author points there (DNS rebinding),
so a request must call us by a loopback name or by the address that it reached.
"""

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from ipaddress import ip_address

import structlog
from aiohttp import hdrs, web

from dnslb.metrics import CONTENT_TYPE

IDLE = 10.0
"""Seconds in which a client must complete a request, from its connection or the last response on."""
MAX_CONNECTIONS = 64

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>dnslb</title>
<h1>dnslb</h1>
<ul>
<li><a href="/api/v1/status">/api/v1/status</a>: pools, members, services and workers as JSON
<li><a href="/metrics">/metrics</a>: the same and counters for Prometheus
</ul>
"""
_SECONDS_TO_FINISH = 2.0
_HEADERS = {hdrs.CACHE_CONTROL: "no-store", "X-Content-Type-Options": "nosniff"}
_METHODS = ("GET", "HEAD")

# The library writes an error with a traceback for each request that is no HTTP: what anybody can cause is no news.
# What goes wrong in our own answers is logged here.
_library_log = logging.getLogger(f"{__name__}.library")
_library_log.setLevel(logging.CRITICAL)
_log = structlog.get_logger()


class HttpError(Exception):
    """The HTTP door could not be opened; the text says why and what to do."""


class HttpServer:
    """Answers GET /metrics, /api/v1/status and / on one address; port 0 picks a free port.

    `status` returns what the JSON interface shows. `exposition` returns the metrics as text, and is called in a
    thread because it takes long with many members.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        status: Callable[[], Awaitable[dict[str, object]]],
        exposition: Callable[[], bytes],
        idle: float = IDLE,
    ) -> None:
        self._host = host
        self._port = port
        self._status = status
        self._exposition = exposition
        self._idle = idle
        self._answers = {"/": self._page, "/metrics": self._metrics, "/api/v1/status": self._status_text}
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Listen; raise HttpError if that is not possible."""
        server = _Server(self._answer, self._idle)
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=_SECONDS_TO_FINISH)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as error:
            await runner.cleanup()
            raise HttpError(
                f"cannot listen for HTTP on {self._host} port {self._port}: {_reason(error)}; choose another address"
                ' for "http" in [server], or "" to do without'
            ) from error
        self._runner = runner
        self._port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the listener and, after those that are being answered, the connections. Harmless if not started."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def port(self) -> int:
        """The port, the real one once started."""
        return self._port

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        answer = self._answers.get(request.path)
        reached = _reached(request)
        if not is_ours(request.headers.get(hdrs.HOST, ""), reached):
            return _refusal(HTTPStatus.MISDIRECTED_REQUEST, f"This is not that host. Ask for http://{reached} instead.")
        if answer is None:
            return _refusal(HTTPStatus.NOT_FOUND, "There is no such page. / says what there is.")
        if request.method not in _METHODS:
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET is answered.", {hdrs.ALLOW: ", ".join(_METHODS)})
        try:
            return await answer()
        except Exception:  # noqa: BLE001 - the client gets an answer, the log the traceback, and the daemon goes on
            _log.exception("http_request_failed", path=request.path)
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "A fault of dnslb: its log has the details.")

    async def _page(self) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html", headers=_HEADERS)

    async def _metrics(self) -> web.Response:
        body = await asyncio.to_thread(self._exposition)
        return web.Response(body=body, headers={**_HEADERS, hdrs.CONTENT_TYPE: CONTENT_TYPE})

    async def _status_text(self) -> web.Response:
        text = await asyncio.to_thread(json.dumps, await self._status())
        return web.Response(text=text, content_type="application/json", headers=_HEADERS)


class _Server(web.Server):
    """Has at most MAX_CONNECTIONS at a time: one more closes the one that has been there for longest.

    So whoever holds connections open takes neither the process's descriptors nor the door from others.
    """

    def __init__(self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], idle: float) -> None:
        super().__init__(
            answer, handler_cancellation=True, keepalive_timeout=idle, access_log=None, logger=_library_log
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


def _refusal(status: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers=headers)


def _reached(request: web.BaseRequest) -> str:
    """Return the address of ours that the connection reached, "" if it is gone already."""
    sockname = request.get_extra_info("sockname")
    return str(sockname[0]) if sockname else ""


def _reason(error: OSError) -> str:
    """Return the system's words, which asyncio replaces by longer ones of its own."""
    return os.strerror(error.errno) if error.errno else str(error)


def is_ours(host: str, reached: str) -> bool:
    """Return whether a Host header names loopback, or the address that the connection reached."""
    name = _without_port(host).lower().rstrip(".")
    if name == "localhost":
        return True
    try:
        address = ip_address(name.strip("[]"))
    except ValueError:
        return False
    return address.is_loopback or str(address) == reached


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0]
    return host.partition(":")[0]
