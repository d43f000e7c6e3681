"""Which hosts a new configuration leaves behind, and what stands in their place."""

import pytest

from dnslb.answer.lingering import left_behind, with_hosts
from dnslb.answer.service import Service, ServiceType
from dnslb.answer.world import World
from dnslb.pool.member import Member
from dnslb.wire.name import to_text
from tests.conftest import ask, compiled, lines, member, pool, service, world, zone

_ZONE = zone("www A 192.0.2.80\n")
_STAYS, _GOES = member("mx1", "192.0.2.1"), member("mx2", "192.0.2.2", "2001:db8::2")
_MAIL = service("mail.lb.test", ServiceType.MX)


def _world(*members: Member, named: Service = _MAIL, text: str = "www A 192.0.2.80\n") -> World:
    return world(zone(text), pool(*members), named)


_OLD = _world(_STAYS, _GOES)


def _left(new: World, old: World = _OLD) -> dict[str, int]:
    return {to_text(host): seconds for host, (_, seconds) in left_behind(old, new).items()}


def test_the_host_of_a_member_that_is_gone_lingers() -> None:
    """With its addresses of both families, for the TTL of the records that name it; others are as they were."""
    new = _world(_STAYS)
    assert _left(new) == {"mx2.lb.test": _MAIL.ttl.max}
    held = compiled(with_hosts(new, {host: there for host, (there, _) in left_behind(_OLD, new).items()}))
    for rtype, address in (("A", "192.0.2.2"), ("AAAA", "2001:db8::2")):
        assert lines(ask(held, f"mx2.lb.test {rtype}").answer) == [f"mx2.lb.test. 30 {rtype} {address}"]
    assert not ask(held, "mail.lb.test MX").answer[0].to_text().count("mx2")
    assert lines(ask(held, "mx1.lb.test A").answer) == ["mx1.lb.test. 30 A 192.0.2.1"]


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(_OLD, id="the same"),
        pytest.param(_world(_STAYS, member("mx2", "192.0.2.9")), id="another address"),
        pytest.param(_world(_STAYS, text="mx2 A 192.0.2.9\n"), id="static"),
        pytest.param(_world(_STAYS, text="mx2 CNAME www\nwww A 192.0.2.80\n"), id="an alias"),
        pytest.param(_world(_STAYS, text="mx2 NS ns.elsewhere.test.\n"), id="a delegation"),
        pytest.param(world(zone("www A 192.0.2.80\n", "other.test"), pool(_STAYS)), id="no such zone"),
    ],
)
def test_what_has_another_owner_now_does_not(new: World) -> None:
    """The new configuration says what is there."""
    assert _left(new) == {}


def test_a_name_with_other_data_gets_its_addresses_back() -> None:
    """There is no address, which is as bad as no name; what else it owns stays."""
    new = _world(_STAYS, text='mx2 TXT "gone"\n')
    held = compiled(with_hosts(new, {host: there for host, (there, _) in left_behind(_OLD, new).items()}))
    assert len(lines(ask(held, "mx2.lb.test A").answer)) == len(lines(ask(held, "mx2.lb.test TXT").answer)) == 1


def test_address_services_name_no_host() -> None:
    """What a cache has of them are addresses."""
    old = _world(_STAYS, _GOES, named=service())
    assert _left(_world(_STAYS, named=service()), old) == {}


def test_the_longest_ttl_counts() -> None:
    """Of all services that have named the host; one of them may be gone, or all."""
    old = world(_ZONE, pool(_STAYS, _GOES), _MAIL, service("_s._tcp.lb.test", ServiceType.SRV, ttl=300))
    assert _left(world(_ZONE, pool(_STAYS)), old) == {"mx1.lb.test": 300, "mx2.lb.test": 300}
