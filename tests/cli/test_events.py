"""events: the list, the choice of it, and following."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from dnslb.control.protocol import Code, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Dnslb, FakeDaemon


def an_event(number: int, **facts: object) -> dict[str, Any]:
    """Return an event as the daemon sends it."""
    about = {"pool": "inbound", "member": "mx1", "who": "", "text": f"text {number}", "details": {}}
    return {"id": number, "at": "2026-01-01T00:00:00.250Z", "kind": "state", **about, **facts}


def test_events_are_sentences(dnslb: "Dnslb", daemon: "FakeDaemon", monkeypatch: pytest.MonkeyPatch) -> None:
    """When, what kind, about what, what happened and by whom; a control character is shown as what it is."""
    monkeypatch.setenv("TZ", "UTC")
    daemon.operator.happened = [
        an_event(1, text="mx1 is down: 554 \x1b[2J"),
        an_event(2, kind="reload", pool="", member="", who="root", text="reloaded"),
        an_event(3, kind="admin", who="root", text="mx1 set to drain by root: kernel"),
    ]
    assert [" ".join(line.split()) for line in dnslb("events").output.splitlines()] == [
        "2026-01-01 00:00:00 state inbound/mx1 mx1 is down: 554 \\x1b[2J",
        "2026-01-01 00:00:00 reload reloaded (by root)",
        "2026-01-01 00:00:00 admin inbound/mx1 mx1 set to drain by root: kernel",
    ]


@pytest.mark.parametrize("words", [(), ("--json",), ("--follow",)])
def test_a_misspelled_pool_is_not_taken_for_a_quiet_one(dnslb: "Dnslb", words: tuple[str, ...]) -> None:
    """Exit status 1, and the names that there are; one that was configured once still has its events."""
    result = dnslb("events", "--pool", "inbonud", *words)
    assert result.exit_code == 1
    assert "Error: there is no pool 'inbonud'; did you mean inbound?" in result.stderr


def test_no_events_are_no_silence(dnslb: "Dnslb") -> None:
    """Standard output stays empty, and so does the list for programs."""
    none = dnslb("events", "--pool", "inbound", "--since", "1h")
    assert (none.stdout, none.stderr) == ("", "no events of pool inbound in that time\n")
    assert dnslb("events").stderr == "no events yet\n"
    assert json.loads(dnslb("events", "--json").stdout) == []


def test_json_is_the_list(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """As the daemon sent it."""
    daemon.operator.happened = [an_event(1), an_event(2)]
    assert json.loads(dnslb("events", "--json").stdout) == [an_event(1), an_event(2)]


def test_what_is_wanted_is_asked(dnslb: "Dnslb", daemon: "FakeDaemon", monkeypatch: pytest.MonkeyPatch) -> None:
    """--since counts back from now, --pool and --limit are passed on, and the limit depends on --since."""
    monkeypatch.setattr("time.time", lambda: 10_000.0)
    dnslb("events", "--since", "1h", "--pool", "inbound", "--limit", "7")
    dnslb("events", "--since", "500ms")
    dnslb("events")
    assert daemon.operator.asked == [
        {"since": 6400.0, "pool": "inbound", "after": None, "limit": 7},
        {"since": 9999.5, "pool": None, "after": 0, "limit": 1000},
        {"since": None, "pool": None, "after": None, "limit": 50},
    ]


@pytest.mark.parametrize("word", ["1", "h", "1 hour", "-1h", "1h30", ""])
def test_what_is_no_time_span_is_a_usage_error(dnslb: "Dnslb", word: str) -> None:
    """Exit status 2, with examples."""
    result = dnslb("events", "--since", word)
    assert result.exit_code == 2
    assert "is no time span: write 30s, 10m, 1h or 2d" in result.stderr


@pytest.fixture
def follow() -> "Iterator[Callable[..., Follower]]":
    """Return what starts a follower; it is ended with the test, however that ends."""
    # A shell starts what is to run in the background with SIGINT ignored, and children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGINT, before)

        def start(path: "Path", *words: str) -> Follower:
            follower = Follower(path, *words)
            stack.callback(follower.kill)
            return follower

        yield start


class Follower:
    """`dnslb events --follow --json` in a process of its own, with a look at its output."""

    def __init__(self, path: "Path", *words: str) -> None:
        command = [sys.executable, "-m", "dnslb", "events", "--follow", "--json", *words, "--control", str(path)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)

    @property
    def output(self) -> IO[str]:
        """Return the pipe of its output."""
        assert self.process.stdout is not None
        return self.process.stdout

    def numbers(self, count: int) -> list[int]:
        """Wait for so many events and return their ids."""
        return [json.loads(self.output.readline())["id"] for _ in range(count)]

    def kill(self) -> None:
        """End it if it still runs."""
        self.process.kill()
        self.process.communicate()

    def complaint(self) -> str:
        """Wait for the next line of what it has to complain about."""
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def ended(self) -> tuple[int, str]:
        """Wait for its end; return exit status and what it had to complain about."""
        self.output.close()
        assert self.process.stderr is not None
        with self.process.stderr as complaints:
            return self.process.wait(), complaints.read()


def when(condition: "Callable[[], object]") -> None:
    """Wait until a condition of the daemon's thread is true."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.01)


