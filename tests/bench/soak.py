"""Half an hour, or hours, of all that may happen to a daemon: whether it answers right, and what grows."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnslb.control import client
from dnslb.control.protocol import Refused
from tests.bench import machine
from tests.bench.flooder import KINDS
from tests.bench.parts import ROOT, Stage, start_daemon, workers_of
from tests.bench.probing_servers import Certificates
from tests.bench.report import figure, say, title
from tests.bench.soaking import crowd, samples
from tests.bench.soaking.mail import FAILURES, WELL, MailServer, serving
from tests.bench.soaking.oracle import Oracle
from tests.bench.soaking.scene import MEMBERS, Ports, Scene
from tests.e2e.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.bench.soaking.oracle import Member, Pool
    from tests.e2e.processes import Process

MINUTES = 30.0
RATE = 200
"""Good queries a second, by all resolvers together."""
FLOOD = 500
_RESOLVERS, _STREAMS = 8, 2
_IDLE, _SLOW = 16, 2
_LISTENERS, _DEAF = 4, 2
_DETECTED = 30.0
"""Seconds by which a death has been seen: twice what three probes take that wait for their timeout, if none is late."""
_RETURNED = 30.0
"""Seconds by which a member that works again, or is new, is in the answers."""
_MOST_UNSETTLED = 3
"""Of a calm pool, at a time: with more, the pool might panic, or its falls be held as suspect."""
_SAMPLE_SECONDS = 5.0
_CHANGE_SECONDS = 1.0
_WEIGHT_SECONDS = 0.2
_LOOK_SECONDS, _STALL_SECONDS = 0.25, 0.5
"""How often we look whether we get our turns, and how late one is that is too late."""
_PATIENCE = 60.0
"""Seconds in which a command must be answered, on a machine that has much else to do."""
_ROWS = 30
_FORGOTTEN = 120.0


def main(minutes: float = MINUTES) -> None:
    """Measure and print."""
    title(f"17. A soak of {minutes:g} minutes")
    say(
        "`dnslb run` with two workers and four pools, with TLS and without, by weight and by source. Members die in"
        " five\nways and come back, are drained, weighed, removed and replaced under new names; pools and services come"
        f" and go;\nfiles are reloaded, good and broken ones. {RATE} good queries a second over UDP (half of the"
        " resolvers have cookies)\nand TCP, each answer judged by what it must and must not hold at that time."
        f" {FLOOD} malformed packets a second; {_IDLE}\nidle, {_SLOW} slowly writing and {_SLOW} not reading TCP"
        f" clients; a scraper of metrics and status; {_LISTENERS + _DEAF} who listen to the\nstream, {_DEAF} of them"
        " without reading; a webhook that nobody answers. Each row is of now: the controller, and each worker.\nCtrl-C"
        " ends it sooner."
    )
    with Stage() as stage, machine.ordinary():
        asyncio.run(_soak(stage, minutes))


async def _soak(stage: Stage, minutes: float) -> None:
    oracle = Oracle()
    ports = Ports(free_port(), free_port(), free_port(), free_port())
    scene = Scene(stage.directory("dnslb"), ports, oracle)
    context = serving(Certificates(stage.directory("certificates")).good)
    world = World(scene, oracle, partial(MailServer, port=ports.members, context=context))
    ledger = crowd.Ledger(oracle)
    try:
        await world.begin()
        daemon = await asyncio.to_thread(start_daemon, stage, scene.path)
        world.is_probed()
        flood = _flood(stage, ports.dns)
        processes = {"controller": daemon.pid}
        processes |= {f"worker {number}": pid for number, pid in enumerate(workers_of(daemon), 1)}
        watch = samples.Watch(processes, scene.path.parent / "state")
        watching = _watch(watch, world, ledger, minutes)
        await _first_of(
            watching, _interrupted(), world.live(), world.weigh(), world.watch_ourselves(), *_clients(ledger, ports)
        )
        samples.conclude(watch.samples)
        _conclude(daemon, world, ledger, sent=_end(flood))
    finally:
        await world.end()


class World:
    """All that changes: members, what operators want, and the configuration."""

    def __init__(self, scene: Scene, oracle: Oracle, mail_server: partial[MailServer]) -> None:
        self._scene, self._oracle, self._mail_server = scene, oracle, mail_server
        self._servers: dict[str, MailServer] = {}
        self._chance = random.Random(1)  # noqa: S311 - the same events in each run
        self._stories: set[asyncio.Task[None]] = set()
        self._socket = scene.path.parent / "control.sock"
        self._guest: Pool | None = None
        self.reloads = self.changes = self.stalls = 0

    async def begin(self) -> None:
        """Have all members of the first configuration live."""
        for pool in self._oracle.pools.values():
            pool.configured.holds(0.0)
            for member in pool.now():
                await self._give_life(member)
                member.configured.holds(0.0)
        self._scene.write()

    def is_probed(self) -> None:
        """Expect all members in the answers soon."""
        for pool in self._oracle.pools.values():
            for member in pool.now():
                member.works.holds(time.monotonic() + _RETURNED)

    async def _give_life(self, member: Member) -> None:
        server = self._servers[member.address] = self._mail_server(member.address)
        await server.be(WELL)

    async def end(self) -> None:
        """End all stories and members."""
        for story in self._stories:
            story.cancel()
        await asyncio.gather(*self._stories, return_exceptions=True)
        for server in self._servers.values():
            await server.close()

    async def live(self) -> None:
        """Begin one story after the other, for ever."""
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / _CHANGE_SECONDS))
            draw = self._chance.random()
            if draw < 0.12:
                await self._reload()
            elif draw < 0.15 and "storm" not in self._heroes():
                self._tell(self._storm(), "storm")
            elif (picked := self._pick(most=_MOST_UNSETTLED)) is not None:
                pool, member = picked
                stories = (self._flap, self._flap, self._drain)
                self._tell(self._chance.choice(stories)(pool, member), member.name)

    async def weigh(self) -> None:
        """Change weights, for ever, so often that all that is remembered of them is soon full."""
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / _WEIGHT_SECONDS))
            if (picked := self._pick()) is not None:
                pool, member = picked
                self._tell(self._weigh(pool, member), member.name)

    def _tell(self, story: Coroutine[Any, Any, None], hero: str) -> None:
        self.changes += 1
        task = asyncio.create_task(story, name=hero)
        self._stories.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._stories.discard(task)
        if not task.cancelled() and task.exception() is not None:
            say(f"  a story broke: {task.exception()!r}")

    def _heroes(self) -> set[str]:
        """Return whom stories are about now."""
        return {story.get_name() for story in self._stories}

    def _pick(self, *, most: int = MEMBERS) -> tuple[Pool, Member] | None:
        """Draw a member that is surely in the answers and in no story, if fewer than `most` of its pool are not."""
        now = time.monotonic()
        pool = self._chance.choice([each for each in self._oracle.pools.values() if each.calm])
        if pool is self._guest or pool.unsettled() >= most:
            return None
        heroes = self._heroes()
        free = [member for member in pool.now() if member.must_be_in(now) and member.name not in heroes]
        return (pool, self._chance.choice(free)) if free else None

    async def watch_ourselves(self) -> None:
        """Note, for ever, when we had no CPU: members of ours were slow then, and who finds them dead is right."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(_LOOK_SECONDS)
            if time.monotonic() - began > _LOOK_SECONDS + _STALL_SECONDS:
                self.stalls += 1
                for pool in self._oracle.pools.values():
                    for member in pool.now():
                        member.works.is_put_off(_RETURNED, _DETECTED)

    # Stories

    async def _flap(self, _pool: Pool, member: Member) -> None:
        """Let a member die in some way and come back, perhaps before anybody has seen it."""
        server, lasts = self._servers[member.address], self._chance.uniform(1, 40)
        member.works.ends(time.monotonic() + _DETECTED)
        await server.be(self._chance.choice(FAILURES))
        await asyncio.sleep(lasts)
        await server.be(WELL)
        member.works.holds(time.monotonic() + _RETURNED)

    async def _drain(self, pool: Pool, member: Member) -> None:
        """Take a member out and put it back, as an operator does, at times by the command."""
        state = self._chance.choice(("drain", "maint"))
        member.wanted.wavers()
        if self._chance.random() < 0.1:
            command = [sys.executable, "-m", "dnslb", state, f"{pool.name}/{member.name}", "-c", str(self._scene.path)]
            await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, cwd=ROOT)
        else:
            await self._call("admin", pool=pool.name, member=member.name, state=state, reason="soak")
        member.wanted.is_done(now_holds=False)
        await asyncio.sleep(self._chance.uniform(5, 30))
        member.wanted.wavers()
        await self._call("admin", pool=pool.name, member=member.name, state="ready")
        member.wanted.is_done(now_holds=True)

    async def _weigh(self, pool: Pool, member: Member) -> None:
        """Change a weight for a while, as an operator does."""
        weight = self._chance.randint(1, 500)
        await self._call("weight", pool=pool.name, member=member.name, weight=weight)
        await asyncio.sleep(self._chance.uniform(0, 1))
        await self._call("weight", pool=pool.name, member=member.name, weight=None)

    async def _storm(self) -> None:
        """Let half or more of the pool that is not calm die and come back."""
        members = self._oracle.pools["storm"].now()
        for member in self._chance.sample(members, self._chance.randint(3, len(members))):
            await self._servers[member.address].be(self._chance.choice(FAILURES))
        await asyncio.sleep(self._chance.uniform(1, 30))
        for member in members:
            await self._servers[member.address].be(WELL)

    # Reloads

    async def _reload(self) -> None:
        self.reloads += 1
        steps = (self._replace_member, self._replace_member, self._change_guest, self._change_records, self._break)
        await self._chance.choice(steps)()

    async def _replace_member(self) -> None:
        """Remove a member that is in the answers and configure another one."""
        if (picked := self._pick(most=_MOST_UNSETTLED)) is None:
            return
        pool, member = picked
        new = self._scene.add_member(pool)
        await self._give_life(new)
        member.configured.is_ending()
        self._scene.write()
        await self._call("reload")
        member.configured.is_done(now_holds=False)
        new.configured.is_done(now_holds=True)
        new.works.holds(time.monotonic() + _RETURNED)
        await self._servers.pop(member.address).close()
        pool.forget(_FORGOTTEN)

    async def _change_guest(self) -> None:
        """Configure a pool with services of its own, or remove it."""
        if self._guest is None:
            self._guest = self._scene.guest()
            for member in self._guest.now():
                await self._give_life(member)
        else:
            await self._remove_guest(self._guest)
            self._guest = None
            return
        self._scene.write()
        await self._call("reload")
        self._guest.configured.holds(time.monotonic() + _RETURNED)
        for member in self._guest.now():
            member.configured.is_done(now_holds=True)
            member.works.holds(time.monotonic() + _RETURNED)

    async def _remove_guest(self, guest: Pool) -> None:
        guest.configured.is_ending()
        del self._oracle.pools[guest.name]
        self._scene.write()
        await self._call("reload")
        for member in guest.now():
            await self._servers.pop(member.address).close()

    async def _change_records(self) -> None:
        before, after = self._scene.change_records(self._chance)
        self._scene.write()
        await self._call("reload")
        before.is_done(now_holds=False)
        after.is_done(now_holds=True)

    async def _break(self) -> None:
        """Reload a file that is wrong: that is refused, and changes nothing."""
        self._scene.write_broken()
        try:
            await self._call("reload")
        except Refused:
            self._scene.write()
        else:
            raise AssertionError("a broken file was taken")

    async def _call(self, verb: str, **args: str | int | None) -> None:
        await asyncio.to_thread(client.call, self._socket, verb, args, _PATIENCE)


