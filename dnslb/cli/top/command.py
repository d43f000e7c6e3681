"""The words `dnslb top`, and what goes on behind them."""

from contextlib import suppress
from pathlib import Path

import click

from dnslb.cli.options import (
    Daemon,
    SpanType,
    config_option,
    control_of,
    control_option,
    errors_shown,
    find_config,
    json_option,
    reading_answers_of,
)
from dnslb.cli.output import emit_line
from dnslb.cli.top.snapshots import snapshots


@click.command
@click.option("--for", "seconds", type=SpanType(), metavar="SPAN", help="With --json: end after, say, 10s.")
@config_option
@control_option
@json_option
def top(config: Path | None, control: Path | None, *, seconds: float | None, as_json: bool) -> None:
    """Show pools, members, rates and events on the whole screen, live.

    Press ? for the keys: they sort, filter by pool, and drain a member or put it back, after a yes. If the daemon goes
    away, top says so and goes on trying.

    With --json it prints an object a second, each on a line, until Ctrl-C or --for: the status, the answers per second
    by response code, and the events since the one before. It ends with exit status 3 if the daemon goes away.

    \b
    Example: dnslb top
             dnslb top --json --for 1s | jq .rates
    """  # noqa: D301 -- click's mark for a paragraph to be left as it is
    _check(seconds, as_json=as_json)
    with errors_shown(as_json=as_json):
        daemon = Daemon(control or control_of(find_config(config)))
        with reading_answers_of(daemon):
            _tell(daemon, seconds) if as_json else _show(daemon)


def _check(seconds: float | None, *, as_json: bool) -> None:
    """Raise click.UsageError if there is nowhere to show it."""
    if as_json:
        return
    if seconds is not None:
        raise click.UsageError("--for is for --json: on a screen, q ends it")
    from dnslb.cli.top.terminal import missing  # noqa: PLC0415 -- what only a screen needs is not for programs to wait for

    if lacking := missing():
        raise click.UsageError(f"top needs the whole screen of a terminal, and {lacking}; try `dnslb top --json`")


def _tell(daemon: Daemon, seconds: float | None) -> None:
    # Ctrl-C is how to end it.
    with suppress(KeyboardInterrupt):
        for snapshot in snapshots(daemon, seconds):
            emit_line(snapshot)


def _show(daemon: Daemon) -> None:
    from dnslb.cli.top.screen import show  # noqa: PLC0415 -- as above

    show(daemon)
