"""`dnslb check`: are the configuration and its zones right?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnslb.cli.options import config_option, json_option

if TYPE_CHECKING:
    from dnslb.config import Problem, Settings

USAGE_ERROR = 2


@click.command()
@config_option
@json_option
def check(config_path: Path | None, *, as_json: bool) -> None:
    """Validate the configuration and its zones; exit 2 and name every error if one is wrong."""
    # Reading takes pydantic and dnspython, which other commands should not wait for.
    from dnslb.config import ConfigError, find, load  # noqa: PLC0415  # see above

    try:
        settings = load(find(config_path))
    except ConfigError as error:
        _report_problems(error.problems, as_json=as_json)
        raise click.exceptions.Exit(USAGE_ERROR) from None
    _report_settings(settings, as_json=as_json)


def _report_problems(problems: tuple[Problem, ...], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"ok": False, "errors": [asdict(problem) for problem in problems], "warnings": []}))
        return
    for problem in problems:
        click.echo(str(problem), err=True)
    click.echo(f"{_count(len(problems), 'error')}; nothing was changed", err=True)


def _report_settings(settings: Settings, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"ok": True, "errors": [], "warnings": settings.warnings}))
        return
    for warning in settings.warnings:
        click.echo(f"warning: {warning}", err=True)
    parts = (
        _count(len(settings.zones), "zone"),
        _count(len(settings.pools), "pool"),
        _count(sum(len(pool.members) for pool in settings.pools.values()), "member"),
        _count(len(settings.services), "service"),
    )
    click.echo(f"{settings.path}: ok, {', '.join(parts)}")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
