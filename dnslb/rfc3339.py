"""Times as people and programs read them: RFC 3339, in UTC."""

from datetime import UTC, datetime


def rfc3339(at: float | None, timespec: str = "milliseconds") -> str | None:
    """Return Unix time as text, to the millisecond or as `datetime.isoformat` calls it.

    None stands for never, and for a time that the calendar does not reach: a certificate may say anything.
    """
    if at is None:
        return None
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None
