"""What a question fixes for its answer: where names may be pointed at, and what comes first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from dnslb.answer import tally
from dnslb.answer.snapshot import Rotation, Variant
from dnslb.wire import header, name, rrtype
from dnslb.wire.header import Rcode
from dnslb.wire.record import NOWHERE, QNAME_POINTER, Places, compress, compress_rdata, pointer, record, suffixes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnslb.zone.rrset import RRset

_RECORD_FIXED = 12
"""Octets of a record before its data when the owner is a pointer."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The question's name, and the CNAME chain (if any) that stands before all other answers.

    A wildcard answers questions of `any_length`: then nothing but the question's own name may be pointed at. In each
    `view` of a client ("" for none) a resolver has turns of its own.
    """

    question_name: bytes
    any_length: bool
    places: Places
    owner: bytes = QNAME_POINTER
    chain: bytes = b""
    links: int = 0
    view: str = ""

    @classmethod
    def of(cls, question_name: bytes, view: str = "") -> Frame:
        """Return the frame of a question for this name, asked by a client of the view."""
        wildcard = question_name.startswith(name.WILDCARD)
        return cls(question_name, wildcard, NOWHERE if wildcard else suffixes(question_name), view=view)

    def behind(self, chain: Sequence[RRset]) -> Frame:
        """Return the frame of answers that stand behind a CNAME chain and belong to its last target."""
        frame = self
        for link in chain:
            data = compress_rdata(rrtype.CNAME, link.rdata[0], self.places)
            target = header.SIZE + len(self.question_name) + 4 + len(frame.chain) + _RECORD_FIXED
            octets = record(frame.owner, rrtype.CNAME, link.ttl, data)
            frame = replace(frame, owner=pointer(target), chain=frame.chain + octets, links=frame.links + 1)
        return frame

    def foreign(self, owner: bytes, rrset: RRset, octets: bytes) -> bytes:
        """Return a record of the RRset's type and TTL that another name than the question's owns."""
        return record(compress(owner, self.places), rrset.rtype, rrset.ttl, octets)

    def own(self, rtype: int, ttl: int, octets: bytes) -> bytes:
        """Return a record that the question's name, or the end of its chain, owns."""
        return record(self.owner, rtype, ttl, compress_rdata(rtype, octets, self.places))

    def variant(self, records: Sequence[bytes], additionals: int) -> Variant:
        """Return one answer: the chain, then the records."""
        answers = self.links + len(records)
        return Variant(
            header.counts(answers, 0, additionals),
            header.counts(answers, 0, additionals + 1),
            self.chain + b"".join(records),
        )

    def rotation(
        self,
        rtype: int,
        records: Sequence[bytes],
        ring: Sequence[tuple[int, ...]],
        additional: Sequence[bytes],
        *,
        by_source: bool = False,
    ) -> tuple[bytes, Rotation]:
        """Return the last four octets of the question for this type, and the ring of its answers, without a key.

        A variant of the ring is indexes into the records. A ring `by_source` has one for each bucket of clients.
        """
        tail = rrtype.question_tail(rtype)
        # Equal variants are one object: a ring holds each of a few answers many times.
        variants: dict[tuple[int, ...], Variant] = {}
        for indexes in set(ring):
            # Members may share an address: an RRset holds no record twice (RFC 2181 section 5).
            listed = tuple(dict.fromkeys([records[index] for index in indexes]))
            variants[indexes] = self.variant(listed, len(additional))
        # What is the same each time needs no turn.
        turns = ring if len(variants) > 1 else ring[:1]
        return tail, Rotation(
            key=b"",
            tally=tally.answered(rtype, Rcode.NOERROR),
            ring=tuple([variants[indexes] for indexes in turns]),
            additional=b"".join(additional),
            by_source=by_source,
        )

    def key(self, tail: bytes) -> bytes:
        """Return what stands for the question with this tail where turns are counted."""
        return blake2b(self.question_name + tail + self.view.encode(), digest_size=8).digest()
