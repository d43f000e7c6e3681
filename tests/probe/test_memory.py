"""What probes remember, and how that makes them polite guests: real handshakes with one server, time and again."""

import datetime as dt
import ssl
from collections.abc import Iterator
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnslb.pool.health import Aspect, NextProbe, State, Verdict
from dnslb.probe import memory
from dnslb.probe.memory import Memory, Place, Rejection, digest
from dnslb.probe.recipe import Auth, Kind, StartTls, Target, Tlsa, Verify
from dnslb.probe.scheduler import Scheduler
from dnslb.probe.smtp import probe
from dnslb.probe.tls import client_context
from tests.probe.conftest import HOST, Certificates, server_context
from tests.probe.scripted import Guest, Listen, Listener, target

ALL = frozenset(Aspect)
SESSION = frozenset({Aspect.SESSION})
NEVER = 3600.0
EHLO = b"EHLO probe.lb.example.org"
FAULTS = ["expired", "not_yet_valid", "wrong_name", "unknown_ca", "self_signed"]
EXTERNAL: dict[str, Any] = {"host": HOST, "kind": Kind.SMTPS, "verify": Verify.DANE}


async def serve(guest: Guest) -> None:
    """Greet and talk: for connections that are over TLS from the start."""
    guest.greet(b"220 mx.example ESMTP\r\n")
    await talk(guest)


async def talk(guest: Guest) -> None:
    """Say yes to all, and 221 to QUIT."""
    while (line := await guest.hear()) != b"QUIT":
        guest.say(b"235 ok\r\n" if line.startswith(b"AUTH") else b"250-mx.example\r\n250 AUTH PLAIN\r\n")
    guest.say(b"221 bye\r\n")
    guest.transport.close()


class Server:
    """A server for STARTTLS or smtps, and the visits to it since one last asked."""

    def __init__(self, kind: Kind, context: ssl.SSLContext) -> None:
        self.kind = kind
        self.context = context
        self.listener = Listener(serve)
        self._seen = 0

    async def start(self, listen: Listen) -> "Server":
        """Begin to listen."""
        secured = self.context if self.kind is Kind.SMTPS else None
        self.listener = await listen(serve if secured else self._offer_starttls, context=secured)
        return self

    def target(self, certificates: Certificates, **changes: Any) -> Target:  # noqa: ANN401 - any field of a recipe
        """Return the server as a member."""
        plain = {"kind": self.kind, "starttls": StartTls.REQUIRE, "ca_file": certificates.ca_file, "host": HOST}
        return target(self.listener.port, **{**plain, **changes})

    def visits(self) -> str:
        """Return one letter for each visit: q for one that ended with QUIT, a for an abrupt end."""
        new = self.listener.guests[self._seen :]
        self._seen += len(new)
        return "".join("q" if guest.heard[-1:] == [b"QUIT"] else "a" for guest in new)

    async def _offer_starttls(self, guest: Guest) -> None:
        guest.greet(b"220 mx.example ESMTP\r\n")
        await guest.hear()
        guest.say(b"250-mx.example\r\n250 STARTTLS\r\n")
        assert await guest.hear() == b"STARTTLS"
        guest.say(b"220 go\r\n")
        await guest.secure(self.context)
        await talk(guest)


BOTH = pytest.mark.parametrize("kind", [Kind.SMTP, Kind.SMTPS])


@BOTH
@pytest.mark.parametrize("verify", [Verify.NONE, Verify.NAME])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_chain_is_rejected_once(
    listen: Listen, certificates: Certificates, fault: str, verify: Verify, kind: Kind
) -> None:
    """The first probe breaks a handshake off and comes again; later ones are one visit, and find the same."""
    server = await Server(kind, getattr(certificates, fault)).start(listen)
    it, known = server.target(certificates, verify=verify), Memory()
    first = await probe(it, ALL, known)
    assert server.visits() == "aq"
    for report in (await probe(it, ALL, known), await probe(it, ALL, known)):
        assert (report.result.verdict, report.result.reason) == (first.result.verdict, first.result.reason)
        assert (report.result.effect, report.result.examined) == (first.result.effect, first.result.examined)
        assert (report.tls, report.advice) == (first.tls, first.advice)
        assert report.tls is not None
        assert report.tls.trusted is False
    assert server.visits() == "qq"


