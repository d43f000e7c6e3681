"""Manual pages: what --help says, in a form that man reads."""

import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dnslb.cli.main import cli
from dnslb.cli.manpage import letters, pages, running
from tests.e2e.processes import program

PAGES = pages(cli.make_context("dnslb", ["man"], resilient_parsing=True))


def section(page: str, title: str) -> list[str]:
    """Return the lines of a section."""
    return PAGES[page].partition(f".SH {title}\n")[2].partition("\n.SH ")[0].splitlines()


def test_the_program_and_each_command_have_a_page() -> None:
    """And each page leads to the others."""
    names = cli.list_commands(click.Context(cli))
    assert list(PAGES) == ["dnslb", *(f"dnslb-{name}" for name in names)]
    assert section("dnslb-drain", "SEE ALSO") == [r"\fBdnslb\fP(1)"]
    assert [line.partition("(")[0] for line in section("dnslb", "SEE ALSO")] == [
        rf"\fBdnslb\-{name}\fP" for name in names
    ]


def test_a_page_says_what_the_help_says() -> None:
    """Its name, how it is called, what it does, each option, and examples that can be copied."""
    assert section("dnslb-ready", "NAME") == [r"dnslb\-ready \- Put a member back: from now on its probes decide"]
    assert section("dnslb-ready", "SYNOPSIS") == [".B dnslb ready", "[OPTIONS] POOL/MEMBER"]
    assert section("dnslb-ready", "DESCRIPTION") == ["Put a member back: from now on its probes decide."]
    assert section("dnslb-ready", "EXAMPLES") == [".nf", "dnslb ready inbound/mx1", ".fi"]
    options = section("dnslb-ready", "OPTIONS")
    assert options[:3] == [".TP", r".B \-\-reason TEXT", r"Why: others see it in \fBdnslb events\fP."]
    assert r".B \-h, \-\-help" in options
    assert section("dnslb-drain", "EXAMPLES")[2] == r"dnslb drain inbound/mx1 \-\-wait && ssh mx1 reboot"


def test_the_page_of_the_program_has_the_commands_and_the_statuses() -> None:
    """Each with one sentence."""
    commands = section("dnslb", "COMMANDS")
    assert commands[commands.index(".B drain") + 1].startswith("Take a member out of the answers")
    assert section("dnslb", "EXIT STATUS")[0].startswith("0 done, 1 the thing asked for failed, 2 ")
    assert ".nf" in section("dnslb", "DESCRIPTION")


def test_letters_stay_as_they_are() -> None:
    """What could be a request, an escape or a typographer's quote is none."""
    assert letters(".TH") == r"\&.TH"
    assert letters("'a\\b'") == r"\(aqa\eb\(aq"
    assert running("say `a-b` or .c") == r"say \fBa\-b\fP or .c"


def test_pages_are_written(tmp_path: Path) -> None:
    """Into a directory that is made if it is missing."""
    where = tmp_path / "man" / "man1"
    result = CliRunner().invoke(cli, ["man", str(where)], prog_name="dnslb")
    assert (result.exit_code, result.output) == (0, f"wrote {len(PAGES)} pages into {where}\n")
    assert {path.name: path.read_text() for path in where.iterdir()} == {f"{name}.1": PAGES[name] for name in PAGES}


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Exit status 1, and why."""
    (tmp_path / "dnslb.1").mkdir()
    result = CliRunner().invoke(cli, ["man", str(tmp_path)])
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path}/dnslb.1 cannot be written: Is a directory\n")


@pytest.mark.e2e
def test_mandoc_finds_no_errors(tmp_path: Path) -> None:
    """A reader of manual pages that is strict understands all of them; they have no date, which it only warns of."""
    assert CliRunner().invoke(cli, ["man", str(tmp_path)], prog_name="dnslb").exit_code == 0
    command = [program("mandoc"), "-T", "lint", "-W", "warning", *map(str, tmp_path.iterdir())]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    assert [line for line in found if "missing date" not in line] == []
