"""How deep a conversation goes, in which order, and what it leaves out."""

import asyncio
import base64
import dataclasses
import datetime as dt
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnslb.pool.health import Aspect, Patience, State, Verdict
from dnslb.probe.recipe import Auth, Kind, StartTls, Tlsa, Verify
from dnslb.probe.smtp import probe
from dnslb.probe.transcript import Report
from tests.probe.conftest import HOST, Certificates, server_context
from tests.probe.scripted import Guest, Listen, Listener, Script, greeting, say_goodbye, target

SESSION = frozenset({Aspect.SESSION})
ALL = frozenset(Aspect)
EHLO = b"EHLO probe.lb.example.org"
MAIL = b"MAIL FROM:<>"
RCPT = b"RCPT TO:<postmaster@example.org>"
SENTINEL = "postmaster@example.org"
ACCOUNT = Auth("probe", "s3cret-w0rd")
TOKEN = base64.b64encode(b"\0probe\0s3cret-w0rd")


def mailer(
    *keywords: bytes,
    context: ssl.SSLContext | None = None,
    over_tls: Sequence[bytes] = (),
    replies: Mapping[str, bytes] = MappingProxyType({}),
) -> Script:
    """Make a server that knows these keywords (others over TLS), and says 250 to all but what `replies` has.

    The keys of `replies` are verbs, or "greeting"; what they hold goes out as it is. STARTTLS is
    answered with 220 and a handshake.
    """

    async def script(guest: Guest) -> None:
        guest.greet(replies.get("greeting", b"220 mx.example ESMTP\r\n"))
        offered = keywords
        while True:
            verb = (await guest.hear()).split(b" ")[0].decode()
            if verb in replies:
                guest.say(replies[verb])
            elif verb in {"EHLO", "LHLO"}:
                guest.say(b"".join(b"250-%s\r\n" % word for word in (b"mx.example", *offered)) + b"250 HELP\r\n")
            elif verb == "QUIT":
                guest.say(b"221 bye\r\n")
                guest.transport.close()
            elif verb != "STARTTLS":
                guest.say(b"235 welcome\r\n" if verb == "AUTH" else b"250 ok\r\n")
            if verb == "STARTTLS" and "STARTTLS" not in replies:
                guest.say(b"220 go\r\n")
                assert context is not None
                await guest.secure(context)
                offered = tuple(over_tls)

    return script


Lasting = Callable[[float], ssl.SSLContext]
Relay = Callable[..., Awaitable[tuple[Listener, Report]]]


def steps(report: Report) -> list[str]:
    """Return the steps of a transcript in order."""
    return [exchange.step for exchange in report.exchanges]


def all_words(report: Report) -> str:
    """Return everything that a report holds, as text."""
    return repr(dataclasses.asdict(report))


async def test_a_session_is_greeting_and_ehlo_only(listen: Listen) -> None:
    """A shallow probe of a recipe with everything in it examines the session and nothing else."""
    server = await listen(mailer(b"STARTTLS", b"AUTH PLAIN"))
    report = await probe(target(server.port, starttls=StartTls.REQUIRE, rcpt_to=SENTINEL, auth=ACCOUNT), SESSION)
    assert (report.result.verdict, report.result.examined) == (Verdict.OK, SESSION)
    assert server.heard == [EHLO, b"QUIT"]


async def test_starttls_is_followed_by_a_second_ehlo(listen: Listen, certificates: Certificates) -> None:
    """RFC 3207 4.2: what was said before the handshake does not count, so the probe introduces itself anew."""
    server = await listen(mailer(b"STARTTLS", context=certificates.good))
    it = target(server.port, host=HOST, starttls=StartTls.OPPORTUNISTIC)
    report = await probe(it, frozenset({Aspect.SESSION, Aspect.TLS}))
    assert (report.result.verdict, report.result.reason) == (Verdict.OK, "")
    assert server.heard == [EHLO, b"STARTTLS", EHLO, b"QUIT"]
    assert steps(report) == ["connect", "greeting", "EHLO", "STARTTLS", "tls", "EHLO", "QUIT"]
    assert report.result.examined == {Aspect.SESSION, Aspect.TLS}
    assert report.tls is not None
    assert (report.tls.version, report.tls.trusted) == ("TLSv1.3", None)


async def test_the_host_is_asked_for_by_name(listen: Listen, certificates: Certificates) -> None:
    """The handshake names the member's host (SNI), for a server may hold certificates for many."""
    asked = []
    context = server_context(trustme.CA().issue_cert(HOST))
    context.sni_callback = lambda _object, name, _context: asked.append(name)
    server = await listen(mailer(b"STARTTLS", context=context))
    await probe(target(server.port, host=f"{HOST}.", starttls=StartTls.REQUIRE), ALL)
    assert set(asked) == {HOST}
    assert certificates.ca_file.exists()


