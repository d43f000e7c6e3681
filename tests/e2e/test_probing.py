"""Probes of real mail servers: what they find, and what the servers' own logs say of the guest."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from dnslb.pool.health import Verdict
from dnslb.probe.memory import Memory
from dnslb.probe.recipe import Auth, Kind, StartTls, Verify
from tests.e2e import mailservers
from tests.e2e.mailservers import ABSURD, PASSWORD, SENTINEL, PostfixMembers, postfix_faults, rude_in
from tests.e2e.processes import Stage, until
from tests.e2e.product import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnslb.probe.transcript import Report
    from tests.e2e.mailservers import Certificates, Dovecot, Exim, Listener, Postfix


@dataclass(frozen=True)
class Case:
    """A listener, the recipe's fields that differ from a plain probe with a sentinel, and what comes of it.

    `reason` and `logged` are words that the verdict's reason and the server's log hold. `held` sessions of somebody
    else are open meanwhile. Where the certificate is `rejected`, the first probe breaks off a handshake, as clients do,
    and what counts is the second one.
    """

    listener: str
    verdict: Verdict
    logged: str = ""
    reason: str = ""
    held: int = 0
    rejected: bool = False
    recipe: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.listener, *(f"{key}={value}" for key, value in self.recipe.items())])


@pytest.fixture(scope="module")
def theatre() -> Iterator[Stage]:
    """Give the module the place where its servers run."""
    with Stage() as theatre:
        yield theatre


@pytest.fixture(scope="module")
def known(theatre: Stage) -> Certificates:
    """Give the module's servers their certificates."""
    return mailservers.certificates(theatre.directory("tls"))


@pytest.fixture(scope="module")
def dovecot(theatre: Stage, known: Certificates) -> Dovecot:
    """Start Dovecot, for LMTP and to check passwords."""
    return mailservers.Dovecot(theatre, known)


@pytest.fixture(scope="module")
def postfix(theatre: Stage, known: Certificates, dovecot: Dovecot) -> Postfix:
    """Start a Postfix that asks Dovecot for passwords."""
    return mailservers.Postfix(theatre, {**postfix_faults(known), "login": mailservers.logins(known, dovecot)})


@pytest.fixture(scope="module")
def exim(theatre: Stage, known: Certificates) -> Exim:
    """Start an Exim."""
    return mailservers.Exim(theatre, known)


@pytest.fixture(scope="module")
def opensmtpd(theatre: Stage) -> Listener:
    """Start an OpenSMTPD."""
    return mailservers.opensmtpd(theatre)


async def check(listener: Listener, case: Case, known: Certificates) -> Report:
    """Probe a listener in full, and compare what comes of it with the case; returns the report."""
    recipe = {"rcpt_to": SENTINEL, "starttls": StartTls.OPPORTUNISTIC, "ca_file": known.ca, **case.recipe}
    memory = Memory()
    if case.rejected:
        _, lines = await listener.probed(memory, **recipe)
        assert rude_in("\n".join(lines))
    with listener.held(case.held):
        report, lines = await listener.probed(memory, **recipe)
    log = "\n".join(lines)
    assert report.result.verdict is case.verdict, (report.result.reason, log)
    assert case.reason in report.result.reason
    assert case.logged in log
    assert not rude_in(log)
    return report


BY_NAME = {"verify": Verify.NAME}
REQUIRED = {"starttls": StartTls.REQUIRE}
SESSION = "ehlo=1 quit=1 commands=2"
ENVELOPE = "ehlo=1 mail=1 rcpt=1 quit=1 commands=4"
REFUSED = "ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4"
LOOKED = "ehlo=2 starttls=1 quit=1 commands=4"
ENCRYPTED = "ehlo=2 starttls=1 mail=1 rcpt=1 quit=1 commands=6"
TURNED_AWAY = "commands=0/0"

