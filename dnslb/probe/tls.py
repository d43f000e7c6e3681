"""TLS for probes: contexts that all probes share, and what a handshake showed."""

import ssl
import sys
from functools import lru_cache
from pathlib import Path

from dnslb.probe import certificate
from dnslb.probe.transcript import TlsFacts


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


def _anchors_now(ca_file: Path | None) -> tuple[Path, int, int, int] | None:
    """Return the file that holds the trust anchors, and its edition; None if the system has only a directory."""
    name = ca_file or ssl.get_default_verify_paths().cafile
    if not name:
        return None
    path = Path(name)
    now = path.stat()
    return path, now.st_ino, now.st_mtime_ns, now.st_size


class _Demanding(ssl.SSLContext):
    """A context that also sees that there is a name to verify: given none, OpenSSL lets every certificate pass."""

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
def _trusting(ca_file: Path | None, _edition: tuple[Path, int, int, int] | None) -> ssl.SSLContext:
    """Build a context; `_edition` only tells the cache when the anchors are others."""
    context = _Demanding(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
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
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
