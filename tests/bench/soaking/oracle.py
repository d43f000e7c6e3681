"""What the answers of a soak may be at any moment: who must be in them, who must not, and what they must never be.

Times are seconds of the monotonic clock. Whatever is changing may be in an answer or not; so each claim says from when
on it must be seen, and an answer is judged by when it was asked for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

import dns.flags
import dns.rcode
import dns.rdatatype

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from dns.message import Message
    from dns.rdata import Rdata
    from dns.rrset import RRset

ZONE = "lb.example.org"
_STATIC = "192.0.2.53"
_LONG = 3600.0
_TOLERANCE = 2.0
"""Seconds after a change by which all workers must have been heard to answer from it, on a machine that is busy."""


@dataclass(slots=True)
class Claim:
    """Something that is so, for all who ask from `here` on; or is not so, for all who ask from `gone` on."""

    here: float = inf
    gone: float = inf

    def holds(self, at: float) -> None:
        """Expect it from a time on."""
        self.here, self.gone = at, inf

    def ends(self, at: float) -> None:
        """Expect that it is not so from a time on."""
        self.here, self.gone = inf, at

    def wavers(self) -> None:
        """Expect nothing."""
        self.here = self.gone = inf

    def is_put_off(self, until_here: float, until_gone: float) -> None:
        """Expect it so many seconds later from now on, unless it is known to be gone."""
        now = time.monotonic()
        if self.here < inf:
            self.here = max(self.here, now + until_here)
        if now < self.gone < inf:
            self.gone = now + until_gone

    def is_ending(self) -> None:
        """Expect it no more, and its end only when that is confirmed."""
        self.ends(time.monotonic() + _LONG)

    def is_done(self, *, now_holds: bool) -> None:
        """Expect what a command has just confirmed."""
        at = time.monotonic() + _TOLERANCE
        if now_holds:
            self.holds(at)
        else:
            self.ends(at)


@dataclass(slots=True)
class Member:
    """A mail server: whether it is configured, whether it works, and whether an operator lets it have mail."""

    name: str
    address: str
    configured: Claim = field(default_factory=Claim)
    works: Claim = field(default_factory=Claim)
    wanted: Claim = field(default_factory=lambda: Claim(here=0.0))

    def must_be_in(self, asked: float) -> bool:
        """Say whether all who asked then get it, if they get all members."""
        return all(claim.here <= asked for claim in (self.configured, self.works, self.wanted))

    def must_be_out(self, asked: float) -> bool:
        """Say whether nobody who asked then gets it, while others are well."""
        return any(claim.gone <= asked for claim in (self.configured, self.works, self.wanted))


@dataclass(slots=True)
class Pool:
    """Members by name, those that were removed among them.

    Of a `calm` pool most are always well, so that we know who is published; of any other only who is configured.
    `kinds` are its services: see KINDS.
    """

    name: str
    kinds: tuple[str, ...]
    calm: bool = True
    members: dict[str, Member] = field(default_factory=dict)
    configured: Claim = field(default_factory=Claim)

    def now(self) -> list[Member]:
        """Return who is configured, or is just coming."""
        return [member for member in self.members.values() if member.configured.gone == inf]

    def unsettled(self) -> int:
        """Return how many of those are not sure to be in the answers."""
        at = time.monotonic()
        return sum(not member.must_be_in(at) for member in self.now())

    def forget(self, seconds: float) -> None:
        """Forget who has been gone for so long."""
        at = time.monotonic() - seconds
        self.members = {name: member for name, member in self.members.items() if member.configured.gone > at}


KINDS = {
    "all": "A",
    "two": "A",
    "mail": "MX",
    "_submission._tcp": "SRV",
}
"""The first labels of a pool's services, and the type of their records."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and of what the answer is told: a pool's service, the host of a member, or something static."""

    name: str
    rdtype: str
    about: str
    pool: Pool | None = None
    address: str = ""


class Oracle:
    """Knows the pools, the version that a static record tells, and which hosts caches may still point at."""

    def __init__(self) -> None:
        self.pools: dict[str, Pool] = {}
        self.versions: dict[str, Claim] = {}
        self._hosts: dict[str, tuple[str, float]] = {}
        """Address, and until when it must be answered."""
        self._serials: list[tuple[float, int]] = [(0.0, 0)]

    def question(self, chance: random.Random) -> Question:
        """Draw a question that has one right sort of answer now."""
        draw = chance.random()
        if draw < 0.15 and (host := self._host(chance)):
            return host
        if draw < 0.25:
            return chance.choice(_STATIC_QUESTIONS)
        now = time.monotonic()
        pool = chance.choice([each for each in self.pools.values() if each.configured.here <= now])
        kind = chance.choice(pool.kinds)
        return Question(f"{kind}.{pool.name}.{ZONE}", KINDS[kind], kind, pool)

    def _host(self, chance: random.Random) -> Question | None:
        now = time.monotonic()
        self._hosts = {host: (address, until) for host, (address, until) in self._hosts.items() if until > now}
        if not self._hosts:
            return None
        host = chance.choice(list(self._hosts))
        return Question(host, "A", "host", address=self._hosts[host][0])

    def fault(self, question: Question, reply: Message, asked: float) -> str:
        """Return what is wrong with an answer, "" if nothing is."""
        if question.about == "foreign":
            return _unless(reply.rcode() == dns.rcode.REFUSED, f"rcode {dns.rcode.to_text(reply.rcode())}")
        if question.pool is not None and question.pool.configured.here > asked:
            return ""  # it goes just now
        if not reply.flags & dns.flags.AA:
            return "not authoritative"
        wanted = dns.rcode.NXDOMAIN if question.about == "nobody" else dns.rcode.NOERROR
        if reply.rcode() != wanted:
            return f"rcode {dns.rcode.to_text(reply.rcode())}"
        found = [_text(rdata) for rrset in reply.answer for rdata in rrset if _is(rrset, question)]
        if question.pool is not None:
            return self._fault_of_service(question, question.pool, reply, found, asked)
        return self._fault_of_static(question, found, asked)

    def _fault_of_static(self, question: Question, found: list[str], asked: float) -> str:
        if not found and question.about != "nobody":
            return "no record"
        if question.about == "serial":
            return self._fault_of_serial(int(found[0]), asked)
        if question.about == "version":
            claim = self.versions.get(found[0], Claim(gone=0.0))
            newest = next((text for text, each in self.versions.items() if each.here <= asked), found[0])
            return _unless(claim.gone > asked and found[0] == newest, f"{found}, and not {newest}")
        wanted = [] if question.about == "nobody" else [question.address]
        return _unless(found == wanted, f"{found}, and not {wanted}")

    def _fault_of_serial(self, serial: int, asked: float) -> str:
        """Judge a serial: it goes back for nobody but who meets another worker in the moment of a change."""
        before = max(known for at, known in self._serials if at < asked - _TOLERANCE)
        if serial > self._serials[-1][1]:
            self._serials = [*self._serials[-_MOST_SERIALS:], (time.monotonic(), serial)]
        return _unless(serial >= before, f"serial {serial} after {before}")

    def _fault_of_service(self, question: Question, pool: Pool, reply: Message, found: list[str], asked: float) -> str:
        if not found:
            return "no record"
        if question.rdtype == "A":
            names = {member.address: member.name for member in pool.members.values()}
        else:
            names = {f"{member.name}.{ZONE}.": member.name for member in pool.members.values()}
            self._follow(pool, reply)
        strange = [text for text in found if text not in names]
        if strange or len(set(found)) != len(found):
            return f"{found}: nobody of the pool, or twice"
        return "; ".join(_faults_of_members(pool, {names[text] for text in found}, question.about, asked))

    def _follow(self, pool: Pool, reply: Message) -> None:
        """Have the hosts that an answer names looked up while a cache may have it: each must have its address."""
        until = time.monotonic() + min(rrset.ttl for rrset in reply.answer)
        for member in pool.members.values():
            host = f"{member.name}.{ZONE}."
            if any(_text(rdata) == host for rrset in reply.answer for rdata in rrset):
                _, before = self._hosts.get(host, ("", 0.0))
                self._hosts[host] = member.address, max(before, until)


_MOST_SERIALS = 200
_STATIC_QUESTIONS = (
    Question(f"ns1.{ZONE}", "A", "static", address=_STATIC),
    Question(f"version.{ZONE}", "TXT", "version"),
    Question(ZONE, "SOA", "serial"),
    Question(f"nobody.{ZONE}", "A", "nobody"),
    Question("www.example.net", "A", "foreign"),
)


def _faults_of_members(pool: Pool, found: set[str], kind: str, asked: float) -> Iterator[str]:
    for member in pool.members.values():
        is_in = member.name in found
        if is_in and (member.must_be_out(asked) if pool.calm else member.configured.gone <= asked):
            yield f"{member.name} is in"
        if not is_in and pool.calm and kind != "two" and member.must_be_in(asked):
            yield f"{member.name} is missing"


def _is(rrset: RRset, question: Question) -> bool:
    return rrset.rdtype == dns.rdatatype.from_text(question.rdtype)


def _text(rdata: Rdata) -> str:
    """Return what an answer says in one word: an address, a target, a text, a serial."""
    words = rdata.to_text().split()
    if rdata.rdtype in (dns.rdatatype.MX, dns.rdatatype.SRV):
        return words[-1]
    return words[2] if rdata.rdtype == dns.rdatatype.SOA else words[0].strip('"')


def _unless(condition: bool, text: str) -> str:  # noqa: FBT001 - the sentence reads so
    return "" if condition else text
