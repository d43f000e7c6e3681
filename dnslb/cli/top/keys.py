"""What the keys of `dnslb top` do. Pure."""

import re
from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from dnslb.cli.top.model import Mode, Model, Order, Wish, keys_of, selecting

_NAMES = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x1bOH": "home",
    "\x1b[1~": "home",
    "\x1b[F": "end",
    "\x1bOF": "end",
    "\x1b[4~": "end",
    "\r": "enter",
    "\n": "enter",
    "\x1b": "escape",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x1a": "suspend",
}
_STROKE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1bO.|\x1b|.", re.DOTALL)
_PAGE = 10
_LONGEST = 60
_WISHES = {"d": "drain", "r": "ready", "m": "maint"}


class Leave(Enum):
    """What ends the picture: for good, or until the shell brings it back."""

    QUIT = "quit"
    SUSPEND = "suspend"


Action = Leave | Wish
"""What a key asks for that is more than another picture."""


def strokes(text: str) -> list[str]:
    """Return the keys that a terminal has sent: characters, or names where they have one."""
    return [_NAMES.get(stroke, stroke) for stroke in _STROKE.findall(text)]


def pressed(model: Model, key: str) -> tuple[Model, Action | None]:
    """Return what a key makes of a model, and what is to be done."""
    if key == "suspend":
        return model, Leave.SUSPEND
    return _MODES[model.mode](replace(model, notice=""), key)


def _watch(model: Model, key: str) -> tuple[Model, Action | None]:
    if key == "q":
        return model, Leave.QUIT
    if key in _MOVES:
        return _moved(model, _MOVES[key]), None
    if key in _WISHES:
        return _wishing(model, _WISHES[key]), None
    return _changed(model, key), None


def _changed(model: Model, key: str) -> Model:
    match key:
        case "s":
            return replace(model, order=_next(model.order))
        case "/" | "f":
            return replace(model, mode=Mode.FILTER)
        case "?" | "h":
            return replace(model, mode=Mode.HELP)
        case "escape":
            return selecting(replace(model, pool=""))
        case _:
            return model


def _next(order: Order) -> Order:
    orders = list(Order)
    return orders[(orders.index(order) + 1) % len(orders)]


_MOVES: dict[str, Callable[[int, int], int]] = {
    "up": lambda place, _last: place - 1,
    "k": lambda place, _last: place - 1,
    "down": lambda place, _last: place + 1,
    "j": lambda place, _last: place + 1,
    "page up": lambda place, _last: place - _PAGE,
    "page down": lambda place, _last: place + _PAGE,
    "home": lambda _place, _last: 0,
    "end": lambda _place, last: last,
}


def _moved(model: Model, move: Callable[[int, int], int]) -> Model:
    keys = keys_of(model)
    if model.selected not in keys:
        return selecting(model)
    last = len(keys) - 1
    place = move(keys.index(model.selected), last)
    return replace(model, selected=keys[max(0, min(place, last))])


def _wishing(model: Model, state: str) -> Model:
    """Ask for a yes. It is about the member that is selected now, wherever the selection goes meanwhile."""
    if model.selected is None:
        return replace(model, notice="no member is selected")
    return replace(model, mode=Mode.CONFIRM, wish=Wish(model.selected, state))


def _confirm(model: Model, key: str) -> tuple[Model, Action | None]:
    watching = replace(model, mode=Mode.WATCH, wish=None)
    if key in {"y", "Y"}:
        return watching, model.wish
    return replace(watching, notice="nothing was changed"), None


def _filter(model: Model, key: str) -> tuple[Model, Action | None]:
    match key:
        case "enter":
            model = replace(model, mode=Mode.WATCH)
        case "escape":
            model = replace(model, mode=Mode.WATCH, pool="")
        case "backspace":
            model = replace(model, pool=model.pool[:-1])
        case _ if len(key) == 1 and key.isprintable():
            model = replace(model, pool=(model.pool + key)[:_LONGEST])
        case _:
            pass
    return selecting(model), None


def _help(model: Model, _key: str) -> tuple[Model, Action | None]:
    return replace(model, mode=Mode.WATCH), None


_MODES: dict[Mode, Callable[[Model, str], tuple[Model, Action | None]]] = {
    Mode.WATCH: _watch,
    Mode.FILTER: _filter,
    Mode.CONFIRM: _confirm,
    Mode.HELP: _help,
}
