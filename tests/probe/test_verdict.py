"""The verdict table: every ending has a verdict, and the reason is fit to be shown."""

import itertools
import re
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.pool.health import Aspect, Effect, Patience, State, Verdict
from dnslb.probe.recipe import Kind, Recipe, StartTls, Verify
from dnslb.probe.verdict import (
    EFFECTS,
    RULES,
    TOLERATED,
    Ending,
    Event,
    Judgement,
    Rule,
    Scene,
    Step,
    aspect_of,
    effect_of,
    judge,
    legible,
    names,
)

MX = Scene("mx:25", 10.0, source="192.0.2.5", host="mx.example")
POSTSCREEN = Scene("mx:25", 10.0, source="192.0.2.5", host="mx.example", greeting_lines=2)
TALK = (Step.GREETING, Step.EHLO, Step.HELO)
COMMANDS = (Step.EHLO, Step.HELO, Step.LHLO, Step.STARTTLS, Step.AUTH, Step.MAIL, Step.RCPT)
REPLIES = (Step.GREETING, *COMMANDS)


@pytest.mark.parametrize(
    ("ending", "verdict", "reason"),
    [
        (Ending(Event.CONNECTED, Step.CONNECT), Verdict.OK, ""),
        (Ending(Event.REPLY, Step.EHLO, 250, "mx.example"), Verdict.OK, ""),
        (Ending(Event.REPLY, Step.HELO, 250, "mx.example"), Verdict.OK, ""),
        (Ending(Event.REPLY, Step.EHLO, 250, "mx.example", took=3.21), Verdict.SLOW, "mx:25 took 3.2 s to greet"),
        (Ending(Event.REFUSED, Step.CONNECT), Verdict.REFUSED, "mx:25 refuses connections"),
        (Ending(Event.SILENCE, Step.CONNECT), Verdict.TIMEOUT, "mx:25 does not answer connection attempts (10 s)"),
        (
            Ending(Event.SILENCE, Step.GREETING),
            Verdict.TIMEOUT,
            "mx:25 accepts connections but sends no complete greeting within 10 s",
        ),
        (
            Ending(Event.SILENCE, Step.HELO),
            Verdict.TIMEOUT,
            "mx:25 greets but does not answer HELO within the 10 s of the conversation",
        ),
        (
            Ending(Event.SILENCE, Step.RCPT),
            Verdict.TIMEOUT,
            "mx:25 does not answer RCPT within the 10 s of the conversation",
        ),
        (
            Ending(Event.NO_ROUTE, Step.CONNECT, text="Network is unreachable"),
            Verdict.TIMEOUT,
            "there is no route from here to mx:25: Network is unreachable",
        ),
        (
            Ending(Event.UNREACHABLE, Step.CONNECT, text="No route to host"),
            Verdict.TIMEOUT,
            "mx:25 cannot be reached: No route to host",
        ),
        (
            Ending(Event.EOF, Step.GREETING),
            Verdict.CLOSED,
            (
                "mx:25 closes the connection before its greeting ends (as TCP wrappers and fail2ban do, and listeners "
                "that expect a PROXY header)"
            ),
        ),
        (Ending(Event.EOF, Step.EHLO), Verdict.CLOSED, "mx:25 closes the connection instead of answering EHLO"),
        (
            Ending(Event.EOF, Step.EHLO, upgraded=True),
            Verdict.TLS_BROKEN,
            "mx:25 closes the connection instead of answering EHLO inside of STARTTLS",
        ),
        (
            Ending(Event.RESET, Step.CONNECT),
            Verdict.CLOSED,
            (
                "mx:25 resets the connection before its greeting ends (as TCP wrappers and fail2ban do, and listeners "
                "that expect a PROXY header)"
            ),
        ),
        (
            Ending(Event.GARBAGE, Step.GREETING, text="SSH-2.0-OpenSSH_9.2"),
            Verdict.NOT_SMTP,
            "mx:25 does not greet in SMTP: SSH-2.0-OpenSSH_9.2 (an SSH server answers there)",
        ),
        (
            Ending(Event.GARBAGE, Step.GREETING, text="\x15\x03\x03\x00\x02\x02\x46"),
            Verdict.NOT_SMTP,
            "mx:25 does not greet in SMTP: this looks like a TLS port (kind = smtps?): ?????\x3fF",
        ),
        (
            Ending(Event.GARBAGE, Step.GREETING, text="HTTP/1.1 400 Bad Request"),
            Verdict.NOT_SMTP,
            "mx:25 does not greet in SMTP: HTTP/1.1 400 Bad Request (a web server answers there)",
        ),
        (
            Ending(Event.GARBAGE, Step.GREETING, text="* OK [CAPABILITY IMAP4rev1] Dovecot ready."),
            Verdict.NOT_SMTP,
            (
                "mx:25 does not greet in SMTP: * OK [CAPABILITY IMAP4rev1] Dovecot ready. (an IMAP or POP3 server "
                "answers there)"
            ),
        ),
        (
            Ending(Event.EARLY, Step.EHLO, text="250 hello"),
            Verdict.NOT_SMTP,
            "mx:25 speaks before its turn, at EHLO: 250 hello",
        ),
        (
            Ending(Event.FLOOD, Step.GREETING, text="10000 lines"),
            Verdict.NOT_SMTP,
            "mx:25 sends more at greeting than any mail server would: 10000 lines",
        ),
        (Ending(Event.REPLY, Step.GREETING, 421, "busy"), Verdict.BUSY, "mx:25 greets with 421 busy"),
        (Ending(Event.REPLY, Step.EHLO, 451, "later"), Verdict.BUSY, "mx:25 answers EHLO with 451 later"),
        (Ending(Event.REPLY, Step.GREETING, 554, ""), Verdict.REJECTING, "mx:25 greets with 554"),
        (Ending(Event.REPLY, Step.EHLO, 550, "go away"), Verdict.REJECTING, "mx:25 answers EHLO with 550 go away"),
        (
            Ending(Event.REPLY, Step.GREETING, 250, "hello"),
            Verdict.NOT_SMTP,
            "mx:25 greets with 250, which is no SMTP greeting: hello",
        ),
        (
            Ending(Event.UNTRUSTED, Step.TLS, text="self-signed certificate"),
            Verdict.TLS_INVALID,
            "the certificate of mx:25 does not hold for mx.example: self-signed certificate",
        ),
        (
            Ending(Event.EXPIRED, Step.TLS, text="it ended 2026-01-01"),
            Verdict.TLS_INVALID,
            "the certificate of mx:25 is not valid now: it ended 2026-01-01",
        ),
        (
            Ending(Event.TLS_FAILED, Step.TLS, text="[SSL: WRONG_VERSION_NUMBER] wrong version number"),
            Verdict.TLS_BROKEN,
            "mx:25 does not speak TLS when it should: [SSL: WRONG_VERSION_NUMBER] wrong version number",
        ),
        (
            Ending(Event.LACKING, Step.EHLO, text="SMTPUTF8"),
            Verdict.REJECTING,
            "mx:25 does not offer what it should: SMTPUTF8",
        ),
        (
            Ending(Event.LACKING, Step.STARTTLS, text="starttls = require"),
            Verdict.TLS_BROKEN,
            "mx:25 does not offer STARTTLS (starttls = require)",
        ),
        (
            Ending(Event.LACKING, Step.AUTH, text="AUTH PLAIN and LOGIN"),
            Verdict.AUTH_FAILED,
            "mx:25 cannot be logged in to: it lacks AUTH PLAIN and LOGIN",
        ),
    ],
)
def test_endings(ending: Ending, verdict: Verdict, reason: str) -> None:
    """Each way in which a conversation ends has its verdict and its sentence."""
    assert judge(ending, MX) == Judgement(verdict, reason)


