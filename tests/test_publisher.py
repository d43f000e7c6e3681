"""The single writer: what it sends to workers, when, and what a failure leaves."""

import asyncio
import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from types import MappingProxyType

import pytest

from dnslb import publisher as publisher_module
from dnslb.answer.compiler import Pools, compile_world
from dnslb.answer.service import Service, ServiceType, Ttl
from dnslb.answer.snapshot import Change, Snapshot, apply
from dnslb.answer.world import World, build
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Health, State
from dnslb.pool.member import AllDown, Pool
from dnslb.pool.outlook import Outlook
from dnslb.pool.selection import Candidate, Selection
from dnslb.publisher import Publication, Publisher
from dnslb.wire import rrtype
from dnslb.wire.name import from_text
from dnslb.zone.rrset import RRset
from dnslb.zone.zone import Zone
from tests.conftest import member, pool

APEX = from_text("lb.test")
OTHER = from_text("other.test")
MX1 = member("mx1", "192.0.2.1")
MX2 = member("mx2", "192.0.2.2")
MX3 = member("mx3", "192.0.2.3")
_HOSTS = from_text("ns.lb.test") + from_text("hostmaster.lb.test")


def a_zone(apex: bytes, serial: int) -> Zone:
    """Return a zone with nothing but its apex."""
    soa = _HOSTS + b"".join(number.to_bytes(4, "big") for number in (serial, 3600, 600, 86400, 30))
    ns = from_text("ns.lb.test")
    return Zone(
        apex, {apex: {rrtype.SOA: RRset(apex, rrtype.SOA, 30, (soa,)), rrtype.NS: RRset(apex, rrtype.NS, 30, (ns,))}}
    )


def a_service(owner: str, of: str, apex: bytes = APEX) -> Service:
    """Return an address service with all members in its answers."""
    return Service(from_text(owner), apex, ServiceType.ADDRESS, of, None, Ttl(30, 30))


def a_world(*pools: Pool, serial: int = 7, zones: Sequence[bytes] = (APEX,), ttl: int | Ttl = 30) -> World:
    """Return a world with one service a pool, named after it."""
    by_name = MappingProxyType({each.name: each for each in pools})
    lasting = Ttl(ttl, ttl) if isinstance(ttl, int) else ttl
    services = [replace(a_service(f"{each.name}.lb.test", each.name), ttl=lasting) for each in pools]
    return build([a_zone(apex, serial) for apex in zones], by_name, services)


INBOUND = pool(MX1, MX2)
OUTBOUND = pool(MX3, name="outbound")


@dataclass
class Stage:
    """A publisher, the standings that it reads, and what it sent and told.

    Each message waits to be let through while `gate` is not set.
    """

    standings: dict[str, tuple[Admin, Health]] = field(default_factory=dict)
    sent: list[Snapshot | Change] = field(default_factory=list)
    told: list[Publication] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    outlook: Outlook | None = None

    def __post_init__(self) -> None:
        self.gate.set()
        self.publisher = Publisher(self._distribute, self.told.append)
        self.at_workers: Snapshot | None = None

    async def _distribute(self, message: Snapshot | Change) -> None:
        self.sent.append(message)
        await self.gate.wait()
        if isinstance(message, Change):
            assert self.at_workers is not None
            self.at_workers = apply(self.at_workers, message)
        else:
            self.at_workers = message

    def candidates_of(self, world: World) -> Callable[[str], list[Candidate]]:
        """Return what the publisher asks for a pool's members."""
        up = Admin(), Health(State.UP)
        return lambda of: [
            Candidate(each, *self.standings.get(each.name, up), outlook=self.outlook)
            for each in world.pools[of].members
        ]

    async def serve(self, world: World) -> bool:
        """Publish a whole world."""
        return await self.publisher.publish_world(world, self.candidates_of(world))

    def put(self, name: str, state: State = State.UP, admin: AdminState = AdminState.READY) -> None:
        """Change what is known of a member, without telling the publisher."""
        self.standings[name] = Admin(admin), Health(state)

    def published(self, of: str = "inbound") -> list[str]:
        """Return the members of a pool that are published now."""
        return [choice.member.name for choice in self.publisher.selections[of].published]

    def addresses(self, owner: str = "inbound.lb.test") -> set[str]:
        """Return all addresses that the workers may answer with."""
        assert self.at_workers is not None
        ring = self.at_workers.names[from_text(owner)][b"\x00\x01\x00\x01"].ring
        return {str(ip_address(record[-4:])) for variant in ring for record in _records(variant.answer)}

    def ttl(self, owner: str = "inbound.lb.test") -> int:
        """Return the TTL of the addresses that the workers answer with."""
        assert self.at_workers is not None
        answer = self.at_workers.names[from_text(owner)][b"\x00\x01\x00\x01"].ring[0].answer
        return int.from_bytes(answer[6:10], "big")

    def serial(self, apex: bytes = APEX) -> int:
        """Return the serial that the workers' negative answers have."""
        assert self.at_workers is not None
        soa = self.at_workers.zones[apex].soa[-1]
        return int.from_bytes(soa[-20:-16], "big")


