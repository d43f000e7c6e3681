"""What a worker says by itself: a few reports on standard error, and it never waits for who reads them.

Standard error is shared with the controller and mostly a pipe: a worker that waited in write(2) for its reader would
answer nothing, and so would one that writes a line for each of a million packets.
"""

import contextlib
import logging
import os
import select
import traceback

_MOST = 10
_STDERR = 2


class Reports(logging.Handler):
    """The first ten reports of a process; what libraries log and what the event loop catches are among them."""

    def __init__(self, descriptor: int = _STDERR) -> None:
        """Write to a descriptor, which is not switched to non-blocking: others have it open too."""
        super().__init__()
        self._descriptor = descriptor
        self._left = _MOST
        self._missed = 0

    def say(self, text: str, error: BaseException | None = None) -> None:
        """Write one report, and where the error came from if there is one; leave out what nobody takes at once."""
        if not self._left:
            return
        # Whoever read it may be gone.
        with contextlib.suppress(OSError):
            if not self._is_taken():
                self._missed += 1
                return
            self._left -= 1
            missed = f" ({self._missed} reports before it were not taken)" if self._missed else ""
            where = "".join(traceback.format_exception(error)) if error else ""
            self._write(f"dnslb: {text}{missed}\n{where}".encode(errors="replace"))

    def emit(self, record: logging.LogRecord) -> None:
        """Say what a library has logged."""
        self.say(record.getMessage(), record.exc_info[1] if record.exc_info else None)

    def on_loop_error(self, _loop: object, context: dict[str, object]) -> None:
        """Say what the event loop has caught. Of an error of the system, a shortage mostly, one line says all."""
        error = context.get("exception")
        if isinstance(error, OSError):
            self.say(f"{context['message']}: {error}")
        else:
            self.say(str(context["message"]), error if isinstance(error, BaseException) else None)

    def _write(self, octets: bytes) -> None:
        """Write as much as is taken: so many octets at a time never block when the descriptor is ready."""
        for start in range(0, len(octets), select.PIPE_BUF):
            if not self._is_taken():
                return
            os.write(self._descriptor, octets[start : start + select.PIPE_BUF])

    def _is_taken(self) -> bool:
        return bool(select.select([], [self._descriptor], [], 0)[1])
