"""What the server says of itself in class CHAOS: who it is (RFC 4892), and which version, if it may be known."""

from dnslb.answer.terms import Terms
from dnslb.wire import rrtype
from dnslb.wire.name import from_text
from dnslb.wire.record import QNAME_POINTER, record

_IDENTITY = frozenset(map(from_text, ("id.server", "hostname.bind")))
_VERSION = frozenset(map(from_text, ("version.server", "version.bind")))


def told(qname: bytes, qtype: int, terms: Terms) -> bytes:
    """Return the TXT record that answers the question, b"" if there is nothing to be told."""
    text = terms.identity if qname in _IDENTITY else terms.version if qname in _VERSION else b""
    if not text or qtype not in {rrtype.TXT, rrtype.ANY}:
        return b""
    return record(QNAME_POINTER, rrtype.TXT, 0, bytes([len(text)]) + text, rrtype.CLASS_CHAOS)
