"""Completion in real shells, in a real terminal, with the names of a real daemon."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.processes import program
from tests.e2e.product import Daemon
from tests.e2e.screen import Screen

if TYPE_CHECKING:
    from tests.e2e.members import Members
    from tests.e2e.processes import Stage

_SHELLS = {
    "bash": ("bash --norc --noprofile -o emacs", "bind 'set show-all-if-ambiguous on'; source"),
    "zsh": ("zsh -f", "autoload -U compinit; compinit -u -D; source"),
    "fish": ("fish --no-config", "source"),
}
"""How each is started without a person's own settings, and reads a script; one Tab shows what there is."""


@pytest.fixture(params=_SHELLS)
def screen(request: pytest.FixtureRequest, stage: Stage, members: Members) -> Screen:
    """Start a shell beside a daemon, with the script of `dnslb completion` in force."""
    shell: str = request.param
    start, source = _SHELLS[shell]
    program(shell)
    daemon = Daemon(stage, members)
    script = daemon.directory / "completion"
    script.write_text(script_for(shell))
    called = stage.directory("bin") / "dnslb"
    called.write_text(f'#!/bin/sh\nexec {sys.executable} -m dnslb "$@"\n')
    called.chmod(0o755)
    path = f"PATH={called.parent}:$PATH HOME={daemon.directory} TERM=screen"
    screen = Screen(stage, f"cd {daemon.directory}; exec env {path} {start}")
    screen.type(f"{source} {script}; clear; echo ready | tr a-z A-Z", "Enter")
    screen.wait("READY")
    return screen


def script_for(shell: str) -> str:
    """Return the script that `dnslb completion` prints."""
    command = [sys.executable, "-m", "dnslb", "completion", shell]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_command_and_a_member_are_completed(screen: Screen) -> None:
    """What is clear after some letters is written out, and what is not is shown."""
    screen.type("dnslb weig", "Tab")
    screen.wait("dnslb weight")
    screen.type("mail/mx", "Tab")
    lines = screen.wait("mail/mx4")
    assert all(any(f"mail/mx{number}" in line for line in lines) for number in range(1, 5))
    screen.type("3", "Tab", "17", "Enter")
    screen.wait("mail/mx3 has weight 17 now")
