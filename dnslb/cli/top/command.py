"""The words `dnslb top`, and what goes on behind them."""

from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty

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
from dnslb.cli.top.feed import Feed
from dnslb.cli.top.keys import Leave, pressed
from dnslb.cli.top.model import Model, noticed
from dnslb.cli.top.picture import lines
from dnslb.cli.top.snapshots import snapshots
from dnslb.cli.top.terminal import Draw, Terminal, missing, suspend

_PATIENCE = 1.0
"""Seconds between pictures when nothing happens: ages and the clock go on."""


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
    if lacking := missing():
        raise click.UsageError(f"top needs the whole screen of a terminal, and {lacking}; try `dnslb top --json`")


def _tell(daemon: Daemon, seconds: float | None) -> None:
    # Ctrl-C is how to end it.
    with suppress(KeyboardInterrupt):
        for snapshot in snapshots(daemon, seconds):
            emit_line(snapshot)


def _show(daemon: Daemon) -> None:
    terminal = Terminal()
    feed = Feed(daemon, terminal.wake)
    model = feed.first()
    feed.start()
    # Ctrl-C is one way to end it.
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        stack.callback(feed.end)
        while True:
            with terminal.taken() as draw:
                model, leave = _watch(model, feed, terminal, draw)
            if leave is Leave.QUIT:
                return
            suspend()


def _watch(model: Model, feed: Feed, terminal: Terminal, draw: Draw) -> tuple[Model, Leave]:
    """Draw and do what keys ask for, until one of them is to leave, or nobody can press any."""
    while True:
        model = _caught_up(model, feed)
        draw(lines(model, *terminal.size, datetime.now(UTC)))
        keys = terminal.keys(_PATIENCE)
        if keys is None:
            return model, Leave.QUIT
        for key in keys:
            model, action = pressed(model, key)
            if isinstance(action, Leave):
                return model, action
            if action is not None:
                feed.want(action)
                model = noticed(model, f"{'/'.join(action.target)}: {action.state} ...")


def _caught_up(model: Model, feed: Feed) -> Model:
    """Return the model after all that was heard meanwhile."""
    with suppress(Empty):
        while True:
            model = feed.changes.get_nowait()(model)
    return model