def _records(answer: bytes) -> list[bytes]:
    return [answer[start : start + 16] for start in range(0, len(answer), 16)]


@pytest.fixture
def stage() -> Stage:
    """Give a publisher that has published nothing."""
    return Stage()


async def test_the_first_world_is_one_snapshot(stage: Stage) -> None:
    """Generation 1, the zone file's serial, all members that are up; and it is told with no earlier selection."""
    assert await stage.serve(a_world(INBOUND))
    assert [type(message) for message in stage.sent] == [Snapshot]
    assert stage.publisher.generation == stage.sent[0].generation == 1
    assert (stage.serial(), stage.addresses()) == (7, {"192.0.2.1", "192.0.2.2"})
    assert [(told.generation, told.serials, told.found_at) for told in stage.told] == [(1, {APEX: 7}, None)]
    assert stage.told[0].pools == {"inbound": (None, stage.publisher.selections["inbound"])}


async def test_serials_go_on_from_those_of_an_earlier_run(stage: Stage) -> None:
    """Resolvers and secondaries must never see an older one."""
    world = a_world(INBOUND, serial=7)
    await stage.publisher.publish_world(world, stage.candidates_of(world), remembered={APEX: 20})
    assert stage.serial() == 21


async def test_a_member_that_goes_down_leaves_the_answers(stage: Stage) -> None:
    """A touch sends one change, with the next generation and serial, and what it tells has before and after."""
    await stage.serve(a_world(INBOUND))
    before = stage.publisher.selections["inbound"]
    stage.put("mx1", State.DOWN)
    stage.publisher.touch("inbound", found_at=5.0)
    await stage.publisher.settle()

    assert isinstance(stage.sent[-1], Change)
    assert (stage.publisher.generation, stage.serial(), stage.addresses()) == (2, 8, {"192.0.2.2"})
    told = stage.told[-1]
    assert (told.generation, told.serials) == (2, {APEX: 8})
    assert told.pools == {"inbound": (before, stage.publisher.selections["inbound"])}
    assert told.found_at == 5.0


async def test_an_operators_word_is_no_finding_of_a_probe(stage: Stage) -> None:
    """What is measured from a probe's result leaves out what a person has changed."""
    await stage.serve(a_world(INBOUND))
    stage.put("mx1", State.DOWN)
    stage.publisher.touch("inbound")
    await stage.publisher.settle()
    assert stage.told[-1].found_at is None


