"""Referrals, glue, DS, and zones that are each other's parent and child."""

import dns.flags
import dns.message
import dns.rcode
import pytest

from dnslb.answer.responder import respond
from dnslb.answer.turns import Turns
from dnslb.wire.name import from_text
from tests.conftest import CLIENT, ask, decoded, lines, question, snapshot, zone

_DIGEST = "0" * 63 + "1"
SNAPSHOT = snapshot(
    zone(f"""
        child 600 NS ns.child
        child 600 NS NS2.deep.child
        child 600 NS ns.elsewhere.test.
        child DS 1 13 2 {_DIGEST}
        ns.child 60 A 192.0.2.5
        ns.child 60 AAAA 2001:db8::5
        ns2.deep.child A 192.0.2.6
        sibling NS ns.child
        bare NS ns.elsewhere.test.
        ours NS ns
        a.b.far NS ns
        *.wild TXT "x"
        far.wild NS ns
        """)
)
_AUTHORITY = [
    "child.lb.test. 600 NS ns.child.lb.test.",
    "child.lb.test. 600 NS NS2.deep.child.lb.test.",
    "child.lb.test. 600 NS ns.elsewhere.test.",
]
_GLUE = [
    "ns.child.lb.test. 60 A 192.0.2.5",
    "ns.child.lb.test. 60 AAAA 2001:db8::5",
    "ns2.deep.child.lb.test. 300 A 192.0.2.6",
]


def _referral(message: dns.message.Message) -> tuple[list[str], list[str]]:
    """Return authority and additional of what must be a referral."""
    assert (message.rcode(), message.answer) == (dns.rcode.NOERROR, [])
    assert not message.flags & (dns.flags.AA | dns.flags.TC)
    return lines(message.authority), lines(message.additional)


@pytest.mark.parametrize("asked", ["child A", "child NS", "child SOA", "child ANY", "www.child MX", "a.b.c.child AAAA"])
@pytest.mark.parametrize("payload", [None, 1232, 1000])
def test_at_and_below_a_cut(asked: str, payload: int | None) -> None:
    """Name servers in authority, their addresses in additional, AA clear: for the cut's own name and all below."""
    name, rdtype = asked.split()
    assert _referral(ask(SNAPSHOT, f"{name}.lb.test {rdtype}", payload=payload)) == (_AUTHORITY, _GLUE)


@pytest.mark.parametrize("asked", ["ns.child A", "ns.child AAAA", "ns2.deep.child A", "x.ns.child A", "ns.child DS"])
def test_glue_is_no_answer(asked: str) -> None:
    """It belongs to the child, which alone is an authority for it."""
    name, rdtype = asked.split()
    assert _referral(ask(SNAPSHOT, f"{name}.lb.test {rdtype}")) == (_AUTHORITY, _GLUE)


_OTHERS = {
    "sibling": (["sibling.lb.test. 300 NS ns.child.lb.test."], _GLUE[:2]),
    "bare": (["bare.lb.test. 300 NS ns.elsewhere.test."], []),
    "ours": (["ours.lb.test. 300 NS ns.lb.test."], ["ns.lb.test. 300 A 192.0.2.53"]),
    "a.b.far": (["a.b.far.lb.test. 300 NS ns.lb.test."], ["ns.lb.test. 300 A 192.0.2.53"]),
    "far.wild": (["far.wild.lb.test. 300 NS ns.lb.test."], ["ns.lb.test. 300 A 192.0.2.53"]),
}


@pytest.mark.parametrize("cut", _OTHERS)
@pytest.mark.parametrize("below", ["", "www.", "a.b.c.d."])
def test_glue_is_whatever_address_the_zone_holds(cut: str, below: str) -> None:
    """Below another cut or in the zone itself; a host elsewhere has none. A wildcard beside the cut says nothing."""
    assert _referral(ask(SNAPSHOT, f"{below}{cut}.lb.test TXT")) == _OTHERS[cut]


def test_the_ds_at_a_cut_is_the_parents() -> None:
    """It is answered with AA (RFC 4035 section 3.1.4.1); a cut without one is NODATA from the parent."""
    message = ask(SNAPSHOT, "child.lb.test DS")
    assert message.flags & dns.flags.AA
    assert lines(message.answer) == [f"child.lb.test. 300 DS 1 13 2 {_DIGEST}"]
    message = ask(SNAPSHOT, "bare.lb.test DS")
    assert message.flags & dns.flags.AA
    assert (message.rcode(), message.answer, message.authority[0].rdtype) == (0, [], dns.rdatatype.SOA)


