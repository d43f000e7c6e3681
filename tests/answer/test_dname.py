"""DNAME (RFC 6672): what is answered at its owner, below it, and behind it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dns.flags
import dns.rcode
import pytest

from dnslb.answer import lookup
from dnslb.answer.responder import respond
from dnslb.answer.turns import Turns
from dnslb.pool.health import State
from dnslb.pool.member import AllDown
from dnslb.wire.name import from_text
from dnslb.wire.record import rewritten
from tests.conftest import CLIENT, ask, candidate, lines, member, pool, question, service, snapshot, zone

_SOA = "lb.test. 60 SOA ns.lb.test. hostmaster.lb.test. 1 3600 600 86400 60"
SNAPSHOT = snapshot(
    zone(f"""
        old 77 DNAME new
        old MX 10 ns
        a.new A 192.0.2.1
        a.new A 192.0.2.2
        b.c.new TXT "deep"
        alias.new CNAME A.new
        again.new CNAME a.old
        *.any.new MX 10 ns
        *.many.new CNAME a.old
        child.new NS ns.child.new
        ns.child.new A 192.0.2.9
        toold CNAME a.old
        tonothing CNAME nothing.old
        far DNAME elsewhere.test.
        first DNAME second
        second DNAME new
        round DNAME around
        around DNAME round
        deeper DNAME x.deeper
        long DNAME {"a" * 60}.{"b" * 60}.{"c" * 60}
        """),
    pool(member("mx1", "192.0.2.11"), member("mx2", "192.0.2.12")),
    service("mx.new.lb.test", records=1),
)


def _asked(text: str, *, payload: int | None = None) -> tuple[str, list[str], list[str]]:
    """Return response code, answer and authority of what must come with AA."""
    message = ask(SNAPSHOT, text, payload=payload)
    assert message.flags & dns.flags.AA
    return dns.rcode.to_text(message.rcode()), lines(message.answer), lines(message.authority)


_OLD = "old.lb.test. 77 DNAME new.lb.test."


@pytest.mark.parametrize("payload", [None, 1232, 1000])
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("a.old A", ["192.0.2.1", "192.0.2.2"]),
        ("b.c.old TXT", ['"deep"']),
        ("x.any.old MX", ["10 ns.lb.test."]),
        ("x.y.any.old MX", ["10 ns.lb.test."]),
    ],
)
def test_a_name_below_is_the_one_below_the_target(asked: str, expected: list[str], payload: int | None) -> None:
    """The DNAME comes first, then the CNAME that it makes, with its TTL (section 3.1), then what is there."""
    name, rdtype = asked.split()
    target = f"{name.removesuffix('old')}new.lb.test."
    code, answer, authority = _asked(f"{name}.lb.test {rdtype}", payload=payload)
    assert (code, authority) == ("NOERROR", [])
    assert answer[:2] == [_OLD, f"{name}.lb.test. 77 CNAME {target}"]
    assert answer[2:] == [f"{target} 300 {rdtype} {data}" for data in expected]


def test_the_case_of_the_question_is_kept_in_the_alias() -> None:
    """Its labels are the client's; what they are looked up by is lower case."""
    message = ask(SNAPSHOT, "B.c.OLD.lb.test TXT")
    assert str(message.answer[1][0]) == "B.c.new.lb.test."
    assert [rrset.rdtype for rrset in message.answer] == [39, 5, 16]


def test_the_owner_itself_is_not_redirected() -> None:
    """It has the DNAME and other data (section 2.3); of other types it has none."""
    assert _asked("old.lb.test DNAME") == ("NOERROR", [_OLD], [])
    assert _asked("old.lb.test MX") == ("NOERROR", ["old.lb.test. 300 MX 10 ns.lb.test."], [])
    assert _asked("old.lb.test A") == ("NOERROR", [], [_SOA])
    assert _asked("old.lb.test A", payload=1000) == ("NOERROR", [], [_SOA])
    assert len(_asked("old.lb.test ANY")[1]) == 1


def test_the_alias_asked_for_by_its_type_is_not_followed() -> None:
    """A CNAME question is answered by the CNAME that the DNAME makes."""
    assert _asked("a.old.lb.test CNAME") == ("NOERROR", [_OLD, "a.old.lb.test. 77 CNAME a.new.lb.test."], [])


@pytest.mark.parametrize(
    ("asked", "owners", "code"),
    [
        ("a.old MX", ["old", "a.old"], "NOERROR"),
        ("c.old A", ["old", "c.old"], "NOERROR"),
        ("nothing.old A", ["old", "nothing.old"], "NXDOMAIN"),
        ("x.a.old A", ["old", "x.a.old"], "NXDOMAIN"),
        ("tonothing A", ["tonothing", "old", "nothing.old"], "NXDOMAIN"),
        ("toold MX", ["toold", "old", "a.old"], "NOERROR"),
    ],
)
def test_what_is_not_there_is_denied_behind_the_chain(asked: str, owners: list[str], code: str) -> None:
    """The response code is that of the last name (RFC 6604), and the SOA is beside it."""
    name, rdtype = asked.split()
    found = _asked(f"{name}.lb.test {rdtype}")
    assert (found[0], [line.split()[0] for line in found[1]], found[2]) == (
        code,
        [f"{owner}.lb.test." for owner in owners],
        [_SOA],
    )


