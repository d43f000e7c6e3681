"""Probes against real servers on loopback: good ones, bad ones, and those that are not there."""

import asyncio
import errno
import os
import socket
from ipaddress import ip_address

import pytest
from aiosmtpd.smtp import SMTP

from dnslb.pool.health import Aspect, ProbeResult, Verdict
from dnslb.probe.recipe import Kind, Target
from dnslb.probe.smtp import probe as probe_to_depth
from dnslb.probe.tcp import bare_connect, connect
from tests.probe.scripted import (
    BRIEF,
    Guest,
    Listen,
    Script,
    answering,
    close_after_greeting,
    descriptors,
    greeting,
    hang_up,
    reset_after_greeting,
    reset_at_once,
    say_goodbye,
    serve_well,
    stay_silent,
    target,
    tease,
)


async def probe(member: Target) -> ProbeResult:
    """Probe a member's session only, and return what counts of it."""
    return (await probe_to_depth(member, frozenset({Aspect.SESSION}))).result


async def test_a_good_server_is_ok(listen: Listen) -> None:
    """Greeting, EHLO with the recipe's name, QUIT: the verdict is ok and latency and duration are measured."""
    server = await listen(serve_well)
    result = await probe(target(server.port))
    assert (result.verdict, result.reason) == (Verdict.OK, "")
    assert result.latency_ms is not None
    assert 0 < result.latency_ms / 1000 <= result.duration_s
    assert server.guests[0].heard == [b"EHLO probe.lb.example.org", b"QUIT"]


async def test_a_real_server_is_ok() -> None:
    """A server that is not ours (aiosmtpd) is content with the conversation."""
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: SMTP(object(), hostname="mx.example", loop=loop), "127.0.0.1", 0) as it:
        result = await probe(target(it.sockets[0].getsockname()[1]))
    assert (result.verdict, result.reason) == (Verdict.OK, "")


@pytest.mark.parametrize("kind", [Kind.SMTP, Kind.SUBMISSION])
async def test_nothing_is_sent_before_the_greeting_has_ended(listen: Listen, kind: Kind) -> None:
    """A teaser, lines that come in pieces and pauses between them do not lure the probe into talking."""

    async def script(guest: Guest) -> None:
        for piece in (b"220-mx.example\r\n", b"220-be pati", b"ent\r\n220", b"-more\r\n"):
            guest.say(piece)
            await asyncio.sleep(0.03)
        guest.greet(b"220 now\r\n")
        await guest.hear()
        guest.say(b"250 mx.example\r\n")
        await say_goodbye(guest)

    server = await listen(script)
    result = await probe(target(server.port, kind=kind))
    assert result.verdict is Verdict.OK
    assert server.guests[0].early == b""


@pytest.mark.parametrize(
    ("greets", "verdict", "reason"),
    [
        (b"554 no service here\r\n", Verdict.REJECTING, "greets with 554 no service here"),
        (b"554-no\r\n554 service\r\n", Verdict.REJECTING, "greets with 554 no service"),
        (b"421 4.3.2 all server ports are busy\r\n", Verdict.BUSY, "greets with 421 4.3.2 all server ports are busy"),
        (b"450 later\r\n", Verdict.BUSY, "greets with 450 later"),
    ],
)
async def test_a_bad_greeting_is_answered_with_quit(
    listen: Listen, greets: bytes, verdict: Verdict, reason: str
) -> None:
    """RFC 5321 3.1: a client that is turned away still says QUIT, and nothing else."""
    server = await listen(greeting(greets))
    result = await probe(target(server.port))
    assert (result.verdict, result.reason) == (verdict, f"127.0.0.1:{server.port} {reason}")
    assert result.latency_ms is not None
    await server.settle()
    assert server.guests[0].heard == [b"QUIT"]


