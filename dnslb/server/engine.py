"""Which engine answers over UDP: the C extension where it was built, or Python, which does the same more slowly."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dnslb.server._batch import Batch

PURE = "DNSLB_PURE"
"""The environment variable that chooses Python, if it is anything but empty."""


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
        from dnslb.server._batch import Batch  # noqa: PLC0415 - it may not be there
    except ImportError as error:
        return None, f"no C extension: {error}"
    return Batch, ""
