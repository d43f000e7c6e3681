"""The state of a dnslb that kept all of it in one SQLite file, `state.db`: read once, and then only its events stay."""

import errno
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Health
from dnslb.pool.leaving import GivenOut, Instant, Leavings, Left
from dnslb.pool.window import Window
from dnslb.store.damage import DamagedError, is_damage
from dnslb.store.remembered import Remembered, health_of

DATABASE = "state.db"
EVENTS = "events.db"
"""Its name from then on."""
SCHEMA = 4

# What brings a file from the schema before to this one.
_TO_SCHEMA = {
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
_HEALTH = tuple(each.name for each in fields(Health))
_HEALTH_COLUMNS = ", ".join(("pool", "member", *_HEALTH))


def read(path: Path) -> Remembered:
    """Return what the file holds. Raise DamagedError if it is no such database, OSError if it cannot be read now."""
    connection = sqlite3.connect(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in range(1, SCHEMA + 1):
            raise DamagedError(f"it has schema {version}, and this dnslb knows {SCHEMA}")
        steps = "".join(_TO_SCHEMA[step] for step in range(version + 1, SCHEMA + 1))
        connection.executescript(f"BEGIN; {steps} PRAGMA user_version = {SCHEMA}; COMMIT;")
        return _remembered(connection)
    except ValueError as error:
        raise DamagedError(str(error)) from error
    except sqlite3.Error as error:
        if is_damage(error):
            raise DamagedError(str(error)) from error
        raise OSError(errno.EIO, str(error)) from error
    finally:
        connection.close()


def _remembered(connection: sqlite3.Connection) -> Remembered:
    admins = connection.execute("SELECT pool, member, state, weight, reason, who, since FROM admin")
    healths = connection.execute(f"SELECT {_HEALTH_COLUMNS} FROM health")  # noqa: S608 -- only constants
    windows = connection.execute(
        'SELECT pool, member, "begin", "end", reason, who, forced, "before", begun FROM window'
    )
    return Remembered(
        admins={(pool, member): Admin(AdminState(state), *rest) for pool, member, state, *rest in admins},
        healths={(pool, member): health for pool, member, *row in healths if (health := _health(row)) is not None},
        serials=dict(connection.execute("SELECT zone, serial FROM serial")),
        windows={window.key: window for window in map(_window, windows)},
        leavings=_leavings(connection),
    )


def _health(row: Sequence[Any]) -> Health | None:
    values = dict(zip(_HEALTH, row, strict=True))
    try:
        return health_of(values | {"alert": bool(values["alert"]), "faults": json.loads(values["faults"])})
    except ValueError:
        return None


def _window(row: Sequence[Any]) -> Window:
    pool, member, begin, end, reason, who, forced, before, begun = row
    return Window(pool, member, begin, end, reason, who, bool(forced), AdminState(before), bool(begun))


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
