"""What a certificate says, put in our own words: names, dates, key. Pure but for the clock, which is an argument."""

import hashlib
import warnings
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from dnslb.probe.transcript import Certificate

DAY = 86400.0
KEY_INFO = 5
"""Which element of a TBSCertificate is the key, without the version that old certificates leave out (RFC 5280 4.1)."""
VERSION_TAG = 0xA0
LONG_LENGTH = 0x80

SMALL = 4096
"""Octets of a certificate that is worth remembering; hostile ones have 64 KB, and are others each time."""
MOST_NAMES = 1000
MOST_LETTERS = 1000
"""How many names are kept of a certificate, and how much of each line. Authorities put in 250 at most."""

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises at a certificate that breaks RFC 5280, from its loading to its last extension."""


def read(der: bytes) -> Certificate:
    """Return the facts of a certificate. Raises ValueError, with a sentence for people, if it cannot be read.

    The last 512 are remembered: a member shows the same one for months, and many members may share it.
    """
    return _remembered(der) if len(der) <= SMALL else _read(der)


def _read(der: bytes) -> Certificate:
    certificate = parse(der)
    try:
        with warnings.catch_warnings(action="ignore"):
            return _facts(der, certificate)
    except UNREADABLE as error:
        raise ValueError(_complaint(error)) from error


_remembered = lru_cache(maxsize=512)(_read)


def parse(der: bytes) -> x509.Certificate:
    """Return the certificate as cryptography's object. Raises ValueError, with a sentence for people.

    Warnings of what is odd in it are kept back: it is a member's certificate, and no matter for our own log.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            return x509.load_der_x509_certificate(der)
    except UNREADABLE as error:
        raise ValueError(_complaint(error)) from error


def key_info(certificate: x509.Certificate) -> bytes:
    """Return the SubjectPublicKeyInfo as it stands in the certificate (the subject of TLSA selector 1).

    Cut out of the certificate, for cryptography would encode the key anew: other octets where a point is compressed,
    and an error where it does not know the kind of key.
    """
    octets = certificate.tbs_certificate_bytes
    at, _ = _content(octets, 0)
    if octets[at] == VERSION_TAG:
        at = _content(octets, at)[1]
    for _ in range(KEY_INFO):
        at = _content(octets, at)[1]
    return octets[at : _content(octets, at)[1]]


def fault_of_dates(certificate: Certificate, now: float) -> str:
    """Return why the certificate is not valid at `now` (Unix time), "" if it is (RFC 5280 4.1.2.5)."""
    if now < certificate.not_before:
        return f"not valid before {_moment(certificate.not_before)}"
    if now > certificate.not_after:
        return f"expired on {_moment(certificate.not_after)}"
    return ""


def days_left(certificate: Certificate, now: float) -> float:
    """Return the days from `now` (Unix time) until it expires, below zero if it has."""
    return (certificate.not_after - now) / DAY


def fits(certificate: Certificate, host: str) -> bool:
    """Return whether the certificate is for `host` (RFC 9525 6.3).

    A wildcard counts as a whole left-most label, and for one label. Names are compared as A-labels. An IP address fits
    no certificate here: mail servers are known by name.
    """
    wanted = _a_labels(host)
    if not wanted or _is_address(wanted):
        return False
    _, _, parent = wanted.partition(".")
    names = {name.lower().removesuffix(".") for name in certificate.names}
    return wanted in names or f"*.{parent}" in names


def _facts(der: bytes, certificate: x509.Certificate) -> Certificate:
    return Certificate(
        subject=_line(certificate.subject.rfc4514_string()),
        issuer=_line(certificate.issuer.rfc4514_string()),
        names=_names(certificate),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        fingerprint=hashlib.sha256(der).hexdigest(),
        key_hash=hashlib.sha256(key_info(certificate)).hexdigest(),
    )


def _content(octets: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the DER element at `at` begins and ends. It was parsed before, so it is sound."""
    length = octets[at + 1]
    start = at + 2
    if length >= LONG_LENGTH:
        start += length - LONG_LENGTH
        length = int.from_bytes(octets[at + 2 : start], "big")
    return start, start + length


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        names: list[str] = []
    else:
        names = extension.value.get_values_for_type(x509.DNSName)
    return tuple(_line(name) for name in (names or _common_names(certificate))[:MOST_NAMES])


def _common_names(certificate: x509.Certificate) -> list[str]:
    return [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _line(text: str) -> str:
    """Keep a certificate's words from disturbing a terminal or a log, or filling them."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:MOST_LETTERS])


def _complaint(error: Exception) -> str:
    return f"the certificate cannot be read: {_line(str(error))[:160]}"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _a_labels(host: str) -> str:
    if host.isascii():
        return host.lower().removesuffix(".")
    try:
        return host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
