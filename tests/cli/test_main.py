"""The group of commands: exit statuses, where the daemon is looked for, and a fast start."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from dnslb import __version__
from dnslb.cli import main as main_module
from dnslb.cli.main import cli
from dnslb.cli.options import DEFAULT_PATHS
from dnslb.config import loading
from dnslb.server import engine

if TYPE_CHECKING:
    from tests.cli.conftest import Dnslb, FakeDaemon

COMMANDS = list(main_module._COMMANDS)  # noqa: SLF001 -- each of them is tried
TO_DAEMON = ["status", "pool", "drain", "ready", "maint", "weight", "probe", "explain", "plan", "reload", "events"]
WITHOUT_CONFIGURATION = {"completion", "man"}
WORDS = {"drain": ["a/b"], "ready": ["a/b"], "maint": ["a/b"], "weight": ["a/b", "1"], "probe": ["a/b"]}
WORDS |= {"explain": ["a.test"], "plan": ["--drain", "a/b"]}


def run(*words: str) -> Result:
    """Run one command."""
    return CliRunner().invoke(cli, words)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to an empty directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "demo"])
def test_each_command_explains_itself_with_an_example(command: str) -> None:
    """--help works for each, and shows how to type it; it names -c where there is a configuration to read."""
    result = run(command, "--help")
    assert result.exit_code == 0
    assert ("-c FILE" in result.output) is (command not in WITHOUT_CONFIGURATION)
    assert f"dnslb {command}" in result.output.partition("Example")[2]


def test_help_lists_the_commands_without_importing_them() -> None:
    """The group's help has one line for each."""
    result = run("--help")
    assert result.exit_code == 0
    assert all(f"\n  {command} " in result.output for command in COMMANDS)


def test_a_mistyped_command_gets_the_likely_one() -> None:
    """Exit status 2, and a guess."""
    result = run("statsu")
    assert result.exit_code == 2
    assert "There is no command 'statsu'. Did you mean 'status'?" in result.stderr


@pytest.mark.parametrize("command", TO_DAEMON)
def test_without_a_daemon_the_status_is_3(tmp_path: Path, command: str) -> None:
    """Each command that asks the daemon says where it looked and what to do."""
    result = run(command, *WORDS.get(command, []), "--control", str(tmp_path / "none.sock"))
    assert result.exit_code == 3
    assert result.stderr.startswith(
        f"Error: no dnslb runs here: there is no socket {tmp_path}/none.sock; start it with"
    )


@pytest.mark.parametrize("command", [*TO_DAEMON, "run"])
@pytest.mark.usefixtures("empty")
def test_without_a_configuration_the_status_is_2(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """The places where it was looked for are named."""
    monkeypatch.setattr("dnslb.cli.options.DEFAULT_PATHS", (Path("dnslb.toml"), Path("elsewhere/dnslb.toml")))
    result = run(command, *WORDS.get(command, []))
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: no configuration found: looked for dnslb.toml and elsewhere/dnslb.toml; name yours with -c FILE,"
        " or have `dnslb setup` write one\n"
    )


@pytest.mark.parametrize("command", [*TO_DAEMON, "run"])
def test_a_configuration_that_is_not_there_is_said_so(command: str, empty: Path) -> None:
    """-c does not fall back to another place."""
    (empty / "dnslb.toml").write_text("")
    result = run(command, *WORDS.get(command, []), "-c", "mine.toml")
    assert (result.exit_code, result.stderr) == (2, "Error: there is no configuration file mine.toml\n")


