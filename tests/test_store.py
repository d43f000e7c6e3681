"""The state directory: what is remembered, who may open it, and what becomes of a broken database."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dnslb import store as store_module
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Aspect, Fault, Health, State, Verdict
from dnslb.pool.leaving import GivenOut, Instant, Leavings, Left
from dnslb.pool.window import Window
from dnslb.store import Event, EventKind, Remembered, Store, StoreError

DRAINED = Admin(AdminState.DRAIN, weight=None, reason="kernel", who="root", since=1000.5)
DOWN = Health(State.DOWN, Verdict.TIMEOUT, "no greeting", 0, 3, since=10.0, last_probe=20.0, latency_ms=None)
RETURNED = Health(
    State.DEGRADED,
    Verdict.TLS_BROKEN,
    "no handshake",
    successes=2,
    failures=1,
    since=10.0,
    last_probe=20.0,
    latency_ms=4.0,
    argued=State.DEGRADED,
    doubts=2,
    faults=(
        Fault(Aspect.TLS, Verdict.TLS_BROKEN, "no handshake", alert=True),
        Fault(Aspect.AUTH, Verdict.BUSY, "454 sp\u00e4ter", alert=False),
    ),
    percent=50,
    alert=True,
    smoothed_ms=5.5,
    returned_at=10.0,
    busy_since=15.0,
)
"""Each field differs from its default."""
WINDOW = Window("inbound", "mx1", 10.5, 20.5, "disks", "ann", forced=True, before=AdminState.MAINT, begun=True)
"""The same."""
LEAVINGS = Leavings(
    Instant("a boot", 50.5, 1000.5),
    {"inbound": GivenOut(600, 650.5)},
    {("inbound", "mx1"): Left(20.5, 620.5), ("inbound", "mx2"): Left(30.5, 630.5)},
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Give an open store, closed after the test."""
    opened = Store.open(tmp_path / "state")
    yield opened
    await opened.close()


async def reopened(directory: Path) -> Remembered:
    """Return what a new run would find."""
    store = Store.open(directory)
    try:
        return store.load()
    finally:
        await store.close()


def an_event(text: str, at: float = 0.0, pool: str = "inbound") -> Event:
    """Return an event that is not stored yet."""
    return Event(at, EventKind.STATE, text, pool, "mx1", "root", {"n": 1})


async def test_a_new_directory_is_made_for_its_owner_alone(store: Store) -> None:
    """The directory gets mode 0700, the files in it 0600, and nothing is remembered."""
    await store.save_serials({"example.org": 1})
    assert store.directory.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in store.directory.iterdir()}
    assert modes == dict.fromkeys(("lock", "state.db", "state.db-shm", "state.db-wal"), 0o600)
    assert store.set_aside is None


async def test_who_has_left_is_remembered_as_it_was_last(store: Store) -> None:
    """Each time takes the place of the one before: all of it is by one clock."""
    await store.save_leavings(LEAVINGS)
    later = Leavings(Instant("another", 1.0, 2000.0), {"relay": GivenOut(5, 3.0)}, {("relay", "mx3"): Left(0.5, 5.5)})
    await store.save_leavings(later)
    assert store.load().leavings == later


async def test_a_new_store_remembers_nothing(store: Store) -> None:
    """A first run starts from the configuration alone."""
    assert store.load() == Remembered({}, {}, {})


async def test_a_restart_takes_up_where_the_last_run_left_off(tmp_path: Path) -> None:
    """Admin states with and without weight, windows, health and serials come back as they were, the last of each."""
    store = Store.open(tmp_path)
    await store.save_admin("inbound", "mx1", Admin(AdminState.MAINT))
    await store.save_admin("inbound", "mx1", DRAINED, Window("inbound", "mx1", 1.0, None))
    await store.save_admin("inbound", "mx1", DRAINED, WINDOW)
    await store.save_admin("inbound", "mx2", Admin(weight=7))
    await store.save_health({("inbound", "mx1"): Health(), ("inbound", "mx2"): DOWN})
    await store.save_health({("inbound", "mx1"): DOWN, ("inbound", "mx3"): RETURNED})
    await store.save_serials({"lb.example.org": 4_294_967_295})
    await store.close()
    remembered = await reopened(tmp_path)
    assert remembered.admins == {("inbound", "mx1"): DRAINED, ("inbound", "mx2"): Admin(weight=7)}
    assert remembered.healths == {
        ("inbound", "mx1"): DOWN,
        ("inbound", "mx2"): DOWN,
        ("inbound", "mx3"): RETURNED,
    }
    assert remembered.serials == {"lb.example.org": 4_294_967_295}
    assert remembered.windows == {("inbound", "mx1"): WINDOW}


