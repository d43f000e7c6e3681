"""`dnslb events`."""

import time
from collections.abc import Iterator
from typing import Any

import click

from dnslb.cli import known
from dnslb.cli.options import Daemon, SpanType, Unreachable, failure, talks_to_daemon
from dnslb.cli.output import emit, emit_json, emit_line, local_time, plain

_MOST = 1_000
_POLL = 1.0


@click.command
@click.option("--follow", "-f", is_flag=True, help="Go on with new events as they come, until Ctrl-C.")
@click.option("--since", type=SpanType(), metavar="1h", help="Only events of the last hour (30s, 10m, 1h, 2d).")
@click.option("--pool", metavar="POOL", shell_complete=known.pools, help="Only events of this pool.")
@click.option("--limit", type=click.IntRange(1, _MOST), help="The newest N only.  [default: 50; with --since 1000]")
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
    found = daemon.ask("events", wanted | {"limit": limit or (50 if since is None else _MOST)})
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


def _followed(daemon: Daemon, wanted: dict[str, Any], found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the events found and then the new ones, for ever; wait for a daemon that is restarted."""
    last, away = 0, False
    while True:
        yield from found
        last = found[-1]["id"] if found else last
        if len(found) < _MOST:
            time.sleep(_POLL)
        try:
            found = daemon.ask("events", wanted | {"after": last, "limit": _MOST})
            away = False
        except Unreachable as error:
            if not away:
                click.echo(f"{error.message} (still trying)", err=True)
            found, away = [], True


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
