"""Any octets are answered as promised, over UDP and over TCP; `python -m tests.fuzz` goes on with it for longer."""

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import CORPUS
from tests.fuzz.hunt import hunt
from tests.fuzz.promises import answer, check, must_be_dropped
from tests.fuzz.queries import changed, query
from tests.fuzz.streams import exchange
from tests.fuzz.table import CLIENTS

_RANDOMS = st.randoms(use_true_random=False)
_SEEDS = st.sampled_from([message for _, message in CORPUS])
_MESSAGES = st.one_of(
    st.binary(max_size=64),
    _SEEDS,
    st.builds(query, _RANDOMS),
    st.builds(changed, _RANDOMS, _SEEDS, _SEEDS),
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("words", "message"), CORPUS, ids=[words for words, _ in CORPUS])
def test_the_corpus(words: str, message: bytes, *, stream: bool) -> None:
    """What has been found before, and what resolvers send, for each kind of client."""
    for client in CLIENTS:
        check(message, answer(message, client, stream=stream), stream=stream)
    assert must_be_dropped(message) == (words in {"a response", "shorter than a header"})


@settings(max_examples=1500)
@given(message=_MESSAGES, client=st.sampled_from(CLIENTS), stream=st.booleans())
def test_any_message(message: bytes, client: bytes, *, stream: bool) -> None:
    """What Hypothesis finds, it makes smaller."""
    check(message, answer(message, client, stream=stream), stream=stream)


@settings(max_examples=150)
@given(messages=st.lists(_MESSAGES, max_size=8), random=_RANDOMS, client=st.sampled_from(CLIENTS))
def test_any_stream(messages: list[bytes], random: Random, client: bytes) -> None:
    """However it is cut, and also while the client does not read."""
    asyncio.run(exchange(messages, random, client))


def test_a_hunt() -> None:
    """Ten thousand messages more, those kept that lead on ways not gone before."""
    random = Random(7)  # noqa: S311 - what can be done again is no secret
    hunting = hunt([message for _, message in CORPUS], random, 10_000)
    assert len(hunting.kept) > len(CORPUS)
