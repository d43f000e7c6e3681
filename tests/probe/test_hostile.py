"""Peers that are broken or mean harm: each gets its verdict, and costs a bounded time, memory and no descriptor."""

import asyncio
import contextlib
import errno
import gc
import socket
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509

from dnslb.pool.health import Aspect, State, Verdict
from dnslb.probe import line
from dnslb.probe.recipe import Kind, StartTls
from dnslb.probe.record import Record
from dnslb.probe.smtp import probe
from dnslb.probe.tcp import connect_failure
from dnslb.probe.transcript import Report
from dnslb.probe.verdict import Event, Step
from tests.probe.conftest import HOST, Certificates, homemade, server_context, serving
from tests.probe.scripted import (
    AMPLE,
    BRIEF,
    Guest,
    Listen,
    Listener,
    Script,
    answering,
    descriptors,
    greeting,
    say_goodbye,
    stay_silent,
    target,
)

SESSION = frozenset({Aspect.SESSION})
ALL = frozenset(Aspect)
SENTINEL = "postmaster@example.org"


@pytest.fixture(autouse=True)
async def leaves_nothing() -> AsyncIterator[None]:
    """After each test here as many descriptors are open as before, and no task is left of the probe's."""
    before = descriptors(), len(asyncio.all_tasks())
    yield
    assert (descriptors(), len(asyncio.all_tasks())) == before


async def meet(server: Listener, **recipe: Any) -> Report:  # noqa: ANN401 - a recipe's fields have many types
    """Probe a server in all aspects of a recipe, and wait until it has lost all its connections."""
    report = await probe(target(server.port, host=HOST, **recipe), ALL)
    await server.settle()
    return report


def endless(first: bytes, piece: bytes) -> Script:
    """Greet with `first`, then send `piece` for as long as anybody listens, as fast as it is taken."""

    async def script(guest: Guest) -> None:
        guest.say(first)
        while True:
            guest.say(piece * (1 + 20_000 // len(piece)))
            await asyncio.sleep(0)

    return script


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"", b"220-welcome\r\n"),
        (b"", b"x"),
        (b"220-", b"megabytes of a line "),
        (b"", b"220-\r\n"),
    ],
)
async def test_an_endless_greeting_is_cut_off(listen: Listen, first: bytes, piece: bytes) -> None:
    """Lines without end and a line without end: no mail server says so much."""
    report = await meet(await listen(endless(first, piece)))
    assert report.result.verdict is Verdict.NOT_SMTP
    assert report.result.latency_ms is None


async def test_ten_thousand_ehlo_lines_are_cut_off(listen: Listen) -> None:
    """A reply has no more lines than a mail server could mean."""
    server = await listen(answering(b"".join(b"250-X%d\r\n" % number for number in range(10_000)) + b"250 HELP\r\n"))
    report = await meet(server)
    assert report.result.verdict is Verdict.NOT_SMTP
    assert "EHLO" in report.result.reason


async def test_lines_in_small_pieces_are_not_read_over_and_over(listen: Listen) -> None:
    """The library reads a reply anew with each piece, so that the number of its lines has to be bounded."""

    async def script(guest: Guest) -> None:
        guest.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(line.LINES + 1):
            guest.say(b"220-\r\n")
            await asyncio.sleep(0)
        await stay_silent(guest)

    report = await meet(await listen(script))
    assert report.result.verdict is Verdict.NOT_SMTP


async def test_octets_that_come_one_by_one_are_cut_off(listen: Listen) -> None:
    """As fast as they come they cost a turn of the event loop each: not 64 KB of them are taken."""
    sent = 0

    async def script(guest: Guest) -> None:
        nonlocal sent
        guest.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        guest.say(b"220-")
        while True:
            guest.say(b"x")
            sent += 1
            await asyncio.sleep(0)

    report = await meet(await listen(script))
    assert report.result.verdict is Verdict.NOT_SMTP
    assert sent < 4 * line.PIECES