async def test_smtps_shakes_hands_before_the_greeting(listen: Listen, certificates: Certificates) -> None:
    """RFC 8314 3.3: on port 465 TLS comes first, and STARTTLS never."""
    server = await listen(mailer(b"STARTTLS"), context=certificates.good)
    it = target(server.port, host=HOST, kind=Kind.SMTPS, starttls=StartTls.REQUIRE, capabilities=("STARTTLS",))
    report = await probe(it, SESSION)
    assert (report.result.verdict, report.result.reason) == (Verdict.OK, "")
    assert steps(report) == ["connect", "tls", "greeting", "EHLO", "QUIT"]
    assert server.heard == [EHLO, b"QUIT"]


async def test_lmtp_says_lhlo(listen: Listen) -> None:
    """RFC 2033 4.1: LHLO, and no HELO instead of it."""
    server = await listen(mailer())
    report = await probe(target(server.port, kind=Kind.LMTP), SESSION)
    assert report.result.verdict is Verdict.OK
    assert server.heard == [b"LHLO probe.lb.example.org", b"QUIT"]
    server = await listen(mailer(replies={"LHLO": b"500 what\r\n"}))
    assert (await probe(target(server.port, kind=Kind.LMTP), SESSION)).result.verdict is Verdict.REJECTING
    assert server.heard == [b"LHLO probe.lb.example.org", b"QUIT"]


@pytest.mark.parametrize("kind", [Kind.SMTP, Kind.TCP])
async def test_a_proxy_header_comes_before_all_else(listen: Listen, kind: Kind) -> None:
    """proxy-protocol.txt 2.2: twelve octets of signature, version 2 with LOCAL, no family, no length."""
    header = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x20\x00\x00\x00"

    async def script(guest: Guest) -> None:
        while len(guest.early) < len(header):  # noqa: ASYNC110 - the condition is what came
            await asyncio.sleep(0)
        guest.forget()
        await mailer()(guest)

    server = await listen(script)
    report = await probe(target(server.port, kind=kind, proxy=True), SESSION)
    assert report.result.verdict is Verdict.OK
    await server.settle()
    assert server.guests[0].early == header
    assert steps(report)[:2] == ["connect", "proxy"]


async def test_a_proxy_header_comes_before_tls(certificates: Certificates) -> None:
    """A listener for smtps behind a proxy reads the header in clear text."""
    loop = asyncio.get_running_loop()

    async def serve(listener: socket.socket) -> bytes:
        sock, _ = await loop.sock_accept(listener)
        header = await loop.sock_recv(sock, 16)
        await loop.connect_accepted_socket(lambda: Guest(mailer()), sock, ssl=certificates.good)
        return header

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
        serving = asyncio.create_task(serve(listener))
        report = await probe(target(listener.getsockname()[1], kind=Kind.SMTPS, proxy=True, host=HOST), SESSION)
    assert (report.result.verdict, report.result.reason) == (Verdict.OK, "")
    assert steps(report)[:3] == ["connect", "proxy", "tls"]
    assert len(await serving) == 16


async def test_a_missing_capability_is_rejecting(listen: Listen) -> None:
    """What the recipe requires has to be offered, and the reason names what is not."""
    server = await listen(mailer(b"size 1000"))
    report = await probe(target(server.port, capabilities=("SIZE", "PIPELINING", "8BITMIME")), SESSION)
    assert report.result.verdict is Verdict.REJECTING
    assert report.result.reason.endswith("PIPELINING, 8BITMIME")
    assert server.heard == [EHLO, b"QUIT"]


async def test_capabilities_are_sought_where_they_may_be_offered(listen: Listen, certificates: Certificates) -> None:
    """AUTH may be offered over TLS only, and STARTTLS before it only: neither counts as missing at the other EHLO."""
    both = ("AUTH", "STARTTLS")
    server = await listen(mailer(b"STARTTLS", context=certificates.good, over_tls=[b"AUTH PLAIN"]))
    for aspects in (SESSION, ALL):
        it = target(server.port, host=HOST, starttls=StartTls.REQUIRE, capabilities=both)
        assert (await probe(it, aspects)).result.verdict is Verdict.OK
    server = await listen(mailer(b"STARTTLS", context=certificates.good))
    report = await probe(target(server.port, host=HOST, starttls=StartTls.REQUIRE, capabilities=both), ALL)
    assert (report.result.verdict, report.result.reason.rpartition(" ")[2]) == (Verdict.REJECTING, "AUTH")