async def test_without_a_memory_each_probe_verifies(listen: Listen, certificates: Certificates) -> None:
    """A single probe from the command line knows nothing from before."""
    server = await Server(Kind.SMTP, certificates.unknown_ca).start(listen)
    for _ in range(2):
        await probe(server.target(certificates), ALL)
    assert server.visits() == "aqaq"


async def test_the_probes_of_a_schedule_share_a_memory(listen: Listen, certificates: Certificates) -> None:
    """What one probe of the daemon has learned, the next one knows."""
    server = await Server(Kind.SMTP, certificates.unknown_ca).start(listen)
    it = server.target(certificates, interval=NEVER)
    scheduler = Scheduler(lambda _target, _report, _lag: NextProbe(NEVER, frozenset()), concurrency=1)
    await scheduler.start([it])
    for _ in range(2):
        await scheduler.probe_now((it.pool, it.member))
    await scheduler.stop()
    assert server.visits() == "aqq"


async def test_every_shallow_probe_of_smtps_is_polite_too(listen: Listen, certificates: Certificates) -> None:
    """Where each probe verifies, each finds the chain that was rejected, and only the first is abrupt."""
    server = await Server(Kind.SMTPS, certificates.wrong_name).start(listen)
    it, known = server.target(certificates, verify=Verify.NAME), Memory()
    first = await probe(it, SESSION, known)
    assert server.visits() == "a"
    second = await probe(it, SESSION, known)
    assert server.visits() == "q"
    for report in (first, second):
        assert (report.result.verdict, report.result.effect.state) == (Verdict.TLS_INVALID, State.DOWN)
        assert "mismatch" in report.result.reason
        assert report.result.examined == {Aspect.SESSION, Aspect.TLS, Aspect.CERTIFICATE}


async def test_a_rejected_chain_is_entrusted_with_nothing(listen: Listen, certificates: Certificates) -> None:
    """Remembered or not: there is no login where the recipe's policy does not hold."""
    server = await Server(Kind.SMTP, certificates.unknown_ca).start(listen)
    it, known = server.target(certificates, verify=Verify.NAME, auth=Auth("probe", "s3cret")), Memory()
    for _ in range(2):
        await probe(it, ALL, known)
    assert set(server.listener.heard) == {EHLO, b"STARTTLS", b"QUIT"}


@BOTH
async def test_a_mended_chain_is_seen_in_the_same_probe(
    listen: Listen, authority: trustme.CA, certificates: Certificates, kind: Kind
) -> None:
    """Another chain is verified before anything is made of it, over a second connection; no end is abrupt."""
    context = server_context(trustme.CA().issue_cert(HOST))
    server = await Server(kind, context).start(listen)
    it, known = server.target(certificates, verify=Verify.NAME), Memory()
    assert (await probe(it, ALL, known)).result.verdict is Verdict.TLS_INVALID
    authority.issue_cert(HOST).configure_cert(context)
    server.visits()
    report = await probe(it, ALL, known)
    assert (report.result.verdict, report.result.reason) == (Verdict.OK, "")
    assert report.result.examined == ALL
    assert report.tls is not None
    assert report.tls.trusted is True
    assert server.visits() == "qq"
    await probe(it, ALL, known)
    assert server.visits() == "q"


async def test_another_bad_chain_is_rejected_once_too(listen: Listen, certificates: Certificates) -> None:
    """The memory follows the server, and the reason speaks of what it shows now."""
    context = server_context(trustme.CA().issue_cert(HOST))
    server = await Server(Kind.SMTP, context).start(listen)
    it, known = server.target(certificates, verify=Verify.NAME), Memory()
    await probe(it, ALL, known)
    trustme.CA().issue_cert("other.example.net").configure_cert(context)
    server.visits()
    await probe(it, ALL, known)
    assert server.listener.guests[-3].heard == [EHLO, b"STARTTLS", b"QUIT"]
    assert server.visits() == "qaq"
    await probe(it, ALL, known)
    assert server.visits() == "q"


