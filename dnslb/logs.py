"""Logging set-up: one line per fact, readable on a terminal, JSON everywhere else, with levels in the journal.

dnslb's own modules log through `structlog.get_logger()`; what libraries log through the standard library takes the
same way out. Nothing is logged per query.
"""

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = ("debug", "info", "warning", "error")

# The defaults of structlog and rich show local variables, which may be passwords.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
)

MOST_WAITING = 10_000
"""How many lines wait at most for whoever reads them; those that come then are dropped, and counted."""
_FLUSH_SECONDS = 1.0

_JOURNAL_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def configure(stream: TextIO, level: str = "info") -> None:
    """Send every log line of this process from `level` (one of LEVELS) up to the stream; ValueError if not a level.

    A line is written soon, by a thread: a reader that stalls holds up nobody. At the end of the process it has a
    second to take what is left. A second call replaces the first.
    """
    if level not in LEVELS:
        raise ValueError(f"log level {level!r} is unknown, expected one of {', '.join(LEVELS)}")
    number = logging.getLevelNamesMapping()[level.upper()]
    chain = _facts(stream)
    structlog.configure(
        processors=[*chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        # A cached logger would ignore a later call, and nothing logs often enough to feel the difference.
        cache_logger_on_first_use=False,
    )
    flush()
    handler = _Lines(_writing_to(stream))
    handler.setFormatter(_formatter(stream, chain))
    logging.basicConfig(handlers=[handler], level=number, force=True)
    # It writes a line for each run of each probe, and a warning for each probe that is still under way.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


def flush() -> None:
    """Wait until all lines so far are written, at most a second; before something else is written to the stream."""
    for handler in logging.getLogger().handlers:
        handler.flush()


class _Lines(logging.Handler):
    """Renders records and hands the lines to a thread that writes them. Python flushes and closes it at exit."""

    def __init__(self, write: Callable[[str], object]) -> None:
        super().__init__()
        self._write = write
        self._waiting: queue.Queue[str | threading.Event | None] = queue.Queue(MOST_WAITING)
        self._dropped = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.put_nowait(f"{self.format(record)}\n")
        except queue.Full:
            self._dropped += 1
        except Exception:  # noqa: BLE001 - as logging does it: a line that cannot be made must end nothing
            self.handleError(record)

    def flush(self) -> None:
        end = time.monotonic() + _FLUSH_SECONDS
        written = threading.Event()
        with suppress(queue.Full):
            self._waiting.put(written, timeout=_FLUSH_SECONDS)
            written.wait(end - time.monotonic())

    def close(self) -> None:
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        super().close()

    def _run(self) -> None:
        told = 0
        while (item := self._waiting.get()) is not None:
            if isinstance(item, str):
                self._write(item)
            if told < self._dropped and self._waiting.empty():
                dropped, told = self._dropped - told, self._dropped
                self._write(self._note(dropped))
            if isinstance(item, threading.Event):
                item.set()

    def _note(self, dropped: int) -> str:
        text = "%d log lines were dropped: nobody read those before them"
        facts = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": text, "args": (dropped,)}
        return f"{self.format(logging.makeLogRecord(facts))}\n"


def _writing_to(stream: TextIO) -> Callable[[str], object]:
    try:
        # Not through the stream: it is locked while a write stalls, and whoever else writes to it would stall as well.
        return partial(_write, stream.fileno())
    except OSError:  # it is in memory
        return stream.write


def _write(descriptor: int, line: str) -> None:
    """Write a line; it is lost, and the daemon goes on, if the reader has gone away or the disk is full."""
    left = line.encode("utf-8", "backslashreplace")
    with suppress(OSError):
        while left:
            left = left[os.write(descriptor, left) :]


def _formatter(stream: TextIO, chain: list[Processor]) -> structlog.stdlib.ProcessorFormatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=chain,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(stream)],
    )


def _facts(stream: TextIO) -> list[Processor]:
    """Return what is added to each event, the same for our lines and for those of libraries."""
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    if stream.isatty():
        chain.append(structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False))
    elif not _is_journal(stream):  # the journal notes the time itself
        chain.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    return chain


def _renderers(stream: TextIO) -> list[Processor]:
    if stream.isatty():
        return [
            _printable,
            structlog.dev.ConsoleRenderer(
                colors="NO_COLOR" not in os.environ,
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ]
    return [_TRACEBACKS, _journal_line if _is_journal(stream) else _json_line]


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Show "?" for what is not printable: what a mail server said must not steer the terminal of whoever reads it."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = "".join(char if char.isprintable() else "?" for char in value)
    return event


def _json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    leading = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return json.dumps({**leading, **event}, default=str)


def _journal_line(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """Return the JSON line behind its priority in the way of sd-daemon(3), "<6>"."""
    priority = _JOURNAL_PRIORITY.get(str(event.get("level")), _JOURNAL_PRIORITY["info"])
    return f"<{priority}>{_json_line(logger, method, event)}"


def _is_journal(stream: TextIO) -> bool:
    """Return whether systemd connected this very stream to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"
