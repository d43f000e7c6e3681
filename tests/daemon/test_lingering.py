"""Members that a reload removes, while caches still point at their hosts."""

import asyncio
import time

from dnslb.answer.service import ServiceType
from dnslb.answer.world import World
from dnslb.daemon.lingering import Lingering
from dnslb.wire.name import from_text
from tests.conftest import member, pool, service, world, zone

_GONE = from_text("mx2.lb.test")


def _world(*names: str) -> World:
    members = [member(name, f"192.0.2.{name[-1]}") for name in names]
    return world(zone(""), pool(*members), service("mail.lb.test", ServiceType.MX))


def test_a_host_lingers_for_the_ttl_and_no_longer() -> None:
    """And it is known when it goes."""
    lingering, old, new = Lingering(), _world("mx1", "mx2"), _world("mx1")
    assert lingering.seconds(0.0) is None
    assert _GONE in lingering.behind(old, new, 100.0).names
    assert lingering.seconds(100.0) == 35.0
    assert _GONE in lingering.beside(new, 134.9).names
    assert lingering.beside(new, 135.0) == new
    assert lingering.seconds(135.0) is None


def test_another_reload_keeps_it() -> None:
    """The table before has it as a name of its own then, and no member."""
    lingering, new = Lingering(), _world("mx1")
    held = lingering.behind(_world("mx1", "mx2"), new, 100.0)
    assert _GONE in lingering.behind(held, new, 120.0).names
    assert lingering.seconds(120.0) == 15.0


def test_a_member_that_is_back_needs_no_help() -> None:
    """What it has now is what counts."""
    lingering, new = Lingering(), _world("mx1", "mx2")
    lingering.behind(_world("mx1", "mx2"), _world("mx1"), 100.0)
    assert lingering.beside(new, 101.0) == new
    assert lingering.seconds(101.0) is None


async def test_the_table_is_renewed_once_for_hosts_that_go_together() -> None:
    """However many reloads have left some behind: each of them would else have a task of its own that waits."""
    lingering, renewed = Lingering(), asyncio.Event()
    times = 0

    async def renew() -> None:
        nonlocal times
        times += 1
        lingering.beside(_world("mx1"), time.monotonic())
        renewed.set()

    running = asyncio.create_task(lingering.run(renew))
    await asyncio.sleep(0)
    # They had to go just now.
    long_ago = time.monotonic() - 35.0
    lingering.behind(_world("mx1", "mx2"), _world("mx1"), long_ago)
    lingering.behind(_world("mx1", "mx3"), _world("mx1"), long_ago)
    async with asyncio.timeout(20):
        await renewed.wait()
    await asyncio.sleep(0)
    running.cancel()
    assert times == 1
    assert lingering.seconds(time.monotonic()) is None
