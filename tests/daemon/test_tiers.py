"""Tiers and groups of a running daemon, from its file to its answers."""

from tests.daemon.conftest import Daemon, until


def test_a_spare_joins_as_long_as_one_of_two_is_out(daemon: Daemon) -> None:
    """With the death of one it stands in the answers beside the other, and status and plan say why."""
    daemon.weights = {"mx1": 50, "mx2": 30, "mx3": 50}
    daemon.start()
    text = daemon.config.read_text().replace('probe = "connect"', 'probe = "connect"\ntier_min = 2')
    daemon.config.write_text(f"{text}tier = 2\n")
    daemon.call("reload")
    until(lambda: daemon.members_in_answer() == {"mx1", "mx2"}, "the spare stands by")
    planned = daemon.call("plan", changes=[{"step": "down", "pool": "mail", "member": "mx2"}])
    assert planned["after"]["mail"]["members"]["mx3"]["share"] == 0.5
    daemon.members.close("mx2")
    until(lambda: daemon.members_in_answer() == {"mx1", "mx3"}, "the spare has joined")
    joined = daemon.member("mx3")
    assert (joined["tier"], joined["share"]) == (2, 0.5)
    assert joined["rule"] == "up, joins tier 1 because fewer than 2 of it are published (tier_min)"
    daemon.members.open("mx2")
    until(lambda: daemon.members_in_answer() == {"mx1", "mx2"}, "the spare stands by again")


def test_two_of_a_rack_are_never_in_one_answer(daemon: Daemon) -> None:
    """At every turn of the ring there is one of it and the one without a rack."""
    daemon.weights = {"mx1": 25, "mx2": 25, "mx3": 50}
    daemon.start()
    text = daemon.config.read_text().replace('records = "all"', "records = 2")
    daemon.config.write_text(text.replace("weight = 25\n", 'weight = 25\ngroup = "rack-1"\n'))
    daemon.call("reload")
    until(lambda: len(daemon.members_in_answer()) == 2, "answers hold two")
    assert {frozenset(daemon.members_in_answer()) for _ in range(64)} == {
        frozenset({"mx1", "mx3"}),
        frozenset({"mx2", "mx3"}),
    }
