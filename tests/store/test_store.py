"""The state directory: who may open it, what is remembered in it, and what becomes of it when the disk fails."""

import asyncio
import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from dnslb.store import Event, Remembered, Store, StoreError, directory
from dnslb.store import store as store_module
from dnslb.store.events import EventLog
from dnslb.store.remembered import as_text
from tests.store.known import DRAINED, KEY, KNOWN, an_event


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Give an open store, closed after the test."""
    opened = Store.open(tmp_path / "state")
    opened.load()
    yield opened
    await opened.close()


async def reopened(path: Path) -> Remembered | None:
    """Return what a new run would find."""
    store = Store.open(path)
    try:
        return store.load()
    finally:
        await store.close()


async def test_a_new_directory_is_made_for_its_owner_alone(store: Store) -> None:
    """The directory gets mode 0700, the files in it 0600, and nothing is remembered."""
    await store.save(KNOWN)
    store.note(an_event("one"))
    await store.flush()
    assert store.directory.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in store.directory.iterdir()}
    files = ("lock", "state.json", "state.copy.json", "events.db", "events.db-wal")
    assert modes == dict.fromkeys(files, 0o600)
    assert store.findings == []


async def test_a_new_store_remembers_nothing(tmp_path: Path) -> None:
    """A first run starts from the configuration alone, and has lost nothing."""
    store = Store.open(tmp_path)
    assert (store.load(), store.is_lost) == (None, False)
    await store.close()


async def test_a_restart_takes_up_where_the_last_run_left_off(store: Store) -> None:
    """Each time takes the place of the one before, and is on disk when it returns: a kill loses nothing."""
    await store.save(Remembered({KEY: DRAINED}))
    await store.save(KNOWN)
    copy = store.directory.with_name("copy")
    shutil.copytree(store.directory, copy)
    assert await reopened(copy) == KNOWN


async def test_events_are_known_at_once_and_written_with_the_next_flush(store: Store) -> None:
    """With ids that rise by one; whoever asks sees both kinds, each once, and picks from both."""
    first = store.note(an_event("1", 1.0))
    await store.flush()
    second, third = (store.note(an_event(text, at, "relay")) for text, at in (("2", 2.0), ("3", 3.0)))
    assert [first.id, second.id, third.id] == [1, 2, 3]
    assert await store.events() == [first, second, third]
    assert await store.events(limit=2) == [second, third]
    assert await store.events(after=0, limit=2) == [first, second]
    assert await store.events(after=2) == [third]
    assert await store.events(since=3.0) == [third]
    assert await store.events(pool="relay") == [second, third]
    asking = asyncio.create_task(store.events())
    await store.flush()
    assert await asking == [first, second, third]
    assert not store.has_unwritten


async def test_an_event_that_is_no_utf_8_can_be_kept(store: Store) -> None:
    """It names a path as the system gives it, and must not keep others from the disk."""
    store.note(an_event("/var/m\udce4rz was removed"))
    await store.flush()
    assert [each.text for each in await store.events()] == ["/var/m\\udce4rz was removed"]


async def test_an_id_is_never_given_twice(tmp_path: Path) -> None:
    """A follower that knows an id from before a restart misses nothing after it, though events were lost."""
    ids = []
    for damage in (False, False, True):
        if damage:
            (tmp_path / "events.db").write_bytes(b"no database")
        store = Store.open(tmp_path)
        store.load()
        ids.append(store.note(an_event("one")).id)
        await store.flush()
        await store.close()
    assert ids[:2] == [1, 2]
    assert ids[2] > 1_700_000_000


async def test_a_store_that_was_closed_leaves_the_directory_alone(store: Store) -> None:
    """It may be another's by now."""
    await store.save(KNOWN)
    await store.close()
    assert open_elsewhere(store.directory) == ""
    with pytest.raises(StoreError, match="is another's now"):
        await store.save(Remembered())
    assert await reopened(store.directory) == KNOWN


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


