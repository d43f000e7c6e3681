"""Shell completion: what is offered where, from whom it is known, and how little it takes. Real shells are in e2e."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from dnslb.cli.main import _COMMANDS, cli

if TYPE_CHECKING:
    from tests.cli.conftest import FakeDaemon

CONFIG = """
[server]
control = "none.sock"
[[pool.inbound.member]]
name = "mx7"
weight = 3
[[pool.inbound.member]]
name = "mx8"
[[service]]
name = "mx.lb.example.org"
[[service]]
name = "mx.lb.example.org"
"""


def offered(*words: str) -> list[str]:
    """Return what the last of the words, which is being typed, can become."""
    complete = ShellComplete(cli, {}, "dnslb", "_DNSLB_COMPLETE")
    return [item.value for item in complete.get_completions(list(words[:-1]), words[-1])]


def test_commands_are_those_of_the_table() -> None:
    """All of them, or those that begin so; options after a hyphen; nothing behind a command that there is not."""
    assert offered("") == list(_COMMANDS)
    assert offered("dr") == ["drain"]
    assert "--version" in offered("--v")
    assert offered("drainn", "x") == offered("", "--", "y") == []


def test_options_of_a_command() -> None:
    """And the shells, which are its words."""
    assert {"--reason", "--wait", "--control", "--json"} <= set(offered("drain", "--"))
    assert offered("completion", "") == ["bash", "zsh", "fish"]


@pytest.mark.parametrize(
    "words",
    [
        *(("drain",), ("ready",), ("maint",), ("weight",), ("probe",)),
        *(("drain", "--reason", "x"), ("plan", "--drain"), ("plan", "--down")),
    ],
)
def test_members_of_the_running_daemon(daemon: "FakeDaemon", words: tuple[str, ...]) -> None:
    """Wherever one is wanted."""
    command, *rest = words
    assert offered(command, "--control", str(daemon.path), *rest, "") == ["inbound/mx1", "inbound/mx2"]
    assert offered(command, "--control", str(daemon.path), *rest, "inbound/mx2") == ["inbound/mx2"]
    assert offered(command, "--control", str(daemon.path), *rest, "relay") == []


def test_other_names_of_the_running_daemon(daemon: "FakeDaemon") -> None:
    """Pools, services once each, and members with the weight of now, to be changed."""
    at = ("--control", str(daemon.path))
    assert offered("pool", *at, "in") == offered("events", *at, "--pool", "") == ["inbound"]
    assert offered("explain", *at, "") == ["mx.lb.example.org"]
    assert offered("plan", *at, "--weight", "inbound/mx1") == ["inbound/mx1=50"]


def test_members_are_told_apart(daemon: "FakeDaemon") -> None:
    """Where a shell shows more than words, it says how they are."""
    daemon.operator.member("inbound", "mx1")["admin"] = "drain"
    complete = ShellComplete(cli, {}, "dnslb", "_DNSLB_COMPLETE")
    found = complete.get_completions(["ready", "--control", str(daemon.path)], "")
    assert [item.help for item in found] == ["drain, up", "ready, up"]


def test_without_a_daemon_the_configuration_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of -c, or that of this directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dnslb.toml").write_text(CONFIG)
    assert offered("drain", "") == ["inbound/mx7", "inbound/mx8"]
    assert offered("plan", "--weight", "") == ["inbound/mx7=3", "inbound/mx8=1"]
    assert offered("simulate", "mx") == ["mx.lb.example.org"]
    (tmp_path / "dnslb.toml").rename(tmp_path / "other.toml")
    assert offered("drain", "-c", "other.toml", "") == ["inbound/mx7", "inbound/mx8"]


@pytest.mark.parametrize("text", [None, "[server", "pool = 1", "[pool]\nx = 1", "[[pool.x.member]]\n", "\xff"])
def test_what_cannot_be_read_offers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    """And says nothing: whoever is typing wants no errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dnslb.cli.options.DEFAULT_PATHS", (Path("dnslb.toml"),))
    if text is not None:
        (tmp_path / "dnslb.toml").write_bytes(text.encode("latin-1"))
    assert offered("drain", "") == []
    assert offered("drain", "--control", "none.sock", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It calls dnslb, and needs no shell to be made: packages are built without one."""
    monkeypatch.setenv("PATH", "/nowhere")
    result = CliRunner().invoke(cli, ["completion", shell])
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"_DNSLB_COMPLETE={shell}_complete" in result.stdout


def test_an_unknown_shell_is_a_mistake() -> None:
    """Exit status 2, and those that there are."""
    result = CliRunner().invoke(cli, ["completion", "tcsh"])
    assert result.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in result.stderr


HEAVY = ("pydantic", "dns", "dnslib", "aiohttp", "rich", "asyncio", "structlog", "prometheus_client", "dnslb.cli.top")


@pytest.mark.parametrize(("words", "found"), [("dnslb ", "drain"), ("dnslb drain --control {socket} ", "inbound/mx1")])
def test_a_key_is_answered_soon(daemon: "FakeDaemon", words: str, found: str) -> None:
    """Nothing is imported that only the daemon or a picture needs, and no other command."""
    code = (
        "import sys, atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"
        "from dnslb.cli.main import main; main()"
    )
    typed = words.format(socket=daemon.path)
    environment = {"_DNSLB_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    assert f"plain,{found}" in done.stdout.splitlines()
    assert not set(HEAVY) & set(done.stderr.split())
