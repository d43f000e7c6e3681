"""The README is what users type from and believe: its commands, files and tables say what the program says."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from dnslb import config
from dnslb.cli.main import cli
from dnslb.cli.setup import reading
from dnslb.config import schema
from dnslb.metrics import MemberReading, Metrics, PoolReading, Reading
from dnslb.pool.health import ProbeResult, Verdict
from dnslb.probe.verdict import EFFECTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel

_ROOT = Path(__file__).parents[1]
_README = (_ROOT / "README.md").read_text(encoding="utf-8")

_TABLES: dict[str, tuple[type[BaseModel], ...]] = {
    "[server]": (schema.ServerTable,),
    "[server.rate_limit]": (schema.RateLimitTable,),
    '[zone."lb.example.org"]': (schema.ZoneTable,),
    "[probe.NAME]": (schema.ProbeTable,),
    "[pool.NAME]": (schema.PoolTable,),
    "[[pool.NAME.member]]": (schema.MemberTable,),
    "[view.NAME]": (schema.ViewTable,),
    "[[notify]]": (schema.NotifyTable,),
    "[[service]]": (schema.ServiceTable, schema.SpfTable),
}


def _section(title: str) -> str:
    """Return the text below a heading of the second level."""
    return re.split(r"^## ", _README.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def _first_cells(table: str) -> list[str]:
    """Return the words in backquotes of a table's first column."""
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    return [word for cell in rows for word in re.findall(r"`([^`]+)`", cell)]


def _files() -> dict[str, str]:
    """Return the files that the README tells its reader to save."""
    found = re.findall(r"<!-- file: (\S+) -->\n```\w*\n(.*?)^```$", _README, re.DOTALL | re.MULTILINE)
    return dict(found)


def _reading() -> Reading:
    pool = PoolReading(
        panic=False,
        members={"mx1": MemberReading(up=True, published=True, share=1.0, weight=1, state="up", admin="ready")},
    )
    return Reading(
        {("udp", "A", "NOERROR"): 1}, {"short": 0}, 1, {"inbound": pool}, limited={"dropped": 0}, closed={"idle": 0}
    )


def _metric_names() -> set[str]:
    metrics = Metrics(_reading)
    metrics.probe_finished("inbound", "mx1", ProbeResult(Verdict.OK, "", EFFECTS[Verdict.OK], 1.0, 0.01, 0.0), 0.0)
    return set(re.findall(r"^# TYPE (\S+)", metrics.exposition().decode(), re.MULTILINE))


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """What .ci/run cuts out of the README is the one command shown there, and that runs pytest."""
    script = (_ROOT / ".ci" / "run").read_text(encoding="utf-8")
    cut = re.search(r"^test_command=\$\((.*)\)$", script, re.MULTILINE)
    assert cut is not None
    shown = re.findall(r"^<!-- test-command -->\n```sh\n(.*?)^```$", _README, re.DOTALL | re.MULTILINE)
    found = subprocess.run(shlex.split(cut[1]), cwd=_ROOT, capture_output=True, text=True, check=True)
    assert [found.stdout] == shown
    assert found.stdout.rstrip().endswith("-m pytest")


def test_the_first_configuration_is_right_as_pasted(tmp_path: Path) -> None:
    """The files of the walk load without an error or a warning."""
    for name, text in _files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    settings = config.load(tmp_path / "dnslb.toml")
    assert not settings.warnings
    assert [member.name for member in settings.pools["inbound"].members] == ["mx1", "mx2"]


def test_the_first_configuration_can_have_a_view(tmp_path: Path) -> None:
    """What is to be added to it for that is right too."""
    for name, text in _files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (added,) = re.findall(r"<!-- at the end of: dnslb.toml -->\n```toml\n(.*?)^```$", _README, re.DOTALL | re.MULTILINE)
    text = _files()["dnslb.toml"].replace("[server]\n", '[server]\necs_resolvers = ["127.0.0.1"]\n')
    (tmp_path / "dnslb.toml").write_text(text + added, encoding="utf-8")
    settings = config.load(tmp_path / "dnslb.toml")
    assert not settings.warnings
    assert [service.view for service in settings.services] == ["", "", "internal"]


def test_the_first_configuration_stays_on_this_machine(tmp_path: Path) -> None:
    """Whoever pastes the walk listens on and probes loopback addresses alone."""
    for name, text in _files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    settings = config.load(tmp_path / "dnslb.toml")
    probed = [address for target in settings.targets for address in target.addresses]
    assert all(address.is_loopback for address in [*probed, *(where.host for where in settings.server.listen)])


