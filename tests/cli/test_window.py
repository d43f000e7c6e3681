"""Planned drains in words."""

from datetime import datetime
from typing import Any

import pytest

from dnslb.cli.window import words

NOW = datetime.fromisoformat("2026-11-22T18:00:00").astimezone()


def a_window(**facts: object) -> dict[str, Any]:
    """Return a window from ten to midnight, in the time of this machine."""
    begin, end = (f"2026-11-2{text}" for text in ("2T22:00:00", "3T00:00:00"))
    moments = {"begin": datetime.fromisoformat(begin).astimezone(), "end": datetime.fromisoformat(end).astimezone()}
    said = {"reason": "kernel", "who": "alice", "state": "announced", "forced": False, "held": ""}
    return {name: moment.isoformat() for name, moment in moments.items()} | said | facts


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, "drains at 22:00 for 2h (alice: kernel)"),
        ({"end": None}, "drains at 22:00 (alice: kernel)"),
        ({"reason": "", "forced": True}, "drains at 22:00 for 2h (alice, forced)"),
        ({"who": "", "reason": ""}, "drains at 22:00 for 2h"),
        ({"state": "running"}, "is in its window until 2026-11-23 00:00 (alice: kernel)"),
        ({"state": "running", "end": None}, "is in its window until it is set to ready (alice: kernel)"),
        (
            {"held": "1 of 3 members"},
            "should drain since 22:00 for 2h (alice: kernel), and does not: it would leave 1 of 3 members",
        ),
        ({"reason": "\x1b[2J"}, "drains at 22:00 for 2h (alice: \\x1b[2J)"),
    ],
)
def test_a_person_reads_what_becomes_of_a_member(facts: dict[str, Any], text: str) -> None:
    """When and for how long, who wants it and why, and what keeps it from beginning."""
    assert words(a_window(**facts), NOW) == text
