"""One answering process: `python -m dnslb.server.worker` with descriptors that the controller opened.

It takes snapshots from the channel and answers from the latest. When the controller is gone it goes on answering
(fail static) until it is told to stop by SIGTERM: mail must not stop because the control plane did.
"""

import argparse
import asyncio
import logging
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable

from dnslb.answer.askers import Askers
from dnslb.answer.notices import stale
from dnslb.answer.snapshot import Snapshot
from dnslb.answer.turns import Turns
from dnslb.server import channel, garbage, slices, tcp
from dnslb.server.counters import Counters
from dnslb.server.current import Current
from dnslb.server.reports import Reports
from dnslb.server.udp import UdpServer

_FINISH_SECONDS = 2.0
_PATIENCE = 30.0
"""Seconds without a controller after which its last word counts as old: a restart takes less."""
_BOARD_SECONDS = 1.0
_TICK_SECONDS = 1.0


def main() -> None:
    """Answer until SIGTERM."""
    parser = argparse.ArgumentParser(prog="dnslb worker", description="Started by dnslb run; not for people.")
    for name in ("channel", "counters"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("udp", "tcp"):
        parser.add_argument(f"--{name}", type=int, nargs="*", default=[])
    parser.add_argument("--beat", type=float, default=channel.BEAT_SECONDS)
    parser.add_argument("--patience", type=float, default=_PATIENCE)
    options = parser.parse_args()
    # Ctrl-C reaches the whole process group; the controller decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    slices.ask_for_short_ones()
    reports = Reports()
    logging.basicConfig(level=logging.ERROR, handlers=[reports])
    try:
        asyncio.run(_serve(options, Counters(options.counters), reports))
    except Exception as error:  # noqa: BLE001 - whatever it is, nobody may read what the interpreter would write
        reports.say("the worker ends", error)
        sys.exit(1)


async def _serve(options: argparse.Namespace, counters: Counters, reports: Reports) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=options.channel))
    try:
        first = await channel.receive(reader)
    except asyncio.IncompleteReadError:
        return
    if not isinstance(first, Snapshot):
        raise TypeError("the first message of a channel must be a whole snapshot")
    # Not before: until there is something to answer, SIGTERM may end the process at once.
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(reports.on_loop_error)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    askers = Askers(counters.board.read())
    current = Current(first, Turns(secrets.randbits(16)), askers, reports, int(time.time()))
    servers = [UdpServer(socket.socket(fileno=fd), current, counters.udp) for fd in options.udp]
    for server in servers:
        loop.add_reader(server.sock, server.burst)
    connections = tcp.Connections(current, counters.tcp)
    listeners = [await tcp.listen(socket.socket(fileno=fd), connections) for fd in options.tcp]

    def acknowledge() -> None:
        """Tell that the snapshot is answered from, which goes when nobody holds it."""
        counters.generation = current.snapshot.generation
        writer.write(channel.encode_generation(counters.generation))
        garbage.settle(connections)

    acknowledge()
    following = asyncio.create_task(_follow(reader, current, acknowledge))
    beating = asyncio.create_task(_beat(writer, counters, askers, options.beat))
    following.add_done_callback(lambda _: beating.cancel())
    ticking = asyncio.create_task(_tick(current))
    await _stopped(stop, following, current, options.patience)
    # Once is enough: to the whole group and to each worker by the controller, it may come twice.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for listener in listeners:
        await listener.close()
    for server in servers:
        loop.remove_reader(server.sock)
        server.drain()
    await connections.close(_FINISH_SECONDS)
    ticking.cancel()
    writer.close()


async def _stopped(stop: asyncio.Event, following: asyncio.Task[None], current: Current, patience: float) -> None:
    """Wait for the signal; raise what went wrong with a message, for the replacement begins with a whole snapshot.

    A controller that comes in the place of one that is gone tells us to stop. While none has come for so many seconds,
    answers say that they are old.
    """
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping, following}, return_when=asyncio.FIRST_COMPLETED)
    if following.done():
        following.result()
        if not (await asyncio.wait({stopping}, timeout=patience))[0]:
            current.adopt(stale(current.snapshot))
        await stopping
    following.cancel()


async def _follow(reader: asyncio.StreamReader, current: Current, acknowledge: Callable[[], None]) -> None:
    """Take each new snapshot until the controller is gone."""
    try:
        while True:
            message = await channel.receive(reader)
            current.adopt(message)
            acknowledge()
    except (asyncio.IncompleteReadError, ConnectionError):
        return


async def _beat(writer: asyncio.StreamWriter, counters: Counters, askers: Askers, seconds: float) -> None:
    """Say that we live, unless the controller has not read what was said before; now and then write down who asks."""
    written = time.monotonic()
    while True:
        await asyncio.sleep(seconds)
        now = time.monotonic()
        if now - written >= _BOARD_SECONDS:
            counters.board.write(askers.summary(now))
            written = now
        if not writer.transport.get_write_buffer_size():
            writer.write(channel.encode_generation(counters.generation))


async def _tick(current: Current) -> None:
    """Tell what time it is; also when there is no controller any more."""
    while True:
        await asyncio.sleep(_TICK_SECONDS)
        current.tick(int(time.time()))


if __name__ == "__main__":
    main()
