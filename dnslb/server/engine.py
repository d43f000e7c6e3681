"""Which engine answers over UDP: the C extension where it was built, or Python, which does the same more slowly."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dnslb.server._batch import Batch

PURE = "DNSLB_PURE"
"""The environment variable that chooses Python, if it is anything but empty."""
AGREED = 2
"""What both sides take the arguments and the places of fields for. Who changes these raises it here and in _batch.c.

A checkout that is updated and not installed again still has the extension of before, which would answer nothing.
"""


def extension() -> "type[Batch] | None":
    """Return what the extension has, None if Python is to answer."""
    return _choose()[0]


def describe() -> str:
    """Return which engine answers in processes that begin now in this environment, and why if that is Python."""
    found, why = _choose()
    return "C extension" if found else f"Python ({why})"


def _choose() -> "tuple[type[Batch] | None, str]":
    if os.environ.get(PURE):
        return None, f"{PURE} is set"
    try:
        import dnslb.server._batch as found  # noqa: PLC0415 - it may not be there
    except ImportError as error:
        return None, f"no C extension: {error}"
    if getattr(found, "AGREED", None) != AGREED:
        return None, "the C extension is of another version: install dnslb again"
    return found.Batch, ""
