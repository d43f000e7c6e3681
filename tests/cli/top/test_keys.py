"""What keys do: select, sort, filter, and change a member only after a yes."""

from dataclasses import replace

import pytest

from dnslb.cli.top.keys import Action, Leave, pressed, strokes
from dnslb.cli.top.model import Mode, Model, Order, Wish
from tests.cli.top.test_model import MEMBERS, a_model


def after(model: Model, *keys: str) -> tuple[Model, list[Action]]:
    """Return the model after some keys, and what they ask for."""
    asked = []
    for key in keys:
        model, action = pressed(model, key)
        if action is not None:
            asked.append(action)
    return model, asked


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("dy", ["d", "y"]),
        ("\x1b[A\x1bOB\x1b[5~x", ["up", "down", "page up", "x"]),
        ("\x1b", ["escape"]),
        ("\r\x7f\x1a", ["enter", "backspace", "suspend"]),
        ("\x1b[1;5D/é", ["\x1b[1;5D", "/", "é"]),
    ],
)
def test_what_a_terminal_sends_are_keys(text: str, keys: list[str]) -> None:
    """Arrows in both modes of a terminal; a sequence that is unknown is one key, and not its letters."""
    assert strokes(text) == keys


def test_arrows_select() -> None:
    """From pool to pool, and not beyond the first or the last."""
    model = a_model(**MEMBERS)
    assert after(model, "up")[0].selected == ("inbound", "a")
    assert after(model, "down", "j", "k")[0].selected == ("inbound", "b")
    assert after(model, "end", "down")[0].selected == ("relay", "out1")
    assert after(model, "page down", "home")[0].selected == ("inbound", "a")
    assert after(model, "end", "page up")[0].selected == ("inbound", "a")


@pytest.mark.parametrize(("key", "state"), [("d", "drain"), ("r", "ready"), ("m", "maint")])
@pytest.mark.parametrize("yes", ["y", "Y"])
def test_a_member_is_changed_after_a_yes(key: str, state: str, yes: str) -> None:
    """The one that was selected when the key was pressed, whatever is sorted or goes meanwhile."""
    model, asked = after(a_model(**MEMBERS), "down", key)
    assert (model.mode, asked) == (Mode.CONFIRM, [])
    model, asked = after(replace(model, selected=("relay", "out1")), yes)
    assert asked == [Wish(("inbound", "b"), state)]
    assert model.mode is Mode.WATCH


@pytest.mark.parametrize("no", ["n", "enter", "escape", "d", "q", " "])
def test_any_other_key_is_a_no(no: str) -> None:
    """Nothing is asked for, not even to quit, and it is said so until the next key."""
    model, asked = after(a_model(), "d", no)
    assert (asked, model.notice) == ([], "nothing was changed")
    assert after(model, "y") == (replace(model, notice=""), [])


def test_nobody_is_changed_where_nobody_is_selected() -> None:
    """It is said so."""
    model, asked = after(a_model(), "/", "x", "x", "enter", "d", "y")
    assert (model.selected, asked) == (None, [])
    assert after(a_model(), "/", "x", "x", "enter", "d")[0].notice == "no member is selected"
    assert after(model, "down")[0].selected is None


def test_letters_filter_pools() -> None:
    """While they are typed they are letters and no commands; escape brings all pools back."""
    for key in "/f":
        model, asked = after(a_model(), key, "q", "backspace", "r", "e", "enter")
        assert (model.pool, model.mode, asked) == ("re", Mode.WATCH, [])
        assert model.selected == ("relay", "out1")
        assert after(model, "escape")[0].pool == ""
        assert after(model, "/", "l", "up", "escape")[0] == replace(model, pool="", selected=("relay", "out1"))
    assert len(after(a_model(), "/", *"x" * 99)[0].pool) == 60


def test_s_goes_round_the_orders() -> None:
    """And comes back to the first."""
    model, seen = a_model(), []
    for _ in Order:
        model, _asked = after(model, "s")
        seen.append(model.order)
    assert seen == [*list(Order)[1:], Order.CONFIGURED]


def test_help_goes_with_any_key() -> None:
    """That key does nothing else."""
    for key in "?h":
        model, asked = after(a_model(), key)
        assert (model.mode, asked) == (Mode.HELP, [])
        assert after(model, "q") == (a_model(), [])


def test_the_ways_out() -> None:
    """Quit where keys are commands, and be suspended anywhere; an unknown key changes nothing."""
    assert after(a_model(), "q")[1] == [Leave.QUIT]
    assert after(a_model(), "/", "suspend")[1] == [Leave.SUSPEND]
    assert after(a_model(), "x", "\x1b[1;5D") == (a_model(), [])
