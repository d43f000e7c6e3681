"""Facts as text for people: aligned columns, colours on a terminal, ages and shares."""

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

_BAR = 10
_COLOURS = {
    "up": "green",
    "yes": "green",
    "degraded": "yellow",
    "busy": "yellow",
    "draining": "yellow",
    "drain": "yellow",
    "maint": "yellow",
    "down": "red",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and whether what stands below it is aligned to the right."""

    title: str
    right: bool = False


class ReaderGone(click.exceptions.Exit):
    """Nobody reads any more what is printed: it ends the command, unless the exit status is still to be found."""


def emit(text: str) -> None:
    """Print a text. If the reader of a pipe has gone, end quietly: it has seen all that it wanted."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        click.echo(
            text.encode(encoding, "backslashreplace").decode(encoding),
            color=False if os.environ.get("NO_COLOR") else None,
        )
    except BrokenPipeError:
        # The interpreter would flush into the pipe once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ReaderGone(0) from None


def emit_json(value: object) -> None:
    """Print a value as JSON, indented. What the output's encoding may not have is escaped."""
    emit(json.dumps(value, indent=2, ensure_ascii=not unicode_shown()))


def emit_line(value: object) -> None:
    """Print a value as JSON on one line, for programs that read one after the other."""
    emit(json.dumps(value, ensure_ascii=not unicode_shown()))


def unicode_shown() -> bool:
    """Return whether the output can hold any character."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def shares_note(service: str, policy: str) -> str:
    """Return what the shares that are shown of a pool are parts of."""
    if policy == "source-hash":
        return (
            f"Shares are of the networks that ask for {plain(service)}, and not of the mail that each of them brings."
        )
    return f"Shares are of the new connections through {plain(service)}."


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> str:
    """Return rows under headings, each column as wide as its widest cell. Words that are states have a colour."""
    cells = [[column.title for column in columns], *([plain(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(_cell(text, width, column) for text, width, column in zip(row, widths, columns, strict=True)).rstrip()
        for row in cells
    )


def _cell(text: str, width: int, column: Column) -> str:
    padding = " " * (width - len(text))
    shown = click.style(text, fg=_COLOURS[text]) if text in _COLOURS else text
    return padding + shown if column.right else shown + padding


def plain(text: str) -> str:
    r"""Return a text with what is not printable as \x1b: a mail server's reply must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def service_name(key: str, facts: Mapping[str, Any]) -> str:
    """Return the name of a service by its key in the status, "NAME", "NAME TYPE" or "NAME TYPE VIEW"; with its view."""
    name = key.partition(" ")[0]
    return f"{name} (view {facts['view']})" if facts.get("view") else name


def cause(member: Mapping[str, Any]) -> str:
    """Return why a member is published or not, without saying which, and what its last probe had to say."""
    rule = str(member.get("rule", "")).removeprefix("not ").removeprefix("published: ")
    return plain("; ".join(part for part in (rule, member["reason"]) if part))


def alarm(text: str) -> str:
    """Return a text that is not to be missed."""
    return click.style(text, fg="red", bold=True)


def share(fraction: float) -> str:
    """Return a share as a percentage: 0.5 is 50%, and what is not nothing is never 0%."""
    percent = 100 * fraction
    return "<1%" if 0 < percent < 1 else f"{percent:.0f}%"


def bar(fraction: float) -> str:
    """Return a share as a bar of at most ten blocks, at least one if it is not nothing."""
    block = "█" if unicode_shown() else "#"
    return block * (max(1, round(fraction * _BAR)) if fraction > 0 else 0)


def duration(seconds: float) -> str:
    """Return how long something has lasted, in its two largest units: 12s, 9m59s, 5h, 2d3h; the rest is left out."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
    return "".join(parts[:2]) or "0s"


def remaining(seconds: float) -> str:
    """Return how long something will last, like `duration` but rounded up: nobody should act too early."""
    step = next((part for size, part in ((86_400, 3_600), (3_600, 60)) if seconds >= size), 1)
    return duration(math.ceil(seconds / step) * step)


def age(moment: str | None, now: datetime | None = None) -> str:
    """Return how long ago an RFC 3339 time was, "never" for None."""
    if moment is None:
        return "never"
    passed = (now or datetime.now(UTC)) - datetime.fromisoformat(moment)
    return f"{duration(passed.total_seconds())} ago"


def local_time(moment: str) -> str:
    """Return an RFC 3339 time as date and time of this machine's zone, to the second."""
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S}"
