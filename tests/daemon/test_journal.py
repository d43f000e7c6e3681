"""Writing down what happens, which must never hold up what happens."""

import asyncio
from pathlib import Path
from typing import cast

import structlog

from dnslb.daemon.journal import Journal
from dnslb.pool.health import Health, State, Verdict
from dnslb.pool.selection import QUESTIONS, select
from dnslb.publisher import Publication
from dnslb.store import Event, EventKind, Store, StoreError
from dnslb.zone.serial import following, is_newer
from tests.conftest import candidate, pool


class FailingStore:
    """A store on a disk that can be full."""

    def __init__(self) -> None:
        self.full = True
        self.texts: list[str] = []

    async def add_events(self, events: list[Event]) -> list[Event]:
        """Take events, or not."""
        if self.full:
            raise StoreError("the disk is full")
        self.texts += [event.text for event in events]
        return events


async def test_all_that_is_told_is_in_the_store(tmp_path: Path) -> None:
    """In the order in which it was told, when `settle` returns."""
    store = Store.open(tmp_path)
    journal = Journal(store)
    for number in range(20):
        journal.event(EventKind.STATE, f"event {number}", pool="inbound", member="mx1", who="ann", number=number)
    journal.health({("inbound", "mx1"): Health(State.DOWN)})
    await journal.settle()

    events = await store.events()
    assert [event.text for event in events] == [f"event {number}" for number in range(20)]
    assert (events[3].who, events[3].details) == ("ann", {"number": 3})
    remembered = store.load()
    assert remembered.healths["inbound", "mx1"].state is State.DOWN
    await store.close()


async def test_who_listens_hears_each_event_with_its_id(tmp_path: Path) -> None:
    """In the order of the ids, whoever tells of it; all that was told has been heard when `settle` returns."""
    store = Store.open(tmp_path)
    journal = Journal(store)
    heard: list[Event] = []
    journal.listen(heard.append)
    journal.event(EventKind.STATE, "by the daemon")
    await journal.keep(Event(1.0, EventKind.ADMIN, "by an operator"), Event(1.0, EventKind.WINDOW, "at once"))
    journal.event(EventKind.STATE, "the last")
    await journal.settle()
    assert heard == await store.events()
    assert [(event.id, event.text) for event in heard] == [
        (1, "by the daemon"),
        (2, "by an operator"),
        (3, "at once"),
        (4, "the last"),
    ]
    await store.close()


async def test_who_listens_hears_what_cannot_be_stored() -> None:
    """With id 0: a full disk is no reason to page nobody."""
    journal = Journal(cast("Store", FailingStore()))
    heard: list[Event] = []
    journal.listen(heard.append)
    await journal.keep(Event(1.0, EventKind.STATE, "mx1 is down"))
    assert [(event.id, event.text) for event in heard] == [(0, "mx1 is down")]


async def test_a_fault_of_who_listens_is_not_the_journal_s(tmp_path: Path) -> None:
    """Others hear of the event, and it is written; the loop is told what went wrong."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context["exception"]))
    store = Store.open(tmp_path)
    journal = Journal(store)
    heard: list[Event] = []
    fault = ValueError("a fault of ours")

    def broken(_event: Event) -> None:
        raise fault

    journal.listen(broken)
    journal.listen(heard.append)
    await journal.keep(Event(1.0, EventKind.STATE, "mx1 is down"))
    assert heard == await store.events()
    assert complaints == [fault]
    await store.close()


async def test_a_serial_is_written_before_it_is_given_out(tmp_path: Path) -> None:
    """A run that is killed at any moment leaves one that it has not reached; one that stops leaves the last."""
    store = Store.open(tmp_path)
    journal = Journal(store)
    given_out = 2**32 - 200
    for _ in range(400):
        given_out = following(given_out)
        left = store.load().serials.get("lb.test")
        assert left is None or is_newer(left, given_out)
        journal.serials({"lb.test": given_out})
        await journal.settle()
    journal.stopped()
    await journal.settle()
    assert store.load().serials == {"lb.test": given_out}
    await store.close()


async def test_a_store_that_fails_is_reported_when_it_begins_to() -> None:
    """Once, not for each event, and again after it has worked in between; nothing is raised."""
    store = FailingStore()
    journal = Journal(cast("Store", store))
    with structlog.testing.capture_logs() as logs:
        for full in (True, True, False, True):
            store.full = full
            journal.event(EventKind.STATE, "something")
            await journal.settle()
    assert [line["event"] for line in logs] == ["state_not_saved"] * 2
    assert store.texts == ["something"]


async def test_a_question_that_all_members_fail_is_told_once(tmp_path: Path) -> None:
    """When it begins: the next change of the pool's answers has nothing new to say of it."""
    store = Store.open(tmp_path)
    journal = Journal(store)
    rejecting = [candidate(name, State.DOWN, verdict=Verdict.REJECTS_DOMAIN) for name in ("mx1", "mx2")]
    suspect = select(pool(*(each.member for each in rejecting)), rejecting, frozenset())
    for before in (None, suspect):
        journal.published(Publication(2, {}, {"inbound": (before, suspect)}, None))
    await journal.settle()
    texts = [event.text for event in await store.events() if event.kind is EventKind.ALERT]
    assert texts == [f"pool inbound: {QUESTIONS[Verdict.REJECTS_DOMAIN]}, and mail goes on to all of them"]
    await store.close()
