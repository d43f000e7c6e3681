"""The controller's side of the workers: it starts them, tells them, counts with them and replaces them."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle

from dnslb.answer.snapshot import Change, Snapshot, apply
from dnslb.server import channel, pulse
from dnslb.server.counters import Counters
from dnslb.server.pulse import Pulse
from dnslb.server.sockets import WorkerSockets

_ACKNOWLEDGE_SECONDS = 5.0
_ACKNOWLEDGE_WHOLE_SECONDS = 60.0
"""A whole snapshot of a hundred thousand names takes a second, and many on a busy machine."""
_HOPELESS_PAUSE = 1.5
"""Who is to be started again so late has died a few times as soon as it started."""
_STOP_SECONDS = 5.0
_CALM_SECONDS = 1.0
_TICK_SECONDS = 0.1
_OVERDUE_TICKS = 2
"""After so many we begin to look at a silent worker."""
_SILENT_TICKS = 5
"""After so many one that had its chance to speak is ended."""
_SILENT_TICKS_AT_MOST = 50
"""After so many it is ended anyhow: its queries wait for too long already."""
_SILENT_TICKS_AT_FIRST = 600
"""While it takes its first, whole snapshot, on a busy machine perhaps."""
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Death:
    """A worker that ended without being told to, or could not be started (then `pid` is 0)."""

    pid: int
    how: str
    pause: float
    """Seconds until its replacement starts."""


@dataclass(slots=True, eq=False)
class _Worker:
    """One place among the workers; the process in it changes, its sockets and counters stay."""

    sockets: WorkerSockets
    counters: Counters
    cpu: int | None = None
    """Where it runs; None leaves that to the scheduler."""
    process: asyncio.subprocess.Process | None = None
    writer: asyncio.StreamWriter | None = None
    acknowledged: int = 0
    silent: int = 0
    """Ticks since it was heard."""
    looks: list[Pulse] = field(default_factory=list)
    """What it did at those of them at which it was overdue."""
    killed: str = ""
    """Why we have killed it, if we have."""
    started_at: float = 0.0
    pause: float = 0.0
    acknowledges: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with each word of it, and with its end."""

    def is_hopeless(self) -> bool:
        """Say whether its process dies again and again before it answers."""
        return not self.acknowledged and self.pause >= _HOPELESS_PAUSE

    def was_heard(self) -> None:
        """Begin anew to wait for a word of it."""
        self.silent = 0
        self.looks.clear()

    def hangs(self) -> bool:
        """Say whether it has been silent for too long; how long that is depends on what it did meanwhile."""
        if not self.acknowledged:
            return self.silent > _SILENT_TICKS_AT_FIRST
        if self.silent < _SILENT_TICKS:
            return False
        return self.silent >= _SILENT_TICKS_AT_MOST or pulse.had_its_chance(self.looks)