async def test_a_chain_that_could_not_be_verified_yet_is_neither_good_nor_bad(
    listen: Listen, certificates: Certificates
) -> None:
    """Nothing is claimed of another chain where the server has no time for more than its greeting."""
    context = server_context(trustme.CA().issue_cert(HOST))
    greetings = [b"421 4.3.2 Try again later\r\n", b"220 mx.example\r\n"]

    async def script(guest: Guest) -> None:
        guest.greet(greetings.pop())
        await talk(guest)

    listener = await listen(script, context=context)
    by_name = {"kind": Kind.SMTPS, "verify": Verify.NAME, "ca_file": certificates.ca_file}
    it, known = target(listener.port, host=HOST, tlsa=None, **by_name), Memory()
    await probe(it, ALL, known)
    trustme.CA().issue_cert(HOST).configure_cert(context)
    report = await probe(it, ALL, known)
    assert report.result.verdict is Verdict.BUSY
    assert Aspect.CERTIFICATE not in report.result.examined
    assert report.tls is not None
    assert report.tls.trusted is None


async def test_an_intermediate_that_was_missing_is_seen(
    listen: Listen, authority: trustme.CA, certificates: Certificates, tmp_path: Path
) -> None:
    """The leaf stays the same, but the chain does not."""
    issued = authority.create_child_ca().issue_cert(HOST)
    file = tmp_path / "leaf.pem"
    file.write_bytes(issued.private_key_pem.bytes() + issued.cert_chain_pems[0].bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = await Server(Kind.SMTP, context).start(listen)
    it, known = server.target(certificates, verify=Verify.NAME), Memory()
    assert (await probe(it, ALL, known)).result.verdict is Verdict.TLS_INVALID
    issued.configure_cert(context)
    assert (await probe(it, ALL, known)).result.verdict is Verdict.OK


async def test_changed_trust_anchors_verify_anew(listen: Listen, certificates: Certificates, tmp_path: Path) -> None:
    """Whom a file of authorities did not hold yesterday, it may hold today: one visit tells."""
    authority, file = trustme.CA(), tmp_path / "ca.pem"
    file.write_bytes(certificates.ca_file.read_bytes())
    server = await Server(Kind.SMTP, server_context(authority.issue_cert(HOST))).start(listen)
    it, known = server.target(certificates, verify=Verify.NAME, ca_file=file), Memory()
    assert (await probe(it, ALL, known)).result.verdict is Verdict.TLS_INVALID
    file.write_bytes(authority.cert_pem.bytes() + file.read_bytes())
    server.visits()
    assert (await probe(it, ALL, known)).result.verdict is Verdict.OK
    assert server.visits() == "q"


async def test_a_good_chain_is_not_taken_for_the_one_rejected(listen: Listen, certificates: Certificates) -> None:
    """Behind one address may be several servers: what is remembered is what was rejected, not what was seen next."""
    shown = iter([certificates.unknown_ca, certificates.good, certificates.good, certificates.good])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = next(shown)

    context.sni_callback = choose
    server = await Server(Kind.SMTP, context).start(listen)
    it, known = server.target(certificates, verify=Verify.NAME), Memory()
    assert (await probe(it, ALL, known)).result.verdict is Verdict.TLS_INVALID
    assert (await probe(it, ALL, known)).result.verdict is Verdict.OK
    assert server.visits() == "aqqq"


def moment(year: int) -> float:
    """Return the first of January as Unix time."""
    return dt.datetime(year, 1, 1, tzinfo=dt.UTC).timestamp()


def test_a_chain_is_another_one_when_a_certificate_in_it_begins_or_ends_to_be_valid() -> None:
    """For then OpenSSL says something else of it. As long as that does not happen, it stays the same."""
    spring, autumn = dt.datetime(2030, 4, 1, tzinfo=dt.UTC), dt.datetime(2030, 10, 1, tzinfo=dt.UTC)
    leaf = trustme.CA().issue_cert(HOST, not_before=spring, not_after=autumn)
    chain = [ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())]
    moments = [moment(2029), spring.timestamp() - 1, spring.timestamp() + 1, autumn.timestamp() + 1, moment(2035)]
    before, just_before, valid, expired, long_expired = (digest(chain, now) for now in moments)
    assert before == just_before
    assert expired == long_expired
    assert len({before, valid, expired}) == 3


def test_a_chain_is_told_by_all_its_certificates() -> None:
    """Their order and borders count, and what cannot be read counts by its octets."""
    chains = [[], [b"ab"], [b"a", b"b"], [b"b", b"a"], [b"a"], [b"a", b"a"]]
    assert len({digest(chain, 0.0) for chain in chains}) == len(chains)


