"""Certificates of every kind that a mail server can show, made once, since making keys costs time; and servers."""

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from tests.probe.scripted import Listen, Listener, Script

HOST = "mx1.example.org"
"""The name that all certificates but `wrong_name` are for."""

LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
EXPIRY = dt.datetime(2021, 1, 1, tzinfo=dt.UTC)
FAR_OFF = dt.datetime(2900, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Certificates:
    """One server context for each kind of certificate, and the file with the authority that stands behind them.

    `good`, `rsa`, `chained` (with an intermediate) and `wildcard` (*.example.org) are in order. `unknown_ca` comes from
    an authority that `ca_file` does not hold, and `self_signed` from itself.
    """

    good: ssl.SSLContext
    rsa: ssl.SSLContext
    chained: ssl.SSLContext
    wildcard: ssl.SSLContext
    expired: ssl.SSLContext
    not_yet_valid: ssl.SSLContext
    wrong_name: ssl.SSLContext
    unknown_ca: ssl.SSLContext
    self_signed: ssl.SSLContext
    ca_file: Path


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return the authority that the tests' probes trust by its `ca_file`."""
    return trustme.CA()


@pytest.fixture(scope="session")
def certificates(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return server contexts by kind."""
    directory = tmp_path_factory.mktemp("certificates")
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    return Certificates(
        good=server_context(authority.issue_cert(HOST)),
        rsa=server_context(authority.issue_cert(HOST, key_type=trustme.KeyType.RSA)),
        chained=server_context(authority.create_child_ca().issue_cert(HOST)),
        wildcard=server_context(authority.issue_cert("*.example.org")),
        expired=server_context(authority.issue_cert(HOST, not_before=LONG_AGO, not_after=EXPIRY)),
        not_yet_valid=server_context(authority.issue_cert(HOST, not_before=FAR_OFF)),
        wrong_name=server_context(authority.issue_cert("other.example.net")),
        unknown_ca=server_context(trustme.CA().issue_cert(HOST)),
        self_signed=serving(homemade(HOST, x509.SubjectAlternativeName([x509.DNSName(HOST)])), directory / "own.pem"),
        ca_file=ca_file,
    )


def server_context(issued: trustme.LeafCert) -> ssl.SSLContext:
    """Return a server's context with an issued certificate, for a test that needs one of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    return context


def homemade(common_name: str, *extensions: x509.ExtensionType, signer: bytes = b"") -> bytes:
    """Return a key and its certificate in PEM, with only what is asked for in it.

    It is signed by its own key, or by the one in `signer`, whose certificate has to have the same name.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name, _validate=False)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(LONG_AGO).not_valid_after(FAR_OFF)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    signing = load_pem_private_key(signer, None) if signer else key
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret + builder.sign(signing, SHA256()).public_bytes(Encoding.PEM)


def serving(pem: bytes, file: Path) -> ssl.SSLContext:
    """Return a server's context with a key and a certificate in PEM, which Python takes from a file only."""
    file.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Start scripted servers that end with the test; with a context they speak TLS from the first octet."""
    async with AsyncExitStack() as stack:

        async def start(
            script: Script, host: str = "127.0.0.1", context: ssl.SSLContext | None = None, port: int = 0
        ) -> Listener:
            listener = Listener(script)
            loop = asyncio.get_running_loop()
            server = await loop.create_server(listener.greet_next, host, port, ssl=context)
            stack.callback(server.close)
            listener.port = server.sockets[0].getsockname()[1]
            return listener

        yield start


@pytest.fixture
def dead_port() -> Iterator[int]:
    """Hold a port on which nobody listens and nobody else can."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