@pytest.mark.parametrize("words", [("-c", "etc/dnslb.toml"), ()])
def test_a_configuration_behind_a_closed_door_is_said_so(
    words: tuple[str, ...], empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may not look into /etc/dnslb: a sentence with the way out, named or not."""
    closed = empty / "etc"

    def denied(path: Path, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("dnslb.cli.options.DEFAULT_PATHS", (closed / "dnslb.toml",))
    monkeypatch.setattr(Path, "stat", denied)
    result = run("status", *words)
    assert result.exit_code == 2
    assert result.stderr.endswith("etc/dnslb.toml cannot be read: Permission denied (try sudo)\n")


def test_the_places_are_those_of_the_configuration() -> None:
    """The commands look where the daemon looks."""
    assert loading.DEFAULT_PATHS == DEFAULT_PATHS


SOCKETS = {
    "": "etc/state/control.sock",
    '[server]\nstate = "/var/x"': "/var/x/control.sock",
    '[server]\ncontrol = "run/c.sock"': "etc/run/c.sock",
    '[server]\nstate = "/var/x"\ncontrol = "/run/c.sock"': "/run/c.sock",
    '[zone.x]\nfile = "x"\n[server]\nlisten = [\n[\n]]\ncontrol = "/run/c.sock"\n[pool.x]\n': "/run/c.sock",
    'text = """\n[server]\ncontrol = "no"\n"""\n[server]\ncontrol = "/run/c.sock"\n': "/run/c.sock",
    'server = { control = "/run/c.sock" }\n[pool.x]\n': "/run/c.sock",
    '[pool.x]\nserver = "no"\n': "etc/state/control.sock",
    '[server]\ncontrol = "/run/c.sock"\n[pool': "/run/c.sock",
}


@pytest.mark.parametrize("text", SOCKETS)
def test_the_socket_is_found_by_the_configuration(text: str, empty: Path) -> None:
    """Paths are relative to the file; the socket is in the state directory unless it is named."""
    (empty / "etc").mkdir()
    (empty / "etc" / "dnslb.toml").write_text(text)
    assert f"there is no socket {SOCKETS[text]};" in run("status", "-c", "etc/dnslb.toml").stderr


def test_the_configuration_of_this_directory_is_the_default(empty: Path, daemon: "FakeDaemon") -> None:
    """No option is needed where the daemon was started."""
    (empty / "dnslb.toml").write_text(f'[server]\ncontrol = "{daemon.path}"')
    assert run("status", "--json").exit_code == 0


@pytest.mark.parametrize("text", ["[server", "server = 1", "[server]\ncontrol = 1", "\xff"])
def test_a_broken_configuration_is_said_so(text: str, empty: Path) -> None:
    """Exit status 2, and the way round it."""
    (empty / "dnslb.toml").write_bytes(text.encode("latin-1"))
    result = run("status")
    assert result.exit_code == 2
    assert "dnslb.toml does not say where the control socket is" in result.stderr
    assert "name it with --control" in result.stderr


def test_reload_says_what_has_changed(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """The answers or not, the generation, and each warning on a line. A probe that has changed is in use either way."""
    assert dnslb("reload").output.splitlines() == [
        "reloaded, and the answers have changed (generation 8)",
        "warning: zone lb.example.org has one name server only",
    ]
    assert json.loads(dnslb("reload", "--json").stdout)["changed"] is True
    assert len(daemon.operator.asked) == 2
    daemon.operator.changes = False
    assert dnslb("reload").output.startswith("reloaded, and the answers are as before (generation 8)\n")


def test_a_reload_of_a_bad_file_shows_every_error(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Exit status 2, as for dnslb check."""
    daemon.operator.wrong = ["dnslb.toml:3: server.wokers = 2: unknown key", "lb.zone:9: out of zone"]
    result = dnslb("reload")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "Error: the configuration has 2 errors, and nothing was changed",
        "dnslb.toml:3: server.wokers = 2: unknown key",
        "lb.zone:9: out of zone",
    ]


