"""One performance: set the stage, play, and leave nothing behind however it ends."""

import asyncio
import signal
import tempfile
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnslb.cli.demo import lookup, scene
from dnslb.cli.demo.audience import Audience
from dnslb.cli.demo.daemon import Daemon
from dnslb.cli.demo.mail import MailServer, kill_all, start_all
from dnslb.cli.demo.script import Stage, ask_forever, kill_in_turn, observe
from dnslb.cli.demo.story import Story

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class Performance:
    """Plays for `seconds` after all runs, or until a signal asks it to stop if None.

    `program` is how dnslb was called, for the commands that the audience may try.
    """

    seconds: float | None
    program: str
    audience: Audience
    story: Story = field(default_factory=lambda: Story(scene.weights()))
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Play it. DaemonError if the daemon does not start or goes away, OSError if a server cannot start."""
        for number in _STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self.stopped.set)
        servers = tuple(MailServer(actor.host, actor.address) for actor in scene.CAST)
        with tempfile.TemporaryDirectory(prefix="dnslb-demo-", ignore_cleanup_errors=True) as directory:
            try:
                await start_all(servers)
                await self._with_daemon(scene.write_files(Path(directory), servers[0].port), servers)
            finally:
                await kill_all(servers)

    async def _with_daemon(self, config: Path, servers: tuple[MailServer, ...]) -> None:
        daemon = Daemon(config)
        try:
            with self.audience.wait("Starting three mail servers and the daemon ..."):
                await _first_of(self.stopped.wait(), daemon.start())
            if not self.stopped.is_set():
                await _first_of(*self._parts(daemon, self._stage(daemon, servers), config))
        finally:
            await daemon.stop()

    def _stage(self, daemon: Daemon, servers: tuple[MailServer, ...]) -> Stage:
        time = asyncio.get_running_loop().time
        beginning = time()
        return Stage(
            dns=daemon.dns,
            servers={actor.name: server for actor, server in zip(scene.CAST, servers, strict=True)},
            clock=lambda: time() - beginning,
            tell=self.audience.tell,
            story=self.story,
        )

    def _parts(self, daemon: Daemon, stage: Stage, config: Path) -> Iterator[Coroutine[Any, Any, object]]:
        yield self.stopped.wait()
        yield daemon.ended()
        yield self.audience.watch(stage, scene.hints(self.program, str(config.parent), stage.dns, daemon.http))
        yield observe(stage, daemon.status)
        yield ask_forever(stage, scene.RELAY, lookup.A)
        yield ask_forever(stage, scene.MAIL, lookup.MX)
        yield kill_in_turn(stage, self.seconds)
        if self.seconds is not None:
            yield asyncio.sleep(self.seconds)


async def _first_of(*parts: Coroutine[Any, Any, object]) -> None:
    """Run all until one ends, and end the others. What that one raised is raised here."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
