"""The composition root: what is built from the configuration, in which order it starts, and how it stops.

Start: load, open the state, bind, let operators look in, probe one round, compile, start workers. Each step that
cannot be done ends the start with one sentence that says what to do, and undoes the steps before it.
"""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import fields, replace
from typing import Any

import structlog

from dnslb import __version__, config
from dnslb.answer.service import steps_of
from dnslb.answer.snapshot import Change, Snapshot
from dnslb.answer.terms import Terms
from dnslb.answer.views import Audience
from dnslb.answer.world import World, build
from dnslb.config import ConfigError, Endpoint, ServerSettings, Settings
from dnslb.control.handover import Successor
from dnslb.control.http.door import HttpServer, bind
from dnslb.control.protocol import Code, Refused
from dnslb.control.server import ControlError, ControlServer
from dnslb.daemon import concentration, cookies, descriptors, memory, report, succession
from dnslb.daemon.farewell import Farewells, this_boot
from dnslb.daemon.history import History
from dnslb.daemon.journal import Journal
from dnslb.daemon.lingering import Lingering
from dnslb.daemon.observer import Observer
from dnslb.daemon.operations import Operations, Reloaded
from dnslb.daemon.roster import Key, Roster, Standing, still_believed
from dnslb.daemon.succession import Estate
from dnslb.daemon.windows import Windows, unattended
from dnslb.daemon.wishes import Wishes
from dnslb.daemon.workers import Workers
from dnslb.metrics import Metrics, NoticesReading, Reading
from dnslb.notify.message import Sender
from dnslb.notify.notices import Notices
from dnslb.pool.admin import Admin
from dnslb.pool.health import Health
from dnslb.pool.member import Member
from dnslb.pool.portion import UNPACED, WHOLE, portion_of
from dnslb.pool.selection import Selection, select
from dnslb.probe.scheduler import Scheduler
from dnslb.publisher import Publication, Publisher, serial_in_file
from dnslb.server.supervisor import Death
from dnslb.store import TROUBLE, Remembered, Store
from dnslb.wire import name
from dnslb.zone.serial import unforgotten

_log = structlog.get_logger()

FIRST_ROUND_SECONDS = 3.0
"""How long the start waits for members to answer their first probe; slower ones are published as unprobed."""
_SAVE_SECONDS = 30.0
_PATIENCE_WITH_DISK_SECONDS = 1.0
"""How long a slow disk may hold up a member that comes back into the answers."""
_PATIENCE_WITH_RECEIVERS_SECONDS = 2.0
"""How long the stop waits for those who are told of events."""
_NAMED = 20
"""How many members one log line names at most."""


class StartError(Exception):
    """The start has failed; the text says why."""