class Supervisor:
    """All workers. Messages reach each in order, and a new process always begins with the newest whole snapshot."""

    def __init__(
        self,
        sockets: Sequence[WorkerSockets],
        on_death: Callable[[Death], None],
        on_start: Callable[[], None],
        cpus: Sequence[int] = (),
    ) -> None:
        """`on_death` hears of each worker that ends by itself, `on_start` of each that has begun.

        If there are `cpus`, each worker runs on one of them, in turn.
        """
        places = zip(sockets, cycle(cpus or (None,)), strict=False)
        self._workers = [_Worker(each, Counters.create(), cpu) for each, cpu in places]
        self._on_death = on_death
        self._on_start = on_start
        self._snapshot: Snapshot | None = None
        self._encoded = b""
        """The snapshot as octets, while all workers are being started with it."""
        self._tending: list[asyncio.Task[None]] = []

    async def start(self, snapshot: Snapshot) -> None:
        """Start all workers and wait until each answers."""
        self._snapshot = snapshot
        self._encoded = channel.encode(snapshot)
        self._tending = [asyncio.create_task(self._tend(worker)) for worker in self._workers]
        self._tending.append(asyncio.create_task(self._watch()))
        await self._wait_for(snapshot)
        self._encoded = b""

    async def distribute(self, message: Snapshot | Change) -> None:
        """Send a snapshot or a change to every worker and wait until each answers from it.

        The first one, a whole snapshot, starts them. A worker that is being replaced meanwhile begins with it.
        """
        if self._snapshot is None:
            assert isinstance(message, Snapshot)  # noqa: S101 - there is nothing yet that could change
            await self.start(message)
            return
        self._snapshot = apply(self._snapshot, message) if isinstance(message, Change) else message
        self._encoded = b""
        octets = channel.encode(message)
        for worker in self._workers:
            if worker.writer is not None:
                worker.writer.write(octets)
        await self._wait_for(message)

    async def _wait_for(self, message: Snapshot | Change) -> None:
        """Wait for all workers, but not for ever: one that hangs must not stop the others' next change.

        Not at all for one that does not even start: whoever comes in its place begins with what has just been sent.
        """
        seconds = _ACKNOWLEDGE_WHOLE_SECONDS if isinstance(message, Snapshot) else _ACKNOWLEDGE_SECONDS
        try:
            async with asyncio.timeout(seconds):
                for worker in self._workers:
                    while worker.acknowledged < message.generation and not worker.is_hopeless():
                        worker.acknowledges.clear()
                        await worker.acknowledges.wait()
        except TimeoutError:
            self._kill_hanging(message.generation, seconds)

    def _kill_hanging(self, generation: int, seconds: float) -> None:
        """End the workers that answered once and take no change any more: their replacements begin with it.

        One that has not answered yet is still taking its first, whole snapshot, and may be slow on a busy machine.
        """
        for worker in self._workers:
            if 0 < worker.acknowledged < generation:
                _kill(worker, f"took no change for {seconds:g} s and was killed")

    async def _watch(self) -> None:
        """Count for how long each worker has been silent, and kill one that hangs.

        In turns of our own timer: while we stood still ourselves, with the machine perhaps, we could not hear anybody.
        """
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            for worker in self._workers:
                _tick(worker)

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        return [worker.process.pid for worker in self._workers if worker.process is not None]

    def counters(self) -> list[tuple[int, Counters]]:
        """Return each worker's process id (0 while it is being replaced) and counters."""
        return [(worker.process.pid if worker.process else 0, worker.counters) for worker in self._workers]

    async def stop(self) -> None:
        """Have all workers finish what is in flight; end those that do not."""
        for task in self._tending:
            task.cancel()
        await asyncio.gather(*self._tending, return_exceptions=True)
        await asyncio.gather(*(self._stop(worker) for worker in self._workers))

    async def _stop(self, worker: _Worker) -> None:
        process = worker.process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        _hang_up(worker)

    async def _tend(self, worker: _Worker) -> None:
        """Keep a process in this place."""
        while True:
            pid, how = await self._live(worker)
            # At once after a calm life; slower and slower if it dies as soon as it starts.
            calm = worker.acknowledged > 0 and asyncio.get_running_loop().time() - worker.started_at > _CALM_SECONDS
            worker.pause = 0.0 if calm else min(max(2 * worker.pause, 0.1), _LONGEST_PAUSE)
            worker.acknowledges.set()
            self._on_death(Death(pid, how, worker.pause))
            await asyncio.sleep(worker.pause)

    async def _live(self, worker: _Worker) -> tuple[int, str]:
        """Start a process and wait for its end; return its id and how it ended."""
        worker.started_at, worker.acknowledged = asyncio.get_running_loop().time(), 0
        worker.killed = ""
        worker.was_heard()
        try:
            reader = await self._spawn(worker)
        except OSError as error:
            # No memory, process or descriptor is left: that passes, and then the place must be filled.
            return 0, f"could not be started ({error.strerror or error})"
        self._on_start()
        assert worker.process is not None  # noqa: S101 - just spawned
        listening = asyncio.create_task(self._hear(worker, reader))
        try:
            status = await worker.process.wait()
        finally:
            listening.cancel()
        _hang_up(worker)
        pid, worker.process = worker.process.pid, None
        ended = f"ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
        return pid, worker.killed or ended

    async def _spawn(self, worker: _Worker) -> asyncio.StreamReader:
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                worker.process = await _start_process(worker, theirs)
            except BaseException:
                writer.close()
                raise
        _pin(worker.process.pid, worker.cpu)
        assert self._snapshot is not None  # noqa: S101 - start comes first
        writer.write(self._encoded or channel.encode(self._snapshot))
        # From here on it hears of each change, in order, behind the snapshot just sent.
        worker.writer = writer
        return reader

    async def _hear(self, worker: _Worker, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                worker.acknowledged = await channel.receive_generation(reader)
                worker.was_heard()
                worker.acknowledges.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            return


def _tick(worker: _Worker) -> None:
    """Count one more tick without a word of the worker, look what it does instead, and kill it if it hangs."""
    if worker.killed:
        return  # it may wait for the machine for long before it ends
    worker.silent += 1
    if worker.silent >= _OVERDUE_TICKS and worker.acknowledged and worker.process is not None:
        seen = pulse.look(worker.process.pid)
        worker.looks += [seen] if seen else []
    if worker.hangs():
        _kill(worker, f"was silent for {worker.silent * _TICK_SECONDS:g} s and was killed")


def _kill(worker: _Worker, how: str) -> None:
    if worker.process is not None and worker.process.returncode is None and not worker.killed:
        worker.killed = how
        worker.process.kill()


async def _start_process(worker: _Worker, theirs: socket.socket) -> asyncio.subprocess.Process:
    udp = [str(sock.fileno()) for sock in worker.sockets.udp]
    tcp = [str(sock.fileno()) for sock in worker.sockets.tcp]
    descriptors = ["--channel", str(theirs.fileno()), "--counters", str(worker.counters.fd)]
    beat = ["--beat", str(channel.BEAT_SECONDS)]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "dnslb.server.worker", *descriptors, *beat, "--udp", *udp, "--tcp", *tcp),
        stdin=asyncio.subprocess.DEVNULL,
        # What we are made of and nothing else: with -m alone a signal.py in the working directory would be imported.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        pass_fds=(theirs.fileno(), worker.counters.fd, *map(int, udp), *map(int, tcp)),
    )


def _pin(pid: int, cpu: int | None) -> None:
    """Have a process run on one CPU; one that has been taken out since must not keep it from running elsewhere."""
    if cpu is not None:
        with suppress(OSError):
            os.sched_setaffinity(pid, {cpu})


def _hang_up(worker: _Worker) -> None:
    if worker.writer is not None:
        worker.writer.close()
        worker.writer = None