async def test_postscreens_stand_in_is_not_the_server(listen: Listen) -> None:
    """A greeting of several lines without PIPELINING: the probe is limited where that is required, else warned."""
    teaser = b"220-mx.example\r\n220 mx.example ESMTP\r\n"
    server = await listen(mailer(b"SIZE", replies={"greeting": teaser}))
    report = await probe(target(server.port, capabilities=("PIPELINING",)), SESSION)
    assert report.result.verdict is Verdict.PROBE_LIMITED
    report = await probe(target(server.port), SESSION)
    assert report.result.verdict is Verdict.OK
    assert len(report.result.warnings) == 1
    assert "postscreen" in report.result.warnings[0]


async def test_tls_that_is_not_offered_matters_where_it_is_required(listen: Listen) -> None:
    """Opportunistic senders deliver without TLS; others do not."""
    server = await listen(mailer())
    report = await probe(target(server.port, starttls=StartTls.OPPORTUNISTIC), ALL)
    assert report.result.verdict is Verdict.OK
    assert report.result.examined >= {Aspect.TLS, Aspect.CERTIFICATE}
    for starttls, verify in ((StartTls.REQUIRE, Verify.NONE), (StartTls.OPPORTUNISTIC, Verify.NAME)):
        it = target(server.port, host=HOST, starttls=starttls, verify=verify)
        report = await probe(it, ALL)
        assert (report.result.verdict, report.result.effect.state) == (Verdict.TLS_BROKEN, State.DOWN)
        assert (await probe(it, SESSION)).result.verdict is Verdict.OK


@pytest.mark.parametrize(("policy", "state"), [("opportunistic", State.DEGRADED), ("require", State.DOWN)])
async def test_starttls_that_is_refused(listen: Listen, policy: str, state: State) -> None:
    """A server that offers STARTTLS and then cannot is broken; where TLS need not be, the rest is still examined."""
    server = await listen(mailer(b"STARTTLS", replies={"STARTTLS": b"454 4.7.0 TLS not available\r\n"}))
    report = await probe(target(server.port, starttls=StartTls(policy), rcpt_to=SENTINEL), ALL)
    assert (report.result.verdict, report.result.effect.state) == (Verdict.TLS_BROKEN, state)
    rest = [MAIL, RCPT] if state is State.DEGRADED else []
    assert server.heard == [EHLO, b"STARTTLS", *rest, b"QUIT"]
    assert (Aspect.RECIPIENT in report.result.examined) == bool(rest)


async def hang_up_after_starttls(guest: Guest) -> None:
    """Offer TLS and close instead of a handshake; in clear text go on."""
    guest.greet(b"220 mx.example\r\n")
    await guest.hear()
    guest.say(b"250-mx.example\r\n250 STARTTLS\r\n")
    if await guest.hear() == b"STARTTLS":
        guest.say(b"220 go\r\n")
        guest.transport.close()
        return
    guest.say(b"250 ok\r\n")
    await guest.hear()
    guest.say(b"250 ok\r\n")
    await say_goodbye(guest)


async def test_a_broken_handshake_does_not_hide_the_rest(listen: Listen) -> None:
    """Where the recipe tolerates broken TLS, a new connection in clear text examines the recipient."""
    server = await listen(hang_up_after_starttls)
    report = await probe(target(server.port, starttls=StartTls.OPPORTUNISTIC, rcpt_to=SENTINEL), ALL)
    assert (report.result.verdict, report.result.effect.state) == (Verdict.TLS_BROKEN, State.DEGRADED)
    assert report.result.aspect is Aspect.TLS
    assert server.heard == [EHLO, b"STARTTLS", EHLO, MAIL, RCPT, b"QUIT"]
    assert Aspect.RECIPIENT in report.result.examined


async def test_a_broken_handshake_ends_it_where_nothing_is_left_to_do(listen: Listen) -> None:
    """There is one connection only if TLS is demanded, or if only TLS was to be examined."""
    server = await listen(hang_up_after_starttls)
    report = await probe(target(server.port, starttls=StartTls.REQUIRE, rcpt_to=SENTINEL), ALL)
    assert report.result.effect.state is State.DOWN
    report = await probe(target(server.port, starttls=StartTls.OPPORTUNISTIC), ALL)
    assert report.result.effect.state is State.DEGRADED
    assert len(server.guests) == 2


async def test_the_worst_finding_decides(listen: Listen, certificates: Certificates) -> None:
    """A tolerated certificate does not outweigh a recipient that is refused."""
    refused = b"550 5.1.1 no such user\r\n"
    server = await listen(mailer(b"STARTTLS", context=certificates.expired, replies={"RCPT": refused}))
    it = target(server.port, host=HOST, starttls=StartTls.OPPORTUNISTIC, rcpt_to=SENTINEL)
    report = await probe(it, ALL)
    assert (report.result.verdict, report.result.aspect) == (Verdict.REJECTS_DOMAIN, Aspect.RECIPIENT)


