"""The mail servers of a soak: they live in the benchmark's own loop, and fail in one of some ways when told to."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WELL = "well"
FAILURES = ("refuses", "silent", "closes", "rejects", "garbage")
"""Ways to fail, each of which takes a member out of the answers."""
_GREETINGS = {"rejects": b"554 no service here\r\n", "garbage": b"\x16\x03\x01 what?\r\n"}


class MailServer:
    """One address that answers like a mail server as long as its `mood` is WELL."""

    def __init__(self, address: str, port: int, context: ssl.SSLContext) -> None:
        self._address, self._port, self._context = address, port, context
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()
        self._mood = WELL

    async def be(self, mood: str) -> None:
        """Behave in another way from the next connection on; who is connected is cut off."""
        self._mood = mood
        await self.close()
        if mood != "refuses":
            self._server = await asyncio.start_server(self._admit, self._address, self._port)

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.create_task(self._session(reader, writer))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._mood == "silent":
                await reader.read()
            elif self._mood != "closes":
                await self._converse(reader, writer)
        except (OSError, ValueError):
            pass  # the client has gone, or sends what nobody reads
        finally:
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_GREETINGS.get(self._mood, b"220 soak.test ESMTP\r\n"))
        secure = False
        while line := await reader.readline():
            word = line.split()[0].upper() if line.strip() else b""
            if word == b"EHLO":
                writer.write(b"250 soak.test\r\n" if secure else b"250-soak.test\r\n250 STARTTLS\r\n")
            elif word == b"STARTTLS":
                writer.write(b"220 go ahead\r\n")
                await writer.start_tls(self._context)
                secure = True
            else:
                writer.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
            await writer.drain()
            if word == b"QUIT":
                return


def serving(certificate: Path) -> ssl.SSLContext:
    """Return the context that shows a certificate; its key is in the same file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
