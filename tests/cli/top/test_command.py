"""top where there is no terminal to draw on; with one it is in tests/e2e."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from dnslb.cli.main import cli
from dnslb.cli.top import command, terminal

if TYPE_CHECKING:
    from tests.cli.conftest import Dnslb


def test_without_a_terminal_it_says_what_to_take_instead(dnslb: "Dnslb") -> None:
    """Exit status 2, and nothing on standard output."""
    result = dnslb("top")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "top needs the whole screen of a terminal, and standard output is no terminal" in result.stderr
    assert "`dnslb status --json`" in result.stderr


def test_without_a_daemon_the_status_is_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of every command: only a daemon that was there is waited for."""
    monkeypatch.setattr(command, "missing", lambda: "")
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
