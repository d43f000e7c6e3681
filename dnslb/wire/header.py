"""The message header: flags and response codes (RFC 1035 section 4.1.1, RFC 6891 section 6.1.3)."""

from enum import IntEnum
from functools import lru_cache

SIZE = 12


class Rcode(IntEnum):
    """The response codes that dnslb sends. Those above 15 need the OPT record's upper bits."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    NOTAUTH = 9
    BADVERS = 16
    BADCOOKIE = 23


QR = 0x8000
OPCODE = 0x7800
AA = 0x0400
TC = 0x0200
RD = 0x0100
CD = 0x0010

COPIED = RD | CD
"""What a response copies of the query's flags (RFC 1035 4.1.1, RFC 4035 3.1.6)."""

AUTHORITATIVE: dict[bytes, bytes] = {
    flags.to_bytes(2, "big"): (QR | AA | flags & COPIED).to_bytes(2, "big")
    for high in range(8)
    for flags in range(high << 8, (high + 1) << 8)
}
"""The flag octets of a standard query -> those of an authoritative NOERROR response.

A query with QR or an opcode other than QUERY is not in the table.
"""


@lru_cache(maxsize=1024)
def counts(answers: int, authorities: int, additionals: int, questions: int = 1) -> bytes:
    """Return the eight octets QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT."""
    return b"".join(number.to_bytes(2, "big") for number in (questions, answers, authorities, additionals))
