"""Record types and classes that the code names (IANA DNS parameters)."""

A = 1
NS = 2
CNAME = 5
SOA = 6
PTR = 12
MX = 15
TXT = 16
AAAA = 28
SRV = 33
DNAME = 39
OPT = 41
DS = 43
RRSIG = 46
NSEC = 47
TLSA = 52
IXFR = 251
AXFR = 252
ANY = 255

ADDRESSES = (A, AAAA)
"""The types of the two families, IPv4 first."""

BESIDE_CNAME = frozenset({CNAME, RRSIG, NSEC})
"""What an alias may own itself, so that no question for it is led on (RFC 4035 section 2.5, RFC 2181 section 10.1)."""

TRANSFERS = frozenset({IXFR, AXFR})
"""The types that ask for a whole zone."""

CLASS_IN = 1
CLASS_CHAOS = 3
CLASS_ANY = 255

COUNTED = {
    A: "A",
    NS: "NS",
    CNAME: "CNAME",
    SOA: "SOA",
    PTR: "PTR",
    MX: "MX",
    TXT: "TXT",
    AAAA: "AAAA",
    SRV: "SRV",
    DS: "DS",
    48: "DNSKEY",
    TLSA: "TLSA",
    65: "HTTPS",
    257: "CAA",
    ANY: "ANY",
}
"""The types that metrics tell apart; all others are counted together as "other"."""


def question_tail(rtype: int) -> bytes:
    """Return QTYPE and QCLASS IN as the four octets that end a question."""
    return rtype.to_bytes(2, "big") + b"\x00\x01"
