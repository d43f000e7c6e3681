"""Points of time as people type and read them, where clocks are put forward and back."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from dnslb.cli.moment import brief, exact, full, moment

NOW = datetime(2026, 11, 21, 15, 30, 10, tzinfo=UTC)
"""16:30:10 in Berlin, which is an hour ahead in winter."""


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this machine be in Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("22:00", "2026-11-21T21:00:00"),
        ("16:31", "2026-11-21T15:31:00"),
        ("16:30:11", "2026-11-21T15:30:11"),
        ("16:30:10", "2026-11-22T15:30:10"),
        ("22:00Z", "2026-11-21T22:00:00"),
        ("15:30Z", "2026-11-22T15:30:00"),
        ("22:00+05:00", "2026-11-21T17:00:00"),
        ("04:00 +1300", "2026-11-22T15:00:00"),
        ("05:00+13:00", "2026-11-21T16:00:00"),
        ("9:05", "2026-11-22T08:05:00"),
        ("2026-11-22 22:00", "2026-11-22T21:00:00"),
        ("2026-11-22T22:00:07", "2026-11-22T21:00:07"),
        ("2027-07-01 22:00", "2027-07-01T20:00:00"),
        ("2026-11-22T22:00Z", "2026-11-22T22:00:00"),
        ("2026-11-22t22:00:07z", "2026-11-22T22:00:07"),
        ("2026-11-22 22:00 +05:30", "2026-11-22T16:30:00"),
        ("2026-11-22T22:00-0800", "2026-11-23T06:00:00"),
        ("in 30m", "2026-11-21T16:00:10"),
        ("+1h30m", "2026-11-21T17:00:10"),
        ("2026-10-25 02:30", "2026-10-25T00:30:00"),
    ],
)
def test_a_time_is_read_as_it_is_meant_here(text: str, found: str) -> None:
    """Without a date the next one; without a zone that of this machine, as it is on that day; of two, the first."""
    assert moment(text, NOW) == datetime.fromisoformat(f"{found}+00:00")


@pytest.mark.parametrize(
    "text",
    [
        *("22", "24:00", "22:60", "yesterday", "", "2026-11-22", "2026-13-01 22:00", "22:00+99:00", "in", "in 5", "+m"),
        *("0001-01-01 00:00", "2026-11-22 22:00 CET", "in 99999999999d", "30m"),
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    """A guess would drain a server at the wrong time."""
    with pytest.raises((ValueError, OverflowError)):
        moment(text, NOW)


def test_a_time_that_the_clocks_jump_over_is_none() -> None:
    """There is no half past two when summer time begins."""
    with pytest.raises(ValueError, match="there is no 02:30 on 2027-03-28 here"):
        moment("2027-03-28 02:30", NOW)


@pytest.mark.parametrize(
    ("text", "now", "found"),
    [
        ("02:30", "2027-03-28T08:00:00", "2027-03-29T00:30:00"),
        ("02:30", "2026-10-25T00:10:00", "2026-10-25T00:30:00"),
        ("02:30", "2026-10-25T00:40:00", "2026-10-26T01:30:00"),
        ("02:30", "2026-10-25T01:10:00", "2026-10-26T01:30:00"),
    ],
)
def test_the_next_time_is_found_on_the_days_when_clocks_are_set(text: str, now: str, found: str) -> None:
    """Of a time that was jumped over this morning the next one is tomorrow's; of one that comes twice, the first."""
    at, then = (datetime.fromisoformat(f"{each}+00:00") for each in (now, found))
    assert moment(text, at) == then


def test_a_point_of_time_is_shown_with_date_and_zone() -> None:
    """In UTC as well where that differs, with its date where that differs too."""
    assert full(datetime(2026, 11, 22, 21, 0, tzinfo=UTC)) == "2026-11-22 22:00:00 CET (21:00:00 UTC)"
    assert full(datetime(2026, 11, 22, 23, 0, 7, tzinfo=UTC)) == "2026-11-23 00:00:07 CET (2026-11-22 23:00:07 UTC)"


def test_utc_is_not_said_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a server has its clock in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert full(datetime(2026, 11, 22, 21, 0, tzinfo=UTC)) == "2026-11-22 21:00:00 UTC"


def test_today_needs_no_date() -> None:
    """Today is where this machine is; seconds are shown where there are any."""
    assert brief(datetime(2026, 11, 21, 21, 0, tzinfo=UTC), NOW) == "22:00"
    assert brief(datetime(2026, 11, 21, 22, 59, 9, tzinfo=UTC), NOW) == "23:59:09"
    assert brief(datetime(2026, 11, 21, 23, 0, tzinfo=UTC), NOW) == "2026-11-22 00:00"


@pytest.mark.parametrize(
    ("seconds", "text"), [(7200, "2h"), (9000, "2h30m"), (90_061, "1d1h1m1s"), (0, "0s"), (59.7, "1m")]
)
def test_a_span_is_shown_in_full(seconds: float, text: str) -> None:
    """Two hours and a half are not two hours."""
    assert exact(timedelta(seconds=seconds)) == text
