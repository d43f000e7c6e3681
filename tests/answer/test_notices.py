"""Extended errors (RFC 8914): what is said beside an answer that is not what it should be, and to whom."""

from dataclasses import replace

import dns.edns
import dns.message
import dns.rcode
import pytest

from dnslb.answer.compiler import Pools, compile_world
from dnslb.answer.notices import PANIC, SILENCE, STALE, notice_of, stale
from dnslb.answer.responder import respond
from dnslb.answer.service import ServiceType
from dnslb.answer.snapshot import Snapshot, made_ready
from dnslb.answer.turns import Turns
from dnslb.pool.admin import Admin
from dnslb.pool.health import Health, State
from dnslb.pool.member import AllDown
from dnslb.pool.selection import Candidate, Selection, select
from tests.conftest import (
    CLIENT,
    ask,
    audience,
    lines,
    member,
    pool,
    question,
    service,
    snapshot,
    world,
    zone,
)

_MEMBERS = (member("mx1", "192.0.2.1", "2001:db8::1"), member("mx2", "192.0.2.2"))
_SERVICES = (
    service(),
    service("mail.lb.test", ServiceType.MX),
    service("_s._tcp.lb.test", ServiceType.SRV),
    service("lb.test", ServiceType.MX),
)
_ZONE = zone("alias CNAME mx\n@ TXT x\nold DNAME lb.test.\nother A 192.0.2.9")
_DECIDED = ("mx A", "mx AAAA", "mail MX", "_s._tcp SRV", "alias A", "mx.old A", "mx ANY")
_STATIC = ("other A", "mx1 A", "mx TXT", "alias CNAME", "no A", "other ANY")


def _selection(*states: State, all_down: AllDown = AllDown.SERVE_ALL, good_last: str = "") -> Selection:
    candidates = [Candidate(one, Admin(), Health(state)) for one, state in zip(_MEMBERS, states, strict=True)]
    of = pool(*_MEMBERS, all_down=all_down, min_healthy=0.6)
    return select(of, candidates, frozenset(good_last.split()))


_WELL = _selection(State.UP, State.UP)
_PANIC = _selection(State.UP, State.DOWN)
_KEPT = _selection(State.DOWN, State.DOWN, all_down=AllDown.LAST_GOOD, good_last="mx1")
_SILENT = _selection(State.DOWN, State.DOWN, all_down=AllDown.SERVFAIL)


def _snapshot(selection: Selection) -> Snapshot:
    of = world(_ZONE, pool(*_MEMBERS), *_SERVICES)
    return compile_world(of, Pools({"inbound": selection}, dict.fromkeys(of.zones, 1)), 1)


def _said(message: dns.message.Message) -> list[tuple[int, str | None]]:
    return [(int(one.code), one.text) for one in message.options if isinstance(one, dns.edns.EDEOption)]


_FEW = (0, "health is ignored: too few members are healthy")
_NONE = (0, "no member is healthy")
_OLD = (3, None)


@pytest.mark.parametrize("ready", [False, True])
@pytest.mark.parametrize(
    ("selection", "said"),
    [(_WELL, []), (_PANIC, [_FEW]), (_KEPT, [_OLD]), (_SILENT, [_NONE])],
    ids=["well", "panic", "kept", "silent"],
)
def test_what_a_pool_decides_says_how_it_is(
    selection: Selection, said: list[tuple[int, str | None]], *, ready: bool
) -> None:
    """By the table and by the long way; what no pool decides says nothing."""
    of = made_ready(_snapshot(selection)) if ready else _snapshot(selection)
    for text in _DECIDED:
        name, rdtype = text.split()
        message = ask(of, f"{name}.lb.test {rdtype}", payload=1232)
        assert _said(message) == said, text
        assert (message.rcode() == dns.rcode.SERVFAIL) == (said == [_NONE])
    for text in _STATIC:
        name, rdtype = text.split()
        assert _said(ask(of, f"{name}.lb.test {rdtype}", payload=1232)) == []


