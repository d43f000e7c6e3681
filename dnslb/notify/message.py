"""What a target is told: JSON with the events, and the same as a text that chats show as it is."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dnslb.notify.backlog import Batch
from dnslb.notify.target import Event

MOST = 50
"""Events in one message: of a burst nobody wants to read more, and chats take some 16,000 characters."""
_LINE = 300
"""Characters that a line of the text has at most."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who tells: the name of this host, and the version of dnslb."""

    host: str
    version: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `kinds` and `pools` are those of its events, in their order."""

    sender: Sender
    batch: Batch
    text: str
    kinds: tuple[str, ...]
    pools: tuple[str, ...]

    def body(self) -> bytes:
        """Return it as JSON."""
        fields: dict[str, Any] = {
            "text": self.text,
            "host": self.sender.host,
            "version": self.sender.version,
            "missed": self.batch.missed,
            "events": [dict(event) for event in self.batch.events],
        }
        return json.dumps(fields).encode("ascii")


def message_of(sender: Sender, batch: Batch) -> Message:
    """Return the message of a batch."""
    lines = [_line(sender, event) for event in batch.events]
    if batch.missed:
        lines.insert(0, f"{sender.host}: {batch.missed} events before these were not delivered, see `dnslb events`")
    return Message(sender, batch, "\n".join(lines), _distinct("kind", batch.events), _distinct("pool", batch.events))


def plain(text: str) -> str:
    """Return a text in one line, without what a server in its reply may have meant for a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def _line(sender: Sender, event: Event) -> str:
    about = "/".join(part for part in (event["pool"], event["member"]) if part)
    line = plain(": ".join(part for part in (sender.host, about, event["text"]) if part))
    return line if len(line) <= _LINE else f"{line[: _LINE - 3]}..."


def _distinct(key: str, events: Iterable[Event]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(event[key]) for event in events if event[key]))
