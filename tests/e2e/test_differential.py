"""The same zone from dnslb, NSD, Knot and BIND: every difference in an answer is one that an RFC allows.

And messages that are no usual queries: what they are answered with, and who does the same.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING, NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.e2e import authorities
from tests.e2e.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.e2e.processes import Stage

ZONE = Path(__file__).with_name("differential.zone")
LARGE = "".join(f'many TXT "{n:02} {"x" * 60}"\nsome A 192.0.2.{n}\nsome MX {n} mx1\n' for n in range(1, 26))
CONFIG = """
[server]
listen = ["127.0.0.1:{port}"]
workers = 1
state = "state"
control = "state/control.sock"
http = ""

[zone."lb.test"]
file = "{zone}"
"""
TYPES = (
    *("A", "NS", "CNAME", "SOA", "HINFO", "MX", "TXT", "RP", "AAAA", "LOC", "SRV", "NAPTR", "DNAME", "DS", "SSHFP"),
    *("RRSIG", "NSEC", "DNSKEY", "TLSA", "SMIMEA", "OPENPGPKEY", "SVCB", "HTTPS", "URI", "CAA", "PTR", "TYPE65280"),
    *("ANY", "MAILB", "TYPE0"),
)
RARE = (
    *("AFSDB", "APL", "CDNSKEY", "CDS", "CERT", "CSYNC", "DHCID", "DNSKEY", "EUI48", "EUI64", "IPSECKEY", "KX"),
    *("L32", "L64", "LP", "NID", "RT", "TYPE65281"),
)
"""Types that are asked for where they are. Knot 3.2 reads no ISDN, PX and X25."""
MORE = ("nothing.", "*.nothing.", "x.y.nothing.", "WwW.", "*.*.wild.", "x.y.wild.", "X.y.old.", f"{'x' * 63}.long.")
ELSEWHERE = ("test.", "example.net.", "xlb.test.", ".")
WAYS: dict[str, tuple[int, int, bool]] = {
    "plain": (0, 0, False),
    "RD": (dns.flags.RD, 0, False),
    "EDNS DO": (0, 1232, True),
    "AD CD": (dns.flags.AD | dns.flags.CD, 4096, False),
    "small": (0, 512, False),
    "TCP": (0, 0, False),
}
"""How a question is asked: header flags, EDNS payload (0: without EDNS), and DO."""


class Question(NamedTuple):
    """What all are asked."""

    name: str
    type: str
    way: str

    @property
    def label(self) -> str:
        """The name without that of the zone."""
        return self.name.removesuffix(".lb.test.")

    def octets(self) -> bytes:
        """Return the query, its id 0."""
        flags, payload, dnssec_ok = WAYS[self.way]
        name = dns.name.from_text(self.name).to_wire() or b""
        opt = pack("!xHHxxHH", dns.rdatatype.OPT, payload, 0x8000 * dnssec_ok, 0) if payload else b""
        header = pack("!6H", 0, flags, 1, 0, 0, bool(opt))
        return header + name + pack("!HH", dns.rdatatype.from_text(self.type), 1) + opt


Record = tuple[str, int, str, bytes]
"""Owner, TTL, type and data, both without the difference that case makes."""


class Facts(NamedTuple):
    """What is compared of an answer; of one that is cut (TC) nothing but that, since nothing else counts."""

    rcode: str
    flags: str
    answer: frozenset[Record] = frozenset()
    authority: frozenset[Record] = frozenset()
    glue: frozenset[Record] = frozenset()
    edns: str = ""

    @property
    def is_cut(self) -> bool:
        """Whether the client has to ask again over TCP."""
        return " TC" in self.flags


def facts(wire: bytes) -> Facts:
    """Return what an answer says."""
    flags = int.from_bytes(wire[2:4], "big")
    rcode, text = dns.rcode.to_text(dns.rcode.Rcode(flags & 0xF)), dns.flags.to_text(flags)
    tail, edns = _without_opt(wire[4:])
    found = _sections(tail)
    if flags & dns.flags.TC:
        return Facts(rcode, text, edns=edns or found.edns)
    return found._replace(rcode=rcode, flags=text, edns=edns or found.edns)


def _without_opt(tail: bytes) -> tuple[bytes, str]:
    """Take away an OPT record without options, which all put last: what is left is the same in most ways to ask."""
    number = int.from_bytes(tail[6:8], "big")
    if not number or tail[-11:-8] != b"\0\0\x29" or tail[-2:] != b"\0\0":
        return tail, ""
    return tail[:6] + pack("!H", number - 1) + tail[8:-11], _edns(int.from_bytes(tail[-6:-2], "big"))


def _edns(extended_flags: int) -> str:
    return f"extended flags {extended_flags:08x}"


@lru_cache(maxsize=100_000)
def _sections(tail: bytes) -> Facts:
    message = dns.message.from_wire(b"\0\0\x80\0" + tail, one_rr_per_rrset=True)
    answer, authority, additional = (_records(part) for part in (message.answer, message.authority, message.additional))
    referral = any(rtype == "NS" for _, _, rtype, _ in authority)
    edns = _edns(message.ednsflags) if message.edns >= 0 else "none"
    return Facts("", "", answer, authority, additional if referral else frozenset(), edns)


def _records(section: Iterable[dns.rrset.RRset]) -> frozenset[Record]:
    return frozenset(
        (str(one.name).lower(), one.ttl, dns.rdatatype.to_text(one.rdtype), one[0].to_digestable()) for one in section
    )


def names(text: str) -> list[str]:
    """Return the names to ask for: each of the zone, one below each, and some that are not there."""
    owners = {line.split()[0] for line in text.splitlines() if line and line[0] not in "$;"}
    inside = sorted({"" if owner == "@" else f"{owner}." for owner in owners})
    above = {owner.partition(".")[2] for owner in inside} - set(inside)
    below = [f"x.{owner}" for owner in inside if owner]
    return [*(f"{owner}lb.test." for owner in (*inside, *sorted(above), *below, *MORE)), *ELSEWHERE]


class Allowed(NamedTuple):
    """A difference that is right: the RFC that says so, the peers that have it, when, and what is different then."""

    why: str
    peers: tuple[str, ...]
    applies: Callable[[Question, Facts, Facts], bool]
    fields: tuple[str, ...]

    def forgiven(self, question: Question, ours: Facts, theirs: Facts) -> Facts:
        """Return the peer's answer without this difference."""
        if not self.applies(question, ours, theirs):
            return theirs
        return theirs._replace(**{field: getattr(ours, field) for field in self.fields})


