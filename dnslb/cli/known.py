"""The names that shells complete: pools, members and services, as the daemon tells them, or the configuration.

Whoever presses a key waits for it, and wants no errors: it asks the daemon for a second at most, and reads of the
configuration only the names, right or wrong.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from dnslb.cli.options import Daemon, Told, control_of, find_config

_PATIENCE = 1.0
_FAULTS = (Told, OSError, ValueError, LookupError, TypeError, AttributeError)
"""What a daemon that is away or of another version leads to, and a file that is unfinished."""


@dataclass(frozen=True, slots=True)
class Known:
    """Members by pool, each with what is to be said of it and its weight; and services."""

    pools: Mapping[str, Mapping[str, tuple[str, int]]]
    services: tuple[str, ...]


Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def pools(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the pools whose names begin so."""
    return _beginning(incomplete, ((name, "") for name in _known(ctx).pools))


def members(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the members that begin so, as POOL/MEMBER."""
    return _beginning(incomplete, ((name, said) for name, said, _weight in _members(ctx)))


def weights(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the members that begin so, as POOL/MEMBER=WEIGHT with the weight of now."""
    return _beginning(incomplete, ((f"{name}={weight}", said) for name, said, weight in _members(ctx)))


def services(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of services that begin so."""
    return _beginning(incomplete, ((name, "") for name in dict.fromkeys(_known(ctx).services)))


def named(ctx: click.Context, member: str) -> list[str]:
    """Return the members of this name in all pools, as POOL/MEMBER."""
    return [f"{pool}/{member}" for pool, of in _known(ctx).pools.items() if member in of]


def _beginning(incomplete: str, words: Iterator[tuple[str, str]]) -> list[CompletionItem]:
    return [CompletionItem(word, help=said or None) for word, said in words if word.startswith(incomplete)]


def _members(ctx: click.Context) -> Iterator[tuple[str, str, int]]:
    for pool, of in _known(ctx).pools.items():
        yield from ((f"{pool}/{member}", said, weight) for member, (said, weight) in of.items())


def _known(ctx: click.Context) -> Known:
    """Return what the daemon knows that is meant by the words typed so far; without it what the file says."""
    config, control = _said(ctx, "config"), _said(ctx, "control")
    with suppress(*_FAULTS):
        return _of_status(Daemon(control or control_of(find_config(config))).ask("status", timeout=_PATIENCE))
    with suppress(*_FAULTS):
        return _of_file(tomllib.loads(find_config(config).read_text(encoding="utf-8")))
    return Known({}, ())


def _said(ctx: click.Context, option: str) -> Path | None:
    """Return the path of an option; in the middle of parsing click has a mark of its own for what was not said."""
    value = ctx.params.get(option)
    return value if isinstance(value, Path) else None


def _of_status(status: Mapping[str, Any]) -> Known:
    by_pool = {
        pool: {
            member: (f"{each['admin']}, {each['state']}", each["effective_weight"])
            for member, each in facts["members"].items()
        }
        for pool, facts in status["pools"].items()
    }
    return Known(by_pool, tuple(key.partition(" ")[0] for key in status["services"]))


def _of_file(written: Mapping[str, Any]) -> Known:
    by_pool = {
        pool: {member["name"]: ("", member.get("weight", 1)) for member in table.get("member", ())}
        for pool, table in written.get("pool", {}).items()
    }
    return Known(by_pool, tuple(table["name"] for table in written.get("service", ())))
