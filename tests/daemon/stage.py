"""Operations on one pool without a daemon: a store that is slow, a publisher that sends to nobody."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Self, cast

from dnslb.answer.snapshot import Change, Snapshot
from dnslb.answer.world import build
from dnslb.daemon.journal import Journal
from dnslb.daemon.operations import Operations, Reloaded
from dnslb.daemon.report import View
from dnslb.daemon.roster import Entry, Roster, Standing
from dnslb.daemon.windows import Windows
from dnslb.daemon.wishes import Wishes
from dnslb.pool.admin import Admin
from dnslb.pool.health import Health, ProbeResult, State, Thresholds, Verdict
from dnslb.pool.member import Pool
from dnslb.pool.selection import Candidate
from dnslb.pool.window import Window
from dnslb.probe.transcript import Report
from dnslb.probe.verdict import EFFECTS
from dnslb.publisher import Publisher
from dnslb.store import Event, Remembered, Store, StoreError
from tests.conftest import member, pool

POOL = pool(member("mx1", weight=50), member("mx2", weight=50))


class SlowStore:
    """Stores nothing, and lets others have their turn before it says so; a disk that `fails` is full."""

    unread = None
    is_closed = False

    def __init__(self) -> None:
        self.admins: list[Admin] = []
        self.windows: list[Window | None] = []
        self.events: list[Event] = []
        self.findings: list[str] = []
        self.has_unwritten = False
        self.fails = False

    async def save(self, known: Remembered) -> None:
        """Take what operators have said since the last time."""
        await self._ask_disk()
        for key, admin in known.admins.items():
            self.admins.append(admin)
            self.windows.append(known.windows.get(key))

    def note(self, event: Event) -> Event:
        """Take an event."""
        self.has_unwritten = True
        self.events.append(replace(event, id=len(self.events) + 1))
        return self.events[-1]

    async def flush(self) -> None:
        """Write events."""
        await self._ask_disk()
        self.has_unwritten = False

    async def _ask_disk(self) -> None:
        await asyncio.sleep(0)
        if self.fails:
            raise StoreError("the disk is full")

    def call_when_free(self, _callback: object) -> None:
        """Never hang."""


class Stage:
    """Operations on one pool, all of whose members are up, by a clock that the test turns."""

    def __init__(
        self, of: Pool = POOL, windows: Iterable[Window] = (), admins: Mapping[str, Admin] | None = None
    ) -> None:
        self.now = 1_000_000.0
        self.pool = of
        said = admins or {}
        self.standings = {each.name: Standing(said.get(each.name, Admin()), Health(State.UP)) for each in of.members}
        self.roster = self.roster_of(*self.standings)
        self.store = SlowStore()
        self.publisher = Publisher(self._distribute, lambda _publication: None)
        self.changing = asyncio.Lock()
        self.journal = Journal(cast("Store", self.store))
        self.wishes = Wishes(
            admins={(of.name, name): admin for name, admin in said.items()},
            windows={window.key: window for window in windows},
            roster=lambda: self.roster,
            journal=self.journal,
            publisher=self.publisher,
        )
        self.wishes.adopt(self.roster)
        self.windows = Windows(
            wishes=self.wishes,
            view=self.view,
            journal=self.journal,
            changing=self.changing,
            wall=lambda: self.now,
        )
        self.operations = Operations(
            view=self.view,
            wishes=self.wishes,
            publisher=self.publisher,
            store=cast("Store", self.store),
            status=dict,
            parts=dict,
            probe=self._probe,
            reload=self._reload,
            changing=self.changing,
            wall=lambda: self.now,
        )

    async def open(self) -> Self:
        """Publish the pool."""
        world = build((), MappingProxyType({self.pool.name: self.pool}), ())
        await self.publisher.publish_world(world, self.candidates)
        return self

    def roster_of(self, *names: str) -> Roster:
        """Return a roster of some of the members, with their standings."""
        thresholds = Thresholds(1, 1, 10)
        members = [each for each in self.pool.members if each.name in names]
        return Roster(
            {(self.pool.name, each.name): Entry(each, thresholds, self.standings[each.name]) for each in members}
        )

    def candidates(self, name: str) -> list[Candidate]:
        """Return the members of the pool as they are now."""
        return self.roster.candidates(name)

    def leaves_at(self, name: str) -> float | None:
        """Return when a member has been told to leave."""
        return self.standings[name].leaves_at

    def view(self) -> View:
        """Return what is configured and known."""
        return View(
            {self.pool.name: self.pool},
            (),
            self.roster,
            self.publisher.selections,
            last_good=self.publisher.last_good,
            window=self.wishes.window,
            held_window=self.windows.held,
        )

    async def _distribute(self, _message: Snapshot | Change) -> None:
        await asyncio.sleep(0)

    async def _probe(self, _key: tuple[str, str]) -> Report:
        found = ProbeResult(Verdict.OK, "", EFFECTS[Verdict.OK], 3.0, 0.1, 0.0)
        return Report(found)

    async def _reload(self, _who: str) -> Reloaded:
        raise NotImplementedError

    def published(self) -> Sequence[str]:
        """Return who is published."""
        return [choice.member.name for choice in self.publisher.selections[self.pool.name].published]

    async def at(self, now: float) -> Sequence[str]:
        """Set the clock, let the windows look at it, and return who is published then."""
        self.now = now
        await self.windows.tick()
        return self.published()

    def told(self) -> list[str]:
        """Return what the events say of windows, in order."""
        return [event.details["what"] for event in self.store.events if "what" in event.details]
