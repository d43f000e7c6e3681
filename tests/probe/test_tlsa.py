"""TLSA records against certificates, and their lookup at a small resolver on loopback."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnslb.probe import tlsa
from dnslb.probe.recipe import Tlsa
from dnslb.probe.tlsa import lookup, match, system_resolver, usable
from tests.probe.conftest import HOST, homemade

DIGEST = hashlib.sha256(b"key").digest()
TLSA_311 = f"3 1 1 {DIGEST.hex()}"


@pytest.fixture(scope="module")
def chain(authority: trustme.CA) -> tuple[bytes, ...]:
    """Return what a server with an intermediate and its authority's own certificate sends: three certificates."""
    issued = authority.create_child_ca().issue_cert(HOST)
    return tuple(der(pem.bytes()) for pem in (*issued.cert_chain_pems, authority.cert_pem))


def der(pem: bytes) -> bytes:
    """Return the certificate in a PEM text."""
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def record(usage: int, certificate: bytes, selector: int = 1, matching: int = 1) -> Tlsa:
    """Return the record that somebody publishes for a certificate."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    subject = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if selector else certificate
    digests = {1: hashlib.sha256, 2: hashlib.sha512}
    return Tlsa(usage, selector, matching, digests[matching](subject).digest() if matching else subject)


@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize(("usage", "place"), [(3, 0), (2, 1), (2, 2)])
def test_a_record_of_each_form_fits_its_certificate(
    chain: tuple[bytes, ...], usage: int, place: int, selector: int, matching: int
) -> None:
    """DANE-EE is of the leaf and DANE-TA of an authority above it (RFC 7672 3.1), in all forms of RFC 6698 2.1."""
    published = record(usage, chain[place], selector, matching)
    assert match([published], chain) == published
    assert not match([replace(published, data=published.data[::-1])], chain)


@pytest.mark.parametrize(("usage", "place"), [(3, 1), (3, 2), (2, 0)])
def test_a_record_for_another_place_does_not_fit(chain: tuple[bytes, ...], usage: int, place: int) -> None:
    """DANE-EE never speaks of an authority, nor DANE-TA of the leaf, as OpenSSL has it."""
    assert not match([record(usage, chain[place])], chain)


def test_one_fitting_record_is_enough(chain: tuple[bytes, ...]) -> None:
    """While a key is being replaced, the old one's record stands beside the new one's (RFC 7671 8.1)."""
    other = Tlsa(3, 1, 1, DIGEST)
    assert match([other, record(3, chain[0])], chain) == record(3, chain[0])


def test_the_leaf_s_own_record_comes_first(chain: tuple[bytes, ...]) -> None:
    """With it neither names nor dates have to be looked at (RFC 7672 3.1.1)."""
    assert match([record(2, chain[1]), record(3, chain[0])], chain) == record(3, chain[0])


def test_the_order_of_a_chain_does_not_matter(chain: tuple[bytes, ...]) -> None:
    """Servers send authorities in any order, and needless ones (RFC 8446 4.4.2)."""
    leaf, intermediate, root = chain
    stray = der(trustme.CA().cert_pem.bytes())
    assert match([record(2, root)], (leaf, stray, root, intermediate))
    assert not match([record(2, stray)], (leaf, stray, root, intermediate))


def test_an_authority_must_have_signed(chain: tuple[bytes, ...]) -> None:
    """To send a published authority's certificate along proves nothing."""
    leaf, _, root = chain
    assert not match([record(2, root)], (leaf, root))
    stranger = der(trustme.CA().issue_cert(HOST).cert_chain_pems[0].bytes())
    assert not match([record(2, root)], (stranger, root))


def test_a_name_does_not_make_an_authority() -> None:
    """A certificate with the authority's name and another key has signed nothing."""
    authority = x509.BasicConstraints(ca=True, path_length=None)
    pem, twin = homemade(HOST, authority), der(homemade(HOST, authority))
    issued = der(homemade(HOST, signer=pem))
    assert match([record(2, der(pem)), record(2, twin)], (issued, twin, der(pem)))
    assert not match([record(2, twin)], (issued, twin, der(pem)))


def test_who_may_not_sign_is_no_authority() -> None:
    """A certificate without the CA mark is none, though its signature is right (RFC 5280 4.2.1.9)."""
    for ca in (True, False):
        pem = homemade(HOST, x509.BasicConstraints(ca=ca, path_length=None))
        issuer = der(pem)
        issued = der(homemade(HOST, signer=pem))
        assert bool(match([record(2, issuer)], (issued, issuer))) is ca