async def test_a_window_goes_with_the_word_that_ends_it(store: Store) -> None:
    """One that lasts until further notice is remembered too; the windows of other members stay."""
    endless = Window("inbound", "mx2", 10.5, None)
    await store.save_admin("inbound", "mx1", DRAINED, WINDOW)
    await store.save_admin("inbound", "mx2", DRAINED, endless)
    await store.save_admin("inbound", "mx1", Admin())
    assert store.load().windows == {("inbound", "mx2"): endless}
    assert store.load().admins["inbound", "mx1"] == Admin()


async def test_what_was_saved_survives_a_kill(tmp_path: Path) -> None:
    """A change is on disk when save_admin returns: a copy of the files taken then holds it."""
    store = Store.open(tmp_path / "first")
    await store.save_admin("inbound", "mx1", DRAINED)
    (tmp_path / "copy").mkdir()
    for name in ("state.db", "state.db-wal"):
        (tmp_path / "copy" / name).write_bytes((tmp_path / "first" / name).read_bytes())
    await store.close()
    assert (await reopened(tmp_path / "copy")).admins == {("inbound", "mx1"): DRAINED}


async def test_events_come_back_in_order_with_all_they_hold(store: Store) -> None:
    """Ids rise by one, and nothing of an event is lost."""
    await store.add_events([an_event("one", 1.0), an_event("two", 2.0)])
    first, second = await store.events()
    assert (first.id, first.text, second.id, second.text) == (1, "one", 2, "two")
    assert first == Event(1.0, EventKind.STATE, "one", "inbound", "mx1", "root", {"n": 1}, id=1)


async def test_events_can_be_picked(store: Store) -> None:
    """By time, by pool, after an id (the oldest that fit), and without it the newest."""
    await store.add_events([an_event(str(n), float(n), "even" if n % 2 == 0 else "odd") for n in range(1, 7)])

    async def texts(since: float | None, pool: str | None, after: int | None, limit: int) -> str:
        return "".join(event.text for event in await store.events(since, pool, after, limit))

    assert await texts(None, None, None, 2) == "56"
    assert await texts(None, None, 0, 2) == "12"
    assert await texts(None, None, 4, 9) == "56"
    assert await texts(3.0, None, None, 9) == "3456"
    assert await texts(3.0, "even", None, 9) == "46"
    assert await texts(None, "odd", 1, 1) == "3"


async def test_old_events_are_dropped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest are kept, and ids go on."""
    monkeypatch.setattr(store_module, "MAX_EVENTS", 3)
    await store.add_events([an_event(str(n)) for n in range(5)])
    assert [(event.id, event.text) for event in await store.events()] == [(3, "2"), (4, "3"), (5, "4")]


async def test_events_are_kept_as_long_as_is_said(store: Store) -> None:
    """Counted back from the newest; a longer time brings nothing back."""
    await store.add_events([an_event("old", 1000.0), an_event("late", 1400.0)])
    store.retention = 500.0
    await store.add_events([an_event("new", 1600.0)])
    assert [event.text for event in await store.events()] == ["late", "new"]
    store.retention = 1e9
    await store.add_events([an_event("newest", 2000.0)])
    assert [event.text for event in await store.events()] == ["late", "new", "newest"]


async def test_an_id_is_never_given_twice(tmp_path: Path) -> None:
    """A follower that knows an id from before a restart misses nothing after it."""
    first = Store.open(tmp_path)
    await first.add_events([an_event("before")])
    await first.close()
    second = Store.open(tmp_path)
    await second.add_events([an_event("after")])
    events = await second.events(after=1)
    await second.close()
    assert [(event.id, event.text) for event in events] == [(2, "after")]


def test_an_event_in_json_has_a_time_that_people_can_read() -> None:
    """Times are RFC 3339 in UTC with milliseconds."""
    assert an_event("mx1 is down", 1_767_225_600.25).as_json() == {
        "id": 0,
        "at": "2026-01-01T00:00:00.250Z",
        "kind": "state",
        "pool": "inbound",
        "member": "mx1",
        "who": "root",
        "text": "mx1 is down",
        "details": {"n": 1},
    }


OPEN_ELSEWHERE = """
import sys
from pathlib import Path
from dnslb.store import Store, StoreError
try:
    Store.open(Path(sys.argv[1]))
except StoreError as error:
    print(error)