async def test_what_is_asked_while_a_store_is_closed_comes_too_late(store: Store) -> None:
    """It does not open the events again, which nobody would close: to the next one they would be locked."""
    store.note(an_event("before"))
    await store.flush()
    closing = asyncio.create_task(store.close())
    store.note(an_event("meanwhile"))
    late = asyncio.create_task(store.flush())
    await closing
    with pytest.raises(StoreError, match="another's now"):
        await late
    successor = Store.open(store.directory)
    successor.load()
    assert [each.text for each in await successor.events()] == ["before"]
    successor.note(an_event("after"))
    await successor.flush()
    await successor.close()


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


def no_room(*_: object) -> None:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_a_disk_that_fails_is_an_error_with_its_reason(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there stays as it was, events are not lost, and the next write works when the trouble is over."""
    await store.save(KNOWN)
    event = store.note(an_event("meanwhile"))
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_room)
        with pytest.raises(StoreError, match=f"the state cannot be kept in {store.directory}: No space left on device"):
            await store.save(Remembered())
    assert await store.events() == [event]
    copy = store.directory.with_name("copy")
    shutil.copytree(store.directory, copy)
    assert await reopened(copy) == KNOWN
    await store.save(Remembered({KEY: DRAINED}))
    await store.flush()
    shutil.rmtree(copy)
    shutil.copytree(store.directory, copy)
    assert await reopened(copy) == Remembered({KEY: DRAINED})


async def test_events_that_cannot_be_written_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go; what is written when the disk works again are the others."""
    monkeypatch.setattr(store_module, "MAX_PENDING", 3)
    small = Store.open(store.directory.with_name("small"))
    for number in range(5):
        small.note(an_event(str(number)))
    assert [event.text for event in await small.events()] == ["2", "3", "4"]
    await small.flush()
    assert [event.text for event in await small.events()] == ["2", "3", "4"]
    await small.close()


class SlowDisk:
    """A disk that answers when it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = threading.Event()
        self.asked = threading.Event()
        real = os.fsync

        def slow(descriptor: int) -> None:
            self.asked.set()
            self.answers.wait()
            real(descriptor)

        monkeypatch.setattr(os, "fsync", slow)
        monkeypatch.setattr(store_module, "PATIENCE", 0.05)


async def test_a_disk_that_hangs_is_an_error_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was refused then does not come to the disk when it answers again; what comes after that does."""
    store = Store.open(tmp_path)
    await store.save(KNOWN)
    await store.close()
    slow = SlowDisk(monkeypatch)
    store = Store.open(tmp_path)
    with pytest.raises(StoreError, match=r"does not answer within 0\.05 s"):
        await store.save(Remembered())
    assert slow.asked.is_set()
    with pytest.raises(StoreError, match="does not answer"):
        await store.save(Remembered())
    free = asyncio.Event()
    store.call_when_free(free.set)
    slow.answers.set()
    await free.wait()
    assert (tmp_path / "state.json").read_text() == as_text(KNOWN)
    await store.close()


async def test_a_disk_that_hangs_does_not_keep_a_store_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops the daemon need not wait for it."""
    slow = SlowDisk(monkeypatch)
    store = Store.open(tmp_path)
    with pytest.raises(StoreError):
        await store.save(KNOWN)
    await store.close()
    assert open_elsewhere(tmp_path) == ""
    slow.answers.set()


async def test_a_write_waits_for_one_reader_at_most(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many who read at once must not look like a disk that does not answer: words of operators would be refused."""
    begun, go_on, loop = asyncio.Event(), threading.Event(), asyncio.get_running_loop()
    found: list[bool] = []

    def slow(_log: EventLog, *_wanted: object) -> list[Event]:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait()
        found.append((store.directory / "state.json").exists())
        return []

    monkeypatch.setattr(EventLog, "find", slow)
    readers = [asyncio.create_task(store.events()) for _ in range(5)]
    await begun.wait()
    writer = asyncio.create_task(store.save(KNOWN))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(writer, *readers)
    assert found == [False, True, True, True, True]


async def test_a_directory_that_was_removed_is_made_anew(store: Store) -> None:
    """With all that is known, and our lock; people are told."""
    await store.save(KNOWN)
    store.note(an_event("before"))
    await store.flush()
    shutil.rmtree(store.directory)
    after = store.note(an_event("after"))
    await store.save(KNOWN)
    await store.flush()
    assert await store.events() == [after]
    assert "another dnslb" in open_elsewhere(store.directory)
    assert store.findings == [f"the state directory {store.directory} was removed, and is made anew"]
    await store.close()
    assert await reopened(store.directory) == KNOWN


@pytest.mark.parametrize("spoilt", ["state.json", "state.copy.json"])
@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"{")]
)
async def test_one_of_the_two_files_is_enough(store: Store, spoilt: str, spoil: Callable[[Path], object]) -> None:
    """Nothing is forgotten; what cannot be used is kept under another name when the next is written."""
    await store.save(KNOWN)
    await store.close()
    spoil(store.directory / spoilt)
    spoilt_text = (store.directory / spoilt).exists() and spoilt == "state.json"
    again = Store.open(store.directory)
    assert (again.load(), again.is_lost) == (KNOWN, False)
    await again.save(KNOWN)
    assert len(again.findings) == 2 * spoilt_text
    assert len(list(store.directory.glob(f"{spoilt}.corrupt-*"))) == spoilt_text
    await again.close()
    assert (store.directory / spoilt).read_text() == as_text(KNOWN)


