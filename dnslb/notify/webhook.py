"""One message to a URL, by POST. Nothing of the URL but its host is ever told: the rest may be a secret."""

import asyncio
import socket
import ssl
import threading
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from dnslb.notify.message import Message
from dnslb.notify.target import Webhook
from dnslb.notify.undelivered import UndeliveredError

_NOT_AGAIN = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""What says that the message itself is not liked; of anything else the next try may be rid."""


async def post(webhook: Webhook, message: Message, seconds: float) -> None:
    """Return when the message is taken. Raise UndeliveredError within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            status = await _status(webhook, message)
    except TimeoutError:
        raise UndeliveredError(f"no answer within {seconds:g} s") from None
    # Not the error's own words: some of them hold the URL.
    except aiohttp.ClientResponseError:
        raise UndeliveredError("the answer is no HTTP") from None
    except aiohttp.ServerDisconnectedError:
        raise UndeliveredError("the connection was closed without an answer") from None
    except aiohttp.ClientConnectorCertificateError as error:
        raise UndeliveredError(f"its certificate is not trusted: {error.certificate_error}") from None
    except aiohttp.ClientConnectorError as error:
        raise UndeliveredError(_words(error.os_error)) from None
    except OSError as error:
        raise UndeliveredError(_words(error)) from None
    except aiohttp.ClientError as error:
        raise UndeliveredError(type(error).__name__) from None
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise UndeliveredError(f"it answers {_phrase(status)}", again=status not in _NOT_AGAIN)


async def _status(webhook: Webhook, message: Message) -> int:
    headers = {"Content-Type": "application/json", "User-Agent": f"dnslb/{message.sender.version}"}
    if webhook.bearer:
        headers["Authorization"] = f"Bearer {webhook.bearer}"
    # A connection for each message: one that has been kept for hours may be dead, and nobody would know.
    connector = aiohttp.TCPConnector(resolver=_Lookup(), ssl=await _trust(webhook), force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(webhook.url, data=message.body(), headers=headers, allow_redirects=False) as response,
    ):
        return response.status


async def _trust(webhook: Webhook) -> ssl.SSLContext | bool:
    """Return whose certificates are trusted, read anew: in a thread, for it takes 20 ms."""
    if not webhook.url.lower().startswith("https:"):
        return True
    return await asyncio.to_thread(_context, webhook.ca_file)


def _context(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


class _Lookup(AbstractResolver):
    """Asks the system for addresses, in a thread of its own.

    One of the loop's would have to end before the loop can, and the system asks a name server that is dead for half a
    minute.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raise OSError if there are none."""
        found: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        threading.Thread(target=_look_up, args=(found, host, port, family), name="notify lookup", daemon=True).start()
        return [
            ResolveResult(hostname=host, host=where[0], port=where[1], family=kind, proto=proto, flags=0)
            for kind, _type, proto, _name, where in await found
        ]

    async def close(self) -> None:
        """Do nothing: nothing is kept."""


def _look_up(found: asyncio.Future[list[Any]], host: str, port: int, family: int) -> None:
    result: list[Any] | OSError
    try:
        result = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except OSError as error:
        result = error
    # A loop that has ended wants to know nothing any more.
    with suppress(RuntimeError):
        found.get_loop().call_soon_threadsafe(_settle, found, result)


def _settle(found: asyncio.Future[list[Any]], result: list[Any] | OSError) -> None:
    if found.done():
        return
    if isinstance(result, OSError):
        found.set_exception(result)
    else:
        found.set_result(result)


def _words(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
