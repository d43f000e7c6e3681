"""Writing down what happens, which must never hold up what happens."""

import asyncio
import errno
import itertools
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from dnslb.daemon.journal import Journal
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Health, State, Verdict
from dnslb.pool.selection import QUESTIONS, select
from dnslb.publisher import Publication
from dnslb.store import Event, EventKind, Remembered, Store, StoreError
from dnslb.store import store as store_module
from dnslb.store.remembered import parsed
from dnslb.zone.serial import following, is_newer
from tests.conftest import candidate, pool

DOWN = Remembered(healths={("inbound", "mx1"): Health(State.DOWN)})
DRAINED = {("inbound", "mx1"): Admin(AdminState.DRAIN)}


def on_disk(store: Store) -> Remembered:
    """Return what the next run would find."""
    return parsed((store.directory / "state.json").read_bytes())


def no_room(*_: object) -> None:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def drained(known: Remembered) -> Remembered:
    """Return what is known when mx1 has been drained."""
    return replace(known, admins=DRAINED)


async def test_all_that_is_told_is_in_the_store(tmp_path: Path) -> None:
    """In the order in which it was told, when `settle` returns, together with what is known then."""
    store = Store.open(tmp_path)
    journal = Journal(store, lambda: DOWN)
    for number in range(20):
        journal.event(EventKind.STATE, f"event {number}", pool="inbound", member="mx1", who="ann", number=number)
    journal.changed()
    await journal.settle()
    assert not store.has_unwritten
    events = await store.events()
    assert [event.text for event in events] == [f"event {number}" for number in range(20)]
    assert (events[3].who, events[3].details) == ("ann", {"number": 3})
    assert on_disk(store) == DOWN
    await store.close()


async def rested(journal: Journal, store: Store) -> None:
    """Return when the journal has had time to begin a write, and the disk to end it."""
    journal.changed()
    for _ in range(3):
        await store.events()


async def test_a_write_that_nobody_waits_for_waits_for_its_turn(tmp_path: Path) -> None:
    """After one that took long, by a clock that goes on by 1000 s at each look; once somebody waits, it is made."""
    store = Store.open(tmp_path)
    now_known = Remembered()
    journal = Journal(store, lambda: now_known, steady=itertools.count(step=1000.0).__next__)
    await rested(journal, store)
    now_known = DOWN
    await rested(journal, store)
    assert on_disk(store) == Remembered()
    await journal.settle()
    assert on_disk(store) == DOWN
    await store.close()


async def test_writes_that_were_quick_are_made_at_once(tmp_path: Path) -> None:
    """By a clock that stands still: then nobody has to wait for what is known to be on disk."""
    store = Store.open(tmp_path)
    now_known = Remembered()
    journal = Journal(store, lambda: now_known, steady=lambda: 0.0)
    await rested(journal, store)
    now_known = DOWN
    await rested(journal, store)
    assert on_disk(store) == DOWN
    await store.close()


async def test_who_decides_waits_for_nobody_s_turn(tmp_path: Path) -> None:
    """What an operator wants is on disk, and told, however long the last write has taken."""
    store = Store.open(tmp_path)
    journal = Journal(store, steady=itertools.count(step=1000.0).__next__)
    await rested(journal, store)
    await rested(journal, store)
    adopted: list[bool] = []
    await journal.save(drained, lambda: adopted.append(True))
    assert (adopted, on_disk(store).admins) == ([True], DRAINED)
    await journal.keep(Event(1.0, EventKind.ADMIN, "mx1 set to drain"))
    assert not store.has_unwritten
    await store.close()


async def test_who_waits_waits_for_what_is_known_now(tmp_path: Path) -> None:
    """And not for what changes meanwhile: members that flap without end keep no operator waiting."""
    store = Store.open(tmp_path)

    def flapping() -> Remembered:
        journal.changed()
        return DOWN

    journal = Journal(store, flapping)
    journal.changed()
    await journal.settle()
    assert on_disk(store) == DOWN
    await store.close()


async def test_a_write_that_has_its_turn_when_the_store_is_closed_is_not_made(tmp_path: Path) -> None:
    """The directory is another's then, and nothing is wrong."""
    store = Store.open(tmp_path)
    journal = Journal(store, steady=itertools.count(step=1000.0).__next__)
    await rested(journal, store)
    await rested(journal, store)
    await store.close()
    await journal.settle()
    assert journal.failing == ""


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
    """A run that is killed at any moment leaves one that it has not reached; one that stops leaves the last.

    Zones that are not answered from any more keep theirs.
    """
    store = Store.open(tmp_path)
    journal = Journal(store, lambda: Remembered(serials={"gone.test": 7, "lb.test": 1}))
    given_out, left = 2**32 - 200, None
    for _ in range(400):
        given_out = following(given_out)
        assert left is None or is_newer(left, given_out)
        journal.serials({"lb.test": given_out})
        await journal.settle()
        left = on_disk(store).serials["lb.test"]
    journal.stopped()
    await journal.settle()
    assert on_disk(store).serials == {"gone.test": 7, "lb.test": given_out}
    await store.close()


