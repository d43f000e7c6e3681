"""What clients of different views are answered: other pools and other addresses, and never nothing."""

from dataclasses import replace

import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnslb.answer.responder import respond
from dnslb.answer.service import ServiceType
from dnslb.answer.snapshot import Snapshot
from dnslb.answer.turns import Turns
from dnslb.answer.world import World
from dnslb.pool.health import State
from dnslb.pool.member import AllDown, Member, Pool
from tests.conftest import (
    ask,
    audience,
    candidate,
    compiled,
    lines,
    member,
    pool,
    question,
    service,
    snapshot,
    world,
    zone,
)

_INSIDE, _BEYOND = b"\x0a\x01\x02\x03", b"\xcb\x00\x71\x07"
_AUDIENCE = audience(internal="10.0.0.0/8 fd00::/8", dmz="10.200.0.0/16")
_DMZ = b"\x0a\xc8\x00\x01"
_OUTER = pool(member("mx1", "192.0.2.1"), member("mx2", "192.0.2.2"), name="outer")
_INNER = pool(member("relay1", "10.0.0.1"), member("relay2", "10.0.0.2"), name="inner")


def _seen(
    of: Snapshot, text: str, client: bytes, *, payload: int | None = None, turns: Turns | None = None
) -> list[str]:
    return lines(ask(of, text, client=client, payload=payload, turns=turns).answer)


@pytest.mark.parametrize("payload", [None, 1232, 1337])
def test_a_view_has_another_pool_records_and_ttl(payload: int | None) -> None:
    """Its clients get them, and all others what is for all others; by the fast way and by the long one."""
    of = snapshot(
        _OUTER,
        _INNER,
        service(of="outer", records=1),
        service(of="inner", records=2, ttl=5, view="internal"),
        _AUDIENCE,
    )
    assert sorted(_seen(of, "mx.lb.test A", _INSIDE, payload=payload)) == [
        "mx.lb.test. 5 A 10.0.0.1",
        "mx.lb.test. 5 A 10.0.0.2",
    ]
    for client in (_BEYOND, _DMZ, bytes(16), b""):
        assert _seen(of, "mx.lb.test A", client, payload=payload) == ["mx.lb.test. 30 A 192.0.2.1"]


def test_the_longest_prefix_decides() -> None:
    """A network inside another view's is an exception to it."""
    of = snapshot(_OUTER, _INNER, service(of="inner"), service(of="outer", records=1, view="dmz"), _AUDIENCE)
    assert {line.split()[-1] for line in _seen(of, "mx.lb.test A", _INSIDE)} == {"10.0.0.1", "10.0.0.2"}
    assert _seen(of, "mx.lb.test A", _DMZ) == ["mx.lb.test. 30 A 192.0.2.1"]


_SPLIT = pool(
    member("mx1", "192.0.2.1", "2001:db8::1", seen={"internal": "10.0.0.1"}),
    member("mx2", "192.0.2.2", tier=2, seen={"internal": "10.0.0.2 fd00::2", "dmz": "10.200.0.2"}),
)


def test_one_pool_has_other_addresses_in_a_view() -> None:
    """Those of each member, at the service's name; which members it holds is the same."""
    of = snapshot(_SPLIT, service(), _AUDIENCE)
    assert _seen(of, "mx.lb.test A", _BEYOND) == ["mx.lb.test. 30 A 192.0.2.1"]
    assert _seen(of, "mx.lb.test A", _INSIDE) == ["mx.lb.test. 30 A 10.0.0.1"]
    # The only address that is said to be of this view is that of a worse tier.
    assert _seen(of, "mx.lb.test A", _DMZ) == ["mx.lb.test. 30 A 192.0.2.1"]


@pytest.mark.parametrize("kind", [ServiceType.MX, ServiceType.SRV])
def test_hosts_have_the_addresses_of_the_view(kind: ServiceType) -> None:
    """In answers to questions for them, and beside the records that point at them: a service's or the zone file's."""
    file = zone("static MX 10 mx1\nother MX 10 ns")
    of = snapshot(file, _SPLIT, service("_s._tcp.lb.test", kind), _AUDIENCE)
    expected = {
        _BEYOND: {"192.0.2.1", "2001:db8::1", "192.0.2.2"},
        _INSIDE: {"10.0.0.1", "10.0.0.2", "fd00::2"},
        _DMZ: {"192.0.2.1", "2001:db8::1", "10.200.0.2"},
    }
    for client, addresses in expected.items():
        response = ask(of, f"_s._tcp.lb.test {kind}", client=client, payload=1232)
        assert {line.split()[-1] for line in lines(response.additional)} == addresses
        response = ask(of, "static.lb.test MX", client=client, payload=1232)
        assert {line.split()[-1] for line in lines(response.additional)} < addresses
    assert _seen(of, "mx1.lb.test A", _INSIDE) == ["mx1.lb.test. 30 A 10.0.0.1"]
    assert _seen(of, "mx1.lb.test AAAA", _BEYOND) == ["mx1.lb.test. 30 AAAA 2001:db8::1"]
    assert ask(of, "other.lb.test MX", client=_INSIDE) == ask(of, "other.lb.test MX", client=_BEYOND)