@pytest.mark.parametrize(
    ("who", "step", "reply", "verdict"),
    [
        # at the greeting
        ("postscreen", Step.GREETING, "421 4.3.2 All server ports are busy", Verdict.BUSY),
        ("postscreen", Step.GREETING, "421 4.3.2 No system resources", Verdict.BUSY),
        ("postscreen", Step.GREETING, "421 4.7.0 Error: too many connections", Verdict.PROBE_LIMITED),
        ("postscreen", Step.GREETING, "521 5.3.2 Service currently unavailable", Verdict.PROBE_BLOCKED),
        ("postscreen", Step.GREETING, "521 5.5.1 Protocol error", Verdict.PROBE_BLOCKED),
        ("postscreen", Step.GREETING, "521 5.7.0 Error: I can break rules, too. Goodbye.", Verdict.PROBE_BLOCKED),
        (
            "postscreen",
            Step.GREETING,
            "521 5.7.1 Service unavailable; client [192.0.2.5] blocked using zen.spamhaus.org",
            Verdict.PROBE_BLOCKED,
        ),
        (
            "Postfix",
            Step.GREETING,
            "421 4.7.0 mx.example Error: too many connections from 192.0.2.5",
            Verdict.PROBE_LIMITED,
        ),
        ("Postfix", Step.GREETING, "554 mx.example ESMTP not accepting connections", Verdict.REJECTING),
        ("Postfix", Step.GREETING, "554 5.5.0 SMTP protocol synchronization", Verdict.PROBE_BLOCKED),
        ("Postfix, told to drain", Step.GREETING, "421 4.3.2 draining", Verdict.DRAINING),
        (
            "Postfix, told to drain",
            Step.GREETING,
            "421 4.3.2 <unknown[192.0.2.5]>: Client host rejected: draining",
            Verdict.DRAINING,
        ),
        (
            "Postfix, told to say no to all",
            Step.GREETING,
            "421 4.3.2 <unknown[192.0.2.5]>: Client host rejected: Try again later",
            Verdict.BUSY,
        ),
        (
            "Postfix, told to say no to one",
            Step.GREETING,
            "421 4.7.1 <unknown[192.0.2.5]>: Client host rejected: Try again later",
            Verdict.PROBE_LIMITED,
        ),
        ("Postfix", Step.GREETING, "421 4.3.2 System not accepting network messages", Verdict.BUSY),
        ("Exim", Step.GREETING, "421 mx.example: Too much load; please try again later", Verdict.BUSY),
        ("Exim", Step.GREETING, "421 Too many concurrent SMTP connections; please try again later.", Verdict.BUSY),
        (
            "Exim",
            Step.GREETING,
            "421 Too many concurrent SMTP connections from this IP address; please try again later.",
            Verdict.PROBE_LIMITED,
        ),
        ("Exim", Step.GREETING, "554 SMTP service not available", Verdict.REJECTING),
        ("Exim", Step.GREETING, "554 SMTP synchronization error", Verdict.PROBE_BLOCKED),
        ("KumoMTA", Step.GREETING, "421 4.3.2 mx.example too many concurrent sessions", Verdict.BUSY),
        ("KumoMTA", Step.GREETING, "421 4.3.0 mx.example shutting down", Verdict.DRAINING),
        ("Dovecot", Step.GREETING, "421 4.3.2 mx.example Shutting down", Verdict.DRAINING),
        ("Exchange", Step.GREETING, "421 4.3.2 Service not available", Verdict.BUSY),
        (
            "Exchange",
            Step.GREETING,
            "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel",
            Verdict.BUSY,
        ),
        ("Exchange", Step.GREETING, "452 4.3.1 Insufficient system resources", Verdict.STORAGE),
        ("somebody", Step.GREETING, "421 4.7.0 [192.0.2.5] is held off", Verdict.PROBE_LIMITED),
        ("somebody", Step.GREETING, "421 4.7.0 [192.0.2.55] is held off", Verdict.BUSY),
        ("somebody", Step.GREETING, "554 192.0.2.5 may not come in", Verdict.PROBE_BLOCKED),
        ("somebody", Step.GREETING, "554 Your IP is listed in bl.example", Verdict.PROBE_BLOCKED),
        ("somebody", Step.GREETING, "554 192.0.2.55 may not come in", Verdict.REJECTING),
        ("somebody, RFC 7504", Step.GREETING, "521 mx.example does not accept mail", Verdict.REJECTING),
        ("KumoMTA", Step.GREETING, "421 4.3.2 Too many open connections. (192.0.2.5)", Verdict.PROBE_LIMITED),
        ("somebody", Step.GREETING, "450 4.3.2 no more of [192.0.2.5] now", Verdict.PROBE_LIMITED),
        ("somebody", Step.GREETING, "421 4.3.2 Too many open connections. (192.0.2.55)", Verdict.BUSY),
        # at EHLO and LHLO
        ("Postfix", Step.EHLO, "421 4.7.0 mx.example Error: too many errors", Verdict.PROBE_LIMITED),
        ("Postfix", Step.EHLO, "501 Syntax: EHLO hostname", Verdict.PROBE_BLOCKED),
        ("Exim", Step.EHLO, "501 Syntactically invalid EHLO argument(s)", Verdict.PROBE_BLOCKED),
        ("Exim", Step.EHLO, "421 mx.example: Service not available - closing connection", Verdict.BUSY),
        ("Exim", Step.EHLO, "421 SIGTERM received", Verdict.DRAINING),
        ("Dovecot", Step.LHLO, "250 mx.example", Verdict.OK),
        ("OpenSMTPD", Step.EHLO, "421 4.3.0 Temporary failure", Verdict.BUSY),
        # at STARTTLS
        ("Exim", Step.STARTTLS, "454 TLS currently unavailable", Verdict.TLS_BROKEN),
        ("Postfix", Step.STARTTLS, "454 4.7.0 TLS not available due to local problem", Verdict.TLS_BROKEN),
        ("Postfix", Step.STARTTLS, "454 4.3.0 TLS not available due to local problem", Verdict.TLS_BROKEN),
        (
            "Postfix",
            Step.STARTTLS,
            "454 4.7.0 Error: too many new TLS sessions from host.example[192.0.2.5]",
            Verdict.PROBE_LIMITED,
        ),
        ("Postfix", Step.STARTTLS, "502 5.5.1 Error: command not implemented", Verdict.TLS_BROKEN),
        # at AUTH
        ("Postfix", Step.AUTH, "235 2.7.0 Authentication successful", Verdict.OK),
        ("Postfix", Step.AUTH, "535 5.7.8 Error: authentication failed: (reason unavailable)", Verdict.AUTH_FAILED),
        ("Postfix", Step.AUTH, "504 5.5.4 Encryption required for requested authentication", Verdict.AUTH_FAILED),
        ("Postfix", Step.AUTH, "503 5.5.1 Error: authentication not enabled", Verdict.AUTH_FAILED),
        ("Postfix", Step.AUTH, "454 4.7.0 Temporary authentication failure: generic failure", Verdict.BUSY),
        ("Postfix", Step.AUTH, "450 4.7.1 Error: too many AUTH commands from 192.0.2.5", Verdict.PROBE_LIMITED),
        ("Exim", Step.AUTH, "435 Unable to authenticate at present", Verdict.BUSY),
        ("Exim", Step.AUTH, "535 Incorrect authentication data", Verdict.AUTH_FAILED),
        ("somebody, RFC 4954", Step.AUTH, "534 5.7.9 mechanism is too weak", Verdict.AUTH_FAILED),
        ("somebody, RFC 4954", Step.AUTH, "538 5.7.11 Encryption required", Verdict.AUTH_FAILED),
        ("Stalwart", Step.AUTH, "550 5.7.1 Your IP address has been blocked", Verdict.PROBE_BLOCKED),
        # at MAIL FROM
        ("Postfix", Step.MAIL, "452 4.3.1 Insufficient system storage", Verdict.STORAGE),
        ("Exim", Step.MAIL, "452 Space shortage, please try later", Verdict.STORAGE),
        ("Stalwart", Step.MAIL, "452 4.3.1 Mail system full, try again later.", Verdict.STORAGE),
        ("Postfix", Step.MAIL, "552 5.3.4 Message size exceeds file system imposed limit", Verdict.REJECTING),
        ("Postfix", Step.MAIL, "530 5.7.0 Must issue a STARTTLS command first", Verdict.REJECTING),
        ("OpenSMTPD", Step.MAIL, "530 5.5.1 Invalid command: Must issue an AUTH command first", Verdict.REJECTING),
        ("Exchange", Step.MAIL, "530 5.7.57 SMTP; Client was not authenticated to send", Verdict.REJECTING),
        ("Postfix", Step.MAIL, "450 4.7.1 Error: too much mail from 192.0.2.5", Verdict.PROBE_LIMITED),
        (
            "Exchange",
            Step.MAIL,
            "421 4.4.2 Message submission rate for this client has exceeded",
            Verdict.PROBE_LIMITED,
        ),
        ("Postfix", Step.MAIL, "451 4.3.0 Temporary lookup error", Verdict.BUSY),
        ("Postfix", Step.MAIL, "501 5.1.7 Bad sender address syntax", Verdict.PROBE_BLOCKED),
        ("Exim", Step.MAIL, "550 Administrative prohibition", Verdict.REJECTING),
        ("Postfix", Step.MAIL, "554 5.7.1 <a@b.example>: Sender address rejected: no", Verdict.PROBE_BLOCKED),
        ("somebody", Step.MAIL, "451 4.7.1 Greylisting in action", Verdict.OK),
        # at the sentinel, RCPT TO
        ("Postfix", Step.RCPT, "250 2.1.5 Ok", Verdict.OK),
        ("sendmail", Step.RCPT, "251 user not local; will forward", Verdict.OK),
        (
            "postgrey",
            Step.RCPT,
            "450 4.2.0 <postmaster@example.org>: Recipient address rejected: Greylisted, see http://postgrey.example",
            Verdict.OK,
        ),
        ("rspamd", Step.RCPT, "451 4.7.1 Try again later", Verdict.OK),
        ("somebody", Step.RCPT, "450 4.7.1 Please come back in 5 minutes", Verdict.OK),
        ("Dovecot", Step.RCPT, "452 4.2.2 Quota exceeded (mailbox for user is full)", Verdict.OK),
        (
            "Postfix",
            Step.RCPT,
            (
                "450 4.1.1 <postmaster@example.org>: Recipient address rejected: unverified address: Address "
                "verification in progress"
            ),
            Verdict.OK,
        ),
        ("Postfix, a dead milter", Step.RCPT, "451 4.7.1 Service unavailable - try again later", Verdict.BUSY),
        ("Postfix, a dead policy", Step.RCPT, "451 4.3.5 Server configuration problem - try again later", Verdict.BUSY),
        ("Exim", Step.RCPT, "451 Temporary local problem - please try later", Verdict.BUSY),
        (
            "Postfix, defer_unauth_destination",
            Step.RCPT,
            "454 4.7.1 <postmaster@example.org>: Relay access denied",
            Verdict.BUSY,
        ),
        (
            "Postfix, soft_bounce",
            Step.RCPT,
            "450 4.1.1 <x@example.org>: Recipient address rejected: User unknown in local recipient table",
            Verdict.BUSY,
        ),
        (
            "Postfix, soft_bounce",
            Step.RCPT,
            "450 4.7.1 Service unavailable; Client host [192.0.2.5] blocked using zen.spamhaus.org",
            Verdict.PROBE_BLOCKED,
        ),
        (
            "Postfix, no PTR",
            Step.RCPT,
            "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.5]",
            Verdict.PROBE_BLOCKED,
        ),
        (
            "Postfix",
            Step.RCPT,
            "450 4.1.8 <probe@nowhere.example>: Sender address rejected: Domain not found",
            Verdict.PROBE_BLOCKED,
        ),
        ("Postfix", Step.RCPT, "450 4.7.1 Error: too many recipients from 192.0.2.5", Verdict.PROBE_LIMITED),
        ("postscreen", Step.RCPT, "450 4.3.2 Service currently unavailable", Verdict.PROBE_LIMITED),
        ("postscreen", Step.RCPT, "550 5.3.2 Service currently unavailable", Verdict.PROBE_BLOCKED),
        ("somebody", Step.RCPT, "451 192.0.2.5 is not welcome yet", Verdict.PROBE_LIMITED),
        ("Postfix", Step.RCPT, "554 5.7.1 <postmaster@example.org>: Relay access denied", Verdict.REJECTS_DOMAIN),
        (
            "Postfix",
            Step.RCPT,
            "550 5.1.1 <x@example.org>: Recipient address rejected: User unknown in virtual mailbox table",
            Verdict.REJECTS_DOMAIN,
        ),
        ("Exim", Step.RCPT, "550 relay not permitted", Verdict.REJECTS_DOMAIN),
        ("Exim", Step.RCPT, "550 Unrouteable address", Verdict.REJECTS_DOMAIN),
        ("OpenSMTPD", Step.RCPT, "550 Invalid recipient: <postmaster@example.org>", Verdict.REJECTS_DOMAIN),
        ("Dovecot", Step.RCPT, "550 5.1.1 <x@example.org> User doesn't exist: x@example.org", Verdict.REJECTS_DOMAIN),
        ("Exchange", Step.RCPT, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted", Verdict.REJECTS_DOMAIN),
        (
            "sendmail, which names the client in every case",
            Step.RCPT,
            "550 5.7.1 <postmaster@example.org>... Relaying denied. IP name lookup failed [192.0.2.5]",
            Verdict.REJECTS_DOMAIN,
        ),
        ("somebody", Step.RCPT, "554 no", Verdict.REJECTS_DOMAIN),
        ("somebody", Step.RCPT, "501 5.1.3 Bad recipient address syntax", Verdict.REJECTS_DOMAIN),
        ("Dovecot", Step.RCPT, "552 5.2.2 Quota exceeded (mailbox for user is full)", Verdict.PROBE_BLOCKED),
        ("Postfix", Step.RCPT, "530 5.7.0 Must issue a STARTTLS command first", Verdict.REJECTS_DOMAIN),
        (
            "Postfix",
            Step.RCPT,
            "554 5.7.1 <host.example[192.0.2.5]>: Client host rejected: Access denied",
            Verdict.PROBE_BLOCKED,
        ),
        (
            "Postfix",
            Step.RCPT,
            "550 5.1.0 <u@x.example>: Sender address rejected: User unknown in local recipient table",
            Verdict.PROBE_BLOCKED,
        ),
        (
            "Postfix",
            Step.RCPT,
            "554 5.7.1 Service unavailable; Client host [192.0.2.5] blocked using zen.spamhaus.org",
            Verdict.PROBE_BLOCKED,
        ),
        ("Postfix", Step.RCPT, "450 4.7.1 <probe>: Helo command rejected: Host not found", Verdict.PROBE_BLOCKED),
        (
            "Postfix, which names the client where a table cannot be read",
            Step.RCPT,
            "451 4.3.0 <host.example[192.0.2.5]>: Temporary lookup failure",
            Verdict.BUSY,
        ),
        ("Exchange", Step.RCPT, "530 5.7.1 Client was not authenticated", Verdict.REJECTS_DOMAIN),
        ("Exchange", Step.RCPT, "550 5.7.1 Client was not authenticated", Verdict.REJECTS_DOMAIN),
        (
            "Exchange, which names the client",
            Step.RCPT,
            "530 5.7.1 Not authenticated [192.0.2.5]",
            Verdict.REJECTS_DOMAIN,
        ),
        (
            "somebody",
            Step.RCPT,
            "550 5.7.1 Recipient address rejected: this address is not allowed",
            Verdict.REJECTS_DOMAIN,
        ),
        ("somebody", Step.RCPT, "550 5.7.1 Rejected: domain is banned", Verdict.REJECTS_DOMAIN),
        ("somebody", Step.RCPT, "550 5.7.1 recipient is on our block list", Verdict.REJECTS_DOMAIN),
        ("somebody", Step.RCPT, "550 5.7.1 remote host rejected the address", Verdict.REJECTS_DOMAIN),
        ("somebody", Step.RCPT, "550 5.7.1 Your message was rejected: no such place", Verdict.REJECTS_DOMAIN),
        (
            "Postfix, reject_rhsbl_recipient",
            Step.RCPT,
            "554 5.7.1 Service unavailable; Recipient address [x@example.org] blocked using dbl.spamhaus.org",
            Verdict.REJECTS_DOMAIN,
        ),
        (
            "Postfix, reject_rhsbl_sender",
            Step.RCPT,
            "554 5.7.1 Service unavailable; Sender address [x@example.net] blocked using rhsbl.example",
            Verdict.PROBE_BLOCKED,
        ),
        (
            "Postfix, behind NAT",
            Step.RCPT,
            "554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using bl.example",
            Verdict.PROBE_BLOCKED,
        ),
        (
            "Postfix, over IPv6",
            Step.RCPT,
            "554 5.7.1 Service unavailable; Client host [2001:db8::9] blocked using bl.example",
            Verdict.PROBE_BLOCKED,
        ),
        ("Stalwart", Step.RCPT, "550 5.7.1 Your IP address has been blocked", Verdict.PROBE_BLOCKED),
        ("somebody", Step.RCPT, "550 5.7.1 You are banned from sending here", Verdict.PROBE_BLOCKED),
        ("somebody", Step.RCPT, "550 host is not allowed", Verdict.PROBE_BLOCKED),
        ("somebody", Step.RCPT, "550 Your server h.example (203.0.113.9) is blocked", Verdict.PROBE_BLOCKED),
        ("somebody", Step.RCPT, "550 [203.0.113.9] is listed", Verdict.PROBE_BLOCKED),
        ("somebody", Step.RCPT, "550 5.7.1 192.0.2.5: this address is not allowed", Verdict.PROBE_BLOCKED),
        # QUIT
        ("somebody rude", Step.QUIT, "500 what?", Verdict.OK),
    ],
)
def test_what_real_servers_say(who: str, step: Step, reply: str, verdict: Verdict) -> None:
    """The words of real servers are understood, and the reason repeats those that matter."""
    code, _, text = reply.partition(" ")
    judged = judge(Ending(Event.REPLY, step, int(code), text), MX)
    assert judged.verdict is verdict, who
    assert (text[:80] in judged.reason) == (verdict is not Verdict.OK)


STRANGER = replace(MX, anonymous=True)
IN_CLEAR = replace(MX, avoids_tls=True)
TLS_FIRST = "530 5.7.0 Must issue a STARTTLS command first"
NO_STRANGERS = "530 5.7.57 Client was not authenticated"


@pytest.mark.parametrize(
    ("scene", "reply", "blocked"),
    [
        (MX, TLS_FIRST, False),
        (STRANGER, TLS_FIRST, False),
        (IN_CLEAR, TLS_FIRST, True),
        (IN_CLEAR, "550 5.7.10 Encryption needed", True),
        (IN_CLEAR, "451 5.7.3 STARTTLS is required to send mail", True),
        (IN_CLEAR, NO_STRANGERS, False),
        (MX, NO_STRANGERS, False),
        (STRANGER, NO_STRANGERS, True),
        (STRANGER, "530 no", True),
        (STRANGER, "550 5.7.1 Access denied: authentication required", True),
        (MX, "550 5.7.1 Access denied: authentication required", False),
    ],
)
def test_only_a_probe_that_came_with_less_than_others_is_held_off(scene: Scene, reply: str, blocked: bool) -> None:  # noqa: FBT001 - a case
    """A plain MX that wants a login or TLS of the probe wants them of senders too, and their mail bounces."""
    code, _, text = reply.partition(" ")
    verdicts = [judge(Ending(Event.REPLY, step, int(code), text), scene).verdict for step in (Step.MAIL, Step.RCPT)]
    assert verdicts == ([Verdict.PROBE_BLOCKED] * 2 if blocked else [Verdict.REJECTING, Verdict.REJECTS_DOMAIN])


def test_a_multi_line_reply_is_read_as_one_line() -> None:
    """Words that a server spreads over lines are found all the same."""
    ending = Ending(Event.REPLY, Step.GREETING, 421, "4.3.0 mx.example\n is shutting\r\n down")
    assert judge(ending, MX).verdict is Verdict.DRAINING


@pytest.mark.parametrize(
    ("ending", "verdict"),
    [
        (Ending(Event.LACKING, Step.EHLO, text="PIPELINING"), Verdict.PROBE_LIMITED),
        (Ending(Event.LACKING, Step.EHLO, text="SIZE, PIPELINING"), Verdict.PROBE_LIMITED),
        (Ending(Event.LACKING, Step.EHLO, text="SIZE"), Verdict.REJECTING),
        (
            Ending(Event.REPLY, Step.RCPT, 421, "4.3.2 mx Service unavailable - try again later"),
            Verdict.PROBE_LIMITED,
        ),
        (Ending(Event.REPLY, Step.EHLO, 250, took=6.0), Verdict.SLOW),
    ],
)
def test_a_teaser_gives_postscreen_away(ending: Ending, verdict: Verdict) -> None:
    """After a greeting of several lines, what postscreen's stand-in lacks is no fault of the member."""
    judged = judge(ending, POSTSCREEN)
    assert judged.verdict is verdict
    assert ("postscreen" in judged.reason) == (verdict is not Verdict.REJECTING)


def test_pipelining_can_really_be_missing() -> None:
    """Without postscreen's teaser, a member that lacks a required keyword is at fault."""
    assert judge(Ending(Event.LACKING, Step.EHLO, text="PIPELINING"), MX).verdict is Verdict.REJECTING


CODES = st.one_of(st.integers(-99, 999), st.sampled_from([220, 221, 235, 250, 251, 334, 421, 450, 454, 530, 535, 554]))
TEXTS = st.one_of(
    st.text(max_size=80),
    st.builds(
        "{} {} 192.0.2.5 {}".format,
        st.sampled_from(["", "4.3.0", "4.7.0", "5.1.1", "5.7.1", "4.2.0", "9.9.9"]),
        st.sampled_from(
            ["", "greylisted", "too many errors from", "relay access denied", "blocked using", "try later"]
        ),
        st.text(max_size=20),
    ),
)


@given(st.sampled_from(REPLIES), CODES, TEXTS, st.booleans())
def test_every_reply_is_judged(step: Step, code: int, text: str, upgraded: bool) -> None:  # noqa: FBT001 - as hypothesis gives it
    """No reply leaves a member without a verdict and a reason, and no 5xx is ever ok."""
    judged = judge(Ending(Event.REPLY, step, code, text, upgraded=upgraded), MX)
    assert judged.verdict is not Verdict.UNKNOWN
    assert bool(judged.reason) == (judged.verdict is not Verdict.OK)
    assert judged.verdict is not Verdict.OK or code // 100 in {2, 4}


@given(st.sampled_from(TALK), st.integers(-99, 999))
def test_only_the_wanted_answer_is_ok(step: Step, code: int) -> None:
    """At the greeting and EHLO there is one good code; 220 alone is not yet a conversation."""
    assert (judge(Ending(Event.REPLY, step, code), MX).verdict is Verdict.OK) == (
        code == 250 and step is not Step.GREETING
    )


@pytest.mark.parametrize("event", [Event.SILENCE, Event.EOF, Event.RESET, Event.GARBAGE, Event.EARLY, Event.FLOOD])
@pytest.mark.parametrize("step", [Step.PROXY, *REPLIES])
@pytest.mark.parametrize("upgraded", [False, True])
def test_every_break_is_judged(event: Event, step: Step, upgraded: bool) -> None:  # noqa: FBT001 - a case
    """A conversation can break at each step, and none of these goes unjudged or well."""
    assert judge(Ending(event, step, upgraded=upgraded), MX).verdict not in {Verdict.UNKNOWN, Verdict.OK}


@pytest.mark.parametrize(
    ("event", "verdict"),
    [
        (Event.TLS_FAILED, Verdict.TLS_BROKEN),
        (Event.SILENCE, Verdict.TLS_BROKEN),
        (Event.EOF, Verdict.TLS_BROKEN),
        (Event.RESET, Verdict.TLS_BROKEN),
        (Event.LACKING, Verdict.TLS_BROKEN),
        (Event.UNTRUSTED, Verdict.TLS_INVALID),
        (Event.EXPIRED, Verdict.TLS_INVALID),
        (Event.EXPIRING, Verdict.TLS_INVALID),
    ],
)
def test_handshakes(event: Event, verdict: Verdict) -> None:
    """What goes wrong in a handshake is TLS's fault, whoever ends it."""
    assert judge(Ending(event, Step.TLS, text="why"), MX).verdict is verdict


@given(st.sampled_from(list(Event)), st.sampled_from(list(Step)), CODES, TEXTS, st.text(max_size=30))
def test_judging_never_fails(event: Event, step: Step, code: int, text: str, where: str) -> None:
    """Whatever is thrown at the table, it answers; braces in a server's words are no placeholders."""
    judge(Ending(event, step, code, text + "{where}{0}"), Scene(where, 1.0, source="2001:db8::5"))


@pytest.mark.parametrize("event", list(Event))
def test_quit_changes_nothing(event: Event) -> None:
    """All was said before QUIT: however a server takes it, the member is well."""
    assert judge(Ending(event, Step.QUIT, 421, "too many errors"), MX) == Judgement(Verdict.OK, "")


def test_an_impossible_ending_is_no_information() -> None:
    """What the table does not know is not held against the member."""
    assert judge(Ending(Event.REFUSED, Step.HELO), MX).verdict is Verdict.UNKNOWN


def test_every_verdict_can_be_reached() -> None:
    """There is no word in the contract that no ending leads to; `unknown` is for what has no rule."""
    assert {rule.verdict for rule in RULES} == set(Verdict) - {Verdict.UNKNOWN}


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.words is not None])
def test_no_words_take_long_to_look_for(rule: Rule) -> None:
    """A server cannot keep us busy with its words: no pattern repeats without a bound, so none can run away."""
    assert rule.words is not None
    unescaped = re.sub(r"\\.", "", rule.words.pattern)
    assert not re.search(r"[*+]|\{[0-9]*,\}", unescaped)


