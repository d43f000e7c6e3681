"""The file of events: what is in it, and that it is there again whatever happens to it."""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dnslb.store import Event, events
from dnslb.store.events import EventLog
from tests.store.known import an_event

FOR_EVER = float("inf")


class Log(EventLog):
    """One in a directory, with what it tells."""

    def __init__(self, directory: Path) -> None:
        self.told: list[str] = []
        self.path = directory / "events.db"
        super().__init__(self.path, self.told.append)

    def add(self, *numbers: int) -> None:
        """Append events of these ids."""
        self.append([numbered(number) for number in numbers], FOR_EVER)

    def ids(self) -> list[int]:
        """Return the ids of all events."""
        return [event.id for event in self.find(None, None, None, 1000)]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Give an empty one."""
    return Log(tmp_path)


def numbered(number: int) -> Event:
    """Return an event with an id."""
    return replace(an_event(str(number), float(number), "even" if number % 2 == 0 else "odd"), id=number)


def test_events_come_back_as_they_were(log: Log) -> None:
    """In the order of their ids, with all they hold, from a file that nobody else may read."""
    log.add(1, 2)
    log.close()
    assert log.find(None, None, None, 10) == [numbered(1), numbered(2)]
    assert {path.stat().st_mode & 0o777 for path in log.path.parent.iterdir()} == {0o600}


def test_events_can_be_picked(log: Log) -> None:
    """By time, by pool, after an id (the oldest that fit), and without it the newest."""
    log.add(*range(1, 7))

    def texts(since: float | None, pool: str | None, after: int | None, limit: int) -> str:
        return "".join(event.text for event in log.find(since, pool, after, limit))

    assert texts(None, None, None, 2) == "56"
    assert texts(None, None, 0, 2) == "12"
    assert texts(None, None, 4, 9) == "56"
    assert texts(3.0, None, None, 9) == "3456"
    assert texts(3.0, "even", None, 9) == "46"
    assert texts(None, "odd", 1, 1) == "3"


def test_old_events_are_dropped(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest are kept."""
    monkeypatch.setattr(events, "MAX_EVENTS", 3)
    log.add(*range(1, 6))
    assert log.ids() == [3, 4, 5]


def test_events_are_kept_as_long_as_is_said(log: Log) -> None:
    """Counted back from the newest; a longer time brings nothing back."""
    log.add(1000, 1400)
    log.append([numbered(1600)], 500.0)
    assert log.ids() == [1400, 1600]
    log.append([numbered(2000)], 1e9)
    assert log.ids() == [1400, 1600, 2000]


def test_a_clock_that_is_set_back_changes_no_order(log: Log) -> None:
    """Ids rise with what happens; times are what the clock said then."""
    log.append([replace(numbered(1), at=2000.0), replace(numbered(2), at=1000.0)], FOR_EVER)
    assert [event.at for event in log.find(None, None, 0, 9)] == [2000.0, 1000.0]


def test_a_clock_that_is_set_ahead_takes_no_event_away(log: Log) -> None:
    """A year in a moment is no year that events were kept for."""
    now, year = time.time(), 365 * 86400.0
    for number, at in enumerate((now - 60, now + year, now + year + 1), 1):
        log.append([replace(numbered(number), at=at)], 3600.0)
    assert log.ids() == [1, 2, 3]


def test_what_is_written_again_is_there_once(log: Log) -> None:
    """A write that was given up, and was done all the same, is repeated."""
    log.add(1, 2)
    log.add(1, 2, 3)
    assert log.ids() == [1, 2, 3]


def test_the_last_id_is_known_though_its_event_is_not(log: Log) -> None:
    """It is never given again. Of a file that had to be begun anew it cannot be said."""
    assert log.last_id() == 0
    log.add(1, 2)
    log.append([numbered(3000)], 10.0)
    assert log.last_id() == 3000
    log.close()
    garbage(log.path)
    assert log.last_id() is None