LOOPS = {"loop1", "loop2", "self", "*.lwild", "x.lwild", "x.loop1", "x.round", "x.around"}
ALL = ("rcode", "flags", "answer", "authority", "glue")
ALLOWED = (
    Allowed(
        "RFC 4035 3.1.6: CD is copied into the response",
        ("NSD", "Knot"),
        lambda question, ours, theirs: question.way == "AD CD" and ours.flags.replace(" CD", "") == theirs.flags,
        ("flags",),
    ),
    Allowed(
        "RFC 8482 4.1: one RRset is enough for ANY, and any will do",
        ("NSD", "Knot", "BIND"),
        lambda question, ours, _: question.type == "ANY" and len({record[::2] for record in ours.answer}) == 1,
        ("answer", "flags"),
    ),
    Allowed(
        "RFC 2181 5.2: TTLs in an RRset must not differ, and the lowest is what no record outlives",
        ("NSD", "BIND"),
        lambda question, ours, theirs: question.name == "mixed.lb.test." and _but_ttl(ours) == _but_ttl(theirs),
        ("answer",),
    ),
    Allowed(
        "RFC 1035 4.1.4: a server need not compress; compressed against the question only, this is too long for 512",
        ("NSD", "Knot", "BIND"),
        lambda question, ours, theirs: question[:2] == ("some.lb.test.", "MX") and ours.is_cut > theirs.is_cut,
        ("answer", "flags"),
    ),
    Allowed(
        "RFC 4035 2.5: an alias may own RRSIG and NSEC, so that a question for these is not led on",
        ("NSD",),
        lambda question, _, theirs: question.type in {"RRSIG", "NSEC"} and "CNAME" in {one[2] for one in theirs.answer},
        ("rcode", "answer", "authority", "glue"),
    ),
    Allowed(
        "RFC 1034 3.6.2: software should not fail when presented with loops",
        ("BIND",),
        lambda question, _, theirs: question.label in LOOPS and theirs.rcode == "SERVFAIL",
        ("rcode",),
    ),
    Allowed(
        "RFC 6672 3.2: a DNAME leads on whatever the type",
        ("BIND",),
        lambda question, _, theirs: question.type == "ANY" and {one[2] for one in theirs.answer} == {"DNAME", "CNAME"},
        ("rcode", "answer", "authority"),
    ),
    Allowed(
        "RFC 6672 2.2: a name that becomes too long is YXDOMAIN",
        ("Knot",),
        lambda _, ours, theirs: (ours.rcode, theirs.rcode) == ("YXDOMAIN", "NXDOMAIN"),
        ("rcode", "authority"),
    ),
    Allowed(
        "RFC 8906 3.1.2: a type that is not known is one that is not there",
        ("BIND",),
        lambda question, _, theirs: question.type == "MAILB" and theirs.rcode == "NOTIMP",
        ALL,
    ),
    Allowed(
        "RFC 8906 3.1.2: a type that is not known is one that is not there",
        ("Knot",),
        lambda question, _, theirs: question.type == "TYPE0" and theirs.rcode == "NOTIMP",
        ALL,
    ),
    Allowed(
        "RFC 1034 4.3.2, 3b: whatever addresses are available go with a referral",
        ("BIND",),
        lambda question, *_: question.label in {"inside", "x.inside"},
        ("glue",),
    ),
)