@pytest.mark.parametrize(
    ("words", "status", "facts"),
    [
        (("pool", "inbuond"), 1, {"code": "not_found", "known": ["inbound"], "close": ["inbound"]}),
        (("probe", "inbound/mx3"), 1, {"code": "not_found", "known": ["mx1", "mx2"], "close": ["mx2", "mx1"]}),
        (("reload",), 2, {"code": "config", "problems": ["a.toml:1: no"]}),
    ],
)
def test_a_program_is_told_why_not(
    dnslb: "Dnslb", daemon: "FakeDaemon", words: tuple[str, ...], status: int, facts: dict[str, object]
) -> None:
    """As JSON on standard output, beside the exit status and the sentence for people."""
    daemon.operator.wrong = ["a.toml:1: no"]
    result = dnslb(*words, "--json")
    assert result.exit_code == status
    found = json.loads(result.stdout)
    assert found.pop("error") in result.stderr
    assert found == facts


def test_a_program_is_told_that_no_daemon_answers(tmp_path: Path) -> None:
    """It has no code: that is the daemon's word."""
    result = run("status", "--json", "--control", str(tmp_path / "none.sock"))
    assert result.exit_code == 3
    assert list(json.loads(result.stdout)) == ["error"]


def test_version_shows_command_and_daemon(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """They may differ, and a person has to see it; the daemon's optional parts are those of its machine."""
    lines = dnslb("version").output.splitlines()
    assert lines[0].startswith(f"dnslb {__version__} (Python {sys.version_info.major}.")
    assert f"; engine: {engine.describe()}; " in lines[0]
    assert lines[1] == "daemon: 0.0.9 (Python 3.11.0; engine: C extension; no optional parts)"
    assert json.loads(dnslb("version", "--json").stdout)["daemon"]["version"] == "0.0.9"
    daemon.operator.parts["steering"] = True
    assert dnslb("version").output.splitlines()[1] == "daemon: 0.0.9 (Python 3.11.0; engine: C extension; steering)"


def test_version_needs_no_daemon(empty: Path) -> None:
    """Without a configuration or a daemon the command still knows its own; only a named socket must answer."""
    assert run("version").output.splitlines()[1] == "daemon: not running here"
    (empty / "dnslb.toml").write_text("")
    assert json.loads(run("version", "--json").stdout)["daemon"] is None
    assert run("version", "-c", "dnslb.toml").exit_code == 0
    assert run("version", "--control", "none.sock").exit_code == 3
    assert run("version", "-c", "none.toml").exit_code == 2


HEAVY = ("pydantic", "dns", "dnslib", "aiohttp", "rich", "asyncio", "structlog", "prometheus_client")


def test_a_question_to_the_daemon_imports_little(daemon: "FakeDaemon") -> None:
    """A command that a person waits for does not load what only the daemon needs."""
    code = (
        "import sys; from dnslb.cli.main import cli; cli(standalone_mode=False); print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "status", "--control", str(daemon.path)]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stderr.split()
    assert "dnslb.control.client" in loaded
    assert not set(HEAVY) & set(loaded)


def test_the_module_is_the_command(daemon: "FakeDaemon") -> None:
    """`python -m dnslb` does what dnslb does, and its output is plain where there is no terminal."""
    command = [sys.executable, "-m", "dnslb", "status", "--control", str(daemon.path)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert shown.startswith("dnslb 0.1.0, generation 7")
    assert "\x1b" not in shown


def test_a_terminal_without_unicode_gets_plain_letters(daemon: "FakeDaemon") -> None:
    """The bar is made of # there, and what cannot be shown is spelled out instead of an error."""
    daemon.operator.member("inbound", "mx1")["reason"] = "déjà vu"
    command = [sys.executable, "-m", "dnslb", "pool", "inbound", "--control", str(daemon.path)]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    shown = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    assert "50%  #####  " in shown
    assert "d\\xe9j\\xe0 vu" in shown


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals_that_want_them(
    daemon: "FakeDaemon", monkeypatch: pytest.MonkeyPatch, no_color: str, *, coloured: bool
) -> None:
    """A state has a colour on a terminal, unless NO_COLOR is set."""
    monkeypatch.setenv("NO_COLOR", no_color)
    result = CliRunner().invoke(cli, ["status", "--control", str(daemon.path)], color=True)
    assert ("\x1b[32mup\x1b[0m" in result.output) is coloured