async def test_a_long_but_honest_greeting_is_heard_to_its_end(listen: Listen) -> None:
    """The bounds leave room for what servers really say: terms of use over a hundred lines."""
    terms = b"".join(b"220-%d: no spam is welcome here\r\n" % number for number in range(100))
    report = await meet(await listen(talking(terms + b"220 mx.example\r\n")))
    assert report.result.verdict is Verdict.OK


def talking(first: bytes, reply: bytes = b"250 ok\r\n") -> Script:
    """Greet, say the same to everything, and goodbye."""

    async def script(guest: Guest) -> None:
        guest.greet(first)
        while await guest.hear() != b"QUIT":
            guest.say(reply)
        guest.say(b"221 bye\r\n")
        guest.transport.close()

    return script


async def test_a_conversation_is_bounded_as_a_whole(listen: Listen) -> None:
    """Replies that are each small enough do not add up to more than 64 KB, also in what is reported."""
    large = b"".join(b"250-" + b"x" * 900 + b"\r\n" for _ in range(30)) + b"250 ok\r\n"
    report = await meet(await listen(talking(b"220 mx\r\n", large)), rcpt_to=SENTINEL)
    assert report.result.verdict is Verdict.NOT_SMTP
    assert report.result.aspect is Aspect.RECIPIENT
    assert sum(len(exchange.reply) for exchange in report.exchanges) < line.OCTETS


async def test_a_flood_is_not_kept() -> None:
    """While a peer floods it, a probe holds less than 64 KB of what came (and of anything else)."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    async def flood(listener: socket.socket) -> None:
        piece = memoryview(b"220-flood flood flood\r\n" * 50)
        sock, _ = await loop.sock_accept(listener)
        with sock:
            try:
                while not stop.is_set():
                    await loop.sock_sendall(sock, piece)
            except ConnectionError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
        port = listener.getsockname()[1]
        for measured in (False, True):  # the first round fills caches
            flooding = asyncio.create_task(flood(listener))
            gc.collect()
            tracemalloc.start()
            report = await probe(target(port), SESSION)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            await flooding
            assert report.result.verdict is Verdict.NOT_SMTP
            assert not measured or peak < 2 * line.OCTETS


async def test_one_octet_at_a_time_runs_into_the_deadline(listen: Listen) -> None:
    """A greeting that never ends, however slow, is bounded by the conversation's deadline."""

    async def script(guest: Guest) -> None:
        for octet in b"220-" + b"never" * 1_000_000:
            guest.say(bytes([octet]))
            await asyncio.sleep(BRIEF / 20)

    report = await meet(await listen(script), timeout=BRIEF)
    assert report.result.verdict is Verdict.TIMEOUT