"""


def open_elsewhere(directory: Path) -> str:
    """Open the directory in another process; return what kept it from doing so, "" if nothing did."""
    command = [sys.executable, "-c", OPEN_ELSEWHERE, str(directory)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


async def test_a_directory_belongs_to_one_dnslb_at_a_time(store: Store) -> None:
    """A second one is told who has it, and what to do."""
    told = open_elsewhere(store.directory)
    assert f"another dnslb (pid {os.getpid()}) runs with state directory {store.directory}" in told


async def test_a_closed_directory_is_free(tmp_path: Path) -> None:
    """Closing lets the next one in, and so does a lock file that a killed one left."""
    store = Store.open(tmp_path)
    await store.close()
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    assert open_elsewhere(tmp_path) == ""


async def test_a_forked_worker_does_not_keep_the_directory(tmp_path: Path) -> None:
    """Workers go on answering without their controller; the next controller can still start."""
    store = Store.open(tmp_path)
    go_on, held = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.close(held)
        os.read(go_on, 1)
        os._exit(0)
    try:
        await store.close()
        assert open_elsewhere(tmp_path) == ""
    finally:
        os.close(held)
        os.waitpid(worker, 0)  # noqa: ASYNC222 -- it ends at once: its pipe is closed
        os.close(go_on)


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


def written(path: Path, script: str) -> None:
    """Run SQL on a database, which is made if it is missing."""
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
    connection.close()


@pytest.mark.parametrize("script", [SCHEMA_1, SCHEMA_2, SCHEMA_3])
async def test_an_older_database_is_taken_over(tmp_path: Path, script: str) -> None:
    """Nothing of it is lost, the event ids go on, and from then on it holds all that is known of a member."""
    written(tmp_path / "state.db", script)
    store = Store.open(tmp_path)
    key = ("inbound", "mx1")
    assert store.set_aside is None
    assert store.load() == Remembered({key: DRAINED}, {key: DOWN}, {"lb.example.org": 7})
    await store.add_events([an_event("new")])
    assert [(event.id, event.text) for event in await store.events()] == [(41, "old"), (42, "new")]
    await store.save_health({key: RETURNED})
    await store.save_admin(*key, DRAINED, WINDOW)
    await store.save_leavings(LEAVINGS)
    await store.close()
    remembered = await reopened(tmp_path)
    assert (remembered.healths, remembered.windows) == ({key: RETURNED}, {key: WINDOW})
    assert remembered.leavings == LEAVINGS


async def test_an_older_database_that_cannot_be_taken_over_stays_as_it_was(tmp_path: Path) -> None:
    """All steps are one transaction: a file that lacks a table is set aside, and nothing of it has changed."""
    written(tmp_path / "state.db", "CREATE TABLE health (busy_since REAL); PRAGMA user_version = 1;")
    store = Store.open(tmp_path)
    await store.close()
    assert store.set_aside is not None
    with sqlite3.connect(store.set_aside) as connection:
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(health)")]
        version = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    assert (columns, version) == (["busy_since"], (1,))


@pytest.mark.parametrize(
    "change",
    [
        "state = 'asleep'",
        "verdict = 'bored'",
        "argued = 'sideways'",
        "faults = 'no JSON'",
        "faults = '7'",
        "faults = '[7]'",
        "faults = '[{}]'",
        """faults = '[{"aspect": "colour", "verdict": "ok", "reason": "", "alert": false}]'""",
        """faults = '[{"aspect": "tls", "verdict": "blue", "reason": "", "alert": false}]'""",
    ],
)
async def test_health_that_is_not_understood_is_dropped(tmp_path: Path, change: str) -> None:
    """The next probe says it anew: the other rows still count, and so does all that people have said."""
    store = Store.open(tmp_path)
    await store.save_admin("inbound", "mx1", DRAINED)
    await store.save_health({("inbound", "mx1"): RETURNED, ("inbound", "mx2"): RETURNED})
    await store.close()
    written(tmp_path / "state.db", f"UPDATE health SET {change} WHERE member = 'mx1'")  # noqa: S608 -- of this table
    remembered = await reopened(tmp_path)
    assert remembered.healths == {("inbound", "mx2"): RETURNED}
    assert remembered.admins == {("inbound", "mx1"): DRAINED}


def garbage(path: Path) -> None:
    """Leave a file that is no database."""
    path.write_bytes(b"this is not a database, and long enough to be sure of it" * 100)


def later_schema(path: Path) -> None:
    """Leave a database of a later dnslb."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def other_tables(path: Path) -> None:
    """Leave a database whose tables are not ours."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.execute("CREATE TABLE admin (colour TEXT)")
    connection.close()


def another_program(path: Path) -> None:
    """Leave a database that another program made."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()


def unknown_word(path: Path) -> None:
    """Leave a database of our schema with an admin state that does not exist."""
    Store.open(path.parent)._connection.close()  # noqa: SLF001 -- only its tables are wanted
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO admin VALUES ('inbound', 'mx1', 'asleep', NULL, '', '', 0)")
    connection.close()