def test_aliases_before_and_behind() -> None:
    """A chain goes through a DNAME as often as it has to, within the zone."""
    assert _asked("toold.lb.test A")[1] == [
        "toold.lb.test. 300 CNAME a.old.lb.test.",
        _OLD,
        "a.old.lb.test. 77 CNAME a.new.lb.test.",
        "a.new.lb.test. 300 A 192.0.2.1",
        "a.new.lb.test. 300 A 192.0.2.2",
    ]
    assert [line.split()[0] for line in _asked("alias.old.lb.test A")[1]] == [
        f"{name}.lb.test." for name in ("old", "alias.old", "alias.new", "a.new", "a.new")
    ]
    owners = [line.split()[0] for line in _asked("alias.first.lb.test A")[1]]
    assert owners == [
        f"{name}.lb.test." for name in ("first", "alias.first", "second", "alias.second", "alias.new", "a.new", "a.new")
    ]


def test_no_record_comes_twice() -> None:
    """The DNAME may be needed more than once (RFC 2181 section 5)."""
    for name in ("again.old", "x.many.old"):
        _, answer, _ = _asked(f"{name}.lb.test A")
        assert answer[0] == _OLD
        assert answer.count(_OLD) == 1
        assert answer[-2:] == ["a.new.lb.test. 300 A 192.0.2.1", "a.new.lb.test. 300 A 192.0.2.2"]


def test_a_target_elsewhere_is_the_resolvers_matter() -> None:
    """The answer ends with the alias."""
    assert _asked("x.far.lb.test A") == (
        "NOERROR",
        ["far.lb.test. 300 DNAME elsewhere.test.", "x.far.lb.test. 300 CNAME x.elsewhere.test."],
        [],
    )


def test_a_target_below_a_cut_is_a_referral() -> None:
    """Name servers and their glue come with the chain."""
    message = ask(SNAPSHOT, "www.child.old.lb.test A")
    assert message.flags & dns.flags.AA
    assert lines(message.answer)[1:] == ["www.child.old.lb.test. 77 CNAME www.child.new.lb.test."]
    assert lines(message.authority) == ["child.new.lb.test. 300 NS ns.child.new.lb.test."]
    assert lines(message.additional) == ["ns.child.new.lb.test. 300 A 192.0.2.9"]


@pytest.mark.parametrize("name", ["a.round", "a.deeper"])
def test_redirections_that_never_end_do(name: str) -> None:
    """They are given as far as they go, and nothing is denied."""
    code, answer, authority = _asked(f"{name}.lb.test A")
    assert (code, authority) == ("NOERROR", [])
    assert len(answer) == len(set(answer)) >= 3


def test_a_name_that_becomes_too_long() -> None:
    """YXDOMAIN, with the DNAME to show why (section 2.2)."""
    room = 255 - len("\2lb\4test\0") - 3 * 61 - 1
    assert _asked(f"{'x' * room}.long.lb.test A", payload=1232)[0] == "NXDOMAIN"
    code, answer, authority = _asked(f"{'x' * (room + 1)}.long.lb.test A")
    assert (code, authority) == ("YXDOMAIN", [])
    assert [line.split()[0::2][:2] for line in answer] == [["long.lb.test.", "DNAME"]]


def test_a_wildcard_beside_says_nothing_below() -> None:
    """The owner exists, and so is the closest encloser of what is below it."""
    of = snapshot(zone("* TXT x\nold DNAME new\n*.new A 192.0.2.1"))
    assert lines(ask(of, "x.old.lb.test A").answer)[-1] == "x.new.lb.test. 300 A 192.0.2.1"
    assert lines(ask(of, "x.other.lb.test TXT").answer) == ['x.other.lb.test. 300 TXT "x"']


def test_a_dname_at_the_apex_leaves_the_apex_alone() -> None:
    """All below is redirected; the zone keeps its SOA and NS (section 2.3)."""
    of = snapshot(zone("$TTL 9\n@ SOA ns.test. h.test. 1 3600 600 86400 60\n@ NS ns.test.\n@ 5 DNAME target.test."))
    assert lines(ask(of, "lb.test NS").answer) == ["lb.test. 9 NS ns.test."]
    assert lines(ask(of, "x.y.lb.test A").answer) == [
        "lb.test. 5 DNAME target.test.",
        "x.y.lb.test. 5 CNAME x.y.target.test.",
    ]


