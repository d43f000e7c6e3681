"""drain, ready, maint and weight: what they do, and the one sentence that says what is now true."""

import json
import os
import pwd
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from dnslb.cli.main import cli

if TYPE_CHECKING:
    from tests.cli.conftest import Dnslb, FakeDaemon

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize(("command", "words"), [("drain", "drained"), ("maint", "in maintenance")])
def test_a_member_is_taken_out(dnslb: "Dnslb", daemon: "FakeDaemon", command: str, words: str) -> None:
    """The sentence says that it left the answers, and for how long resolvers may still know it (the longest TTL)."""
    result = dnslb(command, "inbound/mx1", "--reason", "new kernel")
    assert result.output.splitlines() == [
        f"inbound/mx1 is {words}: no longer in answers (generation 8).",
        "Resolvers may send to it for up to 45 s more, and mail in flight may take longer: keep it running.",
    ]
    assert result.exit_code == 0
    assert daemon.operator.asked == [{"state": command, "reason": "new kernel", "who": ME}]


def test_a_ttl_that_is_short_now_may_have_been_long_before(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """What resolvers were given a moment ago counts, not what they would be given now."""
    daemon.operator.now["services"]["mx.lb.example.org"].update(ttl=10, ttl_min=10, ttl_max=120)
    assert "for up to 120 s more" in dnslb("drain", "inbound/mx1").output


@pytest.mark.parametrize(
    ("until", "told"),
    [
        ((-5, 299), "It is not safe to stop: no cache has it any more, clients may use it for 4m5"),
        ((-305, -5), "It is safe to stop: no cache and no client has it any more."),
    ],
)
def test_who_has_left_already_is_told_what_is_counted_down(
    dnslb: "Dnslb", daemon: "FakeDaemon", until: tuple[float, float], told: str
) -> None:
    """And not the TTL of now, which may be another one than that of the last answers with the member."""
    caches, clients = ((datetime.now(UTC) + timedelta(seconds=seconds)).isoformat() for seconds in until)
    drain = {"caches_expire": caches, "clients_expire": clients, "safe_to_stop": until[1] < 0}
    daemon.operator.admin_facts = {"drain": drain}
    line = dnslb("drain", "inbound/mx1").output.splitlines()[-1]
    assert line.startswith(told)
    assert ("keep it running" in line.lower()) is (until[1] > 0)


_SHARE = "a share of 50% through mx.lb.example.org"


def test_a_member_that_has_to_stay_is_said_so(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """The last one is not taken out, and nobody is left to believe so."""
    daemon.operator.stays = True
    daemon.operator.member("inbound", "mx1")["rule"] = "published: nothing better is left (drained)"
    assert dnslb("drain", "inbound/mx1").output == (
        "inbound/mx1 is drained, but it stays in answers (generation 8): nothing better is left (drained).\n"
    )


def test_a_member_is_put_back(dnslb: "Dnslb") -> None:
    """The sentence says which share it has."""
    dnslb("drain", "inbound/mx1")
    assert dnslb("ready", "inbound/mx1").output == (f"inbound/mx1 is ready: in answers with {_SHARE} (generation 9).\n")


def test_a_member_that_is_ready_and_down_is_said_so(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Being ready is not being published: the rule says why not."""
    daemon.operator.member("inbound", "mx1").update(
        state="down", rule="not published: down (refused)", reason="nobody listens on port 25"
    )
    assert dnslb("ready", "inbound/mx1").output == (
        "inbound/mx1 is ready, but not in answers (generation 8): down (refused); nobody listens on port 25.\n"
    )


def test_a_member_that_is_published_in_a_panic_is_said_so(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Nobody takes a share for a sign of health."""
    daemon.operator.stays = True
    daemon.operator.member("inbound", "mx1")["state"] = "down"
    assert dnslb("ready", "inbound/mx1").output == (
        f"inbound/mx1 is ready: in answers with {_SHARE}, although it is down (generation 8).\n"
    )


def test_a_pool_without_services_has_nothing_to_wait_for(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """No time is made up where no answer names the member."""
    daemon.operator.now["services"] = {}
    assert "No service uses its pool" in dnslb("drain", "inbound/mx1").output


def test_a_weight_does_not_bring_a_drained_member_back(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """The sentence says why it is still out, and not that the weight has taken it out."""
    daemon.operator.member("inbound", "mx1").update(admin="drain", published=False, rule="drained by root: kernel")
    assert dnslb("weight", "inbound/mx1", "10").output == (
        "inbound/mx1 has weight 10 now: not in answers (generation 8): drained by root: kernel.\n"
    )


def test_a_weight_is_changed_and_goes_back(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """A number sets it, the word default takes it away, and 0 takes the member out."""
    assert dnslb("weight", "inbound/mx1", "10").output == (
        f"inbound/mx1 has weight 10 now: in answers with {_SHARE} (generation 8).\n"
    )
    assert dnslb("weight", "inbound/mx1", "default", "--reason", "done").output == (
        f"inbound/mx1 has weight 50 now (the configured one): in answers with {_SHARE} (generation 9).\n"
    )
    assert dnslb("weight", "inbound/mx1", "0").output.startswith("inbound/mx1 has weight 0 now: not in answers")
    assert [asked["weight"] for asked in daemon.operator.asked] == [10, None, 0]


def test_a_weight_that_does_not_count_is_said_so(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """In a round-robin pool the number that was typed is not the one that counts."""
    daemon.operator.counts_alike = True
    daemon.operator.now["pools"]["inbound"]["policy"] = "round-robin"
    assert dnslb("weight", "inbound/mx1", "10").output.startswith(
        "inbound/mx1 has weight 10 now, and counts as 1 (in a round-robin pool all weights but 0 count as 1): in"
    )


def test_a_weight_that_counts_in_part_is_told_with_the_reason(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """In its slow start a member has the weight that was set, and earns it; so it does with the configured one."""
    daemon.operator.percent = 40
    facts = daemon.operator.member("inbound", "mx1")
    facts["rule"] = "up, with 40 % of its weight (slow start)"
    counts = "and counts as {} (up, with 40 % of its weight (slow start)): in answers"
    assert dnslb("weight", "inbound/mx1", "30").output.startswith(f"inbound/mx1 has weight 30 now, {counts.format(12)}")
    assert dnslb("weight", "inbound/mx1", "default").output.startswith(
        f"inbound/mx1 has weight 50 now (the configured one), {counts.format(20)}"
    )
    facts |= {"admin": "drain", "rule": "not published: drained by root"}
    assert dnslb("weight", "inbound/mx1", "30").output.startswith(
        "inbound/mx1 has weight 30 now, and counts as 12: not in answers"
    )


@pytest.mark.parametrize("command", ["drain", "ready", "maint"])
def test_json_is_the_member_as_in_status(dnslb: "Dnslb", daemon: "FakeDaemon", command: str) -> None:
    """Programs get the facts and the generation, and nothing else on the output."""
    result = dnslb(command, "inbound/mx1", "--json")
    assert json.loads(result.stdout) == daemon.operator.member("inbound", "mx1") | {"generation": 8}


def test_json_of_a_weight_is_the_member_as_in_status(dnslb: "Dnslb") -> None:
    """The same for weight."""
    assert json.loads(dnslb("weight", "inbound/mx1", "9", "--json").stdout)["effective_weight"] == 9


def test_a_wrong_member_is_told_the_right_ones(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Exit status 1, a guess and the list; nothing was changed."""
    result = dnslb("drain", "inbound/mx11")
    assert result.exit_code == 1
    assert result.stderr == ("Error: pool 'inbound' has no member 'mx11'; did you mean mx1? (members: mx1, mx2)\n")
    assert dnslb("drain", "inbuond/mx1").stderr == (
        "Error: there is no pool 'inbuond'; did you mean inbound? (pools: inbound)\n"
    )
    assert daemon.operator.asked == []


def test_a_member_without_its_pool_is_said_with_it(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Of each pool that has one of that name; nothing is changed."""
    assert "'mx1' is not POOL/MEMBER: write inbound/mx1\n" in dnslb("drain", "mx1").stderr
    daemon.operator.now["pools"]["relay"] = daemon.operator.now["pools"]["inbound"]
    result = dnslb("drain", "mx1")
    assert result.exit_code == 2
    assert "'mx1' is not POOL/MEMBER: write inbound/mx1 or relay/mx1\n" in result.stderr
    assert daemon.operator.asked == []


def test_a_member_without_its_pool_is_known_without_options_too(
    daemon: "FakeDaemon", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the configuration of this directory, as every command does."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dnslb.toml").write_text(f'[server]\ncontrol = "{daemon.path}"')
    assert "write inbound/mx2\n" in CliRunner().invoke(cli, ["ready", "mx2"]).stderr


@pytest.mark.parametrize("word", ["mx9", "inbound/", "/mx1", ""])
def test_what_is_no_member_is_a_usage_error(dnslb: "Dnslb", word: str) -> None:
    """Exit status 2, with an example of how to write it."""
    result = dnslb("drain", word)
    assert result.exit_code == 2
    assert "is not POOL/MEMBER: write for example inbound/mx1" in result.stderr


@pytest.mark.parametrize("word", ["ten", "1.5", "65536", "²", ""])
def test_what_is_no_weight_is_a_usage_error(dnslb: "Dnslb", word: str) -> None:
    """Exit status 2, with what was expected."""
    result = dnslb("weight", "inbound/mx1", word)
    assert result.exit_code == 2
    assert "is neither an integer from 0 to 65535 nor 'default'" in result.stderr


def test_a_reason_that_could_steer_a_terminal_is_refused(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Others would see it in theirs; more than one line, or a page, is refused likewise."""
    for reason in ("\x1b[2J", "two\nlines", 501 * "x"):
        result = dnslb("drain", "inbound/mx1", "--reason", reason)
        assert result.exit_code == 2
        assert "'--reason': write one line of at most 500 characters" in result.stderr
    assert daemon.operator.asked == []
