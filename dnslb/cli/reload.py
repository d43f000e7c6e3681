"""`dnslb reload`."""

import click

from dnslb.cli.options import Daemon, talks_to_daemon
from dnslb.cli.output import emit, emit_json

_TIMEOUT = 120.0
"""Seconds: large zones take a while to read."""


@click.command
@talks_to_daemon
def reload(daemon: Daemon, *, as_json: bool) -> None:
    """Read the configuration again, without a restart.

    Waits for the result. If the file or a zone is wrong, all errors are shown, nothing changes, and the exit status
    is 2.

    Example: dnslb reload
    """
    result = daemon.ask("reload", timeout=_TIMEOUT)
    if as_json:
        emit_json(result)
        return
    # A new way of probing is in use too, and changes no answer yet.
    answers = "have changed" if result["changed"] else "are as before"
    emit(f"reloaded, and the answers {answers} (generation {result['generation']})")
    for warning in result["warnings"]:
        emit(f"warning: {warning}")