async def test_a_change_says_what_a_fresh_start_would(stage: Stage) -> None:
    """After any changes the workers' table equals one compiled from nothing."""
    world = a_world(INBOUND, OUTBOUND)
    await stage.serve(world)
    for name, state in (("mx1", State.DOWN), ("mx3", State.DOWN), ("mx1", State.UP), ("mx2", State.DOWN)):
        stage.put(name, state)
        stage.publisher.touch("outbound" if name == "mx3" else "inbound")
        await stage.publisher.settle()
    pools = Pools(stage.publisher.selections, {APEX: stage.serial()})
    assert stage.at_workers == compile_world(world, pools, stage.publisher.generation)


async def test_changes_that_come_together_go_out_together(stage: Stage) -> None:
    """While one change is on its way to the workers, all others wait and become one more."""
    await stage.serve(a_world(INBOUND, OUTBOUND))
    stage.gate.clear()
    stage.put("mx1", State.DOWN)
    stage.publisher.touch("inbound")
    await asyncio.sleep(0)
    for state in (State.UP, State.DOWN, State.UP):
        stage.put("mx1", state)
        stage.publisher.touch("inbound")
        stage.put("mx3", State.BUSY)
        stage.publisher.touch("outbound")
        await asyncio.sleep(0)
    stage.gate.set()
    await stage.publisher.settle()

    assert [message.generation for message in stage.sent] == [1, 2, 3]
    assert stage.addresses() == {"192.0.2.1", "192.0.2.2"}
    assert stage.told[-1].pools.keys() == {"inbound", "outbound"}


async def test_publish_returns_when_what_was_touched_is_everywhere(stage: Stage) -> None:
    """Also when another publish has taken it along: an operator is told that it is done when it is."""
    await stage.serve(a_world(INBOUND))
    stage.gate.clear()
    stage.put("mx1", admin=AdminState.DRAIN)
    stage.publisher.touch("inbound")
    await asyncio.sleep(0)
    assert len(stage.sent) == 2
    waiting = asyncio.create_task(stage.publisher.publish())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    stage.gate.set()
    await waiting
    assert stage.addresses() == {"192.0.2.2"}
    assert len(stage.sent) == 2


async def test_the_generation_rises_only_when_answers_change(stage: Stage) -> None:
    """A touch that changes nothing is not even told; one that changes only a reason is told, and sent to nobody."""
    await stage.serve(a_world(INBOUND))
    stage.publisher.touch("inbound")
    await stage.publisher.settle()
    assert len(stage.told) == 1

    stage.put("mx1", State.DOWN)
    stage.publisher.touch("inbound")
    await stage.publisher.settle()
    stage.standings["mx1"] = Admin(AdminState.MAINT), Health(State.DOWN)
    stage.publisher.touch("inbound")
    await stage.publisher.settle()
    assert [told.generation for told in stage.told] == [1, 2, 2]
    assert stage.told[-1].serials == {}
    assert [message.generation for message in stage.sent] == [1, 2]


async def test_a_pool_that_no_name_is_answered_from_changes_no_answer(stage: Stage) -> None:
    """It is selected and told, for people, and no generation is spent on it."""
    unused = pool(member("a", "192.0.2.8"), member("b", "192.0.2.9"), name="unused")
    world = build(
        [a_zone(APEX, 7)],
        MappingProxyType({"inbound": INBOUND, "unused": unused}),
        [a_service("inbound.lb.test", "inbound")],
    )
    await stage.serve(world)
    stage.put("a", State.DOWN)
    stage.publisher.touch("unused")
    await stage.publisher.settle()
    assert stage.published("unused") == ["b"]
    assert stage.told[-1].pools.keys() == {"unused"}
    assert (stage.publisher.generation, len(stage.sent)) == (1, 1)


async def test_only_zones_that_change_get_a_new_serial(stage: Stage) -> None:
    """Another zone's secondaries have nothing to fetch."""
    await stage.serve(a_world(INBOUND, zones=(APEX, OTHER)))
    stage.put("mx1", State.DOWN)
    stage.publisher.touch("inbound")
    await stage.publisher.settle()
    assert (stage.serial(APEX), stage.serial(OTHER)) == (8, 7)


