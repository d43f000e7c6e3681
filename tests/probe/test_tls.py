"""TLS as probes speak it, in real handshakes on loopback."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from dnslb.probe import tls
from dnslb.probe.certificate import fault_of_dates
from dnslb.probe.transcript import TlsFacts
from tests.probe.conftest import HOST, Certificates, homemade, server_context, serving

GOOD = ("good", "rsa", "chained", "wildcard")
BAD = {
    "expired": "certificate has expired",
    "not_yet_valid": "certificate is not yet valid",
    "wrong_name": "Hostname mismatch",
    "unknown_ca": "unable to get local issuer certificate",
    "self_signed": "self-signed certificate",
}


@asynccontextmanager
async def meet(server: ssl.SSLContext, client: ssl.SSLContext, host: str | None = HOST) -> AsyncIterator[ssl.SSLObject]:
    """Shake hands on loopback, and give the client's side."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.transport.abort()

    async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=server) as listening:
        port = listening.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=host or "")
        try:
            yield writer.get_extra_info("ssl_object")
        finally:
            writer.transport.abort()


async def shown(server: ssl.SSLContext) -> TlsFacts:
    """Return what a probe that trusts everybody learns."""
    async with meet(server, tls.client_context(verify=False)) as ssl_object:
        return tls.facts(ssl_object)


@pytest.mark.parametrize("kind", GOOD)
async def test_a_good_certificate_is_taken(certificates: Certificates, kind: str) -> None:
    """The chain leads to the file's authority, over an intermediate too, and the name fits, by a wildcard too."""
    context = tls.client_context(verify=True, ca_file=certificates.ca_file)
    async with meet(getattr(certificates, kind), context) as ssl_object:
        facts = tls.facts(ssl_object, trusted=True)
    assert facts.version == "TLSv1.3"
    assert facts.cipher.startswith("TLS_")
    assert facts.trusted
    assert facts.certificate


@pytest.mark.parametrize(("kind", "why"), BAD.items())
async def test_a_bad_certificate_is_refused_and_says_why(certificates: Certificates, kind: str, why: str) -> None:
    """Verification fails in the handshake, with OpenSSL's words and the chain that it speaks of."""
    context = tls.client_context(verify=True, ca_file=certificates.ca_file)
    with pytest.raises(tls.UntrustedError, match=why) as refusal:
        async with meet(getattr(certificates, kind), context):
            pass
    assert why in refusal.value.verify_message
    assert refusal.value.sent == await chain_of(getattr(certificates, kind))


@pytest.mark.parametrize("kind", [*GOOD, *BAD])
async def test_without_verification_every_certificate_is_taken_and_read(certificates: Certificates, kind: str) -> None:
    """A probe that only looks gets to see the bad ones too, with their dates and names."""
    facts = await shown(getattr(certificates, kind))
    assert facts.certificate is not None
    assert bool(fault_of_dates(facts.certificate, time.time())) is (kind in ("expired", "not_yet_valid"))
    wanted = {"wrong_name": ("other.example.net",), "wildcard": ("*.example.org",)}
    assert facts.certificate.names == wanted.get(kind, (HOST,))
    assert (facts.trusted, facts.problem) == (None, "")


async def test_without_verification_no_name_is_needed(certificates: Certificates) -> None:
    """A member without a host name is asked without SNI."""
    async with meet(certificates.good, tls.client_context(verify=False), None) as ssl_object:
        assert tls.facts(ssl_object).certificate


async def test_an_authority_that_is_no_root_may_be_trusted(authority: trustme.CA, tmp_path: Path) -> None:
    """An intermediate in the file is an anchor, whatever stands above it."""
    child = authority.create_child_ca()
    child.cert_pem.write_to_path(tmp_path / "child.pem")
    context = tls.client_context(verify=True, ca_file=tmp_path / "child.pem")
    async with meet(server_context(child.issue_cert(HOST)), context) as ssl_object:
        assert len(tls.chain(ssl_object)) == 2


async def test_an_authority_of_few_words_may_be_trusted(tmp_path: Path, certificates: Certificates) -> None:
    """A certificate without any extension that RFC 5280 wants is taken on every Python, as senders take it."""
    pem = ssl.DER_cert_to_PEM_cert((await chain_of(certificates.self_signed))[0])
    (tmp_path / "own.pem").write_text(pem)
    async with meet(certificates.self_signed, tls.client_context(verify=True, ca_file=tmp_path / "own.pem")) as met:
        assert met.getpeercert()


async def chain_of(server: ssl.SSLContext) -> tuple[bytes, ...]:
    """Return what the server sends."""
    async with meet(server, tls.client_context(verify=False)) as ssl_object:
        return tls.chain(ssl_object)


