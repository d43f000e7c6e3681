"""What `dnslb top` knows and shows: the daemon's latest word, and what a person has chosen. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any

Key = tuple[str, str]
"""A pool and a member of it."""

_RANK = {"down": 0, "unknown": 1, "draining": 2, "busy": 3, "degraded": 4, "up": 5}
"""States, the worst first."""


class Order(StrEnum):
    """In which order the members of each pool stand; the value says so to a person."""

    CONFIGURED = "as configured"
    WORST = "worst first"
    SHARE = "by share"
    LATENCY = "slowest first"
    SINCE = "latest change first"


class Mode(Enum):
    """What the keys mean now."""

    WATCH = "watch"
    FILTER = "filter"
    """They are the name of a pool, or a part of it."""
    CONFIRM = "confirm"
    """They answer whether a member's admin state is to be changed."""
    HELP = "help"


@dataclass(frozen=True, slots=True)
class Wish:
    """A member's admin state as a person wants it: ready, drain or maint."""

    target: Key
    state: str


@dataclass(frozen=True, slots=True)
class Model:
    """All that a picture is made of.

    `status` and `events` (the latest last) are as the control socket has them, and were `seen` then. `rates` are
    answers per second by response code, None before there are two words of the daemon to tell them from. `away` is why
    the daemon does not answer, "" if it does.
    """

    status: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    seen: datetime
    rates: Mapping[str, float] | None = None
    away: str = ""
    selected: Key | None = None
    order: Order = Order.CONFIGURED
    pool: str = ""
    mode: Mode = Mode.WATCH
    wish: Wish | None = None
    notice: str = ""


def begin(status: Mapping[str, Any], events: Sequence[Mapping[str, Any]], now: datetime) -> Model:
    """Return what is known after the daemon's first word."""
    return selecting(Model(status, events, now))


def arrived(model: Model, status: Mapping[str, Any], events: Sequence[Mapping[str, Any]], now: datetime) -> Model:
    """Return what is known after another word of the daemon."""
    rates = rates_between(model.status, status)
    return selecting(replace(model, status=status, events=events, seen=now, rates=rates, away=""))


def lost(model: Model, why: str) -> Model:
    """Return what is known when the daemon does not answer: what it said before, and why there is nothing newer."""
    return replace(model, away=why, rates=None)


def noticed(model: Model, text: str) -> Model:
    """Return the model with something to tell, until the next key."""
    return replace(model, notice=text)


def rates_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, float] | None:
    """Return answers per second by response code, by the daemon's own clock; None if it was started in between."""
    passed = after["uptime_s"] - before["uptime_s"]
    if passed <= 0:
        return None
    counted = before.get("rcodes", {})
    return {rcode: (count - counted.get(rcode, 0)) / passed for rcode, count in after.get("rcodes", {}).items()}


def pools_of(model: Model) -> list[tuple[str, Mapping[str, Any], list[Key]]]:
    """Return the pools that are shown, each with its facts and its members in the order that is wanted."""
    part = model.pool.casefold()
    return [
        (name, facts, [(name, member) for member in _ordered(facts["members"], model.order)])
        for name, facts in model.status["pools"].items()
        if part in name.casefold()
    ]


def keys_of(model: Model) -> list[Key]:
    """Return the members that are shown, from the first to the last."""
    return [key for _name, _facts, keys in pools_of(model) for key in keys]


def facts_of(model: Model, key: Key) -> Mapping[str, Any] | None:
    """Return what is known of a member, None if there is none such any more."""
    pool, member = key
    found: Mapping[str, Any] | None = model.status["pools"].get(pool, {}).get("members", {}).get(member)
    return found


def selecting(model: Model) -> Model:
    """Return the model with a member selected that is shown: the same as before if it still is."""
    keys = keys_of(model)
    if model.selected in keys:
        return model
    return replace(model, selected=keys[0] if keys else None)


def _ordered(members: Mapping[str, Mapping[str, Any]], order: Order) -> list[str]:
    """Return the names; those that are alike in what counts stay as configured."""
    match order:
        case Order.CONFIGURED:
            return list(members)
        case Order.WORST:
            return sorted(members, key=lambda name: _worth(members[name]))
        case Order.SHARE:
            return sorted(members, key=lambda name: -members[name]["share"])
        case Order.LATENCY:
            return sorted(members, key=lambda name: -(members[name]["latency_ms"] or 0))
        case Order.SINCE:
            return sorted(members, key=lambda name: members[name]["since"] or "", reverse=True)


def _worth(facts: Mapping[str, Any]) -> tuple[int, bool]:
    return _RANK.get(facts["state"], 1), facts["admin"] == "ready"
