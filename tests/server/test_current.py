"""What sockets share: a fault of ours costs one query, is counted and told a few times; and the time."""

from dataclasses import replace

import pytest

from dnslb.answer import tally
from dnslb.answer.lookup import Reply
from dnslb.answer.responder import respond
from dnslb.answer.terms import Limit, Terms
from dnslb.server.current import Current
from tests.conftest import CLIENT, question, zone
from tests.conftest import snapshot as made_of
from tests.server.conftest import ANSWERED_A, identity_of, query, snapshot


@pytest.fixture
def faulty(current: Current, monkeypatch: pytest.MonkeyPatch) -> Current:
    """Give a cell whose responder raises on the query with id 2."""

    def failing(octets: bytes, *args: object, **options: bool) -> object:
        if identity_of(octets) == 2:
            raise ZeroDivisionError
        return respond(octets, *args, **options)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr("dnslb.server.current.respond", failing)
    return current


def test_it_costs_one_message_and_is_told(
    faulty: Current, slots: memoryview, capfd: pytest.CaptureFixture[str]
) -> None:
    """The other queries are answered, and the report has the query and the traceback."""
    answers = [faulty.answer(query(identity), b"", slots, stream=False) for identity in (1, 2, 3)]

    assert [answer and identity_of(answer) for answer in answers] == [1, None, 3]
    assert (slots[ANSWERED_A], slots[tally.INTERNAL]) == (2, 1)
    told = capfd.readouterr().err
    assert query(2).hex() in told
    assert "ZeroDivisionError" in told


def test_it_costs_one_message_of_a_batch(faulty: Current, slots: memoryview) -> None:
    """The others of it are answered, once, and counted once."""
    answers = faulty.answer_all([query(identity) for identity in (1, 2, 3)], [b"\0\0\0\0"] * 3, slots)
    assert [answer and identity_of(answer) for answer in answers] == [1, None, 3]
    assert (slots[ANSWERED_A], slots[tally.INTERNAL], sum(slots)) == (2, 1, 3)


def test_a_fault_of_the_limit_costs_one_message_of_a_batch(
    current: Current, slots: memoryview, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As any other fault, and it is told; one by one it costs the same."""
    current.limit.watched[b"\0\0\0"] = 1
    restrain = current.limit.restrain

    def failing(octets: bytes, client: bytes, reply: Reply) -> Reply:
        if identity_of(octets) == 2:
            raise ZeroDivisionError
        return restrain(octets, client, reply)

    monkeypatch.setattr(current.limit, "restrain", failing)
    current.limit._limit = Limit(per_second=100)  # noqa: SLF001 - one that leaves all
    answers = current.answer_all([query(identity) for identity in (1, 2, 3)], [b"\0\0\0\0"] * 3, slots)
    assert [answer and identity_of(answer) for answer in answers] == [1, None, 3]
    assert (slots[ANSWERED_A], slots[tally.INTERNAL], sum(slots)) == (2, 1, 3)
    assert current.reply_within_limit(query(2), b"\0\0\0\0") == (None, tally.INTERNAL)
    assert capfd.readouterr().err.count("internal error on query") == 2


def test_the_time_reaches_the_cookies(current: Current) -> None:
    """Also those of a table that comes later: with a clock that stands still all cookies would be old in an hour."""
    current.tick(1_700_000_000)
    assert current.cookies.now == 1_700_000_000
    current.adopt(snapshot(2))
    assert current.cookies.now == 1_700_000_000


def test_the_limit_knows_which_names_are_in_the_table(current: Current) -> None:
    """All that are not share a limit, also behind a table that comes later."""
    for name in ("a", "b"):
        records = zone(f"{name} A 192.0.2.1\n*.wild A 192.0.2.2")
        current.adopt(replace(made_of(records), terms=Terms(limit=Limit(per_second=1, slip=0))))
        current.limit.note(CLIENT, 64, 1.0)
        asked = [question(f"{name}.lb.test A")] * 3 + [question(f"x{each}.wild.lb.test A") for each in range(20)]
        got = [current.reply_within_limit(each, CLIENT)[0] is not None for each in asked]
        assert [sum(got[:3]), sum(got[3:])] == [1, 10]


def test_it_is_told_a_few_times_only(faulty: Current, slots: memoryview, capfd: pytest.CaptureFixture[str]) -> None:
    """A query that can be sent a million times must not fill the disk; it goes on being counted."""
    for _ in range(50):
        assert faulty.answer(query(2), b"", slots, stream=False) is None
    assert capfd.readouterr().err.count("internal error") == 10
    assert slots[tally.INTERNAL] == 50
