"""`dnslb check`: what it prints, where, and how it exits."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dnslb.cli.check import check

EXAMPLE = Path(__file__).parents[2] / "zones" / "dnslb.toml"


def test_a_right_configuration_is_summed_up_in_one_line() -> None:
    """The example pair is right: one line on standard output, exit status 0."""
    result = CliRunner().invoke(check, ["-c", str(EXAMPLE)])
    assert result.exit_code == 0
    assert result.stdout == f"{EXAMPLE}: ok, 1 zone, 1 pool, 4 members, 3 services\n"
    assert result.stderr == ""


def test_errors_go_one_a_line_to_standard_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each error has a line of its own, the last line counts them, and the exit status is 2."""
    monkeypatch.chdir(tmp_path)
    Path("dnslb.toml").write_text('[zone."a.example"]\nfile = "a.zone"\n[server]\nworkers = -1\n')
    result = CliRunner().invoke(check)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        'dnslb.toml:2: zone."a.example".file = "a.zone": cannot read a.zone: No such file or directory',
        'dnslb.toml:4: server.workers = -1: expected "auto" (one per CPU core) or a number from 1 to 256',
        "2 errors",
    ]


def test_errors_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs get the parts of each error, and the same exit status."""
    monkeypatch.chdir(tmp_path)
    Path("dnslb.toml").write_text("[zone]\n[server]\nworkers = -1\n")
    result = CliRunner().invoke(check, ["--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "ok": False,
        "errors": [
            {
                "file": "dnslb.toml",
                "line": 3,
                "key": "server.workers",
                "value": "-1",
                "message": 'expected "auto" (one per CPU core) or a number from 1 to 256',
            }
        ],
        "warnings": [],
    }


def test_warnings_do_not_fail_the_check(tmp_path: Path) -> None:
    """A warning is shown, as text and as JSON, and the exit status stays 0."""
    path = tmp_path / "dnslb.toml"
    path.write_text(EXAMPLE.read_text() + '[probe.spare]\nkind = "smtp"\n')
    (tmp_path / "lb.example.org.zone").write_text((EXAMPLE.parent / "lb.example.org.zone").read_text())
    line = path.read_text().count("\n") - 1
    warning = f"{path}:{line}: probe.spare: no pool uses this probe"
    text = CliRunner().invoke(check, ["-c", str(path)])
    assert (text.exit_code, text.stdout.splitlines()[1:]) == (0, [f"warning: {warning}"])
    as_json = CliRunner().invoke(check, ["-c", str(path), "--json"])
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (0, {"ok": True, "errors": [], "warnings": [warning]})
