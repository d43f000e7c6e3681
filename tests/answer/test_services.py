"""What services answer, and what their answers must never be (contract of the names that mail depends on)."""

from itertools import product

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.answer.service import Preference, ServiceType, Ttl, steps_of
from dnslb.answer.snapshot import Snapshot
from dnslb.answer.turns import Turns
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Health, State
from dnslb.pool.member import AllDown, Pool
from dnslb.pool.outlook import Outlook
from dnslb.pool.selection import Candidate
from tests.conftest import ask, lines, member, pool, service, snapshot, zone

_MX, _SRV = ServiceType.MX, ServiceType.SRV


def _said(of: Pool, *words: tuple[AdminState, State]) -> list[Candidate]:
    return [Candidate(one, Admin(admin), Health(state)) for one, (admin, state) in zip(of.members, words, strict=True)]


def _down(of: Pool) -> list[Candidate]:
    return _said(of, *[(AdminState.READY, State.DOWN)] * len(of.members))


def _round(of: Snapshot, text: str) -> list[list[str]]:
    """Return the answers of 64 turns: the data of each record, sorted."""
    turns = Turns(0)
    return [sorted(line.split(maxsplit=3)[3] for line in lines(ask(of, text, turns=turns).answer)) for _ in range(64)]


# Address


_PAIR = pool(
    member("mx1", "192.0.2.1", "2001:db8::1"),
    member("mx2", "192.0.2.2"),
    member("mx3", "192.0.2.3", "192.0.2.33", "2001:db8::3"),
    member("spare", "192.0.2.4", "2001:db8::4", tier=2),
)


@pytest.mark.parametrize(("records", "members"), [(1, 1), (2, 2), (3, 3), (None, 3), (9, 3)])
def test_an_address_answer_holds_so_many_members_of_the_best_tier(records: int | None, members: int) -> None:
    """Each with all its addresses of the family that was asked for, under the service's TTL."""
    of = snapshot(_PAIR, service(records=records, ttl=17))
    owners = {"192.0.2.1": 1, "192.0.2.2": 2, "192.0.2.3": 3, "192.0.2.33": 3}
    seen: set[str] = set()
    for found in _round(of, "mx.lb.test A"):
        assert len({owners[one] for one in found}) == members
        assert ("192.0.2.3" in found) == ("192.0.2.33" in found)
        seen |= set(found)
    assert seen == set(owners)
    assert ask(of, "mx.lb.test A").answer[0].ttl == 17


def test_members_without_an_address_of_the_family_are_left_out() -> None:
    """AAAA answers are made of the members that have one, and hold as many as there are."""
    of = snapshot(_PAIR, service(records=2))
    assert _round(of, "mx.lb.test AAAA") == [["2001:db8::1", "2001:db8::3"]] * 64


def test_a_family_that_no_published_member_has_is_nodata() -> None:
    """The other one answers, so mail is not lost: the SOA lets the resolver remember it."""
    of = snapshot(pool(member("mx1", "192.0.2.1")), service())
    message = ask(of, "mx.lb.test AAAA")
    assert (message.rcode(), message.answer) == (dns.rcode.NOERROR, [])
    assert message.authority[0].rdtype == dns.rdatatype.SOA
    of = snapshot(pool(member("mx1", "2001:db8::1")), service())
    assert ask(of, "mx.lb.test A").answer == []
    assert _round(of, "mx.lb.test AAAA")[0] == ["2001:db8::1"]


