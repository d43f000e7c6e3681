"""Serials move forward only, also round the end of 32 bits (RFC 1982)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.zone.serial import following, is_newer, resumed

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