def test_a_referral_without_room_for_its_glue_is_truncated() -> None:
    """A resolver that gets no glue would be lost (RFC 9471): it is told to come again over TCP."""
    hosts = "\n".join(f"child NS a-name-server-{n}.child\na-name-server-{n}.child A 192.0.2.{n}" for n in range(11))
    of = snapshot(zone(hosts))
    response, _ = respond(question("www.child.lb.test A"), of, Turns(0), CLIENT)
    message = decoded(response or b"")
    assert message.flags & dns.flags.TC
    assert not message.flags & dns.flags.AA
    assert [message.answer, message.authority, message.additional] == [[], [], []]
    message = ask(of, "www.child.lb.test A", stream=True)
    assert [len(_referral(message)[0]), len(_referral(message)[1])] == [11, 11]


# Parent and child, both ours

_CHILD = """
www A 192.0.2.7
mail MX 10 www
alias CNAME www
"""
_ZONES = (
    zone(f"""
        child NS ns.child
        child DS 1 13 2 {_DIGEST}
        ns.child A 192.0.2.53
        away CNAME www.child
        toalias CNAME alias.child
        unsigned NS ns.unsigned
        ns.unsigned A 192.0.2.53
        * A 192.0.2.66
        """),
    zone(_CHILD, "child.lb.test"),
    zone("", "unsigned.lb.test"),
    zone("", "grand.child.lb.test"),
)
FAMILY = snapshot(*_ZONES)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("www.child.lb.test A", "www.child.lb.test. 300 A 192.0.2.7"),
        ("child.lb.test NS", "child.lb.test. 300 NS ns.child.lb.test."),
        ("ns.child.lb.test A", "ns.child.lb.test. 300 A 192.0.2.53"),
        ("ns.grand.child.lb.test A", "ns.grand.child.lb.test. 300 A 192.0.2.53"),
        ("child.lb.test DS", f"child.lb.test. 300 DS 1 13 2 {_DIGEST}"),
        ("away.lb.test A", "away.lb.test. 300 CNAME www.child.lb.test."),
        ("toalias.lb.test A", "toalias.lb.test. 300 CNAME alias.child.lb.test."),
    ],
)
@pytest.mark.parametrize("payload", [None, 1000])
def test_the_lowest_zone_answers(asked: str, expected: str, payload: int | None) -> None:
    """With AA, from its own data, though the parent has a cut there; only the DS is the parent's."""
    message = ask(FAMILY, asked, payload=payload)
    assert message.flags & dns.flags.AA
    assert lines(message.answer) == [expected]


@pytest.mark.parametrize(
    ("asked", "apex", "rcode"),
    [
        ("no.child.lb.test A", "child.lb.test.", 3),
        ("no.child.lb.test DS", "child.lb.test.", 3),
        ("child.lb.test TXT", "child.lb.test.", 0),
        ("no.grand.child.lb.test A", "grand.child.lb.test.", 3),
        ("unsigned.lb.test DS", "lb.test.", 0),
        ("lb.test DS", "lb.test.", 0),
        ("unsigned.lb.test TXT", "unsigned.lb.test.", 0),
    ],
)
def test_the_lowest_zone_denies(asked: str, apex: str, rcode: int) -> None:
    """With its own SOA, and no wildcard of the parent's in the way; a missing DS is denied by the parent."""
    message = ask(FAMILY, asked)
    assert (message.rcode(), message.answer) == (rcode, [])
    assert [str(rrset.name) for rrset in message.authority] == [apex]


def test_the_order_of_the_zones_says_nothing() -> None:
    """Parents first or children first, the table is the same."""
    assert snapshot(*reversed(_ZONES)) == FAMILY


def test_a_parent_that_does_not_delegate_hides_nothing_of_the_child() -> None:
    """What the parent's file has at or below the child's apex is not ours to answer: the child's zone is closer."""
    parent = zone("child TXT parent\nchild MX 10 ns\nwww.child TXT parent\nold.child A 192.0.2.8\n*.child A 192.0.2.9")
    of = snapshot(parent, zone(_CHILD, "child.lb.test"))
    for text in ("child.lb.test TXT", "child.lb.test MX", "www.child.lb.test TXT"):
        message = ask(of, text)
        assert (message.rcode(), message.answer) == (dns.rcode.NOERROR, [])
        assert message.authority[0].name == dns.name.from_text("child.lb.test")
    for text in ("old.child.lb.test A", "any.child.lb.test A"):
        assert ask(of, text).rcode() == dns.rcode.NXDOMAIN
    assert from_text("child.lb.test") in of.zones
