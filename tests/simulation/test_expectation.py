"""How far shares are off to be expected, beside what a simulation finds."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from random import Random

import pytest

from dnslb.answer.service import Preference, Service, ServiceType
from dnslb.answer.sketch import Entry, Summary
from dnslb.answer.sources import bucket_of
from dnslb.answer.variants import led_to, service_shares
from dnslb.pool.admin import Admin
from dnslb.pool.health import Health, State, Thresholds
from dnslb.pool.member import Policy, Pool
from dnslb.pool.rotation import sample_ring
from dnslb.pool.selection import Candidate, Selection, select
from dnslb.simulation.authorities import Workers
from dnslb.simulation.expectation import Asker, Error, askers_of, effective, expected_error
from dnslb.simulation.figures import Scene, simulate
from dnslb.simulation.resolvers import Spread
from dnslb.simulation.traffic import Crowd
from tests.conftest import member, pool, service

_THRESHOLDS = Thresholds(rise=2, fall=3, interval=10.0)
_ZIPF, _ONE = Spread(zipf=True), Spread(percents=(Fraction(40),))
_BUSY = Asker(1.0, 1.0)
"""A single resolver that asks whenever the TTL is over."""


def _pool(*weights: int) -> Pool:
    return pool(*(member(f"mx{n}", f"192.0.2.{n}", weight=weight) for n, weight in enumerate(weights, 1)))


def _selection(of: Pool) -> Selection:
    return select(of, [Candidate(each, Admin(), Health(State.UP)) for each in of.members], frozenset())


def _expected(
    *askers: Asker, of: Pool | None = None, kind: Service | None = None, ttl: int = 60, walks: int = 1
) -> Error:
    selection = _selection(of or _pool(5, 3, 1, 1))
    found = expected_error(kind or service(records=1, ttl=ttl), selection, askers, ttl, walks)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("spread", "ttl", "walks"),
    [
        pytest.param(_ZIPF, 60, 1, id="zipf"),
        pytest.param(_ZIPF, 300, 1, id="zipf, long TTL"),
        pytest.param(_ONE, 60, 1, id="one of 40 %"),
        pytest.param(_ONE, 300, 1, id="one of 40 %, long TTL"),
        pytest.param(_ONE, 60, 2, id="two workers for each"),
        pytest.param(_ONE, 60, 8, id="eight workers for each"),
    ],
)
def test_it_is_what_a_simulation_finds(spread: Spread, ttl: int, walks: int) -> None:
    """The largest error of any member after 15 minutes with 50 resolvers, within a factor of 1.5."""
    resolvers, rate = 50, 100.0
    kind, of, workers = service(records=1, ttl=ttl), _pool(5, 3, 1, 1), Workers(walks, steered=False)
    scene = Scene(kind, of, _THRESHOLDS, Crowd(resolvers, spread, rate=rate), 900.0, workers=workers)
    # A cache asks with the first message after its TTL.
    askers = [Asker(size, 1 / (ttl + 1 / (rate * size))) for size in spread.sizes(resolvers)]
    expected = _expected(*askers, of=of, kind=kind, ttl=ttl, walks=walks)
    assert 1 / 1.5 <= expected.largest / simulate(scene, runs=60).largest <= 1.5


def test_one_resolver_is_off_by_what_its_part_of_the_ring_is() -> None:
    """Worked out by hand: all places at which it can be on the ring, and what it then gets in 15 answers."""
    ring = [variant[0] for variant in sample_ring((5, 3, 1, 1), 1)]
    windows = [[ring[(begin + n) % len(ring)] for n in range(15)] for begin in range(len(ring))]
    off = [max(abs(of.count(m) / 15 - w / 10) for m, w in enumerate((5, 3, 1, 1))) for of in windows]
    assert _expected(_BUSY).largest == pytest.approx(sum(off) / len(off))


def test_only_the_ttl_bounds_how_often_one_network_gets_an_answer() -> None:
    """However much it asks for: it is taken for one cache. One that asks less gets as many as it asks for."""
    assert _expected(Asker(1.0, 50.0)) == _expected(Asker(1.0, 1 / 60)) == _expected(_BUSY)
    assert _expected(Asker(1.0, 5 / 900)) == _expected(_BUSY, ttl=180)


def test_shorter_ttls_and_more_resolvers_make_it_better() -> None:
    """Four equal ones halve it, as independent ones do."""
    by_ttl = [_expected(_BUSY, ttl=ttl).largest for ttl in (900, 300, 100, 30, 10)]
    assert all(longer > shorter for longer, shorter in pairwise(by_ttl))
    assert _expected(Asker(0.25, 1.0, alike=4)).largest == pytest.approx(_expected(_BUSY).largest / 2)


def test_a_long_ttl_is_at_its_worst_when_a_cache_has_one_answer() -> None:
    """All mail of the 15 minutes goes by it, however much longer it lives."""
    once = _expected(_BUSY, ttl=900)
    assert _expected(_BUSY, ttl=86400) == once
    # With one of equal members in an answer, it gets all and the others nothing.
    assert _expected(_BUSY, of=_pool(1, 1), ttl=900).largest == pytest.approx(0.5)


def test_many_that_ask_less_than_once_count_by_their_answers() -> None:
    """A thousand of which a tenth ask are as even as a hundred that ask once."""
    some = _expected(Asker(0.001, 0.1 / 900, alike=1000))
    assert some.largest == pytest.approx(_expected(Asker(0.01, 1 / 900, alike=100)).largest)


def test_whole_turns_are_exact() -> None:
    """The ring of 5:3:1:1 has 60 variants."""
    assert _expected(_BUSY, ttl=15).largest == pytest.approx(0)


@pytest.mark.parametrize(
    "kind", [service(records=None), service(kind=ServiceType.SRV), service(records=9)], ids=["all", "SRV", "more"]
)
def test_answers_that_are_always_the_same_are_never_off(kind: Service) -> None:
    """Every client has all members before it, and SRV records carry the weights themselves."""
    assert _expected(_BUSY, kind=kind).largest == 0


def test_rankings_are_as_even_as_answers_of_one_member() -> None:
    """It is the first preference that gets the mail; equal preferences are drawn from as addresses are."""
    ranked = service(kind=ServiceType.MX)
    assert _expected(_BUSY, kind=ranked) == _expected(_BUSY)
    equal = service(kind=ServiceType.MX, preference=Preference.EQUAL, records=2)
    assert _expected(_BUSY, kind=equal) == _expected(_BUSY, kind=service(records=2))
    assert _expected(_BUSY, kind=equal).largest < _expected(_BUSY).largest


def test_the_member_that_is_off_most_is_named() -> None:
    """Of an even number of answers half are always for one half of the pool: the others share the rest unevenly."""
    found = _expected(_BUSY, of=_pool(4, 2, 2), ttl=450)
    assert found.member in {"mx2", "mx3"}


def test_nobody_to_send_mail_to_is_no_error() -> None:
    """An empty selection means SERVFAIL. And nobody who asks gets no wrong share."""
    nobody = select(pool(), [], frozenset())
    assert expected_error(service(records=1), nobody, [_BUSY], 60) is None
    assert expected_error(service(records=1), _selection(_pool(1, 1)), [], 60) is None


def test_of_a_large_pool_members_are_not_all_looked_at() -> None:
    """Those with most weight are enough, wherever they stand."""
    of = _pool(*[1] * 200, 90)
    assert _expected(_BUSY, of=of).member == "mx201"


def test_by_source_the_largest_network_goes_to_one_member() -> None:
    """And stays there, however long one waits: where it is led to, its part of the mail is too much."""
    of = replace(_pool(5, 3, 1, 1), policy=Policy.SOURCE_HASH)
    kind, large = service(records=1), Asker(0.4, 1.0, b"\xc0\x00\x02")
    (member_of,) = led_to(kind, _selection(of), bucket_of(large.prefix)).first
    found = _expected(large, Asker(0.1, 1.0, alike=6), of=of, kind=kind)
    share = float(service_shares(kind, _selection(of))[member_of])
    assert found.member == member_of
    assert found.largest == pytest.approx(0.4 * (1 - share))
    assert _expected(large, of=of, kind=service(records=1, ttl=1)).largest == pytest.approx(found.largest)


def test_by_source_it_is_what_a_simulation_finds() -> None:
    """On average over the networks that resolvers may be in, within a factor of 1.2: nothing else is left to chance."""
    of, kind = replace(_pool(5, 3, 1, 1), policy=Policy.SOURCE_HASH), service(records=1, ttl=60)
    simulated = simulate(Scene(kind, of, _THRESHOLDS, Crowd(50, _ZIPF), 900.0), runs=100)
    random, found = Random(1), []
    for _ in range(100):
        askers = [Asker(size, 1.0, random.randbytes(3)) for size in _ZIPF.sizes(50)]
        found.append(_expected(*askers, of=of, kind=kind).largest)
    assert 1 / 1.2 <= sum(found) / len(found) / simulated.largest <= 1.2


def test_by_source_many_small_networks_are_even() -> None:
    """A thousand of one size are off by what chance makes of them; with two records by less."""
    of = replace(_pool(5, 3, 1, 1), policy=Policy.SOURCE_HASH)
    many = [Asker(0.001, 1.0, bytes([10, n // 256, n % 256])) for n in range(1000)]
    assert 0 < _expected(*many, of=of).largest < 0.04
    assert _expected(*many, of=of, kind=service(records=None)).largest == 0


def test_askers_are_what_is_certain_of_a_sketch() -> None:
    """What is not certain of one prefix is of as few others as it can be of."""
    entries = (Entry(b"aaa", 60, 10), Entry(b"bbb", 30, 30), Entry(b"ccc", 10, 0))
    found = askers_of(Summary(1.0, 2.0, 100.0, 100.0, 20.0, entries))
    assert found == (Asker(0.5, 0.5, b"aaa"), Asker(0.1, 0.1, b"ccc"), Asker(0.2, 0.2, alike=2.0))
    assert sum(asker.share * asker.alike for asker in found) == pytest.approx(1)


def test_before_the_first_query_there_is_nobody() -> None:
    """Nor before the first second."""
    assert askers_of(Summary()) == askers_of(Summary(1.0, 2.0, 0.0, 5.0, 0.0, (Entry(b"aaa", 5, 0),))) == ()
    assert effective(()) is None


def test_the_effective_number_is_that_of_equal_ones() -> None:
    """Ten equal ones are ten; one with nearly all is little more than one."""
    assert effective([Asker(0.1, 1.0, alike=10)]) == pytest.approx(10)
    assert effective([Asker(0.9, 1.0), Asker(0.001, 1.0, alike=100)]) == pytest.approx(1.23, abs=0.01)