@pytest.mark.parametrize(
    ("banner", "shown"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "SSH-2.0-OpenSSH_9.2p1"),
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (b"* OK IMAP4rev1 ready\r\n", "* OK IMAP4rev1 ready"),
        (b"220-well\r\n\x00\xff\x1b[2J\r\n", "??[2J"),
        (b"2200 mx\r\n", "2200 mx"),
        (b"220mx\r\n", "220mx"),
        (b"220-mx\r\n220_mx\r\n", "220_mx"),
        (b" 22 mx\r\n", "22 mx"),
        (b"+22 mx\r\n", "+22 mx"),
    ],
)
async def test_another_protocol_is_not_smtp(listen: Listen, banner: bytes, shown: str) -> None:
    """What is no SMTP is told so, shown legibly, and not talked to."""
    server = await listen(greeting(banner))
    result = await probe(target(server.port))
    assert result.verdict is Verdict.NOT_SMTP
    assert result.reason.startswith(f"127.0.0.1:{server.port} does not greet in SMTP: {shown}")
    await server.settle()
    assert server.guests[0].heard == []


@pytest.mark.parametrize("banner", [b"220\r\n", b"220 \r\n", b"220-\r\n220\r\n", b"220-a\rb\r\n220 mx\n"])
async def test_greetings_with_little_in_them(listen: Listen, banner: bytes) -> None:
    """After the three digits come a space, a hyphen or the line's end: more than that need not be there."""

    async def script(guest: Guest) -> None:
        guest.greet(banner)
        await guest.hear()
        guest.say(b"250\r\n")
        await say_goodbye(guest)

    server = await listen(script)
    assert (await probe(target(server.port))).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("script", "verdict", "reason"),
    [
        (hang_up, Verdict.CLOSED, "closes the connection before its greeting ends"),
        (reset_at_once, Verdict.CLOSED, "resets the connection before its greeting ends"),
        (close_after_greeting, Verdict.CLOSED, "closes the connection instead of answering EHLO"),
        (reset_after_greeting, Verdict.CLOSED, "resets the connection instead of answering EHLO"),
        (answering(b"550 go away\r\n", b"221 bye\r\n"), Verdict.REJECTING, "answers EHLO with 550 go away"),
        (
            answering(b"421 4.3.2 overloaded\r\n", b"221 bye\r\n"),
            Verdict.BUSY,
            "answers EHLO with 421 4.3.2 overloaded",
        ),
        (
            answering(b"502 what\r\n", b"550 go away\r\n", b"221 bye\r\n"),
            Verdict.REJECTING,
            "answers HELO with 550 go away",
        ),
        (answering(b"oops\r\n"), Verdict.NOT_SMTP, "does not answer EHLO in SMTP: oops"),
        (answering(b"2500 mx\r\n"), Verdict.NOT_SMTP, "does not answer EHLO in SMTP: 2500 mx"),
        (answering(b"250-mx\r\n250HELP\r\n"), Verdict.NOT_SMTP, "does not answer EHLO in SMTP: 250HELP"),
        (
            answering(b"354 go on\r\n", b"221 bye\r\n"),
            Verdict.NOT_SMTP,
            "answers EHLO with 354, which SMTP does not know there: go on",
        ),
    ],
)
async def test_conversations_that_go_wrong(listen: Listen, script: Script, verdict: Verdict, reason: str) -> None:
    """Each way to fail after the connect has its verdict and its sentence, with the address in it."""
    server = await listen(script)
    result = await probe(target(server.port, timeout=1.0))
    assert result.verdict is verdict
    assert result.reason.startswith(f"127.0.0.1:{server.port} {reason}")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (stay_silent, "accepts connections but sends no complete greeting within 0.3 s"),
        (tease, "accepts connections but sends no complete greeting within 0.3 s"),
        (answering(), "greets but does not answer EHLO within the 0.3 s of the conversation"),
        (answering(b"500 what\r\n"), "greets but does not answer HELO within the 0.3 s of the conversation"),
    ],
)
async def test_silence_is_a_timeout(listen: Listen, script: Script, reason: str) -> None:
    """A server that stops talking is let go at the deadline, and the reason names what was awaited."""
    server = await listen(script)
    result = await probe(target(server.port, timeout=BRIEF))
    assert (result.verdict, result.reason) == (Verdict.TIMEOUT, f"127.0.0.1:{server.port} {reason}")
    await server.settle()
    assert server.guests[0].early == b""


