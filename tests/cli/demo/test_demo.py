"""`dnslb demo` as a user runs it: it tells the truth, and leaves no process and no file behind however it ends."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

import dnslb
from dnslb.cli.demo import demo, scene

COMMAND = (sys.executable, "-m", "dnslb", "demo")


def environment(directory: Path) -> dict[str, str]:
    """Return an environment in which temporary files go to the directory, which also marks all child processes."""
    return os.environ | {
        "TMPDIR": str(directory),
        "TERM": "xterm-256color",
        "PYTHONWARNINGS": "default",
        # The commands to try begin with `cd`, and dnslb may be no more than a checkout.
        "PYTHONPATH": str(Path(dnslb.__file__).parents[1]),
    }


def left_behind(directory: Path) -> list[str]:
    """Return the processes that the mark betrays, and the files in the directory."""
    mark = f"TMPDIR={directory}".encode()
    found = [str(path) for path in directory.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it ended just now, or is none of our business
            continue
    return found


@contextmanager
def playing(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the demo with its output in a pipe, and end it if the test does not."""
    process = subprocess.Popen(
        COMMAND, env=environment(directory), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()


def read_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    """Return the lines that are printed, up to and with the first that holds the text."""
    assert process.stdout
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if wanted in line:
            return lines
    raise AssertionError(f"{wanted!r} was not printed: {lines}")


def test_a_script_gets_a_report(tmp_path: Path) -> None:
    """With --for and --json the demo ends by itself, and tells what was asked, answered, killed and measured."""
    done = subprocess.run(
        [*COMMAND, "--for", "20s", "--json"], env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["killed"] == "mx1"
    assert told["left_after_ms"] > 0
    assert told["returned_after_ms"] > 0
    assert told["queries"] >= told["answers"] > 0
    assert {name: each["weight"] for name, each in told["members"].items()} == scene.weights()
    for each in told["members"].values():
        assert each["answers"] > 0
        assert each["share"] == pytest.approx(each["wanted"], abs=0.1)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    """In the middle of the play a signal ends it with status 0."""
    with playing(tmp_path) as process:
        read_until(process, "drain")
        assert len(left_behind(tmp_path)) > 1
        process.send_signal(number)
        rest, _ = process.communicate()
        assert process.returncode == 0
    assert "measured" in rest
    assert left_behind(tmp_path) == []


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    """When the pipe is closed the demo ends at its next line, quietly, and cleans up no less."""
    with playing(tmp_path) as process:
        read_until(process, "drain")
        assert process.stdout
        process.stdout.close()
        assert process.wait() == 1
    assert left_behind(tmp_path) == []


def test_a_signal_while_it_starts(tmp_path: Path) -> None:
    """A signal that comes before the daemon answers is no different."""
    with playing(tmp_path) as process:
        read_until(process, "Starting")
        process.terminate()
        process.communicate()
        assert process.returncode == 0
    assert left_behind(tmp_path) == []


def test_the_commands_to_try_work(tmp_path: Path) -> None:
    """What the demo tells its user to type does what it says, and the demo tells of it."""
    with playing(tmp_path) as process:
        lines = read_until(process, "drain")
        *_, status, drain = lines
        done = subprocess.run(
            ["sh", "-ec", status + drain], env=environment(tmp_path), capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "mx3" in done.stdout
        read_until(process, "operator: mx2 is drain")
        process.terminate()
        process.communicate()
    assert left_behind(tmp_path) == []


def test_a_terminal_shows_the_live_view(tmp_path: Path) -> None:
    """At a terminal the whole screen is used, and given back after Ctrl-C, with the summary on it."""
    shown_at, terminal = pty.openpty()
    os.set_blocking(shown_at, True)
    size = {"COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen(
        COMMAND, env=environment(tmp_path) | size, stdin=terminal, stdout=terminal, stderr=terminal, text=True
    ) as process:
        os.close(terminal)
        shown = read_screen(shown_at, b"real answers")
        process.send_signal(signal.SIGINT)
        shown += read_screen(shown_at, None)
        assert process.wait() == 0
    os.close(shown_at)
    begin, end = shown.index(b"\x1b[?1049h"), shown.index(b"\x1b[?1049l")
    assert begin < shown.index(b"real answers") < end
    assert b"measured" in shown[end:]
    assert left_behind(tmp_path) == []


def read_screen(shown_at: int, wanted: bytes | None) -> bytes:
    """Return what a terminal shows until it holds the octets, or to its end."""
    shown = b""
    while wanted is None or wanted not in shown:
        try:
            piece = os.read(shown_at, 65536)
        except OSError:  # how Linux tells that no process has the terminal any more
            break
        if not piece:
            break
        shown += piece
    return shown


def test_a_daemon_that_cannot_start(tmp_path: Path) -> None:
    """If the daemon does not start, its log says why, to programs too, and the status is 1."""
    deep = tmp_path / ("x" * 100)  # no Unix socket can have such a path
    deep.mkdir()
    done = subprocess.run(
        [*COMMAND, "--for", "20s", "--json"], env=environment(deep), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] in done.stderr
    assert "the daemon did not start. Its log:" in done.stderr
    assert "107" in done.stderr
    assert left_behind(deep) == []


def test_a_daemon_that_dies(tmp_path: Path) -> None:
    """If the daemon goes away in the middle of the play, its workers are not left behind, and the status is 1."""
    with playing(tmp_path) as process:
        read_until(process, "drain")
        (daemon,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        os.kill(int(daemon), signal.SIGKILL)
        rest, _ = process.communicate()
        assert process.returncode == 1
    assert "the daemon went away. Its log:" in rest
    while left_behind(tmp_path):  # a killed worker takes its moment; the test's time limit ends this
        pass


@pytest.mark.parametrize(
    ("value", "why"), [("3s", "at least 12s"), ("soon", "expected a duration"), ("-1", "expected")]
)
def test_a_duration_that_cannot_be(value: str, why: str) -> None:
    """Too short a time or none at all is a usage error that says what is needed."""
    result = CliRunner().invoke(demo, ["--for", value])
    assert result.exit_code == 2
    assert why in result.output
