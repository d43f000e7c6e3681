"""`dnslb version`."""

import platform
import sqlite3
from pathlib import Path
from typing import Any

import click

from dnslb import __version__
from dnslb.cli.options import Daemon, config_option, control_of, control_option, errors_shown, find_config, json_option
from dnslb.cli.output import emit, emit_json
from dnslb.server import engine


@click.command
@config_option
@control_option
@json_option
def version(config: Path | None, control: Path | None, *, as_json: bool) -> None:
    """Show the version of this command and of the running daemon.

    They differ after an upgrade until the daemon is restarted. Without a daemon it shows the command's alone, unless
    you name one with --control. The engine is what answers over UDP: a C extension, or Python and why that.

    Example: dnslb version
    """
    own = {
        "version": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "engine": engine.describe(),
        "parts": {},
    }
    with errors_shown(as_json=as_json):
        running = _running(config, control)
    if as_json:
        emit_json({**own, "daemon": running})
        return
    emit(f"dnslb {__version__} (Python {own['python']}, SQLite {own['sqlite']}; {_engine(own)}; no optional parts)")
    emit(_daemon(running) if running else "daemon: not running here")


def _daemon(running: dict[str, Any]) -> str:
    """Return what runs."""
    parts = [name for name, active in running["parts"].items() if active]
    described = f"Python {running['python']}; {_engine(running)}; {', '.join(parts) or 'no optional parts'}"
    return f"daemon: {running['version']} ({described})"


def _engine(of: dict[str, Any]) -> str:
    """Return what answers over UDP; a daemon that does not say so is of a version that has Python alone."""
    return f"engine: {of.get('engine', 'Python')}"


def _running(config: Path | None, control: Path | None) -> dict[str, Any] | None:
    if control is not None or config is not None:
        return _version_of(control or control_of(find_config(config)), must_run=control is not None)
    try:
        return _version_of(control_of(find_config(None)), must_run=False)
    except click.ClickException:
        return None


def _version_of(control: Path, *, must_run: bool) -> dict[str, Any] | None:
    try:
        answer: dict[str, Any] = Daemon(control).ask("version")
    except click.ClickException:
        if must_run:
            raise
        return None
    return answer