async def test_a_dribbling_greeting_is_bounded_as_a_whole(listen: Listen) -> None:
    """The deadline holds for the conversation and does not begin anew with each line."""

    async def script(guest: Guest) -> None:
        while True:
            guest.say(b"220-still busy\r\n")
            await asyncio.sleep(BRIEF / 5)

    server = await listen(script)
    result = await probe(target(server.port, timeout=BRIEF))
    assert result.verdict is Verdict.TIMEOUT


@pytest.mark.parametrize("code", [500, 502, 504])
async def test_helo_follows_where_ehlo_is_unknown(listen: Listen, code: int) -> None:
    """A server older than ESMTP is greeted with HELO, and is ok."""
    server = await listen(answering(b"%d never heard of it\r\n" % code, b"250 hi\r\n", b"221 bye\r\n"))
    result = await probe(target(server.port))
    assert (result.verdict, result.reason) == (Verdict.OK, "")
    name = b"probe.lb.example.org"
    assert server.guests[0].heard == [b"EHLO " + name, b"HELO " + name, b"QUIT"]


async def test_a_refused_ehlo_is_still_answered_with_quit(listen: Listen) -> None:
    """Politeness does not end with the first no."""
    server = await listen(answering(b"550 go away\r\n", b"221 bye\r\n"))
    await probe(target(server.port))
    assert server.guests[0].heard[-1] == b"QUIT"


@pytest.mark.parametrize("farewell", [b"", b"500 never\r\n", b"garbage\r\n"])
async def test_the_farewell_does_not_change_the_verdict(listen: Listen, farewell: bytes) -> None:
    """A missing, late or strange answer to QUIT leaves an ok member ok, and the deadline still holds."""
    server = await listen(answering(b"250 hi\r\n", farewell))
    result = await probe(target(server.port, timeout=0.5))
    assert (result.verdict, result.reason) == (Verdict.OK, "")
    assert server.guests[0].heard[-1] == b"QUIT"


async def test_a_server_that_never_closes_is_left(listen: Listen) -> None:
    """After the 221 the probe hangs up itself."""
    server = await listen(answering(b"250 hi\r\n", b"221 bye\r\n"))
    assert (await probe(target(server.port))).verdict is Verdict.OK
    await server.settle()


async def test_a_dead_port_refuses(dead_port: int) -> None:
    """Where nobody listens the verdict is refused, at once and without a latency."""
    result = await probe(target(dead_port))
    assert (result.verdict, result.reason) == (Verdict.REFUSED, f"127.0.0.1:{dead_port} refuses connections")
    assert result.latency_ms is None


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_host_that_does_not_answer_times_out(kind: Kind) -> None:
    """A connection attempt without an answer is told apart from a greeting that does not come."""
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # one connection fills the queue, and the kernel then drops what else comes
        first.connect(full.getsockname())
        port = full.getsockname()[1]
        result = await probe(target(port, timeout=BRIEF, kind=kind))
    assert result.verdict is Verdict.TIMEOUT
    assert result.reason == f"127.0.0.1:{port} does not answer connection attempts (0.3 s)"


async def test_tcp_only_connects(listen: Listen) -> None:
    """The kind tcp is content with a connection and sends no byte, also to a server that says nothing."""
    server = await listen(stay_silent)
    result = await probe(target(server.port, kind=Kind.TCP))
    assert (result.verdict, result.reason, result.latency_ms) == (Verdict.OK, "", None)
    await server.settle()
    assert server.guests[0].early == b""


async def test_tcp_sees_a_dead_port(dead_port: int) -> None:
    """The kind tcp says refused where nobody listens."""
    assert (await probe(target(dead_port, kind=Kind.TCP))).verdict is Verdict.REFUSED


