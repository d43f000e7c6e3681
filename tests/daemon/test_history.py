"""The samples of the last minutes: rates and latencies whose lists all end now."""

import json
from dataclasses import replace

from dnslb.daemon.history import INTERVAL, SAMPLES, History
from dnslb.daemon.roster import Entry, Roster, Standing
from dnslb.pool.admin import Admin
from dnslb.pool.health import Health, State, Thresholds
from tests.conftest import member

UP = Health(State.UP, latency_ms=3.14)


def entry(name: str) -> Entry:
    """Return a member that is up."""
    return Entry(member(name), Thresholds(1, 1, 10), Standing(Admin(), UP))


class Watched:
    """A history of a clock, counters and members that the test sets."""

    def __init__(self, *names: str) -> None:
        self.now, self.rcodes = 1000.0, {"NOERROR": 100}
        self.entries = {
            ("mail", name): Entry(member(name), Thresholds(1, 1, 10), Standing(Admin(), UP)) for name in names
        }
        self.history = History(
            lambda: Roster(self.entries), lambda: dict(self.rcodes), clock=lambda: self.now, wall=lambda: 0.0
        )

    def take(self, **answers: int) -> None:
        """Take a sample, an interval later and after so many answers."""
        self.now += INTERVAL
        for rcode, number in answers.items():
            self.rcodes[rcode] = self.rcodes.get(rcode, 0) + number
        self.history.take()


def test_before_the_first_sample() -> None:
    """There is nothing, and it can be told."""
    assert Watched("mx1").history.as_json() == {
        "interval_s": 2.0,
        "now": "1970-01-01T00:00:00.000Z",
        "rcodes": {},
        "latency_ms": {},
    }


def test_rates_are_answers_per_second() -> None:
    """Between two samples; a response code that is new was not there before."""
    watched = Watched("mx1")
    for answers in ({}, {"NOERROR": 10}, {"NOERROR": 20, "NXDOMAIN": 1}):
        watched.take(**answers)
    assert watched.history.as_json()["rcodes"] == {"NOERROR": [5.0, 10.0], "NXDOMAIN": [0.0, 0.5]}


def test_latencies_are_those_of_each_member() -> None:
    """In milliseconds, null where none is known, and before there was such a member."""
    watched = Watched("mx1")
    watched.take()
    standing = watched.entries["mail", "mx1"].standing
    standing.health = replace(UP, latency_ms=None)
    watched.take()
    watched.entries["mail", "mx2"] = entry("mx2")
    watched.take()
    assert watched.history.as_json()["latency_ms"] == {"mail/mx1": [3.1, None, None], "mail/mx2": [None, None, 3.1]}


def test_a_member_that_is_gone_is_not_told_of() -> None:
    """The lists are of the members of now, whatever others there were."""
    watched = Watched("mx1", "mx2")
    watched.take()
    del watched.entries["mail", "mx1"]
    watched.take()
    assert watched.history.as_json()["latency_ms"] == {"mail/mx2": [3.1, 3.1]}


def test_ten_minutes_are_kept() -> None:
    """However long it runs, and for which members."""
    watched = Watched("mx1")
    for _ in range(2 * SAMPLES):
        watched.take(NOERROR=1)
    told = watched.history.as_json()
    assert len(told["rcodes"]["NOERROR"]) == len(told["latency_ms"]["mail/mx1"]) == SAMPLES == 600 / INTERVAL


def test_of_many_members_less_is_told() -> None:
    """What is sent has a bound, and ends now."""
    watched = Watched(*(f"mx{number}" for number in range(1000)))
    for _ in range(100):
        watched.take()
    told = watched.history.as_json()["latency_ms"]
    assert {len(latencies) for latencies in told.values()} == {60}
    assert len(json.dumps(told)) < 1_000_000
