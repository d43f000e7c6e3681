"""One run: what is cached, kept, tried and deferred."""

from random import Random

import pytest

from dnslb.answer.service import Service, ServiceType, Ttl
from dnslb.pool.health import Thresholds
from dnslb.pool.member import AllDown, Pool
from dnslb.simulation.authorities import Authority
from dnslb.simulation.faults import Fault
from dnslb.simulation.figures import Scene, one_run
from dnslb.simulation.resolvers import Resolver, Spread
from dnslb.simulation.senders import Sender
from dnslb.simulation.traffic import Counts, Crowd
from tests.conftest import member, pool, service

_HALVES = pool(member("mx1", "192.0.2.1"), member("mx2", "192.0.2.2"))


def _run(  # noqa: PLR0913 -- a builder has one keyword for each thing that a test may speak of
    *,
    of: Pool = _HALVES,
    kind: Service | None = None,
    sender: Sender = Sender.POSTFIX,
    resolver: Resolver = Resolver.UNBOUND,
    resolvers: int = 1,
    rate: float = 10.0,
    faults: tuple[Fault, ...] = (),
    duration: float = 3600.0,
) -> Counts:
    crowd = Crowd(resolvers, Spread(), resolver, {sender: 1.0}, rate)
    scene = Scene(kind or service(records=1, ttl=60), of, Thresholds(2, 3, 10.0), crowd, duration, faults)
    return one_run(scene, Authority.DNSLB, Random(1))


def test_messages_come_at_the_rate_and_a_resolver_asks_once_in_a_ttl() -> None:
    """36,000 messages of an hour, give or take five times the square root, are answered by 59 or 60 queries."""
    counts = _run()
    assert counts.taken.total() == pytest.approx(36_000, abs=950)
    assert 59 <= counts.queries <= 60
    assert not counts.deferred


def test_who_sends_seldom_asks_for_each_message() -> None:
    """A message an hour finds nothing in the cache."""
    counts = _run(rate=1 / 3600, duration=36_000_000)
    assert counts.queries == pytest.approx(counts.taken.total(), rel=0.03)
    assert counts.taken.total() == pytest.approx(10_000, abs=500)


@pytest.mark.parametrize("ttl", [0, 60])
def test_what_is_not_cached_is_asked_for_by_each_message(ttl: int) -> None:
    """With TTL 0 by any resolver, and MX records by dnsmasq whatever their TTL."""
    kind = service(records=1, ttl=0) if ttl == 0 else service(kind=ServiceType.MX, ttl=ttl)
    resolver = Resolver.UNBOUND if ttl == 0 else Resolver.DNSMASQ
    counts = _run(kind=kind, resolver=resolver, rate=1.0)
    # One in fifty comes within 20 ms of another.
    assert 0.97 < counts.queries / counts.taken.total() < 0.99
    assert counts.taken.total() > 3000


def test_messages_that_ask_at_the_same_moment_share_an_answer() -> None:
    """Even with TTL 0: a resolver asks once for all who wait, so 50 queries a second are the most it sends."""
    counts = _run(kind=service(records=1, ttl=0), rate=1000.0, duration=60)
    assert counts.queries == pytest.approx(60 / 0.021, rel=0.02)
    assert counts.taken.total() == pytest.approx(60_000, abs=1300)


def test_java_keeps_an_address_for_thirty_seconds() -> None:
    """With TTL 0 it asks twice a minute, and no more often."""
    counts = _run(kind=service(records=1, ttl=0), sender=Sender.JAVA)
    assert 118 <= counts.queries <= 120


def test_opensmtpd_keeps_its_list_while_there_is_mail() -> None:
    """A busy relay asks once and sends all to one member; one with pauses of more than 10 s asks anew after them."""
    busy = _run(sender=Sender.OPENSMTPD, rate=10.0)
    assert (busy.queries, len(busy.taken)) == (1, 1)
    # A pause of ten seconds comes after one in e messages at this rate.
    paused = _run(kind=service(records=1, ttl=0), sender=Sender.OPENSMTPD, rate=0.1, duration=360_000)
    assert paused.queries / paused.taken.total() == pytest.approx(0.368, abs=0.02)


@pytest.mark.parametrize("sender", [Sender.POSTFIX, Sender.EXIM, Sender.OPENSMTPD, Sender.FIRST])
def test_who_finds_a_member_closed_goes_to_the_next_address(sender: Sender) -> None:
    """With both members in each answer nothing is lost, and what one refused the other took."""
    fault = Fault("mx1", 1000, 1500)
    counts = _run(kind=service(records=2, ttl=60), sender=sender, faults=(fault,))
    assert not counts.deferred
    assert counts.refused["mx2"] == 0
    if sender is not Sender.OPENSMTPD:
        assert counts.taken["mx2"] > counts.taken["mx1"]
        # Until the answers and then the caches know: between 8 s and 68 s of half the mail.
        assert 30 < counts.refused["mx1"] < 400


def test_java_defers_what_its_one_address_refuses() -> None:
    """It tries no other: what is refused waits."""
    fault = Fault("mx1", 1000, 1500)
    counts = _run(kind=service(records=2, ttl=60), sender=Sender.JAVA, resolvers=20, faults=(fault,))
    assert counts.deferred == counts.refused["mx1"] > 0


def test_no_message_is_lost_among_many_that_find_a_member_closed() -> None:
    """Orders are drawn for a part of them only, and stand for all: half find the member closed that both hold."""
    kind = service(records=2, ttl=60)
    counts = _run(kind=kind, rate=10_000.0, faults=(Fault("mx1", 0, 4),), duration=4)
    assert counts.taken["mx2"] + counts.deferred == pytest.approx(40_000, abs=1000)
    assert counts.refused["mx1"] == pytest.approx(20_000, abs=6000)


def test_all_mail_waits_while_a_pool_must_not_answer() -> None:
    """SERVFAIL defers, and is not asked about for each message."""
    of = pool(member("mx1", "192.0.2.1"), all_down=AllDown.SERVFAIL)
    counts = _run(of=of, kind=service(records=1, ttl=10), faults=(Fault("mx1", 1000, 2000),), duration=2000)
    assert counts.deferred == pytest.approx(10_000, abs=500)
    assert 100 + 150 < counts.queries < 100 + 220


def test_the_same_random_numbers_give_the_same_run() -> None:
    """Whatever the machine does meanwhile."""
    assert _run() == _run()


def test_a_ttl_with_bounds_is_that_of_the_moment() -> None:
    """One resolver asks each 200 s while all is well, and more often before the steps of a slow start (100 s each)."""
    kind = service(records=1, ttl=Ttl(10, 200))
    assert _run(kind=kind).queries == 18
    of = pool(*_HALVES.members, slow_start=900)
    counts = _run(of=of, kind=kind, faults=(Fault("mx1", 100, 200),))
    # No answer outlives a step by more than 10 s: nine times at least in 900 s, where it would be four or five.
    assert counts.queries >= 18 - 5 + 9
