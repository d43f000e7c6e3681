"""TLS for probes: contexts that all probes share, and what a handshake showed."""

import ssl
import sys
from functools import lru_cache
from pathlib import Path

from dnslb.probe import certificate
from dnslb.probe.transcript import TlsFacts

Edition = tuple[Path, int, int, int]
"""A file or directory: its name, inode, time of change and size."""


def client_context(*, verify: bool, ca_file: Path | None = None) -> ssl.SSLContext:
    """Return the context for a probe's handshakes, the same object each time: building one costs 20 ms.

    With `verify` the chain must lead to a certificate in `ca_file` (of the system, or in SSL_CERT_FILE, without one)
    and the name must fit; a handshake without a host name is a ValueError. Without `verify` any certificate will do,
    and `ca_file` is not looked at. A changed file is read anew at the next call. Raises OSError if `ca_file` cannot be
    opened and ValueError if there is no certificate in it.
    """
    return _trusting(ca_file, _anchors_now(ca_file)) if verify else _credulous()


def facts(ssl_object: ssl.SSLObject, *, trusted: bool | None = None, problem: str = "") -> TlsFacts:
    """Return what a finished handshake showed.

    A certificate that cannot be read is None in it, and then `problem` says why unless the caller knows one already.
    """
    der = ssl_object.getpeercert(binary_form=True)
    leaf = None
    try:
        leaf = certificate.read(der) if der else None
    except ValueError as error:
        problem = problem or str(error)
    cipher = ssl_object.cipher()
    return TlsFacts(ssl_object.version() or "", cipher[0] if cipher else "", leaf, trusted, problem)


def chain(ssl_object: ssl.SSLObject) -> tuple[bytes, ...]:
    """Return the certificates that the peer sent, in DER and as sent: the leaf first, and unverified."""
    if sys.version_info >= (3, 13):
        sent = ssl_object.get_unverified_chain()
    else:
        inner = ssl_object._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - public only from Python 3.13 on
        sent = [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in inner.get_unverified_chain() or ()]
    return tuple(sent)


def _anchors_now(ca_file: Path | None) -> tuple[Edition, ...]:
    """Return the file that holds the trust anchors, and its edition; of the system's, also those of the directory."""
    system = ssl.get_default_verify_paths()
    return tuple(_edition(Path(name)) for name in ([ca_file] if ca_file else [system.cafile, system.capath]) if name)


def _edition(path: Path) -> Edition:
    now = path.stat()
    return path, now.st_ino, now.st_mtime_ns, now.st_size


class UntrustedError(ssl.SSLCertVerificationError):
    """A handshake that failed because OpenSSL rejects the chain, and what `chain` returns of it: () if nothing."""

    def __init__(self, cause: ssl.SSLCertVerificationError, sent: tuple[bytes, ...]) -> None:
        super().__init__(*cause.args)
        self.verify_code = cause.verify_code
        self.verify_message = cause.verify_message
        self.sent = sent


class _Telling(ssl.SSLObject):
    """A connection that tells which chain OpenSSL has rejected; afterwards nobody could ask it any more."""

    def do_handshake(self) -> None:
        """Go on with the handshake. Raises UntrustedError, beside what OpenSSL raises."""
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as error:
            raise UntrustedError(error, chain(self)) from error


class _Demanding(ssl.SSLContext):
    """A context that also sees that there is a name to verify: given none, OpenSSL lets every certificate pass."""

    sslobject_class = _Telling

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the signature is the library's
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a handshake, as asyncio does. Raises ValueError without a host name."""
        if not server_hostname:
            raise ValueError("the certificate cannot be verified without a host name")
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


@lru_cache(maxsize=16)
def _trusting(ca_file: Path | None, _editions: tuple[Edition, ...]) -> ssl.SSLContext:
    """Build a context; `_editions` only tell the cache when the anchors are others."""
    context = _Demanding(ssl.PROTOCOL_TLS_CLIENT)
    _bound(context)
    # Senders of mail take authorities' certificates that RFC 5280 would not: no VERIFY_X509_STRICT, on any Python.
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
    if ca_file is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError as error:
        raise ValueError(f"{ca_file} holds no certificate in PEM form") from error
    return context


@lru_cache(maxsize=1)
def _credulous() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _bound(context)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _bound(context: ssl.SSLContext) -> None:
    """Set what no server may talk a probe into.

    Diffie-Hellman over finite fields is not offered for TLS 1.2, where the server chooses the group: with one of 10,000
    bits a single handshake takes a second, in which nothing else is done. What RFC 9325 4.2 recommends does without.
    """
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(each["name"] for each in context.get_ciphers() if each.get("kea") != "kx-dhe"))
