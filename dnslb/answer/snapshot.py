"""The compiled answer table: what a worker answers from. Whoever reads it leaves it as it is; see `apply` for changes.

All names are in wire format, lower case. Octets that stand behind the question hold compression pointers into it,
so they are right only in an answer to a question of the same length: that of the name they are filed under. What is
filed under a wildcard, and what serves any name below a cut, has none but those put in per query.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from dnslb.answer.terms import Terms
from dnslb.answer.views import Views
from dnslb.wire import rrtype
from dnslb.wire.header import Rcode
from dnslb.wire.name import MAX_NAME


class Variant(NamedTuple):
    """One way to answer: the section counts without and with an OPT record, and the answer section."""

    counts: bytes
    counts_with_opt: bytes
    answer: bytes


class Rotation(NamedTuple):
    """All ways to answer one question: a ring that is gone round a variant at a time, or entered `by_source`.

    `key` stands for the question in the table of turns; it is b"" for what no pool decides, which has one variant.
    `tally` is its counter's slot, `additional` may be left out when the response would be too long. An empty ring means
    SERVFAIL: the pool must not answer. With `by_source` a client always gets the variant at its network's place (see
    sources).

    `views` has what clients of a view get instead, where that is different. `missing` says that there is no such data:
    in the view whose rotation it is, or, beside `views`, for all that have none there. `notice` is an EDNS option that
    goes with each response to a query with EDNS, b"" as a rule: an extended error (RFC 8914).
    """

    key: bytes
    tally: int
    ring: tuple[Variant, ...]
    additional: bytes
    by_source: bool = False
    views: Mapping[str, "Rotation"] | None = None
    missing: bool = False
    notice: bytes = b""


Answers = Mapping[bytes, Rotation]
"""QTYPE and QCLASS as four octets -> the rotation; all that one name answers with data."""

ALIAS = rrtype.question_tail(rrtype.CNAME)
"""Where an alias stands among the answers of its name."""

Template = tuple[bytes, ...]
"""Octets with holes for one pointer: `pointer.join(template)`."""


class Referral(NamedTuple):
    """A delegation (RFC 1034 section 4.2.1); the holes point at the cut."""

    name_servers: int
    authority: Template
    glue_records: int
    glue: Template


class Alias(NamedTuple):
    """A CNAME chain and where it ends: what a type that is not there gets (RFC 6604 section 3).

    The chain goes on at the name `onward`, b"" if it does not: only when it is asked can be told what is there.
    """

    chain: Variant
    rcode: Rcode
    with_soa: bool
    onward: bytes = b""


class Redirect(NamedTuple):
    """A DNAME (RFC 6672): its target and TTL, and the record without its owner."""

    target: bytes
    ttl: int
    record: bytes


@dataclass(frozen=True, slots=True)
class CompiledZone:
    """What the names of a zone share.

    `soa` is the negative answer's SOA record, its holes pointing at the apex. `empty` are the names that exist without
    data: empty non-terminals, and cuts without a DS. `aliases` says what a type gets that is not at the end of a chain.
    `redirects` are the owners of a DNAME. A `plain` zone has none, no cut and no wildcard: what is not there does not
    exist.
    """

    apex: bytes
    soa: Template
    cuts: Mapping[bytes, Referral]
    empty: frozenset[bytes]
    aliases: Mapping[bytes, Alias]
    redirects: Mapping[bytes, Redirect]
    plain: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that answers are made of.

    `views` tells which view a client is in, and `believed` which resolvers are when they say for whom they ask: their
    leaves have a name. It is None if nobody is. `terms` are those on which all are served. No apex has more than
    `longest_apex` octets. `ready` is for who answers (see `made_ready`), and empty elsewhere.
    """

    generation: int
    zones: Mapping[bytes, CompiledZone]
    names: Mapping[bytes, Answers]
    views: Views = field(default_factory=Views)
    believed: Views | None = None
    terms: Terms = field(default_factory=Terms)
    longest_apex: int = field(default=MAX_NAME, compare=False, repr=False)
    ready: Mapping[bytes, Rotation] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Change:
    """The part of a snapshot that a change of health or of an admin state replaces."""

    generation: int
    names: Mapping[bytes, Answers]
    soas: Mapping[bytes, Template]


def made_ready(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with its answers filed by the whole question too, so that most queries take one look.

    Without that all are answered alike, at twice the price.
    """
    longest_apex = max(map(len, snapshot.zones), default=0)
    return replace(snapshot, longest_apex=longest_apex, ready=_by_question(snapshot.names))


def _by_question(names: Mapping[bytes, Answers]) -> dict[bytes, Rotation]:
    """Return the answers by all octets of the question, in lower case.

    Left out are types whose number has a letter's octet, such as HTTPS (65): to lower the case of a question would turn
    it into another one.
    """
    return {
        owner + tail: rotation
        for owner, answers in names.items()
        for tail, rotation in answers.items()
        if tail.swapcase() == tail
    }


def apply(snapshot: Snapshot, change: Change) -> Snapshot:
    """Return the snapshot after the change. It takes over the names of the one before, which is not to be used again.

    For who holds the one snapshot of a process, between two answers. To copy the names would cost as much as there are
    of them: with a hundred thousand records, several times as much as all else that a worker does for a change.
    """
    names = snapshot.names
    assert isinstance(names, dict)  # noqa: S101 - only those made on demand are something else, and never change
    ready = snapshot.ready
    assert isinstance(ready, dict)  # noqa: S101 - as above
    if ready:
        for question in _by_question({owner: names.get(owner, {}) for owner in change.names}):
            del ready[question]
        ready.update(_by_question(change.names))
    names.update(change.names)
    changed = {apex: replace(snapshot.zones[apex], soa=soa) for apex, soa in change.soas.items()}
    return replace(snapshot, generation=change.generation, zones={**snapshot.zones, **changed})