async def test_the_deadline_is_one_for_all_steps(listen: Listen, certificates: Certificates) -> None:
    """A peer that takes most of the time for each step does not get it anew for each."""

    async def script(guest: Guest) -> None:
        await asyncio.sleep(BRIEF * 0.4)
        guest.greet(b"220 mx\r\n")
        for reply in (b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n"):
            await guest.hear()
            await asyncio.sleep(BRIEF * 0.4)
            guest.say(reply)
        await guest.secure(certificates.good)
        await say_goodbye(guest)

    report = await meet(await listen(script), timeout=BRIEF, starttls=StartTls.REQUIRE)
    assert report.result.verdict is Verdict.TIMEOUT
    assert report.exchanges[-1].step == "STARTTLS"


@pytest.mark.parametrize(
    "banner",
    [
        b"\0" * 100 + b"\r\n",
        b"\0\0\0 hello\r\n",
        b"2\x0020 mx\r\n",
        b"220 mx\0.example\r\n",
        b"220-mx\0\r\n220 mx\r\n",
        b"554 no\0\x1b[2J\r\n",
    ],
)
async def test_nuls_are_no_smtp(listen: Listen, banner: bytes) -> None:
    """RFC 5321 4.2 has none in a reply, be it in the text; and none of them reach a terminal."""
    report = await meet(await listen(greeting(banner)))
    assert report.result.verdict is Verdict.NOT_SMTP
    assert report.result.reason.isprintable()


@pytest.mark.parametrize(
    "script",
    [
        greeting(b"220 mx\r\n250 early\r\n"),
        greeting(b"220 mx\r\n250-ear"),
        answering(b"250 mx\r\n250 ok\r\n"),
    ],
)
async def test_what_comes_early_is_no_reply(listen: Listen, script: Script) -> None:
    """An answer to a question that was not asked yet is not taken for one to the question that follows."""
    server = await listen(script)
    report = await meet(server, rcpt_to=SENTINEL)
    assert report.result.verdict is Verdict.NOT_SMTP
    assert "before its turn" in report.result.reason
    assert not any(heard.startswith(b"MAIL") for heard in server.heard)


async def test_what_comes_between_two_commands_is_early() -> None:
    """Octets that arrive while nothing is asked are noted, and the next command is not sent."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with theirs:
        record = Record("here")
        talk = line.Line(record, ours)
        await talk.open()
        theirs.sendall(b"220 mx\r\n")
        await talk.listen(Step.GREETING)
        theirs.sendall(b"250 surprise\r\n")
        while not talk._protocol._early:  # noqa: ASYNC110, SLF001 - there is no other sign that it was read
            await asyncio.sleep(0)
        with pytest.raises(line.EarlyError, match="surprise"):
            await talk.say(Step.EHLO, b"EHLO", b"x")
        talk.abort()
        theirs.setblocking(False)  # noqa: FBT003 - the standard library's signature
        assert await loop.sock_recv(theirs, 100) == b""


def starting_tls(after: bytes) -> Script:
    """Offer STARTTLS and answer it with `after`, and nothing more but a goodbye."""

    async def script(guest: Guest) -> None:
        guest.greet(b"220 mx\r\n")
        await guest.hear()
        guest.say(b"250-mx\r\n250 STARTTLS\r\n")
        await guest.hear()
        guest.say(after)
        await guest.gone.wait()

    return script


async def test_what_comes_after_the_reply_to_starttls_is_early(listen: Listen) -> None:
    """RFC 3207 4.2: what a man in the middle slips in before the handshake must not count after it."""
    report = await meet(await listen(starting_tls(b"220 go\r\n250 injected\r\n")), starttls=StartTls.REQUIRE)
    assert report.result.verdict is Verdict.NOT_SMTP
    assert "injected" in report.result.reason


@pytest.mark.parametrize("policy", [StartTls.REQUIRE, StartTls.OPPORTUNISTIC])
async def test_a_handshake_that_stops_in_the_middle(listen: Listen, policy: StartTls) -> None:
    """The first octets of a TLS record and then silence: the deadline holds, and the handshake is to blame."""
    server = await listen(starting_tls(b"220 go\r\n"))
    report = await meet(server, timeout=BRIEF, starttls=policy, rcpt_to=SENTINEL)
    assert report.result.verdict is Verdict.TLS_BROKEN
    assert report.result.effect.state is (State.DOWN if policy is StartTls.REQUIRE else State.DEGRADED)


async def half_a_hello(guest: Guest) -> None:
    """Answer a ClientHello with the beginning of a handshake record."""
    while not guest.early:  # noqa: ASYNC110 - the condition is what came
        await asyncio.sleep(0)
    guest.say(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03")
    await guest.gone.wait()


async def test_half_a_server_hello_on_smtps(listen: Listen) -> None:
    """The same where TLS comes first."""
    report = await meet(await listen(half_a_hello), timeout=BRIEF, kind=Kind.SMTPS)
    assert report.result.verdict is Verdict.TLS_BROKEN


async def reset_in_handshake(guest: Guest) -> None:
    """Take the ClientHello, and reset."""
    while not guest.early:  # noqa: ASYNC110 - the condition is what came
        await asyncio.sleep(0)
    guest.reset()


async def close_in_handshake(guest: Guest) -> None:
    """Take the ClientHello, and close."""
    while not guest.early:  # noqa: ASYNC110 - the condition is what came
        await asyncio.sleep(0)
    guest.transport.close()


@pytest.mark.parametrize(("script", "word"), [(reset_in_handshake, "resets"), (close_in_handshake, "closes")])
async def test_a_handshake_that_is_cut_off(listen: Listen, script: Script, word: str) -> None:
    """A reset and a close are told apart, and both are the handshake's."""
    report = await meet(await listen(script), kind=Kind.SMTPS)
    assert report.result.verdict is Verdict.TLS_BROKEN
    assert word in report.result.reason


async def test_a_probe_that_is_ended_in_a_handshake_leaves_nothing(listen: Listen) -> None:
    """In whichever turn of the event loop that happens, the next conversation finds its descriptor free."""
    server = await listen(close_in_handshake)
    for turns in range(20):
        probing = asyncio.create_task(probe(target(server.port, kind=Kind.SMTPS), SESSION))
        for _ in range(turns):
            await asyncio.sleep(0)
        probing.cancel()
        await asyncio.wait({probing})
        assert probing.cancelled() or turns > 1
        assert (await probe(target(server.port, kind=Kind.SMTPS), SESSION)).result.verdict is Verdict.TLS_BROKEN
    await server.settle()


async def test_tickets_without_end_are_cut_off(listen: Listen, authority: trustme.CA) -> None:
    """TLS 1.3 lets a server send tickets at any time (RFC 8446 4.6.1), each of which costs a key derivation."""
    context = server_context(authority.issue_cert(HOST))
    context.num_tickets = 1000
    server = await listen(stay_silent, context=context)
    before = descriptors()
    report = await probe(target(server.port, kind=Kind.SMTPS), SESSION)
    assert report.result.verdict is Verdict.NOT_SMTP
    assert report.exchanges[-1].step == "greeting"
    while descriptors() > before:  # noqa: ASYNC110 - asyncio does not tell a server of every connection that it loses
        await asyncio.sleep(0)


@pytest.mark.parametrize("policy", [StartTls.REQUIRE, StartTls.OPPORTUNISTIC])
async def test_a_certificate_of_a_hundred_kilobytes(listen: Listen, tmp_path: Path, policy: StartTls) -> None:
    """It is broken TLS, and nothing of it is kept."""
    names = [x509.DNSName(f"{number}.example.org") for number in range(5000)]
    context = serving(homemade(HOST, x509.SubjectAlternativeName(names)), tmp_path / "huge.pem")

    async def script(guest: Guest) -> None:
        guest.greet(b"220 mx\r\n")
        while (heard := await guest.hear()) != b"QUIT":
            guest.say(b"220 go\r\n" if heard == b"STARTTLS" else b"250-mx\r\n250 STARTTLS\r\n")
            if heard == b"STARTTLS":
                try:
                    await guest.secure(context)
                except ConnectionError:
                    guest.gone.set()  # asyncio does not tell of connections that are lost in a handshake
                    return
        guest.say(b"221 bye\r\n")
        guest.transport.close()

    report = await meet(await listen(script), starttls=policy, rcpt_to=SENTINEL)
    assert report.result.verdict is Verdict.TLS_BROKEN
    assert line.TOO_MUCH in report.result.reason
    assert report.result.effect.state is (State.DOWN if policy is StartTls.REQUIRE else State.DEGRADED)
    assert report.tls is None


@pytest.mark.parametrize("answer", [b"220 mx.example ESMTP\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_an_smtps_port_without_tls(listen: Listen, answer: bytes) -> None:
    """Clear text where a handshake should be is broken TLS, whoever speaks it."""
    report = await meet(await listen(greeting(answer)), kind=Kind.SMTPS)
    assert report.result.verdict is Verdict.TLS_BROKEN


async def test_a_plain_port_that_speaks_tls(listen: Listen, certificates: Certificates) -> None:
    """A TLS server waits for the client to begin, as the client does: silence until the deadline."""
    server = await listen(stay_silent, context=certificates.good)
    report = await probe(target(server.port, timeout=BRIEF), SESSION)
    assert report.result.verdict is Verdict.TIMEOUT


async def test_a_tls_record_for_a_greeting(listen: Listen) -> None:
    """An alert or a hello in place of a greeting is no SMTP."""
    report = await meet(await listen(greeting(b"\x15\x03\x01\x00\x02\x02\x0a\r\n")))
    assert report.result.verdict is Verdict.NOT_SMTP


@contextlib.asynccontextmanager
async def blocking_tls(context: ssl.SSLContext, *says: bytes) -> AsyncIterator[int]:
    """Serve one connection as no asyncio server would: say these, one per line heard, then neither read nor close.

    Yields the port, and at the end waits for the probe's end of the connection to be gone.
    """
    secured: list[ssl.SSLSocket] = []

    def serve(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        secured.append(context.wrap_socket(sock, server_side=True))
        for number, reply in enumerate(says):
            if number:
                secured[0].recv(1000)
            secured[0].sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        serving = asyncio.create_task(asyncio.to_thread(serve, listener))
        yield listener.getsockname()[1]
        await serving
        raw = stack.enter_context(socket.socket(fileno=secured[0].detach()))
        raw.settimeout(AMPLE / 3)  # asyncio waits 30 s for a close_notify
        with contextlib.suppress(ConnectionResetError):
            while await asyncio.to_thread(raw.recv, 1000):
                pass
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_a_tls_peer_that_never_closes(certificates: Certificates) -> None:
    """A peer that answers no close_notify and keeps its end open does not keep ours open."""
    async with blocking_tls(certificates.good, b"220 mx\r\n", b"250 mx\r\n", b"221 bye\r\n") as port:
        report = await probe(target(port, kind=Kind.SMTPS), SESSION)
    assert report.result.verdict is Verdict.OK


async def test_a_tls_peer_that_falls_silent(certificates: Certificates) -> None:
    """After the handshake nothing comes: the deadline holds, and the greeting is what was awaited."""
    async with blocking_tls(certificates.good) as port:
        report = await probe(target(port, kind=Kind.SMTPS, timeout=BRIEF), SESSION)
    assert report.result.verdict is Verdict.TIMEOUT
    assert report.exchanges[-1].step == "greeting"


async def test_quit_that_is_never_answered(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The farewell is waited for so long, and not until the deadline; the verdict stands."""
    monkeypatch.setattr(line, "QUIT_PATIENCE", 0.05)
    report = await meet(await listen(answering(b"250 mx\r\n")))
    assert (report.result.verdict, report.result.reason) == (Verdict.OK, "")
    assert (report.exchanges[-1].step, report.exchanges[-1].code) == ("QUIT", 0)
    assert report.result.duration_s < AMPLE


async def test_a_connection_that_is_lost_at_quit_is_no_reply(listen: Listen) -> None:
    """The transcript holds a 221 only where the server sent one."""

    async def script(guest: Guest) -> None:
        guest.greet(b"220 mx\r\n")
        await guest.hear()
        guest.say(b"250 mx\r\n")
        await guest.hear()
        guest.reset()

    report = await meet(await listen(script))
    assert report.result.verdict is Verdict.OK
    assert (report.exchanges[-1].step, report.exchanges[-1].code) == ("QUIT", 0)


@pytest.mark.parametrize("banner", [b"+22 mx\r\n", b"22 mx\r\n", b"-99 mx\r\n", b"999 mx\r\n"])
async def test_codes_that_are_none(listen: Listen, banner: bytes) -> None:
    """What only looks like a reply is none (RFC 5321 4.2)."""
    report = await meet(await listen(greeting(banner)))
    assert report.result.verdict is Verdict.NOT_SMTP


def test_a_reset_before_the_first_look_is_one() -> None:
    """A server that resets at once may be gone before the probe asks whom it is connected to."""
    assert connect_failure(OSError(errno.ENOTCONN, "not connected"), None)[0] is Event.RESET
