"""The daemon as `dnslb top` hears it: asked in a thread of its own, so that keys work while it takes its time."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any

from dnslb.cli.member import Target, admin_args, sentence
from dnslb.cli.options import Daemon, Told
from dnslb.cli.top.model import Model, Wish, arrived, begin, lost, noticed

_INTERVAL = 1.0
_COURTESY = 4
"""How much longer than a daemon took to answer it is left in peace: a view must not be what keeps it busy."""
_EVENTS = 100
_REASON = "said in dnslb top"

Change = Callable[[Model], Model]
"""What news makes of a model. It raises what the thread could not deal with."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A thread that asks the daemon; `wake` is called when there is something in `changes`."""

    daemon: Daemon
    wake: Callable[[], None]
    changes: SimpleQueue[Change] = field(default_factory=SimpleQueue)
    _wishes: SimpleQueue[Wish | None] = field(default_factory=SimpleQueue)

    def first(self) -> Model:
        """Return what is known at the beginning. Raise click's exceptions if the daemon does not tell."""
        return begin(*self._word(), datetime.now(UTC))

    def start(self) -> threading.Thread:
        """Go on asking until the `end`, in the thread that is returned; whoever is in a hurry need not wait for it."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        return thread

    def end(self) -> None:
        """Ask no more than what is being asked now."""
        self._wishes.put(None)

    def want(self, wish: Wish) -> None:
        """Have the daemon told what a person wants."""
        self._wishes.put(wish)

    def _run(self) -> None:
        try:
            going = True
            while going:
                began = time.monotonic()
                self._poll()
                going = self._attend(max(_INTERVAL, _COURTESY * (time.monotonic() - began)))
        except Exception as error:  # noqa: BLE001 -- whoever draws has to know, and ends in good order
            self._tell(_raising(error))

    def _poll(self) -> None:
        try:
            status, events = self._word()
        except Told as error:
            why = error.message
            self._tell(lambda model: lost(model, why))
            return
        now = datetime.now(UTC)
        self._tell(lambda model: arrived(model, status, events, now))

    def _word(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        return self.daemon.ask("status"), self.daemon.ask("events", {"limit": _EVENTS})

    def _attend(self, seconds: float) -> bool:
        """Wait; if somebody wants something meanwhile, do that and end at once, so that it is seen.

        Return whether to go on.
        """
        try:
            wish = self._wishes.get(timeout=seconds)
        except Empty:
            return True
        if wish is None:
            return False
        text = self._done(wish)
        self._tell(lambda model: noticed(model, text))
        return True

    def _done(self, wish: Wish) -> str:
        target = Target(*wish.target)
        try:
            result = self.daemon.ask("admin", admin_args(target, wish.state, _REASON))
        except Told as error:
            return error.message
        return " ".join([*(f"Warning: {text}." for text in result.get("warnings", ())), sentence(target, result)])

    def _tell(self, change: Change) -> None:
        self.changes.put(change)
        self.wake()


def _raising(error: Exception) -> Change:
    def change(_model: Model) -> Model:
        raise error

    return change
