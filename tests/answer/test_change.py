"""A change of health says the same as a fresh start would: what workers hold after it is the whole new table."""

import asyncio
from itertools import product

import dns.edns
from hypothesis import given, settings
from hypothesis import strategies as st

from dnslb.answer.compiler import Pools, compile_world
from dnslb.answer.service import Preference, ServiceType
from dnslb.answer.snapshot import Change, Snapshot, apply, made_ready
from dnslb.answer.world import World
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Health, State
from dnslb.pool.member import AllDown, Pool
from dnslb.pool.selection import Candidate
from dnslb.publisher import Publication, Publisher
from dnslb.wire.name import from_text
from tests.conftest import ask, audience, lines, member, pool, service, snapshot, world, zone

_ZONES = (
    zone("""
        @ TXT "apex"
        smtp CNAME relay
        relay CNAME mx
        top CNAME @
        totop CNAME top
        down CNAME mx.sub
        sub NS ns.sub
        ns.sub A 192.0.2.53
        *.wild CNAME mx
        a1 A 192.0.2.1
        static MX 10 a1
        """),
    zone("up CNAME mx.lb.test.\nself CNAME @", "sub.lb.test"),
    zone("www A 192.0.2.9\nhere CNAME @", "other.test"),
)
_POOLS = (
    pool(
        member("a1", "192.0.2.1", weight=3),
        member("a2", "2001:db8::2", weight=2),
        member("a3", "192.0.2.3", "2001:db8::3", tier=2),
        name="first",
    ),
    pool(member("b1", "192.0.2.4"), member("b2", "192.0.2.5"), name="second", all_down=AllDown.SERVFAIL),
)
_SERVICES = (
    service(of="first", records=1),
    service("lb.test", ServiceType.MX, "first"),
    service("mail.lb.test", ServiceType.MX, "second", preference=Preference.EQUAL),
    service("_s._tcp.sub.lb.test", ServiceType.SRV, "first", zone="sub.lb.test"),
    service("mx.sub.lb.test", ServiceType.ADDRESS, "second", zone="sub.lb.test"),
    service("mail.lb.test", ServiceType.ADDRESS, "first"),
)
WORLD = world(*_ZONES, *_POOLS, *_SERVICES)
_IN_VIEWS = world(
    *_ZONES,
    pool(
        member("a1", "192.0.2.1", weight=3, seen={"low": "10.0.0.1", "high": "fd00::1"}),
        member("a2", "2001:db8::2", weight=2),
        member("a3", "192.0.2.3", "2001:db8::3", tier=2, seen={"low": "10.0.0.3"}),
        name="first",
    ),
    _POOLS[1],
    *_SERVICES,
    service(of="second", view="low"),
    service("lb.test", ServiceType.MX, "second", view="high"),
    audience(low="10.0.0.0/9", high="10.128.0.0/9"),
)
"""The same, and beside it other answers for two views."""
_MEMBERS = [(one.name, named.name) for one in _POOLS for named in one.members]


class _Workers:
    """What workers do with what the publisher sends, and the serials that it says to have sent."""

    def __init__(self) -> None:
        self.table: Snapshot | None = None
        self.serials: dict[bytes, int] = {}

    async def take(self, message: Snapshot | Change) -> None:
        if isinstance(message, Snapshot):
            self.table = made_ready(message)
        elif self.table is not None:
            self.table = apply(self.table, message)

    def hear(self, publication: Publication) -> None:
        self.serials |= publication.serials


def _candidates(of: Pool, words: dict[tuple[str, str], tuple[AdminState, State]]) -> list[Candidate]:
    said = [words.get((of.name, one.name), (AdminState.READY, State.UP)) for one in of.members]
    return [Candidate(one, Admin(admin), Health(state)) for one, (admin, state) in zip(of.members, said, strict=True)]


_CHANGES = st.lists(
    st.dictionaries(
        st.sampled_from(_MEMBERS), st.sampled_from(list(product(AdminState, State))), min_size=1, max_size=3
    ),
    min_size=1,
    max_size=4,
)


async def _after(
    of: World, changes: list[dict[tuple[str, str], tuple[AdminState, State]]]
) -> tuple[Snapshot, Snapshot]:
    """Return what workers hold after the changes, and what is compiled anew from the same state."""
    workers, words = _Workers(), dict[tuple[str, str], tuple[AdminState, State]]()
    publisher = Publisher(workers.take, workers.hear)
    await publisher.publish_world(of, lambda name: _candidates(of.pools[name], words))
    for change in changes:
        words |= change
        for name, _ in change:
            publisher.touch(name)
        await publisher.settle()
    assert workers.table is not None
    fresh = compile_world(of, Pools(publisher.selections, workers.serials), publisher.generation)
    return workers.table, fresh


