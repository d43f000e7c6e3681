"""The OPT pseudo-record (RFC 6891)."""

from collections.abc import Iterator
from typing import NamedTuple

from dnslb.wire import rrtype

OUR_PAYLOAD = 1232
"""Octets of UDP payload that no path fragments (DNS flag day 2020)."""
CLASSIC_PAYLOAD = 512
"""What a client without EDNS takes (RFC 1035 section 4.2.1)."""
STREAM_PAYLOAD = 65535
DO = 0x8000
BARE_SIZE = 11
"""Octets of an OPT record without options: root, type, payload, extended flags, no rdata."""
HEAD_SIZE = 9
"""Octets before the length of the options."""
MOST_OPTIONS = 32
"""So many are read, and all others ignored. A thousand have room in a query; resolvers send five at the most."""
NO_OPTIONS = b"\x00\x00"
BEGIN = b"\x00" + rrtype.OPT.to_bytes(2, "big")
"""What an OPT record begins with: the root, and its type."""


class Edns(NamedTuple):
    """What a query's OPT record asks for: how long a UDP response may be, and the OPT record that goes with it.

    `version` other than 0 is answered with BADVERS, `dnssec_ok` is the DO bit. `options` are octets as they came.
    """

    limit: int
    reply: bytes
    version: int
    dnssec_ok: bool
    options: bytes = b""


def edns(payload: int, version: int, *, dnssec_ok: bool, options: bytes = b"") -> Edns:
    """Return what an OPT record with this content asks for (RFC 6891 sections 6.2.3 to 6.2.5)."""
    limit = min(max(payload, CLASSIC_PAYLOAD), OUR_PAYLOAD)
    return Edns(limit, opt_record(dnssec_ok=dnssec_ok), version, dnssec_ok, options)


def opt_record(*, dnssec_ok: bool, extended_rcode: int = 0) -> bytes:
    """Return our OPT record; DO is copied from the query (RFC 3225 section 3)."""
    ttl = (extended_rcode >> 4) << 24 | (DO if dnssec_ok else 0)
    return BEGIN + OUR_PAYLOAD.to_bytes(2, "big") + ttl.to_bytes(4, "big") + NO_OPTIONS


def with_option(opt: bytes, option: bytes) -> bytes:
    """Return our OPT record with one more option, or with several, one behind the other."""
    options = opt[BARE_SIZE:] + option
    return opt[:HEAD_SIZE] + len(options).to_bytes(2, "big") + options


def _bare(payload: int, *, dnssec_ok: bool) -> bytes:
    flags = DO if dnssec_ok else 0
    return BEGIN + payload.to_bytes(2, "big") + b"\x00\x00" + flags.to_bytes(2, "big") + NO_OPTIONS


COMMON: dict[bytes, Edns] = {
    _bare(payload, dnssec_ok=dnssec_ok): edns(payload, 0, dnssec_ok=dnssec_ok)
    for payload in (512, 1024, 1220, 1232, 1280, 1400, 1410, 1432, 1452, 1472, 1680, 2048, 4000, 4096, 8192, 65535)
    for dnssec_ok in (False, True)
}
"""OPT records without options, as resolvers send them; others are parsed."""


def read(record: bytes) -> Edns | None:
    """Return what an OPT record asks for, without its options; None takes a closer look.

    It is for records with options, such as a cookie or a client's subnet.
    """
    common = COMMON.get(record[:HEAD_SIZE] + NO_OPTIONS)
    if common is None or len(record) < BARE_SIZE:
        return None
    length = record[HEAD_SIZE] << 8 | record[HEAD_SIZE + 1]
    return common if BARE_SIZE + length == len(record) and are_options(record, BARE_SIZE) else None


def are_options(octets: bytes, position: int, most: int = MOST_OPTIONS) -> bool:
    """Return whether all that begins there is options, one after the other, each with its length, and not too many."""
    size = len(octets)
    for _ in range(most):
        if position + 4 > size:
            break
        position += 4 + (octets[position + 2] << 8 | octets[position + 3])
    return position == size


def options_in(options: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the code, as two octets, and the data of the first options; all are well-formed as such."""
    position = 0
    for _ in range(MOST_OPTIONS):
        if position == len(options):
            return
        begin = position + 4
        end = begin + (options[position + 2] << 8 | options[position + 3])
        yield options[position : position + 2], options[begin:end]
        position = end
