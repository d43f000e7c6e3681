"""`dnslb setup` in a real terminal (tmux): what it asks, and that what it writes runs as it is.

In a network of its own, where the addresses of the documentation are this machine's and port 53 is free.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.processes import missing, program, until
from tests.e2e.screen import Screen

if TYPE_CHECKING:
    from tests.e2e.processes import Stage

_ADDRESSES = ("192.0.2.1", "192.0.2.11", "192.0.2.12")


@pytest.fixture
def screen(stage: Stage) -> Screen:
    """Go to an empty directory; servers are at 192.0.2.11 and 192.0.2.12, and `dnslb` is the command."""
    # With processes of its own as well, which end with its shell.
    unshare = [program("unshare"), "--net", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        missing("the right to make a network")
    sink = shlex.join([sys.executable, str(Path(__file__).with_name("sink.py"))])
    addresses = "; ".join(f"ip address add {address}/32 dev lo" for address in _ADDRESSES)
    servers = " ".join(f"{sink} {address} 25 {stage.path}/{address} &" for address in _ADDRESSES[1:])
    dnslb = f'dnslb() {{ {shlex.join([sys.executable, "-m", "dnslb"])} "$@"; }}'
    begin = f"ip link set lo up; {addresses}; {servers} {dnslb}; cd {stage.directory('here')}; PS1='$ '"
    (stage.path / "begin").write_text(begin)
    screen = Screen(stage, shlex.join([*unshare, "env", f"ENV={stage.path}/begin", "sh", "-i"]))
    screen.wait("$")
    return screen


def answer(screen: Screen, question: str, *keys: str) -> None:
    """Press keys, and Enter, once the last line of the screen is this question."""
    until(lambda: last(screen) == question, f"{question!r} is the last line")
    screen.type(*keys, "Enter")


def last(screen: Screen) -> str:
    """Return the last line that is not empty."""
    return next((line for line in reversed(screen.lines()) if line), "")


def test_a_newcomer_is_asked_and_gets_an_answer(stage: Stage, screen: Screen) -> None:
    """From an empty directory to the first answer of both servers, by what is on the screen alone."""
    screen.resize(80, 50)
    screen.type("dnslb setup", "Enter")
    answer(screen, "Your choice [1]:", "1")
    answer(screen, "Zone (as lb.example.org):", "lb.example.org")
    answer(screen, "Mail for which domain? [example.org]:", "example.org")
    answer(screen, "This name server [192.0.2.1]:", "192.0.2.1")
    answer(screen, "The second one (Enter: none yet):", "192.0.2.2")
    answer(screen, "Server 1:", "mx1.example.org")
    screen.wait("mx1.example.org does not resolve")
    answer(screen, "Server 1:", "192.0.2.11")
    answer(screen, "Server 2:", "192.0.2.12")
    answer(screen, "Server 3:")
    answer(screen, "Their port [25]:", "25")
    answer(screen, "Where to write [dnslb.toml]:", "dnslb.toml")
    answer(screen, "Look at these servers now? [Y/n]:", "y")
    lines = screen.wait("On ns2.lb.example.org")
    assert {"inbound/mx1  ok", "inbound/mx2  ok", "   example.org.        MX   10 mx.lb.example.org."} <= set(lines)
    assert {path.name for path in (stage.path / "here").iterdir()} == {"dnslb.toml", "lb.example.org.zone"}
    log = stage.path / "here" / "log"
    screen.type("clear; dnslb run -c dnslb.toml 2> log &", "Enter")
    dig = shlex.join([program("dig"), "+short", "@192.0.2.1", "mx.lb.example.org"])
    until(lambda: "ready" in log.read_text() if log.exists() else False, "dnslb is ready")
    screen.type(f"clear; {dig} | sort; kill %%; wait", "Enter")
    lines = screen.wait("192.0.2.12")
    assert "192.0.2.11" in lines


def test_ctrl_c_leaves_nothing_behind(stage: Stage, screen: Screen) -> None:
    """In the middle of the questions: the shell is back, with the status for that, and there is no file."""
    screen.type("dnslb setup; echo status=$?", "Enter")
    answer(screen, "Your choice [1]:", "2")
    screen.wait("Zone (as lb.example.org):")
    screen.type("C-c")
    lines = screen.wait("status=130")
    assert "Nothing was written." in lines
    assert not list((stage.path / "here").iterdir())