def test_following_shows_each_event_once_until_ctrl_c(daemon: "FakeDaemon", follow: "Callable[..., Follower]") -> None:
    """Old ones first, new ones as they come; Ctrl-C ends it cleanly with status 0."""
    daemon.operator.happened = [an_event(1), an_event(2)]
    follower = follow(daemon.path)
    assert follower.numbers(2) == [1, 2]
    daemon.operator.happened += [an_event(3), an_event(4)]
    assert follower.numbers(2) == [3, 4]
    follower.process.send_signal(signal.SIGINT)
    assert follower.ended() == (0, "")


def test_following_from_now_shows_nothing_older(daemon: "FakeDaemon", follow: "Callable[..., Follower]") -> None:
    """When the first look finds nothing since then, the next ones ask since then too."""
    follower = follow(daemon.path, "--since", "1s")
    when(lambda: len(daemon.operator.asked) > 1)
    follower.process.send_signal(signal.SIGINT)
    assert follower.ended() == (0, "")
    first, second = daemon.operator.asked[:2]
    assert second == {"since": first["since"], "pool": None, "after": 0, "limit": 1000}


def test_following_ends_when_nobody_reads(daemon: "FakeDaemon", follow: "Callable[..., Follower]") -> None:
    """`dnslb events --follow | head -1` ends though nothing happens any more, without complaint."""
    daemon.operator.happened = [an_event(1)]
    follower = follow(daemon.path)
    assert follower.numbers(1) == [1]
    follower.output.close()
    assert follower.ended() == (0, "")


@pytest.mark.parametrize("words", [(), ("--follow",)])
def test_all_of_a_time_is_shown(
    daemon: "FakeDaemon", follow: "Callable[..., Follower]", words: tuple[str, ...]
) -> None:
    """However many events there were: a day of a large pool has thousands."""
    daemon.operator.happened = [an_event(number) for number in range(1, 3500)]
    if words:
        assert follow(daemon.path, "--since", "1d").numbers(3499) == list(range(1, 3500))
    else:
        command = [sys.executable, "-m", "dnslb", "events", "--json", "--since", "1d", "--control", str(daemon.path)]
        shown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert [event["id"] for event in shown] == list(range(1, 3500))


@contextmanager
def after_a_restart(
    path: "Path", follow: "Callable[..., Follower]", before: int, after: list[int]
) -> "Iterator[Follower]":
    """Have a daemon followed that has one event, until it is away; then one with others is there."""
    from tests.cli.conftest import FakeDaemon  # noqa: PLC0415 -- two of them, one after the other

    first = FakeDaemon(path)
    first.operator.happened = [an_event(before)]
    follower = follow(path)
    assert follower.numbers(1) == [before]
    first.close()
    assert "(still trying)" in follower.complaint()
    second = FakeDaemon(path)
    second.operator.happened = [an_event(number) for number in after]
    yield follower
    second.close()


def test_following_goes_on_with_a_daemon_that_has_lost_its_state(
    tmp_path: "Path", follow: "Callable[..., Follower]"
) -> None:
    """Its events are counted from 1 again; all of them are new."""
    with after_a_restart(tmp_path / "c.sock", follow, 500, [1, 2]) as follower:
        assert follower.numbers(2) == [1, 2]


def test_following_goes_on_when_the_daemon_has_no_time(
    daemon: "FakeDaemon", follow: "Callable[..., Follower]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has too many clients, or a disk that is full: that passes."""
    daemon.operator.happened = [an_event(1)]
    follower = follow(daemon.path)
    assert follower.numbers(1) == [1]
    refused = Refused(Code.REFUSED, "the daemon has too many connections")
    with monkeypatch.context() as patch:
        patch.setattr(daemon.operator, "events", AsyncMock(side_effect=refused))
        assert follower.complaint() == "the daemon has too many connections (still trying)\n"
    daemon.operator.happened += [an_event(2)]
    assert follower.numbers(1) == [2]


def test_following_waits_for_a_daemon_that_is_restarted(tmp_path: "Path", follow: "Callable[..., Follower]") -> None:
    """It says once that the daemon is away, and shows what happened meanwhile when it is back."""
    with after_a_restart(tmp_path / "c.sock", follow, 1, [1, 2]) as follower:
        assert follower.numbers(1) == [2]
        follower.process.send_signal(signal.SIGINT)
        assert follower.ended() == (0, "")


def test_a_long_list_can_be_cut_by_its_reader(daemon: "FakeDaemon") -> None:
    """`dnslb events | head` is no error, however much is left to write."""
    daemon.operator.happened = [an_event(number, text="x" * 900) for number in range(1000)]
    read_end, write_end = os.pipe()
    command = [sys.executable, "-m", "dnslb", "events", "--since", "1h", "--control", str(daemon.path)]
    with subprocess.Popen(command, stdout=write_end, stderr=subprocess.PIPE, text=True) as process:
        os.close(write_end)
        os.read(read_end, 100)
        os.close(read_end)
        assert process.communicate()[1] == ""
    assert process.returncode == 0
