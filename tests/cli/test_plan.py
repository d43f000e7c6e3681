"""plan: what a person reads before a change, and the exit status that a script goes by."""

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Dnslb, FakeDaemon


def _member(share: float | None, rule: str) -> dict[str, Any]:
    return {"published": share is not None, "share": share or 0.0, "rule": rule}


def _pool(members: dict[str, Any], *, healthy: int, panic: bool = False, ttl: int = 30) -> dict[str, Any]:
    shares = {name: facts["share"] for name, facts in members.items() if facts["published"]}
    return {
        "panic": panic,
        "policy": "weighted",
        "healthy_weight": healthy,
        "total_weight": 100,
        "share_of": "mx.lb.example.org",
        "members": members,
        "services": {
            "mx.lb.example.org": {"type": "address", "ttl": ttl, "ttl_max": ttl, "shares": shares},
            "mx.lb.example.org MX": {"type": "MX", "ttl": 45, "ttl_max": 45, "shares": {"mx1": 1.0}},
        },
    }


def _change(step: str, member: str, weight: int | None = None, tier: int = 1) -> dict[str, Any]:
    return {"step": step, "pool": "inbound", "member": member, "weight": weight, "tier": tier}


def a_plan() -> dict[str, Any]:
    """Return the plan of a drain, beside a pool that it does not touch."""
    before = {"mx1": _member(0.5, "up"), "mx2": _member(0.3, "up"), "mx3": _member(0.2, "up")}
    after = {"mx1": _member(None, "not published: drained"), "mx2": _member(0.6, "up"), "mx3": _member(0.4, "up")}
    other = _pool({"out1": _member(1.0, "up")}, healthy=100)
    return {
        "changes": [_change("drain", "mx1")],
        "before": {"inbound": _pool(before, healthy=100), "outbound": other},
        "after": {"inbound": _pool(after, healthy=50), "outbound": other},
        "panics": [],
    }


@pytest.fixture(autouse=True)
def _planned(daemon: "FakeDaemon") -> None:
    daemon.operator.planned = a_plan()


def squeezed(text: str) -> list[str]:
    """Return the lines with single spaces: what stands where, not how wide it is."""
    return [" ".join(line.split()) for line in text.splitlines() if line]


def test_a_plan_shows_each_member_now_and_after(dnslb: "Dnslb") -> None:
    """With bars, a mark where something is different, and the reason; nothing of pools that are not touched."""
    result = dnslb("plan", "--drain", "inbound/mx1")
    assert result.exit_code == 0
    assert squeezed(result.output) == [
        "Nothing has been changed: this is what would happen.",
        "pool inbound: healthy weight 100 of 100 now, 50 of 100 after; panic: no now, no after",
        "MEMBER NOW AFTER WHY",
        "* mx1 50% █████ out drain: not published: drained",
        "* mx2 30% ███ 60% ██████ up",
        "* mx3 20% ██ 40% ████ up",
        "Shares are of the new connections through mx.lb.example.org.",
        "SERVICE TYPE TTL NOW AFTER NEW CONNECTIONS AFTER",
        "* mx.lb.example.org address 30 s 30 s mx2 60%, mx3 40%",
        "mx.lb.example.org MX 45 s 45 s mx1 100%",
        "Resolvers would go on with the answers of now for up to 45 s.",
    ]


