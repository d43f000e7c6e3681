"""Services, members' hosts and static records must not contradict one another."""

from pathlib import Path

import pytest

from dnslb.config import ConfigError, load

CONFIG = """\
[zone."lb.example.org"]
file = "lb.zone"

[probe.inbound]
kind = "smtp"

[pool.inbound]
probe = "inbound"

[[pool.inbound.member]]
name = "mx1"
addresses = ["192.0.2.11", "2001:db8::11"]
%s
[[service]]
name = "mx.lb.example.org"
type = "address"
pool = "inbound"

[[service]]
name = "mail.lb.example.org"
type = "MX"
pool = "inbound"

[[service]]
name = "_smtp._tcp.lb.example.org"
type = "SRV"
port = 25
pool = "inbound"
"""

ZONE = """\
$TTL 60
@ SOA ns1 hostmaster 1 3600 600 604800 30
@ NS ns1
ns1 A 192.0.2.1
"""
MX, MAIL, SRV = (
    f'dnslb.toml:{line}: service[{name}.lb.example.org].name = "{name}.lb.example.org"'
    for line, name in [(15, "mx"), (20, "mail"), (25, "_smtp._tcp")]
)
MEMBER = 'dnslb.toml:11: pool.inbound.member[mx1].name = "mx1"'
NO_ALIAS = "an MX target must not be a CNAME (RFC 2181 10.3)"
OTHER = "ns1.lb.example.org has other addresses"
HOST = "dnslb.toml:13: pool.inbound.member[mx1].host"


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def errors(zone: str = "", member: str = "", config: str = "") -> list[str]:
    """Return the problems with more records in the zone, more keys in the member, more tables in the configuration."""
    Path("lb.zone").write_text(ZONE + zone)
    Path("dnslb.toml").write_text(CONFIG % member + config)
    try:
        load(Path("dnslb.toml"))
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ("", []),
        ("mx A 192.0.2.9", [f"{MX}: collides with the A record in lb.zone:5"]),
        ("mx AAAA ::9", [f"{MX}: collides with the AAAA record in lb.zone:5"]),
        ("mx CNAME ns1", [f"{MX}: collides with the CNAME record in lb.zone:5"]),
        ('mx TXT "x"\nmx MX 10 ns1', []),
        ("mail MX 10 ns1", [f"{MAIL}: collides with the MX record in lb.zone:5"]),
        ("mail CNAME ns1", [f"{MAIL}: collides with the CNAME record in lb.zone:5"]),
        ("mail A 192.0.2.9", []),
        ("_smtp._tcp SRV 0 0 25 ns1", [f"{SRV}: collides with the SRV record in lb.zone:5"]),
        ("_smtp._tcp CNAME ns1", [f"{SRV}: collides with the CNAME record in lb.zone:5"]),
        ("_tcp NS ns.example.", [f"{SRV}: _tcp.lb.example.org is delegated away (lb.zone:5)"]),
        ("_tcp DNAME elsewhere.example.", [f"{SRV}: lies below the DNAME of _tcp.lb.example.org (lb.zone:5)"]),
        ("mail DNAME elsewhere.example.", []),
        ("mx NS ns.example.", [f"{MX}: mx.lb.example.org is delegated away (lb.zone:5)"]),
        ("* A 192.0.2.9\n* MX 10 ns1", []),
    ],
)
def test_services_against_static_records(records: str, expected: list[str]) -> None:
    """A service shares its name only with records of types that it does not own."""
    assert errors(records + "\n") == expected


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ("mx1 A 192.0.2.11\nmx1 AAAA 2001:db8::11", []),
        ("mx1 A 192.0.2.11", [f"{MEMBER}: host mx1.lb.example.org has other addresses in lb.zone:5 than this member"]),
        ("mx1 A 192.0.2.9", [f"{MEMBER}: host mx1.lb.example.org has other addresses in lb.zone:5 than this member"]),
        (
            "mx1 CNAME ns1",
            [f"{MEMBER}: host mx1.lb.example.org is a CNAME in lb.zone:5: {NO_ALIAS}"],
        ),
        (
            "mx1 NS ns.example.",
            [f"{MEMBER}: host mx1.lb.example.org is in mx1.lb.example.org, which is delegated away (lb.zone:5)"],
        ),
        ('mx1 TXT "x"', []),
    ],
)
def test_hosts_against_static_records(records: str, expected: list[str]) -> None:
    """The host of a member has the member's addresses, in no way others, and is no alias."""
    assert errors(records + "\n") == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a.lb.example.org", []),
        ("mx1.elsewhere.example", []),
        (
            "mx.lb.example.org",
            [f'{HOST} = "mx.lb.example.org": host mx.lb.example.org is also the name of an address service'],
        ),
        (
            "ns1.lb.example.org",
            [f'{HOST} = "ns1.lb.example.org": host {OTHER} in lb.zone:4 than this member'],
        ),
    ],
)
def test_hosts_by_name(host: str, expected: list[str]) -> None:
    """A host may lie anywhere, but its name must be free."""
    assert errors(member=f'host = "{host}"\n') == expected