class Controller:
    """One running daemon."""

    def __init__(self, settings: Settings, store: Store, descriptor_limit: int, estate: Estate) -> None:
        remembered = store.load() or Remembered()
        self._systemd = estate.systemd
        self._before = estate
        self._settings = settings
        self._steps = steps_of(settings.services)
        self._descriptor_limit = descriptor_limit
        self._store = store
        self._secrets = cookies.OwnSecrets(settings.server.state, self._keep_secrets)
        self._lingering = Lingering()
        self._serials = {name.from_text(zone): serial for zone, serial in remembered.serials.items()}
        self._roster = _remembered(settings, remembered, time.time())
        store.retention = settings.event_retention
        self._remembered_serials = remembered.serials
        self._journal = Journal(store, self._known, self._take_up)
        self._notices = Notices(settings.notices, Sender(socket.gethostname(), __version__))
        self._journal.listen(lambda event: self._notices.tell(event.as_json()))
        self._metrics = Metrics(self._reading)
        self._farewells = Farewells(boot=this_boot(), remembered=remembered.leavings)
        self._started = time.monotonic()
        self._successor: Successor | None = None
        self._asked = asyncio.Event()
        """Set when there is a successor."""
        self._handing_over = False
        self._replacing: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        """Held by whoever changes what is configured or wanted: the start, a reload, an operator's word."""
        self._opened: Workers | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._control: ControlServer | None = None
        self._http: HttpServer | None = None
        self._http_listener: socket.socket | None = None
        self._publisher = Publisher(
            self._distribute,
            self._on_published,
            self._remember_first,
            generation=estate.generation,
            last_good=estate.last_good,
        )
        self._wishes = Wishes(
            admins=remembered.admins,
            windows=remembered.windows,
            roster=lambda: self._roster,
            journal=self._journal,
            publisher=self._publisher,
            admin_changed=lambda pool: self._observer.admin_changed(pool),  # noqa: PLW0108 - it is made below
        )
        self._wishes.adopt(self._roster)
        self._windows = Windows(
            wishes=self._wishes,
            view=self._view,
            journal=self._journal,
            changing=self._changing,
        )
        self._observer = Observer(
            roster=lambda: self._roster,
            pools=lambda: self._settings.pools,
            steps=lambda pool: self._steps.get(pool, ()),
            publisher=self._publisher,
            journal=self._journal,
            metrics=self._metrics,
            ask=lambda keys, aspects: self._scheduler.ask(keys, aspects),  # noqa: PLW0108 - it is made below
            alone=lambda target: self._scheduler.alone(target),  # noqa: PLW0108 - as above
            spawn=self._spawn,
        )
        self._history = History(lambda: self._roster, self._rcodes)
        self._scheduler = Scheduler(self._observer.take, concurrency=descriptors.for_probes(descriptor_limit))

    async def run(self, stop: asyncio.Event) -> Successor | None:
        """Start, serve until `stop` is set or another daemon asks for our place, and end; return that other one.

        Then our workers answer on, and `estate` is to be handed over. An error of the start is raised when all is
        undone.
        """
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close_store)
            stack.push_async_callback(self._end_tasks)
            starting = asyncio.create_task(self._start(stack))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await self._wait_for_the_end(stopping)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            # Who goes on has just read everything; what we read now would come to workers that we speak for no more.
            self._loop.add_signal_handler(signal.SIGHUP, lambda: None)
            if stop.is_set():
                self._stop_all()
                # While the workers answer on: what waits for a slow receiver should wait for nobody who asks.
                await self._notices.hurry(_PATIENCE_WITH_RECEIVERS_SECONDS)
        if not self._handing_over:
            _log.info("stopped")
            return None
        return self._successor

    async def _wait_for_the_end(self, stopping: asyncio.Task[Any]) -> None:
        """Wait until we are to stop, or until somebody has asked for our place and nothing is under way any more."""
        asked = asyncio.create_task(self._come_to_rest())
        await asyncio.wait({asked, stopping}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        stopping.cancel()
        await asyncio.gather(asked, stopping, return_exceptions=True)

    async def _come_to_rest(self) -> None:
        await self._asked.wait()
        if self._replacing is not None:
            await asyncio.wait({self._replacing})
        async with self._changing:
            self._handing_over = True

    def _stop_all(self) -> None:
        self._handing_over = False
        _log.info("stopping")
        self._systemd.tell("STOPPING=1")
        if self._successor is not None:
            succession.stop(self._successor)
            self._successor.close()
        if self._opened is not None:
            self._opened.end_left_behind()

    def _succeed(self, successor: Successor) -> None:
        """Begin to hand over to a process that asks for our place. Raise Refused if it may not have it."""
        reason = succession.why_not(successor, self._settings.server.state, self._systemd)
        if self._successor is not None:
            reason = f"process {self._successor.pid} is replacing it already"
        if reason:
            raise Refused(Code.REFUSED, reason)
        _log.info("handing_over", to=successor.pid)
        self._successor = successor
        self._asked.set()

    @property
    def settings(self) -> Settings:
        """What is configured now."""
        return self._settings

    @property
    def estate(self) -> Estate:
        """What the next controller gets from this one, when it hands over."""
        assert self._control is not None  # noqa: S101 - by it somebody has asked
        return Estate(
            groups=tuple(self._workers.groups),
            control=self._control.listener,
            http=self._http_listener,
            generation=self._publisher.generation,
            last_good={pool: self._publisher.last_good(pool) for pool in self._settings.pools},
            systemd=self._systemd,
            end=self._workers.stop,
            is_own=True,
        )

    # Start and stop

    async def _start(self, stack: AsyncExitStack) -> None:
        for warning in (*self._settings.warnings, *self._shortage(self._settings)):
            _log.warning("configuration", text=warning)
        async with self._changing:
            # So it is known whether the disk can be written to.
            self._journal.changed()
            await self._journal.settle()
            self._listen()
            await self._open_doors(stack)
            await self._start_answering(stack)
            # Not before: until now they are the ones who answer.
            self._replacing = self._spawn(self._replace_others())
            # The serial is on disk before anybody relies on the start: a killed controller's successor must not repeat
            # it. A reload that waits for the start is told of behind it.
            await self._journal.settle()
            self._journal.started(self._workers.listening, self._publisher.generation)
            self._systemd.tell("READY=1", f"STATUS=Answering on {', '.join(self._workers.listening)}")
        self._spawn(self._systemd.show_life())
        self._spawn(self._save_regularly())
        self._spawn(self._observer.tick())
        self._spawn(self._history.follow())
        self._spawn(self._windows.run())
        self._spawn(self._lingering.run(self._let_hosts_go))
        self._spawn(cookies.follow(self._renew_secrets))
        memory.settle()

    def _shortage(self, settings: Settings) -> tuple[str, ...]:
        listeners = 2 * len(settings.server.listen) * self._settings.server.workers
        return descriptors.shortage(self._descriptor_limit, len(settings.targets), listeners)

    def _listen(self) -> None:
        before = self._before
        workers = self._opened = Workers(
            self._settings.server, self._on_worker_death, self._on_disk_soon, before.groups, before.end
        )
        number = self._settings.server.workers
        _log.info("listening", addresses=workers.listening, workers=number, descriptors=self._descriptor_limit)
        _log.info("steering", on=workers.steering.by_source, reason=workers.steering.reason)
        for warning in workers.warnings:
            _log.warning("listening", text=warning)
        if workers.others_answer:
            self._farewells.follow()

    @property
    def _workers(self) -> Workers:
        """Those that answer, from when they listen on."""
        assert self._opened is not None  # noqa: S101 - nobody asks for them before
        return self._opened

    async def _start_answering(self, stack: AsyncExitStack) -> None:
        stack.push_async_callback(self._stop_workers)
        # Undone before that: the doors, the probes, and reloads, which would publish to workers that are stopping.
        stack.push_async_callback(self._end_tasks)
        await self._probe_first(stack)
        stack.push_async_callback(self._close_doors)
        # What has become due while nothing ran is in the first answers.
        await self._windows.catch_up()
        world = await asyncio.to_thread(_world_of, self._settings, self._secrets)
        self._farewells.configure(self._settings.services)
        # What an earlier run knew may be near: not even the first answer should outlive it.
        self._observer.follow_clock()
        await self._publisher.publish_world(world, self._roster.candidates, remembered=self._last_serials(world))
        if not any(counters.generation for _, counters in self._workers.counters()):
            raise StartError("no worker process answers; the log above says why")

    def _last_serials(self, world: World) -> Mapping[bytes, int]:
        """Return the last serial of each zone, or one that is surely later where the disk may not know it."""
        if not self._store.is_lost and not self._journal.failing:
            return self._serials
        now = time.time()
        return self._serials | {
            apex: unforgotten(serial_in_file(world, apex), self._serials.get(apex), now) for apex in world.zones
        }

    async def _replace_others(self) -> None:
        if self._workers.others_answer:
            await self._workers.replace_others()
            self._farewells.predecessors_gone()
            self._journal.changed()

    async def _stop_workers(self) -> None:
        await self._publisher.settle()
        if not self._handing_over:
            await self._workers.stop()

    async def _probe_first(self, stack: AsyncExitStack) -> None:
        """Probe all members; wait for those of which nothing is known, so that the first answer is already right.

        What an earlier run knew is answered from at once: a member that died meanwhile is being confirmed.
        """
        targets = self._settings.targets
        await self._scheduler.start(targets)
        stack.push_async_callback(self._scheduler.stop)
        unknown = self._roster.unknown()
        _log.info("first_round", members=len(targets), unknown=len(unknown), at_most_seconds=FIRST_ROUND_SECONDS)
        first_round = self._scheduler.first_round(FIRST_ROUND_SECONDS, targets)
        if not unknown:
            self._spawn(first_round)
            return
        late = sorted("/".join(key) for key in unknown - await first_round)
        if late:
            _log.warning("members_not_probed_yet", number=len(late), members=late[:_NAMED])

    async def _open_doors(self, stack: AsyncExitStack) -> None:
        server = self._settings.server
        operations = Operations(
            view=self._view,
            wishes=self._wishes,
            publisher=self._publisher,
            store=self._store,
            status=self._status,
            parts=lambda: {"steering": self._workers.steering.by_source},
            probe=self._scheduler.probe_now,
            reload=self._reload,
            changing=self._changing,
        )
        stack.push_async_callback(self._close_doors)
        self._operations = operations
        await self._open_control(self._before.control)
        if server.http is not None:
            self._http_listener = self._listening_for_http(server.http)
            door = self._http = HttpServer(
                # With a descriptor of its own, which it closes: who connects to ours then waits for the next daemon.
                self._http_listener.dup(),
                operations,
                exposition=self._metrics.exposition,
                history=self._history.as_json,
                tokens=self._settings.tokens,
            )
            await door.start()
            self._journal.listen(lambda event: door.tell(event.as_json()))
            _log.info("http", address=str(Endpoint(server.http.host, door.port)))

    def _listening_for_http(self, wanted: Endpoint) -> socket.socket:
        """Return the socket of the daemon before, if it is at the address that is wanted, or a new one."""
        known = self._before.http
        if known is not None:
            host, port = known.getsockname()[:2]
            if host == str(wanted.host) and wanted.port in {0, port}:
                return known
            known.close()
        return bind(str(wanted.host), wanted.port)

    @property
    def _goes_on(self) -> bool:
        """Whether another daemon goes on with what we have: the next, or the one before if it was not replaced."""
        unneeded = self._opened is not None and self._opened.predecessor_lives and not self._before.is_own
        return self._handing_over or unneeded

    async def _open_control(self, listener: socket.socket | None = None) -> None:
        """Listen for commands, unless a disk in trouble does not let us: then nobody can command us for now."""
        path = self._settings.server.control
        try:
            self._control = await ControlServer.start(path, self._operations, listener=listener, succeed=self._succeed)
        except ControlError as error:
            if getattr(error.__cause__, "errno", None) not in TROUBLE:
                raise
            self._journal.control(str(error))
        else:
            self._journal.control()

    async def _see_to_control(self) -> None:
        """Listen for commands again if our socket could not be made, or was removed."""
        if self._control is not None and self._control.is_there:
            return
        before, self._control = self._control, None
        if before is not None:
            await before.close()
        try:
            await self._open_control()
        except ControlError as error:
            self._journal.control(str(error))

    async def _close_doors(self) -> None:
        if self._http_listener is not None and not self._goes_on:
            self._http_listener.close()
        if self._http is not None:
            await self._http.stop()
        if self._control is not None:
            await (self._control.pause() if self._goes_on else self._control.close())

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close_store(self) -> None:
        self._journal.stopped(self._successor.pid if self._successor and self._handing_over else None)
        await self._journal.settle()
        await self._notices.hurry(_PATIENCE_WITH_RECEIVERS_SECONDS)
        await self._notices.end()
        await self._store.close()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Probes

    async def _save_regularly(self) -> None:
        """Keep health from growing old on disk, and try again what has failed."""
        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            self._journal.changed()
            await self._journal.settle()
            # On a disk that hangs, to look would be to wait with it.
            if not self._journal.failing:
                await self._see_to_control()

    def _keep_secrets(self, write: Callable[[], None]) -> None:
        """Have the cookies' secrets on disk soon; called in a thread."""
        self._loop.call_soon_threadsafe(self._on_disk_soon, cookies.FILE, write)

    def _on_disk_soon(self, name: str, write: Callable[[], None]) -> None:
        """Have a file in the state directory written, with all the rest; at once when that is another's already."""
        if not self._store.is_closed:
            self._journal.also(name, write)
            return
        try:
            write()
        except OSError as error:
            _log.error("not_written", file=name, reason=str(error))

    def _known(self) -> Remembered:
        """Return what the next run has to know."""
        return replace(
            self._wishes.known(),
            healths=self._roster.healths(),
            serials=self._remembered_serials,
            leavings=self._farewells.leavings(),
        )

    def _take_up(self, found: Remembered) -> None:
        """Obey what people said before this run: until now it could not be read."""
        self._remembered_serials = found.serials
        self._wishes.take_up(found.admins, found.windows)

    # Publishing

    async def _let_hosts_go(self) -> None:
        """Answer no more for hosts that a reload has left behind, and that no cache points at any more."""
        async with self._changing:
            world = await asyncio.to_thread(_world_of, self._settings, self._secrets)
            world = self._lingering.beside(world, time.monotonic())
            await self._publisher.publish_world(world, self._roster.candidates)

    async def _renew_secrets(self) -> None:
        """Have the workers know the cookies' secrets that are due now."""
        async with self._changing:
            terms = await asyncio.to_thread(_terms_of, self._settings, self._secrets)
            world = self._publisher.world
            if terms != world.terms:
                await self._publisher.publish_world(replace(world, terms=terms), self._roster.candidates)

    async def _distribute(self, message: Snapshot | Change) -> None:
        await self._workers.distribute(message)

    async def _remember_first(self, selections: Mapping[str, Selection], serials: Mapping[bytes, int]) -> None:
        """Have it on disk before a serial is given out, or anybody who was not.

        Whoever kills us must not make the next run wrong. A disk that hangs holds nothing up for long: answers come
        first.
        """
        unknown = self._journal.serials({name.to_text(apex): serial for apex, serial in serials.items()})
        if self._farewells.coming(selections):
            self._journal.changed()
            unknown = True
        if unknown:
            await self._journal.settle(_PATIENCE_WITH_DISK_SECONDS)

    def _on_published(self, publication: Publication) -> None:
        if publication.serials and publication.found_at is not None:
            self._metrics.answer_changed(asyncio.get_running_loop().time() - publication.found_at)
        self._farewells.published(publication)
        self._journal.changed()
        self._journal.published(publication)

    # Workers

    def _on_worker_death(self, death: Death) -> None:
        self._metrics.worker_restarted()
        self._journal.worker_died(death)

    # Operators

    def _view(self) -> report.View:
        """Return what is published; while the start is still probing, what would be."""
        settings, roster = self._settings, self._roster
        selections = self._publisher.selections or {
            pool.name: select(pool, roster.candidates(pool.name), frozenset()) for pool in settings.pools.values()
        }
        return report.View(
            pools=settings.pools,
            services=settings.services,
            roster=roster,
            selections=selections,
            last_good=self._publisher.last_good,
            farewells=self._farewells,
            held_until=self._observer.held_until,
            window=self._wishes.window,
            held_window=self._windows.held,
        )

    def _reading(self) -> Reading:
        workers = [counters for _, counters in self._workers.counters()]
        # Before that of the publisher: a change meanwhile may make workers look late, and none of them early.
        generations = [counters.generation for counters in workers]
        counted = [counters.by_protocol() for counters in workers]
        found = report.reading(self._view(), self._publisher.generation, counted)
        return replace(
            found,
            worker_generations=generations,
            state_failing=bool(self._trouble()),
            drops={**found.drops, **self._workers.lost()},
            notices=[
                NoticesReading(each.target.name, each.delivered, each.missed, failing=each.failing)
                for each in self._notices.couriers
            ],
            resolvers=concentration.resolvers_reading(self._workers.askers()),
        )

    def _audience(self) -> Audience:
        return self._publisher.world.audience if self._publisher.has_begun else Audience()

    def _status(self) -> dict[str, Any]:
        view, workers = self._view(), self._workers
        return {
            "version": __version__,
            "generation": self._publisher.generation,
            "uptime_s": round(time.monotonic() - self._started, 3),
            "listen": workers.listening,
            "http": self._http_address(),
            "workers": [
                {"pid": pid, "generation": counters.generation, "queries": counters.queries()}
                for pid, counters in workers.counters()
            ],
            "rcodes": self._rcodes(),
            "steering": workers.steering.by,
            "steering_reason": workers.steering.reason,
            "state_failing": self._trouble(),
            "pools": report.pools_json(view),
            "services": report.services_json(view),
            "resolvers": concentration.resolvers_json(workers.askers(), view, self._audience(), workers.walks),
        }

    def _http_address(self) -> str:
        host = self._settings.server.http
        return "" if host is None or self._http is None else str(Endpoint(host.host, self._http.port))

    def _trouble(self) -> str | None:
        """Return what the state directory or the control socket does not let us do."""
        return self._journal.failing or self._journal.unreachable or None

    def _rcodes(self) -> dict[str, int]:
        return report.rcodes_json([counters.by_protocol() for _, counters in self._workers.counters()])

    def _on_hangup(self) -> None:
        self._spawn(self._reload_by_signal())

    async def _reload_by_signal(self) -> None:
        try:
            await self._reload("SIGHUP")
        except ConfigError:
            return  # the journal has been told
        except Exception:  # noqa: BLE001 - nobody waits for it: the log is told, and what was served is served on
            _log.exception("reload_failed")

    async def _reload(self, who: str) -> Reloaded:
        """Read the configuration again and swap it in whole; ConfigError, and nothing has changed, if it is bad."""
        async with self._changing, self._systemd.reloading():
            try:
                settings = await asyncio.to_thread(config.load, self._settings.path)
            except ConfigError as error:
                self._journal.reload_refused(who, [str(problem) for problem in error.problems])
                raise
            world = await asyncio.to_thread(_world_of, settings, self._secrets)
            world = self._lingering.behind(self._publisher.world, world, time.monotonic())
            old = self._roster
            roster = Roster.of(
                settings.pools.values(),
                settings.targets,
                lambda key, member: old.standing_after_reload(key, member, self._wishes.admin(key)),
            )
            warnings = (
                *settings.warnings,
                *_needs_restart(self._settings.server, settings.server),
                *self._shortage(settings),
                *unattended(self._wishes.windows(), roster.keys()),
            )
            self._wishes.adopt(roster)

            def adopt() -> None:
                self._farewells.configure(settings.services)
                self._settings = replace(settings, server=self._settings.server)
                self._steps = steps_of(settings.services)
                self._store.retention = settings.event_retention
                if self._http is not None:
                    self._http.use(settings.tokens)
                self._notices.replace(settings.notices)
                self._roster = roster

            generation = self._publisher.generation
            changed = await self._publisher.publish_world(world, roster.candidates, adopt=adopt)
            await self._scheduler.replace(settings.targets)
            for pool, member in old.keys() - roster.keys():
                self._metrics.forget(pool, member)
            self._observer.forget_removed()
            self._farewells.forget_removed(roster.keys())
            self._wishes.forget_removed(roster.keys())
            self._journal.reloaded(
                who,
                self._publisher.generation,
                warnings,
                changed=changed,
                before={"generation": generation},
                after={"generation": self._publisher.generation},
                added=sorted("/".join(key) for key in roster.keys() - old.keys()),
                removed=sorted("/".join(key) for key in old.keys() - roster.keys()),
            )
            memory.settle()
            return Reloaded(self._publisher.generation, changed, warnings)


def _remembered(settings: Settings, remembered: Remembered, now: float) -> Roster:
    """Return the members as an earlier run left them, as far as that is still believed at Unix time `now`."""
    believed = still_believed(remembered.healths, now)

    def standing(key: Key, _member: Member) -> Standing:
        health = believed.get(key, Health())
        portion = portion_of(health, UNPACED, settings.pools[key[0]].slow_start, now, WHOLE)
        return Standing(remembered.admins.get(key, Admin()), health, portion)

    return Roster.of(settings.pools.values(), settings.targets, standing)


def _world_of(settings: Settings, own: cookies.OwnSecrets) -> World:
    world = build(settings.zones, settings.pools, settings.services, settings.audience)
    return replace(world, terms=_terms_of(settings, own))


def _terms_of(settings: Settings, own: cookies.OwnSecrets) -> Terms:
    """Return the terms with the secrets that are configured, or else with our own as they are now."""
    terms = settings.terms
    return terms if terms.secrets else replace(terms, secrets=own.at(time.time()))


def _needs_restart(old: ServerSettings, new: ServerSettings) -> tuple[str, ...]:
    changed = [field.name for field in fields(ServerSettings) if getattr(old, field.name) != getattr(new, field.name)]
    return tuple(f"server.{key} has changed: that takes effect at the next start" for key in changed)
