"""`dnslb top` on a terminal: pictures, and what keys make of them."""

from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from queue import Empty

from dnslb.cli.options import Daemon
from dnslb.cli.top.feed import Feed
from dnslb.cli.top.keys import Leave, pressed
from dnslb.cli.top.model import Model, noticed
from dnslb.cli.top.picture import lines
from dnslb.cli.top.terminal import Draw, Terminal, suspend

_PATIENCE = 1.0
"""Seconds between pictures when nothing happens: ages and the clock go on."""


def show(daemon: Daemon) -> None:
    """Take the screen until a person wants to leave. Raise click's exceptions if the daemon does not tell."""
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
