"""Serials move forward only, also round the end of 32 bits (RFC 1982)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.zone.serial import ahead, following, is_newer, resumed, unforgotten

LAST = 2**32 - 1
SERIALS = st.integers(0, LAST)


@pytest.mark.parametrize(
    ("serial", "than", "newer"),
    [
        (1, 0, True),
        (44, 0, True),
        (100, 44, True),
        (0, 100, False),
        (2026010101, 2026010100, True),
        (1, 1, False),
        (0, LAST, True),
        (LAST, 0, False),
        (2**31 - 1, 0, True),
        (2**31, 0, False),
        (0, 2**31, False),
    ],
)
def test_order_on_the_circle(serial: int, than: int, *, newer: bool) -> None:
    """The order of RFC 1982 section 3.2; two serials half the circle apart have none."""
    assert is_newer(serial, than) is newer


@given(SERIALS)
def test_the_next_is_newer_and_never_zero(serial: int) -> None:
    """Secondaries take it for newer wherever on the circle it is."""
    after = following(serial)
    assert is_newer(after, serial)
    assert 0 < after <= LAST


def test_zero_is_left_out() -> None:
    """Behind the last number comes 1."""
    assert (following(LAST), following(LAST - 1), following(0)) == (1, LAST, 1)


@given(SERIALS, SERIALS)
def test_new_content_never_has_an_old_serial(in_file: int, last: int) -> None:
    """Whatever the file says, what was given out last is older."""
    assert is_newer(resumed(in_file, last), last)


@given(SERIALS)
def test_the_file_decides_where_it_can(in_file: int) -> None:
    """A first start takes the file's serial; so does every later one if that is newer."""
    assert resumed(in_file, None) == in_file
    assert resumed(following(in_file), in_file) == following(in_file)
    assert resumed(in_file, in_file) == following(in_file)


NOW = 1_800_000_000.0


@pytest.mark.parametrize("in_file", [100, 2_026_112_101, 2**32 - 5])
def test_a_serial_that_was_forgotten_is_not_given_out_again(in_file: int) -> None:
    """It is later than that of a run which changed something each second until a moment ago, and rises with time."""
    worst = ahead(in_file, int(NOW) - 1_767_225_600 - 1)
    first = unforgotten(in_file, None, NOW)
    assert is_newer(first, worst)
    assert is_newer(unforgotten(in_file, first, NOW + 1), first)
    assert unforgotten(in_file, ahead(first, 7), NOW) == ahead(first, 7)


def test_a_clock_that_is_wrong_takes_no_serial_back() -> None:
    """One of before there was a dnslb says nothing."""
    assert unforgotten(100, None, 0.0) == 100
    assert unforgotten(100, 130, 0.0) == 130