async def test_the_same_world_again_changes_nothing(stage: Stage) -> None:
    """A reload of an unchanged file says so, and sends nothing; what it brought is taken over all the same."""
    await stage.serve(a_world(INBOUND))
    adopted: list[int] = []
    world = a_world(INBOUND)
    changed = await stage.publisher.publish_world(
        world, stage.candidates_of(world), adopt=lambda: adopted.append(stage.publisher.generation)
    )
    assert changed is False
    assert adopted == [1]
    assert (stage.publisher.generation, len(stage.sent), len(stage.told)) == (1, 1, 1)


async def test_another_world_takes_its_place_whole(stage: Stage) -> None:
    """A snapshot with new serials; `adopt` is called once, before workers hear of it."""
    await stage.serve(a_world(INBOUND))
    adopted: list[int] = []
    world = a_world(INBOUND, OUTBOUND)
    assert await stage.publisher.publish_world(
        world, stage.candidates_of(world), adopt=lambda: adopted.append(len(stage.sent))
    )
    assert adopted == [1]
    assert stage.publisher.world is world
    assert (stage.publisher.generation, stage.serial()) == (2, 8)
    assert stage.addresses("outbound.lb.test") == {"192.0.2.3"}


async def test_a_newer_serial_in_the_file_is_taken(stage: Stage) -> None:
    """The administrator's own counting wins where it moves forward."""
    await stage.serve(a_world(INBOUND, serial=7))
    await stage.serve(a_world(INBOUND, serial=2026010101))
    assert stage.serial() == 2026010101
    await stage.serve(a_world(INBOUND, serial=7, ttl=5))
    assert stage.serial() == 2026010102


async def test_a_zone_that_comes_back_goes_on_with_its_serial(stage: Stage) -> None:
    """A zone that a reload takes out and another puts back does not fall to the serial in its file."""
    await stage.serve(a_world(INBOUND, zones=(APEX, OTHER)))
    await stage.serve(a_world(INBOUND, zones=(APEX, OTHER), ttl=5))
    assert stage.serial(OTHER) == 8
    await stage.serve(a_world(INBOUND, ttl=5))
    assert await stage.serve(a_world(INBOUND, zones=(APEX, OTHER), ttl=5))
    assert stage.serial(OTHER) == 9


async def test_a_touched_pool_that_a_reload_removed_is_no_matter(stage: Stage) -> None:
    """The probe's result came in time, its pool did not."""
    await stage.serve(a_world(INBOUND, OUTBOUND))
    stage.gate.clear()
    reloading = asyncio.create_task(stage.serve(a_world(INBOUND)))
    while len(stage.sent) == 1:  # noqa: ASYNC110 - the compiler's thread tells no event
        await asyncio.sleep(0)
    stage.put("mx3", State.DOWN)
    stage.publisher.touch("outbound")
    stage.gate.set()
    assert await reloading
    await stage.publisher.settle()
    assert stage.publisher.selections.keys() == {"inbound"}
    assert stage.publisher.generation == 2


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Give a way to have something happen in the loop while a world is compiled in its thread."""

    def arrange(happening: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        async def happen() -> None:
            happening()

        def compiler(world: World, pools: Pools, generation: int) -> Snapshot:
            monkeypatch.undo()
            asyncio.run_coroutine_threadsafe(happen(), loop).result(20)
            return compile_world(world, pools, generation)

        monkeypatch.setattr(publisher_module, "compile_world", compiler)

    return arrange


async def test_a_change_while_the_first_world_is_compiled_is_not_lost(
    stage: Stage, compiling: Callable[[Callable[[], None]], None]
) -> None:
    """A slow member's first probe that ends just then is published behind the first snapshot."""

    def dies() -> None:
        stage.put("mx1", State.DOWN)
        stage.publisher.touch("inbound")

    compiling(dies)
    await stage.serve(a_world(INBOUND))
    await stage.publisher.settle()
    assert stage.addresses() == {"192.0.2.2"}
    assert stage.publisher.generation == 2


