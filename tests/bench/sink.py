"""Pool members for benchmarks: loopback addresses that greet like a mail server, and die and return when told to.

Run as `python sink.py PORT ADDRESS...`. It prints "ready"; on standard input it takes lines of a word and an address:

doom    the member dies at the moment when the next connection reaches it; prints "died ADDRESS TIME" (CLOCK_MONOTONIC)
revive  it listens again; prints "lives ADDRESS TIME"
"""

from __future__ import annotations

import asyncio
import sys
import time


def _tell(word: str, address: str) -> None:
    sys.stdout.write(f"{word} {address} {time.monotonic()!r}\n")
    sys.stdout.flush()


class Member:
    """One address that listens, or does not."""

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address, port
        self._server: asyncio.Server | None = None
        self.doomed = False

    async def listen(self) -> None:
        """Come to life."""
        self.doomed = False
        self._server = await asyncio.start_server(self._session, self._address, self._port, backlog=4096)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.doomed and self._server is not None:
            self._server.close()
            _tell("died", self._address)
            writer.transport.abort()
            return
        try:
            await _converse(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 sink.test ESMTP\r\n")
    while line := await reader.readline():
        quits = line[:4].upper() == b"QUIT"
        writer.write(b"221 bye\r\n" if quits else b"250 ok\r\n")
        if quits:
            return


async def _serve(port: int, addresses: list[str]) -> None:
    members = {address: Member(address, port) for address in addresses}
    for member in members.values():
        await member.listen()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        word, address = line.decode().split()
        if word == "doom":
            members[address].doomed = True
        else:
            await members[address].listen()
            _tell("lives", address)
    # Standard input has ended: so has the benchmark.


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2:]))
