"""dnslb probe: what it shows of real servers on loopback, what it asks the daemon, and what it does not accept."""

import json
import os
import pty
import pwd
import re
import select
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from click.testing import CliRunner, Result

from dnslb.cli.main import cli

if TYPE_CHECKING:
    from tests.cli.conftest import Dnslb, FakeDaemon

HOST = "localhost"
ACCOUNT = "PLAIN " + b64encode(b"\0probe\0secret").decode()


class Talk(socketserver.StreamRequestHandler):
    """A mail server for one domain and one account, as one connection sees it. It knows nothing but SMTP."""

    server: "MailServer"

    def handle(self) -> None:
        """Talk until the client leaves."""
        with suppress(OSError):  # which a client may do in the midst of a handshake
            if self.server.proxied and not self.rfile.read(16).startswith(b"\r\n\r\n\0\r\nQUIT\n"):
                return
            self.say(self.server.greeting)
            while (line := self.rfile.readline()) and self.answer(line.decode().strip()):
                pass

    def answer(self, line: str) -> bool:
        """Answer one command; return whether the conversation goes on."""
        verb, _, rest = line.partition(" ")
        match verb:
            case "EHLO":
                self.say(f"250-mx1.example.org\r\n250-8BITMIME\r\n{self.offer}250 HELP")
            case "STARTTLS":
                self.secure()
            case "AUTH":
                self.say("235 2.7.0 Welcome" if rest == ACCOUNT else "535 5.7.8 Authentication failed")
            case "RCPT":
                self.say("250 2.1.5 Ok" if rest.endswith("@example.org>") else "554 5.7.1 Relay access denied")
            case _:
                self.say("221 Bye" if verb == "QUIT" else "250 Ok")
        return verb != "QUIT"

    @property
    def offer(self) -> str:
        """What TLS adds to the answer to EHLO."""
        if self.server.context is None:
            return ""
        return "250-AUTH PLAIN\r\n" if isinstance(self.request, ssl.SSLSocket) else "250-STARTTLS\r\n"

    def secure(self) -> None:
        """Go on over TLS."""
        assert self.server.context is not None
        self.say("220 Go ahead")
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.setup()

    def say(self, text: str) -> None:
        """Send lines."""
        self.wfile.write(f"{text}\r\n".encode())

    def finish(self) -> None:
        """Close what TLS may have made of the connection, which the server does not know of."""
        super().finish()
        self.request.close()