@pytest.mark.parametrize("payload", [None, 1232, 1337])
def test_a_family_that_only_some_views_have(payload: int | None) -> None:
    """The others get an empty answer with the SOA, as for any type that a name has not; ANY finds what is there."""
    of = snapshot(_SPLIT, service(of="inbound", kind=ServiceType.MX), _AUDIENCE)
    for host, without, within in (("mx1", _INSIDE, _BEYOND), ("mx2", _BEYOND, _INSIDE)):
        empty = ask(of, f"{host}.lb.test AAAA", client=without, payload=payload)
        assert (empty.rcode(), empty.answer) == (dns.rcode.NOERROR, [])
        assert lines(empty.authority)[0].startswith("lb.test. 60 SOA")
        assert len(_seen(of, f"{host}.lb.test AAAA", within, payload=payload)) == 1
    only = pool(member("mx1", "192.0.2.1", seen={"internal": "fd00::1"}))
    of = snapshot(only, service(), _AUDIENCE)
    assert _seen(of, "mx.lb.test ANY", _INSIDE, payload=payload) == ["mx.lb.test. 30 AAAA fd00::1"]
    assert _seen(of, "mx.lb.test ANY", _BEYOND, payload=payload) == ["mx.lb.test. 30 A 192.0.2.1"]


def test_aliases_lead_to_what_the_view_has() -> None:
    """Also where the end of the chain has the type for some only: then the chain, and the SOA that denies it."""
    file = zone("smtp CNAME relay\nrelay CNAME mx\n*.wild CNAME mx\nrr CNAME host")
    only = pool(member("mx1", "192.0.2.1", seen={"internal": "10.0.0.1 fd00::1"}))
    of = snapshot(file, only, service(), _AUDIENCE)
    assert [line.split()[-1] for line in _seen(of, "smtp.lb.test A", _INSIDE)][-1] == "10.0.0.1"
    assert [line.split()[-1] for line in _seen(of, "smtp.lb.test A", _BEYOND)][-1] == "192.0.2.1"
    assert [line.split()[-1] for line in _seen(of, "smtp.lb.test AAAA", _INSIDE)][-1] == "fd00::1"
    denied = ask(of, "smtp.lb.test AAAA", client=_BEYOND)
    assert [line.split()[-1] for line in lines(denied.answer)] == ["relay.lb.test.", "mx.lb.test."]
    assert lines(denied.authority)[0].startswith("lb.test. 60 SOA")


def test_a_pool_that_must_not_answer_fails_in_its_view_only() -> None:
    """SERVFAIL is for the clients whose service it is."""
    down = pool(member("relay1", "10.0.0.1"), name="inner", all_down=AllDown.SERVFAIL)
    of = snapshot(
        _OUTER,
        down,
        service(of="outer"),
        service(of="inner", view="internal"),
        _AUDIENCE,
        candidates=[replace(candidate(state=State.DOWN), member=down.members[0])],
    )
    assert ask(of, "mx.lb.test A", client=_INSIDE).rcode() == dns.rcode.SERVFAIL
    assert ask(of, "mx.lb.test A", client=_BEYOND).rcode() == dns.rcode.NOERROR


def test_a_view_has_turns_of_its_own() -> None:
    """One resolver may ask for clients of several views: its turns in one ring must not move those in the other."""
    of = snapshot(
        pool(member("mx1", "192.0.2.1"), member("mx2", "192.0.2.2"), name="outer"),
        _INNER,
        service(of="outer", records=1),
        service(of="inner", records=1, view="internal"),
        _AUDIENCE,
    )
    turns = Turns(0)
    rotation = of.names[question("mx.lb.test A")[12:-4]][question("mx.lb.test A")[-4:]]
    assert rotation.views is not None
    assert rotation.views["internal"].key != rotation.key
    for _ in range(3):
        respond(question("mx.lb.test A"), of, turns, _BEYOND)
    first = Turns(0)
    assert [turns.take(_BEYOND, rotation.key, 2), turns.take(b"", rotation.views["internal"].key, 2)] == [
        3,
        first.take(b"", rotation.views["internal"].key, 2),
    ]


def test_all_views_have_the_same_names() -> None:
    """A host of another view's pool is there too: a resolver may ask for what another one was told."""
    of = snapshot(
        _OUTER,
        _INNER,
        service("lb.test", ServiceType.MX, "outer"),
        service("lb.test", ServiceType.MX, "inner", view="internal"),
        _AUDIENCE,
    )
    for client in (_INSIDE, _BEYOND):
        assert _seen(of, "relay1.lb.test A", client) == ["relay1.lb.test. 30 A 10.0.0.1"]
        assert _seen(of, "mx1.lb.test A", client) == ["mx1.lb.test. 30 A 192.0.2.1"]
    assert {line.split()[-1] for line in _seen(of, "lb.test MX", _INSIDE)} == {"relay1.lb.test.", "relay2.lb.test."}