def _clients(ledger: crowd.Ledger, ports: Ports) -> list[Coroutine[None, None, None]]:
    """Return all who talk to the daemon, for ever."""
    rate = RATE / (_RESOLVERS + _STREAMS)
    good = [
        crowd.resolver(ledger, ports.dns, f"127.0.2.{1 + number}", rate, has_cookies=bool(number % 2))
        for number in range(_RESOLVERS)
    ]
    comes: list[tuple[Callable[[crowd.Ledger, int, str], Coroutine[None, None, None]], str, int]] = [
        (partial(crowd.stream_resolver, rate=rate), "127.0.2.10", _STREAMS),
        (crowd.idle_client, "127.0.3.", _IDLE),
        (crowd.slow_writer, "127.0.4.", _SLOW),
        (crowd.slow_reader, "127.0.5.", _SLOW),
    ]
    others = [
        crowd.again_and_again(partial(client, ledger, ports.dns, f"{network}{1 + number}"))
        for client, network, many in comes
        for number in range(many)
    ]
    over_http = [
        *_LISTENERS * [partial(crowd.listener, ledger, ports.http)],
        *_DEAF * [partial(crowd.deaf_listener, ports.http)],
    ]
    return [*good, *others, *map(crowd.again_and_again, over_http), crowd.scraper(ledger, ports.http)]


