"""What a restart takes up again: admin states, windows, last health, who has left, serials, events: one SQLite file.

The directory belongs to one dnslb at a time. A database that cannot be read is set aside under another name, never
deleted, and a new one is begun: mail needs answers more than it needs history.
"""

import asyncio
import errno
import fcntl
import json
import math
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import structlog

from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Aspect, Fault, Health, State, Verdict
from dnslb.pool.leaving import GivenOut, Instant, Leavings, Left
from dnslb.pool.window import Window
from dnslb.rfc3339 import rfc3339

DATABASE = "state.db"
LOCK = "lock"
MAX_EVENTS = 100_000
SCHEMA = 4

_Result = TypeVar("_Result")
MemberKey = tuple[str, str]
"""The names of a pool and of a member in it."""

_TO_SCHEMA = {
    1: """
CREATE TABLE admin (
    pool TEXT NOT NULL, member TEXT NOT NULL, state TEXT NOT NULL, weight INTEGER, reason TEXT NOT NULL,
    who TEXT NOT NULL, since REAL NOT NULL, PRIMARY KEY (pool, member)) WITHOUT ROWID;
CREATE TABLE health (
    pool TEXT NOT NULL, member TEXT NOT NULL, state TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL,
    successes INTEGER NOT NULL, failures INTEGER NOT NULL, since REAL, last_probe REAL, latency_ms REAL,
    PRIMARY KEY (pool, member)) WITHOUT ROWID;
CREATE TABLE serial (zone TEXT PRIMARY KEY, serial INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, pool TEXT NOT NULL,
    member TEXT NOT NULL, who TEXT NOT NULL, text TEXT NOT NULL, details TEXT NOT NULL);
CREATE INDEX event_at ON event (at);
""",
    2: """
ALTER TABLE health ADD COLUMN argued TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE health ADD COLUMN doubts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE health ADD COLUMN faults TEXT NOT NULL DEFAULT '[]';
ALTER TABLE health ADD COLUMN percent INTEGER NOT NULL DEFAULT 100;
ALTER TABLE health ADD COLUMN alert INTEGER NOT NULL DEFAULT 0;
ALTER TABLE health ADD COLUMN smoothed_ms REAL;
ALTER TABLE health ADD COLUMN returned_at REAL;
ALTER TABLE health ADD COLUMN busy_since REAL;
""",
    3: """
CREATE TABLE window (
    pool TEXT NOT NULL, member TEXT NOT NULL, "begin" REAL NOT NULL, "end" REAL, reason TEXT NOT NULL,
    who TEXT NOT NULL, forced INTEGER NOT NULL, "before" TEXT NOT NULL, begun INTEGER NOT NULL,
    PRIMARY KEY (pool, member)) WITHOUT ROWID;
""",
    4: """
CREATE TABLE moment (boot TEXT NOT NULL, steady REAL NOT NULL, wall REAL NOT NULL);
CREATE TABLE given_out (pool TEXT PRIMARY KEY, ttl INTEGER NOT NULL, horizon REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE left_answers (
    pool TEXT NOT NULL, member TEXT NOT NULL, at REAL NOT NULL, forgotten REAL NOT NULL,
    PRIMARY KEY (pool, member)) WITHOUT ROWID;
""",
}
"""What brings a database from the schema before to this one; a new file takes all of these steps."""

_HEALTH = tuple(each.name for each in fields(Health))
"""The columns of a member's health, beside its key."""
_HEALTH_COLUMNS = ", ".join(("pool", "member", *_HEALTH))
_SAVE_HEALTH = f"REPLACE INTO health ({_HEALTH_COLUMNS}) VALUES (?, ?{', ?' * len(_HEALTH)})"  # noqa: S608 -- constants

_WINDOW = 'pool, member, "begin", "end", reason, who, forced, "before", begun'
_EVENT = "at, kind, text, pool, member, who, details, id"
_ADD_EVENT = "INSERT INTO event (at, kind, text, pool, member, who, details) VALUES (?, ?, ?, ?, ?, ?, ?)"

# A file that SQLite opens and finds wrong inside. All else (no space, no permission, locked) is the machine's
# trouble: setting the file aside would not mend it.
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}


# What opening says of a symbolic link, a directory, and a socket.
_NO_FILE = {errno.ELOOP, errno.EISDIR, errno.ENXIO}

_log = structlog.get_logger()


class StoreError(Exception):
    """The state cannot be kept; the text says why, and what to do."""