COMPANIONS = """
[[service]]
name = "relay.lb.example.org"
type = "address"
pool = "inbound"
port = 587
with = ["MX", "SRV"]
"""
WITH_MX = 'dnslb.toml:35: service[relay.lb.example.org].with[#1] = "MX"'
WITH_SRV = 'dnslb.toml:35: service[relay.lb.example.org].with[#2] = "SRV"'
SRV_NAME = "_submission._tcp.relay.lb.example.org"


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ("", []),
        ("relay TXT x\nrelay SRV 0 0 25 ns1\n_submissions._tcp.relay SRV 0 0 465 ns1", []),
        ("relay MX 10 ns1", [f"{WITH_MX}: relay.lb.example.org collides with the MX record in lb.zone:5"]),
        (f"{SRV_NAME}. SRV 0 0 5 ns1", [f"{WITH_SRV}: {SRV_NAME} collides with the SRV record in lb.zone:5"]),
        (f"{SRV_NAME}. CNAME ns1", [f"{WITH_SRV}: {SRV_NAME} collides with the CNAME record in lb.zone:5"]),
        (
            "_tcp.relay DNAME elsewhere.example.",
            [f"{WITH_SRV}: {SRV_NAME} lies below the DNAME of _tcp.relay.lb.example.org (lb.zone:5)"],
        ),
        ("_tcp.relay NS ns.example.", [f"{WITH_SRV}: _tcp.relay.lb.example.org is delegated away (lb.zone:5)"]),
        ("mx1 CNAME ns1", [f"{MEMBER}: host mx1.lb.example.org is a CNAME in lb.zone:5: {NO_ALIAS}"]),
    ],
)
def test_companions_against_static_records(records: str, expected: list[str]) -> None:
    """The name under an address service is claimed by `with`, in its own line, and is checked like any other."""
    assert errors(records + "\n", config=COMPANIONS) == expected


def test_the_hosts_of_companions_are_checked_without_any_other_service() -> None:
    """What MX and SRV records of a companion point at must have the addresses of the member."""
    Path("lb.zone").write_text(ZONE + "mx1 A 192.0.2.9\n")
    head, _, _ = (CONFIG % "").partition("[[service]]")
    Path("dnslb.toml").write_text(head + COMPANIONS)
    with pytest.raises(ConfigError) as caught:
        load(Path("dnslb.toml"))
    assert list(map(str, caught.value.problems)) == [
        f"{MEMBER}: host mx1.lb.example.org has other addresses in lb.zone:5 than this member"
    ]


