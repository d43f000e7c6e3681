"""Clients that have a member of their own, by any way to the daemon, and keep it when another one dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.message
import dns.query

from tests.e2e.product import Daemon
from tests.e2e.resolvers import rdatas

if TYPE_CHECKING:
    from tests.e2e.members import Members
    from tests.e2e.processes import Stage

ALL = ("mx1", "mx2", "mx3", "mx4")
CLIENTS = [f"127.0.{network}.1" for network in range(1, 9)]
QUERIES = 50
POLICY = 'policy = "source-hash"\nslow_start = "0"'
"""With a slow start a member that is back has its clients back little by little."""


def led_to(daemon: Daemon, client: str) -> list[str]:
    """Return the members that a client gets: all different answers to many queries, by UDP and TCP, with EDNS and not.

    Each query has a port of its own.
    """
    found: dict[str, None] = {}
    for turn in range(QUERIES):
        query = dns.message.make_query("single.lb.test", "A", use_edns=turn % 4 > 1)
        send = dns.query.tcp if turn % 2 else dns.query.udp
        answer = send(query, "127.0.0.1", timeout=5, port=daemon.port, source=client)
        found |= dict.fromkeys(rdatas(answer, "A"))
    return list(found)


def test_each_client_keeps_its_member_until_that_one_dies(stage: Stage, members: Members) -> None:
    """A restart moves nobody, a death moves the clients of the dead member only, and its return brings them back."""
    daemon = Daemon(stage, members, keys=POLICY)
    daemon.wait_published(*ALL)
    before = {client: led_to(daemon, client) for client in CLIENTS}
    assert {len(addresses) for addresses in before.values()} == {1}
    assert len({addresses[0] for addresses in before.values()}) > 2
    assert led_to(daemon, "127.0.1.77") == before["127.0.1.1"]

    assert daemon.stop() == 0
    daemon.start()
    daemon.wait_published(*ALL)
    assert {client: led_to(daemon, client) for client in CLIENTS} == before

    name, address = next((name, at) for name, at in members.addresses.items() if [at] == before[CLIENTS[0]])
    members.kill(name)
    daemon.wait_published(*(other for other in ALL if other != name))
    after = {client: led_to(daemon, client) for client in CLIENTS}
    assert {client: after[client] for client in CLIENTS if before[client] != [address]} == {
        client: before[client] for client in CLIENTS if before[client] != [address]
    }
    assert [address] not in after.values()

    members.start(name)
    daemon.wait_published(*ALL)
    assert {client: led_to(daemon, client) for client in CLIENTS} == before


def test_a_client_is_explained_as_it_is_answered(stage: Stage, members: Members) -> None:
    """`dnslb explain --client` names the member that the client gets."""
    daemon = Daemon(stage, members, keys=POLICY)
    daemon.wait_published(*ALL)
    names = {address: name for name, address in members.addresses.items()}
    for client in CLIENTS[:3]:
        (address,) = led_to(daemon, client)
        done = daemon.cli("explain", "single.lb.test", "A", "--client", client)
        assert done.returncode == 0, done.stderr
        network = client.removesuffix(".1") + ".0/24"
        assert f"Client {client} is in {network}, which always gets {names[address]} while published." in done.stdout
