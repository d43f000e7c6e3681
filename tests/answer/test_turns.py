"""Whose turn it is: each client goes round each ring by itself."""

from collections import Counter
from itertools import pairwise

import pytest

from dnslb.answer.service import Preference, Service, ServiceType
from dnslb.answer.turns import Turns
from dnslb.pool.rotation import rank_ring, sample_ring
from tests.conftest import ask, lines, member, pool, service, snapshot, zone

_WEIGHTS = (5, 3, 1, 1)
_POOL = pool(*(member(f"mx{n}", f"192.0.2.{n}", weight=weight) for n, weight in enumerate(_WEIGHTS, 1)))


def test_each_client_goes_round_alone() -> None:
    """Whatever others ask in between, and whatever it asks of other questions."""
    turns = Turns(0)
    assert [turns.take(b"aaaa", b"question", 60) for _ in range(3)] == [0, 1, 2]
    turns.take(b"bbbb", b"question", 60)
    turns.take(b"aaaa", b"another.", 60)
    assert turns.take(b"aaaa", b"question", 60) == 3


def _begins(turns: Turns, number: int, length: int) -> list[int]:
    """Return where clients that are new to a ring of this length begin."""
    return [turns.take(n.to_bytes(4, "big"), b"question", length) for n in range(number)]


def test_new_clients_begin_far_apart() -> None:
    """A half of the ring, then a quarter, and so on; each question has beginnings of its own."""
    turns = Turns(7)
    assert _begins(turns, 8, 64) == [7, 39, 23, 55, 15, 47, 31, 63]
    assert turns.take(b"aaaa", b"another.", 64) == 7
    assert turns.take(bytes([0, 0, 0, 1]), b"question", 64) == 40


@pytest.mark.parametrize("length", [1, 2, 3, 9, 10, 60, 63, 64, 65, 1000])
def test_as_many_clients_as_a_ring_has_variants_begin_at_each_once(length: int) -> None:
    """So many clients that ask once go round it together, whatever its length."""
    begins = _begins(Turns(5), 3 * length, length)
    for lap in range(3):
        assert sorted(begins[lap * length : (lap + 1) * length]) == [5 + place for place in range(length)]


@pytest.mark.parametrize("length", [9, 10, 60, 63, 64, 65])
def test_the_first_clients_are_spread_over_any_ring(length: int) -> None:
    """The first eight are an eighth of the ring apart."""
    begins = sorted(_begins(Turns(0), 8, length))
    gaps = [after - before for before, after in pairwise([*begins, begins[0] + length])]
    assert min(gaps) >= length // 8
    assert max(gaps) <= 1 + length // 8


def test_the_table_is_bounded() -> None:
    """A flood of addresses empties it and leaves it usable; it never holds more than one entry above its limit."""
    turns = Turns(0, limit=10)
    for n in range(1000):
        turns.take(n.to_bytes(4, "big"), b"question", 60)
        assert len(turns.taken) <= 11
    assert turns.take(b"aaaa", b"question", 60) + 1 == turns.take(b"aaaa", b"question", 60)


def _firsts(kind: Service, turns: Turns, number: int, *, payload: int | None, stream: bool = False) -> Counter[str]:
    """Ask so many times and count the first records of the answers, by their data."""
    rdtype = "A" if kind.type is ServiceType.ADDRESS else "MX"
    table = snapshot(zone(""), _POOL, kind)
    counted: Counter[str] = Counter()
    for _ in range(number):
        message = ask(table, f"mx.lb.test {rdtype}", turns=turns, payload=payload, stream=stream)
        first = min(lines(message.answer), key=lambda line: int(line.split()[3])) if rdtype == "MX" else None
        first = first or lines(message.answer)[0]
        counted[first.split()[-1]] += 1
    return counted


@pytest.mark.parametrize("payload", [None, 1232, 1000])
def test_one_turn_of_the_ring_gives_exact_shares(payload: int | None) -> None:
    """Of the first addresses, and of the best preferences, whichever way the answers are found."""
    ring = len(sample_ring(_WEIGHTS, 1))
    got = _firsts(service(records=1), Turns(3), ring, payload=payload)
    assert got == {f"192.0.2.{n}": weight * ring // 10 for n, weight in enumerate(_WEIGHTS, 1)}
    ring = len(rank_ring(_WEIGHTS))
    ranked = service(kind=ServiceType.MX, preference=Preference.RANKED)
    got = _firsts(ranked, Turns(3), ring, payload=payload)
    assert got == {f"mx{n}.lb.test.": weight * ring // 10 for n, weight in enumerate(_WEIGHTS, 1)}


@pytest.mark.parametrize("payload", [None, 512, 600])
def test_an_answer_that_is_cut_short_takes_one_turn(payload: int | None) -> None:
    """Records that do not fit are left out of the variant whose turn it is; the next query gets the next one."""
    members = [member(f"long-name-of-a-mail-server-{n}", f"192.0.2.{n}") for n in range(9)]
    table = snapshot(zone(""), pool(*members), service(kind=ServiceType.MX))
    whole, cut = Turns(0), Turns(0)
    for _ in range(5):
        expected = ask(table, "mx.lb.test MX", turns=whole, payload=1232, stream=True)
        found = ask(table, "mx.lb.test MX", turns=cut, payload=payload)
        assert (found.answer, found.additional) == (expected.answer, [])


def test_names_without_a_choice_take_no_turn() -> None:
    """Static names are asked for much more often than services, and would crowd these out of the table."""
    turns = Turns(0)
    table = snapshot(zone("www A 192.0.2.1"))
    for payload in (None, 1232, 1000):
        ask(table, "www.lb.test A", turns=turns, payload=payload)
    assert not turns.taken
