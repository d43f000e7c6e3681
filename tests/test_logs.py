"""Log lines reach a terminal as text, anything else as JSON, the journal with priorities.

A reader that has gone away or stalls is no harm.
"""

import fcntl
import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

import pytest
import structlog

from dnslb import logs


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.flush()
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("apscheduler").setLevel(logging.NOTSET)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    """Return the logged lines, each parsed as JSON."""
    logs.flush()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_when_not_on_a_terminal() -> None:
    """Each event is one JSON object on a line, time, level and event first."""
    stream = io.StringIO()
    logs.configure(stream)
    structlog.get_logger("dnslb.publisher").info("answers changed", pool="inbound", generation=7)
    (line,) = lines(stream)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["level"] == "info"
    assert line["event"] == "answers changed"
    assert (line["pool"], line["generation"], line["logger"]) == ("inbound", 7, "dnslb.publisher")
    assert str(line["timestamp"]).endswith("Z")


def test_libraries_take_the_same_way() -> None:
    """What a library logs through the standard library has the same form, its arguments filled in."""
    stream = io.StringIO()
    logs.configure(stream)
    logging.getLogger("aiohttp.server").warning("odd request from %s", "192.0.2.1")
    (line,) = lines(stream)
    assert line["event"] == "odd request from 192.0.2.1"
    assert (line["level"], line["logger"]) == ("warning", "aiohttp.server")
    assert "timestamp" in line


def test_the_scheduler_is_heard_only_when_it_fails() -> None:
    """The scheduler's line for each probe is left out, its errors are not."""
    stream = io.StringIO()
    logs.configure(stream, "debug")
    logging.getLogger("apscheduler.executors.default").warning("run missed")
    logging.getLogger("apscheduler.executors.default").error("job raised")
    assert [line["event"] for line in lines(stream)] == ["job raised"]


