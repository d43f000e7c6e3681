"""Who asks most, in bounded memory: what is promised of each count, whoever asks in whatever order."""

from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.answer.sketch import Entry, Sketch, Summary, merge

_LIMIT = 4
_PREFIXES = st.sampled_from([bytes([10, 0, n]) for n in range(12)])
_QUERIES = st.lists(st.tuples(_PREFIXES, st.integers(1, 64)), max_size=200)
_Queries = Sequence[tuple[bytes, int]]


def _sketch(queries: Iterable[tuple[bytes, int]]) -> Sketch:
    sketch = Sketch(limit=_LIMIT)
    for prefix, number in queries:
        sketch.add(prefix, number)
    return sketch


def _true(queries: Iterable[tuple[bytes, int]]) -> Counter[bytes]:
    counted: Counter[bytes] = Counter()
    for prefix, number in queries:
        counted[prefix] += number
    return counted


def _summary(sketch: Sketch, seen: float) -> Summary:
    return Summary(1.0, 2.0, 60.0, seen, sketch.missed, sketch.entries)


def _holds(true: Counter[bytes], entries: Iterable[Entry], missed: float) -> None:
    """Fail unless each count is what its error says it is, and who is missing asked no more than `missed`."""
    counted = {entry.prefix: entry for entry in entries}
    for prefix, number in true.items():
        entry = counted.get(prefix, Entry(prefix, missed, missed))
        assert entry.number - entry.error <= number <= entry.number


@given(_QUERIES)
def test_the_error_says_how_wrong_a_count_may_be(queries: _Queries) -> None:
    """A count is never too low, too high by its error at most, and by the limit's part of all at most."""
    sketch, true = _sketch(queries), _true(queries)
    _holds(true, sketch.entries, sketch.missed)
    assert sum(entry.number for entry in sketch.entries) == true.total()
    assert len(sketch.entries) <= _LIMIT
    assert all(entry.error <= true.total() / _LIMIT for entry in sketch.entries)
    assert sketch.missed <= true.total() / _LIMIT


@given(_QUERIES, _QUERIES)
def test_halving_is_exact(before: _Queries, after: _Queries) -> None:
    """What was before counts half, and all promises hold on."""
    sketch = _sketch(before)
    sketch.halve()
    for prefix, number in after:
        sketch.add(prefix, 2 * number)
    sketch.halve()
    true = Counter({prefix: 4 * number for prefix, number in _true(after).items()})
    true.update(_true(before))
    quarters = (Entry(prefix, 4 * count, 4 * error) for prefix, count, error in sketch.entries)
    _holds(true, quarters, 4 * sketch.missed)


@given(_QUERIES, _QUERIES)
def test_a_sketch_goes_on_from_the_entries_of_another(before: _Queries, after: _Queries) -> None:
    """As if it had counted everything itself."""
    sketch = Sketch(_sketch(before).entries, limit=_LIMIT)
    for prefix, number in after:
        sketch.add(prefix, number)
    _holds(_true([*before, *after]), sketch.entries, sketch.missed)


@given(st.lists(_QUERIES, max_size=4))
def test_merged_counts_keep_the_promise(workers: Sequence[_Queries]) -> None:
    """What one worker has not got it may have missed; the errors say that too."""
    merged = merge([_summary(_sketch(queries), _true(queries).total()) for queries in workers])
    true = _true(query for queries in workers for query in queries)
    _holds(true, merged.entries, merged.missed)
    assert merged.seen == true.total()
    counts = [entry.number for entry in merged.entries]
    assert counts == sorted(counts, reverse=True)


def test_nothing_merged_is_nothing() -> None:
    """Before a worker has said anything."""
    assert merge([]) == Summary()


def test_who_asks_much_stands_out_of_a_flood_of_made_up_addresses() -> None:
    """100,000 prefixes that ask once do not hide one with a tenth of the queries, and take no memory."""
    sketch, true = Sketch(), 0
    for number in range(100_000):
        sketch.add(number.to_bytes(3, "big"), 1)
        if number % 9 == 5:
            sketch.add(b"\xff\xff\xff", 1)
            true += 1
    largest = max(sketch.entries, key=lambda entry: entry.number)
    assert len(sketch.entries) == 128
    assert largest.prefix == b"\xff\xff\xff"
    assert largest.number - largest.error <= true <= largest.number
    assert len(sketch._heap) == 128  # noqa: SLF001 -- the bound is what the test is about


@pytest.mark.parametrize("limit", [1, 2])
def test_the_one_that_asked_least_makes_room(limit: int) -> None:
    """And the new one takes over what it may have asked before."""
    sketch = Sketch([Entry(b"aaa", 5, 0), Entry(b"bbb", 3, 1)][:limit], limit)
    sketch.add(b"ccc", 1)
    least = 5 if limit == 1 else 3
    assert {entry for entry in sketch.entries if entry.prefix != b"aaa"} == {Entry(b"ccc", least + 1, least)}
