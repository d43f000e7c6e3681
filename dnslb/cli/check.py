"""`dnslb check`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from dnslb.cli.options import config_option, json_option
from dnslb.cli.output import ReaderGone, emit, emit_json, plain

if TYPE_CHECKING:
    from pathlib import Path

    from dnslb.config import Problem, Settings

_WRONG = 2
"""The exit status of a wrong configuration."""


@click.command
@config_option
@json_option
def check(config: Path | None, *, as_json: bool) -> None:
    """Check the configuration and its zones.

    Nothing running is touched. If something is wrong, every error is named with file and line, and the exit status
    is 2.

    Example: dnslb check -c dnslb.toml
    """
    # pydantic and dnspython are read only here: no other command shall wait for them.
    from dnslb.config import ConfigError, find, load  # noqa: PLC0415  # see above

    try:
        settings = load(find(config))
    except ConfigError as error:
        with suppress(ReaderGone):
            _show_problems(error.problems, as_json=as_json)
        raise click.exceptions.Exit(_WRONG) from None
    _show_settings(settings, as_json=as_json)


def _show_problems(problems: tuple[Problem, ...], *, as_json: bool) -> None:
    if as_json:
        emit_json({"ok": False, "errors": [asdict(problem) for problem in problems], "warnings": []})
        return
    for problem in problems:
        click.echo(plain(str(problem)), err=True)
    click.echo(_count(len(problems), "error"), err=True)


def _show_settings(settings: Settings, *, as_json: bool) -> None:
    if as_json:
        emit_json({"ok": True, "errors": [], "warnings": list(settings.warnings)})
        return
    parts = (
        _count(len(settings.zones), "zone"),
        _count(len(settings.pools), "pool"),
        _count(sum(len(pool.members) for pool in settings.pools.values()), "member"),
        _count(len(settings.services), "service"),
    )
    emit(f"{settings.path}: ok, {', '.join(parts)}")
    for warning in settings.warnings:
        emit(plain(f"warning: {warning}"))


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