def test_a_companion_whose_name_would_be_none() -> None:
    """A name may leave no room for _submission._tcp before it."""
    relay = ".".join([*["a" * 50] * 4, "a" * 30, "lb.example.org"])
    (error,) = errors(config=COMPANIONS.replace("relay.lb.example.org", relay))
    assert error.startswith("dnslb.toml:35: ")
    assert error.endswith("is longer than 255 octets")
    assert '.with[#2] = "SRV": expected a domain name: ' in error


def test_two_members_with_one_host_have_the_same_addresses() -> None:
    """Two pools may share a server; one name for two different servers is an error."""
    other = (
        '[pool.other]\nprobe = "inbound"\nmember = [{ name = "mx1", addresses = ["%s"] }]\n'
        '[[service]]\nname = "other.lb.example.org"\ntype = "MX"\npool = "other"\n'
    )
    assert errors(config=other % '2001:db8::11", "192.0.2.11') == []
    assert errors(config=other % "192.0.2.12") == [
        'dnslb.toml:31: pool.other.member[mx1].name = "mx1": host mx1.lb.example.org has other addresses in line 11'
    ]


def test_a_default_host_that_is_no_name() -> None:
    """A member's name under a long zone may be more than a name can hold."""
    apex = ".".join(["a" * 57] * 4)
    config = f'[zone."{apex}"]\nfile = "lb.zone"\n[[service]]\nname = "{apex}"\ntype = "MX"\npool = "long"\n'
    config += '[pool.long]\nprobe = "inbound"\n[[pool.long.member]]\n'
    config += f'name = "{"b" * 60}"\naddresses = ["192.0.2.1"]\n'
    (error,) = errors(config=config)
    assert "its host in MX records would be no name" in error
    assert "is longer than 255 octets" in error


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ("@ MX 10 mx", []),
        ("@ MX 10 mx1", []),
        ("@ MX 10 MX1", []),
        ("@ MX 10 elsewhere.example.", []),
        ("@ MX 0 .", []),
        ("@ MX 10 gone", ["lb.zone:5: MX of lb.example.org names gone.lb.example.org, which has no A or AAAA record"]),
        ("@ MX 10 mail", ["lb.zone:5: MX of lb.example.org names mail.lb.example.org, which has no A or AAAA record"]),
        ("@ NS gone", ["lb.zone:3: NS of lb.example.org names gone.lb.example.org, which has no A or AAAA record"]),
        (
            "_x._tcp SRV 0 0 25 gone",
            ["lb.zone:5: SRV of _x._tcp.lb.example.org names gone.lb.example.org, which has no A or AAAA record"],
        ),
        ("@ MX 10 any.w\n*.w A 192.0.2.3", []),
        (
            "@ MX 10 any.here.w\n*.w A 192.0.2.3\nhere.w TXT x",
            ["lb.zone:5: MX of lb.example.org names any.here.w.lb.example.org, which has no A or AAAA record"],
        ),
        ("@ MX 10 host.sub\nsub NS ns.example.", []),
    ],
)
def test_static_targets_have_an_address(records: str, expected: list[str]) -> None:
    """A static MX, NS or SRV record names a host with an address: static, a wildcard's, a member's or a service's."""
    assert errors(records + "\n") == expected


def test_a_target_in_another_zone_of_ours() -> None:
    """A name in a zone below is answered from there."""
    Path("sub.zone").write_text(ZONE)
    assert errors("@ MX 10 ns1.sub\n", config='[zone."sub.lb.example.org"]\nfile = "sub.zone"\n') == []


def test_a_zone_below_a_dname_is_an_error() -> None:
    """The zone above leads each name of it elsewhere, and resolvers believe that (RFC 6672 section 2.4)."""
    Path("sub.zone").write_text(ZONE)
    config = '[zone."x.sub.lb.example.org"]\nfile = "sub.zone"\n'
    (error,) = errors("sub DNAME elsewhere.example.\n", config=config)
    assert error.endswith('zone."x.sub.lb.example.org": lies below the DNAME of sub.lb.example.org (lb.zone:5)')
    assert errors("subx DNAME elsewhere.example.\n", config=config) == []