def places(count: int) -> Iterator[Place]:
    """Return so many places."""
    return (Place(ip_address("192.0.2.1"), port, HOST, None) for port in range(count))


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, certificates: Certificates) -> None:
    """The oldest places and hosts are forgotten; one that was renewed is not the oldest."""
    monkeypatch.setattr(memory, "MOST", 2)
    first, second, third = places(3)
    known, anchors = Memory(), client_context(verify=True, ca_file=certificates.ca_file)
    for place in (first, second, first, third):
        known.reject(place, Rejection(anchors, b"", "no"))
        known.note_tlsa(HOST, place.port, (), 1.0)
    assert [known.rejected(place, anchors) is None for place in (first, second, third)] == [False, True, False]
    assert [known.tlsa(HOST, place.port, 0.0) is None for place in (first, second, third)] == [False, True, False]


class Resolver:
    """What stands for the resolver: it answers with the same records until told otherwise, and counts."""

    def __init__(self, *records: Tlsa) -> None:
        self.records: tuple[Tlsa, ...] | None = records
        self.asked = 0

    async def lookup(self, host: str, port: int) -> tuple[Tlsa, ...] | None:
        """Answer."""
        assert (host, port > 0) == (HOST, True)
        self.asked += 1
        return self.records


def key_record(issued: trustme.LeafCert) -> Tlsa:
    """Return the record 3 1 1 of a certificate."""
    key = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).public_key()
    return Tlsa(3, 1, 1, sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest())


@pytest.fixture
def issued() -> trustme.LeafCert:
    """Return the certificate of a server whose host is in a zone of others."""
    return trustme.CA().issue_cert(HOST)


@pytest.fixture
def resolver(issued: trustme.LeafCert, monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """Let lookups be answered with the record of that certificate."""
    resolver = Resolver(key_record(issued))
    monkeypatch.setattr("dnslb.probe.smtp.lookup", resolver.lookup)
    return resolver


@pytest.mark.parametrize(("interval", "asked"), [(900.0, 1), (0.0, 3)])
async def test_records_that_fit_are_looked_up_once_in_an_interval(
    listen: Listen, issued: trustme.LeafCert, resolver: Resolver, interval: float, asked: int
) -> None:
    """Each probe of smtps judges the certificate, but not each asks the resolver."""
    server = await listen(serve, context=server_context(issued))
    it, known = target(server.port, certificate_interval=interval, **EXTERNAL), Memory()
    for _ in range(3):
        assert (await probe(it, SESSION, known)).result.verdict is Verdict.OK
    assert resolver.asked == asked


async def test_a_new_key_is_held_against_new_records(
    listen: Listen, issued: trustme.LeafCert, resolver: Resolver
) -> None:
    """Whoever changes key and records as RFC 7671 section 8 says is never found wrong for what was remembered."""
    context = server_context(issued)
    server = await listen(serve, context=context)
    it, known = target(server.port, **EXTERNAL), Memory()
    await probe(it, SESSION, known)
    successor = trustme.CA().issue_cert(HOST)
    successor.configure_cert(context)
    resolver.records = (key_record(successor),)
    assert (await probe(it, SESSION, known)).result.verdict is Verdict.OK
    assert (resolver.asked, len(server.guests)) == (2, 3)
    await probe(it, SESSION, known)
    assert (resolver.asked, len(server.guests)) == (2, 4)


async def test_records_that_do_not_fit_are_not_remembered(
    listen: Listen, issued: trustme.LeafCert, resolver: Resolver
) -> None:
    """As soon as the right ones are published, the next probe sees them; meanwhile each probe is one visit."""
    right, resolver.records = resolver.records, ()
    server = await listen(serve, context=server_context(issued))
    it, known = target(server.port, **EXTERNAL), Memory()
    for _ in range(2):
        assert (await probe(it, SESSION, known)).result.verdict is Verdict.TLS_INVALID
    assert (resolver.asked, len(server.guests)) == (2, 2)
    resolver.records = right
    assert (await probe(it, SESSION, known)).result.verdict is Verdict.OK


async def test_a_failed_lookup_is_repeated_by_the_next_probe(
    listen: Listen, issued: trustme.LeafCert, resolver: Resolver
) -> None:
    """What could not be found out is asked for again, and meanwhile said."""
    right, resolver.records = resolver.records, None
    server = await listen(serve, context=server_context(issued))
    it, known = target(server.port, **EXTERNAL), Memory()
    assert (await probe(it, SESSION, known)).result.warnings
    resolver.records = right
    assert not (await probe(it, SESSION, known)).result.warnings
    assert resolver.asked == 2
