"""The worker processes and the sockets that they serve, taken over from who answered before if there was anybody."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import zip_longest

import structlog

from dnslb.answer.sketch import Summary, merge
from dnslb.answer.snapshot import Change, Snapshot
from dnslb.config import Endpoint, ServerSettings
from dnslb.server import orphans, sockets, steering
from dnslb.server.counters import Counters
from dnslb.server.sockets import Group
from dnslb.server.supervisor import Death, Supervisor

_log = structlog.get_logger()


class Workers:
    """Ours, and until they answer those of the controller before, which hands over, or was killed.

    `listening` are the addresses as people write them, `steering` says who chooses the worker of a query, and
    `warnings` what the machine does not give.
    """

    def __init__(
        self,
        server: ServerSettings,
        on_death: Callable[[Death], None],
        soon: Callable[[str, Callable[[], None]], None],
        inherited: Sequence[Group] = (),
        end_predecessor: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Open the sockets that are not `inherited`; no process starts before the first message. Raise ListenError.

        `end_predecessor` is awaited as soon as ours answer, and returns when the workers of who hands over have gone.
        `soon` has a file written: it gets its name, and what writes it, and raises OSError if it cannot.
        """
        self._soon = soon
        self._state, self._number = server.state, server.workers
        self._end_predecessor = end_predecessor
        self._left_behind = orphans.find(server.state)
        addresses = [(endpoint.host, endpoint.port) for endpoint in server.listen]
        groups = sockets.open_all(addresses, server.workers, shared=bool(self._left_behind), inherited=inherited)
        self._before = {(group.host, group.port): len(group.udp) for group in inherited}
        self.groups = [group if self._is_inherited(group) else self._behind_others(group) for group in groups]
        self.listening = [str(Endpoint(group.host, group.port)) for group in groups]
        self.warnings = (*sockets.buffer_shortage(groups), *self._close_unused(inherited))
        self._supervisor = Supervisor(
            sockets.divide(self.groups, server.workers), on_death, self._write_down, server.cpus
        )
        self.steering = steering.ONE_WORKER
        if self.others_answer or server.workers > 1:
            self._steer(self._until_ours_answer)

    def _is_inherited(self, group: Group) -> bool:
        return (group.host, group.port) in self._before

    def _behind_others(self, group: Group) -> Group:
        """Return the sockets in the order in which they stand when those of the workers left behind have gone."""
        others = len(self._left_behind)
        return replace(group, udp=steering.in_places(group.udp, others), tcp=steering.in_places(group.tcp, others))

    def _close_unused(self, inherited: Sequence[Group]) -> list[str]:
        """Close what nobody is to serve any more; return a warning if the service manager wanted it to be served."""
        used = {sock for group in self.groups for sock in (*group.udp, *group.tcp)}
        warnings = []
        for group in inherited:
            for sock in {*group.udp, *group.tcp} - used:
                sock.close()
            if group.lent and not used.intersection((*group.udp, *group.tcp)):
                where = Endpoint(group.host, group.port)
                warnings.append(f"the service manager gives a socket for {where}, which is not in server.listen")
        return warnings

    def _steer(self, span: Callable[[Group, int], tuple[int, int]]) -> None:
        """Have those places asked in each group that `span` returns for it and the number of its sockets."""
        self.steering = steering.steer(
            (socks[0], *span(group, len(socks))) for group in self.groups for socks in (group.udp, group.tcp)
        )
        if any(len(group.udp) < self._number for group in self.groups):
            self.steering = steering.SHARED_SOCKETS

    def _until_ours_answer(self, group: Group, number: int) -> tuple[int, int]:
        """Return the places of who answers now. Those that were left behind stand before ours."""
        return 0, self._before.get((group.host, group.port), len(self._left_behind)) or number

    def _steer_to_ours(self, others: int) -> None:
        """Have nobody asked but ours, while so many that were left behind stand before those that we have opened."""
        self._steer(lambda group, number: (0 if self._is_inherited(group) else others, number))

    def _places_with(self, ours: list[list[int]]) -> list[list[int]]:
        """Return who reads from which socket: with the others from theirs, or behind them from sockets of our own."""
        if not self._before:
            return [*self._left_behind, *ours]
        return [[*left, *own] for left, own in zip_longest(self._left_behind, ours, fillvalue=list[int]())]

    def _write_down(self) -> None:
        """Tell the next daemon who answers, if this one is killed."""
        places = self._places_with([[pid] for pid in self._supervisor.pids])
        self._soon("workers", lambda: orphans.write(self._state, places))

    @property
    def others_answer(self) -> bool:
        """Whether any but ours answer."""
        return bool(self._left_behind) or self.predecessor_lives

    @property
    def predecessor_lives(self) -> bool:
        """Whether who hands over has not been told yet that ours answer."""
        return self._end_predecessor is not None

    async def distribute(self, message: Snapshot | Change) -> None:
        """Have all workers answer so; the first message starts them."""
        await self._supervisor.distribute(message)

    async def replace_others(self) -> None:
        """Have those go that answered until now.

        Those that were left behind go one after the other, the last one in the order of places first. So all of ours
        stand behind those that still answer, and no query comes to one that is going.
        """
        self._steer_to_ours(len(self._left_behind))
        if self._end_predecessor is not None:
            await self._end_predecessor()
            self._end_predecessor = None
        _log.info("replaced_workers_left_behind", pids=[pid for place in self._left_behind for pid in place])
        for place in reversed(range(len(self._left_behind))):
            for pid in self._left_behind[place]:
                await orphans.end_and_wait(pid)
            self._steer_to_ours(place)
        self._left_behind = []
        self._write_down()

    def end_left_behind(self) -> None:
        """Have those go that still answer beside ours, for all of us stop; who hands over would go on with its own."""
        if not self.predecessor_lives:
            orphans.end(pid for place in self._left_behind for pid in place)

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
            return {"receive_buffer": sockets.lost_datagrams(self.groups)}
        except OSError:
            return {}

    def askers(self) -> Summary:
        """Return who asks, all workers together."""
        return merge([counters.board.read() for _, counters in self.counters()])

    @property
    def walks(self) -> int:
        """How many workers go round a ring for one resolver."""
        return 1 if self.steering.by_source else len(self.counters())