@pytest.mark.parametrize(("level", "heard"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_level(level: str, heard: int) -> None:
    """Lines below the level are dropped, ours and those of libraries."""
    stream = io.StringIO()
    logs.configure(stream, level)
    for log in (structlog.get_logger(), logging.getLogger("library")):
        for name in logs.LEVELS:
            getattr(log, name)("something")
    assert len(lines(stream)) == 2 * heard


def test_unknown_level() -> None:
    """A level that there is not is refused, with those that there are."""
    with pytest.raises(ValueError, match="'loud' is unknown, expected one of debug, info"):
        logs.configure(io.StringIO(), "loud")


def test_the_last_call_counts() -> None:
    """Configuring again moves all lines to the new stream, loggers in use included."""
    first, second = io.StringIO(), io.StringIO()
    logs.configure(first)
    log = structlog.get_logger()
    log.info("one")
    logs.configure(second)
    log.info("two")
    assert [line["event"] for line in lines(first)] == ["one"]
    assert [line["event"] for line in lines(second)] == ["two"]


def test_exceptions_are_one_line_without_local_values() -> None:
    """A traceback is part of the JSON line and does not show what variables held."""
    stream = io.StringIO()
    logs.configure(stream)
    held = "hunter2"
    try:
        assert held
        raise OSError("broken")  # noqa: TRY301 - the exception is what is tested
    except OSError:
        structlog.get_logger().exception("ours")
        logging.getLogger("library").exception("theirs")
    assert [line["event"] for line in lines(stream)] == ["ours", "theirs"]
    assert all(line["exception"] for line in lines(stream))
    assert held not in stream.getvalue()


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, reason: str = "gone", **environment: str) -> str:
    """Return what a terminal shows of one event with an exception."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    shown_at, terminal = pty.openpty()
    held = "hunter2"
    with os.fdopen(terminal, "w") as stream:
        logs.configure(stream)
        try:
            assert held
            raise OSError("broken")  # noqa: TRY301 - the exception is what is tested
        except OSError:
            structlog.get_logger("dnslb.daemon").warning("member left", member="mx1", reason=reason, exc_info=True)
        logs.flush()
        text = os.read(shown_at, 65536).decode()
    os.close(shown_at)
    assert held not in text
    return text


def test_readable_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal shows words and name=value pairs, no JSON."""
    text = on_a_terminal(monkeypatch, NO_COLOR="1")
    assert "member left" in text
    assert "member=mx1" in text
    assert "OSError: broken" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("reason", ["\x1b[2Jé\n\x9b", "mail \x1b[2Jé\n\x9b"])
def test_a_mail_server_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """Escape sequences and line breaks in a value have no effect; letters are shown as they are."""
    assert "?[2Jé??" in on_a_terminal(monkeypatch, reason=reason, NO_COLOR="1")


def test_colours_unless_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets colours when NO_COLOR is not set."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" in on_a_terminal(monkeypatch)


def as_journal(stream: IO[str]) -> str:
    """Return the value of JOURNAL_STREAM that names the stream."""
    status = os.fstat(stream.fileno())
    return f"{status.st_dev}:{status.st_ino}"


def test_priorities_in_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connected to the journal, each line begins with its priority and leaves the time to the journal."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setenv("JOURNAL_STREAM", as_journal(stream))
        logs.configure(stream, "debug")
        log = structlog.get_logger()
        log.error("a")
        log.warning("b")
        log.info("c")
        log.debug("d")
        logs.flush()
    with os.fdopen(reading) as journal:
        written = journal.read().splitlines()
    assert [line[:3] for line in written] == ["<3>", "<4>", "<6>", "<7>"]
    assert [json.loads(line[3:])["event"] for line in written] == ["a", "b", "c", "d"]
    assert "timestamp" not in json.loads(written[0][3:])


def test_no_priorities_when_only_the_parent_is_in_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """An inherited JOURNAL_STREAM that names another stream than ours changes nothing."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setenv("JOURNAL_STREAM", "1:1")
        logs.configure(stream)
        structlog.get_logger().info("a")
        logs.flush()
    with os.fdopen(reading) as pipe:
        assert "timestamp" in json.loads(pipe.read())


PROGRAM = """
import logging, sys
import structlog
from dnslb import logs
logs.configure(sys.stderr)
sys.stdin.readline()
structlog.get_logger().info("x" * 100_000)
logging.getLogger("library").error("after that")
structlog.get_logger().info("and again")
print("alive")
"""


def test_a_reader_that_went_away_is_no_harm() -> None:
    """A process whose stderr is a broken pipe goes on, and ends with status 0."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        process.stderr.close()
        process.stderr = None
        output, _ = process.communicate("go\n")
    assert output == "alive\n"
    assert process.returncode == 0


SENT = 1000


def test_a_reader_that_stalls_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines beyond the bound are dropped; when there is room again, the log says how many."""
    monkeypatch.setattr(logs, "MOST_WAITING", 10)
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(reading) as pipe, os.fdopen(writing, "w") as stream:
        logs.configure(stream)
        log = structlog.get_logger("dnslb.probe")
        for _ in range(SENT):
            log.info("something", text="x" * 100)
        written, dropped = 0, 0
        while written + dropped < SENT:
            line = json.loads(pipe.readline())
            if line["event"] == "something":
                written += 1
            else:
                number, _, rest = line["event"].partition(" ")
                assert rest == "log lines were dropped: nobody read those before them"
                assert (line["level"], line["logger"]) == ("warning", "dnslb.logs")
                dropped += int(number)
        log.info("after that")
        assert json.loads(pipe.readline())["event"] == "after that"
    assert dropped > SENT // 2


def test_nothing_is_lost_that_was_not_dropped() -> None:
    """Each line is written once, in order."""
    stream = io.StringIO()
    logs.configure(stream)
    for number in range(SENT):
        structlog.get_logger().info("something", number=number)
    assert [line["number"] for line in lines(stream)] == list(range(SENT))


LAST_WORDS = """
import sys
import structlog
from dnslb import logs
logs.configure(sys.stderr)
for number in range(1000):
    structlog.get_logger().info("line", number=number)
{end}
"""


@pytest.mark.parametrize(("end", "status"), [("", 0), ("sys.exit(3)", 3), ("raise RuntimeError", 1)])
def test_a_process_that_ends_has_its_last_words(end: str, status: int) -> None:
    """Whatever ended it, all its lines are there."""
    command = [sys.executable, "-c", LAST_WORDS.format(end=end)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert [int(number) for number in re.findall(r'"number": (\d+)', done.stderr)] == list(range(1000))


def test_a_process_ends_though_nobody_reads() -> None:
    """The end waits for a stalled reader, but not for ever."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    command = [sys.executable, "-c", LAST_WORDS.format(end="sys.exit(3)")]
    assert subprocess.run(command, stderr=writing, check=False).returncode == 3
    os.close(reading)
    os.close(writing)
