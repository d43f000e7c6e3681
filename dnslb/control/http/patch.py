"""What has changed between two JSON objects, as a JSON Patch (RFC 6902). Pure.

Not as a merge patch (RFC 7396), which cannot set anything to null. The operations are add, replace and remove, and
their paths lead through objects only: a list that has changed is replaced whole.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Operation = dict[str, Any]


def patch_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Operation]:
    """Return what makes `after` of `before`."""
    return list(_operations("", before, after))


def _operations(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Operation]:
    for key in before.keys() - after.keys():
        yield {"op": "remove", "path": f"{path}/{_escaped(key)}"}
    for key, value in after.items():
        if key not in before:
            yield {"op": "add", "path": f"{path}/{_escaped(key)}", "value": value}
        elif isinstance(value, dict) and isinstance(before[key], dict):
            yield from _operations(f"{path}/{_escaped(key)}", before[key], value)
        elif not _are_same(before[key], value):
            yield {"op": "replace", "path": f"{path}/{_escaped(key)}", "value": value}


def _escaped(key: str) -> str:
    """Return a key as a part of a JSON Pointer (RFC 6901 section 3)."""
    return key.replace("~", "~0").replace("/", "~1")


def _are_same(one: object, other: object) -> bool:
    """Return whether two JSON values are the same: to Python, 1 and true are."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_are_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_are_same(value, other[key]) for key, value in one.items())
    return one == other
