"""Who asks lately: by network, and the newest most."""

import pytest

from dnslb.answer.askers import HALF_LIFE, Askers, beginning
from dnslb.answer.sketch import Entry

_V4, _V6 = bytes([192, 0, 2, 7]), bytes.fromhex("20010db8000000010000000000000007")


def test_clients_of_one_network_count_as_one() -> None:
    """A /24 and a /56; nothing else is kept of an address."""
    askers = Askers(beginning(100.0))
    for last in range(5):
        askers.note(_V4[:3] + bytes([last]), 1)
        askers.note(_V6[:7] + bytes([last]) * 9, 2)
    found = askers.summary(110.0)
    assert (found.seen, found.seconds, found.at) == (15, 10.0, 110.0)
    assert set(found.entries) == {Entry(_V4[:3], 5, 0), Entry(_V6[:7], 10, 0)}


def test_what_is_old_counts_half_and_its_time_too() -> None:
    """So the rate of a client that goes on as before stays what it is."""
    askers = Askers(beginning(HALF_LIFE))
    for minute in range(1, 120):
        askers.note(_V4, 30)
        found = askers.summary(HALF_LIFE + 60.0 * minute)
        assert found.seen / found.seconds == pytest.approx(0.5)
        assert found.entries == (Entry(_V4[:3], found.seen, 0),)
        assert found.seconds <= 2 * HALF_LIFE
        assert found.seconds >= min(60.0 * minute, HALF_LIFE) / 2


def test_who_is_gone_is_forgotten() -> None:
    """After an hour of others, a client that was all there was is a hundredth."""
    askers = Askers(beginning(0.0))
    askers.note(_V4, 1000)
    askers.summary(3600.0)
    askers.note(_V6, 1000)
    counts = {entry.prefix: entry.number for entry in askers.summary(3600.0).entries}
    assert counts == {_V4[:3]: 1000 / 64, _V6[:7]: 1000}


def test_a_replacement_goes_on_where_a_dead_worker_was() -> None:
    """Nothing is lost, and it halves when the dead one would have: together with the others."""
    first = Askers(beginning(5.0))
    first.note(_V4, 8)
    left = first.summary(20.0)
    second = Askers(left)
    second.note(_V4, 1)
    found = second.summary(HALF_LIFE + 10)
    assert found.entries == (Entry(_V4[:3], 4.5, 0),)
    assert found.seconds == pytest.approx(HALF_LIFE / 2 + 5)
