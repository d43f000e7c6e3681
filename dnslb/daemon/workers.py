"""The worker processes and the sockets that they serve, taken over from a daemon that was killed if there was one."""

from collections.abc import Callable

import structlog

from dnslb.answer.sketch import Summary, merge
from dnslb.answer.snapshot import Change, Snapshot
from dnslb.config import Endpoint, ServerSettings
from dnslb.server import orphans, sockets, steering
from dnslb.server.counters import Counters
from dnslb.server.supervisor import Death, Supervisor

_log = structlog.get_logger()


class Workers:
    """Ours, and until they answer those that a killed daemon has left behind.

    `listening` are the addresses as people write them, `steering` says who chooses the worker of a query, and
    `warnings` what the machine does not give.
    """

    def __init__(self, server: ServerSettings, on_death: Callable[[Death], None]) -> None:
        """Open the sockets; no process starts before the first message. Raise ListenError."""
        self._state, self._number = server.state, server.workers
        self._left_behind = orphans.find(server.state)
        left = len(self._left_behind)
        addresses = [(endpoint.host, endpoint.port) for endpoint in server.listen]
        bound, rows = sockets.open_all(addresses, server.workers, shared=left > 0)
        self.listening = [str(Endpoint(host, port)) for host, port in bound]
        self.warnings = sockets.buffer_shortage(rows)
        self._sockets = steering.in_places(rows, left)
        self._supervisor = Supervisor(self._sockets, on_death, self._write_down, server.cpus)
        self.steering = steering.ONE_WORKER
        if left or server.workers > 1:
            # Those that were left behind stand before ours, and answer until ours can.
            self._steer(0, left or server.workers)

    def _steer(self, first: int, number: int) -> None:
        self.steering = steering.steer(self._sockets[0], first, number)

    def _write_down(self) -> None:
        """Tell the next daemon who answers, if this one is killed."""
        try:
            orphans.write(self._state, [*self._left_behind, *self._supervisor.pids])
        except OSError as error:
            _log.error("workers_not_written_down", reason=str(error))

    @property
    def left_behind(self) -> bool:
        """Whether any of those still run."""
        return bool(self._left_behind)

    async def distribute(self, message: Snapshot | Change) -> None:
        """Have all workers answer so; the first message starts them."""
        await self._supervisor.distribute(message)

    async def replace_left_behind(self) -> None:
        """Have those go that answered until now, one after the other, the last one in the order of places first.

        So all of ours stand behind those that still answer, and no query comes to one that is going.
        """
        _log.info("replaced_workers_left_behind", pids=self._left_behind)
        self._steer(len(self._left_behind), self._number)
        for place in reversed(range(len(self._left_behind))):
            await orphans.end_and_wait(self._left_behind[place])
            self._steer(place, self._number)
        self._left_behind = []
        self._write_down()

    def end_left_behind(self) -> None:
        """Have those go that still answer beside ours, for all of us stop."""
        orphans.end(self._left_behind)

    async def stop(self) -> None:
        """End ours."""
        await self._supervisor.stop()

    def counters(self) -> list[tuple[int, Counters]]:
        """Return the process id of each worker, and what it counts."""
        return self._supervisor.counters()

    def lost(self) -> dict[str, int]:
        """Return what the kernel has dropped before a worker could see it, by its reason; nothing if it does not tell.

        Any thread may ask.
        """
        try:
            return {"receive_buffer": sockets.lost_datagrams(self._sockets)}
        except OSError:
            return {}

    def askers(self) -> Summary:
        """Return who asks, all workers together."""
        return merge([counters.board.read() for _, counters in self.counters()])

    @property
    def walks(self) -> int:
        """How many workers go round a ring for one resolver."""
        return 1 if self.steering.by_source else len(self.counters())
