"""drain at a later time or for a while: what the daemon is asked, and what a person reads."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dnslb.cli.moment import full
from dnslb.control.protocol import Code, Refused

if TYPE_CHECKING:
    from tests.cli.conftest import Dnslb, FakeDaemon

BEGIN = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1, hours=12)
WHEN = BEGIN.isoformat()
REMAINS = {
    "members": 2,
    "of": 3,
    "weight": 50,
    "healthy_weight": 50,
    "total_weight": 100,
    "percent": 50.0,
    "min_healthy": 0.3,
    "out": {},
    "enough": True,
}


def a_window(state: str = "announced", seconds: float | None = 7200, who: str = "alice") -> dict[str, Any]:
    """Return a window that begins in a day and a half."""
    end = None if seconds is None else (BEGIN + timedelta(seconds=seconds)).isoformat()
    facts = {"begin": WHEN, "end": end, "reason": "kernel", "who": who, "state": state, "forced": False}
    return facts | {"held": ""}


@pytest.fixture(autouse=True)
def windowed(request: pytest.FixtureRequest) -> None:
    """Let the daemon take the window that a test wants."""
    if "daemon" in request.fixturenames:
        daemon: FakeDaemon = request.getfixturevalue("daemon")
        daemon.operator.windowed = {"window": a_window(), "remains": REMAINS, "ttls_shorten_at": None}


def test_the_daemon_is_asked_for_what_was_typed(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """A beginning, a length, both; without force if it was not said."""
    dnslb("drain", "inbound/mx1", "--at", WHEN, "--for", "2h30m", "--reason", "disks", "--force")
    dnslb("drain", "inbound/mx1", "--for", "90s")
    dnslb("drain", "inbound/mx1", "--at", WHEN)
    spans = [asked["window"] for asked in daemon.operator.asked]
    assert [(span.begin, span.seconds, span.forced) for span in spans] == [
        (BEGIN.timestamp(), 9000.0, True),
        (None, 90.0, False),
        (BEGIN.timestamp(), None, False),
    ]
    assert daemon.operator.asked[0]["reason"] == "disks"


def test_a_drain_that_is_announced_is_told_in_full(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """When by both clocks, until when, what is left meanwhile, and when TTLs begin to get shorter."""
    daemon.operator.windowed["ttls_shorten_at"] = (BEGIN - timedelta(seconds=60)).isoformat()
    first, *rest = dnslb("drain", "inbound/mx1", "--at", WHEN, "--for", "2h").output.splitlines()
    assert first == f"inbound/mx1 drains from {full(BEGIN)}, in 1d12h, until {full(BEGIN + timedelta(hours=2))}."
    assert rest == [
        "Meanwhile 2 of 3 members are left, with 50 of the pool's weight of 100 (50 %); the pool panics below 30 %.",
        f"TTLs get shorter from {full(BEGIN - timedelta(seconds=60))} on.",
    ]


def test_a_drain_for_ever_says_what_ends_it(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """And TTLs that have no room are said so."""
    daemon.operator.windowed["window"] = a_window(seconds=None)
    output = dnslb("drain", "inbound/mx1", "--at", WHEN).output
    assert "until it is set to ready." in output
    assert "TTLs stay as they are" in output


def test_a_window_from_now_on_is_told_like_a_drain(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """It is out of the answers, resolvers have it still, and the window has an end."""
    daemon.operator.windowed |= {"window": a_window("running"), "admin": "drain", "published": False}
    lines = dnslb("drain", "inbound/mx1", "--for", "2h").output.splitlines()
    assert lines[0] == "inbound/mx1 is drained: no longer in answers (generation 7)."
    assert lines[1] == f"Its window lasts until {full(BEGIN + timedelta(hours=2))}."
    assert lines[-1].startswith("Resolvers may send to it for up to 45 s more")


def test_what_is_wrong_with_it_is_told_apart(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Who is missing is among the facts; the warning is on standard error, and so is that of a drain from now on."""
    out = REMAINS | {"members": 1, "out": {"mx2": "down"}, "healthy_weight": 20}
    daemon.operator.windowed |= {"remains": out, "warnings": ["too little"], "replaced": a_window(who="bob")}
    result = dnslb("drain", "inbound/mx1", "--at", WHEN, "--force")
    assert result.stderr == "Warning: too little\n"
    assert "Meanwhile 1 of 3 members are left (mx2 is down), with 50 of" in result.stdout
    assert "weight of 100 (50 %), or 20 (20 %) by whole groups; the pool panics below 30 %." in result.stdout
    assert "for 2h (bob: kernel) gives way to this one." in result.stdout
    daemon.operator.admin_facts = {"warnings": ["the last member"], "cancelled": a_window()}
    result = dnslb("maint", "inbound/mx1")
    assert result.stderr == "Warning: the last member\n"
    assert "for 2h (alice: kernel) is cancelled." in result.stdout


@pytest.mark.parametrize("words", [("maint", "inbound/mx1"), ("weight", "inbound/mx1", "7")])
def test_who_leaves_a_window_is_told_that_it_is_there(
    dnslb: "Dnslb", daemon: "FakeDaemon", words: tuple[str, ...]
) -> None:
    """Maintenance and weights change nothing about it."""
    daemon.operator.member("inbound", "mx1")["window"] = a_window()
    assert "Its window stays: it drains at " in dnslb(*words).output


def test_json_is_what_the_daemon_says(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """The member, with what it leaves and what it is warned of."""
    found = json.loads(dnslb("drain", "inbound/mx1", "--at", WHEN, "--json").stdout)
    assert (found["window"], found["remains"], found["warnings"]) == (a_window(), REMAINS, [])
    assert daemon.operator.asked[0]["reason"] == ""


def test_a_program_is_told_what_a_refused_window_would_leave(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """On standard output, with the sentence that people read and the daemon's word for programs."""
    daemon.operator.refuses = Refused(Code.REFUSED, "mx1 would leave nobody", {"remains": REMAINS})
    result = dnslb("drain", "inbound/mx1", "--at", WHEN, "--json")
    assert (result.exit_code, result.stderr) == (1, "Error: mx1 would leave nobody\n")
    assert json.loads(result.stdout) == {"error": "mx1 would leave nobody", "code": "refused", "remains": REMAINS}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--at", "2026-01-01 00:00"), "is in the past: 2026-01-01 00:00:00"),
        (("--at", "yesterday"), "'yesterday' is no time: write 22:00,"),
        (("--at", "2026-01-01T00:00:61Z"), "is no time: "),
        (("--at", "in 400d"), "a drain can be planned for the next 366 days"),
        (("--for", "9999d"), "--for is at most 366d: without it the drain lasts until"),
        (("--for", "0s"), "--for is how long the drain lasts: more than 0s"),
        (("--for", "long"), "'long' is no time span"),
        (("--for", "1h 30m"), "is no time span"),
        (("--timeout", "5m"), "--timeout is for --wait"),
        (("--force",), "--force is for --at and --for"),
    ],
)
def test_a_time_that_cannot_be_is_a_usage_error(
    dnslb: "Dnslb", daemon: "FakeDaemon", words: tuple[str, str], told: str
) -> None:
    """Exit status 2, and nothing is done; what is over is told what time it is."""
    result = dnslb("drain", "inbound/mx1", *words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert daemon.operator.asked == []


def test_pool_and_status_show_what_is_planned(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """At the member, and above all in the status."""
    daemon.operator.member("inbound", "mx1")["window"] = a_window()
    assert "\n    drains at " in dnslb("pool", "inbound").output
    assert "\n\ninbound/mx1 drains at " in dnslb("status").output
