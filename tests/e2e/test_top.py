"""`dnslb top` in a real terminal (tmux), before a real daemon."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import FakeDaemon
from tests.e2e.processes import until
from tests.e2e.product import Daemon
from tests.e2e.screen import Screen

if TYPE_CHECKING:
    from tests.e2e.members import Members
    from tests.e2e.processes import Stage

_BEFORE = "before-the-view"


@pytest.fixture
def daemon(stage: Stage, members: Members) -> Daemon:
    """Start a daemon with mx1 to mx4."""
    return Daemon(stage, members)


@pytest.fixture
def screen(stage: Stage, daemon: Daemon) -> Screen:
    """Start top in a terminal before the daemon, and wait for its picture."""
    return watched(stage, daemon.directory / "state" / "control.sock")


def watched(stage: Stage, control: Path) -> Screen:
    """Start top in a terminal. When it ends, its status and the terminal's are shown."""
    screen = Screen(stage, "env PS1='$ ' TERM=screen COLUMNS=200 LINES=50 sh")
    screen.type(f"echo {_BEFORE}", "Enter")
    command = shlex.join([sys.executable, "-m", "dnslb", "top", "--control", str(control)])
    screen.type(f"{command}; echo status=$? $(stty -a | grep -o -- '-\\?icanon\\|-\\?echo\\>' | tr '\\n' ' ')", "Enter")
    screen.wait("q quit")
    return screen


def given_back(screen: Screen, status: int) -> bool:
    """Say whether the shell has its terminal as it was: its screen, its cursor, lines with an echo."""
    lines = screen.wait(f"status={status} icanon echo")
    cursor, alternate = screen.ask("cursor_flag"), screen.ask("alternate_on")
    return (cursor, alternate) == ("1", "0") and any(_BEFORE in line for line in lines)


def test_a_member_is_drained_by_keys(screen: Screen, daemon: Daemon) -> None:
    """Down to the second one, d, y: no answer has it any more; r and y put it back, and n changes nothing."""
    lines = screen.wait("> mx1 ")
    assert len(lines) == 24
    screen.type("Down", "d")
    screen.wait("Drain mail/mx2? y: yes, any other key: no")
    screen.type("n")
    screen.wait("nothing was changed")
    assert daemon.member("mx2")["admin"] == "ready"
    screen.type("d", "y")
    screen.wait("mail/mx2 is drained: no longer in answers")
    screen.wait("mx2 set to drain by")
    assert daemon.published() == {"mx1", "mx3", "mx4"}
    screen.type("r", "y")
    screen.wait("mail/mx2 is ready: in answers")
    daemon.wait_published("mx1", "mx2", "mx3", "mx4")
    screen.type("q")
    assert given_back(screen, 0)


def test_the_picture_follows_the_window(screen: Screen) -> None:
    """Larger and smaller, without a key, whatever the environment says: the last line is that of the keys."""
    for columns, height in ((120, 40), (60, 15), (80, 24)):
        screen.resize(columns, height)

        def drawn(height: int = height) -> bool:
            lines = screen.lines()
            return len(lines) == height and lines[-1].startswith(" q quit") and lines[0].startswith(" dnslb ")

        until(drawn, f"a picture of {columns}x{height}")
    screen.type("?")
    screen.wait("Any key goes back.")


def test_a_daemon_that_goes_away_is_waited_for(screen: Screen, daemon: Daemon) -> None:
    """The last that is known stays, with the reason, and when the daemon is back the picture goes on."""
    assert daemon.stop() == 0
    lines = screen.wait("still trying: no dnslb runs here")
    assert any("mx4" in line for line in lines)
    daemon.start()
    until(lambda: not any("still trying" in line for line in screen.lines()), "the picture goes on")


def test_ctrl_c_gives_the_terminal_back(screen: Screen) -> None:
    """It is a way to quit, even where letters are typed."""
    screen.type("/", "m", "C-c")
    assert given_back(screen, 0)


def test_a_signal_gives_the_terminal_back(screen: Screen) -> None:
    """SIGTERM ends it with the status that shells have for that."""
    shell = screen.ask("pane_pid")
    (child,) = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
    os.kill(int(child), signal.SIGTERM)
    assert given_back(screen, 143)


def test_a_fault_gives_the_terminal_back(stage: Stage) -> None:
    """A daemon of another version, that answers otherwise from now on: it is said on the screen of before."""
    other = FakeDaemon(stage.path / "control.sock")
    stage.callback(other.close)
    screen = watched(stage, other.path)
    del other.operator.now["workers"]
    assert given_back(screen, 1)
    assert "answers otherwise than this command expects" in "".join(screen.lines())


def test_it_can_be_put_aside(screen: Screen) -> None:
    """Ctrl-Z gives the terminal to the shell, and fg brings the picture back."""
    screen.type("C-z")
    screen.wait(_BEFORE)
    screen.type("fg", "Enter")
    screen.wait("q quit")
    screen.type("q")
    until(lambda: screen.ask("alternate_on") == "0", "the screen of the shell")
