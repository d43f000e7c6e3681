"""What holds for every command: facts as JSON where it has any, and an exit status that means the same everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from dnslb.cli.demo.performance import Performance
from dnslb.cli.main import cli
from dnslb.cli.top import snapshots

if TYPE_CHECKING:
    from tests.cli.conftest import Dnslb, FakeDaemon

EXAMPLE = str(Path(__file__).parents[2] / "zones" / "dnslb.toml")
FACTLESS = {"run", "completion", "man"}
"""A daemon, a script for shells, pages for people."""
MEMBER = "inbound/mx1"
SETUP = ("setup", "--use", "relay", "--zone", "lb.test", "--ns", "127.0.0.1", "--member", "127.0.0.11")
DONE: dict[str, tuple[str, ...]] = {
    "check": ("check", "-c", EXAMPLE),
    "drain": ("drain", MEMBER),
    "events": ("events",),
    "explain": ("explain", "mx.lb.example.org"),
    "maint": ("maint", MEMBER),
    "plan": ("plan", "--drain", MEMBER),
    "pool": ("pool",),
    "probe": ("probe", MEMBER),
    "ready": ("ready", MEMBER),
    "reload": ("reload",),
    "setup": SETUP,
    "simulate": ("simulate", "--weights", "1,1", "--for", "1m", "--runs", "1"),
    "status": ("status",),
    "top": ("top", "--for", "1ms"),
    "version": ("version",),
    "weight": ("weight", MEMBER, "10"),
}
"""Words with which each command succeeds; `demo` has tests of its own for that."""
ALONE = {"check", "setup", "simulate"}
"""They ask no daemon."""
FAILED: dict[str, tuple[str, ...]] = {
    "drain": ("drain", "inbound/mx9"),
    "events": ("events", "--pool", "none"),
    "maint": ("maint", "inbound/mx9"),
    "plan": ("plan", "--drain", "inbound/mx9"),
    "pool": ("pool", "none"),
    "probe": ("probe", "inbound/mx9"),
    "ready": ("ready", "inbound/mx9"),
    "setup": SETUP,
    "weight": ("weight", "inbound/mx9", "10"),
}
"""Words with which commands fail at what is asked for; the others cannot, or not in this way."""
WRONG_FILE = {"run"} | DONE.keys() - {"setup", "simulate", "version"}
"""They need a configuration, or the socket that it names."""


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to an empty directory, and wait for top no longer than --for says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(snapshots, "_INTERVAL", 0.002)
    return tmp_path


@pytest.fixture
def ready(daemon: FakeDaemon) -> FakeDaemon:
    """Give a daemon that has an answer to everything."""
    daemon.operator.seen = {"up": True}
    daemon.operator.planned = {"panics": []}
    return daemon


def run(*words: str) -> tuple[int, Any]:
    """Run a command; return its exit status, and what it printed as JSON."""
    result = CliRunner().invoke(cli, [*words, "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_every_command_is_looked_at_here() -> None:
    """A new one has to be put into these tables."""
    assert set(cli.list_commands(click.Context(cli))) == FACTLESS | DONE.keys() | {"demo"}


@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_facts_can_be_had_as_json(name: str) -> None:
    """Each command that prints facts has --json, and no other."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    options = {word for param in command.params for word in param.opts}
    assert ("--json" in options) is (name not in FACTLESS)


@pytest.mark.parametrize("name", DONE)
def test_what_is_done_is_status_0(name: str, ready: FakeDaemon) -> None:
    """With facts as JSON, and nothing else on standard output."""
    where = () if name in ALONE else ("--control", str(ready.path))
    status, facts = run(*DONE[name], *where)
    assert status == 0
    assert "error" not in facts


@pytest.mark.parametrize("name", FAILED)
def test_what_fails_is_status_1(name: str, daemon: FakeDaemon, empty: Path) -> None:
    """And the reason as JSON."""
    (empty / "dnslb.toml").touch()
    status, facts = run(*FAILED[name], *(() if name in ALONE else ("--control", str(daemon.path))))
    assert status == 1
    assert facts["error"]


def test_a_demo_that_cannot_begin_is_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the reason as JSON."""

    async def run_out(_performance: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Performance, "run", run_out)
    status, facts = run("demo")
    assert (status, facts["error"]) == (1, "[Errno 24] Too many open files")


@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_what_is_typed_wrongly_is_status_2(name: str) -> None:
    """With a way to learn more."""
    result = CliRunner().invoke(cli, [name, "--nonsense"])
    assert result.exit_code == 2
    assert f"Try 'cli {name} --help' for help." in result.stderr


@pytest.mark.parametrize("name", sorted(WRONG_FILE))
def test_a_configuration_that_is_missing_is_status_2(name: str) -> None:
    """Named by -c, it is not looked for elsewhere."""
    words = (name,) if name in FACTLESS | {"check"} else (*DONE[name], "--json")
    result = CliRunner().invoke(cli, [*words, "-c", "none.toml"])
    assert result.exit_code == 2
    assert "none.toml" in result.stderr or "none.toml" in result.stdout


@pytest.mark.parametrize("name", sorted(DONE.keys() - ALONE))
def test_a_daemon_that_is_away_is_status_3(name: str, empty: Path) -> None:
    """And the reason as JSON."""
    status, facts = run(*DONE[name], "--control", str(empty / "none.sock"))
    assert status == 3
    assert facts["error"].startswith("no dnslb runs here")


def test_a_bad_file_is_status_2_for_a_reload(dnslb: Dnslb, daemon: FakeDaemon) -> None:
    """As for `dnslb check`, though it is the daemon that says so."""
    daemon.operator.wrong = ["dnslb.toml:1: no"]
    assert dnslb("reload").exit_code == 2
