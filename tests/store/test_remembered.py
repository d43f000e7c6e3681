"""What is remembered, as text: nothing of it is lost, and nothing is believed that dnslb has not written."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dnslb.store import Remembered
from dnslb.store.damage import DamagedError
from dnslb.store.remembered import as_text, parsed
from tests.store.known import DOWN, KEY, KNOWN


@pytest.mark.parametrize("known", [Remembered(), KNOWN])
def test_what_is_written_is_what_is_read(known: Remembered) -> None:
    """Each field of each part, whether or not it differs from what it would be by default."""
    assert parsed(as_text(known).encode()) == known


def test_people_can_read_it() -> None:
    """Each member has a line of its own."""
    (line,) = [line for line in as_text(KNOWN).splitlines() if "kernel" in line]
    assert json.loads(line.partition("[")[2].rstrip(",]")) == {
        "pool": "inbound",
        "member": "mx1",
        "state": "drain",
        "weight": None,
        "reason": "kernel",
        "who": "root",
        "since": 1000.5,
    }


def changed(change: Callable[[Any], object]) -> bytes:
    """Return the text of what is known after a change of its JSON."""
    found = json.loads(as_text(KNOWN))
    change(found)
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    "values",
    [
        {"state": "asleep"},
        {"verdict": "bored"},
        {"argued": "sideways"},
        {"colour": "blue"},
        {"faults": 7},
        {"faults": [7]},
        {"faults": [{}]},
        {"faults": [{"aspect": "colour", "verdict": "ok", "reason": "", "alert": False}]},
        {"faults": [{"aspect": "tls", "verdict": "blue", "reason": "", "alert": False}]},
    ],
)
def test_health_that_is_not_understood_is_dropped(values: dict[str, Any]) -> None:
    """The next probe says it anew: the health of others still counts, and so does all that people have said."""
    found = parsed(changed(lambda known: known["healths"][1].update(values)))
    assert found.healths == {key: health for key, health in KNOWN.healths.items() if key != ("inbound", "mx2")}
    assert found.healths[KEY] == DOWN
    assert found.admins == KNOWN.admins


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\0" * 4096,
        b"\xff\xfe",
        b"[" * 100_000,
        b"7",
        b"{}",
        as_text(KNOWN).encode()[:-20],
        changed(lambda known: known.update(format=2)),
        changed(lambda known: known.pop("windows")),
        changed(lambda known: known["admins"][0].update(state="asleep")),
        changed(lambda known: known["admins"][0].pop("member")),
        changed(lambda known: known["admins"][0].update(colour="blue")),
        changed(lambda known: known["windows"][0].update(before="asleep")),
        changed(lambda known: known["serials"].update(zone="many")),
        changed(lambda known: known["leavings"].pop("moment")),
    ],
)
def test_what_is_not_ours_is_not_believed(text: bytes) -> None:
    """Nothing, zeros, half of it, another program's, that of a later dnslb, words that we do not know."""
    with pytest.raises(DamagedError):
        parsed(text)
