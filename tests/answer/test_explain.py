"""Every kind of name is explained by what is really answered, as zone-file lines, and by the reason."""

import dns.rcode
import pytest

from dnslb.answer.compiler import Pools
from dnslb.answer.explain import Explanation, explain
from dnslb.answer.service import ServiceType
from dnslb.answer.world import World
from dnslb.pool.health import State
from dnslb.pool.member import AllDown
from dnslb.pool.selection import Candidate
from dnslb.wire.name import from_text, to_text
from dnslb.wire.rdata import type_number
from tests.conftest import ask, candidate, compiled, lines, member, pool, selections, service, world, zone

_ZONE = zone("""
www  A     192.0.2.80
     TXT   "hello"
*.w  TXT   "wild"
al   CNAME mx
al2  CNAME al
far  CNAME elsewhere.test.
lost CNAME nowhere
sub  NS    ns.sub
ns.sub A   192.0.2.99
a.b.c A    192.0.2.1
old  DNAME new
b.new CNAME al2
*.any.new TXT "x"
toold CNAME x.any.old
""")
_POOL = pool(
    member("mx1", "192.0.2.11", "2001:db8::11", weight=50),
    member("mx2", "192.0.2.12", weight=30),
    member("spare", "192.0.2.14", tier=2),
)
_WORLD = world(
    _ZONE,
    _POOL,
    service(records=1, ttl=17),
    service("lb.test", ServiceType.MX, ttl=19),
    service("_submission._tcp.lb.test", ServiceType.SRV),
)


def explained(text: str, of: World = _WORLD, candidates: tuple[Candidate, ...] = ()) -> Explanation:
    """Explain "NAME [TYPE]"."""
    name, *rtype = text.split()
    pools = Pools(selections(of, candidates), dict.fromkeys(of.zones, 1))
    return explain(of, pools, from_text(name), type_number(rtype[0]) if rtype else None)


_KEPT = "and resolvers remember that for 60 s"
_NODATA = f"the answer is empty (NODATA), {_KEPT}"
REASONS = {
    "mx.lb.test A": "a service of type address, answered from pool inbound",
    "lb.test MX": "a service of type MX, answered from pool inbound",
    "al2.lb.test A": "an alias (CNAME) of mx.lb.test: a service of type address, answered from pool inbound",
    "al.lb.test CNAME": "a static record of the zone file",
    "www.lb.test TXT": "static records of the zone file",
    "lb.test SOA": "static records of the zone file",
    "lb.test ANY": "static records of the zone file",
    "x.w.lb.test TXT": "there is no such name, but *.w.lb.test answers for it: static records of the zone file",
    "mx2.lb.test A": (
        "the host of member inbound/mx2: it has its addresses whatever its health, since caches and MX or SRV records"
        " may still point at it"
    ),
    "www.lb.test MX": f"it has no MX record, only A, TXT: {_NODATA}",
    "mx.lb.test MX": f"it has no MX record, only A, AAAA: {_NODATA}",
    "al.lb.test MX": f"an alias (CNAME) of mx.lb.test: it has no MX record, only A, AAAA: {_NODATA}",
    "b.c.lb.test A": f"it has no A record, and there are only names below it: {_NODATA}",
    "nope.lb.test A": f"there is no such name (NXDOMAIN), {_KEPT}",
    "lost.lb.test A": f"an alias (CNAME) of nowhere.lb.test: there is no such name (NXDOMAIN), {_KEPT}",
    "far.lb.test MX": (
        "an alias (CNAME) of elsewhere.test: resolvers look for that themselves, since this zone does not hold it"
    ),
    "b.old.lb.test A": (
        "names below old.lb.test are those below new.lb.test (DNAME): an alias (CNAME) of mx.lb.test:"
        " a service of type address, answered from pool inbound"
    ),
    "toold.lb.test TXT": (
        "names below old.lb.test are those below new.lb.test (DNAME): an alias (CNAME) of x.any.new.lb.test:"
        " there is no such name, but *.any.new.lb.test answers for it: static records of the zone file"
    ),
    "old.lb.test DNAME": "a static record of the zone file",
    "x.old.lb.test A": (
        "names below old.lb.test are those below new.lb.test (DNAME): an alias (CNAME) of x.new.lb.test:"
        f" there is no such name (NXDOMAIN), {_KEPT}"
    ),
    "x.sub.lb.test A": "sub.lb.test is delegated: resolvers are sent to its own name servers (ns.sub.lb.test)",
    "lb.test AXFR": "zones are transferred to nobody: the answer is REFUSED",
    "mx.lb.test IXFR": "zones are transferred to nobody: the answer is NOTAUTH",
    "nope.test A": "no zone of this server holds it: the answer is REFUSED, and resolvers ask the next name server",
}


