"""Pool members: mail servers on one port of several loopback addresses, each of which can die and come back."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.processes import Process, Stage, free_port, listens, until

if TYPE_CHECKING:
    from collections.abc import Iterable


class Members:
    """Sinks `mx1`, `mx2`, ... on 127.0.0.11, 127.0.0.12, ...; `port` is the same for all."""

    def __init__(self, stage: Stage, count: int) -> None:
        self.stage = stage
        self.addresses = {f"mx{n}": f"127.0.0.{10 + n}" for n in range(1, count + 1)}
        self.port = free_port(*self.addresses.values())
        self._running: dict[str, Process] = {}
        for name in self.addresses:
            self.record(name).touch()
            self._launch(name)
        for name in self.addresses:
            self._wait(name)

    def record(self, name: str) -> Path:
        """Return the file that has a line for each message that the member took."""
        return self.stage.path / f"{name}.messages"

    def start(self, name: str) -> None:
        """Start the member, and wait until it takes connections."""
        self._launch(name)
        self._wait(name)

    def _launch(self, name: str) -> None:
        sink = str(Path(__file__).with_name("sink.py"))
        command = [sys.executable, sink, self.addresses[name], str(self.port), str(self.record(name))]
        self._running[name] = self.stage.start(name, command)

    def _wait(self, name: str) -> None:
        until(lambda: listens(self.addresses[name], self.port), f"{name} listens")

    def kill(self, name: str) -> None:
        """Let the member die at once."""
        self._running[name].signal(signal.SIGKILL)
        self._running[name].wait()

    def subjects(self, name: str) -> list[str]:
        """Return the subjects of the messages that the member took."""
        return self.record(name).read_text().splitlines()

    def taken(self, subjects: Iterable[str]) -> Counter[str]:
        """Return how many of the given messages each member took."""
        wanted = set(subjects)
        return Counter({name: len(wanted.intersection(self.subjects(name))) for name in self.addresses})

    def have_all(self, subjects: Iterable[str]) -> bool:
        """Say whether every one of the messages has arrived somewhere."""
        return set(subjects) <= {subject for name in self.addresses for subject in self.subjects(name)}
