"""A mail server that takes every message and writes a line for each: what a pool member is in these tests.

Run as `python sink.py ADDRESS[,ADDRESS...] PORT FILE`. A message is on record in FILE before its sender is told
that it was taken.
"""

import asyncio
import sys
from pathlib import Path


async def _message(reader: asyncio.StreamReader) -> str:
    """Read a message to its final dot; returns its subject."""
    subject = ""
    while (line := await reader.readline()) not in (b".\r\n", b""):
        if line.lower().startswith(b"subject:") and not subject:
            subject = line[8:].decode().strip()
    return subject


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: Path) -> None:
    """Hold one SMTP session."""
    writer.write(b"220 sink.test ESMTP\r\n")
    while line := await reader.readline():
        verb = line[:4].upper()
        if verb == b"DATA":
            writer.write(b"354 go on\r\n")
            subject = await _message(reader)
            with record.open("a") as lines:
                lines.write(subject + "\n")
        writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
        await writer.drain()
        if verb == b"QUIT":
            break
    writer.close()


async def _serve(addresses: list[str], port: int, record: Path) -> None:
    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _converse(reader, writer, record)
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(session, addresses, port, reuse_address=True, backlog=256)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1].split(","), int(sys.argv[2]), Path(sys.argv[3])))