@pytest.mark.parametrize("question", REASONS)
def test_the_reason_is_said_in_words(question: str) -> None:
    """Each kind of name has its own."""
    assert explained(question).why == REASONS[question]


@pytest.mark.parametrize("question", REASONS)
def test_what_is_shown_is_what_is_answered(question: str) -> None:
    """The records, the response code and the authority are those of a snapshot that was compiled whole."""
    real = ask(compiled(_WORLD), question)
    (shown,) = explained(question).shown
    assert [str(line) for line in shown.sections.answer] == lines(real.answer)
    assert [str(line) for line in shown.sections.authority] == lines(real.authority)
    assert [str(line) for line in shown.sections.additional] == lines(real.additional)
    assert shown.rcode.name == dns.rcode.to_text(real.rcode())


@pytest.mark.parametrize(
    ("question", "service"),
    [
        ("mx.lb.test AAAA", "mx.lb.test"),
        ("al2.lb.test", "mx.lb.test"),
        ("lb.test", "lb.test"),
        ("mx.lb.test MX", None),
        ("lb.test NS", None),
        ("mx1.lb.test", None),
        ("sub.lb.test", None),
    ],
)
def test_the_service_is_the_one_that_answers(question: str, service: str | None) -> None:
    """A service of another type at the name, or one that the question does not reach, does not."""
    found = explained(question).service
    assert (None if found is None else to_text(found.name)) == service


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("mx.lb.test", ["A", "AAAA"]),
        ("lb.test", ["MX"]),
        ("_submission._tcp.lb.test", ["SRV"]),
        ("www.lb.test", ["A"]),
        ("x.w.lb.test", ["TXT"]),
        ("nope.lb.test", ["A"]),
    ],
)
def test_without_a_type_it_is_what_clients_ask_for(name: str, types: list[str]) -> None:
    """Both families of an address service, and of other names the addresses if there are any."""
    assert [type_number(each) for each in types] == [shown.rtype for shown in explained(name).shown]


def test_other_data_of_the_name_is_named() -> None:
    """Nobody believes to have seen all of it."""
    assert explained("lb.test").others == (type_number("NS"), type_number("SOA"))
    assert explained("www.lb.test A").others == (type_number("TXT"),)


def test_a_family_that_nobody_has_is_no_other_data() -> None:
    """Both are the service's, and who looks there finds nothing."""
    assert explained("mx.lb.test A").others == (type_number("AAAA"),)
    alone = pool(member("mx1", "192.0.2.11"))
    assert explained("mx.lb.test A", world(_ZONE, alone, service())).others == ()


def test_a_ring_has_its_variants_and_its_ttl() -> None:
    """One of one member each for the addresses; a single one for SRV and for static records."""
    found = {text: explained(text).shown[0] for text in ("mx.lb.test A", "_submission._tcp.lb.test", "www.lb.test A")}
    assert [shown.variants for shown in found.values()] == [64, 1, 1]
    assert [shown.ttl for shown in found.values()] == [17, 30, 300]
    assert len(found["mx.lb.test A"].sections.answer) == 1
    assert [str(line) for line in found["_submission._tcp.lb.test"].sections.answer] == [
        "_submission._tcp.lb.test. 30 SRV 1 50 587 mx1.lb.test.",
        "_submission._tcp.lb.test. 30 SRV 1 30 587 mx2.lb.test.",
        "_submission._tcp.lb.test. 30 SRV 2 1 587 spare.lb.test.",
    ]


def test_a_family_that_nobody_has_is_explained() -> None:
    """It is the service's answer, and an empty one."""
    found = explained("mx.lb.test AAAA", candidates=(candidate_of("mx1", State.DOWN),))
    assert found.why == "no member that is published has an IPv6 address: the answer is empty (NODATA)"
    assert found.service is not None


def test_a_pool_that_must_not_answer_is_explained() -> None:
    """SERVFAIL has a reason too, and the service is known."""
    of = world(pool(member("mx1"), all_down=AllDown.SERVFAIL), service())
    found = explained(
        "mx.lb.test A", of, (Candidate(member("mx1"), candidate().admin, candidate("mx1", State.DOWN).health),)
    )
    assert found.why == (
        "pool inbound publishes nobody, because no member takes mail and all_down is servfail: SERVFAIL"
    )
    assert found.service is not None
    assert (found.shown[0].variants, found.shown[0].ttl) == (0, None)


def candidate_of(name: str, state: State) -> Candidate:
    """Return a member of the pool in another state than up."""
    one = next(each for each in _POOL.members if each.name == name)
    return Candidate(one, candidate().admin, candidate(name, state).health)