def torn_pages(path: Path) -> None:
    """Leave a database of which the middle was overwritten."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.execute("CREATE TABLE filler (text TEXT)")
        connection.executemany("INSERT INTO filler VALUES (?)", [("x" * 500,)] * 200)
    connection.close()
    octets = bytearray(path.read_bytes())
    octets[4096:20480] = b"\xa5" * 16384
    path.write_bytes(octets)


@pytest.mark.parametrize("damage", [garbage, later_schema, other_tables, another_program, unknown_word, torn_pages])
async def test_a_broken_database_is_set_aside_and_a_new_one_begun(tmp_path: Path, damage: object) -> None:
    """It is kept as it was under another name; the new one works and is found by the next run."""
    assert callable(damage)
    path = tmp_path / "state.db"
    damage(path)
    before = path.read_bytes()
    store = Store.open(tmp_path)
    assert store.set_aside is not None
    assert store.set_aside.name.startswith("state.db.corrupt-")
    assert store.set_aside.read_bytes()[:16] == before[:16]
    assert store.set_aside.stat().st_size == len(before)
    await store.save_admin("inbound", "mx1", DRAINED)
    await store.close()
    assert (await reopened(tmp_path)).admins == {("inbound", "mx1"): DRAINED}


async def test_two_broken_databases_in_one_second_are_both_kept(tmp_path: Path) -> None:
    """A name that is taken is not taken again."""
    kept = set()
    for _ in range(2):
        garbage(tmp_path / "state.db")
        store = Store.open(tmp_path)
        kept.add(store.set_aside)
        await store.close()
    assert len(kept) == 2
    assert all(path is not None and path.exists() for path in kept)


def test_a_file_in_place_of_the_directory_is_said_so(tmp_path: Path) -> None:
    """The error names the file and the setting."""
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreError, match=r"state is not a directory: name another one in \[server\] state"):
        Store.open(tmp_path / "state")
    with pytest.raises(StoreError, match="is not a directory"):
        Store.open(tmp_path / "state" / "below")


def test_a_directory_that_cannot_be_made_is_said_so() -> None:
    """Not even root can make one in /proc: the error says what to do."""
    with pytest.raises(StoreError, match=r"cannot write to the state directory /proc/dnslb.*make it writable"):
        Store.open(Path("/proc/dnslb"))


def a_link(path: Path) -> None:
    """Leave a link to a file beside it."""
    (path.parent / "precious").write_text("precious")
    path.symlink_to("precious")


@pytest.mark.parametrize("leave", [a_link, os.mkfifo, Path.mkdir])
def test_what_is_no_lock_file_is_left_alone(tmp_path: Path, leave: Callable[[Path], None]) -> None:
    """A link is not followed, and neither a FIFO nor a directory is taken for a lock: the error names it."""
    leave(tmp_path / "lock")
    with pytest.raises(StoreError, match=r"/lock is no regular file: remove it, or name another directory"):
        Store.open(tmp_path)
    assert all(path.read_text() == "precious" for path in tmp_path.glob("precious"))
    assert not (tmp_path / "state.db").exists()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o703])
def test_a_directory_that_anybody_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever can put files there could take members out of the answers, sticky bit or not."""
    tmp_path.chmod(mode)
    with pytest.raises(StoreError, match=r"anybody may write to the state directory .*: chmod o-w it"):
        Store.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("owner", [0, 65534])
async def test_a_directory_of_another_user_is_worth_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int
) -> None:
    """It may be what a container maps: the daemon starts, and says so. Root's is no stranger's."""
    found = os.stat_result((0o40700, 0, 0, 1, owner, 0, 0, 0, 0, 0))
    real = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **_: found if path == tmp_path else real(path))
    with capture_logs() as lines:
        store = Store.open(tmp_path)
    await store.close()
    told = [(line["event"], line["log_level"], line["uid"]) for line in lines]
    assert told == ([("state_directory_of_another_user", "warning", owner)] if owner else [])


def test_a_database_that_cannot_be_opened_is_not_set_aside(tmp_path: Path) -> None:
    """What is the machine's trouble, here a directory in its place, is an error and changes nothing."""
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StoreError, match="cannot open the state database"):
        Store.open(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "state.db"]
    assert open_elsewhere(tmp_path) != ""
    (tmp_path / "state.db").rmdir()
    assert open_elsewhere(tmp_path) == ""


async def test_a_failing_disk_is_an_error_of_ours(store: Store) -> None:
    """The daemon can catch StoreError, log it and go on; the next write works if the trouble is over."""
    blocker = sqlite3.connect(store.directory / "state.db", timeout=0)
    store._connection.execute("PRAGMA busy_timeout = 0")  # noqa: SLF001 -- the test need not wait
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"state\.db failed: database is locked"):
        await store.save_admin("inbound", "mx1", DRAINED)
    blocker.rollback()
    blocker.close()
    await store.save_admin("inbound", "mx1", DRAINED)
    assert store.load().admins == {("inbound", "mx1"): DRAINED}