def test_all_that_was_typed_is_asked(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Members are added first, so that other changes may be about them."""
    words = "--down i/a --drain i/b --drain i/c --maint i/d --ready i/e --weight i/a=0 --weight i/b=default"
    dnslb("plan", *words.split(), "--add", "i/f=50", "--add", "i/g=65535@2")
    assert daemon.operator.asked == [
        {"step": "add", "pool": "i", "member": "f", "weight": 50, "tier": 1},
        {"step": "add", "pool": "i", "member": "g", "weight": 65535, "tier": 2},
        {"step": "weight", "pool": "i", "member": "a", "weight": 0},
        {"step": "weight", "pool": "i", "member": "b", "weight": None},
        {"step": "drain", "pool": "i", "member": "b"},
        {"step": "drain", "pool": "i", "member": "c"},
        {"step": "ready", "pool": "i", "member": "e"},
        {"step": "maint", "pool": "i", "member": "d"},
        {"step": "down", "pool": "i", "member": "a"},
    ]


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_a_plan_that_would_panic_a_pool_fails(dnslb: "Dnslb", daemon: "FakeDaemon", json_too: list[str]) -> None:
    """The exit status is 1, and a banner at the end says why."""
    after = daemon.operator.planned["after"]["inbound"]
    after.update(panic=True)
    daemon.operator.planned["panics"] = ["inbound"]
    result = dnslb("plan", "--drain", "inbound/mx1", *json_too)
    assert result.exit_code == 1
    assert json_too or result.output.splitlines()[-1] == (
        "This would PANIC pool inbound: only 50 of its weight of 100 would be healthy. Health would be ignored, and"
        " mail would go to members that may not work."
    )


def test_a_panic_without_an_answer_is_said_so(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """With `all_down = servfail` nobody is left."""
    after = _pool({"mx1": _member(None, "not published: down")}, healthy=0, panic=True)
    after["services"]["mx.lb.example.org"]["shares"] = {}
    daemon.operator.planned["after"]["inbound"] = after
    daemon.operator.planned["panics"] = ["inbound"]
    output = dnslb("plan", "--down", "inbound/mx1").output
    assert "* mx.lb.example.org address 30 s 30 s SERVFAIL" in squeezed(output)
    assert output.endswith("only 0 of its weight of 100 would be healthy. Queries would get SERVFAIL.\n")


def test_a_pool_that_panics_already_does_not_fail_the_plan(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """It is shown, and the plan is not to blame."""
    for when in ("before", "after"):
        daemon.operator.planned[when]["inbound"]["panic"] = True
    result = dnslb("plan", "--drain", "inbound/mx1")
    assert result.exit_code == 0
    assert "panic: YES now, YES after" in result.output


def test_a_member_that_would_be_added_has_no_share_now(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """And is told in which tier it would be."""
    daemon.operator.planned["changes"] = [_change("add", "mx4", 100, 2), _change("weight", "mx3", 20)]
    daemon.operator.planned["after"]["inbound"]["members"]["mx4"] = _member(0.5, "up")
    lines = squeezed(dnslb("plan", "--add", "inbound/mx4=100@2").output)
    assert "* mx4 50% █████ added with weight 100 in tier 2: up" in lines
    assert "* mx3 20% ██ 40% ████ weight 20: up" in lines


def test_a_plan_without_effect_is_said_so(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """A member that is to be drained and was out already is still marked: it is what was asked about."""
    daemon.operator.planned["before"] = daemon.operator.planned["after"]
    lines = squeezed(dnslb("plan", "--drain", "inbound/mx1").output)
    assert "* mx1 out out drain: not published: drained" in lines
    assert "mx2 60% ██████ 60% ██████ up" in lines
    assert lines[-1] == "No answer would change."


def test_json_is_what_the_daemon_says(dnslb: "Dnslb") -> None:
    """All pools, nothing rounded."""
    assert json.loads(dnslb("plan", "--drain", "inbound/mx1", "--json").stdout) == a_plan()


def test_a_wrong_member_is_told_the_right_ones(dnslb: "Dnslb") -> None:
    """Exit status 1, a guess and the list, as with other commands."""
    result = dnslb("plan", "--drain", "inbound/mx11")
    assert result.exit_code == 1
    assert result.stderr == "Error: pool 'inbound' has no member 'mx11'; did you mean mx1? (members: mx1, mx2)\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "A plan needs a change, for example --drain inbound/mx1."),
        (["--drain", "mx1"], "is not POOL/MEMBER: write inbound/mx1"),
        (["--weight", "i/a"], "is not POOL/MEMBER=N, N from 0 to 65535 or 'default': write inbound/mx1=30"),
        (["--weight", "i/a=65536"], "is not POOL/MEMBER=N"),
        (["--weight", "a=1"], "is not POOL/MEMBER: write"),
        (["--weight", "i/a=²"], "is not POOL/MEMBER=N"),
        (["--add", "i/a"], "is not POOL/NAME=WEIGHT or POOL/NAME=WEIGHT@TIER, each at most 65535: write"),
        (["--add", "i/a=1@0"], "is not POOL/NAME=WEIGHT"),
        (["--add", "i/a=default"], "is not POOL/NAME=WEIGHT"),
        (["--drain", "i/a", "--ready", "i/a"], "i/a has --drain, --ready or --maint 2 times: one of them is enough."),
        (["--weight", "i/a=1", "--weight", "i/a=2"], "i/a has --weight 2 times: one of them is enough."),
        (["--add", "i/a=1", "--add", "i/a=2"], "i/a has --add 2 times: one of them is enough."),
    ],
)
def test_a_plan_that_says_nothing_clear_is_a_usage_error(
    dnslb: "Dnslb", daemon: "FakeDaemon", words: list[str], told: str
) -> None:
    """Exit status 2, with what was expected, and the daemon is not asked."""
    result = dnslb("plan", *words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert daemon.operator.asked == []