def test_views_may_hold_all_addresses() -> None:
    """Then no service has to be for all others, and none of the names is missing."""
    of = snapshot(
        _OUTER,
        _INNER,
        service(of="outer", records=1, view="public"),
        service(of="inner", records=1, view="private"),
        audience(public="0.0.0.0/0 ::/0", private="10.0.0.0/8"),
    )
    assert _seen(of, "mx.lb.test A", _INSIDE) == ["mx.lb.test. 30 A 10.0.0.1"]
    assert _seen(of, "mx.lb.test A", _BEYOND) == ["mx.lb.test. 30 A 192.0.2.1"]
    assert _seen(of, "mx.lb.test A", bytes(16)) == ["mx.lb.test. 30 A 192.0.2.1"]


def test_what_is_the_same_in_all_views_is_one_answer() -> None:
    """Whoever asks, its cache may keep it for everybody: nothing of it depends on the view."""
    of = snapshot(zone('mx TXT "same"'), _SPLIT, service(), service("lb.test", ServiceType.MX), _AUDIENCE)
    told_apart = {
        (owner, tail) for owner, answers in of.names.items() for tail, rotation in answers.items() if rotation.views
    }
    names = {name for name, _ in told_apart}
    assert names == {question(f"{name}lb.test A")[12:-4] for name in ("mx.", "", "mx1.", "mx2.")}
    assert question("mx.lb.test A")[12:-4] + question("mx.lb.test A")[-4:] in {name + tail for name, tail in told_apart}
    assert question("mx.lb.test TXT")[12:] not in {name + tail for name, tail in told_apart}
    assert snapshot(_SPLIT, service()).names[question("mx.lb.test A")[12:-4]].keys() == {
        question("x A")[-4:],
        question("x AAAA")[-4:],
    }


# Any configuration: what a view gets is what a server would give that has no other clients


_VIEWS = ("", "internal", "dmz")
_CLIENTS = {"": _BEYOND, "internal": _INSIDE, "dmz": _DMZ}
_NAMES = ("mx.lb.test", "lb.test")


def _alone(of: Pool, view: str) -> Pool:
    members = tuple(replace(one, addresses=one.addresses_in(view), view_addresses=()) for one in of.members)
    return replace(of, members=members)


@st.composite
def _members(draw: st.DrawFn, name: str, first: int) -> tuple[Member, ...]:
    addresses = st.lists(
        st.sampled_from([f"192.0.2.{first}", f"10.0.0.{first}", f"2001:db8::{first}"]), min_size=1, unique=True
    )
    seen = st.dictionaries(st.sampled_from(_VIEWS[1:]), addresses.map(" ".join))
    return tuple(
        member(f"{name}{number}", *draw(addresses), weight=draw(st.integers(1, 3)), seen=draw(seen))
        for number in (1, 2)
    )


@st.composite
def _worlds(draw: st.DrawFn) -> tuple[World, dict[str, World]]:
    """Return a world with views, and for each view the world of its clients alone."""
    pools = [pool(*draw(_members(name, first)), name=name) for name, first in (("outer", 1), ("inner", 5))]
    kinds = {name: draw(st.sampled_from(ServiceType)) for name in _NAMES}
    of = st.sampled_from(["outer", "inner"])
    services = [
        service(name, kind, draw(of), records=draw(st.sampled_from([None, 1])) if kind is not ServiceType.SRV else None)
        for name, kind in kinds.items()
    ]
    others = [
        service(name, kinds[name], draw(of), view=view) for name in _NAMES for view in _VIEWS[1:] if draw(st.booleans())
    ]
    file = zone("smtp CNAME mx\nstatic MX 10 outer1\n*.wild CNAME mx\nouter9 A 192.0.2.9")
    # So that all hosts are there in every world, as they are in all views of one.
    services += [service(f"_{of.name}._tcp.lb.test", ServiceType.SRV, of.name) for of in pools]
    alone = {}
    for view in _VIEWS:
        own = {(one.name, one.type): one for one in (*services, *(one for one in others if one.view == view))}
        alone[view] = world(
            file, *(_alone(one, view) for one in pools), *(replace(one, view="") for one in own.values())
        )
    return world(file, *pools, *services, *others, _AUDIENCE), alone


_QUESTIONS = [
    f"{name}lb.test {rtype}"
    for name in ("", "mx.", "smtp.", "x.wild.", "static.", "outer1.", "inner2.", "none.", "outer9.")
    for rtype in ("A", "AAAA", "MX", "SRV", "TXT")
]


@settings(max_examples=30)
@given(_worlds())
def test_each_view_is_answered_as_if_it_were_alone(worlds: tuple[World, dict[str, World]]) -> None:
    """Octet by octet, by the fast way and by the long one."""
    together, alone = worlds
    table = compiled(together)
    for view, of in alone.items():
        expected = compiled(of)
        for text in _QUESTIONS:
            for query in (question(text), question(text, payload=1232), question(text, payload=1337)):
                found = respond(query, table, Turns(0), _CLIENTS[view])
                assert found == respond(query, expected, Turns(0), _CLIENTS[view]), (view, text)
            # One RRset is enough for ANY, whichever it is.
            name = text.split()[0]
            assert bool(_seen(table, f"{name} ANY", _CLIENTS[view])) == bool(_seen(expected, f"{name} ANY", b""))
