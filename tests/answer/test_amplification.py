"""What somebody is sent who has not asked: how long an answer over UDP is, and how many times its query."""

from itertools import product

import dns.edns
import dns.rdatatype
import pytest

from dnslb.answer.cookies import Cookies
from dnslb.answer.responder import respond
from dnslb.answer.service import ServiceType
from dnslb.answer.snapshot import made_ready
from dnslb.answer.turns import Turns
from tests.conftest import CLIENT, decoded, member, pool, question, service, snapshot, zone

SNAPSHOT = made_ready(
    snapshot(
        zone(
            """
@ MX 10 mx
@ TXT "v=spf1 -all"
mx A 192.0.2.9
www A 192.0.2.1
large TXT """
            + " ".join(f'"{character * 250}"' for character in "abcdefgh")
            + """
alias CNAME www
away DNAME elsewhere.test.
*.wild A 192.0.2.2
sub NS ns1.sub
sub NS ns2.sub
ns1.sub A 192.0.2.54
ns2.sub A 192.0.2.55
ns1.sub AAAA 2001:db8::54
"""
        ),
        pool(*(member(f"mx{number}", f"192.0.2.{number}", f"2001:db8::{number}") for number in range(1, 41))),
        service("relay.lb.test", records=2),
        service("every.lb.test"),
        service("mail.lb.test", ServiceType.MX),
        service("few.lb.test", ServiceType.MX, records=2),
        service("_submission._tcp.lb.test", ServiceType.SRV),
    )
)
NAMES = [
    "lb.test",
    "mx.lb.test",
    "www.lb.test",
    "large.lb.test",
    "alias.lb.test",
    "x.away.lb.test",
    "x.wild.lb.test",
    "sub.lb.test",
    "x.sub.lb.test",
    "no.lb.test",
    "relay.lb.test",
    "every.lb.test",
    "mail.lb.test",
    "few.lb.test",
    "mx1.lb.test",
    "_submission._tcp.lb.test",
    "other.test",
]
TYPES = ["A", "AAAA", "NS", "MX", "SRV", "TXT", "SOA", "CNAME", "DS", "ANY", "HTTPS", "AXFR", "TYPE65280"]


def answer(query: bytes) -> bytes:
    """Return what is sent to a client over UDP."""
    response, _ = respond(query, SNAPSHOT, Turns(0), CLIENT, Cookies((bytes(16),)))
    assert response is not None
    return response


def times(text: str, payload: int | None = 65535) -> float:
    """Return how many times its query the answer is as long."""
    query = question(text, payload=payload)
    return len(answer(query)) / len(query)


@pytest.mark.parametrize("payload", [None, 0, 511, 512, 513, 1231, 1232, 1233, 1500, 4096, 65535])
def test_no_answer_is_longer_than_it_may_be(payload: int | None) -> None:
    """512 octets without EDNS, otherwise what the client takes, and 1232 at the most, whatever it says."""
    most = 512 if payload is None else min(max(payload, 512), 1232)
    options = [
        dns.edns.GenericOption(dns.edns.OptionType.NSID, b""),
        dns.edns.CookieOption(bytes(8), b""),
        dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(400)),
    ]
    for name, rtype, rdclass in product(NAMES, TYPES, ("IN", "CH", "ANY")):
        text = f"{name} {rtype} {rdclass}"
        assert len(answer(question(text, payload=payload))) <= most
        if payload is not None:
            assert len(answer(question(text, payload=payload, dnssec_ok=True, options=options))) <= most


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("www.lb.test A", 1.5),
        ("relay.lb.test A", 2),
        ("few.lb.test MX", 2.1),
        ("lb.test NS", 2.1),
        ("alias.lb.test A", 2),
        ("x.away.lb.test A", 2.5),
        ("lb.test SOA", 3),
        ("www.lb.test MX", 3),
        ("no.lb.test A", 3),
        ("x.sub.lb.test A", 4.2),
        ("lb.test ANY", 3),
        ("www.lb.test ANY", 1.5),
        ("other.test A", 1.2),
        ("lb.test AXFR", 1.2),
        ("www.lb.test A CH", 1.2),
        ("large.lb.test TXT", 1),
        ("large.lb.test ANY", 1),
        ("_submission._tcp.lb.test SRV", 1),
    ],
)
def test_common_answers_are_a_few_times_their_query(text: str, most: float) -> None:
    """Data, denials, referrals with glue, errors; what does not fit into 1232 octets is no longer than its query."""
    assert times(text) <= most
    assert times(text, None) <= most + 1


def test_only_many_members_make_a_long_answer() -> None:
    """All 40 of a pool in one answer are what its service says; without EDNS such an answer is none."""
    longest = {text: times(text) for name, rtype in product(NAMES, TYPES) if times(text := f"{name} {rtype}") > 5}
    assert set(longest) == {f"every.lb.test {rtype}" for rtype in ("A", "AAAA", "ANY")} | {
        "mail.lb.test MX",
        "mail.lb.test ANY",
    }
    assert max(longest.values()) < 1232 / len(question("every.lb.test A", payload=1232))
    assert max(times(text, None) for text in longest) == 1


@pytest.mark.parametrize("name", NAMES)
def test_any_gets_no_more_than_one_type_does(name: str) -> None:
    """It is the question that asks for most, and one RRset answers it (RFC 8482 section 4.1), or a DNAME's two."""
    found = decoded(answer(question(f"{name} ANY", payload=4096)))
    assert len({rrset.rdtype for rrset in found.answer} - {dns.rdatatype.DNAME}) <= 1
    assert times(f"{name} ANY") <= max(times(f"{name} {rtype}") for rtype in TYPES if rtype != "ANY")


@pytest.mark.parametrize(("name", "rtype"), list(product(NAMES, TYPES)))
def test_nothing_is_added_that_is_not_needed(name: str, rtype: str) -> None:
    """Beside an answer stand addresses of the hosts that it names, and nothing else."""
    found = decoded(answer(question(f"{name} {rtype}", payload=4096)))
    named = {
        target
        for rrset in (*found.answer, *found.authority)
        for target in (getattr(data, "target", None) or getattr(data, "exchange", None) for data in rrset)
    }
    for rrset in found.additional:
        assert rrset.rdtype in {dns.rdatatype.A, dns.rdatatype.AAAA}
        assert rrset.name in named