async def test_a_change_while_a_reload_is_compiled_is_not_lost(
    stage: Stage, compiling: Callable[[Callable[[], None]], None]
) -> None:
    """The snapshot was selected before it; the change follows."""
    await stage.serve(a_world(INBOUND))

    def dies() -> None:
        stage.put("mx1", State.DOWN)
        stage.publisher.touch("inbound")

    compiling(dies)
    await stage.serve(a_world(INBOUND, OUTBOUND))
    await stage.publisher.settle()
    assert stage.addresses() == {"192.0.2.2"}
    assert stage.publisher.generation == 3


async def test_results_before_the_first_world_are_in_it(stage: Stage) -> None:
    """The first round of probes touches pools that nobody is answered from yet."""
    stage.put("mx1", State.DOWN)
    stage.publisher.touch("inbound")
    await stage.publisher.settle()
    assert stage.sent == []
    await stage.serve(a_world(INBOUND))
    await stage.publisher.settle()
    assert stage.addresses() == {"192.0.2.2"}
    assert stage.publisher.generation == 1


async def test_a_world_that_cannot_be_compiled_changes_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised to who asked; what was served is served on, and later changes of it go out."""
    await stage.serve(a_world(INBOUND))
    good = stage.publisher.world
    adopted: list[int] = []

    def fail(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(publisher_module, "compile_world", fail)
    world = a_world(INBOUND, OUTBOUND, serial=99)
    with pytest.raises(ZeroDivisionError):
        await stage.publisher.publish_world(world, stage.candidates_of(world), adopt=lambda: adopted.append(1))
    assert adopted == []
    assert stage.publisher.world is good
    assert (stage.publisher.generation, list(stage.publisher.selections)) == (1, ["inbound"])

    stage.put("mx1", State.DOWN)
    stage.publisher.touch("inbound")
    await stage.publisher.settle()
    assert (stage.addresses(), stage.serial()) == ({"192.0.2.2"}, 8)


async def test_a_change_that_cannot_be_compiled_is_tried_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing counts as published that no worker has, and the next touch of any pool takes it along.

    Whoever waits for it is not kept from what comes then: at the stop, from ending the workers.
    """
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(type(context["exception"])))
    await stage.serve(a_world(INBOUND, OUTBOUND))

    def fail(*_args: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(publisher_module, "compile_names", fail)
        stage.put("mx1", State.DOWN)
        stage.publisher.touch("inbound")
        await stage.publisher.settle()
    gc.collect()
    assert told == [ZeroDivisionError]
    assert stage.published() == ["mx1", "mx2"]
    assert (stage.publisher.generation, len(stage.sent)) == (1, 1)

    stage.publisher.touch("outbound")
    await stage.publisher.settle()
    assert stage.addresses() == {"192.0.2.2"}
    assert (stage.publisher.generation, stage.serial()) == (2, 8)


async def test_what_is_given_out_is_prepared_before(stage: Stage) -> None:
    """Who is published, and with which serials: nobody hears of a serial that whoever goes on might give out again."""
    heard: list[tuple[int, str, dict[bytes, int]]] = []

    async def prepare(selections: Mapping[str, Selection], serials: Mapping[bytes, int]) -> None:
        heard.append((len(stage.sent), ",".join(selections), dict(serials)))

    stage.publisher = Publisher(stage._distribute, stage.told.append, prepare)  # noqa: SLF001 - as the stage makes it
    await stage.serve(a_world(INBOUND))
    stage.put("mx1", State.DOWN)
    stage.publisher.touch("inbound")
    await stage.publisher.settle()
    assert heard == [(0, "inbound", {APEX: 7}), (1, "inbound", {APEX: 8})]


async def test_it_goes_on_where_the_daemon_before_ended(stage: Stage) -> None:
    """Generations rise, and a pool that panics has its last good members; there is no world yet."""
    good = {"inbound": frozenset({"mx2"})}
    stage.publisher = Publisher(stage._distribute, stage.told.append, generation=41, last_good=good)  # noqa: SLF001 - as above
    begun = [stage.publisher.has_begun]
    for name in ("mx1", "mx2"):
        stage.put(name, State.DOWN)
    await stage.serve(a_world(replace(INBOUND, all_down=AllDown.LAST_GOOD)))
    assert [*begun, stage.publisher.has_begun] == [False, True]
    assert stage.publisher.generation == stage.sent[-1].generation == 42
    assert stage.published() == ["mx2"]


async def test_when_all_are_down_the_last_good_ones_are_kept(stage: Stage) -> None:
    """What was published before the last of them died, not what dead members there are besides."""
    inbound = pool(MX1, MX2, all_down=AllDown.LAST_GOOD)
    await stage.serve(a_world(inbound))
    for name in ("mx1", "mx2"):
        stage.put(name, State.DOWN)
        stage.publisher.touch("inbound")
        await stage.publisher.settle()
    assert stage.addresses() == {"192.0.2.2"}
    assert stage.publisher.selections["inbound"].panic


async def test_who_was_good_in_a_pool_that_is_gone_is_forgotten(stage: Stage) -> None:
    """One that comes later under its name begins anew, and pools that never come back take no memory."""
    await stage.serve(a_world(INBOUND, OUTBOUND))
    assert stage.publisher.last_good("outbound") == {"mx3"}
    await stage.serve(a_world(INBOUND))
    assert not stage.publisher.last_good("outbound")
    assert stage.publisher.last_good("inbound") == {"mx1", "mx2"}


async def test_no_member_left_to_answer_with_is_an_empty_ring(stage: Stage) -> None:
    """`servfail` empties the answer of both families at once; it comes back with the first member."""
    await stage.serve(a_world(pool(MX1, all_down=AllDown.SERVFAIL)))
    stage.put("mx1", State.DOWN)
    stage.publisher.touch("inbound")
    await stage.publisher.settle()
    assert stage.addresses() == set()
    stage.put("mx1", State.UP)
    stage.publisher.touch("inbound")
    await stage.publisher.settle()
    assert stage.addresses() == {"192.0.2.1"}


async def _see_coming(stage: Stage, seconds: float | None) -> None:
    stage.outlook = None if seconds is None else Outlook(seconds, "changes")
    stage.publisher.touch("inbound")
    await stage.publisher.settle()


async def test_a_ttl_in_force_that_is_another_is_a_change(stage: Stage) -> None:
    """Only where it is: what comes nearer within a step of the TTL reaches nobody."""
    await stage.serve(a_world(INBOUND, ttl=Ttl(10, 120)))
    assert stage.ttl() == 120
    seen = []
    for seconds in (90, 70, 45, 3, 9, None):
        await _see_coming(stage, seconds)
        seen.append((stage.ttl(), stage.publisher.generation, stage.serial()))
    assert seen == [(60, 2, 8), (60, 2, 8), (30, 3, 9), (10, 4, 10), (10, 4, 10), (120, 5, 11)]
    assert len(stage.sent) == 5


async def test_a_fixed_ttl_is_never_published_again(stage: Stage) -> None:
    """Whatever is seen coming: its answers are the same until it is there."""
    await stage.serve(a_world(INBOUND, ttl=30))
    for seconds in (90, 3, None, 1):
        await _see_coming(stage, seconds)
    assert (stage.ttl(), stage.publisher.generation, len(stage.sent)) == (30, 1, 1)


async def test_only_the_pool_that_changes_has_another_ttl(stage: Stage) -> None:
    """What is near for one pool is no matter of the names of another."""
    await stage.serve(a_world(INBOUND, OUTBOUND, ttl=Ttl(10, 120)))
    await _see_coming(stage, 20)
    assert (stage.ttl(), stage.ttl("outbound.lb.test")) == (15, 120)
