"""In a fresh process: compile 1,000 pools, start two workers, flip members, and print what it took as JSON.

Run as `python -m tests.bench.pools_inside CONFIG FLIPS`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dnslb import config
from dnslb.answer.compiler import Pools
from dnslb.answer.world import World, build
from dnslb.pool.admin import Admin
from dnslb.pool.health import Health, State
from dnslb.pool.selection import Candidate, select
from dnslb.publisher import Publication, Publisher, compile_all
from dnslb.server import sockets
from dnslb.server.supervisor import Supervisor
from tests.bench.pools_config import WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnslb.answer.snapshot import Change, Snapshot


_T = TypeVar("_T")


class Roster:
    """Every member and whether it is up."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.down: set[str] = set()

    def candidates(self, pool: str) -> list[Candidate]:
        """Return a pool's members as they are now."""
        return [Candidate(member, Admin(), self._health(member.name)) for member in self._world.pools[pool].members]

    def _health(self, member: str) -> Health:
        return Health(State.DOWN if member in self.down else State.UP)


def _compile(path: Path) -> tuple[World, dict[str, float]]:
    """Go from the file to the answer table once, cold; CPU seconds of each step."""
    load = _timed(lambda: config.load(path))
    settings = load[0]
    world = _timed(lambda: build(settings.zones, settings.pools, settings.services))
    roster = Roster(world[0])
    chosen = _timed(
        lambda: {name: select(pool, roster.candidates(name), frozenset()) for name, pool in settings.pools.items()}
    )
    pools = Pools(chosen[0], dict.fromkeys(world[0].zones, 1))
    compiled = _timed(lambda: compile_all(world[0], pools, 1))
    return world[0], {"load": load[1], "world": world[1], "select": chosen[1], "compile": compiled[1]}


def _timed(work: Callable[[], _T]) -> tuple[_T, float]:
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


async def _flip(world: World, flips: int) -> list[float]:
    """Return the seconds from each flip until all workers answered from it."""
    took: list[float] = []
    loop = asyncio.get_running_loop()

    def published(publication: Publication) -> None:
        if publication.found_at is not None:
            took.append(loop.time() - publication.found_at)

    async def distribute(message: Snapshot | Change) -> None:
        await (supervisor.start(message) if message.generation == 1 else supervisor.distribute(message))  # type: ignore[arg-type]  # the first is a Snapshot

    groups = sockets.open_all([(IPv4Address("127.0.0.1"), 0)], WORKERS, shared=False)
    rows = sockets.divide(groups, WORKERS)
    supervisor = Supervisor(rows, lambda _death: None, lambda: None)
    publisher, roster = Publisher(distribute, published), Roster(world)
    await publisher.publish_world(world, roster.candidates)
    for number in range(flips):
        pool = f"p{number * 37 % len(world.pools)}"
        roster.down ^= {f"m{pool[1:]}-{number % 8}"}
        publisher.touch(pool, found_at=loop.time())
        await publisher.settle()
        await asyncio.sleep(0.02)
    await supervisor.stop()
    return took


def main(path: Path, flips: int) -> None:
    """Print the JSON."""
    world, seconds = _compile(path)
    sys.stdout.write(json.dumps({"seconds": seconds, "flips": asyncio.run(_flip(world, flips)) if flips else []}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
