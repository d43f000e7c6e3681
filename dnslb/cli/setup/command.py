"""The words `dnslb setup`, and what goes on behind them."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import click

from dnslb.cli.options import Failed, Misconfigured, errors_shown, json_option
from dnslb.cli.output import emit, emit_json, plain
from dnslb.cli.probe.waiting import waiting
from dnslb.cli.setup import reading
from dnslb.cli.setup.dialogue import Dialogue, Said, draft_of
from dnslb.cli.setup.draft import Draft, Use
from dnslb.cli.setup.following import parent_records, steps
from dnslb.cli.setup.trial import loaded, reports, texts
from dnslb.cli.setup.writing import write
from dnslb.config import ConfigError, Settings

_INTERRUPTED = 130
"""128 and the number of SIGINT, as a shell has it."""
_WIDTH = 79


@dataclass(frozen=True, slots=True)
class _How:
    """What the options say of the way to write; `probe` is None where it is to be asked."""

    config: str | None
    probe: bool | None
    force: bool
    as_json: bool


@click.command
@click.option("--use", metavar="USE", help=f"What for: {', '.join(Use)}.")
@click.option("--zone", metavar="NAME", help="The zone that dnslb answers for, as lb.example.org.")
@click.option("--domain", metavar="NAME", help="The domain of the mail.  [default: the one above the zone]")
@click.option("--ns", multiple=True, metavar="[NAME=]ADDRESS,...", help="This name server, then the second one.")
@click.option("--listen", metavar="ADDRESS[:PORT],...", help="Where to answer.  [default: at the first --ns, port 53]")
@click.option("--member", multiple=True, metavar="[NAME=]HOST|ADDRESS,...", help="A mail server.")
@click.option("--port", metavar="PORT", help="The mail servers' port.  [default: 25]")
@click.option("--relay", multiple=True, metavar="[NAME=]HOST|ADDRESS,...", help="A relay.  [default: each --member]")
@click.option("--relay-port", metavar="PORT", help="The relays' port.  [default: 587]")
@click.option("--probe/--no-probe", default=None, help="Look at all servers before; stop if one is not well.")
@click.option(
    "-c",
    "config",
    metavar="FILE",
    type=click.Path(),
    help="Where to write.  [default: dnslb.toml; the zone file beside it]",
)
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.option("--yes", "-y", is_flag=True, help="Ask nothing: what no option says is as usual.")
@json_option
def setup(  # noqa: PLR0913 -- one for each option
    *,
    use: str | None,
    zone: str | None,
    domain: str | None,
    ns: tuple[str, ...],
    listen: str | None,
    member: tuple[str, ...],
    port: str | None,
    relay: tuple[str, ...],
    relay_port: str | None,
    probe: bool | None,
    config: str | None,
    force: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Write a first configuration and its zone, by asking.

    What options say is not asked. Without a terminal, with --yes or with --json nothing is: then --use, --zone, --ns
    and --member are needed. Both files are checked as `dnslb check` does before they are written, and nothing is
    written that is wrong. At the end it says what else is to be done, with the records for the zone above.

    \b
    Example: dnslb setup
             dnslb setup --yes --use mail --zone lb.example.org \\
                 --ns 192.0.2.1 --ns 192.0.2.2 --probe \\
                 --member mx1.example.org --member mx2=192.0.2.12,2001:db8::12
    """  # noqa: D301 -- click's mark for a paragraph to be left as it is
    said = Said(use, zone, domain, ns, listen, member, port, relay, relay_port)
    asking = not (yes or as_json) and _somebody_is_there()
    try:
        with errors_shown(as_json=as_json):
            _set_up(said, Dialogue(asking), _How(config, probe, force, as_json))
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nNothing was written.", err=True)
        raise click.exceptions.Exit(_INTERRUPTED) from None


def _somebody_is_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _set_up(said: Said, dialogue: Dialogue, how: _How) -> None:
    draft = draft_of(said, dialogue)
    path = _path(draft, dialogue, how)
    settings = _loaded(draft, path)
    seen = _seen(settings, dialogue, how)
    written = texts(draft, path)
    try:
        write(written)
    except OSError as error:
        raise Failed(f"{error.filename} cannot be written: {error.strerror}") from error
    if how.as_json:
        emit_json(_facts(draft, path, list(written), settings, seen))
    else:
        _tell(draft, path, list(written), settings)


def _path(draft: Draft, dialogue: Dialogue, how: _How) -> Path:
    """Return where the configuration goes: over files that are there only if somebody wants that."""
    given = how.config
    while True:
        path = dialogue.ask("-c", "\nWhere to write", reading.path, given, "dnslb.toml")
        there = " and ".join(str(found) for found in texts(draft, path) if found.exists())
        if how.force or not there:
            return path
        if not dialogue.asking:
            raise Failed(f"{there}: there already; --force writes over it, -c FILE elsewhere")
        if click.confirm(f"{there}: there already. Write over it?", err=True):
            return path
        given = None


def _loaded(draft: Draft, path: Path) -> Settings:
    try:
        return loaded(draft, path)
    except ConfigError as error:
        problems = [str(problem) for problem in error.problems]
        raise Misconfigured("\n".join(["this cannot be a configuration:", *problems]), {"problems": problems}) from None


def _seen(settings: Settings, dialogue: Dialogue, how: _How) -> list[dict[str, Any]]:
    """Probe the servers if that is wanted. Raise Failed if one is not well, unless somebody wants to go on."""
    wanted = how.probe
    if wanted is None:
        wanted = dialogue.asking and click.confirm("Look at these servers now?", default=True, err=True)
    found = asyncio.run(_watched(settings, shown=not how.as_json)) if wanted else []
    bad = [report["target"] for report in found if not report["up"]]
    if not bad or (dialogue.asking and click.confirm("Write it all the same?", default=True, err=True)):
        return found
    raise Failed(f"nothing was written, since not all servers are well: {', '.join(bad)}", {"probes": found})


async def _watched(settings: Settings, *, shown: bool) -> list[dict[str, Any]]:
    """Return what all probes find, and show each as it comes."""
    names = [f"{target.pool}/{target.member}" for target in settings.targets]
    width = max(map(len, names))
    found: list[dict[str, Any]] = []
    coming = reports(settings)
    if shown:
        emit(f"{'SERVER':<{width}}  VERDICT")
    for name in names:
        with waiting(name):
            found.append(await anext(coming))
        if shown:
            emit(_row(found[-1], width))
    return found


def _row(report: dict[str, Any], width: int) -> str:
    """Return a server with its verdict; below it why it is not well, and what to do."""
    line = f"{report['target']:<{width}}  {report['verdict']}"
    if report["up"]:
        return line
    return f"{line}\n{_indented(plain(report['reason']))}\n{_indented(report['next'])}"


def _indented(text: str) -> str:
    return fill(text, _WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


def _facts(
    draft: Draft, path: Path, written: list[Path], settings: Settings, seen: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "config": str(path),
        "written": [str(each) for each in written],
        "warnings": list(settings.warnings),
        "probes": seen,
        "parent_records": parent_records(draft),
        "next": steps(draft, path),
    }


def _tell(draft: Draft, path: Path, written: list[Path], settings: Settings) -> None:
    emit(f"\nwrote {' and '.join(map(str, reversed(written)))}; `dnslb check` finds them right")
    for warning in settings.warnings:
        emit(_indented(plain(f"warning: {warning}")).lstrip())
    for number, step in enumerate(steps(draft, path), 1):
        emit(f"\n{number}. {step}")
