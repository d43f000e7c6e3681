"""The terminal of `dnslb top`: the whole screen and the keyboard, given back as they were on every way out."""

import codecs
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text

from dnslb.cli.top.keys import strokes

_PIECE = 1024
_ESCAPE_SECONDS = 0.05
"""For so long the rest of a key's sequence may be on its way: what comes later is another key."""
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_CHARACTERS = 6
"""Where the special characters stand in what tcgetattr returns."""


def missing() -> str:
    """Return what a full-screen view lacks here, "" if it lacks nothing."""
    if not sys.stdout.isatty():
        return "standard output is no terminal"
    if not sys.stdin.isatty():
        return "standard input is no terminal"
    if os.environ.get("TERM", "dumb") in {"", "dumb", "unknown"}:
        return "this terminal cannot move its cursor (see TERM)"
    return ""


Draw = Callable[[Sequence[Text]], None]
"""Shows these lines, which are as many as the screen has."""


class Terminal:
    """The screen and the keyboard, while `taken`."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._keyboard = sys.stdin.fileno()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._woken, self._waking = os.pipe()
        os.set_blocking(self._waking, False)

    def wake(self) -> None:
        """End a wait for keys; from any thread."""
        # If it is full, there is enough in it.
        with suppress(BlockingIOError):
            os.write(self._waking, b"\0")

    @contextmanager
    def taken(self) -> Iterator[Draw]:
        """Have the whole screen, and each key as it is pressed."""
        with (
            _signals(self._waking),
            _each_key(self._keyboard),
            Live(console=self._console, screen=True, auto_refresh=False) as live,
        ):
            yield lambda lines: self._draw(live, lines)

    def _draw(self, live: Live, lines: Sequence[Text]) -> None:
        # COLUMNS and LINES of the environment, which rich believes, do not follow a window.
        self._console.size = ConsoleDimensions(*self.size)
        live.update(Group(*lines), refresh=True)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines of now; those of any terminal if it does not know."""
        columns, lines = os.get_terminal_size(sys.stdout.fileno())
        return columns or 80, lines or 24

    def keys(self, seconds: float) -> list[str] | None:
        """Return the keys pressed, [] for other news or none for so long; None if the terminal is gone."""
        ready, _, _ = select.select([self._keyboard, self._woken], [], [], seconds)
        if self._woken in ready:
            os.read(self._woken, _PIECE)
        return self._read() if self._keyboard in ready else []

    def _read(self) -> list[str] | None:
        try:
            data = os.read(self._keyboard, _PIECE)
            if data.endswith(b"\x1b") and select.select([self._keyboard], [], [], _ESCAPE_SECONDS)[0]:
                data += os.read(self._keyboard, _PIECE)
        except OSError:
            return None
        return strokes(self._decoder.decode(data)) if data else None


def suspend() -> None:
    """Give the terminal to the shell until that brings us back."""
    os.kill(0, signal.SIGTSTP)


@contextmanager
def _each_key(keyboard: int) -> Iterator[None]:
    """Read keys as they are pressed, and show none; Ctrl-Z is a key, since the screen has to be given back first."""
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard)
        mode = termios.tcgetattr(keyboard)
        mode[_CHARACTERS][termios.VSUSP] = b"\0"
        termios.tcsetattr(keyboard, termios.TCSANOW, mode)
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSAFLUSH, before)


@contextmanager
def _signals(waking: int) -> Iterator[None]:
    """Have a new size end a wait for keys, and what ends the process leave in good order."""
    wakes = signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    before = {number: signal.signal(number, _leave) for number in _ENDING}
    before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda _number, _frame: None)
    try:
        yield
    finally:
        for number, what in before.items():
            signal.signal(number, what)
        signal.set_wakeup_fd(wakes)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
