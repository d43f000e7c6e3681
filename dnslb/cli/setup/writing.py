"""Files that are there whole or not at all."""

import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

_MODE = 0o644


def write(texts: Mapping[Path, str]) -> None:
    """Write all files, each in one step, in place of those that are there; OSError if one cannot be written.

    What is not finished then, or by Ctrl-C, leaves nothing behind.
    """
    with ExitStack() as stack:
        waiting = {path: _beside(path, text, stack) for path, text in texts.items()}
        for path, written in waiting.items():
            written.replace(path)


def _beside(path: Path, text: str, stack: ExitStack) -> Path:
    """Write a text into a file in the same directory, which is gone at the end unless it has another name by then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8") as file:
        written = Path(file.name)
        stack.callback(_gone, written)
        file.write(text)
        os.fchmod(file.fileno(), _MODE)
        file.flush()
        os.fsync(file.fileno())
    return written


def _gone(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
