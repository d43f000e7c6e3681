"""Memory after work that comes in one piece, such as a start or a reload."""

import ctypes
import gc

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; other C libraries give memory back by themselves


def settle() -> None:
    """Give back what a start or a reload needed, and have the garbage collector leave alone what it made.

    With a thousand pools that is a seventh of the memory, and all of the time that a full collection takes. What was
    left alone before is looked at once: conversations and connections of that time are garbage now.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    if _trim is not None:
        _trim(0)
