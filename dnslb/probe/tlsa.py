"""DANE for SMTP (RFC 6698, 7671, 7672): looking TLSA records up, and holding a certificate against them.

One of the two modules that import dnspython.
"""

import hashlib
from collections.abc import Iterable, Sequence

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.rdatatype
import dns.resolver
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from dns.rdtypes.ANY.TLSA import TLSA

from dnslb.probe.certificate import UNREADABLE, key_info, parse
from dnslb.probe.recipe import Tlsa

DANE_TA = 2
"""The record names an authority: names and dates count too (RFC 7672 3.1.2)."""
DANE_EE = 3
"""The record names the server's own certificate or key: names and dates do not count (RFC 7672 3.1.1)."""
CERTIFICATE = 0
KEY = 1
FULL = 0
USAGES = frozenset({DANE_TA, DANE_EE})
SELECTORS = frozenset({CERTIFICATE, KEY})
DIGESTS = {1: hashlib.sha256, 2: hashlib.sha512}

LOOKUP_TIME = 2.0
"""Seconds for a whole lookup, with all its attempts."""
ATTEMPT_TIME = 1.0
EDNS_PAYLOAD = 1232
MAX_CHAIN = 10
"""How many certificates of a chain are looked at: a hostile one could hold hundreds, each with a signature to check."""
MAX_KEY = 8192
"""Bits of the largest key that a signature is checked with: RSA of 16,384 takes 8 ms for each, and there may be 45."""
MAX_RECORDS = 50
"""How many records of a host are looked at: a hostile answer could hold 4,000, each to be held against the others."""


async def lookup(host: str, port: int, resolver: dns.asyncresolver.Resolver | None = None) -> tuple[Tlsa, ...] | None:
    """Return the TLSA records of a host's port that the resolver has validated (RFC 7672 2.2).

    Empty if there are none, or none that it calls secure by the AD bit (RFC 6840 5.8): without DNSSEC there is no DANE.
    None if that could not be found out, in which case senders defer. The system's resolver is asked unless another one
    is given; its AD bit is worth as much as the way to it. Takes 2 s at most.
    """
    try:
        answer = await (resolver or system_resolver()).resolve(
            f"_{port}._tcp.{host.removesuffix('.')}.", dns.rdatatype.TLSA, raise_on_no_answer=False, search=False
        )
    except dns.resolver.NXDOMAIN:
        return ()
    except dns.exception.DNSException:
        return None
    if not answer.response.flags & dns.flags.AD:
        return ()
    found = [_record(rdata) for rdata in answer.rrset or () if isinstance(rdata, TLSA)]
    return tuple(found[:MAX_RECORDS])


def system_resolver() -> dns.asyncresolver.Resolver:
    """Return the resolver of /etc/resolv.conf, told to ask for validation. Raises DNSException if it has none."""
    resolver = dns.asyncresolver.Resolver()
    resolver.set_flags(dns.flags.RD | dns.flags.AD)
    resolver.use_edns(0, 0, EDNS_PAYLOAD)
    resolver.timeout = ATTEMPT_TIME
    resolver.lifetime = LOOKUP_TIME
    return resolver


def usable(records: Iterable[Tlsa]) -> tuple[Tlsa, ...]:
    """Return the records that mail may use: DANE-TA and DANE-EE in a known and sound form (RFC 7672 3.1.3).

    None of them means that DANE says nothing of the server, and not that the server fails it. Of digests over the same
    thing only the strongest counts (RFC 7671 section 9).
    """
    sound = [record for record in records if _is_sound(record)]
    return tuple(record for record in sound if not _is_outdone(record, sound))


def match(records: Sequence[Tlsa], chain: Sequence[bytes]) -> Tlsa | None:
    """Return the record that a server's certificates (DER, leaf first) fit, None if they fit none.

    A record for the leaf (DANE-EE) comes first, for with it all is said. One for an authority (DANE-TA) fits if
    signatures lead from the leaf to that authority's certificate; names and dates are then the caller's to check.
    """
    leaf, *others = [_parsed(der) for der in chain[:MAX_CHAIN]] or [None]
    if leaf is None:
        return None
    good = usable(records)
    own = next((record for record in good if record.usage == DANE_EE and _speaks_of(record, leaf)), None)
    return own or _authority([record for record in good if record.usage == DANE_TA], leaf, others)


def _authority(
    records: Sequence[Tlsa], leaf: x509.Certificate, others: Iterable[x509.Certificate | None]
) -> Tlsa | None:
    """Return the record of an authority above the leaf. It need not be sent if it is published (RFC 7671 5.2.2)."""
    published = [_parsed(record.data) for record in records if record.selector == CERTIFICATE and not record.matching]
    above = _above(leaf, [found for found in (*others, *published[:MAX_CHAIN]) if found]) if records else []
    return next((record for issuer in above for record in records if _speaks_of(record, issuer)), None)


def _above(leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return all certificates that signatures lead to from the leaf, in whatever order they were sent."""
    reached = [leaf]
    for current in reached:
        reached += [issuer for issuer in others if issuer not in reached and _has_issued(issuer, current)]
    return reached[1:]


def _has_issued(issuer: x509.Certificate, issued: x509.Certificate) -> bool:
    try:
        if getattr(issuer.public_key(), "key_size", 0) > MAX_KEY:
            return False
        authority = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        issued.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, *UNREADABLE):
        return False
    return authority


def _speaks_of(record: Tlsa, certificate: x509.Certificate) -> bool:
    """Return whether the record is of this certificate or key (RFC 6698 2.1.2 to 2.1.4)."""
    subject = certificate.public_bytes(Encoding.DER) if record.selector == CERTIFICATE else key_info(certificate)
    digest = DIGESTS.get(record.matching)
    return record.data == (digest(subject).digest() if digest else subject)


def _is_sound(record: Tlsa) -> bool:
    digest = DIGESTS.get(record.matching)
    length = digest().digest_size if digest else len(record.data)
    known = record.usage in USAGES and record.selector in SELECTORS and (digest is not None or record.matching == FULL)
    return known and len(record.data) == length > 0


def _is_outdone(record: Tlsa, others: Iterable[Tlsa]) -> bool:
    """Return whether there is a stronger digest over the same thing."""
    digests = (other for other in others if (other.usage, other.selector) == (record.usage, record.selector))
    return record.matching != FULL and any(other.matching > record.matching for other in digests)


def _parsed(der: bytes) -> x509.Certificate | None:
    try:
        return parse(der)
    except ValueError:
        return None


def _record(rdata: TLSA) -> Tlsa:
    return Tlsa(rdata.usage, rdata.selector, rdata.mtype, rdata.cert)
