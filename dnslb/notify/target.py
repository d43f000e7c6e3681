"""Whom to tell, and of what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Event = Mapping[str, Any]
"""One event as the store knows it, in JSON: id, at, kind, pool, member, who, text, details."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL that takes messages by POST; the URL and the token that goes with it are secrets, and never shown.

    `ca_file` holds the trust anchors, None for the system's.
    """

    url: str = field(repr=False)
    bearer: str = field(default="", repr=False)
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A program that takes messages on its standard input, with its arguments."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """One to be told, under a `name` for people; a delivery that takes longer than `timeout` (seconds) has failed.

    It wants events of these kinds and, if there are any, of these pools alone.
    """

    name: str
    door: Webhook | Command
    kinds: frozenset[str]
    pools: frozenset[str] = frozenset()
    timeout: float = 10.0

    @property
    def place(self) -> str | tuple[str, ...]:
        """Return where it is: a target is the same as before as long as this is, whatever else is configured."""
        return self.door.url if isinstance(self.door, Webhook) else self.door.words

    def wants(self, event: Event) -> bool:
        """Return whether it is to be told of an event."""
        return event["kind"] in self.kinds and (not self.pools or event["pool"] in self.pools)
