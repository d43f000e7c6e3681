"""One SMTP conversation with one address: greeting, EHLO or HELO, QUIT (RFC 5321 3.1, 4.1.1.1, 4.1.1.10).

Spoken through aiosmtplib's protocol and not through its client: the client hangs up without QUIT on any greeting but
220 and on any 421, wraps connecting and greeting in one error, and applies its time limit to each phase anew.
"""

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from functools import partial

from aiosmtplib.errors import SMTPException, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from dnslb.probe.verdict import Ending, Event, Step

EHLO_UNKNOWN = frozenset({500, 502, 504})
"""Replies to EHLO that say "I am older than that": HELO follows (RFC 5321 3.2)."""

QUIT_PATIENCE = 2.0
"""Seconds to wait for the 221; whether it comes changes nothing in the verdict."""

GREETED = 220
MALFORMED = "Malformed SMTP response line: "


@dataclass(slots=True)
class Progress:
    """How far the conversation came: what is awaited, and when (loop time) the greeting's last line was there."""

    step: Step = Step.GREETING
    greeted_at: float | None = None


async def converse(sock: socket.socket, ehlo: str, deadline: float) -> tuple[Ending, float | None]:
    """Talk over a connected socket until `deadline` (loop time), and close it whatever happens.

    Returns how it ended and when (loop time) the greeting was complete, None if it never was. No byte is sent before
    that moment. QUIT follows every complete greeting, also a bad one.
    """
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(partial(SMTPProtocol, loop), sock=sock)
    progress = Progress()
    try:
        ending = await _until(deadline, protocol, ehlo, progress)
        if ending.event is Event.REPLY:
            await _quit(protocol, min(deadline, loop.time() + QUIT_PATIENCE))
        return ending, progress.greeted_at
    finally:
        transport.abort()  # close() would wait for a peer that never reads, and keep the descriptor meanwhile


async def _until(deadline: float, protocol: SMTPProtocol, ehlo: str, progress: Progress) -> Ending:
    try:
        async with asyncio.timeout_at(deadline):
            reply = await _dialogue(protocol, ehlo.encode("ascii"), progress)
    except TimeoutError:
        return Ending(Event.SILENCE, progress.step)
    except SMTPException as error:
        return _failure(error, progress.step)
    return Ending(Event.REPLY, progress.step, reply.code, reply.message)


async def _dialogue(protocol: SMTPProtocol, ehlo: bytes, progress: Progress) -> SMTPResponse:
    """Return the reply that ends the conversation: the first that is not the wanted one, or the last."""
    reply = await protocol.read_response()
    progress.greeted_at = asyncio.get_running_loop().time()
    if reply.code != GREETED:
        return reply
    progress.step = Step.EHLO
    reply = await protocol.execute_command(b"EHLO", ehlo)
    if reply.code not in EHLO_UNKNOWN:
        return reply
    progress.step = Step.HELO
    return await protocol.execute_command(b"HELO", ehlo)


def _failure(error: SMTPException, step: Step) -> Ending:
    """Put the library's errors in our words; one that is not known here is raised again, for it is a bug."""
    match error:
        case SMTPResponseException():
            return Ending(Event.GARBAGE, step, text=error.message.removeprefix(MALFORMED))
        case SMTPServerDisconnected(__cause__=ConnectionError()):
            return Ending(Event.RESET, step)
        case SMTPServerDisconnected():
            return Ending(Event.EOF, step)
        case _:
            raise error


async def _quit(protocol: SMTPProtocol, deadline: float) -> None:
    with contextlib.suppress(TimeoutError, SMTPException):
        async with asyncio.timeout_at(deadline):
            await protocol.execute_command(b"QUIT")
