"""status and pool: what a person sees, and what a program gets."""

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import a_member, a_status

if TYPE_CHECKING:
    from tests.cli.conftest import Dnslb, FakeDaemon


def squeezed(text: str) -> list[str]:
    """Return the lines with single spaces: what stands where, not how wide it is."""
    return [" ".join(line.split()) for line in text.splitlines() if line]


def test_status_shows_pools_members_services_and_workers(dnslb: "Dnslb") -> None:
    """Each has a table, each fact its column."""
    lines = squeezed(dnslb("status").output)
    assert lines[0] == "dnslb 0.1.0, generation 7, up for 1h1m, listens on 127.0.0.1:5300"
    assert "inbound 2 2 100 of 100 no" in lines
    assert any(line.startswith("inbound/mx2 ready up ok yes 50% ") for line in lines)
    assert "mx.lb.example.org address inbound 2 30 s" in lines
    assert "mx.lb.example.org MX inbound 2 45 s" in lines
    assert "pid 12 7 1000" in lines


def test_a_service_of_a_view_is_shown_with_it(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """One name may have several services of one type."""
    services = daemon.operator.now["services"]
    services["mx.lb.example.org address internal"] = {**services["mx.lb.example.org"], "view": "internal", "ttl": 5}
    lines = squeezed(dnslb("status").output)
    assert "mx.lb.example.org address inbound 2 30 s" in lines
    assert "mx.lb.example.org (view internal) address inbound 2 5 s" in lines


def test_status_says_why_shares_are_off(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Who asks, and of the service that is off most by how much; its name only where there are more."""
    assert dnslb("status").output.splitlines()[-2:] == [
        "Resolvers: 37 networks, the largest with 41% of the queries (192.0.2.0/24).",
        "Going by queries, shares of mx.lb.example.org MX after 15 min are off by about 3.1 points (TTL 45 s).",
    ]
    del daemon.operator.now["resolvers"]["expected_share_error"]["mx.lb.example.org MX"]
    told = "Going by queries, shares after 15 min are off by about 2.1 points (TTL 30 s)."
    assert dnslb("status").output.splitlines()[-1] == told
    daemon.operator.now["resolvers"].update(expected_share_error={}, uncounted_at_most=0.01)
    assert dnslb("status").output.splitlines()[-1].startswith("Resolvers: at least 37 networks")


def test_status_says_that_it_has_seen_too_few_queries(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Nothing is told of shares then."""
    daemon.operator.now["resolvers"].update(enough=False, queries_seen=12, largest=[], expected_share_error={})
    told = "Resolvers: too few queries lately (12) to tell how far shares may be off."
    assert dnslb("status").output.splitlines()[-1] == told


def test_status_says_whether_resolvers_keep_their_workers(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Where there are several workers; why not, where not."""
    assert "worker." not in dnslb("status").output
    daemon.operator.now["workers"] *= 2
    reason = "the kernel takes no program"
    told = f"A resolver's queries come to any worker ({reason}): shares are less even."
    daemon.operator.now["steering_reason"] = reason
    assert told in dnslb("status").output
    daemon.operator.now["steering"] = "source"
    assert "Each resolver keeps its worker." in dnslb("status").output


def test_columns_are_aligned(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """A long name moves the column for all, and numbers end where their heading ends."""
    daemon.operator.now["pools"]["outbound-with-a-long-name"] = daemon.operator.now["pools"]["inbound"]
    lines = dnslb("status").output.splitlines()
    heading = next(line for line in lines if line.startswith("POOL"))
    rows = [line for line in lines if line.startswith(("inbound ", "outbound-with-a-long-name "))]
    assert {row.index("100 of 100") + len("100 of 100") for row in rows} == {heading.index("HEALTHY WEIGHT") + 14}


def test_panic_is_not_to_be_missed(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Both commands say it in a sentence with the weights."""
    daemon.operator.now["pools"]["inbound"].update(panic=True, healthy_weight=10)
    told = "PANIC in pool inbound: only 10 of its weight of 100 is healthy."
    assert told in dnslb("status").output
    assert told in dnslb("pool", "inbound").output


def test_a_disk_that_fails_is_not_to_be_missed(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """With the reason, and what is true all the same."""
    daemon.operator.now["state_failing"] = "the state cannot be kept in state: No space left on device"
    told = "NOT KEPT: the state cannot be kept in state: No space left on device. Answers and probes go on, changes are"
    assert told in dnslb("status").output


def test_pool_says_why_each_member_is_published_or_not(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Below each member stand the rule and what its last probe said."""
    members = daemon.operator.now["pools"]["inbound"]["members"]
    members["mx1"] = a_member(effective_weight=25, share=1.0)
    members["mx2"] = a_member(
        state="down",
        verdict="refused",
        published=False,
        share=0.0,
        rule="not published: down (refused)",
        reason="nobody listens on port 25",
    )
    lines = squeezed(dnslb("pool", "inbound").output)
    assert lines[1].startswith("MEMBER ADMIN STATE VERDICT PUBLISHED WEIGHT SHARE TIER SINCE ADDRESSES")
    assert lines[2].startswith("mx1 ready up ok yes 25 (50) 100% ██████████ 1 ")
    assert lines[2].endswith(" ago 192.0.2.11 2001:db8::11")
    assert lines[3] == "published: up"
    assert lines[4].startswith("mx2 ready down refused no 50 0% 1 ")
    assert lines[5] == "not published: down (refused); nobody listens on port 25"
    assert lines[-1] == "Shares are of the new connections through mx.lb.example.org."


def test_groups_have_a_column_where_there_are_any(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """And the healthy weight is not what one gets by adding."""
    members = daemon.operator.now["pools"]["inbound"]["members"]
    members["mx1"]["group"] = "rack-1"
    lines = squeezed(dnslb("pool", "inbound").output)
    assert lines[0] == "pool inbound: 100 of its weight of 100 is healthy (a group counts whole or not at all)"
    assert " TIER GROUP SINCE " in lines[1]
    assert " 1 rack-1 " in lines[2]


def test_shares_of_networks_are_not_those_of_mail(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """With source-hash it is networks that are shared by weight."""
    daemon.operator.now["pools"]["inbound"]["policy"] = "source-hash"
    assert squeezed(dnslb("pool", "inbound").output)[-1] == (
        "Shares are of the networks that ask for mx.lb.example.org, and not of the mail that each of them brings."
    )


def test_a_reply_of_a_mail_server_cannot_steer_the_terminal(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Control characters are shown as what they are."""
    daemon.operator.member("inbound", "mx1")["reason"] = "554 \x1b[2Jgo\raway"
    output = dnslb("pool", "inbound").output
    assert "554 \\x1b[2Jgo\\raway" in output
    assert "\x1b" not in output


def test_a_pool_whose_falls_are_held_is_said_so(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """A member that shows a failure and is up all the same would be a riddle."""
    daemon.operator.now["pools"]["inbound"]["held_until"] = "2026-01-01T00:00:30Z"
    for command in (("status",), ("pool", "inbound")):
        assert "Half of pool inbound or more fails at once" in dnslb(*command).output


def test_a_suspect_question_is_not_told_as_bad_members(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """The panic's banner says what is really in doubt."""
    daemon.operator.now["pools"]["inbound"].update(panic=True, suspect="rejects_domain")
    assert "all members fail in the same way (rejects_domain)" in dnslb("pool", "inbound").output


def test_how_far_a_drain_has_come_stands_below_its_member(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Both commands say whether the server may be switched off, and until when not."""
    still = {"caches_expire": None, "clients_expire": None, "safe_to_stop": False}
    members = daemon.operator.now["pools"]["inbound"]["members"]
    members["mx1"] = a_member(admin="drain", drain=still)
    members["mx2"] = a_member(admin="drain", drain=still | {"safe_to_stop": True})
    lines = squeezed(dnslb("status").output)
    below = {name: lines[place + 1] for place, line in enumerate(lines) for name in members if f"/{name} " in line}
    assert below == {
        "mx1": "not safe to stop: it is still in answers",
        "mx2": "safe to stop: no cache and no client has it any more",
    }
    assert set(below.values()) <= set(squeezed(dnslb("pool", "inbound").output))


def test_a_standby_is_told_why_it_gets_nothing(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Published, and with a share of 0 %, it would be a riddle."""
    members = daemon.operator.now["pools"]["inbound"]["members"]
    members["mx2"] = a_member(tier=2, share=0.0)
    lines = squeezed(dnslb("pool", "inbound").output)
    assert [line for line in lines if line.startswith("published")] == [
        "published: up",
        "published, with no share while tier 1 is there: up",
    ]


def test_what_will_need_a_person_soon_stands_below_its_member(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """One line for each warning, under the reason why the member is published."""
    daemon.operator.member("inbound", "mx1")["warnings"] = ["the certificate ends in 9 days"]
    lines = squeezed(dnslb("pool", "inbound").output)
    at = lines.index("warning: the certificate ends in 9 days")
    assert lines[at - 1] == "published: up"
    assert lines[at + 1].startswith("mx2 ")


def test_a_ttl_that_can_change_is_shown_with_its_bounds(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """What is given out now comes first; a fixed one is a number alone."""
    daemon.operator.now["services"]["mx.lb.example.org"].update(ttl=15, ttl_min=10, ttl_max=120)
    lines = squeezed(dnslb("status").output)
    assert "mx.lb.example.org address inbound 2 15 s (10 to 120)" in lines
    assert "mx.lb.example.org MX inbound 2 45 s" in lines


def test_pool_without_a_name_lists_the_pools(dnslb: "Dnslb") -> None:
    """One line for each."""
    assert squeezed(dnslb("pool").output) == [
        "POOL MEMBERS PUBLISHED HEALTHY WEIGHT PANIC",
        "inbound 2 2 100 of 100 no",
    ]


def test_json_is_what_the_daemon_says(dnslb: "Dnslb") -> None:
    """Nothing is added, left out or rounded; a pool is its part of the status."""
    assert json.loads(dnslb("status", "--json").stdout) == a_status()
    assert json.loads(dnslb("pool", "--json").stdout) == a_status()["pools"]
    assert json.loads(dnslb("pool", "inbound", "--json").stdout) == a_status()["pools"]["inbound"]


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_a_wrong_pool_is_told_the_right_ones(dnslb: "Dnslb", json_too: list[str]) -> None:
    """Exit status 1, a guess and the list."""
    result = dnslb("pool", "inbond", *json_too)
    assert result.exit_code == 1
    assert result.stderr == "Error: there is no pool 'inbond'; did you mean inbound? (pools: inbound)\n"


def test_a_daemon_without_services_has_a_status_too(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """A first start with an empty configuration, members never probed, breaks no table."""
    daemon.operator.now.update(services={}, workers=[])
    daemon.operator.member("inbound", "mx1").update(since=None, state="unknown", verdict="unknown")
    result = dnslb("status")
    assert result.exit_code == 0
    assert "inbound/mx1 ready unknown unknown yes 50% never" in squeezed(result.output)