def _flood(stage: Stage, port: int) -> subprocess.Popen[str]:
    script = str(Path(__file__).with_name("flooder.py"))
    command = [sys.executable, script, str(port), str(FLOOD), *KINDS]
    flood = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stage.callback(flood.wait)
    stage.callback(flood.kill)
    assert flood.stdout is not None
    assert flood.stdout.readline() == "ready\n"
    return flood


def _end(flood: subprocess.Popen[str]) -> int:
    """End the flood; return how many packets it has sent."""
    return int(json.loads(flood.communicate()[0])["sent"])


async def _watch(watch: samples.Watch, world: World, ledger: crowd.Ledger, minutes: float) -> None:
    """Take samples until the time is over, and print some."""
    samples.say_heads()
    began, row_at = time.monotonic(), 0.0
    while (passed := time.monotonic() - began) < 60 * minutes:
        sample = watch.look()
        if passed >= row_at:
            row_at += 60 * minutes / _ROWS
            counts = (ledger.answered, ledger.lost, ledger.wrong, world.reloads, world.changes)
            samples.say_row(passed, sample, counts)
        await asyncio.sleep(_SAMPLE_SECONDS)


async def _interrupted() -> None:
    """Wait for Ctrl-C."""
    pressed = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, pressed.set)
    await pressed.wait()


