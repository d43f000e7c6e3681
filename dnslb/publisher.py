"""The single writer: who is published becomes a compiled answer table, and that becomes every worker's.

Changes are coalesced: whatever was touched while the last change was on its way goes out together with the next.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from dnslb.answer.compiler import Pools, compile_names, compile_soa, compile_world
from dnslb.answer.notices import notice_of
from dnslb.answer.snapshot import Change, Snapshot
from dnslb.answer.world import World
from dnslb.pool.selection import Candidate, Selection, select
from dnslb.wire import rrtype
from dnslb.zone.serial import following, resumed

Candidates = Callable[[str], Sequence[Candidate]]
"""Returns a pool's members as they are now."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What a new generation brought: the serials that rose, and each changed pool's selection before and after."""

    generation: int
    serials: Mapping[bytes, int]
    pools: Mapping[str, tuple[Selection | None, Selection]]
    found_at: float | None
    """The loop's time when a probe found the first of the changes; None if none did, as for a whole new table."""


class Publisher:
    """Holds what is published now.

    `distribute` brings a message to all workers and returns when they answer from it; then `on_published` is called.
    `prepare` is awaited before, with the selections of the pools that are answered from in a new way, and the serials
    of the zones in which that is seen. `generation` and `last_good` are what the daemon before ended with, if it said.
    """

    def __init__(
        self,
        distribute: Callable[[Snapshot | Change], Awaitable[None]],
        on_published: Callable[[Publication], None],
        prepare: Callable[[Mapping[str, Selection], Mapping[bytes, int]], Awaitable[None]] | None = None,
        *,
        generation: int = 0,
        last_good: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self._distribute = distribute
        self._prepare = prepare
        self._on_published = on_published
        self._world: World | None = None
        self._candidates: Candidates = lambda _pool: ()
        self._serials: dict[bytes, int] = {}
        self._last_good: dict[str, frozenset[str]] = dict(last_good or {})
        self._touched: dict[str, float | None] = {}
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self.generation = generation
        self.selections: dict[str, Selection] = {}

    @property
    def has_begun(self) -> bool:
        """Whether there is a world."""
        return self._world is not None

    @property
    def world(self) -> World:
        """What is served, as configured."""
        assert self._world is not None  # noqa: S101 - publish_world comes first
        return self._world

    @property
    def pools(self) -> Pools:
        """What is compiled into the answers now."""
        return Pools(self.selections, dict(self._serials))

    def last_good(self, pool: str) -> frozenset[str]:
        """Return the members that were published when the pool last was not in panic."""
        return self._last_good.get(pool, frozenset())

    async def publish_world(
        self,
        world: World,
        candidates: Candidates,
        *,
        remembered: Mapping[bytes, int] | None = None,
        adopt: Callable[[], None] = lambda: None,
    ) -> bool:
        """Compile everything anew and distribute it; return False if no answer is different.

        `remembered` are the serials that an earlier run ended with. `adopt` is called at the moment when the new world
        takes the place of the old one, and not at all if it cannot be compiled.
        """
        async with self._turn:
            selections = {pool: self._select(world, candidates, pool) for pool in world.pools}
            if world == self._world and selections == self.selections:
                self._candidates = candidates
                adopt()
                return False
            last = {**(remembered or {}), **self._serials}
            serials = {apex: resumed(serial_in_file(world, apex), last.get(apex)) for apex in world.zones}
            # In a thread: a large table takes a second, and probes and operators should not wait for it.
            compiling = partial(compile_all, world, Pools(selections, serials), self.generation + 1)
            snapshot = await asyncio.to_thread(compiling)
            self._world, self._candidates = world, candidates
            # Those of zones that are gone too: they may come back, and must not begin anew then.
            self._serials = last | serials
            self._last_good = {pool: names for pool, names in self._last_good.items() if pool in selections}
            before, self.selections = self.selections, selections
            self.generation += 1
            adopt()
            await self._send(snapshot, selections, serials)
            pools = {pool: (before.get(pool), selection) for pool, selection in selections.items()}
            self._on_published(Publication(self.generation, serials, pools, None))
            return True

    async def _send(
        self, message: Snapshot | Change, selections: Mapping[str, Selection], serials: Mapping[bytes, int]
    ) -> None:
        if self._prepare is not None:
            await self._prepare(selections, serials)
        await self._distribute(message)

    def touch(self, pool: str, *, found_at: float | None = None) -> None:
        """Note that a member of the pool has changed, and publish soon.

        `found_at` is the loop's time when a probe found it, None for an operator's word.
        """
        if self._touched.get(pool) is None:
            self._touched[pool] = found_at
        task = asyncio.create_task(self.publish())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def publish(self) -> None:
        """Publish what has been touched; return when workers answer from it, and from all that was touched before."""
        async with self._turn:
            if self._world is None:
                # The first world will be compiled from what is known then.
                self._touched.clear()
                return
            changed = self._changed()
            reaching = [pool for pool, (before, after) in changed.items() if self._reaches_answers(pool, before, after)]
            selections = self.selections | {pool: after for pool, (_, after) in changed.items()}
            change, serials = self._compile(reaching, selections)
            # Had that failed, nothing would have changed, and all that was touched would be tried with the next touch.
            touched, self._touched = self._touched, {}
            self.selections = selections
            if reaching:
                self._serials |= serials
                self.generation = change.generation
                await self._send(change, {pool: changed[pool][1] for pool in reaching}, serials)
            if changed:
                found = [at for pool in changed if (at := touched[pool]) is not None]
                self._on_published(Publication(self.generation, serials, changed, min(found, default=None)))

    def _changed(self) -> dict[str, tuple[Selection, Selection]]:
        """Return the selections of the pools that were touched and are not what they were, before and after."""
        return {
            pool: (self.selections[pool], after)
            for pool in self._touched
            if pool in self.world.pools
            and (after := self._select(self.world, self._candidates, pool)) != self.selections[pool]
        }

    def _reaches_answers(self, pool: str, before: Selection, after: Selection) -> bool:
        """Return whether anybody can see it: reasons, and weights of members that are out, are for people."""
        ttls = self.world.ttls.get(pool, ())
        others = any(ttl.at(before.changes_in) != ttl.at(after.changes_in) for ttl in ttls)
        others = others or notice_of(before) != notice_of(after)
        return (others or before.published != after.published) and bool(self.world.dependents.get(pool))

    def _compile(self, pools: Sequence[str], selections: Mapping[str, Selection]) -> tuple[Change, dict[bytes, int]]:
        """Return what changes with the pools, and the serials of the zones that it changes."""
        world = self.world
        owners = {owner for pool in pools for owner in world.dependents.get(pool, ())}
        apexes = {world.names[owner].zone for owner in owners}
        serials = {apex: following(self._serials[apex]) for apex in apexes}
        change = Change(
            generation=self.generation + 1,
            names=compile_names(world, owners | apexes, Pools(selections, self._serials | serials)),
            soas={apex: compile_soa(world.zones[apex], serial) for apex, serial in serials.items()},
        )
        return change, serials

    def _select(self, world: World, candidates: Candidates, pool: str) -> Selection:
        selection = select(world.pools[pool], candidates(pool), self.last_good(pool))
        if not selection.panic:
            self._last_good[pool] = frozenset(choice.member.name for choice in selection.published)
        return selection

    async def settle(self) -> None:
        """Wait until all that was touched so far is published, or has failed: the loop's handler tells of that."""
        if self._running:
            await asyncio.wait(self._running)


def compile_all(world: World, pools: Pools, generation: int) -> Snapshot:
    """Compile everything, with the garbage collector paused.

    What is made is kept and has no cycles: to walk through it again and again took a fifth of the time.
    """
    gc.disable()
    try:
        return compile_world(world, pools, generation)
    finally:
        gc.enable()


def serial_in_file(world: World, apex: bytes) -> int:
    """Return the serial that a zone file gives its zone."""
    soa = world.zones[apex].nodes[apex][rrtype.SOA].rdata[0]
    return int.from_bytes(soa[-20:-16], "big")