@pytest.mark.parametrize("text", _DECIDED)
def test_a_notice_changes_nothing_else(text: str) -> None:
    """Nothing is said to who has no EDNS, and the answers are the same octets."""
    name, rdtype = text.split()
    plain, noted = _snapshot(_WELL), stale(_snapshot(_WELL))
    bare = [respond(question(f"{name}.lb.test {rdtype}"), of, Turns(0), CLIENT) for of in (plain, noted)]
    assert bare[0] == bare[1]
    full = [ask(of, f"{name}.lb.test {rdtype}", payload=1232) for of in (plain, noted)]
    assert full[0].sections == full[1].sections
    assert [_said(message) for message in full] == [[], [_OLD]]


def test_a_notice_is_the_first_to_be_left_out() -> None:
    """An answer that fits without it is sent without it, and without TC: nobody has to ask again."""
    seen = set()
    for number in range(1, 22):
        crowd = [member(f"mx{n:02}", f"192.0.2.{n}") for n in range(number)]
        down = [Candidate(one, Admin(), Health(State.DOWN)) for one in crowd]
        of = snapshot(pool(*crowd), service("mail.lb.test", ServiceType.MX), candidates=down)
        message = ask(of, "mail.lb.test MX", payload=512)
        assert len(message.answer[0]) == number
        seen.add((bool(message.additional), bool(message.options)))
        assert _said(ask(of, "mail.lb.test MX", payload=1232)) == [_FEW]
    assert seen == {(True, True), (True, False), (False, True), (False, False)}


def test_one_code_for_each_condition() -> None:
    """The one that is worst for the client comes first; well is nothing to speak of."""
    found = [notice_of(selection) for selection in (_WELL, _PANIC, _KEPT, _SILENT)]
    assert found == [b"", PANIC, STALE, SILENCE]


@pytest.mark.parametrize("payload", [None, 1232])
@pytest.mark.parametrize("name", ["elsewhere.test", "test", "."])
def test_what_is_elsewhere_is_not_ours(name: str, payload: int | None) -> None:
    """Code 20 goes with REFUSED (RFC 8914 section 4.21), if there is EDNS."""
    message = ask(_snapshot(_WELL), f"{name} A", payload=payload)
    assert (message.rcode(), _said(message)) == (dns.rcode.REFUSED, [(20, None)] if payload else [])


# Old


def test_a_table_that_nobody_renews_says_so() -> None:
    """Of all that pools decide, beside what else there is to say; an error that a pool wants stays what it is."""
    for selection, said in ((_WELL, [_OLD]), (_PANIC, [_FEW, _OLD]), (_KEPT, [_OLD]), (_SILENT, [_NONE])):
        of = stale(_snapshot(selection))
        assert made_ready(of) == made_ready(stale(of))
        for text in _DECIDED:
            name, rdtype = text.split()
            for one in (of, made_ready(of)):
                assert _said(ask(one, f"{name}.lb.test {rdtype}", payload=1232)) == said
        for text in _STATIC:
            name, rdtype = text.split()
            assert _said(ask(of, f"{name}.lb.test {rdtype}", payload=1232)) == []


def test_the_table_before_stays_as_it_is() -> None:
    """A snapshot is nobody's to change; of an old one the generation and the zones are the same."""
    before = made_ready(_snapshot(_WELL))
    after = stale(before)
    assert before == made_ready(_snapshot(_WELL))
    assert replace(after, names=before.names) == before
    assert not after.ready


def test_each_view_has_its_own_notice() -> None:
    """Clients hear of the pool that their view is answered from; an old table is old for all."""
    inner = pool(member("in1", "10.0.0.1"), name="inner")
    parts = (pool(*_MEMBERS, min_healthy=0.6), inner, service(), service(of="inner", view="internal"))
    down = [Candidate(_MEMBERS[1], Admin(), Health(State.DOWN))]
    of = snapshot(*parts, audience(internal="10.0.0.0/8"), candidates=down)
    clients = (CLIENT, b"\x0a\0\0\1")
    found = [ask(of, "mx.lb.test A", client=client, payload=1232) for client in clients]
    assert [_said(message) for message in found] == [[_FEW], []]
    assert lines(found[1].answer) == ["mx.lb.test. 30 A 10.0.0.1"]
    found = [ask(stale(of), "mx.lb.test A", client=client, payload=1232) for client in clients]
    assert [_said(message) for message in found] == [[_FEW, _OLD], [_OLD]]
