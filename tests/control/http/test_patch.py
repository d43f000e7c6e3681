"""A patch makes the later object of the earlier one, whatever they hold."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.control.http.patch import Operation, patch_between

KEYS = st.text(st.sampled_from("ab~/01"), max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.floats(allow_nan=False) | st.text("x", max_size=1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


def applied(before: dict[str, Any], patch: list[Operation]) -> dict[str, Any]:
    """Return what a patch makes of an object, by RFC 6902 and RFC 6901."""
    document = copy.deepcopy(before)
    for operation in patch:
        first, *path = (part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/"))
        assert not first
        place: Any = document
        for part in path[:-1]:
            place = place[part]
        assert (path[-1] in place) == (operation["op"] != "add")
        if operation["op"] == "remove":
            del place[path[-1]]
        else:
            place[path[-1]] = operation["value"]
    return document


def is_same(one: object, other: object) -> bool:
    """Return whether two values are the same JSON: true is not 1."""
    return repr(one) == repr(other) if isinstance(one, bool | int | float) else strictly(one, other)


def strictly(one: object, other: object) -> bool:
    """Return whether two values that are no numbers are the same JSON."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return type(one) is type(other) and one == other


@given(OBJECTS, OBJECTS)
def test_a_patch_makes_the_later_of_the_earlier(before: dict[str, Any], after: dict[str, Any]) -> None:
    """With nulls, with true in place of 1, and with ~ and / in names."""
    patch = patch_between(before, after)
    assert is_same(applied(before, patch), after)


@given(OBJECTS)
def test_nothing_changes_nothing(value: dict[str, Any]) -> None:
    """Between an object and its copy there is no operation."""
    assert patch_between(value, copy.deepcopy(value)) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"drain": {"queue": 1}}, {"drain": None}, [{"op": "replace", "path": "/drain", "value": None}]),
        ({}, {"drain": None}, [{"op": "add", "path": "/drain", "value": None}]),
        ({"a": {"b/c~": 1, "d": 2}}, {"a": {"b/c~": 2, "d": 2}}, [{"op": "replace", "path": "/a/b~1c~0", "value": 2}]),
        ({"a": {"b": 1}}, {"a": {}}, [{"op": "remove", "path": "/a/b"}]),
        ({"list": [1, 2]}, {"list": [1, 3]}, [{"op": "replace", "path": "/list", "value": [1, 3]}]),
    ],
)
def test_what_a_patch_looks_like(before: Any, after: Any, expected: list[Operation]) -> None:  # noqa: ANN401 - JSON
    """Only what has changed is in it, lists as a whole; null is a value."""
    assert patch_between(before, after) == expected
