"""`dnslb events`."""

import select
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import click

from dnslb.cli import known
from dnslb.cli.options import Daemon, Failed, SpanType, Unreachable, failure, talks_to_daemon
from dnslb.cli.output import ReaderGone, emit, emit_json, emit_line, local_time, plain

_NEWEST = 50
_MOST = 1_000
_POLL = 1.0


@click.command
@click.option("--follow", "-f", is_flag=True, help="Go on with new events as they come, until Ctrl-C.")
@click.option("--since", type=SpanType(), metavar="1h", help="Only events of the last hour (30s, 10m, 1h, 2d).")
@click.option("--pool", metavar="POOL", shell_complete=known.pools, help="Only events of this pool.")
@click.option(
    "--limit", type=click.IntRange(1, _MOST), metavar="N", help="The newest N only.  [default: 50; with --since all]"
)
@talks_to_daemon
def events(  # noqa: PLR0913 -- one for each option
    daemon: Daemon, *, follow: bool, since: float | None, pool: str | None, limit: int | None, as_json: bool
) -> None:
    """Show what happened: state changes, admin actions, reloads, with reasons.

    Oldest first. With --json it prints a list, and with --json --follow one object a line.

    \b
    Example: dnslb events --since 1h --pool inbound
             dnslb events --follow
    """  # noqa: D301 -- click's mark for a paragraph to be left as it is
    wanted = {"pool": pool, "since": None if since is None else time.time() - since}
    if since is None or limit:
        found = daemon.ask("events", wanted | {"limit": limit or _NEWEST})
    else:
        found = list(_all(daemon, wanted))
    if not found:
        _check_pool(daemon, pool)
    if as_json and not follow:
        emit_json(found)
        return
    if not found and not follow:
        click.echo(_nothing(pool, since), err=True)
    try:
        for event in _followed(daemon, wanted, found) if follow else found:
            emit_line(event) if as_json else emit(_sentence(event))
    except KeyboardInterrupt:
        return  # Ctrl-C is how to end it.


def _all(daemon: Daemon, wanted: dict[str, Any], last: int = 0) -> Iterator[dict[str, Any]]:
    """Yield all events that are later than the last one, however many there are."""
    while True:
        found = daemon.ask("events", wanted | {"after": last, "limit": _MOST})
        yield from found
        if len(found) < _MOST:
            return
        last = found[-1]["id"]


def _followed(daemon: Daemon, wanted: dict[str, Any], found: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the events found and then the new ones, for ever; wait for a daemon that is restarted, or has no time."""
    last, away = 0, False
    while True:
        try:
            for event in found:
                last = event["id"]
                yield event
            away = False
        except (Unreachable, Failed) as error:
            if not away:
                click.echo(f"{error.message} (still trying)", err=True)
            away = True
        _wait(_POLL)
        found = _since_then(daemon, wanted, last) if away else _all(daemon, wanted, last)


def _since_then(daemon: Daemon, wanted: dict[str, Any], last: int) -> Iterator[dict[str, Any]]:
    """Yield what has happened since a daemon went away. One that has lost its state begins to count anew."""
    newest = daemon.ask("events", {"limit": 1})
    yield from _all(daemon, wanted, last if newest and newest[0]["id"] >= last else 0)


def _wait(seconds: float) -> None:
    """Wait, unless the reader of a pipe has gone: it has seen all that it wanted."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)
    if reader.poll(seconds * 1000):
        raise ReaderGone(0)


def _check_pool(daemon: Daemon, pool: str | None) -> None:
    """Fail if there is no such pool: it is without events for ever."""
    pools = daemon.ask("status")["pools"] if pool is not None else {}
    if pool is None or pool in pools:
        return
    from dnslb.control.commands import no_such_pool  # noqa: PLC0415 -- only after a mistake

    raise failure(no_such_pool(pool, pools))


def _nothing(pool: str | None, since: float | None) -> str:
    return "no events" + (f" of pool {plain(pool)}" if pool else "") + (" in that time" if since else " yet")


def _sentence(event: dict[str, Any]) -> str:
    about = f"{event['pool']}/{event['member']}" if event["member"] else event["pool"]
    # Most texts name who did it already.
    by = f" (by {event['who']})" if event["who"] not in event["text"] else ""
    return plain(f"{local_time(event['at'])}  {event['kind']:<6}  {about:<20}  {event['text']}{by}")
