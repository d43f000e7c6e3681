"""A sign of life on a terminal while a server takes its time."""

import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STEP = 1.0
"""Seconds between two signs: what is over before the first shows none."""


@contextmanager
def waiting(whom: str) -> Iterator[None]:
    """Tell on standard error, if that is a terminal, for how many seconds `whom` has been waited for."""
    if not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_tell, args=(whom, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _tell(whom: str, over: threading.Event) -> None:
    # Not longer than a line of the terminal: a second one would not be written over.
    width = shutil.get_terminal_size().columns - 1
    seconds = 0
    while not over.wait(_STEP):
        seconds += 1
        _write(f"\rwaiting for {whom}: {seconds} s"[:width])
    if seconds:
        _write(f"\r{'':{width}}\r")


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
