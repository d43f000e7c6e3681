"""What probes hold a member's certificate against: its host, and TLSA records; and who visits the same server."""

from pathlib import Path

import pytest
import trustme

from dnslb.config import ConfigError, Settings, load
from dnslb.probe.recipe import Tlsa

CONFIG = """\
[zone."lb.example.org"]
file = "lb.zone"

[probe.inbound]
kind = "smtp"
verify = "dane"

[pool.inbound]
probe = "inbound"

[[pool.inbound.member]]
name = "MX1"
addresses = ["192.0.2.11"]

[[service]]
name = "mx.lb.example.org"
type = "address"
pool = "inbound"
"""
ZONE = "$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 604800 30\n@ NS ns1\nns1 A 192.0.2.1\n"
DIGEST = "ab" * 32
RECORD = Tlsa(3, 1, 1, bytes.fromhex(DIGEST))
MEMBER = 'dnslb.toml:12: pool.inbound.member[MX1].name = "MX1": probe inbound has verify = "dane", and'
OTHER_POOL = """\
[pool.other]
probe = "other"
member = [{ name = "mx1", addresses = ["192.0.2.11"] }]
[[service]]
name = "other.lb.example.org"
type = "address"
pool = "other"
"""


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(config: str = CONFIG, records: str = "") -> Settings:
    """Return the settings of a configuration whose zone holds these records too."""
    Path("lb.zone").write_text(f"{ZONE}{records}\n")
    Path("dnslb.toml").write_text(config)
    return load(Path("dnslb.toml"))


def errors(config: str = CONFIG, records: str = "") -> list[str]:
    """Return the problems of a configuration."""
    with pytest.raises(ConfigError) as caught:
        loaded(config, records)
    return [str(problem) for problem in caught.value.problems]


def changed(old: str, new: str) -> str:
    """Return the configuration with its one occurrence of `old` changed."""
    assert CONFIG.count(old) == 1, old
    return CONFIG.replace(old, new)


def with_host(host: str) -> str:
    """Return the configuration with a host for the member."""
    return changed('"MX1"\n', f'"MX1"\nhost = "{host}"\n')


@pytest.mark.parametrize(
    "records",
    [
        f"_25._tcp.mx1 TLSA 3 1 1 {DIGEST}",
        f"*._tcp.mx1 TLSA 3 1 1 {DIGEST}",
        f"*.mx1 TLSA 3 1 1 {DIGEST}",
        f"_25._tcp.mx1 CNAME _dane\n_dane TLSA 3 1 1 {DIGEST}",
        f"mx1 DNAME _dane\n*._tcp._dane TLSA 3 1 1 {DIGEST}",
        f"_25._tcp.mx1 CNAME a.w\n*.w TLSA 3 1 1 {DIGEST}",
    ],
)
def test_tlsa_records_come_from_our_zones(records: str) -> None:
    """They stand at the port below the host, or a wildcard or an alias there leads to them."""
    (target,) = loaded(records=records).targets
    assert (target.host, target.tlsa) == ("mx1.lb.example.org", (RECORD,))


def test_the_port_is_the_one_that_is_probed() -> None:
    """A member with a port of its own has TLSA records of its own; all of a set count."""
    both = f"_2525._tcp.mx1 TLSA 3 1 1 {DIGEST}\n_2525._tcp.mx1 TLSA 2 0 0 cd"
    (target,) = loaded(changed('"MX1"\n', '"MX1"\nport = 2525\n'), both).targets
    assert target.tlsa == (RECORD, Tlsa(2, 0, 0, b"\xcd"))


@pytest.mark.parametrize(
    "records",
    [
        "",
        f"_26._tcp.mx1 TLSA 3 1 1 {DIGEST}",
        f"mx1 TLSA 3 1 1 {DIGEST}",
        # The host exists, so that no wildcard above it speaks for it (RFC 4592 2.2.1).
        f"* TLSA 3 1 1 {DIGEST}",
        "_25._tcp.mx1 CNAME _dane",
        "_25._tcp.mx1 CNAME a\na CNAME _25._tcp.mx1",
    ],
)
def test_a_record_that_is_missing_is_named(records: str) -> None:
    """With verify = "dane" and a host in a zone of ours the record has to be there."""
    assert errors(records=records) == [
        (
            f"{MEMBER} zone lb.example.org has no TLSA record at _25._tcp.mx1.lb.example.org: "
            "add one, as 3 1 1 with the data that `dnslb probe` shows"
        )
    ]


def test_records_that_mail_does_not_heed_are_told_apart() -> None:
    """A record for browsers' rules alone (usage 0 or 1) does not count in SMTP."""
    assert errors(records=f"_25._tcp.mx1 TLSA 1 1 1 {DIGEST}") == [
        (
            f"{MEMBER} no TLSA record at _25._tcp.mx1.lb.example.org has usage 3 or 2, the ones that mail heeds "
            "(RFC 7672 3.1): add one, as 3 1 1 with the data that `dnslb probe` shows"
        )
    ]


