"""What is read out of certificates, good ones and such as break the rules."""

import hashlib
from base64 import b64decode

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnslb.probe import certificate
from dnslb.probe.certificate import days_left, fault_of_dates, fits, key_info, parse, read
from dnslb.probe.transcript import Certificate
from tests.probe.conftest import EXPIRY, HOST, LONG_AGO, homemade

DAY = 86400
COMPRESSED = b64decode(
    "MIIBazCCARGgAwIBAgIUEMUouLVQLb+VC9JlSNmV2xY+dTwwCgYIKoZIzj0EAwIwGjEYMBYGA1UEAwwPbXgxLmV4YW1wbGUub3Jn"
    "MCAXDTI2MTEyMTAzMzU0MVoYDzIxMjYxMDI4MDMzNTQxWjAaMRgwFgYDVQQDDA9teDEuZXhhbXBsZS5vcmcwOTATBgcqhkjOPQIB"
    "BggqhkjOPQMBBwMiAAM85PtG2nrMjJT3eTtEtaA6zSrsY29NwxnXu1e/MEZ1tqNTMFEwHQYDVR0OBBYEFDtfRCdj94VFZ2/3ElW5"
    "JCd0kfWnMB8GA1UdIwQYMBaAFDtfRCdj94VFZ2/3ElW5JCd0kfWnMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIg"
    "S9TlPy3Ulsj5X4kON4x4+4W6LWaJSOtIxZ9x6wLG300CIQCwehRyhnJexojzNPfhuTwtAeXhjQpTnCOqZTUX5knwxg=="
)
"""A certificate whose key is a compressed point, made with `openssl ecparam -conv_form compressed`."""
OLD = b64decode(
    "MIIBMDCB1wIUMAe4O4fssffaO4NmCCOtCYMjtjcwCgYIKoZIzj0EAwIwGjEYMBYGA1UEAwwPbXgxLmV4YW1wbGUub3JnMCAXDTI2"
    "MTEyMTAzNDgzMFoYDzIxMjYxMDI4MDM0ODMwWjAaMRgwFgYDVQQDDA9teDEuZXhhbXBsZS5vcmcwWTATBgcqhkjOPQIBBggqhkjO"
    "PQMBBwNCAAQ85PtG2nrMjJT3eTtEtaA6zSrsY29NwxnXu1e/MEZ1tgsGHaj6v4C7Q3oDpw/qn7Y278CfoQXMdW//nyPoGOzJMAoG"
    "CCqGSM49BAMCA0gAMEUCIQD0+i6r134x2v3k+t3VuRIwZ1+2fxFZs9L40NtWczIaTAIgcEVjcVMqWeGC+2xo5GmEGqOoQedA/wcQ"
    "dYMOlO0Mwlk="
)
"""A certificate of version 1, which has no field for it, made with `openssl x509 -req`."""
POINT = bytes.fromhex("3ce4fb46da7acc8c94f7793b44b5a03acd2aec636f4dc319d7bb57bf304675b6")
"""The x of the key in both."""


def der_of(issued: trustme.LeafCert) -> bytes:
    """Return an issued certificate as it goes over the wire."""
    return x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).public_bytes(Encoding.DER)


def named(*names: str) -> Certificate:
    """Return a certificate for some names."""
    return Certificate("", "", names, 0.0, 0.0, "", "")


def own(common_name: str, *extensions: x509.ExtensionType) -> bytes:
    """Return a self-signed certificate with only what the test wants in it."""
    pem = homemade(common_name, *extensions)
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def test_names_dates_and_hashes_are_those_of_the_certificate(authority: trustme.CA) -> None:
    """The facts are the certificate's own; the key hash is what a TLSA record 3 1 1 would hold."""
    der = der_of(authority.issue_cert(HOST, "*.example.net", not_before=LONG_AGO, not_after=EXPIRY))
    facts = read(der)
    key = x509.load_der_x509_certificate(der).public_key()
    assert facts.names == (HOST, "*.example.net")
    assert (facts.not_before, facts.not_after) == (LONG_AGO.timestamp(), EXPIRY.timestamp())
    assert facts.fingerprint == hashlib.sha256(der).hexdigest()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert facts.key_hash == hashlib.sha256(spki).hexdigest()


def test_subject_and_issuer_are_one_line_each(authority: trustme.CA) -> None:
    """They are written as RFC 4514 does."""
    facts = read(der_of(authority.issue_cert(HOST, common_name="mx1", organization_name="Example")))
    assert facts.subject.startswith("CN=mx1,")
    assert facts.subject.endswith("O=Example")
    assert facts.issuer.startswith("OU=Testing CA")


def test_the_common_name_counts_only_where_there_is_no_other() -> None:
    """A certificate from before the subject alternative names still has a name (RFC 6125 6.4.4)."""
    other = x509.SubjectAlternativeName([x509.DNSName("other.example.org")])
    assert read(own(HOST)).names == (HOST,)
    assert read(own(HOST, other)).names == ("other.example.org",)


def test_what_would_disturb_a_terminal_is_not_repeated() -> None:
    """Escape sequences and line ends in a certificate reach no terminal and no log."""
    facts = read(own("mx1\r\n\x1b[2Jgone"))
    assert facts.names == ("mx1???[2Jgone",)
    assert facts.subject.isprintable()