async def test_the_chain_is_what_the_peer_sent(certificates: Certificates) -> None:
    """The leaf comes first, and an intermediate is there unverified."""
    async with meet(certificates.chained, tls.client_context(verify=False)) as ssl_object:
        leaf, above = tls.chain(ssl_object)
        assert leaf == ssl_object.getpeercert(binary_form=True)
        assert above != leaf
    assert len(await chain_of(certificates.unknown_ca)) == 1


async def test_the_system_s_anchors_count_without_a_file(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE says where they are; the real ones do not know the tests' authority."""
    with pytest.raises(ssl.SSLCertVerificationError):
        async with meet(certificates.good, tls.client_context(verify=True)):
            pass
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    async with meet(certificates.good, tls.client_context(verify=True)) as ssl_object:
        assert ssl_object.getpeercert()


def test_a_changed_directory_of_anchors_is_read_anew(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has no file, or beside it: when an authority is put there, the context is another one."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    os.utime(tmp_path, (0, 0))
    before = tls.client_context(verify=True)
    assert tls.client_context(verify=True) is before
    (tmp_path / "authority.pem").write_bytes(authority.cert_pem.bytes())
    assert tls.client_context(verify=True) is not before


@pytest.mark.parametrize("verify", [False, True])
def test_old_protocols_are_refused(*, verify: bool) -> None:
    """Nothing under TLS 1.2 is spoken (RFC 8996), whatever the system's OpenSSL would do."""
    assert tls.client_context(verify=verify).minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("verify", [False, True])
def test_no_server_chooses_a_group(*, verify: bool) -> None:
    """Of Diffie-Hellman over finite fields TLS 1.2 lets a server choose one that takes the client a second."""
    offered = tls.client_context(verify=verify).get_ciphers()
    assert {each["kea"] for each in offered} == {"kx-any", "kx-ecdhe"}


def test_all_probes_share_a_context(certificates: Certificates) -> None:
    """Building one costs as much as ten handshakes."""
    file = certificates.ca_file
    assert tls.client_context(verify=False) is tls.client_context(verify=False, ca_file=file)
    assert tls.client_context(verify=True, ca_file=file) is tls.client_context(verify=True, ca_file=file)
    assert tls.client_context(verify=True) is tls.client_context(verify=True)
    assert tls.client_context(verify=True, ca_file=file) is not tls.client_context(verify=False, ca_file=file)


def overwrite(file: Path, pem: bytes) -> None:
    """Write into the same file."""
    file.write_bytes(pem)


def exchange(file: Path, pem: bytes) -> None:
    """Put another file of the same time in its place, as a rollout does."""
    old = file.stat()
    other = file.with_suffix(".new")
    other.write_bytes(pem)
    os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
    other.replace(file)


@pytest.mark.parametrize("put", [overwrite, exchange])
async def test_a_changed_file_of_anchors_is_read_anew(
    authority: trustme.CA, certificates: Certificates, tmp_path: Path, put: Callable[[Path, bytes], None]
) -> None:
    """After an authority is replaced, the next handshake trusts the new one and not the old one."""
    file = tmp_path / "ca.pem"
    other = trustme.CA()
    file.write_bytes(other.cert_pem.bytes())
    before = tls.client_context(verify=True, ca_file=file)
    put(file, authority.cert_pem.bytes())
    async with meet(certificates.good, tls.client_context(verify=True, ca_file=file)) as ssl_object:
        assert ssl_object.getpeercert()
    with pytest.raises(ssl.SSLCertVerificationError):
        async with meet(certificates.good, before):
            pass


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error says which file it is, for a configuration's error to repeat."""
    with pytest.raises(FileNotFoundError, match=r"ca\.pem"):
        tls.client_context(verify=True, ca_file=tmp_path / "ca.pem")


@pytest.mark.parametrize("text", ["", "no certificate\n", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_without_certificates_is_named(tmp_path: Path, text: str) -> None:
    """An empty or strange file trusts nobody, which nobody can mean."""
    (tmp_path / "ca.pem").write_text(text)
    with pytest.raises(ValueError, match=r"ca\.pem holds no certificate in PEM form"):
        tls.client_context(verify=True, ca_file=tmp_path / "ca.pem")


@pytest.mark.parametrize("host", [None, ""])
def test_verification_needs_a_name(host: str | None) -> None:
    """OpenSSL would let every certificate pass if it is given no name, and nothing would tell."""
    with pytest.raises(ValueError, match="without a host name"):
        tls.client_context(verify=True).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=host)


async def test_a_certificate_that_cannot_be_read_is_a_problem_and_no_error(tmp_path: Path) -> None:
    """OpenSSL takes what cryptography refuses; a probe says so and goes on."""
    broken = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, bytes.fromhex("30058203fffefd"))
    async with meet(
        serving(homemade(HOST, broken), tmp_path / "own.pem"), tls.client_context(verify=False)
    ) as ssl_object:
        facts = tls.facts(ssl_object)
        assert tls.facts(ssl_object, problem="it has expired").problem == "it has expired"
    assert facts.certificate is None
    assert facts.problem.startswith("the certificate cannot be read")