@pytest.mark.parametrize("flood", ["too many " * 7000, "4.7.0 " * 9000, "a" * 60_000, "1.2.3.4." * 8000, ":" * 60_000])
def test_a_flood_of_words_makes_no_flood_of_reasons(flood: str) -> None:
    """Only the beginning of a reply is read, and less of it is repeated."""
    for step, code in itertools.product(REPLIES, (250, 450, 550)):
        assert len(judge(Ending(Event.REPLY, step, code, flood), MX).reason) < 400


@given(st.text())
def test_reasons_are_legible(text: str) -> None:
    """A server cannot bring control characters, line breaks or a flood into a log or a terminal."""
    shown = legible(text)
    assert shown.isprintable()
    assert len(shown) <= 160


def test_undecodable_octets_can_be_encoded() -> None:
    """Octets that are no UTF-8 arrive as surrogates, which no encoder takes; they are shown as question marks."""
    assert legible(b"caf\xe9 \x1b[31mred".decode("utf-8", "surrogateescape")).encode() == b"caf? ?[31mred"


@pytest.mark.parametrize(
    ("address", "line", "named"),
    [
        ("192.0.2.5", "too many connections from 192.0.2.5", True),
        ("192.0.2.5", "client [192.0.2.5]:4711 blocked", True),
        ("192.0.2.5", "from ::ffff:192.0.2.5.", True),
        ("192.0.2.5", "192.0.2.55 and 92.0.2.5 and 192.0.2.5.9", False),
        ("2001:db8::5", "too many connections from 2001:DB8:0:0:0:0:0:5", True),
        ("2001:db8::5", "[IPv6:2001:db8::5] is listed", True),
        ("2001:db8::5", "2001:db8::55 is listed", False),
        ("", "too many connections from 192.0.2.5", False),
    ],
)
def test_our_own_address(address: str, line: str, named: bool) -> None:  # noqa: FBT001 - a case
    """Our address is recognised however it is written, and not as a part of another one."""
    assert names(address, line) is named


