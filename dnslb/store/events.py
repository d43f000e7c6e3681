"""The events on disk: one SQLite file that is ours alone, made anew where it is gone or broken.

Losing it loses history and nothing else, so whatever happens to it is mended without asking: a broken file is set
aside, never deleted. All of it blocks.
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dnslb.store import legacy
from dnslb.store.damage import DamagedError, is_damage
from dnslb.store.directory import set_aside
from dnslb.store.event import Event, EventKind

MAX_EVENTS = 100_000
SCHEMA = 5
"""Up to 4 the file held the rest of the state too (see legacy)."""

_CREATE = """
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, pool TEXT NOT NULL,
    member TEXT NOT NULL, who TEXT NOT NULL, text TEXT NOT NULL, details TEXT NOT NULL);
CREATE INDEX event_at ON event (at);
"""
_DROP_THE_REST = "".join(
    f"DROP TABLE {table};" for table in ("admin", "health", "serial", "window", "moment", "given_out", "left_answers")
)
_EVENT = "at, kind, text, pool, member, who, details, id"
# A write that was given up may have been done all the same: then the next one says the same again.
_ADD_EVENT = f"REPLACE INTO event ({_EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 -- only constants

_LOCKED_SECONDS = 1.0


class EventLog:
    """The file of events; opened when it is used, and opened anew when it was changed by anybody else.

    `told` is called with what people should know of it. Each function raises sqlite3.Error or OSError if it cannot be
    done; then nothing was.
    """

    def __init__(self, path: Path, told: Callable[[str], None]) -> None:
        self._path = path
        self._told = told
        self._connection: sqlite3.Connection | None = None
        self._since = time.time() - time.monotonic()
        self._is_lost = False
        self._left: tuple[object, ...] = ()
        """What the files were like when we had last written to them."""

    def last_id(self) -> int | None:
        """Return the highest id that was ever given, 0 if there was none, None if that cannot be said any more."""
        connection = self._open()
        (highest,) = connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'event'").fetchone()
        return None if self._is_lost else highest or 0

    def append(self, events: Sequence[Event], retention: float) -> None:
        """Write events that have ids; drop those beyond the newest 100,000, or so many seconds older than the last."""
        rows = [_row(event) for event in events]
        # A clock that was set ahead while we run would take all of them away.
        oldest = min(events[-1].at, self._since + time.monotonic()) - retention
        try:
            self._append(self._open(), rows, oldest)
        except sqlite3.Error as error:
            self.close()
            if not is_damage(error):
                raise
            self._append(self._open(), rows, oldest)
        self._left = self._files()

    def _append(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], oldest: float) -> None:
        with connection:
            connection.executemany(_ADD_EVENT, rows)
            connection.execute("DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?", (MAX_EVENTS,))
            # By the time of the latest one: both look at what goes, and at nothing else.
            connection.execute("DELETE FROM event WHERE at < ?", (oldest,))

    def find(self, since: float | None, pool: str | None, after: int | None, limit: int) -> list[Event]:
        """Return at most `limit` events by rising id: the first ones after an id, or else the last ones."""
        wanted = [("at >= ?", since), ("pool = ?", pool), ("id > ?", after)]
        given = [(condition, value) for condition, value in wanted if value is not None]
        where = " AND ".join(condition for condition, _value in given) or "TRUE"
        order = "DESC" if after is None else "ASC"
        rows = self._open().execute(
            f"SELECT {_EVENT} FROM event WHERE {where} ORDER BY id {order} LIMIT ?",  # noqa: S608 -- only constants
            (*(value for _condition, value in given), limit),
        )
        return sorted(map(_event, rows), key=lambda event: event.id)

    def close(self) -> None:
        """Close the file; who asks again opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._files() == self._left:
            return self._connection
        # Removed, replaced, cut off, written over: SQLite would write on into what nobody will ever read.
        self.close()
        try:
            self._connection = _opened(self._path)
        except DamagedError as error:
            aside = set_aside(self._path, "-wal", "-shm")
            self._is_lost = True
            self._told(f"{self._path} cannot be used ({error}): it is kept as {aside}, and a new one is begun")
            self._connection = _opened(self._path)
        self._left = self._files()
        return self._connection

    def _files(self) -> tuple[object, ...]:
        """Return what shows that somebody has changed the files."""
        return tuple(_looks(self._path.with_name(self._path.name + suffix)) for suffix in ("", "-wal"))


def _looks(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _opened(path: Path) -> sqlite3.Connection:
    """Return the open file. Raise DamagedError if it is there, and is no database of ours."""
    connection = _connected(path)
    try:
        _prepare(connection)
    except sqlite3.Error as error:
        connection.close()
        if is_damage(error):
            raise DamagedError(str(error)) from error
        raise
    except DamagedError:
        connection.close()
        raise
    return connection


def _connected(path: Path) -> sqlite3.Connection:
    try:
        # Made here for its mode; SQLite gives the same to the file beside it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError:
        if not path.is_file():
            raise
        # On a disk that is read-only, what is there can still be read.
        return sqlite3.connect(f"file:{quote(str(path))}?immutable=1", uri=True, check_same_thread=False)
    return sqlite3.connect(path, timeout=_LOCKED_SECONDS, check_same_thread=False)


def _prepare(connection: sqlite3.Connection) -> None:
    """Bring a new or older file to our schema. Raise DamagedError if it is damaged, of a later dnslb, or not ours."""
    # Before anything is read, for then SQLite shares no memory with others by way of a file: who cut that one off
    # would kill the daemon by SIGBUS, and so would a disk that cannot be read any more.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise DamagedError(found)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version not in ({legacy.SCHEMA, SCHEMA} if tables else {0}):
        raise DamagedError(f"it has schema {version}, and this dnslb knows {SCHEMA}")
    if version < SCHEMA:
        steps = _DROP_THE_REST if version else _CREATE
        connection.executescript(f"BEGIN; {steps} PRAGMA user_version = {SCHEMA}; COMMIT;")
    # Also tells whether the columns are ours.
    connection.execute(f"SELECT {_EVENT} FROM event LIMIT 1").fetchone()  # noqa: S608 -- only constants
    connection.execute("PRAGMA journal_mode = WAL")
    # Written at the end, and seldom read: half a megabyte of it in memory, and not two.
    connection.execute("PRAGMA cache_size = -512")


def _row(event: Event) -> tuple[Any, ...]:
    details = json.dumps(event.details, separators=(",", ":"))
    # A path may have octets that are no UTF-8; SQLite would refuse it, and all that comes with it, for ever.
    text = event.text.encode(errors="backslashreplace").decode()
    return (event.at, event.kind, text, event.pool, event.member, event.who, details, event.id)


def _event(row: tuple[Any, ...]) -> Event:
    at, kind, text, pool, member, who, details, number = row
    return Event(at, EventKind(kind), text, pool, member, who, json.loads(details), number)
