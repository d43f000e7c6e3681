"""What is typed as one word: each reader returns a value, or raises ValueError with what was expected."""

import re
from collections.abc import Callable
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from dnslb.simulation.faults import Fault
from dnslb.simulation.resolvers import Spread
from dnslb.simulation.senders import Sender

_PICTURES = {".svg", ".png"}
_MAX_WEIGHT = 65535
_MAX_RATE = 1e9


class Word(click.ParamType[Any]):
    """A word that a function reads."""

    def __init__(self, read: Callable[[str], object], name: str) -> None:
        self._read, self.name = read, name

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Return the value, or fail with the word and what was expected."""
        try:
            return self._read(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


def configured(reader: str) -> Callable[[str], object]:
    """Return what reads a word as `reader` of dnslb.config.values does; a bare number is one there too."""

    def read(text: str) -> object:
        # Only now, since it brings all of pydantic along.
        value: Callable[[object], object] = getattr(import_module("dnslb.config.values"), reader)
        if re.fullmatch(r"[0-9]+", text):
            return value(int(text))
        return value(float(text) if re.fullmatch(r"[0-9]+\.[0-9]+", text) else text)

    return read


def ttl(text: str) -> object:
    """Return the TTL of "60", or of "10-120", which is { min = 10, max = 120 } in a configuration."""
    bounds = re.fullmatch(r"([0-9]{1,10})-([0-9]{1,10})", text)
    if bounds is None:
        return configured("ttl")(text)
    read: Callable[[object], object] = import_module("dnslb.config.values").ttl
    return read({"min": int(bounds[1]), "max": int(bounds[2])})


def weights(text: str) -> tuple[int, ...]:
    """Return the weights of "5,3,1,1"."""
    found = text.split(",")
    if not all(re.fullmatch(r"[0-9]{1,5}", part) and int(part) <= _MAX_WEIGHT for part in found):
        raise ValueError(f"expected weights from 0 to {_MAX_WEIGHT}, as in 5,3,1,1")
    if not any(map(int, found)):
        raise ValueError("every member has weight 0, expected at least one above 0")
    return tuple(map(int, found))


def rate(text: str) -> float:
    """Return a number of messages a second."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    # Not a number compares false.
    if not 0 < found <= _MAX_RATE:
        raise ValueError(f"expected a number of messages above 0 and up to {_MAX_RATE:,.0f}")
    return found


def spread(text: str) -> Spread:
    """Return the spread of "zipf", "equal" or percentages as "40,10,10"."""
    if text in {"zipf", "equal"}:
        return Spread(zipf=text == "zipf")
    percents = tuple(
        _number(part, "zipf, equal, or the largest resolvers' percentages, as in 40,10,10") for part in text.split(",")
    )
    return Spread(percents=percents)


def senders(text: str) -> dict[Sender, float]:
    """Return the parts of "postfix=3,exim": each program once, its part 1 if none is named."""
    found: dict[Sender, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name not in set(Sender) or name in found:
            raise ValueError(f"expected each of {', '.join(Sender)} once at most, as in postfix=3,exim")
        found[Sender(name)] = float(_number(number or "1", "a part above 0, as in postfix=3"))
    return found


def fault(text: str) -> Fault:
    """Return the fault of "mx1@10m..20m"; without an end it lasts until the end of the run."""
    match = re.fullmatch(r"([^@]+)@([^@]+?)\.\.([^@]*)", text)
    if match is None:
        raise ValueError("expected MEMBER@BEGIN..END, as in mx1@10m..20m")
    begin = configured("duration_or_none")(match[2])
    end = configured("duration")(match[3]) if match[3] else float("inf")
    if not isinstance(begin, float) or not isinstance(end, float) or begin >= end:
        raise ValueError("expected an end after the beginning, as in mx1@10m..20m")
    return Fault(match[1], begin, end)


def picture(text: str) -> Path:
    """Return the path of a picture that can be drawn."""
    path = Path(text)
    if path.suffix.lower() not in _PICTURES:
        raise ValueError("expected a file that ends in .svg or .png")
    return path


def _number(text: str, expected: str) -> Fraction:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or not (number := Fraction(text)):
        raise ValueError(f"expected {expected}")
    return number