@given(st.ip_addresses(), st.sampled_from(["[{}]", "from {}", "host.example[{}]: no", "{}", "({})."]))
def test_any_own_address_is_recognised(address: IPv4Address | IPv6Address, form: str) -> None:
    """No address is too odd to be found, whole or written out."""
    assert names(str(address), form.format(address))
    assert names(str(address), form.format(ip_address(address.exploded)))


@given(st.text(max_size=200))
def test_looking_for_our_address_never_fails(line: str) -> None:
    """What looks like an address and is none does no harm."""
    names("2001:db8::5", line)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("4.7.1 Try again", "4.7.1"),
        ("5.7.105 new", "5.7.105"),
        ("mx.example 4.7.1 later", ""),
        ("4.7.1.2 is no code", ""),
        ("3.1.1 is no class", ""),
        ("", ""),
    ],
)
def test_enhanced_codes(text: str, code: str) -> None:
    """The code of RFC 3463 stands at the start of a reply's text, or nowhere."""
    assert Ending(Event.REPLY, Step.RCPT, 450, text).enhanced == code


@pytest.mark.parametrize(
    ("ending", "aspect"),
    [
        (Ending(Event.REFUSED, Step.CONNECT), Aspect.SESSION),
        (Ending(Event.REPLY, Step.EHLO, 250), Aspect.SESSION),
        (Ending(Event.EOF, Step.EHLO, upgraded=True), Aspect.TLS),
        (Ending(Event.REPLY, Step.STARTTLS, 454), Aspect.TLS),
        (Ending(Event.TLS_FAILED, Step.TLS), Aspect.TLS),
        (Ending(Event.UNTRUSTED, Step.TLS), Aspect.CERTIFICATE),
        (Ending(Event.EXPIRED, Step.TLS), Aspect.CERTIFICATE),
        (Ending(Event.EXPIRING, Step.TLS), Aspect.CERTIFICATE),
        (Ending(Event.REPLY, Step.AUTH, 535, upgraded=True), Aspect.AUTH),
        (Ending(Event.REPLY, Step.MAIL, 452), Aspect.RECIPIENT),
        (Ending(Event.REPLY, Step.RCPT, 554, upgraded=True), Aspect.RECIPIENT),
    ],
)
def test_aspects(ending: Ending, aspect: Aspect) -> None:
    """An ending says what has to be examined again before the member can count as mended."""
    assert aspect_of(ending) is aspect


