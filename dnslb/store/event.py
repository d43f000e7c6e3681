"""One thing that happened, as it is told and kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dnslb.rfc3339 import rfc3339


class EventKind(StrEnum):
    """What an event is about."""

    STATE = "state"
    ADMIN = "admin"
    WEIGHT = "weight"
    RELOAD = "reload"
    START = "start"
    STOP = "stop"
    WORKER = "worker"
    PANIC = "panic"
    ALERT = "alert"
    WINDOW = "window"
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `at` is Unix time; `pool`, `member` and `who` are "" where they do not apply.

    `id` rises with each event that the store has taken; it is 0 before that. `details` is JSON.
    """

    at: float
    kind: EventKind
    text: str
    pool: str = ""
    member: str = ""
    who: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the event as operators see it, its time in RFC 3339."""
        return {
            "id": self.id,
            "at": rfc3339(self.at),
            "kind": self.kind,
            "pool": self.pool,
            "member": self.member,
            "who": self.who,
            "text": self.text,
            "details": dict(self.details),
        }
