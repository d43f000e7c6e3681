"""Weights, counted where they matter: at the members, in the mail of senders behind a resolver."""

from __future__ import annotations

import json
import random
import smtplib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.e2e import resolvers, senders
from tests.e2e.processes import until
from tests.e2e.product import Daemon
from tests.e2e.resolvers import rdatas

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.e2e.members import Members
    from tests.e2e.processes import Stage
    from tests.e2e.resolvers import Resolver

WEIGHTS = {"mx1": 5, "mx2": 3, "mx3": 1, "mx4": 1}
MESSAGES = 2000
BURST = 600
SESSIONS = 4
ONE_AT_A_TIME = "default_destination_concurrency_limit = 1"
"""Messages that ask at the same moment share one answer, and in a burst that is up to half of them and more."""
FORETELL = ("--resolvers", "1", "--rate", "1", "--for", f"{MESSAGES}s", "--json")
POINTS = 0.02
"""The figure of the project: members' shares are as close as this to their weights', and to what is simulated."""
CHANCY = "relay.lb.test"
"""Its answers hold two members, and which of them a sender takes is chance: that alone may come to two points."""
LIMIT = 30.66
"""Chi-square of three degrees of freedom is above this once in a million times."""


def chi_square(counts: Mapping[str, int], weights: Mapping[str, int]) -> float:
    """Return how far the counts are from the weights."""
    unit = sum(counts.values()) / sum(weights.values())
    return sum((counts[name] - weight * unit) ** 2 / (weight * unit) for name, weight in weights.items())


def largest_error(counts: Mapping[str, int], weights: Mapping[str, int]) -> float:
    """Return how far the share of any member is from its weight's, as a fraction of 1."""
    messages, whole = sum(counts.values()), sum(weights.values())
    return max(abs(counts[name] / messages - weight / whole) for name, weight in weights.items())


def first_address(resolver: Resolver, name: str, draw: random.Random) -> str:
    """Choose where to connect as Postfix does for a host name: any of its addresses."""
    return draw.choice(rdatas(resolver.ask(name, "A"), "A"))


def first_exchanger(resolver: Resolver, name: str, draw: random.Random) -> str:
    """Choose where to connect as Postfix does for a mail domain: by preference, equal ones in any order."""
    records = [record.split() for record in rdatas(resolver.ask(name, "MX"), "MX")]
    _, host = min(records, key=lambda record: (int(record[0]), draw.random()))
    return first_address(resolver, host, draw)


def send(address: str, port: int, subject: str) -> None:
    """Send one message, as one connection."""
    with smtplib.SMTP(address, port, local_hostname="sender.test", timeout=10) as session:
        session.sendmail("a@sender.test", ["b@lb.test"], f"Subject: {subject}\n\nHello.\n")


@pytest.mark.parametrize(
    ("start_resolver", "name", "choose"),
    [
        pytest.param(resolvers.unbound, "single.lb.test", first_address, id="unbound-one-address"),
        pytest.param(resolvers.unbound, "relay.lb.test", first_address, id="unbound-two-addresses"),
        pytest.param(resolvers.unbound, "mail.lb.test", first_exchanger, id="unbound-ranked-mx"),
        pytest.param(resolvers.bind, "relay.lb.test", first_address, id="bind-two-addresses"),
        pytest.param(resolvers.bind, "mail.lb.test", first_exchanger, id="bind-ranked-mx"),
    ],
)
def test_members_get_mail_by_their_weights(
    stage: Stage,
    members: Members,
    start_resolver: Callable[[Stage, int], Resolver],
    name: str,
    choose: Callable[[Resolver, str, random.Random], str],
) -> None:
    """Weights 5:3:1:1 are what the members count, whatever resolver and sender do to the order of records."""
    daemon = Daemon(stage, members, weights=WEIGHTS)
    resolver = start_resolver(stage, daemon.port)
    daemon.wait_published(*WEIGHTS)
    draw = random.Random(1)  # noqa: S311 - a sender's shuffle, the same in each run

    subjects = [f"message-{n}" for n in range(MESSAGES)]
    for subject in subjects:
        send(choose(resolver, name, draw), members.port, subject)

    counts = members.taken(subjects)
    assert counts.total() == MESSAGES
    if name == CHANCY:
        assert chi_square(counts, WEIGHTS) < LIMIT, counts
    else:
        assert largest_error(counts, WEIGHTS) < POINTS, counts


@pytest.mark.parametrize("recipient", ["someone@relayed.test", "someone@mail.lb.test"], ids=["relay-host", "mx"])
def test_postfix_spreads_a_burst_by_the_weights(stage: Stage, members: Members, recipient: str) -> None:
    """What a real Postfix sends at once, as many as it likes, comes to the members by their weights."""
    daemon = Daemon(stage, members, weights=WEIGHTS)
    postfix = senders.postfix(stage, resolver=resolvers.unbound(stage, daemon.port), port=members.port)
    daemon.wait_published(*WEIGHTS)

    subjects = [f"message-{n}" for n in range(BURST)]
    postfix.submit(recipient, subjects)
    until(lambda: members.have_all(subjects), "the mail arrives")

    counts = members.taken(subjects)
    assert counts.total() == BURST
    assert chi_square(counts, WEIGHTS) < LIMIT, counts


@pytest.mark.parametrize("program", ["unbound", "bind"])
def test_what_members_get_is_what_weights_and_a_simulation_say(stage: Stage, members: Members, program: str) -> None:
    """Of 2,000 messages of a Postfix, each member gets its share to two points: its weight's, and the simulated one."""
    daemon = Daemon(stage, members, weights=WEIGHTS)
    resolver = {"unbound": resolvers.unbound, "bind": resolvers.bind}[program](stage, daemon.port)
    postfix = senders.postfix(stage, resolver=resolver, port=members.port, settings=ONE_AT_A_TIME)
    daemon.wait_published(*WEIGHTS)

    subjects = [f"message-{n}" for n in range(MESSAGES)]
    with ThreadPoolExecutor(SESSIONS) as pool:
        parts = [subjects[begin::SESSIONS] for begin in range(SESSIONS)]
        list(pool.map(postfix.submit, ["someone@mail.lb.test"] * SESSIONS, parts))
    until(lambda: members.have_all(subjects), "the mail arrives")

    counts = members.taken(subjects)
    assert largest_error(counts, WEIGHTS) < POINTS, counts
    foretold = json.loads(daemon.cli("simulate", "mail.lb.test", "--resolver", program, *FORETELL).stdout)
    for name, of in foretold["members"].items():
        assert abs(counts[name] / MESSAGES - of["share"]) < POINTS, (counts, foretold)
