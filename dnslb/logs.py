"""Logging set-up: one line per fact, readable on a terminal, JSON everywhere else, with levels in the journal.

dnslb's own modules log through `structlog.get_logger()`; what libraries log through the standard library takes the
same way out. Nothing is logged per query.
"""

import json
import logging
import os
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = ("debug", "info", "warning", "error")

# The defaults of structlog and rich show local variables, which may be passwords.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
)

_JOURNAL_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def configure(stream: TextIO, level: str = "info") -> None:
    """Send every log line of this process from `level` (one of LEVELS) up to the stream; ValueError if not a level.

    A second call replaces the first.
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
    # It goes on when the stream's reader has gone away or the disk is full, and so does the daemon.
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(stream, chain))
    logging.basicConfig(handlers=[handler], level=number, force=True)
    # It writes a line for each run of each probe, and a warning for each probe that is still under way.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


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