POSTFIX = [
    Case("plain", Verdict.OK, ENVELOPE),
    Case("plain", Verdict.OK, SESSION, recipe={"rcpt_to": ""}),
    Case("plain", Verdict.OK, "ehlo=1 mail=1 rcpt=1", recipe={"kind": Kind.SUBMISSION}),
    Case("plain", Verdict.REJECTING, SESSION, "REQUIRETLS", recipe={"capabilities": ("REQUIRETLS",), "rcpt_to": ""}),
    Case("plain", Verdict.TLS_BROKEN, "ehlo=1", "STARTTLS", recipe={**REQUIRED}),
    Case("plain", Verdict.REJECTS_DOMAIN, REFUSED, "Relay access denied", recipe={"rcpt_to": "probe@other.test"}),
    Case("unknown_user", Verdict.REJECTS_DOMAIN, REFUSED, "User unknown"),
    Case("soft", Verdict.BUSY, REFUSED, "soft_bounce"),
    Case("greylisting", Verdict.OK, REFUSED),
    Case("full", Verdict.STORAGE, "ehlo=1 mail=0/1 quit=1 commands=2/3", "Insufficient system storage"),
    Case("limited", Verdict.OK, ENVELOPE),
    Case("limited", Verdict.PROBE_LIMITED, TURNED_AWAY, "too many connections from 127.0.0.1", held=1),
    Case("shut", Verdict.PROBE_BLOCKED, "quit=1 commands=1", "Client host rejected"),
    Case("leaving", Verdict.DRAINING, TURNED_AWAY, "draining"),
    Case("screened", Verdict.OK, "PASS NEW"),
    Case("screened_friend", Verdict.OK, ENVELOPE),
    Case("screened_deep", Verdict.PROBE_LIMITED, "DISCONNECT", "PIPELINING", recipe={"capabilities": ("PIPELINING",)}),
    Case("screened_foe", Verdict.PROBE_BLOCKED, "NOQUEUE: reject: RCPT", "Service currently unavailable"),
    Case("screened_dropped", Verdict.PROBE_BLOCKED, "DENYLISTED", "Service currently unavailable"),
    Case("screened_busy", Verdict.BUSY, "all screening ports busy", "All screening ports are busy", held=9),
    Case("tls", Verdict.OK, ENCRYPTED, recipe={**REQUIRED}),
    Case("tls", Verdict.OK, ENCRYPTED, recipe=BY_NAME),
    Case("smtps", Verdict.OK, ENVELOPE, recipe={"kind": Kind.SMTPS, **BY_NAME}),
    Case("expired", Verdict.TLS_INVALID, ENCRYPTED, "expired", rejected=True),
    Case("expired", Verdict.TLS_INVALID, LOOKED, "expired", rejected=True, recipe=BY_NAME),
    Case("wrong_name", Verdict.OK, ENCRYPTED, rejected=True),
    Case("wrong_name", Verdict.TLS_INVALID, LOOKED, "mx.test", rejected=True, recipe=BY_NAME),
    Case("unknown_ca", Verdict.OK, ENCRYPTED, rejected=True),
    Case("unknown_ca", Verdict.TLS_INVALID, LOOKED, "certificate", rejected=True, recipe=BY_NAME),
    Case("broken_key", Verdict.TLS_BROKEN, "starttls=0/1", "454"),
    Case("broken_key", Verdict.TLS_BROKEN, "starttls=0/1", "454", recipe=REQUIRED),
    Case("proxied", Verdict.OK, ENVELOPE, recipe={"proxy": True}),
    Case("proxied", Verdict.BUSY, TURNED_AWAY, "Server local error"),
    Case("login", Verdict.OK, "auth=1", recipe={"auth": Auth(SENTINEL, PASSWORD)}),
    Case("login", Verdict.AUTH_FAILED, "auth=0/1", recipe={"auth": Auth(SENTINEL, "guess")}),
]


@pytest.mark.parametrize("case", POSTFIX, ids=str)
async def test_postfix(postfix: Postfix, known: Certificates, case: Case) -> None:
    """A probe tells each fault of a Postfix from the others, and is a guest that its log has no complaint of."""
    await check(postfix[case.listener], case, known)


EXIM = [
    Case("plain", Verdict.OK, "closed by QUIT"),
    Case("plain", Verdict.REJECTS_DOMAIN, "closed by QUIT", "relay not permitted", recipe={"rcpt_to": "x@other.test"}),
    Case("denying", Verdict.REJECTS_DOMAIN, "closed by QUIT", "relay not permitted"),
    Case("deferring", Verdict.OK, "closed by QUIT"),
    Case("leaving", Verdict.DRAINING, "421 4.3.2", "shutting down"),
    Case("tls", Verdict.OK, "closed by QUIT", recipe={**REQUIRED, **BY_NAME}),
    Case("expired", Verdict.TLS_INVALID, "closed by QUIT", "expired", rejected=True),
    Case("expired", Verdict.TLS_INVALID, "closed by QUIT", "expired", rejected=True, recipe=BY_NAME),
    Case("broken_key", Verdict.TLS_BROKEN, "TLS error", "454"),
    Case("broken_key", Verdict.TLS_BROKEN, "TLS error", "454", recipe=REQUIRED),
]


@pytest.mark.parametrize("case", EXIM, ids=str)
async def test_exim(exim: Exim, known: Certificates, case: Case) -> None:
    """The same with Exim, which has other words."""
    await check(exim[case.listener], case, known)


async def test_exim_without_room(theatre: Stage, known: Certificates) -> None:
    """An Exim that finds too little room on its disk says so at MAIL."""
    exim = mailservers.Exim(theatre, known, "full", "check_spool_space = 900000G")
    await check(exim["plain"], Case("plain", Verdict.STORAGE, "closed by QUIT", "Space shortage"), known)