def _but_ttl(found: Facts) -> set[tuple[str, str, bytes]]:
    return {(owner, rtype, data) for owner, _, rtype, data in found.answer}


def test_all_answer_alike(stage: Stage) -> None:
    """All names and types in all ways: what differs is in the list above, and what is in the list does differ."""
    zone = stage.path / "zone"
    zone.write_text(ZONE.read_text() + LARGE)
    ports = {**authorities.start(stage, zone), "dnslb": _start(stage, zone)}
    asked = [(name, rtype) for name in names(zone.read_text()) for rtype in TYPES]
    asked += [("rare.lb.test.", rtype) for rtype in RARE]
    questions = [Question(*what, way) for way in WAYS for what in asked]
    authorities.wait_for(ports, Question("lb.test.", "SOA", "plain").octets())
    found = {name: _asked(port, questions) for name, port in ports.items()}

    unforgiven: dict[tuple[str, str], list[str]] = defaultdict(list)
    needed = set()
    for question, ours, *others in zip(questions, found.pop("dnslb"), *found.values(), strict=True):
        for peer, theirs in zip(found, others, strict=True):
            left, used = _compare(peer, question, ours, theirs)
            needed |= used
            if left != ours:
                unforgiven[peer, question.type].append(f"{question}\n  ours:   {ours}\n  theirs: {theirs}")
    assert not unforgiven, "\n".join(f"{peer}: {len(all_)}, as {all_[0]}" for (peer, _), all_ in unforgiven.items())
    assert needed == {(peer, allowed.why) for allowed in ALLOWED for peer in allowed.peers}


def _message(
    *behind: bytes, flags: int = 0, counts: tuple[int, ...] = (1, 0, 0, 0), name: str = "", rtype: str = "SOA"
) -> bytes:
    """Return a message, its id 0, with a question for a name in lb.test unless its first count says it has none."""
    asked = dns.name.from_text(f"{name}lb.test.").to_wire() or b""
    question = asked + pack("!HH", dns.rdatatype.from_text(rtype), 1) if counts[0] else b""
    return pack("!6H", 0, flags, *counts) + question + b"".join(behind)


class Odd(NamedTuple):
    """A message that clients hardly send, what it is answered with, and who does the same."""

    octets: bytes
    rcode: str
    peers: str
    stream: bool = False