def test_an_authority_that_is_published_whole_need_not_be_sent(authority: trustme.CA) -> None:
    """The record holds the certificate already (RFC 7671 5.2.2)."""
    leaf = der(authority.issue_cert(HOST).cert_chain_pems[0].bytes())
    root = der(authority.cert_pem.bytes())
    assert match([record(2, root, selector=0, matching=0)], (leaf,))
    assert not match([record(2, root, selector=0, matching=1)], (leaf,))
    assert not match([Tlsa(2, 0, 0, b"no certificate")], (leaf,))


@pytest.mark.parametrize(
    "useless",
    [
        Tlsa(0, 1, 1, DIGEST),
        Tlsa(1, 1, 1, DIGEST),
        Tlsa(4, 1, 1, DIGEST),
        Tlsa(255, 1, 1, DIGEST),
        Tlsa(3, 2, 1, DIGEST),
        Tlsa(3, 1, 3, DIGEST),
        Tlsa(3, 1, 1, DIGEST[1:]),
        Tlsa(3, 1, 2, DIGEST),
        Tlsa(3, 0, 0, b""),
    ],
)
def test_records_that_mail_has_no_use_for_are_left_out(useless: Tlsa) -> None:
    """PKIX usages, unknown numbers and digests of a wrong length say nothing of a server (RFC 7672 3.1.3)."""
    good = Tlsa(3, 1, 1, DIGEST)
    assert usable([useless]) == ()
    assert usable([useless, good]) == (good,)


def test_pkix_records_fit_nothing(chain: tuple[bytes, ...]) -> None:
    """Even one that is right does not count."""
    assert not match([record(1, chain[0]), record(0, chain[1])], chain)


def test_only_the_strongest_digest_counts(chain: tuple[bytes, ...]) -> None:
    """A stale SHA-512 makes senders fail though the SHA-256 is right (RFC 7671 section 9), for one selector each."""
    stale = Tlsa(3, 1, 2, bytes(64))
    assert not match([stale, record(3, chain[0])], chain)
    assert match([stale, record(3, chain[0], selector=0)], chain)
    assert match([stale, record(3, chain[0], matching=0)], chain)


def test_a_chain_of_nothing_fits_nothing(chain: tuple[bytes, ...]) -> None:
    """No certificate, or one that cannot be read, fits no record; one above the leaf disturbs nobody."""
    own = record(3, chain[0])
    assert not match([own], ())
    assert not match([own], (b"garbage", chain[0]))
    assert match([own], (chain[0], b"garbage"))
    assert not match([], chain)


def test_a_chain_without_end_is_cut() -> None:
    """Signatures are checked for the first ten certificates only: a hostile server cannot buy seconds with them."""
    authority = trustme.CA(path_length=30)
    root = der(authority.cert_pem.bytes())
    for _ in range(10):
        authority = authority.create_child_ca()
    long = tuple(der(pem.bytes()) for pem in authority.issue_cert(HOST).cert_chain_pems)
    assert len(long) == 11
    assert match([record(2, long[9])], long)
    assert not match([record(2, root)], (*long, root))