_BASE = """
[server]
listen = ["127.0.0.1:5300"]
[zone."lb.example.org"]
file = "lb.example.org.zone"
"""
_INBOUND = """
[pool.inbound]
probe = "inbound"
[[service]]
name = "mx.lb.example.org"
type = "address"
pool = "inbound"
"""


def _examples(title: str) -> list[str]:
    """Return the pieces of a configuration that a section shows."""
    return re.findall(r"^```toml\n(.*?)^```$", _section(title), re.DOTALL | re.MULTILINE)


def test_what_both_uses_show_can_be_configured(tmp_path: Path) -> None:
    """Each piece, with what it takes for granted, loads without an error or a warning."""
    (verified,) = _examples("Use 1: mail from the world")
    relay, companions, spf = _examples("Use 2: a relay host name for your applications")
    without_service = relay.partition("[[service]]")[0]
    (tmp_path / "lb.example.org.zone").write_text(_files()["lb.example.org.zone"], encoding="utf-8")
    for text in (_INBOUND + verified, relay, without_service + companions, relay + spf):
        (tmp_path / "dnslb.toml").write_text(_BASE + text, encoding="utf-8")
        assert not config.load(tmp_path / "dnslb.toml").warnings


def test_the_setup_that_is_shown_writes_what_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dnslb setup` with the options of the README, on a machine that has the address."""
    (shown,) = re.findall(r"^dnslb (setup --yes .*?)^```$", _README, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reading, "is_here", lambda _address: True)
    done = CliRunner().invoke(cli, shlex.split(shown.replace("\\\n", " ")))
    assert done.exit_code == 0, done.stderr
    settings = config.load(tmp_path / "dnslb.toml")
    assert [str(where) for where in settings.server.listen] == ["192.0.2.1:53"]
    assert [len(target.addresses) for target in settings.targets] == [2, 2]


@pytest.mark.parametrize("table", _TABLES)
def test_the_reference_names_exactly_the_keys_that_are_read(table: str) -> None:
    """Each table of the configuration has a row for each of its keys, and no other."""
    text = _section("Configuration").partition(f"\n`{table}`")[2]
    rows = re.search(r"^\|.*?(?=\n\n)", text, re.DOTALL | re.MULTILINE)
    assert rows is not None
    fields = [field for model in _TABLES[table] for field in model.model_fields.items()]
    keys = {field.alias or name for name, field in fields} - {"member"}  # a table of its own
    assert sorted(_first_cells(rows[0])) == sorted(keys)


def test_the_table_of_commands_is_that_of_the_program() -> None:
    """Each command stands in the README, and each that stands there exists."""
    shown = [word.split()[1] for word in _first_cells(_section("Commands"))]
    assert sorted(shown) == sorted(cli.list_commands(click.Context(cli)))


def test_the_table_of_metrics_is_that_of_the_program() -> None:
    """Each series that Prometheus gets stands in the README, and each that stands there exists."""
    assert set(_first_cells(_section("Metrics"))) == _metric_names()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(?!\./)([\w.]+/[\w./]*)`", _README))))
def test_files_that_the_readme_names_are_there(path: str) -> None:
    """A path in the README leads somewhere, in the checkout or in the package."""
    assert (_ROOT / path).exists() or (_ROOT / "dnslb" / path).exists()


def test_links_within_the_readme_lead_somewhere() -> None:
    """To a heading, by the name that it has on the web: in small letters, without punctuation, hyphens for spaces."""
    text = re.sub(r"^```.*?^```$", "", _README, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    names = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= names


def test_the_unit_and_the_user_agree() -> None:
    """The systemd unit runs as the user that the sysusers file makes."""
    unit = (_ROOT / "deploy" / "dnslb.service").read_text(encoding="utf-8")
    users = (_ROOT / "deploy" / "dnslb.sysusers").read_text(encoding="utf-8")
    assert _settings(unit.splitlines(), "User=") == _settings(users.splitlines(), "u ")


def test_the_unit_allows_the_descriptors_of_thousands_of_members() -> None:
    """Few systems give a service more than 1024 by themselves."""
    unit = (_ROOT / "deploy" / "dnslb.service").read_text(encoding="utf-8")
    assert _settings(unit.splitlines(), "LimitNOFILE=") == ["65536"]


def _settings(lines: Iterable[str], start: str) -> list[str]:
    return [line.removeprefix(start).split()[0] for line in lines if line.startswith(start)]
