"""The hosts that reloads have left behind, each for as long as caches may point at it (see answer/lingering)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from dnslb.answer.lingering import has_room, left_behind, with_hosts
from dnslb.answer.world import Contents, World

_SLACK_SECONDS = 5.0
"""From the reload to the last answer of the table before it, and to the end of a lookup that a sender has begun."""


class Lingering:
    """Knows which hosts linger, and until when. They are forgotten with the process."""

    def __init__(self) -> None:
        self._hosts: dict[bytes, tuple[Contents, float]] = {}
        self._more = asyncio.Event()
        """Set when others than before may be the next to go."""

    def behind(self, old: World, new: World, now: float) -> World:
        """Return the new world with the hosts that the old one leaves behind, and with those of before.

        `now` is seconds of a monotonic clock.
        """
        for host, (contents, seconds) in left_behind(old, new).items():
            self._hosts[host] = contents, now + seconds + _SLACK_SECONDS
            self._more.set()
        return self.beside(new, now)

    def beside(self, world: World, now: float) -> World:
        """Return the world with the hosts that linger still."""
        self._hosts = {
            host: (contents, until)
            for host, (contents, until) in self._hosts.items()
            if until > now and has_room(world, host, contents.zone)
        }
        return with_hosts(world, {host: contents for host, (contents, _) in self._hosts.items()})

    def seconds(self, now: float) -> float | None:
        """Return in how many seconds the next one goes, None if there is none."""
        return min((until - now for _, until in self._hosts.values()), default=None)

    async def run(self, renew: Callable[[], Awaitable[None]]) -> None:
        """Have the table renewed whenever one goes, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.seconds(time.monotonic())):
                    await self._more.wait()
            self._more.clear()
            due = self.seconds(time.monotonic())
            if due is not None and due <= 0.0:
                await renew()