async def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A FIFO in the place of the state keeps no daemon from starting: the copy is used, and the state written anew."""
    store = Store.open(tmp_path)
    await store.save(KNOWN)
    (tmp_path / "state.json").unlink()
    os.mkfifo(tmp_path / "state.json")
    assert store.load() == KNOWN
    await store.save(KNOWN)
    assert (tmp_path / "state.json").read_text() == as_text(KNOWN)
    await store.close()


async def test_what_is_lost_is_said_to_be(store: Store) -> None:
    """If neither file can be used both are kept under other names, and the daemon starts as new, but knows it."""
    await store.save(KNOWN)
    await store.close()
    for name in ("state.json", "state.copy.json"):
        (store.directory / name).write_text("rubbish")
    again = Store.open(store.directory)
    assert (again.load(), again.is_lost) == (None, True)
    await again.save(Remembered())
    assert len(again.findings) == 4
    assert len(list(store.directory.glob("*.corrupt-*"))) == 2
    await again.close()


async def test_what_cannot_be_read_yet_is_not_written_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails at the start may still have it: it is read before anything is written."""
    await store.save(KNOWN)
    await store.close()

    def bad(*_: object) -> Any:  # noqa: ANN401 -- it never returns
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    again = Store.open(store.directory)
    with monkeypatch.context() as failing:
        failing.setattr(Path, "read_bytes", bad)
        assert (again.load(), again.is_lost) == (None, True)
        with pytest.raises(StoreError, match="Input/output error"):
            await again.save(Remembered())
    with pytest.raises(StoreError, match="Input/output error"):
        await again.save(Remembered())
    assert await again.load_late() == KNOWN
    await again.save(KNOWN)
    await again.close()


def test_what_may_not_be_read_is_an_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person has to set it right: the daemon does not start, and names the file."""

    def forbidden(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(StoreError, match=r"cannot read the state in .*Permission denied: .*state\.copy\.json"):
        store.load()


@pytest.mark.parametrize("number", sorted(directory.TROUBLE))
def test_a_disk_in_trouble_is_no_error_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The daemon answers, and tells of it at the first write."""

    def bad(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(directory, "_lock_file", bad)
    store = Store.open(tmp_path)
    assert store.load() is None
