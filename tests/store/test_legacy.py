"""State of before it had a file of its own: taken over once, with its events."""

import sqlite3
from pathlib import Path

import pytest

from dnslb.store import Remembered, Store
from tests.store.known import DOWN, DRAINED, KEY, LEAVINGS, RETURNED, WINDOW, an_event

SCHEMA_1 = """
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
INSERT INTO admin VALUES ('inbound', 'mx1', 'drain', NULL, 'kernel', 'root', 1000.5);
INSERT INTO health VALUES ('inbound', 'mx1', 'down', 'timeout', 'no greeting', 0, 3, 10.0, 20.0, NULL);
INSERT INTO serial VALUES ('lb.example.org', 7);
INSERT INTO event VALUES (41, 1.0, 'state', 'inbound', 'mx1', 'root', 'old', '{"n": 1}');
PRAGMA user_version = 1;
"""
"""A database as it was made before slow starts were remembered."""


SCHEMA_2 = SCHEMA_1.replace(
    "PRAGMA user_version = 1;",
    """
ALTER TABLE health ADD COLUMN argued TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE health ADD COLUMN doubts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE health ADD COLUMN faults TEXT NOT NULL DEFAULT '[]';
ALTER TABLE health ADD COLUMN percent INTEGER NOT NULL DEFAULT 100;
ALTER TABLE health ADD COLUMN alert INTEGER NOT NULL DEFAULT 0;
ALTER TABLE health ADD COLUMN smoothed_ms REAL;
ALTER TABLE health ADD COLUMN returned_at REAL;
ALTER TABLE health ADD COLUMN busy_since REAL;
PRAGMA user_version = 2;
""",
)
"""A database as it was made before windows."""


SCHEMA_3 = SCHEMA_2.replace(
    "PRAGMA user_version = 2;",
    """
CREATE TABLE window (
    pool TEXT NOT NULL, member TEXT NOT NULL, "begin" REAL NOT NULL, "end" REAL, reason TEXT NOT NULL,
    who TEXT NOT NULL, forced INTEGER NOT NULL, "before" TEXT NOT NULL, begun INTEGER NOT NULL,
    PRIMARY KEY (pool, member)) WITHOUT ROWID;
PRAGMA user_version = 3;
""",
)
"""A database as it was made before it was remembered who has left the answers."""

SCHEMA_4 = SCHEMA_3.replace(
    "PRAGMA user_version = 3;",
    """
CREATE TABLE moment (boot TEXT NOT NULL, steady REAL NOT NULL, wall REAL NOT NULL);
CREATE TABLE given_out (pool TEXT PRIMARY KEY, ttl INTEGER NOT NULL, horizon REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE left_answers (
    pool TEXT NOT NULL, member TEXT NOT NULL, at REAL NOT NULL, forgotten REAL NOT NULL,
    PRIMARY KEY (pool, member)) WITHOUT ROWID;
PRAGMA user_version = 4;
""",
)
"""The last of them."""
FULL = """
REPLACE INTO health VALUES ('inbound', 'mx1', 'degraded', 'tls_broken', 'no handshake', 2, 1, 10.0, 20.0, 4.0,
    'degraded', 2, '[{"aspect": "tls", "verdict": "tls_broken", "reason": "no handshake", "alert": true},
         {"aspect": "auth", "verdict": "busy", "reason": "454 sp\\u00e4ter", "alert": false}]', 50, 1, 5.5, 10.0, 15.0);
INSERT INTO health (pool, member, state, verdict, reason, successes, failures, faults)
    VALUES ('inbound', 'mx2', 'up', 'ok', '', 1, 0, 'no JSON');
INSERT INTO window VALUES ('inbound', 'mx1', 10.5, 20.5, 'disks', 'ann', 1, 'maint', 1);
INSERT INTO moment VALUES ('a boot', 50.5, 1000.5);
INSERT INTO given_out VALUES ('inbound', 600, 650.5);
INSERT INTO left_answers VALUES ('inbound', 'mx1', 20.5, 620.5), ('inbound', 'mx2', 30.5, 630.5);
"""


def written(path: Path, script: str) -> None:
    """Run SQL on a database, which is made if it is missing."""
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
    connection.close()


def names(directory: Path) -> list[str]:
    """Return what is in a directory."""
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("script", [SCHEMA_1, SCHEMA_2, SCHEMA_3, SCHEMA_4])
async def test_an_older_database_is_taken_over(tmp_path: Path, script: str) -> None:
    """Nothing of it is lost, the next start finds the same, and the event ids go on."""
    written(tmp_path / "state.db", script)
    expected = Remembered({KEY: DRAINED}, {KEY: DOWN}, {"lb.example.org": 7})
    for number in (42, 43):
        store = Store.open(tmp_path)
        assert store.load() == expected
        assert store.findings == []
        store.note(an_event("new"))
        await store.flush()
        assert [event.id for event in await store.events()] == list(range(41, number + 1))
        await store.close()
    assert names(tmp_path) == ["events.db", "lock", "state.copy.json", "state.json"]


async def test_all_that_it_knows_is_taken_over(tmp_path: Path) -> None:
    """Windows, who has left, and all that is known of health but for what is not understood."""
    written(tmp_path / "state.db", SCHEMA_4 + FULL)
    store = Store.open(tmp_path)
    found = store.load()
    await store.close()
    assert found == Remembered({KEY: DRAINED}, {KEY: RETURNED}, {"lb.example.org": 7}, {KEY: WINDOW}, LEAVINGS)


async def test_it_is_taken_over_when_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full at the first start takes nothing away: what was read counts, and is read again."""
    written(tmp_path / "state.db", SCHEMA_4)
    with monkeypatch.context() as full:
        full.setattr("dnslb.store.state.write_all", no_room)
        store = Store.open(tmp_path)
        found = store.load()
        await store.close()
    again = Store.open(tmp_path)
    assert again.load() == found == Remembered({KEY: DRAINED}, {KEY: DOWN}, {"lb.example.org": 7})
    await again.close()


def no_room(*_: object) -> None:
    """Fail as a full disk does."""
    raise OSError(28, "No space left on device")


BROKEN = [
    "CREATE TABLE health (busy_since REAL); PRAGMA user_version = 1;",
    "PRAGMA user_version = 99;",
    "CREATE TABLE bookmarks (url TEXT);",
    SCHEMA_4.replace("'drain'", "'asleep'"),
]


@pytest.mark.parametrize("script", BROKEN)
async def test_one_that_is_not_understood_is_kept_under_another_name(tmp_path: Path, script: str) -> None:
    """Whether it lacks a table, is of a later dnslb, of another program, or says what no dnslb says."""
    written(tmp_path / "state.db", script)
    before = (tmp_path / "state.db").read_bytes()
    store = Store.open(tmp_path)
    assert store.load() is None
    assert store.is_lost
    await store.save(Remembered({KEY: DRAINED}))
    await store.close()
    (aside,) = (name for name in names(tmp_path) if name.startswith("state.db.corrupt-"))
    assert (tmp_path / aside).read_bytes()[:16] == before[:16]
    assert any(aside in text for text in store.findings)
