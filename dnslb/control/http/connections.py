"""How many connections there are, and which one has to go."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

MAX_CONNECTIONS = 64

# The library writes an error with a traceback for each request that is no HTTP: what anybody can cause is no news.
# What goes wrong in our own answers is logged where they are made.
_library_log = logging.getLogger(f"{__name__}.library")
_library_log.setLevel(logging.CRITICAL)


class Connections(web.Server):
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
        self._idle = idle
        self._transports: dict[web.RequestHandler, asyncio.Transport] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection, and close the oldest one if there are too many."""
        super().connection_made(handler, transport)
        self._transports[handler] = transport
        # A peer that takes nothing, or has vanished without a word, must not keep its place, or what waits for it.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * self._idle))
        if len(self._transports) > MAX_CONNECTIONS:
            oldest = next(iter(self._transports))
            # close() would wait for a client that does not read its response.
            self._transports.pop(oldest).abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection that has ended."""
        super().connection_lost(handler, exc)
        self._transports.pop(handler, None)

    def set_apart(self, request: web.BaseRequest) -> None:
        """Count the connection of a request no more."""
        self._transports.pop(request.protocol, None)


def abort(request: web.BaseRequest) -> None:
    """End the connection of a request at once: close() would wait for a client that does not read."""
    if request.transport is not None:
        request.transport.abort()
