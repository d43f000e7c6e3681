"""Who gives the answers, and by which rule."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from dnslb.answer.service import ServiceType
from dnslb.pool.health import Thresholds
from dnslb.pool.member import Policy
from dnslb.simulation.answers import Answer
from dnslb.simulation.authorities import Authority, Workers, authority
from dnslb.simulation.faults import Epoch, Fault, Rules, epochs_of
from tests.conftest import member, pool, service

_POOL = pool(*(member(f"mx{number}", weight=weight) for number, weight in enumerate((5, 3, 1, 1), 1)))
_EPOCHS = epochs_of(Rules(_POOL, Thresholds(2, 3, 10.0)), [Fault("mx1", 100, 200)], 300)
_OUT = next(index for index, epoch in enumerate(_EPOCHS) if len(epoch.selection.published) == 3)


def _asked(
    kind: Authority, number: int, clients: int = 1, epoch: int = 0, workers: Workers | None = None
) -> list[Answer]:
    ask = authority(kind, service(records=1), _EPOCHS, Random(1), workers or Workers())
    answers = [ask(epoch, bytes([turn % clients])) for turn in range(number)]
    return [answer for answer in answers if answer is not None]


def _firsts(answers: list[Answer]) -> dict[str, int]:
    return dict(Counter(answer.records[0].member for answer in answers))


def test_dnslb_gives_each_resolver_a_turn_of_its_own() -> None:
    """Each of three that take turns to ask has exact shares after one turn of the ring of 60."""
    answers = _asked(Authority.DNSLB, 180, clients=3)
    assert [_firsts(answers[client::3]) for client in range(3)] == [{"mx1": 30, "mx2": 18, "mx3": 6, "mx4": 6}] * 3


def test_with_one_ring_for_all_only_the_sum_is_exact() -> None:
    """All together go round it once; a single one of them sees each third variant."""
    answers = _asked(Authority.ONE_RING, 60, clients=3)
    assert _firsts(answers) == {"mx1": 30, "mx2": 18, "mx3": 6, "mx4": 6}
    ring = _asked(Authority.ONE_RING, 60)
    assert [answer.records for answer in answers] == [answer.records for answer in ring]


def test_a_steered_resolver_keeps_its_worker() -> None:
    """However many there are, each of three resolvers goes round one worker's ring; and not all of them the same."""
    answers = _asked(Authority.DNSLB, 180, clients=3, workers=Workers(4))
    assert [_firsts(answers[client::3]) for client in range(3)] == [{"mx1": 30, "mx2": 18, "mx3": 6, "mx4": 6}] * 3
    rings = _asked(Authority.ONE_RING, 60, clients=8, workers=Workers(2))
    assert _firsts(rings) != {"mx1": 30, "mx2": 18, "mx3": 6, "mx4": 6}


def test_a_client_of_a_source_hash_pool_always_gets_the_same() -> None:
    """By its network, from each worker; over many networks by weight, and of one that is down only its own move."""
    pool = replace(_POOL, policy=Policy.SOURCE_HASH)
    epochs = epochs_of(Rules(pool, Thresholds(2, 3, 10.0)), [Fault("mx1", 100, 200)], 300)
    ask = authority(Authority.DNSLB, service(records=1), epochs, Random(1), Workers(4, steered=False))
    clients = [bytes([10, high, low, 1]) for high in range(8) for low in range(256)]
    answers = [{found.records[0].member for _ in range(4) if (found := ask(0, client))} for client in clients]
    assert {len(members) for members in answers} == {1}
    first = Counter(member for members in answers for member in members)
    assert [round(10 * first[name] / len(clients)) for name in ("mx1", "mx2", "mx3", "mx4")] == [5, 3, 1, 1]
    for client, members in zip(clients, answers, strict=True):
        found = ask(_OUT, client)
        assert found is not None
        assert found.members != {"mx1"}
        assert members in ({"mx1"}, found.members)


def test_unsteered_workers_count_turns_of_their_own() -> None:
    """A resolver whose queries come to any of four is not gone round with evenly."""
    workers = Workers(4, steered=False)
    assert _firsts(_asked(Authority.DNSLB, 60, workers=workers)) != {"mx1": 30, "mx2": 18, "mx3": 6, "mx4": 6}


@pytest.mark.parametrize("kind", [Authority.GDNSD, Authority.POWERDNS])
def test_a_weighted_draw_gives_one_member(kind: Authority) -> None:
    """By weight on average, each query by itself."""
    answers = _asked(kind, 10_000)
    assert {len(answer.records) for answer in answers} == {1}
    assert _firsts(answers) == pytest.approx({"mx1": 5000, "mx2": 3000, "mx3": 1000, "mx4": 1000}, abs=200)


def test_coredns_draws_the_first_and_gives_all() -> None:
    """The others stand behind it as configured."""
    answers = _asked(Authority.COREDNS, 10_000)
    assert {len(answer.records) for answer in answers} == {4}
    assert _firsts(answers) == pytest.approx({"mx1": 5000, "mx2": 3000, "mx3": 1000, "mx4": 1000}, abs=200)
    assert {tuple(record.member for record in answer.records) for answer in answers} >= {("mx2", "mx1", "mx3", "mx4")}


def test_plain_round_robin_gives_all_and_begins_with_the_next() -> None:
    """Weights are not known to it."""
    answers = _asked(Authority.ROUND_ROBIN, 5)
    assert [[record.member[-1] for record in answer.records] for answer in answers] == [
        list(order) for order in ("1234", "2341", "3412", "4123", "1234")
    ]


@pytest.mark.parametrize("kind", Authority)
def test_who_knows_of_health(kind: Authority) -> None:
    """Dnslb and gdnsd leave out a member that is down; the others know nothing of it."""
    seen = {name for answer in _asked(kind, 200, epoch=_OUT) for name in answer.members}
    aware = kind in {Authority.DNSLB, Authority.ONE_RING, Authority.GDNSD}
    assert ("mx1" in seen) is not aware


def test_an_mx_service_is_answered_with_mx_by_dnslb_and_with_addresses_by_others() -> None:
    """None of the others has MX records that change."""
    kind = service(kind=ServiceType.MX)
    ours = authority(Authority.DNSLB, kind, _EPOCHS, Random(1))(0, b"a")
    theirs = authority(Authority.GDNSD, kind, _EPOCHS, Random(1))(0, b"a")
    assert ours is not None
    assert theirs is not None
    assert [record.preference for record in ours.records] == [10, 20, 30, 40]
    assert [record.preference for record in theirs.records] == [0]


def test_a_pool_that_must_not_answer_gives_none() -> None:
    """SERVFAIL."""
    empty = Epoch(0.0, epochs_of(Rules(pool(), Thresholds(2, 3, 10.0)), (), 10)[0].selection, frozenset())
    assert authority(Authority.DNSLB, service(), [empty], Random(1))(0, b"a") is None
    assert authority(Authority.GDNSD, service(), [empty], Random(1))(0, b"a") is None