async def test_a_socket_joined_to_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that the kernel makes from a dead port to that same port does not count as one."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]

    class FromThatPort(socket.socket):
        def bind(self, address: tuple[str, int]) -> None:  # type: ignore[override]  # socket takes any kind of address
            super().bind((address[0], port))

    monkeypatch.setattr("dnslb.probe.tcp.socket.socket", FromThatPort)
    with pytest.raises(ConnectionRefusedError):
        await connect(ip_address("127.0.0.1"), port, ip_address("127.0.0.1"))


async def test_ipv6(listen: Listen) -> None:
    """A member is probed over IPv6 as over IPv4, and reasons write its address in brackets."""
    server = await listen(greeting(b"554 no\r\n"), "::1")
    result = await probe(target(server.port, "::1"))
    assert (result.verdict, result.reason) == (Verdict.REJECTING, f"[::1]:{server.port} greets with 554 no")


async def test_the_source_address_is_used(listen: Listen) -> None:
    """Probes come from the configured address of the family."""
    server = await listen(serve_well)
    await probe(target(server.port, source=(ip_address("127.0.0.9"),)))
    assert server.guests[0].peer[0] == "127.0.0.9"


async def test_all_addresses_are_probed_one_after_another(listen: Listen) -> None:
    """A member with two addresses is ok when both are, and never has two conversations at a time."""
    open_now = 0
    most = 0

    async def script(guest: Guest) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await serve_well(guest)
        open_now -= 1

    server = await listen(script, "0.0.0.0")  # noqa: S104 - loopback is asked on two of its addresses
    result = await probe(target(server.port, "127.0.0.1", "127.0.0.2"))
    assert result.verdict is Verdict.OK
    assert (len(server.guests), most) == (2, 1)


async def test_the_first_failing_address_decides(listen: Listen, dead_port: int) -> None:
    """One dead address makes the member fail, the reason names it, and those after it are not asked."""
    server = await listen(serve_well, "127.0.0.2")
    holder = Target("in", "mx1", (ip_address("127.0.0.1"), ip_address("127.0.0.2")), dead_port, target(25).recipe)
    result = await probe(holder)
    assert (result.verdict, result.reason) == (Verdict.REFUSED, f"127.0.0.1:{dead_port} refuses connections")
    result = await probe(target(server.port, "127.0.0.2", "127.0.0.1"))
    assert (result.verdict, result.reason) == (Verdict.REFUSED, f"127.0.0.1:{server.port} refuses connections")
    assert result.latency_ms is not None


@pytest.mark.parametrize("greeting", [b"421 4.7.0 too many connections from 127.0.0.2", b"421 4.3.2 busy"])
async def test_a_dead_address_counts_more_than_one_that_only_holds_off(listen: Listen, greeting: bytes) -> None:
    """Whoever is turned away for now at the first address is no reason to leave the second unasked."""

    async def hold_off(guest: Guest) -> None:
        guest.greet(greeting + b"\r\n")
        await guest.hear()

    server = await listen(hold_off, "127.0.0.2")
    assert (await probe(target(server.port, "127.0.0.2", "127.0.0.1"))).verdict is Verdict.REFUSED


async def test_an_address_without_route_is_skipped(listen: Listen) -> None:
    """An address that this host cannot try says nothing while another one says something."""
    server = await listen(serve_well, "::1")
    result = await probe(target(server.port, "127.0.0.1", "::1", source=(ip_address("192.0.2.77"),)))
    assert (result.verdict, result.reason) == (Verdict.OK, "")
    result = await probe(target(server.port, "::1", "127.0.0.1", source=(ip_address("192.0.2.77"),)))
    assert (result.verdict, result.reason) == (Verdict.OK, "")


async def test_no_route_at_all_is_said() -> None:
    """A member none of whose addresses can be tried from here is a timeout that says so."""
    result = await probe(target(25, "127.0.0.1", source=(ip_address("192.0.2.77"),)))
    assert result.verdict is Verdict.TIMEOUT
    why = os.strerror(errno.EADDRNOTAVAIL)
    assert result.reason == f"there is no route from here to 127.0.0.1:25: {why} (from 192.0.2.77)"