def test_a_zone_with_errors_is_not_said_to_lack_a_record() -> None:
    """The line that was not understood may be the one that is missed."""
    assert errors(records="_25._tcp.mx1 TLSA 3 1") == [
        "lb.zone:5: 'TLSA 3 1' is not a valid TLSA record: expecting an identifier"
    ]


@pytest.mark.parametrize(
    ("host", "records"),
    [
        ("mx1.example.net", ""),
        ("mx1.sub.lb.example.org", "sub NS ns.example."),
        ("mx2.lb.example.org", "_25._tcp.mx2 CNAME dane.example."),
    ],
)
def test_what_stands_elsewhere_is_left_to_the_probe(host: str, records: str) -> None:
    """No zone of ours knows the records: the host lies outside, or in what is delegated, or an alias leads out."""
    (target,) = loaded(with_host(host), records).targets
    assert (target.host, target.tlsa) == (host, None)


def test_a_pool_without_a_service_gives_no_host() -> None:
    """A certificate can be held against a name only if there is one."""
    config = changed('[[service]]\nname = "mx.lb.example.org"\ntype = "address"\npool = "inbound"\n', "")
    assert errors(config) == [
        (
            'dnslb.toml:11: pool.inbound.member[MX1].host: missing, probe inbound has verify = "dane": expected a host '
            "name, since no service uses this pool and gives it one"
        )
    ]
    (target,) = loaded(config.replace("dane", "none")).targets
    assert (target.host, target.tlsa) == ("", None)


def test_a_broken_service_is_the_only_error() -> None:
    """Without the service's name nobody knows which host it would have given."""
    (error,) = errors(changed('"mx.lb.example.org"', '"mx.example.net"'))
    assert "service[mx.example.net].name" in error


def test_a_name_that_is_too_long_is_no_host() -> None:
    """The default host of a member has to be a name, whatever the service's type."""
    apex = ".".join(["a" * 57] * 4)
    config = CONFIG.replace("lb.example.org", apex).replace("MX1", "b" * 60).replace("dane", "name")
    (error,) = errors(config)
    assert error.endswith(f"expected a host name, since {'b' * 60}.{apex} is longer than a name may be")


def test_the_first_service_gives_the_host() -> None:
    """A pool with services in two zones has its members' hosts in the zone of the first."""
    second = '[zone."z.example"]\nfile = "lb.zone"\n[[service]]\nname = "mx.z.example"\ntype = "MX"\npool = "inbound"\n'
    (target,) = loaded(CONFIG.replace("dane", "name") + second).targets
    assert target.host == "mx1.lb.example.org"


def test_published_records_ask_for_dane() -> None:
    """Who publishes TLSA records and does not check them would not see what senders see."""
    record = f"_25._tcp.mx1 TLSA 3 1 1 {DIGEST}"
    expected = (
        "dnslb.toml:8: pool.inbound: TLSA records of MX1 are published, and probe inbound does not compare them with "
        'the certificate: use verify = "dane"'
    )
    assert loaded(CONFIG.replace("dane", "name"), record).warnings == (expected,)
    assert loaded(CONFIG.replace("dane", "none"), record).warnings == (expected,)
    plain = CONFIG.replace('verify = "dane"', 'starttls = "off"')
    assert loaded(plain, record).warnings == ()


def test_different_probes_of_one_server_take_turns() -> None:
    """Two pools may share servers; where their probes differ, it is said once for each pair of probes."""
    config = changed('verify = "dane"\n', '[probe.other]\nkind = "smtp"\n%s\n') + OTHER_POOL
    assert loaded(config % "").warnings == ()
    assert loaded(config % "port = 26").warnings == ()
    assert loaded(config % "rise = 3").warnings == (
        (
            "dnslb.toml:6: probe.other: visits 192.0.2.11:25 as the different probe inbound does: they take turns, "
            "since a server gets one conversation at a time"
        ),
    )


def test_many_shared_servers_are_one_warning() -> None:
    """The first three are named."""
    config = changed('verify = "dane"\n', '[probe.other]\nkind = "smtp"\nfall = 9\n') + OTHER_POOL
    many = '["192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.14", "2001:db8::1"]'
    (warning,) = loaded(config.replace('["192.0.2.11"]', many)).warnings
    assert "visits 192.0.2.11:25, 192.0.2.12:25, 192.0.2.13:25 and 2 more as" in warning


def test_equal_paths_make_equal_probes() -> None:
    """What the probe's own table writes out and what the defaults say is the same recipe."""
    written = 'port = 25\nehlo = "probe.lb.example.org"\ntls_interval = "1m"\ncapabilities = []'
    config = changed('verify = "dane"\n', f'[probe.other]\nkind = "smtp"\n{written}\n') + OTHER_POOL
    assert loaded(config).warnings == ()


def test_trust_anchors_are_read() -> None:
    """A file with certificates is taken, by its path from the configuration's directory."""
    trustme.CA().cert_pem.write_to_path("ca.pem")
    (target,) = loaded(changed('"dane"', '"name"\nca_file = "ca.pem"')).targets
    assert target.recipe.ca_file == Path("ca.pem")
