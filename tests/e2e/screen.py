"""A real terminal (tmux) that tests type into."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.e2e.processes import program, until

if TYPE_CHECKING:
    from tests.e2e.processes import Stage


class Screen:
    """A program in a terminal of 80x24, whose keys are pressed and whose screen is read."""

    def __init__(self, stage: Stage, command: str) -> None:
        self._tmux = [program("tmux"), "-S", str(stage.path / "tmux.sock"), "-f", "/dev/null"]
        self._run("new-session", "-d", "-x", "80", "-y", "24", command)
        stage.callback(self._run, "kill-server")

    def _run(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, timeout=30, check=True)
        return done.stdout

    def type(self, *keys: str) -> None:
        """Press keys, one after the other; tmux knows some by their names."""
        self._run("send-keys", *keys)

    def resize(self, columns: int, lines: int) -> None:
        """Give the window another size."""
        self._run("resize-window", "-x", str(columns), "-y", str(lines))

    def lines(self) -> list[str]:
        """Return what is on the screen."""
        return self._run("capture-pane", "-p").split("\n")[:-1]

    def ask(self, what: str) -> str:
        """Return one fact of the terminal by tmux's name for it."""
        return self._run("display-message", "-p", f"#{{{what}}}").strip()

    def wait(self, text: str) -> list[str]:
        """Return the lines of the screen as soon as they hold a text."""

        def shown() -> list[str]:
            lines = self.lines()
            return lines if any(text in line for line in lines) else []

        try:
            return until(shown, f"{text!r} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n" + "\n".join(self.lines())) from None