class EventKind(StrEnum):
    """What an event is about."""

    STATE = "state"
    ADMIN = "admin"
    WEIGHT = "weight"
    RELOAD = "reload"
    START = "start"
    STOP = "stop"
    WORKER = "worker"
    PANIC = "panic"
    ALERT = "alert"
    WINDOW = "window"
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `at` is Unix time; `pool`, `member` and `who` are "" where they do not apply.

    `id` rises with each event that is stored; it is 0 before that. `details` is JSON.
    """

    at: float
    kind: EventKind
    text: str
    pool: str = ""
    member: str = ""
    who: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the event as operators see it, its time in RFC 3339."""
        return {
            "id": self.id,
            "at": rfc3339(self.at),
            "kind": self.kind,
            "pool": self.pool,
            "member": self.member,
            "who": self.who,
            "text": self.text,
            "details": dict(self.details),
        }


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the last run left: admin states, health and windows by (pool, member), SOA serials by zone name (text).

    `leavings` is by the clock of that run, None if it knew nothing of the kind.
    """

    admins: Mapping[MemberKey, Admin]
    healths: Mapping[MemberKey, Health]
    serials: Mapping[str, int]
    windows: Mapping[MemberKey, Window] = field(default_factory=dict)
    leavings: Leavings | None = None


class Store:
    """The open state directory. Made by open(), ended by close(); no other dnslb can open it meanwhile.

    `set_aside` is the name that an unreadable database was given, None if there was none. `retention` is for how many
    seconds events are kept, and may be set at any time. The coroutines run in one
    thread in the order in which they were called, each is one transaction on disk when it returns, and each raises
    StoreError if it fails.
    """

    def __init__(self, directory: Path, lock: int, connection: sqlite3.Connection, set_aside: Path | None) -> None:
        self.directory = directory
        self.set_aside = set_aside
        self.retention = math.inf
        self._lock = lock
        self._connection = connection
        # Its thread starts with the first write, so that a daemon can fork its workers before.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    @classmethod
    def open(cls, directory: Path) -> "Store":
        """Open the directory, made (mode 0700) if it is missing. Raise StoreError if it cannot be used."""
        lock = _locked(directory)
        try:
            connection, set_aside = _database(directory / DATABASE)
        except BaseException:
            os.close(lock)
            raise
        return cls(directory, lock, connection, set_aside)

    def load(self) -> Remembered:
        """Return what the last run left (blocking; for start-up, before the first coroutine)."""
        try:
            return _remembered(self._connection)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    async def save_admin(self, pool: str, member: str, admin: Admin, window: Window | None = None) -> None:
        """Remember what people want of a member: its admin state, and its window, None if it has none any more."""
        await self._run(lambda: self._save_admin(pool, member, admin, window))

    async def save_health(self, changes: Mapping[MemberKey, Health]) -> None:
        """Remember the health of the members given; that of others stays as it was."""
        rows = [_health_row(key, health) for key, health in changes.items()]
        await self._run(lambda: self._insert(_SAVE_HEALTH, rows))

    async def save_serials(self, serials: Mapping[str, int]) -> None:
        """Remember the SOA serials of the zones given (names as text)."""
        rows = list(serials.items())
        await self._run(lambda: self._insert("REPLACE INTO serial VALUES (?, ?)", rows))

    async def save_leavings(self, leavings: Leavings) -> None:
        """Remember who has left the answers in place of all that was remembered of it."""
        await self._run(lambda: self._save_leavings(leavings))

    async def add_events(self, events: Iterable[Event]) -> list[Event]:
        """Append events, and drop those beyond the newest 100,000 or older than `retention`. Return them with ids."""
        given = list(events)
        rows = [_event_row(event) for event in given]
        ids = await self._run(lambda: self._append(rows))
        return [replace(event, id=number) for event, number in zip(given, ids, strict=True)]

    async def events(
        self, since: float | None = None, pool: str | None = None, after: int | None = None, limit: int = 100
    ) -> list[Event]:
        """Return at most `limit` events, oldest first: from `since` (Unix time) on, of `pool`, later than id `after`.

        With `after` they are the oldest that fit, so that a follower misses none; without it the newest.
        """
        return await self._run(lambda: self._events(since, pool, after, limit))

    async def close(self) -> None:
        """Finish what has been asked, close the database and let another dnslb open the directory."""
        try:
            await self._run(self._connection.close)
        finally:
            self._thread.shutdown()
            os.close(self._lock)

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"the state database {self.directory / DATABASE} failed: {error}")

    def _save_admin(self, pool: str, member: str, admin: Admin, window: Window | None) -> None:
        row = (pool, member, admin.state, admin.weight, admin.reason, admin.who, admin.since)
        # Together: a window that has begun and a member that is not drained would be two truths.
        with self._connection:
            self._connection.execute("REPLACE INTO admin VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            if window is None:
                self._connection.execute("DELETE FROM window WHERE pool = ? AND member = ?", (pool, member))
            else:
                self._connection.execute("REPLACE INTO window VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(window))

    def _save_leavings(self, leavings: Leavings) -> None:
        rows = {
            "moment VALUES (?, ?, ?)": [astuple(leavings.moment)],
            "given_out VALUES (?, ?, ?)": [(pool, each.ttl, each.horizon) for pool, each in leavings.pools.items()],
            "left_answers VALUES (?, ?, ?, ?)": [
                (*key, each.at, each.forgotten) for key, each in leavings.members.items()
            ],
        }
        # Together: all of them are by the clock of the moment.
        with self._connection:
            for into, values in rows.items():
                self._connection.execute(f"DELETE FROM {into.partition(' ')[0]}")  # noqa: S608 -- only constants
                self._connection.executemany(f"INSERT INTO {into}", values)

    def _insert(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        with self._connection:
            self._connection.executemany(statement, rows)

    def _append(self, rows: Sequence[tuple[Any, ...]]) -> list[int]:
        with self._connection:
            ids = [int(self._connection.execute(_ADD_EVENT, row).lastrowid or 0) for row in rows]
            self._connection.execute("DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?", (MAX_EVENTS,))
            # By the time of the latest one: both look at what goes, and at nothing else.
            self._connection.execute("DELETE FROM event WHERE at < ?", (rows[-1][0] - self.retention,))
        return ids

    def _events(self, since: float | None, pool: str | None, after: int | None, limit: int) -> list[Event]:
        wanted = [("at >= ?", since), ("pool = ?", pool), ("id > ?", after)]
        given = [(condition, value) for condition, value in wanted if value is not None]
        where = " AND ".join(condition for condition, _value in given) or "TRUE"
        order = "DESC" if after is None else "ASC"
        rows = self._connection.execute(
            f"SELECT {_EVENT} FROM event WHERE {where} ORDER BY id {order} LIMIT ?",  # noqa: S608 -- only constants
            (*(value for _condition, value in given), limit),
        )
        return sorted(map(_event, rows), key=lambda event: event.id)


def _locked(directory: Path) -> int:
    """Return the descriptor of the directory's lock file, locked for this process."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_private(directory)
        lock = _lock_file(directory / LOCK)
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(f"{directory} is not a directory: name another one in [server] state") from error
    except OSError as error:
        raise StoreError(
            f"cannot write to the state directory {directory}: {error.strerror}; make it writable for the user that"
            " runs dnslb, or name another one in [server] state"
        ) from error
    try:
        # Of this process alone, unlike flock: a worker that outlives its controller must not keep the next one out.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        os.close(lock)
        raise StoreError(
            f"another dnslb (pid {owner or 'unknown'}) runs with state directory {directory}: stop it,"
            " or name another directory in [server] state"
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
    return lock


def _check_private(directory: Path) -> None:
    """Raise StoreError if anybody may write to the directory; warn if it belongs to somebody else."""
    status = directory.stat()
    if status.st_mode & stat.S_IWOTH:
        raise StoreError(
            f"anybody may write to the state directory {directory}, and so decide where mail goes: chmod o-w it,"
            " or name another one in [server] state"
        )
    if status.st_uid not in {0, os.geteuid()}:
        _log.warning("state_directory_of_another_user", directory=str(directory), uid=status.st_uid)


def _lock_file(path: Path) -> int:
    """Return the open lock file; StoreError if something else has its name, to which we must not write."""
    try:
        # A FIFO would wait for its other end, and a link lead to somebody's file.
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _no_lock(path) from error
        raise
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        os.close(lock)
        raise _no_lock(path)
    return lock


def _no_lock(path: Path) -> StoreError:
    return StoreError(f"{path} is no regular file: remove it, or name another directory in [server] state")


def _database(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """Return the open database, and the new name of a broken one that was in its place."""
    try:
        try:
            return _opened(path), None
        except _DamagedError:
            aside = _set_aside(path)
            return _opened(path), aside
    except (OSError, sqlite3.Error, _DamagedError) as error:
        raise StoreError(
            f"cannot open the state database {path}: {error}; see that the file and the disk can be written to,"
            " or name another directory in [server] state"
        ) from error


class _DamagedError(Exception):
    """The file is there, and is no database of ours."""


def _opened(path: Path) -> sqlite3.Connection:
    # Made here for its mode; SQLite gives the same to the files beside it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        _prepare(connection)
        _remembered(connection)
    except sqlite3.Error as error:
        connection.close()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN:
            raise _DamagedError(str(error)) from error
        raise
    except (ValueError, _DamagedError) as error:
        connection.close()
        raise _DamagedError(str(error)) from error
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Bring a new or older file to our schema. Raise _DamagedError if it is damaged, of a later dnslb, or not ours."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise _DamagedError(found)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version not in (range(1, SCHEMA + 1) if tables else {0}):
        raise _DamagedError(f"it has schema {version}, and this dnslb knows {SCHEMA}")
    connection.execute("PRAGMA journal_mode = WAL")
    if version < SCHEMA:
        steps = "".join(_TO_SCHEMA[step] for step in range(version + 1, SCHEMA + 1))
        connection.executescript(f"BEGIN; {steps} PRAGMA user_version = {SCHEMA}; COMMIT;")


def _set_aside(path: Path) -> Path:
    """Rename the database and the files beside it; return its new name."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{count}")
    for suffix in ("", "-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + suffix))
    return aside


def _remembered(connection: sqlite3.Connection) -> Remembered:
    admins = connection.execute("SELECT pool, member, state, weight, reason, who, since FROM admin")
    healths = connection.execute(f"SELECT {_HEALTH_COLUMNS} FROM health")  # noqa: S608 -- only constants
    return Remembered(
        admins={(pool, member): Admin(AdminState(state), *rest) for pool, member, state, *rest in admins},
        healths={(pool, member): health for pool, member, *row in healths if (health := _health(row)) is not None},
        serials=dict(connection.execute("SELECT zone, serial FROM serial")),
        windows={window.key: window for window in map(_window, connection.execute(f"SELECT {_WINDOW} FROM window"))},  # noqa: S608 -- only constants
        leavings=_leavings(connection),
    )


def _leavings(connection: sqlite3.Connection) -> Leavings | None:
    moment = connection.execute("SELECT boot, steady, wall FROM moment").fetchone()
    if moment is None:
        return None
    given_out = connection.execute("SELECT pool, ttl, horizon FROM given_out")
    left = connection.execute("SELECT pool, member, at, forgotten FROM left_answers")
    return Leavings(
        Instant(*moment),
        {pool: GivenOut(ttl, horizon) for pool, ttl, horizon in given_out},
        {(pool, member): Left(at, forgotten) for pool, member, at, forgotten in left},
    )


def _window(row: Sequence[Any]) -> Window:
    pool, member, begin, end, reason, who, forced, before, begun = row
    return Window(pool, member, begin, end, reason, who, bool(forced), AdminState(before), bool(begun))


def _health_row(key: MemberKey, health: Health) -> tuple[Any, ...]:
    values = asdict(health)
    values["faults"] = json.dumps(values["faults"], separators=(",", ":"))
    return (*key, *values.values())


def _health(row: Sequence[Any]) -> Health | None:
    """Return the health that was stored, None if it holds a word that we do not know: the next probe says it anew."""
    values = dict(zip(_HEALTH, row, strict=True))
    try:
        values |= {"state": State(values["state"]), "verdict": Verdict(values["verdict"])}
        values |= {"argued": State(values["argued"]), "alert": bool(values["alert"])}
        return Health(**values | {"faults": tuple(map(_fault, json.loads(values["faults"])))})
    except (ValueError, TypeError, KeyError):
        return None


def _fault(stored: Mapping[str, Any]) -> Fault:
    aspect, verdict = Aspect(stored["aspect"]), Verdict(stored["verdict"])
    return Fault(aspect, verdict, str(stored["reason"]), alert=bool(stored["alert"]))


def _event_row(event: Event) -> tuple[Any, ...]:
    details = json.dumps(event.details, separators=(",", ":"))
    return (event.at, event.kind, event.text, event.pool, event.member, event.who, details)


def _event(row: tuple[Any, ...]) -> Event:
    at, kind, text, pool, member, who, details, number = row
    return Event(at, EventKind(kind), text, pool, member, who, json.loads(details), number)