@given(addresses=st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"]), min_size=2, max_size=5))
def test_an_address_that_members_share_is_in_an_answer_once(addresses: list[str]) -> None:
    """Members may differ by their port alone; an RRset has no record twice (RFC 2181 section 5)."""
    members = [member(f"mx{n}", address) for n, address in enumerate(addresses)]
    of = snapshot(pool(*members), service(), service("mail.lb.test", _MX, preference=Preference.EQUAL))
    # `ask` compares the number of records with that of different ones.
    found = [one.split()[3] for rdtype in ("A", "AAAA") for one in lines(ask(of, f"mx.lb.test {rdtype}").answer)]
    assert sorted(found) == sorted(set(addresses))


@pytest.mark.parametrize("kind", [_MX, _SRV])
def test_a_host_that_members_share_is_named_once_for_each_number(kind: ServiceType) -> None:
    """Two members under one host and with equal numbers are one record."""
    members = [member(name, "192.0.2.1", host="mx.elsewhere.test") for name in ("a", "b")]
    of = snapshot(pool(*members), service(kind=kind, preference=Preference.EQUAL))
    assert len(ask(of, f"mx.lb.test {kind}").answer[0]) == 1


# MX


_TIERS = pool(
    member("a", "192.0.2.1", weight=3),
    member("b", "192.0.2.2", weight=1),
    member("c", "192.0.2.3", "2001:db8::3", tier=2),
    member("d", "192.0.2.4", tier=2),
    member("e", "192.0.2.5", tier=5, host="mx.elsewhere.test"),
)


def test_ranked_mx_writes_each_ranking_as_preferences() -> None:
    """10, 20, 30 ...: every member once, worse tiers behind better ones, hosts under the service's zone by default."""
    of = snapshot(_TIERS, service(kind=_MX, ttl=19))
    found = _round(of, "mx.lb.test MX")
    for answer in found:
        numbers, hosts = zip(*(line.split() for line in answer), strict=True)
        assert list(numbers) == ["10", "20", "30", "40", "50"]
        assert {hosts[0], hosts[1]} == {"a.lb.test.", "b.lb.test."}
        assert {hosts[2], hosts[3]} == {"c.lb.test.", "d.lb.test."}
        assert hosts[4] == "mx.elsewhere.test."
    assert sum(answer[0] == "10 a.lb.test." for answer in found) == 48
    assert ask(of, "mx.lb.test MX").answer[0].ttl == 19


def test_equal_mx_writes_tiers_as_preferences() -> None:
    """Tier 1 at 10, tier 2 at 20, tier 5 at 50."""
    of = snapshot(_TIERS, service(kind=_MX, preference=Preference.EQUAL))
    every = ["10 a.lb.test.", "10 b.lb.test.", "20 c.lb.test.", "20 d.lb.test.", "50 mx.elsewhere.test."]
    assert _round(of, "mx.lb.test MX") == [every] * 64


@pytest.mark.parametrize("records", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("preference", list(Preference))
def test_mx_records_are_counted_from_the_best(records: int, preference: Preference) -> None:
    """`records` cuts the worst off; what is left changes with the turn, by weight."""
    of = snapshot(_TIERS, service(kind=_MX, records=records, preference=preference))
    found = _round(of, "mx.lb.test MX")
    assert {len(answer) for answer in found} == {min(records, 5)}
    for answer in found:
        hosts = {line.split()[1][0] for line in answer}
        assert len(hosts & {"a", "b"}) == min(records, 2)
        assert len(hosts & {"c", "d"}) == min(max(records - 2, 0), 2)
    if records == 1:
        assert sum(answer[0] == "10 a.lb.test." for answer in found) == 48


@pytest.mark.parametrize("preference", list(Preference))
@given(
    better=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    worse=st.lists(st.integers(1, 9), min_size=2, max_size=4),
)
def test_worse_tiers_leave_the_shares_of_the_best_alone(
    preference: Preference, better: list[int], worse: list[int]
) -> None:
    """One turn of the ring is exact for the tier that gets the mail, whatever stands behind it."""
    members = [member(f"a{n}", weight=weight) for n, weight in enumerate(better)]
    spares = [member(f"b{n}", weight=weight, tier=2) for n, weight in enumerate(worse)]
    kind = service(kind=_MX, preference=preference, records=len(better) + 1)
    tail = b"\x00\x0f\x00\x01"
    alone = [one.answer for one in snapshot(pool(*members), kind).names[kind.name][tail].ring]
    ring = snapshot(pool(*members, *spares), kind).names[kind.name][tail].ring
    assert [one.answer[: len(alone[0])] for one in ring] == alone


def test_preferences_and_priorities_stay_in_their_range() -> None:
    """The worst tier that can be configured is 65535."""
    last = pool(member("a"), member("z", tier=65535))
    assert _round(snapshot(last, service(kind=_MX, preference=Preference.EQUAL)), "mx.lb.test MX")[0] == [
        "10 a.lb.test.",
        "65535 z.lb.test.",
    ]
    assert _round(snapshot(last, service(kind=_SRV)), "mx.lb.test SRV")[0][1].split()[0] == "65535"


# SRV


def test_srv_names_priority_weight_and_port() -> None:
    """Priority is the tier and weight the weight (RFC 2782), the same in every answer."""
    of = snapshot(_TIERS, service("_submission._tcp.lb.test", _SRV))
    expected = [
        "1 1 587 b.lb.test.",
        "1 3 587 a.lb.test.",
        "2 1 587 c.lb.test.",
        "2 1 587 d.lb.test.",
        "5 1 587 mx.elsewhere.test.",
    ]
    assert _round(of, "_submission._tcp.lb.test SRV") == [expected] * 64


@pytest.mark.parametrize("kind", [_MX, _SRV])
def test_hosts_of_ours_come_along(kind: ServiceType) -> None:
    """Their addresses are additional records of every answer, and answers of their own."""
    of = snapshot(_TIERS, service(kind=kind, ttl=19))
    for payload in (None, 1232, 1000):
        assert sorted(lines(ask(of, f"mx.lb.test {kind}", payload=payload).additional)) == [
            "a.lb.test. 19 A 192.0.2.1",
            "b.lb.test. 19 A 192.0.2.2",
            "c.lb.test. 19 A 192.0.2.3",
            "c.lb.test. 19 AAAA 2001:db8::3",
            "d.lb.test. 19 A 192.0.2.4",
        ]
    assert lines(ask(of, "c.lb.test AAAA").answer) == ["c.lb.test. 19 AAAA 2001:db8::3"]
    assert ask(of, "a.lb.test AAAA").rcode() == dns.rcode.NOERROR


def test_a_host_keeps_its_addresses_when_its_member_is_out() -> None:
    """Caches still point at it; only its membership changes."""
    of = snapshot(
        _TIERS,
        service(kind=_MX),
        candidates=_said(_TIERS, *[(AdminState.MAINT, State.DOWN)] * 4, (AdminState.READY, State.UP)),
    )
    assert _round(of, "mx.lb.test MX")[0] == ["10 mx.elsewhere.test."]
    for host in ("a", "b", "c", "d"):
        assert len(ask(of, f"{host}.lb.test A").answer) == 1


def test_a_host_with_addresses_in_the_zone_file_has_the_lower_ttl() -> None:
    """File and services say the same addresses; no cache may hold them for longer than either says."""
    of = snapshot(
        zone("a 60 A 192.0.2.1"), pool(member("a")), service(kind=_MX, ttl=30), service("x.lb.test", _MX, ttl=90)
    )
    assert lines(ask(of, "a.lb.test A").answer) == ["a.lb.test. 30 A 192.0.2.1"]
    of = snapshot(zone("a 20 A 192.0.2.1"), pool(member("a")), service(kind=_MX, ttl=30))
    assert lines(ask(of, "a.lb.test A").answer) == ["a.lb.test. 20 A 192.0.2.1"]


# The name around the service


def test_a_service_stands_beside_static_records() -> None:
    """At the apex, for example: each type has its own source, other types are NODATA."""
    of = snapshot(zone('@ TXT "v=spf1 -all"'), _TIERS, service("lb.test", _MX), service("lb.test"))
    for rdtype in ("MX", "A", "TXT", "SOA", "NS"):
        assert ask(of, f"lb.test {rdtype}").answer[0].rdtype == dns.rdatatype.from_text(rdtype)
    assert ask(of, "lb.test SRV").authority[0].rdtype == dns.rdatatype.SOA


def test_names_above_a_service_exist() -> None:
    """`_tcp` is an empty non-terminal, whatever a wildcard says."""
    of = snapshot(zone("* A 192.0.2.66"), _TIERS, service("_submission._tcp.lb.test", _SRV))
    assert ask(of, "_tcp.lb.test A").rcode() == dns.rcode.NOERROR
    assert ask(of, "_tcp.lb.test A").answer == []
    assert ask(of, "x._tcp.lb.test A").rcode() == dns.rcode.NXDOMAIN


def test_an_alias_in_the_zone_answers_with_the_service() -> None:
    """The chain comes first, then the service's records, owned by its name."""
    of = snapshot(
        zone("smtp CNAME relay\nrelay CNAME mx"),
        pool(member("mx1", "192.0.2.1")),
        service(),
        service("mx.lb.test", _MX),
    )
    chain = ["smtp.lb.test. 300 CNAME relay.lb.test.", "relay.lb.test. 300 CNAME mx.lb.test."]
    assert lines(ask(of, "smtp.lb.test A").answer) == [*chain, "mx.lb.test. 30 A 192.0.2.1"]
    assert lines(ask(of, "smtp.lb.test MX").answer) == [*chain, "mx.lb.test. 30 MX 10 mx1.lb.test."]
    message = ask(of, "smtp.lb.test TXT")
    assert (lines(message.answer), message.authority[0].rdtype) == (chain, dns.rdatatype.SOA)


# SERVFAIL


@pytest.mark.parametrize("text", ["mx A", "mx AAAA", "mail MX", "_s._tcp SRV", "alias A", "alias AAAA"])
@pytest.mark.parametrize("payload", [None, 1232, 1000])
def test_a_pool_that_must_not_answer_is_servfail(text: str, payload: int | None) -> None:
    """Never an empty answer: A and AAAA fail together, through an alias too; senders keep the mail and try again."""
    name, rdtype = text.split()
    failed = pool(member("mx1", "192.0.2.1"), all_down=AllDown.SERVFAIL)
    services = (service(), service("mail.lb.test", _MX), service("_s._tcp.lb.test", _SRV))
    of = snapshot(zone("alias CNAME mx"), failed, *services, candidates=_down(failed))
    message = ask(of, f"{name}.lb.test {rdtype}", payload=payload)
    assert message.rcode() == dns.rcode.SERVFAIL
    assert [message.answer, message.authority, message.additional] == [[], [], []]
    assert not message.flags & dns.flags.AA
    assert ask(of, f"{name}.lb.test TXT").rcode() == dns.rcode.NOERROR
    assert ask(of, "mx1.lb.test A").rcode() == dns.rcode.NOERROR


def test_any_at_a_failed_service_is_no_denial() -> None:
    """It is SERVFAIL if nothing else is there."""
    failed = pool(member("mx1", "192.0.2.1"), all_down=AllDown.SERVFAIL)
    assert ask(snapshot(failed, service(), candidates=_down(failed)), "mx.lb.test ANY").rcode() == dns.rcode.SERVFAIL


# Never


_CONDITIONS = st.sampled_from(list(product(AdminState, State)))
_ADDRESSES = (("192.0.2.{n}",), ("2001:db8::{n}",), ("192.0.2.{n}", "2001:db8::{n}"))


@st.composite
def _pools(draw: st.DrawFn) -> tuple[Pool, list[Candidate]]:
    members = []
    for n in range(draw(st.integers(1, 4))):
        addresses = [text.format(n=n + 1) for text in draw(st.sampled_from(_ADDRESSES))]
        weight, tier = draw(st.sampled_from([0, 1, 1, 5])), draw(st.sampled_from([1, 1, 2]))
        members.append(member(f"mx{n}", *addresses, weight=weight, tier=tier))
    all_down = draw(st.sampled_from([AllDown.SERVE_ALL, AllDown.LAST_GOOD]))
    made = pool(*members, all_down=all_down, min_healthy=draw(st.sampled_from([0.0, 0.5, 1.0])))
    words = [draw(_CONDITIONS) for _ in members]
    weights = [draw(st.sampled_from([None, None, 0, 3])) for _ in members]
    said = [
        Candidate(one, Admin(admin, weight), Health(state))
        for one, (admin, state), weight in zip(members, words, weights, strict=True)
    ]
    return made, said


@given(
    drawn=_pools(),
    records=st.sampled_from([None, 1, 2]),
    preference=st.sampled_from(list(Preference)),
    payload=st.sampled_from([None, 1232, 1000]),
    begin=st.integers(0, 63),
)
def test_what_an_answer_must_never_be(
    drawn: tuple[Pool, list[Candidate]], records: int | None, preference: Preference, payload: int | None, begin: int
) -> None:
    """In no state of the members is a service's own type denied, empty, or without an address for its target."""
    made, said = drawn
    of = snapshot(
        made,
        service(records=records),
        service("mail.lb.test", _MX, records=records, preference=preference),
        service("_s._tcp.lb.test", _SRV),
        candidates=said,
    )
    turns = Turns(begin)

    def found(text: str) -> dns.message.Message:
        message = ask(of, text, turns=turns, payload=payload)
        assert message.rcode() == dns.rcode.NOERROR
        return message

    def addresses(name: str) -> int:
        return len(found(f"{name} A").answer) + len(found(f"{name} AAAA").answer)

    assert addresses("mx.lb.test") > 0
    # RFC 8482 leaves it to us which records these are, but not whether there are any.
    assert all(found(f"{name} ANY").answer for name in ("mx.lb.test", "mail.lb.test", "_s._tcp.lb.test"))
    for text in ("mail.lb.test MX", "_s._tcp.lb.test SRV"):
        answer = lines(found(text).answer)
        assert answer
        for line in answer:
            target = line.split()[-1]
            assert target != "."
            assert addresses(target) > 0
            assert found(f"{target} CNAME").answer == []


# TTL


_LASTING = Ttl(10, 120)


@pytest.mark.parametrize(
    ("seconds", "ttl"), [(None, 120), (120, 120), (119, 60), (60, 60), (29, 15), (10, 10), (0, 10)]
)
@pytest.mark.parametrize("kind", ServiceType)
def test_the_ttl_goes_by_the_next_change(kind: ServiceType, seconds: float | None, ttl: int) -> None:
    """The longest step that ends before it; the member's host, which does not change, keeps the longest TTL."""
    of = pool(member("a", "192.0.2.1"))
    outlook = None if seconds is None else Outlook(seconds, "changes")
    said = Candidate(of.members[0], Admin(), Health(State.UP), outlook=outlook)
    table = snapshot(of, service(kind=kind, ttl=_LASTING), candidates=[said])
    message = ask(table, f"mx.lb.test {'A' if kind is ServiceType.ADDRESS else kind}")
    assert message.answer[0].ttl == ttl
    if kind is not ServiceType.ADDRESS:
        assert (message.additional[0].ttl, ask(table, "a.lb.test A").answer[0].ttl) == (120, 120)


def test_each_service_has_steps_of_its_own() -> None:
    """What is near for one may be far for another; a fixed TTL stays whatever comes."""
    of = pool(member("a", "192.0.2.1"))
    said = Candidate(of.members[0], Admin(), Health(State.UP), outlook=Outlook(20, "changes"))
    ttls = (_LASTING, Ttl(1, 18), Ttl(300, 300))
    services = [service(f"s{number}.lb.test", ttl=ttl) for number, ttl in enumerate(ttls)]
    table = snapshot(of, *services, candidates=[said])
    assert [ask(table, f"s{number}.lb.test A").answer[0].ttl for number in range(3)] == [15, 18, 300]


def test_the_steps_of_a_pool_are_those_of_all_its_services() -> None:
    """Longest first; a pool whose TTLs are fixed has none."""
    services = [service(ttl=Ttl(10, 40)), service("b.lb.test", ttl=Ttl(5, 30)), service("c.lb.test", of="other")]
    assert steps_of(services) == {"inbound": (40, 30, 20, 15, 10, 7, 5), "other": ()}
