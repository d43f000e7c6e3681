"""`dnslb plan` and `dnslb explain` beside what a running daemon really answers and does."""

import json
import subprocess
import sys
from typing import Any

import dns.rcode

from tests.daemon.conftest import Daemon


def dnslb(of: Daemon, *words: str) -> tuple[int, Any]:
    """Run a command with --json; return its exit status and what it says."""
    command = [sys.executable, "-m", "dnslb", *words, "--json", "-c", str(of.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def test_a_plan_says_what_the_drain_then_does(daemon: Daemon) -> None:
    """The plan changes nothing; the change itself brings exactly what was planned."""
    daemon.weights = {"mx1": 50, "mx2": 30, "mx3": 20}
    daemon.start()
    before = daemon.call("status")
    status, plan = dnslb(daemon, "plan", "--drain", "mail/mx1", "--weight", "mail/mx3=90")
    assert status == 0
    assert daemon.call("status")["generation"] == before["generation"]
    assert daemon.members_in_answer() == {"mx1", "mx2", "mx3"}

    daemon.call("admin", pool="mail", member="mx1", state="drain")
    daemon.call("weight", pool="mail", member="mx3", weight=90)
    after = daemon.call("status")
    for when, real in (("before", before), ("after", after)):
        planned = plan[when]["mail"]
        assert planned["panic"] is real["pools"]["mail"]["panic"]
        assert planned["services"]["relay.lb.test"]["shares"] == real["services"]["relay.lb.test"]["shares"]
        for name, facts in real["pools"]["mail"]["members"].items():
            said = planned["members"][name]
            assert all(said[key] == facts[key] for key in ("published", "share", "admin", "effective_weight"))


def test_a_plan_to_lose_all_fails_and_is_harmless(daemon: Daemon) -> None:
    """Exit status 1 for a panic and for a member that is not there, and the daemon answers on as before."""
    daemon.start()
    status, plan = dnslb(daemon, "plan", "--down", "mail/mx1", "--down", "mail/mx2")
    assert (status, plan["panics"]) == (1, ["mail"])
    assert dnslb(daemon, "plan", "--down", "mail/mx9")[0] == 1
    assert daemon.members_in_answer() == {"mx1", "mx2"}


def test_an_explanation_is_that_of_the_answers(daemon: Daemon) -> None:
    """Who is in it, by which rule, and the records are those that a resolver gets; a change is in the next one."""
    daemon.members.close("mx3")
    daemon.weights = {"mx1": 50, "mx2": 30, "mx3": 20}
    daemon.start(ttl=17)
    daemon.call("admin", pool="mail", member="mx2", state="drain", reason="kernel")
    status, found = dnslb(daemon, "explain", "relay.lb.test", "A", "--client", "127.0.1.9")
    assert status == 0
    assert (found["service"], found["pool"], found["ttl"]) == ("relay.lb.test", "mail", 17)
    members = found["members"]
    assert {name for name, facts in members.items() if facts["in"]} == daemon.members_in_answer() == {"mx1"}
    assert members["mx2"]["rule"].startswith("not published: drained by ")
    assert (members["mx3"]["state"], members["mx3"]["verdict"]) == ("down", "refused")
    assert found["answers"][0]["answer"] == [str(rrset).replace(" IN ", " ") for rrset in daemon.ask().answer]
    assert found["clients"]["getaddrinfo"]["first"] == {"mx1": 1.0}
    assert found["generation"] == daemon.call("status")["generation"]
    daemon.call("admin", pool="mail", member="mx2", state="ready")
    assert dnslb(daemon, "explain", "relay.lb.test")[1]["members"]["mx2"]["in"] is True


def test_other_names_are_explained_as_they_are_answered(running: Daemon) -> None:
    """The response code is that of the daemon, and the serial of the zone is the current one."""
    for name, rtype in (("ns.lb.test", "A"), ("nope.lb.test", "A"), ("relay.lb.test", "MX"), ("example.com", "A")):
        status, found = dnslb(running, "explain", name, rtype)
        (shown,) = found["answers"]
        real = running.ask(name, rtype)
        assert (status, shown["rcode"]) == (0, dns.rcode.to_text(real.rcode()))
        for said, there in ((shown["answer"], real.answer), (shown["authority"], real.authority)):
            assert said == [str(rrset).replace(" IN ", " ") for rrset in there]