def garbage(path: Path) -> None:
    """Leave a file that is no database."""
    path.write_bytes(b"this is not a database, and long enough to be sure of it" * 100)


def later_schema(path: Path) -> None:
    """Leave a database of a later dnslb."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def other_columns(path: Path) -> None:
    """Leave a database whose table is not ours."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 5")
        connection.execute("CREATE TABLE event (colour TEXT)")
    connection.close()


def another_program(path: Path) -> None:
    """Leave a database that another program made."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()


def torn_pages(path: Path) -> None:
    """Leave a database of which the middle was overwritten."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 5")
        connection.execute("CREATE TABLE filler (text TEXT)")
        connection.executemany("INSERT INTO filler VALUES (?)", [("x" * 500,)] * 200)
    connection.close()
    octets = bytearray(path.read_bytes())
    octets[4096:20480] = b"\xa5" * 16384
    path.write_bytes(octets)


@pytest.mark.parametrize("damage", [garbage, later_schema, other_columns, another_program, torn_pages])
def test_what_cannot_be_used_is_set_aside(log: Log, damage: Callable[[Path], None]) -> None:
    """It is kept as it was under another name, which people are told; the new one works."""
    damage(log.path)
    before = log.path.read_bytes()
    log.add(1)
    assert log.ids() == [1]
    (aside,) = log.path.parent.glob("events.db.corrupt-*[Z0-9]")
    assert aside.read_bytes() == before
    assert [str(aside) in text for text in log.told] == [True]


def test_two_that_are_set_aside_in_one_second_are_both_kept(log: Log) -> None:
    """A name that is taken is not taken again."""
    for _ in range(2):
        log.close()
        garbage(log.path)
        log.add(1)
    assert len(list(log.path.parent.glob("events.db.corrupt-*[Z0-9]"))) == 2


def removed(path: Path) -> None:
    """Remove the file and what is beside it."""
    for each in path.parent.iterdir():
        each.unlink()


def replaced(path: Path) -> None:
    """Put an empty file in its place."""
    path.with_name("other").touch()
    path.with_name("other").rename(path)


def cut_off(path: Path) -> None:
    """Cut off the file."""
    path.write_bytes(b"")


def cut_off_beside(path: Path) -> None:
    """Cut off the file beside it, in which the latest writes are."""
    path.with_name("events.db-wal").write_bytes(b"")


def written_over(path: Path) -> None:
    """Write over all of it, as `dd` would."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"\xa5" * size)


@pytest.mark.parametrize("attack", [removed, replaced, cut_off, cut_off_beside, written_over, garbage])
def test_what_others_do_to_the_file_is_noticed(log: Log, attack: Callable[[Path], None]) -> None:
    """What is written after that is in a file that the next run can read: SQLite alone would write into nothing."""
    log.add(1, 2)
    attack(log.path)
    log.add(3)
    log.close()
    found = Log(log.path.parent)
    assert found.ids()[-1] == 3
    assert found.told == []


def test_a_file_that_is_locked_is_waited_for_next_time(log: Log) -> None:
    """It is no reason to set it aside; what could not be written is as if it had not been tried."""
    log.add(1)
    log.close()
    other = sqlite3.connect(log.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        log.add(2)
    other.execute("ROLLBACK")
    other.close()
    log.add(2)
    assert (log.ids(), log.told) == ([1, 2], [])


def test_it_is_ours_alone(log: Log) -> None:
    """So that SQLite keeps its index in our memory, and not in a file that a bad disk or a stranger can take away."""
    log.add(1)
    assert sorted(path.name for path in log.path.parent.iterdir()) == ["events.db", "events.db-wal"]
    other = sqlite3.connect(log.path, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("SELECT * FROM event")
    other.close()


def test_a_directory_in_its_place_is_an_error(log: Log) -> None:
    """What is no broken file is not set aside."""
    log.path.mkdir()
    with pytest.raises(OSError, match="directory"):
        log.add(1)
    log.path.rmdir()
    log.add(1)
    assert (log.ids(), log.told) == ([1], [])
