"""Connections end, whatever their clients do not do."""

import asyncio
import socket

from aiohttp import web

from dnslb.control.http.connections import Connections


class Watched(Connections):
    """Connections that tell when one has ended."""

    ended: asyncio.Event

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Tell it."""
        super().connection_lost(handler, exc)
        self.ended.set()


async def test_who_does_not_take_a_response_is_closed() -> None:
    """Else what waits for such clients would fill the memory."""

    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=bytes(8_000_000))

    connections = Watched(answer, idle=0.05)
    connections.ended = asyncio.Event()
    listener = await asyncio.get_running_loop().create_server(connections, "127.0.0.1", 0)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listener.sockets[0].getsockname())
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await connections.ended.wait()
    listener.close()
    await connections.shutdown(0.0)
