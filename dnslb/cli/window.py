"""Planned drains in words, from the object `window` of a member's status."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dnslb.cli.moment import brief, exact
from dnslb.cli.output import plain


def words(window: Mapping[str, Any], now: datetime | None = None) -> str:
    """Return what a window does to its member, as a predicate: "drains at 22:00 for 2h (alice: kernel)"."""
    moment = now or datetime.now(UTC)
    if window["state"] == "running":
        return f"is in its window {_until(window, moment)}{_signed(window)}"
    if window.get("held"):
        return f"should drain since {span(window, moment)}, and does not: it would leave {plain(window['held'])}"
    return f"drains at {span(window, moment)}"


def span(window: Mapping[str, Any], now: datetime | None = None) -> str:
    """Return from when and for how long a window lasts, and who wanted it."""
    moment = now or datetime.now(UTC)
    begin = datetime.fromisoformat(window["begin"])
    length = f" for {exact(datetime.fromisoformat(window['end']) - begin)}" if window["end"] else ""
    return brief(begin, moment) + length + _signed(window)


def _until(window: Mapping[str, Any], now: datetime) -> str:
    return f"until {brief(datetime.fromisoformat(window['end']), now)}" if window["end"] else "until it is set to ready"


def _signed(window: Mapping[str, Any]) -> str:
    said = [plain(window[part]) for part in ("who", "reason") if window[part]]
    notes = [": ".join(said)] if said else []
    notes += ["forced"] if window["forced"] else []
    return f" ({', '.join(notes)})" if notes else ""
