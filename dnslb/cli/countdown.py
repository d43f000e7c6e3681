"""How far a drain has come, in words, and waiting for its end."""

import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from dnslb.cli.options import Daemon, Failed
from dnslb.cli.output import duration

_POLL = 1.0


class NotYet(Failed):
    """Patience has an end before the drain has; `facts` are the member's."""

    def __init__(self, message: str, facts: dict[str, Any]) -> None:
        super().__init__(message)
        self.facts = facts


def words(drain: Mapping[str, Any], now: datetime | None = None) -> str:
    """Return when a member that drains may be stopped."""
    if drain["safe_to_stop"]:
        return "safe to stop: no cache and no client has it any more"
    if drain["clients_expire"] is None:
        return "not safe to stop: it is still in answers"
    moment = now or datetime.now(UTC)
    caches, clients = (_left(drain[key], moment) for key in ("caches_expire", "clients_expire"))
    caching = f"caches have it for {caches} more" if caches else "no cache has it any more"
    return f"not safe to stop: {caching}, clients may use it for {clients or 'a moment'} more"


def _left(until: str, now: datetime) -> str:
    """Return how long it is until an RFC 3339 time, "" for no time at all."""
    seconds = (datetime.fromisoformat(until) - now).total_seconds()
    return duration(seconds) if seconds > 0 else ""


def wait_for_end(
    daemon: Daemon,
    pool: str,
    member: str,
    timeout: float | None,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Return the member's facts when it is safe to stop.

    Raise NotYet after `timeout` seconds, Failed if somebody wants the member back.
    """
    began = time.monotonic()
    while True:
        facts: dict[str, Any] = daemon.ask("status")["pools"].get(pool, {}).get("members", {}).get(member, {})
        drain = facts.get("drain")
        if drain is None:
            raise Failed(f"{pool}/{member} drains no more: somebody has set it to {facts.get('admin', 'be gone')}")
        if drain["safe_to_stop"]:
            _show("")
            return facts
        if timeout is not None and time.monotonic() - began >= timeout:
            _show("")
            raise NotYet(f"{pool}/{member} is {words(drain)}", facts)
        _show(words(drain))
        pause(_POLL)


def _show(text: str) -> None:
    """Write a line over the one before, for a person at a terminal."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)
