"""What clients of a relay host name do when a server refuses them, or greets with a no: rows of the README's table."""

from __future__ import annotations

import socketserver
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e import resolvers, senders
from tests.e2e.processes import until, with_etc
from tests.e2e.product import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.members import Members
    from tests.e2e.processes import Stage
    from tests.e2e.senders import Sender

SUBJECTS = [f"message-{number}" for number in range(40)]
SMTPLIB = """
import smtplib, sys
for subject in sys.argv[2:]:
    try:
        with smtplib.SMTP("relay.lb.test", int(sys.argv[1]), timeout=10) as session:
            session.sendmail("someone@sender.test", ["someone@relayed.test"], f"Subject: {subject}\\n\\nHello.\\n")
    except smtplib.SMTPConnectError as error:
        print(error.smtp_code)
"""


@pytest.fixture(params=[senders.postfix, senders.Exim], ids=["postfix", "exim"])
def start_sender(request: pytest.FixtureRequest) -> Callable[..., Sender]:
    """Give a test each of the mail servers in turn."""
    starts: Callable[..., Sender] = request.param
    return starts


@pytest.fixture
def daemon(stage: Stage, members: Members) -> Daemon:
    """Start a daemon that goes on answering with mx1, which is dead: health counts only if all are well."""
    daemon = Daemon(stage, members, keys="min_healthy = 1.0")
    members.kill("mx1")
    until(lambda: daemon.member("mx1")["state"] == "down", "mx1 is down")
    assert daemon.published() == set(members.addresses)
    return daemon


class _Busy(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"421 4.3.2 busy\r\n")
        self.rfile.readline()


@contextmanager
def busy(members: Members) -> Iterator[None]:
    """Let mx1 greet everybody with a no."""
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer((members.addresses["mx1"], members.port), _Busy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_postfix_and_exim_go_on_after_a_refusal(
    stage: Stage, members: Members, daemon: Daemon, start_sender: Callable[..., Sender]
) -> None:
    """Nothing is put off, though they have tried the dead one."""
    sender = start_sender(stage, resolver=resolvers.unbound(stage, daemon.port), port=members.port)
    sender.submit("someone@relayed.test", SUBJECTS)
    until(lambda: members.have_all(SUBJECTS), "the mail arrives")
    assert sender.log_of("127.0.0.11")
    assert sender.deferred() == 0


def test_postfix_and_exim_go_on_after_a_greeting_that_says_no(
    stage: Stage, members: Members, daemon: Daemon, start_sender: Callable[..., Sender]
) -> None:
    """421, and the next address is tried at once."""
    with busy(members):
        sender = start_sender(stage, resolver=resolvers.unbound(stage, daemon.port), port=members.port)
        sender.submit("someone@relayed.test", SUBJECTS)
        until(lambda: members.have_all(SUBJECTS), "the mail arrives")
    assert sender.log_of("127.0.0.11")
    assert sender.deferred() == 0


def test_smtplib_goes_on_after_a_refusal_only(stage: Stage, members: Members, daemon: Daemon) -> None:
    """It takes the next address if a connection is refused; a greeting of 421 is an exception."""
    resolver = resolvers.unbound(stage, daemon.port)
    command = [sys.executable, "-c", SMTPLIB, str(members.port), *SUBJECTS]
    within = with_etc({"resolv.conf": resolver.resolv_conf}, command)
    refused = subprocess.run(within, capture_output=True, text=True, timeout=120, check=True)
    assert refused.stdout == ""
    assert members.have_all(SUBJECTS)
    with busy(members):
        said = subprocess.run(within, capture_output=True, text=True, timeout=120, check=True)
    assert set(said.stdout.split()) == {"421"}
