"""Views in the configuration: what comes of them, and what is said of those that leave a client without an answer."""

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from dnslb.answer.service import ServiceType
from dnslb.answer.views import Audience
from dnslb.config import ConfigError, load
from dnslb.wire.name import to_text
from tests.config.test_loading import cases

ZONE = "$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 604800 30\n@ NS ns1\nns1 A 192.0.2.53\n"
CONFIG = """\
[server]
ecs_resolvers = ["192.0.2.53", "2001:db8:53::/48"]

[zone."lb.test"]
file = "lb.zone"

[view.internal]
sources = ["10.0.0.0/8", "fd00::/8"]

[view.dmz]
sources = ["10.200.0.0/16"]

[probe.p]
kind = "smtp"

[pool.outer]
probe = "p"

[[pool.outer.member]]
name = "mx1"
addresses = ["192.0.2.1"]
view_addresses = { internal = ["10.0.0.1", "fd00::1"] }

[pool.inner]
probe = "p"

[[pool.inner.member]]
name = "relay1"
addresses = ["10.0.0.2"]

[[service]]
name = "mx.lb.test"
type = "address"
pool = "outer"

[[service]]
name = "mx.lb.test"
type = "address"
pool = "inner"
views = ["internal", "dmz"]
ttl = 5
with = ["MX"]

[[service]]
name = "mx.lb.test"
type = "MX"
pool = "outer"
"""


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lb.zone").write_text(ZONE)


def _written(*changes: tuple[str, str]) -> Path:
    text = CONFIG
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    Path("dnslb.toml").write_text(text)
    return Path("dnslb.toml")