async def test_a_serial_is_waited_for_only_where_it_is_written(tmp_path: Path) -> None:
    """Once for many serials: who publishes need not wait for the disk each time."""
    store = Store.open(tmp_path)
    journal = Journal(store)
    assert [number for number in range(1, 101) if journal.serials({"lb.test": number})] == [1, 33, 65, 97]
    await journal.settle()
    await store.close()


async def test_a_disk_that_is_full_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one log line and one event, which is heard and can be asked for though it cannot be written; so is its end.

    Then all is on disk that was told and came to be known meanwhile.
    """
    store = Store.open(tmp_path)
    now_known = Remembered()
    journal = Journal(store, lambda: now_known)
    heard: list[Event] = []
    journal.listen(heard.append)
    reason = f"the state cannot be kept in {tmp_path}: No space left on device"
    with structlog.testing.capture_logs() as logs:
        with monkeypatch.context() as full:
            full.setattr(os, "fsync", no_room)
            for number in range(3):
                journal.changed()
                await journal.keep(Event(1.0, EventKind.STATE, f"event {number}"))
            assert journal.failing == reason
            with pytest.raises(StoreError, match="No space left on device"):
                await journal.save(drained, pytest.fail)
            assert len(await store.events()) == 4
        now_known = DOWN
        journal.changed()
        await journal.settle()
    assert (journal.failing, store.has_unwritten) == ("", False)
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("state_failing", "error"),
        ("state_kept_again", "info"),
    ]
    texts = ["event 0", f"{reason}; answers and probes go on", "event 1", "event 2"]
    texts.append("the state is kept again, after 0 s: all that is known has been written")
    assert [event.text for event in await store.events()] == texts
    assert [event.text for event in heard] == texts
    assert on_disk(store) == DOWN
    await store.close()


async def test_events_alone_may_fail(tmp_path: Path) -> None:
    """Here a directory is in the place of their file. What people want is kept and done all the same."""
    (tmp_path / "events.db").mkdir()
    store = Store.open(tmp_path)
    journal = Journal(store)
    adopted: list[bool] = []
    await journal.save(drained, lambda: adopted.append(True))
    await journal.keep(Event(1.0, EventKind.ADMIN, "mx1 set to drain"))
    assert (adopted, on_disk(store).admins) == ([True], DRAINED)
    assert "Is a directory" in journal.failing
    assert [event.kind for event in await store.events()] == [EventKind.ADMIN, EventKind.ALERT]
    (tmp_path / "events.db").rmdir()
    journal.changed()
    await journal.settle()
    assert (journal.failing, store.has_unwritten) == ("", False)
    await store.close()


async def test_a_change_that_comes_to_the_disk_late_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was refused when the disk had not answered for a while: memory and disk agree again as soon as it answers."""
    store = Store.open(tmp_path)
    journal = Journal(store, lambda: DOWN)
    await store.save(DOWN)
    await store.close()
    monkeypatch.setattr(store_module, "PATIENCE", 0.05)
    store = Store.open(tmp_path)
    journal = Journal(store, lambda: DOWN)
    answers, real = threading.Event(), Path.replace
    undone = asyncio.Event()

    def slow(self: Path, target: Path) -> Path:
        answers.wait()
        return real(self, target)

    monkeypatch.setattr(Path, "replace", slow)
    with pytest.raises(StoreError, match="does not answer"):
        await journal.save(drained, pytest.fail)
    await journal.settle()
    journal.listen(lambda event: undone.set() if "kept again" in event.text else None)
    answers.set()
    await undone.wait()
    await journal.settle()
    assert on_disk(store) == DOWN
    await store.close()


async def test_what_could_not_be_read_is_taken_up_when_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was drained before is drained again, and nothing has been written over what says so."""
    store = Store.open(tmp_path)
    await store.save(Remembered(DRAINED))
    await store.close()
    now_known = Remembered()

    def take_up(found: Remembered) -> None:
        nonlocal now_known
        now_known = found

    store = Store.open(tmp_path)
    with monkeypatch.context() as failing:
        failing.setattr(Path, "read_bytes", no_room)
        store.load()
        journal = Journal(store, lambda: now_known, take_up)
        journal.changed()
        await journal.settle()
        assert "No space left" in journal.failing
    assert on_disk(store).admins == DRAINED
    journal.changed()
    await journal.settle()
    assert (now_known.admins, on_disk(store).admins, journal.failing) == (DRAINED, DRAINED, "")
    await store.close()


async def test_what_was_found_wrong_is_told(tmp_path: Path) -> None:
    """Once, as an alert."""
    directory = tmp_path / "state"
    store = Store.open(directory)
    journal = Journal(store)
    journal.changed()
    await journal.settle()
    shutil.rmtree(directory)
    for _ in range(2):
        journal.changed()
        await journal.settle()
    (alert,) = await store.events()
    assert (alert.kind, alert.text) == (
        EventKind.ALERT,
        f"the state directory {directory} was removed, and is made anew",
    )
    await store.close()


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
