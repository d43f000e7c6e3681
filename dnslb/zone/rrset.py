"""One RRset as octets: library objects stop at the door (see master_file)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RRset:
    """All records of one owner and type, class IN.

    `owner` is an absolute name in wire format, lower case, uncompressed (RFC 1035 section 3.1). `rdata` holds one
    entry a record, in wire format without compression, in the order of the zone file and without duplicates.
    """

    owner: bytes
    rtype: int
    ttl: int
    rdata: tuple[bytes, ...]