OPT = pack("!xHHxBHH", dns.rdatatype.OPT, 1232, 0, 0, 0)
RECORD = b"\xc0\x0c" + pack("!HHIH", 6, 1, 0, 22) + bytes(22)
IN_ANSWER, IN_AUTHORITY, IN_ADDITIONAL = (1, 1, 0, 0), (1, 0, 1, 0), (1, 0, 0, 1)
ODD = {
    "IQUERY": Odd(_message(flags=1 << 11), "NOTIMP", "NSD Knot BIND"),
    "STATUS": Odd(_message(OPT, flags=2 << 11, counts=IN_ADDITIONAL), "NOTIMP", "NSD Knot BIND"),
    "UPDATE": Odd(_message(flags=5 << 11), "NOTIMP", "NSD"),
    "an unknown opcode": Odd(_message(flags=15 << 11), "NOTIMP", "NSD Knot BIND"),
    "an unknown opcode, a header": Odd(_message(flags=15 << 11, counts=(0, 0, 0, 0)), "NOTIMP", "NSD Knot BIND"),
    "IXFR": Odd(_message(RECORD, counts=IN_AUTHORITY, rtype="IXFR"), "REFUSED", "NSD"),
    "IXFR of no zone": Odd(_message(RECORD, counts=IN_AUTHORITY, name="a.", rtype="IXFR"), "NOTAUTH", "NSD Knot BIND"),
    "AXFR": Odd(_message(rtype="AXFR"), "REFUSED", "NSD", stream=True),
    "AXFR of no zone": Odd(_message(name="a.", rtype="AXFR"), "NOTAUTH", "NSD Knot BIND", stream=True),
    "an answer": Odd(_message(RECORD, counts=IN_ANSWER), "NOERROR", "Knot BIND"),
    "an authority": Odd(_message(RECORD, counts=IN_AUTHORITY), "NOERROR", "Knot BIND"),
    "additional records": Odd(_message(RECORD * 3, counts=(1, 0, 0, 3)), "NOERROR", "Knot BIND"),
    "no question": Odd(_message(counts=(0, 0, 0, 0)), "FORMERR", "NSD Knot BIND"),
    "no question, EDNS": Odd(_message(OPT, counts=(0, 0, 0, 1)), "FORMERR", "Knot BIND"),
    "two OPT": Odd(_message(OPT * 2, counts=(1, 0, 0, 2)), "FORMERR", "NSD Knot BIND"),
    "OPT in the answer": Odd(_message(OPT, counts=IN_ANSWER), "FORMERR", "NSD Knot BIND"),
    "OPT below the root": Odd(_message(b"\1x" + OPT, counts=IN_ADDITIONAL), "FORMERR", "NSD BIND"),
    "OPT that is cut": Odd(_message(OPT[:-1], counts=IN_ADDITIONAL), "FORMERR", "NSD Knot BIND"),
    "half an option": Odd(_message(OPT[:-1] + b"\2\0\3", counts=IN_ADDITIONAL), "FORMERR", "NSD Knot BIND"),
    "an octet too many": Odd(_message(b"x"), "FORMERR", "Knot"),
    "a cookie too short": Odd(_message(OPT[:-1] + b"\7\0\x0a\0\3abc", counts=IN_ADDITIONAL), "FORMERR", "BIND"),
    "a later version": Odd(_message(OPT[:6] + b"\1" + OPT[7:], counts=IN_ADDITIONAL), "BADVERS", "NSD Knot BIND"),
}


def test_odd_messages_are_understood_alike(stage: Stage) -> None:
    """What one of the others answers in another way is no matter of an RFC, or of what this one has not."""
    ports = {**authorities.start(stage, ZONE), "dnslb": _start(stage, ZONE)}
    authorities.wait_for(ports, Question("lb.test.", "SOA", "plain").octets())
    for what, odd in ODD.items():
        found = {name: _rcode(_exchanged(port, odd)) for name, port in ports.items()}
        assert found.pop("dnslb") == odd.rcode, what
        assert {peer for peer, rcode in found.items() if rcode == odd.rcode} == set(odd.peers.split()), what


def _exchanged(port: int, odd: Odd) -> bytes:
    exchange = authorities.exchange_by_stream if odd.stream else authorities.exchange
    return exchange(port, [odd.octets])[0]


def _rcode(answer: bytes) -> str:
    """Return the response code, with the upper bits of an OPT record without options if that comes last."""
    upper = answer[-6] if answer[-11:-8] == OPT[:3] else 0
    return dns.rcode.to_text(dns.rcode.Rcode(upper << 4 | answer[3] & 0xF))


def _compare(peer: str, question: Question, ours: Facts, theirs: Facts) -> tuple[Facts, set[tuple[str, str]]]:
    """Return a peer's answer without what is allowed, and which differences there were."""
    used = set()
    for allowed in ALLOWED:
        if peer in allowed.peers and theirs != ours:
            forgiven = allowed.forgiven(question, ours, theirs)
            if forgiven != theirs:
                used.add((peer, allowed.why))
            theirs = forgiven
    return theirs, used


def _start(stage: Stage, zone: Path) -> int:
    """Start dnslb with the zone; return its port."""
    port = free_port()
    config = stage.directory("dnslb") / "dnslb.toml"
    config.write_text(CONFIG.format(port=port, zone=zone))
    stage.start("dnslb", [sys.executable, "-m", "dnslb", "run", "-c", str(config)])
    return port


def _asked(port: int, questions: list[Question]) -> list[Facts]:
    """Return what a server says to each question."""
    by_stream = [question.way == "TCP" for question in questions].index(True)
    queries = [question.octets() for question in questions]
    answers = authorities.exchange(port, queries[:by_stream])
    return [*map(facts, answers), *map(facts, authorities.exchange_by_stream(port, queries[by_stream:]))]