def recipe(kind: Kind = Kind.SMTP, starttls: StartTls = StartTls.OPPORTUNISTIC, verify: Verify = Verify.NONE) -> Recipe:
    """Make a recipe with this policy for TLS."""
    return Recipe("r", kind, 25, 10.0, 10.0, 2, 3, "probe.example", starttls=starttls, verify=verify)


@pytest.mark.parametrize(
    ("verdict", "policy", "out"),
    [
        (Verdict.TLS_BROKEN, recipe(), False),
        (Verdict.TLS_BROKEN, recipe(starttls=StartTls.REQUIRE), True),
        (Verdict.TLS_BROKEN, recipe(verify=Verify.NAME), True),
        (Verdict.TLS_BROKEN, recipe(Kind.SMTPS, StartTls.OFF), True),
        (Verdict.TLS_INVALID, recipe(), False),
        (Verdict.TLS_INVALID, recipe(starttls=StartTls.REQUIRE), False),
        (Verdict.TLS_INVALID, recipe(Kind.SMTPS, StartTls.OFF), False),
        (Verdict.TLS_INVALID, recipe(verify=Verify.DANE), True),
        (Verdict.REJECTING, recipe(), True),
    ],
)
def test_policy(verdict: Verdict, policy: Recipe, out: bool) -> None:  # noqa: FBT001 - a case
    """TLS takes a member out only where the policy demands it; else the member is degraded and a person is told."""
    effect = effect_of(verdict, policy)
    assert effect == (EFFECTS[verdict] if out else TOLERATED)
    assert (effect.state is State.DOWN) == out


