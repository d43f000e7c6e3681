"""A sign of life on a terminal while the runs go on."""

import sys
import time

_PATIENCE = 1.0
"""Seconds: what is over before then shows none."""


class Progress:
    """Counts runs on standard error, if that is a terminal."""

    def __init__(self, runs: int) -> None:
        self._runs, self._done = runs, 0
        self._begin = time.monotonic()
        self._shown = False

    def step(self) -> None:
        """Count one more."""
        self._done += 1
        if sys.stderr.isatty() and time.monotonic() - self._begin > _PATIENCE:
            self._write(f"\rsimulating: {self._done} of {self._runs} runs")
            self._shown = True

    def end(self) -> None:
        """Leave nothing behind."""
        if self._shown:
            self._write("\r\x1b[K")

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