async def _first_of(*works: Coroutine[None, None, None]) -> None:
    """Wait for the first that ends, however that is, and end the others."""
    tasks = [asyncio.create_task(work) for work in works]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _conclude(daemon: Process, world: World, ledger: crowd.Ledger, *, sent: int) -> None:
    say(
        f"{ledger.answered:,} answers judged, {sent:,} malformed packets, {ledger.cut} idle and slow clients cut off,"
        f" {ledger.scraped} scrapes,\n{ledger.heard:,} lines of the stream, {world.reloads} reloads,"
        f" {world.changes} changes"
    )
    if world.stalls:
        say(
            f"the benchmark had no CPU for {_STALL_SECONDS} s or more itself, {world.stalls} times: its members were"
            " slow then,\nand it expected less"
        )
    for example, when in ledger.examples.items():
        say(f"  wrong, {when}: {example}")
    complaints = _complaints(daemon)
    for line in complaints[:10]:
        say(f"  logged: {line}")
    figure("wrong answers", ledger.wrong, 0, "")
    figure("queries lost", ledger.lost, 0, "")
    figure("requests and listeners over HTTP that were cut off", ledger.dropped, 0, "")
    figure("faults that the daemon has logged", len(complaints), 0, "")


_EXPECTED = {"pool_panic", "prober_suspected", "reload_refused", "question_suspected"}


def _complaints(daemon: Process) -> list[str]:
    """Return the lines of the log that tell of errors nobody has made on purpose."""
    lines = daemon.log.read_text().splitlines()
    found = []
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            found.append(line)
            continue
        if told.get("level") in ("error", "critical") and told["event"] not in _EXPECTED:
            found.append(line)
    return found
