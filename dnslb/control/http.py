"""The HTTP door: metrics, the status as JSON, and a page that says where both are. It only tells, it changes nothing.

A web page from anywhere may make a browser ask 127.0.0.1 under a name that its author points there (DNS rebinding),
so a request must call us by a loopback name or by the address that it reached.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from ipaddress import ip_address

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from dnslb.metrics import CONTENT_TYPE

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
    ) -> None:
        self._host = host
        self._port = port
        self._status = status
        self._exposition = exposition
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; raise HttpError if that is not possible."""
        runner = web.AppRunner(
            self._application(), handle_signals=False, access_log=None, shutdown_timeout=_SECONDS_TO_FINISH
        )
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

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[_check_host])
        application.router.add_get("/", self._answer_page)
        application.router.add_get("/metrics", self._answer_metrics)
        application.router.add_get("/api/v1/status", self._answer_status)
        return application

    async def _answer_page(self, _request: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html", headers=_HEADERS)

    async def _answer_metrics(self, _request: web.Request) -> web.Response:
        body = await asyncio.to_thread(self._exposition)
        return web.Response(body=body, headers={**_HEADERS, hdrs.CONTENT_TYPE: CONTENT_TYPE})

    async def _answer_status(self, _request: web.Request) -> web.Response:
        text = await asyncio.to_thread(json.dumps, await self._status())
        return web.Response(text=text, content_type="application/json", headers=_HEADERS)


@web.middleware
async def _check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    sockname = request.get_extra_info("sockname")
    reached = str(sockname[0]) if sockname else ""
    if is_ours(request.headers.get(hdrs.HOST, ""), reached):
        return await handler(request)
    return web.Response(
        status=HTTPStatus.MISDIRECTED_REQUEST, text=f"This is not that host. Ask for http://{reached} instead.\n"
    )


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
