"""Both engines are one in what they say: Python is the definition, and C does the same."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnslb.answer.snapshot import Rotation, Variant
from dnslb.answer.terms import Terms
from dnslb.server import engine
from dnslb.wire.edns import Edns
from tests.fuzz.engines import CLIENTS, TERMS, compare


@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS)
@pytest.mark.parametrize("host", CLIENTS)
@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32))
def test_all_engines_say_and_leave_the_same(host: str, terms: Terms, seed: int) -> None:
    """The same octets to the same addresses, the same counts, turns and cookies, whatever is asked between changes."""
    compare(host, terms, Random(seed), 12)  # noqa: S311 - what can be done again is no secret


def test_what_is_read_by_its_place_is_there() -> None:
    """The extension knows no names of fields. Whoever changes one raises what both have AGREED on."""
    assert engine.AGREED == 2
    fields = ("key", "tally", "ring", "additional", "by_source", "views", "missing", "notice")
    assert Rotation._fields == fields
    assert Variant._fields == ("counts", "counts_with_opt", "answer")
    assert Edns._fields[:2] == ("limit", "reply")
