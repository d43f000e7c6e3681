"""What a relay's name is answered with: addresses, and the records beside them that its table switches on."""

from pathlib import Path

import pytest
from dns.flags import Flag

from dnslb.answer.compiler import Pools, compile_world
from dnslb.answer.snapshot import Snapshot
from dnslb.answer.turns import Turns
from dnslb.answer.world import build
from dnslb.config import ConfigError, load
from dnslb.wire.name import from_text
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


# SPF


SPF = '[[service]]\nname = "_spf.lb.test"\ntype = "SPF"\npool = "relay"\n'
SPARE = '[[pool.relay.member]]\nname = "c"\naddresses = ["192.0.2.1", "192.0.2.3"]\nweight = 0\nport = 2525\n'


def test_an_spf_service_lists_every_member_once() -> None:
    """Also one that never gets mail, and an address that two members share once; "~all" unless the file says else."""
    of = served(SPARE + SPF)
    allowed = "ip4:192.0.2.1 ip6:2001:db8::1 ip4:192.0.2.2 ip6:2001:db8::2 ip4:192.0.2.3"
    assert answer(of, "_spf.lb.test TXT") == [f'_spf.lb.test. 300 TXT "v=spf1 {allowed} ~all"']
    of = served(SPF + 'all = "-all"\nttl = 60\n')
    allowed = "ip4:192.0.2.1 ip6:2001:db8::1 ip4:192.0.2.2 ip6:2001:db8::2"
    assert answer(of, "_spf.lb.test TXT") == [f'_spf.lb.test. 60 TXT "v=spf1 {allowed} -all"']


def test_an_spf_record_stands_beside_the_addresses_of_a_relay() -> None:
    """One name may be the sender's domain and the relay at once; what the zone file has there stays."""
    of = served(RELAY + SPF.replace("_spf", "relay"), zone="relay CAA 0 issue ca.test\n")
    assert answer(of, "relay.lb.test A") == ["relay.lb.test. 9 A 192.0.2.1"]
    assert answer(of, "relay.lb.test CAA") == ['relay.lb.test. 60 CAA 0 issue "ca.test"']
    assert len(answer(of, "relay.lb.test TXT")) == 1


def test_the_health_of_members_does_not_change_an_spf_record() -> None:
    """A member that is out has mail in its queue that it still has to send."""
    Path("lb.zone").write_text(ZONE)
    Path("dnslb.toml").write_text(CONFIG % "smtp" + RELAY + SPF)
    settings = load(Path("dnslb.toml"))
    world = build(settings.zones, settings.pools, settings.services)
    assert from_text("_spf.lb.test") not in world.dependents["relay"]


def members(count: int) -> str:
    """Return so many members with an IPv6 address each, of the greatest length."""
    return "".join(
        f'[[pool.relay.member]]\nname = "m{n}"\naddresses = ["2001:db8:1111:2222:3333:4444:5555:{n + 4096:x}"]\n'
        for n in range(count)
    )


def test_a_long_spf_record_goes_on_at_names_of_its_own() -> None:
    """Each includes the next one, and all fit into an answer without EDNS."""
    of = served(members(20) + SPF)
    first, second, third = (answer(of, f"{owner}.lb.test TXT") for owner in ("_spf", "_spf1._spf", "_spf2._spf"))
    assert "include:_spf1._spf.lb.test ~all" in first[0].replace('" "', "")
    assert "include:_spf2._spf.lb.test ~all" in second[0].replace('" "', "")
    assert "include" not in third[0]
    assert answer(of, "_spf3._spf.lb.test TXT") == []
    assert not any(ask(of, f"{owner}.lb.test TXT").flags & Flag.TC for owner in ("_spf", "_spf1._spf", "_spf2._spf"))


SPF_NAME = 'service[_spf.lb.test].name = "_spf.lb.test"'


@pytest.mark.parametrize(
    ("records", "count", "expected"),
    [
        ("_spf TXT x", 0, "the SPF record of _spf.lb.test collides with the TXT record in lb.zone:5"),
        ("_spf CNAME ns1", 0, "the SPF record of _spf.lb.test collides with the CNAME record in lb.zone:5"),
        ("_spf DNAME x.example.", 20, "it lies below the DNAME of _spf.lb.test (lb.zone:5)"),
        ("_spf NS ns.example.", 0, "_spf.lb.test is delegated away (lb.zone:5)"),
        ("_spf1._spf TXT x", 0, ""),
        ("_spf1._spf TXT x", 20, "the SPF record of _spf1._spf.lb.test collides with the TXT record in lb.zone:5"),
        ("", 85, ""),
        (
            "",
            100,
            (
                "its 104 addresses would take 11 lookups, expected at most 10 (RFC 7208 4.6.4): use a shorter name, or "
                "write networks into a TXT record of the zone file"
            ),
        ),
    ],
)
def test_spf_records_that_cannot_be(records: str, count: int, expected: str) -> None:
    """What stands in the way, or is more than a receiver looks up, is an error at the service's name."""
    found = []
    try:
        served(members(count) + SPF, zone=records + "\n")
    except ConfigError as error:
        found = [str(problem) for problem in error.problems]
    line = 20 + 3 * count
    assert found == ([f"dnslb.toml:{line}: {SPF_NAME}: {expected}"] if expected else [])


def test_an_spf_record_that_nobody_can_include() -> None:
    """Ten lookups are all that there are: the one for an include of this name would be too many."""
    Path("lb.zone").write_text(ZONE)
    Path("dnslb.toml").write_text(CONFIG % "smtp" + members(90) + SPF)
    _, warning = load(Path("dnslb.toml")).warnings
    assert warning.endswith(
        "its 94 addresses take 10 lookups, all that a receiver makes (RFC 7208 4.6.4): no other SPF record can include "
        "this name"
    )


def test_a_name_without_room_for_an_spf_record() -> None:
    """The name of the include is in the record too, so a very long one leaves no room."""
    name = ".".join([*["a" * 60] * 3, "lb.test"])
    with pytest.raises(ConfigError, match="so long that an SPF record has no room for an address"):
        served(members(20) + SPF.replace("_spf.lb.test", name))