def test_a_service_behind_a_dname_has_its_turns() -> None:
    """A member at a time, as if it had been asked for by its own name; and its failure is the answer's."""
    found = {lines(ask(SNAPSHOT, "mx.old.lb.test A", client=bytes([10, 0, 0, n])).answer)[-1] for n in range(16)}
    assert found <= {"mx.new.lb.test. 30 A 192.0.2.11", "mx.new.lb.test. 30 A 192.0.2.12"}
    failing = snapshot(
        zone("old DNAME new"),
        pool(member("mx1"), all_down=AllDown.SERVFAIL),
        service("mx.new.lb.test"),
        candidates=[candidate("mx1", State.DOWN)],
    )
    message = ask(failing, "mx.old.lb.test A")
    assert (message.rcode(), message.answer) == (dns.rcode.SERVFAIL, [])


def test_what_is_too_long_is_truncated() -> None:
    """Then nothing but the question is said (TC), and all of it over TCP."""
    many = "\n".join(f'many.new TXT "{n:03} {"x" * 60}"' for n in range(30))
    of = snapshot(zone(f"old DNAME new\n{many}"))
    message = ask(of, "many.old.lb.test TXT", payload=1232)
    assert (message.flags & dns.flags.TC, message.answer) == (dns.flags.TC, [])
    assert len(lines(ask(of, "many.old.lb.test TXT", stream=True).answer)) == 32


def test_a_large_rrset_is_cut_before_it_is_written() -> None:
    """What can have no room is not written; over TCP it is."""
    many = "\n".join(f"many.new A 10.0.0.{n}" for n in range(110))
    of = snapshot(zone(f"old DNAME new\n{many}"))
    for payload in (None, 1232):
        message = ask(of, "many.old.lb.test A", payload=payload)
        assert (message.flags & dns.flags.TC, message.flags & dns.flags.AA, message.answer) == (
            dns.flags.TC,
            dns.flags.AA,
            [],
        )
    assert len(lines(ask(of, "many.old.lb.test A", stream=True).answer)) == 112


class _Counting(dict[bytes, Any]):
    """A table that adds up the octets that it was asked for."""

    octets = 0

    def get(self, key: bytes, default: object = None) -> Any:  # noqa: ANN401 - as a dict's
        self.octets += len(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        assert isinstance(key, bytes)
        self.octets += len(key)
        return super().__contains__(key)


_LINKS = "\n".join(f"d{n} DNAME d{n + 1}" for n in range(1, 8))
CHAIN = snapshot(zone(f"{_LINKS}\n*.wild CNAME x.d1\nx.d8 A 192.0.2.1"))
WORST = [f"{'a.' * 115}d1", f"{'a.' * 40}d1", "a.d1", f"{'a.' * 114}wild", f"{'a.' * 116}no"]


@pytest.mark.parametrize("name", WORST)
@pytest.mark.parametrize("payload", [None, 1232])
def test_the_price_does_not_grow_with_the_labels(name: str, payload: int | None) -> None:
    """Only what may be a name is looked up: of a hundred labels, a hundred times, that would be 12 kB for each step."""
    names, zones = _Counting(CHAIN.names), _Counting(CHAIN.zones)
    redirects = _Counting(CHAIN.zones[from_text("lb.test")].redirects)
    zones[from_text("lb.test")] = replace(CHAIN.zones[from_text("lb.test")], redirects=redirects)
    respond(question(f"{name}.lb.test A", payload=payload), replace(CHAIN, names=names, zones=zones), Turns(0), CLIENT)
    assert names.octets + zones.octets + redirects.octets < 2500


@pytest.mark.parametrize("name", WORST)
@pytest.mark.parametrize("payload", [None, 1232])
def test_no_more_is_written_than_has_room(name: str, payload: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain is left with the record that is too much; over TCP it is gone to its end."""
    written: list[bytes] = []

    def counting(*given: Any) -> Iterator[bytes]:  # noqa: ANN401 - passed on as it came
        for each in rewritten(*given):
            written.append(each)
            yield each

    monkeypatch.setattr(lookup, "rewritten", counting)
    ask(CHAIN, f"{name}.lb.test A", payload=payload)
    assert len(b"".join(written[:-1])) < (payload or 512)
    assert not ask(CHAIN, f"{name}.lb.test A", stream=True).flags & dns.flags.TC


def test_what_just_fits_is_not_cut() -> None:
    """With each number of labels, up to the one that has no room any more."""
    for labels in range(1, 60):
        name = f"{'a.' * labels}d5.lb.test A"
        whole, short = (ask(CHAIN, name, stream=stream) for stream in (True, False))
        fits = len(respond(question(name), CHAIN, Turns(0), CLIENT, stream=True)[0] or b"") <= 512
        assert (short.answer == whole.answer, bool(short.flags & dns.flags.TC)) == (fits, not fits)
