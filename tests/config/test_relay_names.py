"""What a relay's name is answered with: addresses, and the records beside them that its table switches on."""

from pathlib import Path

import pytest

from dnslb.answer.compiler import Pools, compile_world
from dnslb.answer.snapshot import Snapshot
from dnslb.answer.turns import Turns
from dnslb.answer.world import build
from dnslb.config import load
from tests.conftest import ask, lines, selections

CONFIG = """\
[zone."lb.test"]
file = "lb.zone"

[probe.relay]
kind = "%s"

[[pool.relay.member]]
name = "a"
addresses = ["192.0.2.1", "2001:db8::1"]
weight = 3

[[pool.relay.member]]
name = "b"
addresses = ["192.0.2.2", "2001:db8::2"]
tier = 2

[pool.relay]
probe = "relay"
"""
RELAY = '[[service]]\nname = "relay.lb.test"\ntype = "address"\npool = "relay"\nttl = 9\nrecords = 1\n'
ZONE = "$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 604800 30\n@ NS ns1\nns1 A 192.0.2.53\n"


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def served(services: str, kind: str = "submission", zone: str = "") -> Snapshot:
    """Return what a daemon with these services would answer, while all members are up."""
    Path("lb.zone").write_text(ZONE + zone)
    Path("dnslb.toml").write_text(CONFIG % kind + services)
    settings = load(Path("dnslb.toml"))
    world = build(settings.zones, settings.pools, settings.services)
    return compile_world(world, Pools(selections(world), dict.fromkeys(world.zones, 1)), 1)


def answer(of: Snapshot, text: str) -> list[str]:
    """Return the records that answer a question, as lines of a zone file, sorted."""
    return sorted(lines(ask(of, text, turns=Turns(0)).answer))


def test_a_name_answers_addresses_mx_and_srv_from_one_pool() -> None:
    """Each in its own way: the best tier, a ranking of all members, and priorities with weights; all with one TTL."""
    of = served(RELAY + 'with = ["MX", "SRV"]\n')
    assert answer(of, "relay.lb.test A") == ["relay.lb.test. 9 A 192.0.2.1"]
    assert answer(of, "relay.lb.test MX") == ["relay.lb.test. 9 MX 10 a.lb.test.", "relay.lb.test. 9 MX 20 b.lb.test."]
    assert answer(of, "_submission._tcp.relay.lb.test SRV") == [
        "_submission._tcp.relay.lb.test. 9 SRV 1 3 587 a.lb.test.",
        "_submission._tcp.relay.lb.test. 9 SRV 2 1 587 b.lb.test.",
    ]
    assert answer(of, "b.lb.test AAAA") == ["b.lb.test. 9 AAAA 2001:db8::2"]


def test_a_pool_with_tls_from_the_start_is_found_as_submissions() -> None:
    """RFC 8314 section 5.1: another label, and another port. The other name is not there."""
    of = served(RELAY + 'with = ["SRV"]\n', "smtps")
    assert answer(of, "_submissions._tcp.relay.lb.test SRV") == [
        "_submissions._tcp.relay.lb.test. 9 SRV 1 3 465 a.lb.test.",
        "_submissions._tcp.relay.lb.test. 9 SRV 2 1 465 b.lb.test.",
    ]
    assert answer(of, "_submission._tcp.relay.lb.test SRV") == []
    assert answer(of, "relay.lb.test MX") == []


def test_without_companions_there_are_addresses_alone() -> None:
    """Nothing is answered that the file does not ask for: a client goes on to the addresses."""
    of = served(RELAY)
    assert answer(of, "relay.lb.test A") == ["relay.lb.test. 9 A 192.0.2.1"]
    assert answer(of, "relay.lb.test MX") == []
