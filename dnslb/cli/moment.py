"""Points of time as a person types and reads them, in the zone of this machine."""

import re
from datetime import UTC, datetime, time, timedelta

import click

from dnslb.cli.options import seconds_of
from dnslb.cli.output import duration
from dnslb.control.protocol import MAX_SPAN

_AHEAD = re.compile(r"(?:in\s+|\+)(\S+)")
_ZONE = r"\s*(Z|[+-]\d{2}:?\d{2})?"
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?" + _ZONE, re.IGNORECASE)
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2})?)" + _ZONE, re.IGNORECASE)
DAYS = MAX_SPAN // 86_400
_FORMS = '22:00, "YYYY-MM-DD 22:00", YYYY-MM-DDT22:00Z or "in 30m"'


class WhenType(click.ParamType[datetime]):
    """A point of time that is not over yet, and not more than a year ahead."""

    name = "WHEN"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the point of time that is meant; fail with what it is now, or with examples of how to write one."""
        if isinstance(value, datetime):
            return value
        now = datetime.now(UTC)
        try:
            found = moment(str(value).strip(), now)
        except (ValueError, OverflowError) as error:
            self.fail(f"{value!r} is no time: {error}", param, ctx)
        if found < now:
            self.fail(f"{value!r} is in the past: {full(found)}, and it is {full(now)} now", param, ctx)
        if found - now > timedelta(seconds=MAX_SPAN):
            self.fail(f"{value!r} is {full(found)}: a drain can be planned for the next {DAYS} days", param, ctx)
        return found


def moment(text: str, now: datetime) -> datetime:
    """Return the point of time that a text means at `now`.

    A time without a date is the next such time, and one without a zone is in this machine's. Raise ValueError or
    OverflowError for what is none.
    """
    if ahead := _AHEAD.fullmatch(text):
        return now + timedelta(seconds=_span(ahead[1]))
    if clock := _CLOCK.fullmatch(text):
        hour, minute, second = (int(part or 0) for part in clock.groups()[:3])
        offset = time.fromisoformat(f"00:00{clock[4].upper()}").tzinfo if clock[4] else None
        return _next(time(hour, minute, second, tzinfo=offset), now)
    if date := _DATE.fullmatch(text):
        day, clock_time, zone = date.groups()
        found = datetime.fromisoformat(f"{day}T{clock_time}{(zone or '').upper()}")
        return _placed(found)
    raise ValueError(f"write {_FORMS}")


def full(when: datetime) -> str:
    """Return a point of time with its date, by the clock of this machine and in UTC where that differs."""
    here = when.astimezone()
    if here.utcoffset() == timedelta(0):
        return f"{here:%Y-%m-%d %H:%M:%S} UTC"
    day = "" if when.astimezone(UTC).date() == here.date() else "%Y-%m-%d "
    return f"{here:%Y-%m-%d %H:%M:%S %Z} ({when.astimezone(UTC):{day}%H:%M:%S} UTC)"


def brief(when: datetime, now: datetime) -> str:
    """Return a point of time by the clock of this machine, with its date if that is not today's."""
    here = when.astimezone()
    seconds = ":%S" if here.second else ""
    day = "" if here.date() == now.astimezone().date() else "%Y-%m-%d "
    return f"{here:{day}%H:%M{seconds}}"


def exact(span: timedelta) -> str:
    """Return a time span in all its units: 2h30m."""
    left, parts = round(span.total_seconds()), []
    for size in (86_400, 3_600, 60, 1):
        count, left = divmod(left, size)
        if count:
            parts.append(duration(count * size))
    return "".join(parts) or "0s"


def _span(text: str) -> float:
    seconds = seconds_of(text)
    if seconds is None:
        raise ValueError(f"write {_FORMS}")
    return seconds


def _next(clock: time, now: datetime) -> datetime:
    here = now.astimezone(clock.tzinfo)
    today = datetime.combine(here.date(), clock)
    # A time of this morning that the clocks have jumped over is no more in the way.
    if clock.replace(tzinfo=None) > here.time() and (found := _placed(today)) > now:
        return found
    return _placed(today + timedelta(days=1))


def _placed(found: datetime) -> datetime:
    return found if found.tzinfo is not None else _local(found)


def _local(naive: datetime) -> datetime:
    """Return a time of this machine's zone. Raise ValueError if its clocks jump over it."""
    found = naive.astimezone()
    if found.replace(tzinfo=None) != naive:
        raise ValueError(f"there is no {naive:%H:%M} on {naive:%Y-%m-%d} here, since the clocks are put forward then")
    return found
