"""The Client Subnet option of EDNS (RFC 7871): for which network a resolver asks, and for which one an answer holds."""

from functools import lru_cache
from typing import NamedTuple

from dnslb.wire.edns import BARE_SIZE, Edns, options_in, read
from dnslb.wire.options import option

_CODE = b"\0\x08"
_FIXED = 4
_BITS = {b"\0\0": 0, b"\0\x01": 32, b"\0\x02": 128}
"""The bits of an address by FAMILY: IPv4 and IPv6, and of the unknown family, which goes with no address at all."""
_REMEMBERED = 4096
"""So many OPT records are read once: a resolver asks for the same networks again and again."""


class Subnet(NamedTuple):
    """What a resolver says of its client.

    `address` is the first of the client's network, as 4 or 16 octets; b"" where the resolver says nothing, because it
    asks for itself or because its client wants that; `bits` of it are told. `told` are FAMILY and SOURCE PREFIX-LENGTH,
    `octets` ADDRESS, as they came.
    """

    address: bytes
    bits: int
    told: bytes
    octets: bytes

    def option(self, scope: int) -> bytes:
        """Return the option of the response: the answer holds for the network of so many bits (section 7.2.1).

        What was answered to the resolver itself may be given to all that it has asked for without saying who they are.
        """
        return option(_CODE, self.told + bytes((scope if self.address else 0,)) + self.octets)


@lru_cache(maxsize=_REMEMBERED)
def told_by(record: bytes) -> tuple[Edns, Subnet | None] | None:
    """Return what an OPT record asks for, and for whom if it says that; None takes a closer look."""
    found = read(record)
    try:
        return (found, subnet_of(record[BARE_SIZE:])) if found is not None else None
    except ValueError:
        return None


def subnet_of(options: bytes) -> Subnet | None:
    """Return the Client Subnet among the options of an OPT record, None if there is none.

    The options are well-formed as such. Raise ValueError for one that must be answered with FORMERR (section 7.1.2).
    """
    found = None
    for code, data in options_in(options):
        if code == _CODE:
            if found is not None:
                raise ValueError("two Client Subnet options")
            found = _read(data)
    return found


def _read(data: bytes) -> Subnet:
    """Read the option's data; the scope of a query is 0, and no octet or bit of the address is too many (section 6)."""
    if len(data) < _FIXED:
        raise ValueError("a Client Subnet option that is too short")
    source, scope, octets = data[2], data[3], data[_FIXED:]
    bits = _BITS.get(data[:2], -1)
    if source > bits or scope:
        raise ValueError("a prefix length that is out of range, or an unknown family")
    if len(octets) != (source + 7) // 8 or (source % 8 and octets[-1] & 0xFF >> source % 8):
        raise ValueError("an address that is not that of its prefix")
    return Subnet(octets.ljust(bits // 8, b"\0") if source else b"", source, data[:3], octets)