async def test_a_shortage_of_ours_is_not_held_against_the_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """When this process has no descriptors left, the probe fails and says nothing about the member."""

    def no_more(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("dnslb.probe.tcp.socket.socket", no_more)
    with pytest.raises(OSError, match="Too many open files"):
        await probe(target(25))


FAILURES: dict[str, tuple[Script, Kind]] = {
    "good": (serve_well, Kind.SMTP),
    "tcp": (stay_silent, Kind.TCP),
    "silent": (stay_silent, Kind.SMTP),
    "tease": (tease, Kind.SMTP),
    "eof": (hang_up, Kind.SMTP),
    "reset": (reset_at_once, Kind.SMTP),
    "garbage": (greeting(b"SSH-2.0\r\n"), Kind.SMTP),
    "554": (greeting(b"554 no\r\n"), Kind.SMTP),
    "421": (greeting(b"421 busy\r\n"), Kind.SMTP),
    "ehlo silence": (answering(), Kind.SMTP),
    "ehlo closed": (close_after_greeting, Kind.SMTP),
    "no farewell": (answering(b"250 hi\r\n"), Kind.SMTP),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_no_descriptor_is_left(listen: Listen, name: str) -> None:
    """Fifty probes of each kind leave as many descriptors open as there were before."""
    script, kind = FAILURES[name]
    server = await listen(script)
    it = target(server.port, timeout=0.02, kind=kind)
    before = descriptors()
    await asyncio.gather(*(probe(it) for _ in range(50)))
    await server.settle()
    assert descriptors() == before


@pytest.mark.parametrize("script", [stay_silent, answering(), answering(b"250 hi\r\n")])
async def test_a_cancelled_probe_hangs_up(listen: Listen, script: Script) -> None:
    """Stopping in the middle of a conversation closes it at once."""
    server = await listen(script)
    before = descriptors()
    running: asyncio.Task[ProbeResult] = asyncio.create_task(probe(target(server.port)))
    while not server.guests or not (server.guests[0].heard or script is stay_silent):  # noqa: ASYNC110 - the condition is the server's state
        await asyncio.sleep(0.001)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await server.settle()
    assert descriptors() == before


async def test_each_step_is_noted(listen: Listen) -> None:
    """A report tells what was sent, what came back and how long it took, from the connect to the farewell."""
    server = await listen(serve_well)
    report = await probe_to_depth(target(server.port), frozenset({Aspect.SESSION}))
    assert [(it.step, it.sent, it.code, it.reply) for it in report.exchanges] == [
        ("connect", "", 0, ""),
        ("greeting", "", 220, "mx.example ESMTP"),
        ("EHLO", "EHLO probe.lb.example.org", 250, "mx.example\nPIPELINING"),
        ("QUIT", "QUIT", 221, "bye"),
    ]
    assert {it.where for it in report.exchanges} == {f"127.0.0.1:{server.port}"}
    assert sum(it.ms for it in report.exchanges) <= report.result.duration_s * 1000
    assert report.result.examined == {Aspect.SESSION}


async def test_a_bare_connect_says_nothing_when_it_went_well(listen: Listen) -> None:
    """A bare connect reaches a listener without a word, from the address that it is told to come from."""
    server = await listen(stay_silent)
    assert await bare_connect(ip_address("127.0.0.1"), server.port, ip_address("127.0.0.9"), 5.0) == ""
    await server.settle()
    assert (server.guests[0].peer[0], server.guests[0].early) == ("127.0.0.9", b"")


async def test_a_bare_connect_says_why_it_failed(dead_port: int) -> None:
    """A bare connect tells a refusal from silence."""
    here = ip_address("127.0.0.1")
    assert await bare_connect(here, dead_port, None, 5.0) == os.strerror(errno.ECONNREFUSED)
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        assert await bare_connect(here, full.getsockname()[1], None, 0.1) == "no answer"
