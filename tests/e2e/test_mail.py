"""Mail through real senders: it goes to the members that live, and none is lost or bounced."""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.e2e import resolvers, senders
from tests.e2e.members import Members
from tests.e2e.processes import until, with_etc
from tests.e2e.product import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.processes import Stage
    from tests.e2e.senders import Sender

TO_RELAY = "someone@relayed.test"
TO_MX = "someone@mail.lb.test"

SMTPLIB = """
import smtplib, sys
host, port, *subjects = sys.argv[1:]
for subject in subjects:
    with smtplib.SMTP(host, int(port), timeout=10) as session:
        session.sendmail("someone@sender.test", ["someone@relayed.test"], f"Subject: {subject}\\n\\nHello.\\n")
"""


@pytest.fixture(params=[senders.postfix, senders.Exim], ids=["postfix", "exim"])
def start_sender(request: pytest.FixtureRequest) -> Callable[..., Sender]:
    """Give a test each of the mail servers in turn."""
    starts: Callable[..., Sender] = request.param
    return starts


@pytest.fixture
def subjects() -> Iterator[list[str]]:
    """Give a test lists of twenty subjects; no subject comes twice."""
    return ([f"message-{first + n}" for n in range(20)] for first in count(step=20))


@pytest.mark.parametrize("recipient", [TO_RELAY, TO_MX], ids=["relay-host", "mx"])
def test_a_dead_member_gets_no_mail_until_it_is_back(
    stage: Stage,
    members: Members,
    start_sender: Callable[..., Sender],
    subjects: Iterator[list[str]],
    recipient: str,
) -> None:
    """All mail arrives while a member dies, is dead and comes back; dead, it is not even tried."""
    daemon = Daemon(stage, members)
    sender = start_sender(stage, resolver=resolvers.unbound(stage, daemon.port), port=members.port)

    sender.submit(recipient, before := next(subjects))
    until(lambda: members.have_all(before), "the mail arrives")

    members.kill("mx1")
    sender.submit(recipient, dying := next(subjects))
    until(lambda: members.have_all(dying), "the mail arrives that was sent before the death is known")
    daemon.wait_published("mx2", "mx3", "mx4")
    until(lambda: sender.sent() == len(before + dying), "the sender's log is complete")

    tried = len(sender.log_of("127.0.0.11"))
    sender.submit(recipient, dead := next(subjects))
    until(lambda: members.have_all(dead), "the mail arrives without mx1")
    assert len(sender.log_of("127.0.0.11")) == tried

    members.start("mx1")
    daemon.wait_published("mx1", "mx2", "mx3", "mx4")
    until(lambda: _gets_some(members, sender, recipient, next(subjects)), "mx1 gets mail again")
    assert sender.bounced() == 0


def _gets_some(members: Members, sender: Sender, recipient: str, subjects: list[str]) -> bool:
    sender.submit(recipient, subjects)
    until(lambda: members.have_all(subjects), "the mail arrives")
    return members.taken(subjects)["mx1"] > 0


@pytest.mark.parametrize("recipient", [TO_RELAY, TO_MX], ids=["relay-host", "mx"])
def test_mail_waits_while_every_member_is_dead(
    stage: Stage,
    members: Members,
    start_sender: Callable[..., Sender],
    subjects: Iterator[list[str]],
    recipient: str,
) -> None:
    """With no member left mail is deferred, never bounced, and is delivered when one is back."""
    daemon = Daemon(stage, members)
    sender = start_sender(stage, resolver=resolvers.unbound(stage, daemon.port), port=members.port)
    for name in members.addresses:
        members.kill(name)
    until(lambda: all(daemon.member(name)["state"] == "down" for name in members.addresses), "all are down")

    sender.submit(recipient, waiting := next(subjects))
    until(lambda: sender.deferred() >= len(waiting), "the mail is deferred")
    assert sender.queued() == len(waiting)

    members.start("mx3")
    until(lambda: members.have_all(waiting), "the mail arrives at mx3")
    assert members.taken(waiting)["mx3"] == len(waiting)
    assert sender.bounced() == 0


def test_smtplib_sends_through_a_relay_host_name(stage: Stage, members: Members, subjects: Iterator[list[str]]) -> None:
    """A program that knows only a host name, and asks libc for it, reaches the members that live."""
    daemon = Daemon(stage, members)
    resolv_conf = resolvers.unbound(stage, daemon.port).resolv_conf

    def send(subjects: list[str]) -> None:
        command = [sys.executable, "-c", SMTPLIB, "relay.lb.test", str(members.port), *subjects]
        subprocess.run(with_etc({"resolv.conf": resolv_conf}, command), check=True, timeout=60)
        assert members.have_all(subjects)

    send(next(subjects))
    members.kill("mx1")
    daemon.wait_published("mx2", "mx3", "mx4")
    send(next(subjects))


def test_a_postfix_is_a_member(stage: Stage, subjects: Iterator[list[str]]) -> None:
    """A real Postfix passes the probe and gets its share of the mail, and the other member all of it after that."""
    members = Members(stage, 2)
    members.kill("mx1")
    daemon = Daemon(stage, members)
    resolver = resolvers.unbound(stage, daemon.port)
    postfix = senders.taking_postfix(stage, resolver=resolver, address="127.0.0.11", port=members.port)
    exim = senders.Exim(stage, resolver=resolver, port=members.port)
    daemon.wait_published("mx1", "mx2")

    exim.submit(TO_MX, both := next(subjects))
    until(lambda: postfix.sent() + members.taken(both)["mx2"] == len(both), "the mail arrives")
    assert postfix.sent() > 0
    assert members.taken(both)["mx2"] > 0

    postfix.process.end()
    daemon.wait_published("mx2")
    exim.submit(TO_MX, one := next(subjects))
    until(lambda: members.taken(one)["mx2"] == len(one), "the mail arrives at mx2")
    assert exim.bounced() == 0