def _errors(*changes: tuple[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(_written(*changes))
    return [str(problem).removeprefix("dnslb.toml:") for problem in caught.value.problems]


def _warnings(*changes: tuple[str, str]) -> list[str]:
    return [warning.removeprefix("dnslb.toml:") for warning in load(_written(*changes)).warnings]


def test_a_service_is_one_for_each_of_its_views() -> None:
    """With its pool, its TTL and its companions; who is told apart goes with the services, not with the server."""
    settings = load(_written())
    assert settings.warnings == ()
    assert [(to_text(one.name), one.type, one.pool, one.view, one.ttl.max) for one in settings.services] == [
        ("mx.lb.test", ServiceType.ADDRESS, "outer", "", 30),
        ("mx.lb.test", ServiceType.ADDRESS, "inner", "internal", 5),
        ("mx.lb.test", ServiceType.ADDRESS, "inner", "dmz", 5),
        ("mx.lb.test", ServiceType.MX, "inner", "internal", 5),
        ("mx.lb.test", ServiceType.MX, "inner", "dmz", 5),
        ("mx.lb.test", ServiceType.MX, "outer", "", 30),
    ]
    assert settings.audience == Audience(
        {
            "internal": (ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
            "dmz": (ip_network("10.200.0.0/16"),),
        },
        (ip_network("192.0.2.53/32"), ip_network("2001:db8:53::/48")),
    )


def test_a_member_has_addresses_for_views() -> None:
    """What is probed are its addresses, whoever gets which."""
    settings = load(_written())
    (member,) = settings.pools["outer"].members
    assert member.addresses_in("internal") == (ip_address("10.0.0.1"), ip_address("fd00::1"))
    assert member.addresses_in("dmz") == member.addresses_in("") == (ip_address("192.0.2.1"),)
    assert [target.addresses for target in settings.targets if target.member == "mx1"] == [(ip_address("192.0.2.1"),)]


_SOURCE = 'sources = ["10.200.0.0/16"]'
_NETWORK = 'expected a network, as in "10.0.0.0/8" or "2001:db8::/32"'


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10.200.0.1/16", "bits behind the prefix are set: expected 10.200.0.0/16, or 10.200.0.1 alone"),
        ("fe80::1/10", "bits behind the prefix are set: expected fe80::/10, or fe80::1 alone"),
        ("10.200.0.0/33", _NETWORK),
        ("10.200.0.0/255.255.0.0", _NETWORK),
        ("fe80::%eth0/64", _NETWORK),
        ("office", _NETWORK),
        (
            "::ffff:10.0.0.0/104",
            "an IPv4-mapped network: expected it as one of IPv4, which is what such clients come as",
        ),
    ],
)
def test_a_source_is_a_network(written: str, expected: str) -> None:
    """Whatever it could mean beside that is not guessed."""
    assert _errors((_SOURCE, f'sources = ["{written}"]')) == [f'11: view.dmz.sources[#1] = "{written}": {expected}']


@pytest.mark.parametrize(("old", "new", "expected"), cases("view_mistakes.txt"))
def test_each_mistake_is_named(old: str, new: str, expected: list[str]) -> None:
    """With its line, and with nothing that merely follows from it."""
    assert _errors((old, new)) == expected


def _gap(where: str, who: str, kind: str) -> str:
    return (
        f"{where}: {who} would get no {kind} answer for mx.lb.test (NODATA), and senders bounce mail then: "
        "expected another service of this name and type for them, best one without views"
    )


_FOR_ALL = '[[service]]\nname = "mx.lb.test"\ntype = "address"\npool = "outer"\n\n'
_MX_FOR_ALL = '[[service]]\nname = "mx.lb.test"\ntype = "MX"\npool = "outer"\n'
_VIEWS = '["internal", "dmz"]'
_INTERNAL = '["10.0.0.0/8", "fd00::/8"]'


def test_no_client_may_be_left_without_an_answer() -> None:
    """Who it is, is said: a service's own name must never be answered with nothing. A companion adds nothing to it."""
    where = f"35: service[mx.lb.test].views = {_VIEWS}"
    assert _errors((_FOR_ALL, "")) == [_gap(where, "clients that are in no view", "address")]
    assert _errors((_FOR_ALL, ""), (_INTERNAL, '["0.0.0.0/0"]')) == [
        _gap(where, "IPv6 clients that are in no view", "address")
    ]
    assert _errors((_FOR_ALL, ""), (_MX_FOR_ALL, ""), (_VIEWS, '["internal"]')) == [
        _gap(
            '35: service[mx.lb.test].views = ["internal"]',
            "clients of view dmz and clients that are in no view",
            "address",
        )
    ]
    assert _errors((_MX_FOR_ALL, "")) == [
        _gap('42: service[mx.lb.test].with[#1] = "MX"', "clients that are in no view", "MX")
    ]


def test_views_that_hold_all_addresses_leave_nobody_out() -> None:
    """Then no service has to be for all others."""
    assert _warnings((_FOR_ALL, ""), (_INTERNAL, '["0.0.0.0/0", "::/0"]')) == []


def test_members_of_different_families_in_a_view_are_warned_of() -> None:
    """Like those whose own addresses are: clients of one family get some of the members only."""
    another = '[[pool.outer.member]]\nname = "mx2"\naddresses = ["192.0.2.2"]\n\n[pool.inner]'
    warned = "pool.outer: mx2 has no IPv6 address in view internal: mail over IPv6 goes to the others alone"
    assert _warnings(("[pool.inner]", another)) == [f"16: {warned}"]
    only = 'view_addresses = { internal = ["fd00::1"] }'
    seen = 'view_addresses = { internal = ["10.0.0.1", "fd00::1"] }'
    assert _warnings(("[pool.inner]", another), (seen, only)) == [
        "16: pool.outer: mx1 has no IPv4 address in view internal: mail over IPv4 goes to the others alone",
        f"16: {warned}",
    ]


def test_views_without_effect_are_warnings() -> None:
    """One that nobody speaks of, one that nobody is in, resolvers believed for nothing or that say too little."""
    assert _warnings(("[probe.p]", '[view.spare]\nsources = ["192.0.2.0/24"]\n[probe.p]')) == [
        "13: view.spare: no service names it, and no member has addresses for it"
    ]
    halves = 'sources = ["10.200.0.0/16"]\n[view.low]\nsources = ["10.200.0.0/17", "10.200.128.0/17"]'
    assert _warnings((_SOURCE, halves), ('"internal", "dmz"]', '"internal", "dmz", "low"]')) == [
        "10: view.dmz: no client is in it: other views have all its addresses by longer prefixes"
    ]
    narrow = "ecs_resolvers do not say more than {} of a client as a rule: through them, clients in it get the answers"
    assert _warnings((_SOURCE, 'sources = ["10.200.0.0/25", "2001:db8::/56", "2001:db8:1::/57"]')) == [
        f"11: view.dmz.sources[#1]: {narrow.format('/24')} of what is around it",
        f"11: view.dmz.sources[#3]: {narrow.format('/56')} of what is around it",
    ]
    seen = 'view_addresses = { internal = ["10.0.0.1", "fd00::1"] }'
    views = CONFIG[CONFIG.index("[view.internal]") : CONFIG.index("[probe.p]")]
    service = f'mx.lb.test"\ntype = "address"\npool = "inner"\nviews = {_VIEWS}\n'
    elsewhere = 'in.lb.test"\ntype = "address"\npool = "inner"\n'
    assert _warnings((views, ""), (seen, ""), (service, elsewhere)) == [
        "2: server.ecs_resolvers: no view is used and no pool has source-hash: no answer depends on the client"
    ]
