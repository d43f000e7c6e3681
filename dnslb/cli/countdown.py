"""How far a drain has come, in words, and waiting for its end."""

import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from dnslb.cli.options import Daemon, Failed
from dnslb.cli.output import remaining
from dnslb.cli.window import words as window_words

_POLL = 1.0


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
    return remaining(seconds) if seconds > 0 else ""


def wait_for_end(
    daemon: Daemon,
    pool: str,
    member: str,
    timeout: float | None,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Return the member's facts when it is safe to stop; a drain that is announced is waited for.

    Raise Failed if somebody wants the member back, and after `timeout` seconds, with the member's facts.
    """
    began = time.monotonic()
    planned = False
    while True:
        facts: dict[str, Any] = daemon.ask("status")["pools"].get(pool, {}).get("members", {}).get(member, {})
        drain, window = facts.get("drain"), facts.get("window")
        if drain is not None and drain["safe_to_stop"]:
            _show("")
            return facts
        progress = _progress(drain, window)
        if not progress:
            raise Failed(f"{pool}/{member} {_no_more(facts, planned=planned)}")
        planned = window is not None
        if timeout is not None and time.monotonic() - began >= timeout:
            _show("")
            stays = "it stays drained" if window is None else "its window stays"
            raise Failed(f"gave up waiting: {pool}/{member} {progress}; {stays}", facts)
        _show(progress)
        pause(_POLL)


def _progress(drain: Mapping[str, Any] | None, window: Mapping[str, Any] | None) -> str:
    """Return what is being waited for, as a predicate, "" if there is nothing of the kind."""
    if drain is not None:
        return f"is {words(drain)}"
    if window is None or window["state"] != "announced":
        return ""
    left = _left(window["begin"], datetime.now(UTC))
    return window_words(window) + (f", in {left}" if left else "")


def _no_more(facts: Mapping[str, Any], *, planned: bool) -> str:
    """Return why nobody need wait any more; `planned` says whether it had a window a moment ago."""
    if not facts:
        return "is configured no more: a reload has removed it (see `dnslb events`)"
    state = facts["admin"]
    if planned:
        return f"drains no more: its window is over or cancelled before it was safe to stop, and it is set to {state}"
    return f"drains no more: somebody has set it to {state}"


def _show(text: str) -> None:
    """Write a line over the one before, for a person at a terminal."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)