def test_a_certificate_that_soon_expires_takes_nothing_out() -> None:
    """Senders take it until the last second, so that it is a person's problem whatever the policy."""
    assert effect_of(Verdict.TLS_INVALID, recipe(verify=Verify.DANE), Event.EXPIRING) == TOLERATED


@pytest.mark.parametrize("event", [Event.SILENCE, Event.EOF, Event.RESET])
def test_what_a_lost_packet_can_cause_needs_patience(event: Event) -> None:
    """A handshake that the network may have broken counts like other network failures, not like a refusal in words."""
    assert effect_of(Verdict.TLS_BROKEN, recipe(Kind.SMTPS), event).patience is Patience.FALL
    assert effect_of(Verdict.TLS_BROKEN, recipe(Kind.SMTPS), Event.TLS_FAILED).patience is Patience.CONFIRM


def test_a_login_that_was_not_tried_is_looked_at_once_more() -> None:
    """A refused one counts at once, since the next try is far away; that AUTH is missing may be a restart's moment."""
    assert effect_of(Verdict.AUTH_FAILED, recipe(), Event.REPLY).patience is Patience.AT_ONCE
    lacking = effect_of(Verdict.AUTH_FAILED, recipe(), Event.LACKING)
    assert lacking == replace(EFFECTS[Verdict.AUTH_FAILED], patience=Patience.CONFIRM)


def test_every_verdict_has_an_effect() -> None:
    """What is known of the probe alone (limited, blocked, unknown) says nothing of the member."""
    assert set(EFFECTS) == set(Verdict)
    silent = {verdict for verdict, effect in EFFECTS.items() if effect.state is None}
    assert silent == {Verdict.PROBE_LIMITED, Verdict.PROBE_BLOCKED, Verdict.UNKNOWN}
    assert EFFECTS[Verdict.BUSY] == Effect(State.BUSY, Patience.AT_ONCE, percent=10)