async def test_exim_with_too_many_connections(theatre: Stage, known: Certificates) -> None:
    """An Exim that has all the connections it wants is busy, for everybody and not for the probe alone."""
    exim = mailservers.Exim(theatre, known, "busy", "smtp_accept_max = 1")
    case = Case("plain", Verdict.BUSY, "too many connections", "Too many concurrent SMTP connections", held=1)
    await check(exim["plain"], case, known)


async def test_opensmtpd(opensmtpd: Listener, known: Certificates) -> None:
    """The same with OpenSMTPD; `check` would take its failed command for bad manners, so it is asked for less."""
    await check(opensmtpd, Case("plain", Verdict.OK, "reason=quit"), known)
    report, lines = await opensmtpd.probed(rcpt_to="x@other.test")
    assert report.result.verdict is Verdict.REJECTS_DOMAIN
    assert "Invalid recipient" in report.result.reason  # it has no enhanced code
    assert "reason=quit" in lines[-1]


LMTP = [
    Case("lmtp", Verdict.OK, "Logged out", recipe={"starttls": StartTls.OFF}),
    Case("lmtp", Verdict.OK, "Logged out", recipe={**REQUIRED, **BY_NAME}),
    Case("lmtp", Verdict.REJECTS_DOMAIN, "Logged out", "User doesn't exist", recipe={"rcpt_to": "x@mail.test"}),
]


@pytest.mark.parametrize("case", LMTP, ids=str)
async def test_dovecot(dovecot: Dovecot, known: Certificates, case: Case) -> None:
    """By LMTP a Dovecot is asked the same: it says for each recipient whether it has a mailbox for it."""
    case = Case(case.listener, case.verdict, case.logged, case.reason, recipe={"kind": Kind.LMTP, **case.recipe})
    report = await check(dovecot.lmtp, case, known)
    assert "LHLO" in [exchange.step for exchange in report.exchanges]


def shown(listener: Listener, *options: str) -> tuple[int, Any]:
    """Run `dnslb probe` on a listener, without a daemon; returns its exit status and its JSON."""
    command = [sys.executable, "-m", "dnslb", "probe", f"127.0.0.1:{listener.port}", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout)


def test_the_command_finds_what_the_daemon_finds(postfix: Postfix, known: Certificates) -> None:
    """An administrator sees the same without a daemon: the certificate, the verdict, and 0 or 1 for a script."""
    status, found = shown(postfix["tls"], "--host", "mx.test", "--verify", "name", "--ca-file", str(known.ca))
    assert (status, found["verdict"], found["up"]) == (0, "ok", True)
    assert found["tls"]["names"] == ["mx.test"]
    assert found["tls"]["trusted"]

    status, found = shown(postfix["unknown_user"], "--rcpt-to", SENTINEL)
    assert (status, found["verdict"], found["up"]) == (1, "rejects_domain", False)
    assert "User unknown" in found["reason"]


def test_what_ails_a_member_decides_what_answers_do_with_it(stage: Stage) -> None:
    """Four real members: one refuses the domain and one is full, which leave; one is busy and one screens, which stay.

    One ails after the other, as it is in life: half a pool at once would be taken for a fault of the prober.
    """
    members = PostfixMembers(stage)
    daemon = Daemon(stage, members, probe=f'rcpt_to = "{SENTINEL}"\nrecipient_interval = "500ms"\n')
    daemon.wait_published(*members.addresses)

    members.become("mx1", {"relay_recipient_maps": "inline:{ other@mail.test=x }"})
    daemon.wait_published("mx2", "mx3", "mx4")
    assert daemon.member("mx1")["verdict"] == "rejects_domain"
    members.become("mx1", {})
    daemon.wait_published(*members.addresses)

    members.become("mx2", {"queue_minfree": ABSURD})
    daemon.wait_published("mx1", "mx3", "mx4")
    assert daemon.member("mx2")["verdict"] == "storage"
    members.become("mx2", {})
    daemon.wait_published(*members.addresses)

    members.become("mx3", {"smtpd_client_restrictions": "check_client_access static:{421 4.3.2 Try again later}"})
    until(lambda: daemon.member("mx3")["state"] == "busy", "mx3 is busy")
    assert daemon.member("mx3")["effective_weight"] == pytest.approx(0.1)

    members.become("mx4", {"postscreen_greet_wait": "1s", "postscreen_access_list": "", "postscreen_greet_ttl": "1s"})
    until(lambda: len(members.lines("mx4", "PASS ")) > 3, "mx4 has let the probe pass a few times")
    assert daemon.member("mx4")["state"] in {"up", "degraded"}  # a pause before the greeting may count as slowness
    assert daemon.published() == set(members.addresses)
    assert members.complaints() == []
