"""top where there is no terminal to draw on; with one it is in tests/e2e."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from dnslb.cli.main import cli
from dnslb.cli.top import terminal

if TYPE_CHECKING:
    from tests.cli.conftest import Dnslb, FakeDaemon


def test_without_a_terminal_it_says_what_to_take_instead(dnslb: "Dnslb") -> None:
    """Exit status 2, and nothing on standard output."""
    result = dnslb("top")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "top needs the whole screen of a terminal, and standard output is no terminal" in result.stderr
    assert "`dnslb top --json`" in result.stderr


def test_without_a_daemon_the_status_is_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of every command: only a daemon that was there is waited for."""
    monkeypatch.setattr(terminal, "missing", lambda: "")
    result = CliRunner().invoke(cli, ["top", "--control", str(tmp_path / "none.sock")])
    assert result.exit_code == 3
    assert "no dnslb runs here" in result.stderr


@pytest.mark.parametrize(
    ("stdin", "stdout", "term", "lacking"),
    [
        (True, True, "xterm", ""),
        (False, True, "xterm", "standard input is no terminal"),
        (True, True, "dumb", "this terminal cannot move its cursor (see TERM)"),
        (True, True, "", "this terminal cannot move its cursor (see TERM)"),
    ],
)
def test_what_it_lacks(monkeypatch: pytest.MonkeyPatch, *, stdin: bool, stdout: bool, term: str, lacking: str) -> None:
    """Keys come from standard input, and the picture needs a cursor that can be moved."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: stdin, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: stdout, raising=False)
    monkeypatch.setenv("TERM", term)
    assert terminal.missing() == lacking


def test_a_program_gets_an_object_a_line(dnslb: "Dnslb", daemon: "FakeDaemon", monkeypatch: pytest.MonkeyPatch) -> None:
    """The status, what was answered since the line before, and the events that are new: each of them once."""
    asked = 0

    def pass_a_second(_seconds: float) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise KeyboardInterrupt
        now = daemon.operator.now
        now["uptime_s"] += 2.0
        now["rcodes"] = {"NOERROR": now["rcodes"]["NOERROR"] + 100}
        daemon.operator.happened.append({"id": asked + 1})

    daemon.operator.happened = [{"id": 1}]
    monkeypatch.setattr("time.sleep", pass_a_second)
    result = dnslb("top", "--json")
    assert result.exit_code == 0
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["rates"], first["events"], second["events"]) == ({"NOERROR": 50.0}, [{"id": 2}], [{"id": 3}])
    assert second["status"]["pools"].keys() == {"inbound"}


def test_a_daemon_that_was_started_anew_has_no_rates(
    dnslb: "Dnslb", daemon: "FakeDaemon", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts begin again, and what passed is not known."""

    def restart(_seconds: float) -> None:
        daemon.operator.now["uptime_s"] = 1.0

    monkeypatch.setattr("time.sleep", restart)
    lines = dnslb("top", "--json", "--for", "1ms").stdout.splitlines()
    assert json.loads(lines[0])["rates"] is None


def test_a_time_is_for_programs(dnslb: "Dnslb") -> None:
    """--for alone is a usage error that says so."""
    result = dnslb("top", "--for", "10s")
    assert result.exit_code == 2
    assert "--for is for --json" in result.stderr