def test_no_signature_is_checked_with_a_huge_key(chain: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """RSA of 16,384 bits takes milliseconds for each; making such keys takes minutes, so that here all are huge."""
    assert match([record(2, chain[1])], chain)
    monkeypatch.setattr(tlsa, "MAX_KEY", 255)
    assert not match([record(2, chain[1])], chain)


class Resolver(asyncio.DatagramProtocol):
    """A resolver that gives one answer, or none, to every question."""

    def __init__(self, answer: Callable[[dns.message.QueryMessage], dns.message.Message | None]) -> None:
        self.questions: list[dns.message.QueryMessage] = []
        self.transport: asyncio.DatagramTransport | None = None
        self._answer = answer

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer."""
        question = dns.message.from_wire(data)
        assert isinstance(question, dns.message.QueryMessage)
        self.questions.append(question)
        answer = self._answer(question)
        if answer is not None and self.transport is not None:
            self.transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def resolver(
    answer: Callable[[dns.message.QueryMessage], dns.message.Message | None],
) -> AsyncIterator[tuple[Resolver, dns.asyncresolver.Resolver]]:
    """Start a resolver on loopback, and give it with one of ours that asks it."""
    transport, serving = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Resolver(answer), local_addr=("127.0.0.1", 0)
    )
    serving.transport = transport
    asking = system_resolver()
    asking.nameservers = ["127.0.0.1"]
    asking.port = transport.get_extra_info("sockname")[1]
    try:
        yield serving, asking
    finally:
        transport.close()


def secure(
    *rdatas: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR, ad: bool = True
) -> Callable[..., dns.message.Message]:
    """Return an answer with some records, validated or not."""

    def answer(question: dns.message.QueryMessage) -> dns.message.Message:
        response = dns.message.make_response(question, recursion_available=True)
        response.set_rcode(rcode)
        response.flags |= dns.flags.AD if ad else 0
        if rdatas:
            response.answer.append(dns.rrset.from_text(question.question[0].name, 60, "IN", "TLSA", *rdatas))
        return response

    return answer


async def test_validated_records_are_returned() -> None:
    """The name is made of port and host (RFC 6698 section 3), and the question asks for AD (RFC 6840 5.7)."""
    async with resolver(secure(TLSA_311, "2 0 1 " + "ab" * 32)) as (serving, asking):
        found = await lookup("MX1.example.org.", 25, asking)
    assert found is not None
    assert set(found) == {Tlsa(3, 1, 1, DIGEST), Tlsa(2, 0, 1, b"\xab" * 32)}
    (question,) = serving.questions
    assert question.question[0].to_text().lower() == "_25._tcp.mx1.example.org. in tlsa"
    assert question.flags & dns.flags.AD
    assert question.edns == 0


async def test_records_without_end_are_cut() -> None:
    """Whoever owns the name can publish thousands, which all would be held against one another."""
    async with resolver(secure(*(f"3 1 0 {number:04x}" for number in range(60)))) as (_, asking):
        assert len(await lookup(HOST, 25, asking) or ()) == 50


async def test_an_alias_is_followed() -> None:
    """TLSA records may stand elsewhere (RFC 7671 section 7)."""

    def answer(question: dns.message.QueryMessage) -> dns.message.Message:
        response = secure()(question)
        response.answer.append(dns.rrset.from_text(question.question[0].name, 60, "IN", "CNAME", "keys.example.org."))
        response.answer.append(dns.rrset.from_text("keys.example.org.", 60, "IN", "TLSA", TLSA_311))
        return response

    async with resolver(answer) as (_, asking):
        assert await lookup(HOST, 25, asking) == (Tlsa(3, 1, 1, DIGEST),)


@pytest.mark.parametrize(
    "answer",
    [
        secure(TLSA_311, ad=False),
        secure(),
        secure(ad=False),
        secure(rcode=dns.rcode.NXDOMAIN),
        secure(rcode=dns.rcode.NXDOMAIN, ad=False),
    ],
)
async def test_without_secure_records_there_is_no_dane(answer: Callable[..., dns.message.Message]) -> None:
    """What is not validated does not count, nor what is not there."""
    async with resolver(answer) as (_, asking):
        assert await lookup(HOST, 25, asking) == ()


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP])
async def test_a_failed_lookup_is_not_the_same_as_no_records(rcode: dns.rcode.Rcode) -> None:
    """SERVFAIL may be a signature gone bad, and senders defer (RFC 7672 2.1.1)."""
    async with resolver(secure(rcode=rcode)) as (_, asking):
        assert await lookup(HOST, 25, asking) is None


async def test_a_silent_resolver_is_not_waited_for() -> None:
    """A lookup ends by itself, after at most two seconds unless the resolver it is given has less patience."""
    assert system_resolver().lifetime == 2
    async with resolver(lambda _: None) as (_, asking):
        asking.timeout = asking.lifetime = 0.2
        assert await lookup(HOST, 25, asking) is None


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example.org", "\u2024.example.org"])
async def test_a_host_that_is_no_name_cannot_be_looked_up(host: str) -> None:
    """It is no error, and nobody is asked."""
    async with resolver(secure(TLSA_311)) as (serving, asking):
        assert await lookup(host, 25, asking) is None
    assert serving.questions == []


async def test_a_system_without_a_resolver_cannot_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """That, too, is no error of the probe."""

    def none(*_: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.asyncresolver.Resolver, "read_resolv_conf", none)
    assert await lookup(HOST, 25) is None