async def test_a_trusted_certificate_needs_one_connection(listen: Listen, certificates: Certificates) -> None:
    """Where the chain and the name fit, one handshake tells all."""
    server = await listen(mailer(b"STARTTLS", context=certificates.good))
    it = target(server.port, host=HOST, starttls=StartTls.REQUIRE, verify=Verify.NAME, ca_file=certificates.ca_file)
    report = await probe(it, ALL)
    assert (report.result.verdict, report.result.reason) == (Verdict.OK, "")
    assert report.tls is not None
    assert (report.tls.trusted, report.tls.problem) == (True, "")
    assert report.result.examined == ALL
    assert len(server.guests) == 1


FAULTS = ["expired", "not_yet_valid", "wrong_name", "unknown_ca", "self_signed"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_verify_name_takes_a_faulty_certificate_for_what_it_is(
    listen: Listen, certificates: Certificates, fault: str
) -> None:
    """Nothing is entrusted to such a server, but its certificate is shown; and the session is spoken to its end."""
    server = await listen(mailer(b"STARTTLS", context=getattr(certificates, fault), over_tls=[b"AUTH PLAIN"]))
    it = target(
        server.port, host=HOST, starttls=StartTls.REQUIRE, verify=Verify.NAME, ca_file=certificates.ca_file,
        auth=ACCOUNT, rcpt_to=SENTINEL,
    )  # fmt: skip
    report = await probe(it, ALL)
    assert (report.result.verdict, report.result.effect.state) == (Verdict.TLS_INVALID, State.DOWN)
    assert report.result.aspect is Aspect.CERTIFICATE
    assert report.tls is not None
    assert report.tls.certificate is not None
    assert report.tls.trusted is False
    assert report.tls.problem
    assert server.heard == [EHLO, b"STARTTLS", EHLO, b"STARTTLS", EHLO, b"QUIT"]
    assert report.result.examined == {Aspect.SESSION, Aspect.TLS, Aspect.CERTIFICATE}


@pytest.mark.parametrize("fault", FAULTS)
async def test_without_verify_only_dates_count(listen: Listen, certificates: Certificates, fault: str) -> None:
    """Most mail servers show a certificate that nobody can verify: a fact, and no fault. Dates degrade."""
    server = await listen(mailer(b"STARTTLS", context=getattr(certificates, fault)))
    it = target(server.port, host=HOST, starttls=StartTls.REQUIRE, ca_file=certificates.ca_file, rcpt_to=SENTINEL)
    report = await probe(it, ALL)
    dated = fault in {"expired", "not_yet_valid"}
    assert report.result.verdict is (Verdict.TLS_INVALID if dated else Verdict.OK)
    assert report.result.effect.state is (State.DEGRADED if dated else State.UP)
    assert report.tls is not None
    assert report.tls.trusted is False
    assert server.heard[-3:] == [MAIL, RCPT, b"QUIT"]
    assert report.result.examined == ALL


async def test_a_certificate_is_judged_only_when_that_is_asked(listen: Listen, certificates: Certificates) -> None:
    """Without verify, a probe for TLS alone takes any certificate, over one connection."""
    server = await listen(mailer(b"STARTTLS", context=certificates.expired))
    it = target(server.port, host=HOST, starttls=StartTls.REQUIRE)
    report = await probe(it, frozenset({Aspect.SESSION, Aspect.TLS}))
    assert report.result.verdict is Verdict.OK
    assert Aspect.CERTIFICATE not in report.result.examined
    assert len(server.guests) == 1


async def test_verify_holds_for_every_handshake(listen: Listen, certificates: Certificates) -> None:
    """Where the recipe verifies, no handshake passes unverified, whatever the probe came for."""
    server = await listen(mailer(), context=certificates.wrong_name)
    it = target(server.port, host=HOST, kind=Kind.SMTPS, verify=Verify.NAME, ca_file=certificates.ca_file)
    report = await probe(it, SESSION)
    assert report.result.verdict is Verdict.TLS_INVALID
    assert Aspect.CERTIFICATE in report.result.examined
    assert server.heard == []


async def test_verify_without_a_name_trusts_nobody(listen: Listen, certificates: Certificates) -> None:
    """A chain alone is no proof: there must be a name to compare."""
    server = await listen(mailer(), context=certificates.good)
    it = target(server.port, kind=Kind.SMTPS, verify=Verify.NAME, ca_file=certificates.ca_file)
    assert (await probe(it, SESSION)).result.verdict is Verdict.TLS_INVALID


@pytest.mark.parametrize(
    ("days", "verdict", "state", "warned"),
    [
        (2, Verdict.TLS_INVALID, State.DEGRADED, 0),
        (10, Verdict.OK, State.UP, 1),
        (60, Verdict.OK, State.UP, 0),
    ],
)
async def test_a_certificate_that_soon_expires(  # noqa: PLR0913, PLR0917 - a line of the table and what it needs
    listen: Listen, lasting: Lasting, certificates: Certificates, days: int, verdict: Verdict, state: State, warned: int
) -> None:
    """Under 21 days there is a warning, under 3 the member is degraded, also where the recipe verifies."""
    server = await listen(mailer(b"STARTTLS", context=lasting(days)))
    it = target(server.port, host=HOST, starttls=StartTls.REQUIRE, verify=Verify.NAME, ca_file=certificates.ca_file)
    result = (await probe(it, ALL)).result
    assert (result.verdict, result.effect.state, len(result.warnings)) == (verdict, state, warned)


@pytest.fixture
def lasting(authority: trustme.CA) -> Lasting:
    """Return a maker of server contexts whose certificate has so many days left."""

    def make(days: float) -> ssl.SSLContext:
        end = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
        return server_context(authority.issue_cert(HOST, not_after=end))

    return make


def key_record(context_certificate: bytes) -> Tlsa:
    """Return the record 3 1 1 of a certificate in PEM."""
    key = x509.load_pem_x509_certificate(context_certificate).public_key()
    return Tlsa(3, 1, 1, sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest())


async def test_dane_wants_the_key_and_nothing_else(listen: Listen) -> None:
    """RFC 7672 3.1.1: with DANE-EE neither authority nor name nor dates count, and one connection will do."""
    issued = trustme.CA().issue_cert("other.example.net")
    server = await listen(mailer(b"STARTTLS", context=server_context(issued)))
    record = key_record(issued.cert_chain_pems[0].bytes())
    policy = {"starttls": StartTls.REQUIRE, "verify": Verify.DANE}
    report = await probe(target(server.port, host=HOST, tlsa=(record,), **policy), ALL)
    assert (report.result.verdict, report.result.reason) == (Verdict.OK, "")
    assert report.tls is not None
    assert report.tls.trusted is True
    assert len(server.guests) == 1
    wrong = dataclasses.replace(record, data=bytes(32))
    for records in ((wrong,), ()):
        report = await probe(target(server.port, host=HOST, tlsa=records, **policy), ALL)
        assert (report.result.verdict, report.result.effect.state) == (Verdict.TLS_INVALID, State.DOWN)


async def test_records_that_cannot_be_looked_up_say_nothing(
    listen: Listen, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that fails us is no fault of the member's; but nothing deeper is tried, as senders defer too."""

    async def nothing(host: str, port: int) -> None:
        assert (host, port) == (HOST, server.port)

    monkeypatch.setattr("dnslb.probe.smtp.lookup", nothing)
    server = await listen(mailer(b"STARTTLS", context=certificates.good))
    it = target(server.port, host=HOST, starttls=StartTls.REQUIRE, verify=Verify.DANE, rcpt_to=SENTINEL)
    report = await probe(it, ALL)
    assert report.result.verdict is Verdict.OK
    assert len(report.result.warnings) == 1
    assert report.result.examined == {Aspect.SESSION, Aspect.TLS, Aspect.AUTH}


@pytest.fixture
def relay(listen: Listen, certificates: Certificates) -> Relay:
    """Start a server that offers logins over TLS, and return it with the reports of a probe of all its aspects."""

    async def run(*mechanisms: bytes, **replies: bytes) -> tuple[Listener, Report]:
        server = await listen(mailer(b"STARTTLS", context=certificates.good, over_tls=mechanisms, replies=replies))
        it = target(
            server.port,
            host=HOST,
            starttls=StartTls.REQUIRE,
            auth=ACCOUNT,
            rcpt_to=SENTINEL,
            ca_file=certificates.ca_file,
        )
        return server, await probe(it, ALL)

    return run


async def test_auth_plain_is_one_line_over_tls(relay: Relay) -> None:
    """RFC 4616: authorization identity (none), user and password. The envelope follows."""
    server, report = await relay(b"AUTH LOGIN PLAIN")
    assert (report.result.verdict, report.result.reason) == (Verdict.OK, "")
    assert server.heard == [EHLO, b"STARTTLS", EHLO, b"AUTH PLAIN " + TOKEN, MAIL, RCPT, b"QUIT"]
    assert report.result.examined == ALL


async def test_auth_login_where_nothing_better_is_offered(relay: Relay) -> None:
    """LOGIN asks for both in turn; the old spelling "AUTH=LOGIN" counts as an offer."""
    challenge = b"334 VXNlcm5hbWU6\r\n"
    user, password = base64.b64encode(b"probe"), base64.b64encode(ACCOUNT.password.encode())
    replies = {"AUTH": challenge, user.decode(): challenge, password.decode(): b"235 welcome\r\n"}
    server, report = await relay(b"AUTH=LOGIN", **replies)
    assert (report.result.verdict, report.result.reason) == (Verdict.OK, "")
    assert server.heard[3:6] == [b"AUTH LOGIN", user, password]
    assert password.decode() not in all_words(report)


async def test_a_failed_login_is_not_tried_again(relay: Relay) -> None:
    """After the first 535 comes QUIT: failed logins get their authors banned."""
    server, report = await relay(b"AUTH PLAIN LOGIN CRAM-MD5", AUTH=b"535 5.7.8 bad credentials\r\n")
    assert (report.result.verdict, report.result.aspect) == (Verdict.AUTH_FAILED, Aspect.AUTH)
    assert server.heard[3:] == [b"AUTH PLAIN " + TOKEN, b"QUIT"]
    assert Aspect.AUTH in report.result.examined


async def test_a_login_that_breaks_off_was_an_attempt(listen: Listen, certificates: Certificates) -> None:
    """The server may have counted it as a failed one, so that it must not be made again soon."""

    async def script(guest: Guest) -> None:
        guest.greet(b"220 mx.example\r\n")
        await guest.hear()
        guest.say(b"250-mx.example\r\n250 AUTH PLAIN\r\n")
        await guest.hear()
        guest.transport.close()

    server = await listen(script, context=certificates.good)
    report = await probe(target(server.port, host=HOST, kind=Kind.SMTPS, auth=ACCOUNT), ALL)
    assert (report.result.verdict, report.result.aspect) == (Verdict.CLOSED, Aspect.AUTH)
    assert Aspect.AUTH in report.result.examined


async def test_an_unexpected_challenge_is_called_off(relay: Relay) -> None:
    """RFC 4954 section 4: without the asterisk, QUIT would be taken for an answer."""
    server, report = await relay(b"AUTH PLAIN", AUTH=b"334 more\r\n", **{"*": b"501 cancelled\r\n"})
    assert report.result.verdict is Verdict.AUTH_FAILED
    assert server.heard[-2:] == [b"*", b"QUIT"]


async def test_a_mechanism_that_is_not_ours_is_not_tried(relay: Relay) -> None:
    """Without PLAIN or LOGIN there is no attempt, and the reason says what is lacking."""
    server, report = await relay(b"AUTH CRAM-MD5")
    assert report.result.verdict is Verdict.AUTH_FAILED
    assert "AUTH PLAIN or LOGIN" in report.result.reason
    assert "not tried" in report.advice
    assert Aspect.AUTH not in report.result.examined
    assert report.result.effect.patience is Patience.CONFIRM
    assert server.heard[3:] == [b"QUIT"]


async def test_a_login_refused_at_one_address_has_been_examined(listen: Listen, certificates: Certificates) -> None:
    """Though the other address was never asked: else it would be tried again with each probe, and the guest banned."""
    first = await listen(mailer(b"STARTTLS", replies={"STARTTLS": b"454 4.7.0 not now\r\n"}), "127.0.0.1")
    refusing = mailer(
        b"STARTTLS", context=certificates.good, over_tls=[b"AUTH PLAIN"], replies={"AUTH": b"535 5.7.8 no\r\n"}
    )
    await listen(refusing, "127.0.0.2", port=first.port)
    it = target(first.port, "127.0.0.1", "127.0.0.2", starttls=StartTls.OPPORTUNISTIC, auth=ACCOUNT)
    result = (await probe(it, ALL)).result
    assert result.verdict is Verdict.AUTH_FAILED
    assert Aspect.AUTH in result.examined


@pytest.mark.parametrize("policy", ["off", "opportunistic"])
async def test_no_password_goes_out_in_clear_text(listen: Listen, policy: str) -> None:
    """Where there is no TLS there is no AUTH, whatever the server offers."""
    server = await listen(mailer(b"AUTH PLAIN LOGIN"))
    report = await probe(target(server.port, starttls=StartTls(policy), auth=ACCOUNT, rcpt_to=SENTINEL), ALL)
    assert report.result.verdict is Verdict.AUTH_FAILED
    assert "TLS" in report.result.reason
    assert server.heard == [EHLO, b"QUIT"]


@pytest.mark.parametrize("refusal", ["454 4.7.0 not now", "hangs up"])
async def test_broken_tls_keeps_the_password_in(listen: Listen, refusal: str) -> None:
    """A man in the middle who breaks STARTTLS does not get the password, however tolerant the recipe."""
    broken = mailer(b"STARTTLS", b"AUTH PLAIN", replies={"STARTTLS": refusal.encode() + b"\r\n"})
    server = await listen(hang_up_after_starttls if refusal == "hangs up" else broken)
    it = target(server.port, starttls=StartTls.OPPORTUNISTIC, auth=ACCOUNT, rcpt_to=SENTINEL)
    report = await probe(it, ALL)
    assert (report.result.verdict, report.result.effect.state) == (Verdict.TLS_BROKEN, State.DEGRADED)
    assert not report.result.examined & {Aspect.AUTH, Aspect.RECIPIENT}
    assert not any(line.startswith((b"AUTH", b"MAIL")) for line in server.heard)
    assert len(server.guests) == 1


ECHOES = {
    "whole": b"535 what is AUTH PLAIN " + TOKEN + b"?\r\n",
    "cut short": b"500 unknown: AUTH PLAIN " + TOKEN[:-7] + b"\r\n",
    "upper case": b"500 unknown: AUTH PLAIN " + TOKEN.upper() + b"\r\n",
    "the word itself": b"535-no\r\n535 password S3cret-w0rd is wrong\r\n",
    "no reply": b"AUTH PLAIN " + TOKEN + b"\r\n",
    "early": b"535 no\r\n" + TOKEN + b"\r\n",
}


@pytest.mark.parametrize("echo", ECHOES)
async def test_the_password_is_in_no_record(relay: Relay, echo: str, caplog: pytest.LogCaptureFixture) -> None:
    """Servers repeat what they do not understand; neither password nor token gets through to people."""
    with caplog.at_level(logging.DEBUG):
        _, report = await relay(b"AUTH PLAIN", AUTH=ECHOES[echo])
    assert "AUTH PLAIN ***" in {exchange.sent for exchange in report.exchanges}
    words = (all_words(report) + caplog.text).casefold()
    for secret in (TOKEN[:-7].decode(), TOKEN[8:20].decode(), ACCOUNT.password[-5:]):
        assert secret.casefold() not in words


async def test_the_recipient_is_asked_for_without_data(listen: Listen) -> None:
    """MAIL with the null sender and RCPT with the sentinel; no RSET and no DATA, only QUIT."""
    server = await listen(mailer())
    report = await probe(target(server.port, rcpt_to=SENTINEL), ALL)
    assert report.result.verdict is Verdict.OK
    assert server.heard == [EHLO, MAIL, RCPT, b"QUIT"]
    report = await probe(target(server.port, rcpt_to=SENTINEL, mail_from="probe@example.net"), ALL)
    assert b"MAIL FROM:<probe@example.net>" in server.heard


@pytest.mark.parametrize(
    ("verb", "reply", "verdict"),
    [
        ("MAIL", b"452 4.3.1 Insufficient system storage\r\n", Verdict.STORAGE),
        ("RCPT", b"554 5.7.1 Relay access denied\r\n", Verdict.REJECTS_DOMAIN),
        ("RCPT", b"450 4.7.1 Greylisted\r\n", Verdict.OK),
        ("RCPT", b"251 will forward\r\n", Verdict.OK),
    ],
)
async def test_what_only_the_envelope_shows(listen: Listen, verb: str, reply: bytes, verdict: Verdict) -> None:
    """A full disk and a domain that is not known come to light here, and QUIT follows."""
    server = await listen(mailer(replies={verb: reply}))
    report = await probe(target(server.port, rcpt_to=SENTINEL), ALL)
    assert (report.result.verdict, server.heard[-1]) == (verdict, b"QUIT")
    assert Aspect.RECIPIENT in report.result.examined
    put_off = verdict is Verdict.OK and reply.startswith(b"4")
    assert any("greylisting" in warning for warning in report.result.warnings) is put_off


@pytest.mark.parametrize(
    ("recipe", "reply", "verdict"),
    [
        (
            {"starttls": StartTls.OPPORTUNISTIC},
            b"530 5.7.0 Must issue a STARTTLS command first",
            Verdict.REJECTS_DOMAIN,
        ),
        ({"starttls": StartTls.OFF}, b"530 5.7.0 Must issue a STARTTLS command first", Verdict.PROBE_BLOCKED),
        ({"starttls": StartTls.OFF}, b"530 5.7.1 Client was not authenticated", Verdict.REJECTS_DOMAIN),
        ({"kind": Kind.LMTP}, b"530 5.7.1 Client was not authenticated", Verdict.REJECTS_DOMAIN),
        ({"kind": Kind.SUBMISSION}, b"530 5.7.1 Client was not authenticated", Verdict.PROBE_BLOCKED),
    ],
)
async def test_who_wants_a_login_of_mail_servers_takes_no_mail(
    listen: Listen, recipe: dict[str, Any], reply: bytes, verdict: Verdict
) -> None:
    """Other senders bring no more than this, and their mail bounces; for submission it is the probe that lacks it."""
    server = await listen(mailer(replies={"RCPT": reply + b"\r\n"}))
    assert (await probe(target(server.port, rcpt_to=SENTINEL, **recipe), ALL)).result.verdict is verdict


async def test_who_takes_mail_by_smtps_may_want_a_login(listen: Listen, certificates: Certificates) -> None:
    """There is TLS, and the probe has no account."""
    server = await listen(mailer(replies={"RCPT": b"530 5.7.1 Authentication required\r\n"}), context=certificates.good)
    report = await probe(target(server.port, host=HOST, kind=Kind.SMTPS, rcpt_to=SENTINEL), ALL)
    assert report.result.verdict is Verdict.PROBE_BLOCKED


async def test_an_account_that_is_let_in_and_may_not_send(relay: Relay) -> None:
    """After a login nothing is lacking: the member turns away whoever comes."""
    _, report = await relay(b"AUTH PLAIN", RCPT=b"530 5.7.1 Authentication required\r\n")
    assert report.result.verdict is Verdict.REJECTS_DOMAIN


async def test_what_begins_with_a_proxy_header_asks_whether_that_is_wanted(listen: Listen) -> None:
    """A server that expects none takes it for a client that talks too early."""
    server = await listen(greeting(b"500 what?\r\n500 what?\r\n"))
    report = await probe(target(server.port, proxy=True), ALL)
    assert report.result.verdict is Verdict.NOT_SMTP
    assert "expects a PROXY header at all" in report.advice


async def test_with_an_account_the_recipient_waits_for_a_login(relay: Relay, listen: Listen) -> None:
    """A server for submission takes mail after AUTH only, which has its own cadence; `examined` is honest about it."""
    await relay(b"AUTH PLAIN")
    server = await listen(mailer())
    it = target(server.port, auth=ACCOUNT, rcpt_to=SENTINEL)
    report = await probe(it, frozenset({Aspect.SESSION, Aspect.RECIPIENT}))
    assert report.result.verdict is Verdict.OK
    assert server.heard == [EHLO, b"QUIT"]
    assert Aspect.RECIPIENT not in report.result.examined


async def test_the_recipient_is_asked_for_over_tls(listen: Listen, certificates: Certificates) -> None:
    """As senders do, and as servers demand that answer MAIL with 530 before; TLS then has been examined too."""
    server = await listen(mailer(b"STARTTLS", context=certificates.good))
    it = target(server.port, host=HOST, starttls=StartTls.OPPORTUNISTIC, rcpt_to=SENTINEL)
    report = await probe(it, frozenset({Aspect.SESSION, Aspect.RECIPIENT}))
    assert server.heard == [EHLO, b"STARTTLS", EHLO, MAIL, RCPT, b"QUIT"]
    assert report.result.examined == {Aspect.SESSION, Aspect.TLS, Aspect.RECIPIENT}


async def test_what_the_recipe_does_not_speak_of_counts_as_examined(listen: Listen) -> None:
    """So that trouble with what a reload has taken out of the recipe does not last for ever."""
    server = await listen(mailer())
    assert (await probe(target(server.port), ALL)).result.examined == ALL
    assert server.heard == [EHLO, b"QUIT"]


async def test_a_failure_before_leaves_the_rest_unexamined(listen: Listen) -> None:
    """Nothing is claimed of what the conversation did not come to."""
    server = await listen(greeting(b"554 no\r\n"))
    report = await probe(target(server.port, starttls=StartTls.REQUIRE, rcpt_to=SENTINEL), ALL)
    assert report.result.examined == {Aspect.SESSION, Aspect.AUTH}


async def test_the_second_address_is_asked_though_the_first_is_degraded(
    listen: Listen, certificates: Certificates
) -> None:
    """A problem that is tolerated does not hide a worse one at the next address."""
    server = await listen(mailer(b"STARTTLS", context=certificates.expired), "127.0.0.2")
    it = target(server.port, "127.0.0.2", "127.0.0.3", host=HOST, starttls=StartTls.OPPORTUNISTIC)
    report = await probe(it, ALL)
    assert report.result.verdict is Verdict.REFUSED
    assert "127.0.0.3" in report.result.reason
    assert report.tls is None