class MailServer(socketserver.ThreadingTCPServer):
    """A server of such talks, in threads: the command blocks this one."""

    allow_reuse_address = True
    daemon_threads = False

    def __init__(self, host: str, port: int, greeting: str, context: ssl.SSLContext | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.greeting = greeting
        self.context = context
        self.proxied = False
        """Whether a PROXY protocol header, version 2, has to come first."""
        super().__init__((host, port), Talk)


class MailServers:
    """Servers of every kind on loopback, until the test ends."""

    def __init__(self, authority: trustme.CA) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(HOST).configure_cert(self._context)
        self._running = ExitStack()
        self.close = self._running.close

    def polite(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Start one without TLS, and return its port."""
        return self._start(MailServer(host, port, "220 mx1.example.org ready", None))

    def secure(self) -> int:
        """Start one with STARTTLS, a certificate for localhost, and an account."""
        return self._start(MailServer("127.0.0.1", 0, "220 mx1.example.org ready", self._context))

    def greeting(self, text: str) -> int:
        """Start one that greets with this."""
        return self._start(MailServer("127.0.0.1", 0, text, None))

    def proxied(self) -> int:
        """Start one that stands behind a proxy, and says nothing before its header."""
        server = MailServer("127.0.0.1", 0, "220 mx1.example.org ready", None)
        server.proxied = True
        return self._start(server)

    def silent(self) -> socket.socket:
        """Return a listener that takes connections and never says a word."""
        return self._running.enter_context(socket.create_server(("127.0.0.1", 0)))

    def _start(self, server: MailServer) -> int:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self._running.callback(server.server_close)
        self._running.callback(thread.join)
        self._running.callback(server.shutdown)
        port: int = server.server_address[1]
        return port


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return who signs the servers' certificates."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """Return the file with the authority's certificate."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


@pytest.fixture
def servers(authority: trustme.CA) -> Iterator[MailServers]:
    """Give a place to start mail servers in."""
    started = MailServers(authority)
    yield started
    started.close()


@pytest.fixture
def both_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give mx1.test two addresses. No machine's hosts file can be relied on to have such a name."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int | None, family: int = 0, *more: int) -> list[Any]:
        if host != "mx1.test":
            return list(real(host, port, family, *more))
        answers = {socket.AF_INET: ("127.0.0.1", 0), socket.AF_INET6: ("::1", 0, 0, 0)}
        return [(which, socket.SOCK_STREAM, 6, "", answers[which]) for which in answers if family in {0, which}]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def at(port: int) -> str:
    """Return where such a server is, as it is typed."""
    return f"127.0.0.1:{port}"


def port_of(listener: socket.socket) -> int:
    """Return where it listens."""
    port: int = listener.getsockname()[1]
    return port


def probe(*words: object) -> Result:
    """Run the command."""
    return CliRunner().invoke(cli, ["probe", *map(str, words)])


def probe_json(*words: object) -> dict[str, Any]:
    """Run the command and return its facts."""
    found: dict[str, Any] = json.loads(probe(*words, "--json").stdout)
    return found


def without_times(text: str) -> list[str]:
    """Return the lines of a transcript, with each time as # and the port as PORT."""
    return [re.sub(r":\d{4,5}", ":PORT", re.sub(r" *\d+\.\d ms", "#", line)) for line in text.splitlines()]


# A server that works


def test_a_good_server_is_shown_exchange_by_exchange(servers: MailServers) -> None:
    """What was sent, what came back, and the verdict at the end; exit status 0."""
    result = probe(at(servers.polite()), "--ehlo", "probe.example.org")
    assert result.exit_code == 0
    assert without_times(result.stdout) == [
        "127.0.0.1:PORT",
        "#  · connected",
        "#  ← 220 mx1.example.org ready",
        "              → EHLO probe.example.org",
        "#  ← 250 mx1.example.org",
        "                    8BITMIME, HELP",
        "              → QUIT",
        "#  ← 221 Bye",
        "",
        "verdict  ok",
    ]


def test_json_holds_the_same(servers: MailServers) -> None:
    """Each step with its time, where it was, and the words on both sides."""
    port = servers.polite()
    found = probe_json(f"127.0.0.1:{port}", "--ehlo", "probe.example.org")
    assert (found["target"], found["verdict"], found["up"]) == (f"127.0.0.1:{port}", "ok", True)
    assert [step["step"] for step in found["steps"]] == ["connect", "greeting", "EHLO", "QUIT"]
    assert {step["where"] for step in found["steps"]} == {f"127.0.0.1:{port}"}
    assert all(step["ms"] >= 0 for step in found["steps"])
    assert found["steps"][2]["sent"] == "EHLO probe.example.org"
    assert found["steps"][2]["reply"].splitlines()[0] == "mx1.example.org"


def test_our_own_name_is_that_of_this_machine(servers: MailServers) -> None:
    """Without --ehlo nothing is looked up."""
    found = probe_json(at(servers.polite()))
    assert found["steps"][2]["sent"] == f"EHLO {socket.gethostname()}"


@pytest.mark.usefixtures("both_families")
def test_all_addresses_of_a_name_are_probed(servers: MailServers) -> None:
    """The transcript is grouped by them."""
    port = servers.polite()
    servers.polite("::1", port)
    text = probe(f"mx1.test:{port}").stdout
    assert text.count("→ QUIT") == 2
    assert {f"127.0.0.1:{port}", f"[::1]:{port}"} <= set(text.splitlines())


@pytest.mark.usefixtures("both_families")
@pytest.mark.parametrize(("option", "where"), [("-4", "127.0.0.1:{}"), ("-6", "[::1]:{}")])
def test_one_family_alone_can_be_asked(servers: MailServers, option: str, where: str) -> None:
    """The other is left in peace."""
    port = servers.polite()
    servers.polite("::1", port)
    found = probe_json(f"mx1.test:{port}", option)
    assert {step["where"] for step in found["steps"]} == {where.format(port)}


@pytest.mark.usefixtures("both_families")
def test_the_first_bad_address_decides(servers: MailServers) -> None:
    """DNS cannot say: this member, but only by IPv4."""
    port = servers.polite()
    found = probe_json(f"mx1.test:{port}")
    assert (found["verdict"], found["up"]) == ("refused", False)
    assert found["reason"] == f"[::1]:{port} refuses connections"


def test_a_plain_connection_is_enough_for_tcp(servers: MailServers) -> None:
    """Nothing is said."""
    found = probe_json(at(servers.polite()), "--kind", "tcp")
    assert [step["step"] for step in found["steps"]] == ["connect"]
    assert found["up"]


def test_a_proxy_header_comes_first(servers: MailServers) -> None:
    """It is sent, and no answer to it is waited for."""
    lines = probe(at(servers.proxied()), "--proxy").stdout.splitlines()
    assert lines[2] == "              → PROXY v2 LOCAL"
    assert "220 mx1.example.org ready" in lines[3]


# Servers that do not


def test_a_port_that_nobody_listens_on(servers: MailServers) -> None:
    """Exit status 1; the reason is a sentence."""
    port = servers.polite()
    result = probe(f"[::1]:{port}")
    assert result.exit_code == 1
    assert "verdict  refused\n" in result.stdout
    assert f"reason   [::1]:{port} refuses connections\n" in result.stdout


def test_a_server_that_sends_control_characters_steers_no_terminal(servers: MailServers) -> None:
    """They are spelled out, in the transcript and in the reason."""
    result = probe(at(servers.greeting("554 go\x1b[2J away")), "--timeout", "5")
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert r"← 554 go\x1b[2J away" in result.stdout


def test_a_reply_of_very_many_lines_is_cut(servers: MailServers) -> None:
    """The reader is told how many are left out; JSON has them all."""
    port = servers.greeting("554-no\r\n" * 99 + "554 no")
    text = probe(f"127.0.0.1:{port}", "--timeout", "5").stdout
    assert text.count("                    no\n") == 39
    assert "(60 more lines)" in text
    assert len(probe_json(f"127.0.0.1:{port}", "--timeout", "5")["steps"][1]["reply"].splitlines()) == 100


def test_a_silent_server_is_not_waited_for_beyond_the_timeout(servers: MailServers) -> None:
    """The verdict says so."""
    found = probe_json(at(port_of(servers.silent())), "--timeout", "300ms")
    assert found["verdict"] == "timeout"
    assert "within 0.3 s" in found["reason"]


def test_a_name_that_does_not_resolve_is_verdict_unknown() -> None:
    """Exit status 1: it says nothing of any server. RFC 6761 6.4 keeps the name free."""
    result = probe("mx1.invalid")
    assert result.exit_code == 1
    assert "verdict  unknown" in result.stdout
    assert "reason   mx1.invalid does not resolve: " in result.stdout
    found = probe_json("mx1.invalid")
    assert (found["verdict"], found["up"], found["steps"], found["tls"]) == ("unknown", False, [], None)


def test_a_bare_word_that_does_not_resolve_may_be_a_member() -> None:
    """Who forgets the pool is told how a member is written."""
    assert "A member of a pool is written POOL/MEMBER." in probe("mx1-of-no-domain").stdout
    assert "POOL/MEMBER" not in probe("mx1.invalid").stdout


# TLS, accounts and recipients


def test_the_certificate_is_shown_with_the_tlsa_data_of_its_key(servers: MailServers, ca_file: Path) -> None:
    """And whether chain and name are right, though no policy asks."""
    port = servers.secure()
    text = probe(f"{HOST}:{port}", "-4", "--ca-file", ca_file).stdout
    assert "→ STARTTLS\n" in text
    assert re.search(r"^TLS      TLSv1\.3, TLS_", text, re.MULTILINE)
    assert re.search(r"^names    localhost$", text, re.MULTILINE)
    assert re.search(r"^valid    20\d\d-\d\d-\d\d to \d{4}-\d\d-\d\d \(\d+ days left\)$", text, re.MULTILINE)
    assert re.search(r"^TLSA     3 1 1 [0-9a-f]{64}$", text, re.MULTILINE)
    assert re.search(r"^trust    chain and name are right$", text, re.MULTILINE)
    assert text.endswith("verdict  ok\n")


def test_a_certificate_that_nobody_vouches_for_is_no_bad_verdict(servers: MailServers) -> None:
    """Most senders take it: it is said, and the exit status is 0."""
    result = probe(f"{HOST}:{servers.secure()}", "-4")
    assert result.exit_code == 0
    assert re.search(r"^trust    no: .*certificate", result.stdout, re.MULTILINE)


def test_it_is_one_where_the_policy_asks(servers: MailServers) -> None:
    """--verify name makes it one, and exit status 1."""
    result = probe(f"{HOST}:{servers.secure()}", "-4", "--verify", "name")
    assert result.exit_code == 1
    assert "verdict  tls_invalid\n" in result.stdout


def test_the_name_to_ask_for_can_be_another(servers: MailServers, ca_file: Path) -> None:
    """An address has none of its own: it is asked for with --host, and examined by it."""
    port = servers.secure()
    right = probe_json(at(port), "--host", HOST, "--ca-file", ca_file)
    assert right["tls"]["trusted"] is True
    wrong = probe_json(at(port), "--host", "mx9.example.org", "--ca-file", ca_file)
    assert (wrong["up"], wrong["tls"]["trusted"]) == (True, False)
    assert "mx9.example.org" in wrong["tls"]["problem"]


def test_an_address_without_a_name_has_nothing_to_examine_the_certificate_by(servers: MailServers) -> None:
    """The way to have it examined is told."""
    assert re.search(r"^trust    not examined: .*--host NAME", probe(at(servers.secure())).stdout, re.MULTILINE)


def test_a_server_without_tls_fails_where_it_is_required(servers: MailServers) -> None:
    """Opportunistic, which is the default, takes what there is."""
    assert probe_json(at(servers.polite()), "--starttls", "require")["verdict"] == "tls_broken"
    assert probe_json(at(servers.polite()), "--starttls", "opportunistic")["up"]


def test_a_recipient_is_tried_and_no_mail_is_sent(servers: MailServers) -> None:
    """The conversation ends with QUIT after the recipient."""
    found = probe_json(at(servers.polite()), "--rcpt-to", "postmaster@example.org")
    assert [step["sent"] for step in found["steps"]][-3:] == [
        "MAIL FROM:<>",
        "RCPT TO:<postmaster@example.org>",
        "QUIT",
    ]
    assert found["up"]


def test_a_domain_that_is_refused_is_a_verdict_of_its_own(servers: MailServers) -> None:
    """The connection is accepted and real mail would bounce; what to do next is told."""
    result = probe(at(servers.polite()), "--rcpt-to", "a@elsewhere.org", "--mail-from", "probe@example.org")
    assert result.exit_code == 1
    assert "→ MAIL FROM:<probe@example.org>\n" in result.stdout
    assert "verdict  rejects_domain\n" in result.stdout
    assert "\nnext     " in result.stdout


def test_a_capability_that_is_missing_is_named(servers: MailServers) -> None:
    """In whatever case it was typed."""
    found = probe_json(at(servers.polite()), "--capability", "8bitmime", "--capability", "chunking")
    assert found["verdict"] == "rejecting"
    assert "CHUNKING" in found["reason"]


@pytest.mark.parametrize(("password", "verdict"), [("secret", "ok"), ("wrong", "auth_failed")])
def test_an_account_is_tried_with_the_password_of_a_file(
    servers: MailServers, tmp_path: Path, password: str, verdict: str
) -> None:
    """The first line of the file, which is never shown."""
    (tmp_path / "password").write_text(f"{password}\nanother line\n")
    words = ["--auth-user", "probe", "--auth-password-file", tmp_path / "password"]
    result = probe(at(servers.secure()), *words)
    assert f"verdict  {verdict}\n" in result.stdout
    assert "AUTH" in result.stdout
    assert not {password, b64encode(f"\0probe\0{password}".encode()).decode()} & set(result.output.split())


@pytest.mark.parametrize("octets", [b"", b"\nsecret", b"\xff\n", b"a\0b"])
def test_a_file_without_a_password_is_a_usage_error(tmp_path: Path, octets: bytes) -> None:
    """Exit status 2; nobody is connected to."""
    (tmp_path / "password").write_bytes(octets)
    result = probe("192.0.2.1", "--auth-user", "probe", "--auth-password-file", tmp_path / "password")
    assert result.exit_code == 2
    assert "expected the password in its first line" in " ".join(result.stderr.split())


def test_a_password_is_asked_for_on_a_terminal(servers: MailServers) -> None:
    """It is not echoed, and a program that reads the output sees no question."""
    command, environment = _command(at(servers.secure()), "--auth-user", "probe", "--json")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        _read_until(ours, b"Password of probe: ")
        os.write(ours, b"secret\n")
        shown, _none = process.communicate()
    os.close(ours)
    assert json.loads(shown)["verdict"] == "ok"


# What is typed

WRONG = [
    (["127.0.0.1:0"], "'0' is no port: expected a number from 1 to 65535"),
    (["127.0.0.1:70000"], "'70000' is no port"),
    (["mx1.example.org:"], "'' is no port"),
    (["mx1.example.org:²"], "'²' is no port"),
    (["[127.0.0.1]:25"], "expected an IPv6 address in brackets"),
    (["[::1"], "expected an IPv6 address in brackets"),
    (["2001:db8::1::25"], "with a port write it as in [2001:db8::1]:25"),
    (["mx 1"], "expected a host name"),
    ([""], "expected a host name"),
    (["smtp://mx1.example.org"], "is a URL: write HOST or HOST:PORT alone"),
    (["inbound/"], "is not POOL/MEMBER"),
    (["mx1.example.org", "--kind", "pop3"], "'pop3' is not one of"),
    (["mx1.example.org", "--kind", "tcp"], "--kind tcp has no port of its own: write HOST:PORT"),
    (["mx1.example.org:25", "--kind", "tcp", "--rcpt-to", "a@b.org"], "--kind tcp only connects: --rcpt-to means"),
    (["mx1.example.org:465", "--starttls", "require"], "begins with TLS: leave --starttls out"),
    (["192.0.2.1", "-6"], "-6 does not go with 192.0.2.1"),
    (["192.0.2.1", "--source", "::1"], "--source ::1 does not go with 192.0.2.1"),
    (["mx1.example.org", "-6", "--source", "192.0.2.5"], "--source 192.0.2.5 does not go with -6"),
    (["192.0.2.1", "--verify", "name"], "--verify name needs the name that the certificate should have"),
    (["mx1.example.org", "--verify", "name", "--starttls", "off"], "without TLS there is no certificate"),
    (["mx1.example.org", "--auth-user", "probe", "--starttls", "off"], "a password is only sent over TLS"),
    (["mx1.example.org", "--auth-user", "probe"], "needs --auth-password-file where nobody can be asked"),
    (["mx1.example.org", "--auth-password-file", __file__], "--auth-password-file needs --auth-user"),
    (["mx1.example.org", "--mail-from", "a@b.org"], "add --rcpt-to"),
    (["mx1.example.org", "--rcpt-to", "postmaster"], "'postmaster': expected a mail address"),
    (["mx1.example.org", "--ehlo", "my host"], "'my host': expected a host name"),
    (["mx1.example.org", "--source", "eth0"], "'eth0': expected an IPv4 or IPv6 address"),
    (["mx1.example.org", "--source", "127.0.0.1", "--source", "127.0.0.2"], "at most one address for each"),
    (["mx1.example.org", "--timeout", "soon"], "'soon': expected a duration"),
    (["mx1.example.org", "--timeout", "0"], "expected a duration above 0"),
    (["mx1.example.org", "--ca-file", "/no/such/file"], "does not exist"),
    (["mx1.example.org", "--ca-file", __file__], "holds no certificate in PEM form"),
]


@pytest.mark.parametrize(("words", "told"), WRONG)
def test_what_cannot_be_meant_is_a_usage_error(words: list[str], told: str) -> None:
    """Exit status 2, with what was expected; nobody is connected to."""
    result = probe(*words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


# Members


SEEN = {
    "target": "inbound/mx1",
    "verdict": "storage",
    "up": False,
    "reason": "192.0.2.11:25 answers MAIL with 452 4.3.1 no room",
    "steps": [{"step": "connect", "ms": 1.0, "sent": "", "code": 0, "reply": "", "where": "192.0.2.11:25"}],
    "tls": {
        "version": "TLSv1.3",
        "cipher": "TLS_AES_256_GCM_SHA384",
        "trusted": False,
        "problem": "self-signed certificate",
        "subject": "CN=mx1.example.org",
        "issuer": "CN=mx1.example.org",
        "names": ["mx1.example.org"],
        "not_before": "2025-12-31T12:00:00Z",
        "not_after": "2026-03-03T00:00:00Z",
        "days_left": 60.5,
        "fingerprint": "ab" * 32,
        "key_hash": "cd" * 32,
    },
    "warnings": ["the certificate expires soon"],
    "next": "Make room on its disk.",
}


def test_a_member_is_probed_by_the_daemon(
    dnslb: "Dnslb", daemon: "FakeDaemon", monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the daemon has seen is shown like any other probe; exit status 1, as it is not up."""
    monkeypatch.delenv("SUDO_USER", raising=False)
    daemon.operator.seen = SEEN
    result = dnslb("probe", "inbound/mx1")
    assert daemon.operator.asked == [{"probe": "inbound/mx1", "who": pwd.getpwuid(os.getuid()).pw_name}]
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "192.0.2.11:25",
        "      1.0 ms  · connected",
        "",
        "TLS      TLSv1.3, TLS_AES_256_GCM_SHA384",
        "subject  CN=mx1.example.org",
        "issuer   CN=mx1.example.org",
        "names    mx1.example.org",
        "valid    2025-12-31 to 2026-03-03 (60 days left)",
        "TLSA     3 1 1 " + "cd" * 32,
        "trust    no: self-signed certificate",
        "",
        "verdict  storage",
        "reason   192.0.2.11:25 answers MAIL with 452 4.3.1 no room",
        "warning  the certificate expires soon",
        "next     Make room on its disk.",
    ]


@pytest.mark.parametrize("up", [True, False])
def test_json_of_a_member_is_what_the_daemon_says(dnslb: "Dnslb", daemon: "FakeDaemon", *, up: bool) -> None:
    """Unchanged; the exit status follows `up`."""
    daemon.operator.seen = SEEN | {"up": up}
    result = dnslb("probe", "inbound/mx1", "--json")
    assert json.loads(result.stdout) == SEEN | {"up": up}
    assert result.exit_code == (0 if up else 1)


def test_a_member_that_is_not_there_is_told_the_others(dnslb: "Dnslb") -> None:
    """As all commands do."""
    result = dnslb("probe", "inbound/mx9")
    assert result.exit_code == 1
    assert "did you mean" in result.stderr


@pytest.mark.parametrize(
    "words",
    [["--kind", "smtp"], ["-4"], ["--rcpt-to", "a@b.org"], ["--proxy"], ["--timeout", "5s"], ["--source", "::1"]],
)
def test_a_member_takes_none_of_the_options_for_hosts(dnslb: "Dnslb", daemon: "FakeDaemon", words: list[str]) -> None:
    """Its recipe stands in the configuration, and the command says so."""
    result = dnslb("probe", "inbound/mx1", *words)
    assert result.exit_code == 2
    assert f"{words[0]} is for a HOST: inbound/mx1 is probed as its [probe] in the configuration says" in result.stderr
    assert daemon.operator.asked == []


# Terminals


def _command(*words: object, **more: str) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, "-m", "dnslb", "probe", *map(str, words)], os.environ | more


def _read_until(terminal: int, words: bytes) -> bytes:
    """Return what a terminal shows up to these words."""
    told = b""
    while words not in told:
        assert select.select([terminal], [], [], 30)[0]
        told += os.read(terminal, 1000)
    return told


def test_a_terminal_without_unicode_gets_arrows_of_letters(servers: MailServers) -> None:
    """As in the rest of dnslb."""
    command, environment = _command(at(servers.polite()), PYTHONIOENCODING="ascii")
    shown = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    assert "-> QUIT\n" in shown
    assert "<- 221 Bye\n" in shown
    assert "-- connected\n" in shown


def test_json_is_json_without_unicode_too(servers: MailServers) -> None:
    """What the encoding does not have is escaped as JSON has it."""
    command, environment = _command(at(servers.greeting("554 déjà vu")), "--json", PYTHONIOENCODING="ascii")
    shown = subprocess.run(command, check=False, capture_output=True, text=True, env=environment).stdout
    assert json.loads(shown)["steps"][1]["reply"] == "déjà vu"


def test_a_terminal_sees_that_something_is_waited_for(servers: MailServers) -> None:
    """The line goes to standard error, says for whom and how long, and is gone when the verdict comes."""
    port = port_of(servers.silent())
    command, environment = _command(f"127.0.0.1:{port}", "--timeout", "1.5")
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, text=True) as process:
        os.close(theirs)
        told = _read_until(ours, b": 1 s")
        shown, _none = process.communicate()
    os.close(ours)
    assert f"waiting for 127.0.0.1:{port} (at most 1.5 s for each address): 1 s".encode() in told
    assert "waiting" not in shown
    assert "verdict  timeout" in shown


def test_ctrl_c_ends_it_quietly(servers: MailServers) -> None:
    """Exit status 130, and not a word."""
    listener = servers.silent()
    command, environment = _command(at(port_of(listener)), "--timeout", "60")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    with process, listener.accept()[0]:
        process.send_signal(signal.SIGINT)
        assert process.communicate() == (b"", b"")
    assert process.returncode == 130


def test_a_question_to_the_daemon_waits_for_no_library(daemon: "FakeDaemon") -> None:
    """Only a HOST needs asyncio and TLS here."""
    daemon.operator.seen = SEEN
    code = (
        "import sys; from dnslb.cli.main import cli; cli(standalone_mode=False); print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "probe", "inbound/mx1", "--control", str(daemon.path)]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stderr.split()
    assert not {"asyncio", "pydantic", "aiosmtplib", "cryptography", "ssl"} & set(loaded)