@pytest.mark.parametrize("octets", [b"", b"0", b"\x30\x03\x02\x01\x01", b"HTTP/1.1 400 Bad Request", bytes(2000)])
def test_what_is_no_certificate_is_told_in_a_sentence(octets: bytes) -> None:
    """Garbage is a ValueError for people and nothing else."""
    with pytest.raises(ValueError, match=r"\Athe certificate cannot be read: "):
        read(octets)


def test_a_broken_certificate_is_only_ever_a_value_error(authority: trustme.CA) -> None:
    """A certificate with one octet changed is read or refused in a sentence, wherever the change is."""
    der = der_of(authority.issue_cert(HOST))
    refused = 0
    for at in range(len(der)):
        try:
            read(der[:at] + bytes((der[at] ^ 0x55,)) + der[at + 1 :])
        except ValueError as error:
            assert "cannot be read" in str(error)  # noqa: PT017 - most octets may be changed, and these are not
            refused += 1
    assert refused > 50


def test_oddities_do_not_warn_of_themselves() -> None:
    """Warnings are errors here: a name that is too long or the serial number 0 is no matter for our own log."""
    with pytest.warns(UserWarning, match="length"):
        long = own("m" * 65)
    assert read(long).names == ("m" * 65,)
    numbered = own(HOST).replace(bytes.fromhex("a003020102020101"), bytes.fromhex("a003020102020100"))
    assert read(numbered).names == (HOST,)


def test_names_that_break_the_rules_are_told_in_a_sentence() -> None:
    """A name that is not ASCII breaks RFC 5280; OpenSSL lets it pass, and cryptography finds it late."""
    broken = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, bytes.fromhex("30058203fffefd"))
    with pytest.raises(ValueError, match=r"\Athe certificate cannot be read: "):
        read(own(HOST, broken))


def test_the_same_certificate_is_read_once(authority: trustme.CA) -> None:
    """A member shows the same certificate for months."""
    der = der_of(authority.issue_cert(HOST))
    assert read(der) is read(bytes(bytearray(der)))


def test_few_certificates_are_remembered() -> None:
    """A member that shows another one each time fills no memory: not by their number, nor by their size."""
    assert (certificate._remembered.cache_info().maxsize or 10**9) <= 1000  # noqa: SLF001 - nothing else tells
    large = own(HOST, x509.SubjectAlternativeName([x509.DNSName("a" * 200)] * 30))
    assert read(large) is not read(large)


def test_a_certificate_of_many_words_is_cut() -> None:
    """A hostile member could fill memory and every listing with ten thousand names, or with one."""
    with pytest.warns(UserWarning, match="length"):
        der = own("m" * 5000, x509.SubjectAlternativeName([x509.DNSName("a.example")] * 3000))
    facts = read(der)
    assert len(facts.names) == 1000
    assert len(facts.subject) == len(facts.issuer) == 1000


def test_the_key_is_cut_out_as_it_stands() -> None:
    """A compressed point stays one, since a TLSA record is of the octets that are in the certificate."""
    compressed = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d03010703220003") + POINT
    assert key_info(parse(COMPRESSED)) == compressed
    assert read(COMPRESSED).key_hash == hashlib.sha256(compressed).hexdigest()


def test_the_key_of_an_old_certificate_is_found() -> None:
    """Version 1 is the default, and defaults are left out of DER (RFC 5280 4.1.2.1)."""
    assert parse(OLD).version is x509.Version.v1
    assert key_info(parse(OLD))[:-64].hex() == "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
    assert key_info(parse(OLD))[-64:-32] == POINT


def test_dates_are_judged_at_the_moment_given() -> None:
    """Both ends of the validity count as valid (RFC 5280 4.1.2.5)."""
    facts = Certificate("", "", (), LONG_AGO.timestamp(), EXPIRY.timestamp(), "", "")
    assert fault_of_dates(facts, facts.not_before) == ""
    assert fault_of_dates(facts, facts.not_after) == ""
    assert fault_of_dates(facts, facts.not_before - 1) == "not valid before 2020-01-01 00:00 UTC"
    assert fault_of_dates(facts, facts.not_after + 1) == "expired on 2021-01-01 00:00 UTC"


def test_days_left_are_counted_to_the_end() -> None:
    """They fall below zero once it has expired."""
    facts = Certificate("", "", (), 0.0, 10.0 * DAY, "", "")
    assert days_left(facts, 0.0) == 10
    assert days_left(facts, 12.5 * DAY) == -2.5


@pytest.mark.parametrize(
    ("name", "host"),
    [
        (HOST, HOST),
        (HOST, "MX1.Example.ORG"),
        ("MX1.Example.ORG", HOST),
        (HOST, f"{HOST}."),
        ("*.example.org", HOST),
        ("xn--mller-kva.example.org", "müller.example.org"),
        ("*.example.org", "müller.example.org"),
    ],
)
def test_a_name_fits(name: str, host: str) -> None:
    """Names fit whatever their case, as A-labels, and by a wildcard for one label."""
    assert fits(named("other.example.net", name), host)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        (HOST, "mx2.example.org"),
        (HOST, "a.mx1.example.org"),
        ("*.example.org", "example.org"),
        ("*.example.org", "a.mx1.example.org"),
        ("mx*.example.org", HOST),
        ("mx1.*.org", HOST),
        ("*", "localhost"),
        ("192.0.2.1", "192.0.2.1"),
        ("*.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", ""),
        (HOST, ""),
        (HOST, "\u2024.example.org"),
    ],
)
def test_a_name_does_not_fit(name: str, host: str) -> None:
    """A wildcard is one whole left-most label, and addresses never fit."""
    assert not fits(named(name), host)