@settings(max_examples=30)
@given(st.sampled_from([WORLD, _IN_VIEWS]), _CHANGES)
def test_changes_are_equal_to_a_fresh_start(
    of: World, changes: list[dict[tuple[str, str], tuple[AdminState, State]]]
) -> None:
    """Every answer, serial and denial of the table that workers patch together is that of a table made at once."""
    held, fresh = asyncio.run(_after(of, changes))
    assert held.generation == fresh.generation
    assert held.zones == fresh.zones
    assert {owner for owner in fresh.names if held.names[owner] != fresh.names[owner]} == set()
    assert held.names.keys() == fresh.names.keys()
    assert held.views == fresh.views
    assert held.ready == made_ready(fresh).ready


def test_aliases_follow_the_service() -> None:
    """A member that dies leaves the answers to the alias in the same table as those to the service."""
    held, _ = asyncio.run(_after(WORLD, [{("first", "a2"): (AdminState.READY, State.DOWN)}]))
    assert [line.split()[-1] for line in lines(ask(held, "smtp.lb.test AAAA").answer)] == [
        "relay.lb.test.",
        "mx.lb.test.",
    ]
    assert lines(ask(held, "smtp.lb.test A").answer)[-1] == "mx.lb.test. 30 A 192.0.2.1"
    assert len(lines(ask(held, "lb.test MX").answer)) == 2


def test_a_panic_reaches_answers_that_stay_the_same() -> None:
    """Who is published is the same when all are down as when all are well, but not why: EDNS says so."""
    all_down = {(named.name, one.name): (AdminState.READY, State.DOWN) for named in _POOLS for one in named.members}
    held, fresh = asyncio.run(_after(WORLD, [all_down]))
    assert [one.otype for one in ask(held, "mx.lb.test A", payload=1232).options] == [dns.edns.OptionType.EDE]
    assert held.names == fresh.names


def test_the_serial_rises_wherever_it_is_shown() -> None:
    """In the SOA, in denials, and behind an alias to the apex; a zone in which nothing changed keeps its serial."""
    held, _ = asyncio.run(_after(WORLD, [{("first", "a1"): (AdminState.READY, State.DOWN)}]))

    def serial(line: str) -> int:
        return int(line.split()[5])

    shown = [lines(ask(held, text).answer)[-1] for text in ("lb.test SOA", "top.lb.test SOA", "totop.lb.test SOA")]
    denied = [
        lines(ask(held, text).authority)[-1] for text in ("no.lb.test A", "static.lb.test A", "top.lb.test TYPE9999")
    ]
    assert {serial(line) for line in shown + denied} == {2}
    assert {serial(lines(ask(held, "self.sub.lb.test SOA").answer)[-1])} == {2}
    assert {serial(lines(ask(held, "here.other.test SOA").answer)[-1])} == {1}


def test_what_depends_on_a_pool() -> None:
    """The names of its services, what leads to them within the zone, and all that shows the zone's serial."""
    expected = {
        *("mx.lb.test", "smtp.lb.test", "relay.lb.test", "mail.lb.test", "_s._tcp.sub.lb.test"),
        *("*.wild.lb.test", "lb.test", "top.lb.test", "totop.lb.test", "sub.lb.test", "self.sub.lb.test"),
    }
    assert WORLD.dependents["first"] == {from_text(text) for text in expected}


def test_what_depends_on_a_pool_in_some_view_only() -> None:
    """The pool of a view's service changes the name for the clients of that view, and the serial for all."""
    assert _IN_VIEWS.dependents["first"] == WORLD.dependents["first"]
    internal = {"mx.lb.test", "smtp.lb.test", "relay.lb.test", "*.wild.lb.test"}
    assert _IN_VIEWS.dependents["second"] == WORLD.dependents["second"] | {from_text(text) for text in internal}


def test_a_change_moves_no_more_than_it_brings() -> None:
    """The table goes on as it is, not as a copy: what one member costs must not grow with all that is served."""
    before = snapshot(_ZONES[0], _POOLS[0], service(of="first"))
    names, others = before.names, dict(before.names)
    mx = from_text("mx.lb.test")
    after = apply(before, Change(2, {mx: {}}, {}))
    assert after.names is names
    assert dict(names) == others | {mx: {}}
