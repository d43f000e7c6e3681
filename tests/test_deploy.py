"""The snippets in deploy/ are fit to be copied: what can be said of them without a mail server at hand."""

import asyncio
import mailbox
import os
import re
import subprocess
import sys
from configparser import ConfigParser
from email import message_from_bytes, policy
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP

from dnslb.probe.advice import ADVICE, HINTS
from tests.notify.receiver import a_message, an_event

DEPLOY = Path(__file__).parents[1] / "deploy"
README = DEPLOY / "README.md"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and path != README)
SNIPPETS = [path for path in FILES if path.parent.name in {"exim", "fail2ban", "opensmtpd", "postfix"}]
PROBES = {ip_address("192.0.2.5"), ip_address("2001:db8::5")}
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
ADDRESS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?![\w:])")


def relative(path: Path) -> str:
    """Name a snippet as the README does."""
    return path.relative_to(DEPLOY).as_posix()


def addresses(path: Path) -> set[object]:
    """Return the IP addresses that a file names, in patterns too."""
    text = path.read_text().replace("[.]", ".")
    return {ip_address(found) for found in ADDRESS.findall(text)}


@pytest.mark.parametrize("path", SNIPPETS, ids=relative)
def test_a_snippet_is_about_the_probes_alone(path: Path) -> None:
    """Each names both of the probe's addresses, those of the documentation, and no others but loopback."""
    named = addresses(path)
    assert named >= PROBES
    assert not [address for address in named - PROBES if not any(address in network for network in LOOPBACK)]


@pytest.mark.parametrize("path", SNIPPETS, ids=relative)
def test_a_snippet_says_what_it_is_for(path: Path) -> None:
    """A person who finds it on a server in two years can tell where it came from."""
    assert path.read_text().startswith("# ")
    assert "dnslb" in path.read_text()


def test_the_readme_lists_every_file() -> None:
    """What is there can be found, and what is promised is there."""
    linked = set(re.findall(r"\]\(([^.][^)]*)\)", README.read_text()))
    assert linked == {relative(path) for path in FILES}


def test_advice_points_at_what_is_there() -> None:
    """`dnslb probe` sends nobody to a directory that does not exist."""
    named = set(re.findall(r"deploy/[a-z0-9_/]*", " ".join([*ADVICE.values(), *(hint.sentence for hint in HINTS)])))
    assert {"deploy/", "deploy/postfix/", "deploy/fail2ban/"} <= named
    assert all((DEPLOY.parent / name).is_dir() for name in named)


def test_fail2ban_reads_its_file() -> None:
    """It is an INI file with fail2ban's one key, and loopback stays ignored."""
    parser = ConfigParser(interpolation=None)
    parser.read(DEPLOY / "fail2ban" / "dnslb.local")
    assert parser["DEFAULT"]["ignoreip"].split() == ["127.0.0.1/8", "::1", *map(str, sorted(PROBES, key=str))]


LOGGED = [
    ("connect from probe.lb.example.org[192.0.2.5]", True),
    ("disconnect from unknown[2001:db8::5] ehlo=1 quit=1 commands=2", True),
    ("DA706224301: client=probe.lb.example.org[192.0.2.5]", True),
    ("4bDk2X1Yz9z1: client=unknown[2001:db8::5]", True),
    ("DA706224301: client=other.example[192.0.2.55]", False),
    ("CONNECT from [192.0.2.5]:40001 to [192.0.2.11]:25", True),
    ("WHITELISTED [192.0.2.5]:40001", True),
    ("connect from other.example[192.0.2.55]", False),
    ("lost connection after EHLO from probe.lb.example.org[192.0.2.5]", False),
    ("NOQUEUE: reject: RCPT from probe.lb.example.org[192.0.2.5]: 554 5.7.1 Relay access denied", False),
]


@pytest.mark.parametrize(("line", "dropped"), LOGGED)
def test_the_journal_drops_healthy_probes_only(line: str, dropped: bool) -> None:  # noqa: FBT001 - a case
    """The patterns fit what Postfix logs of a healthy probe, and nothing that a person has to see."""
    text = (DEPLOY / "postfix" / "journald.conf").read_text()
    patterns = re.findall(r"^LogFilterPatterns=~(.*)$", text, re.MULTILINE)
    assert len(patterns) == 2
    assert any(re.search(pattern, line) for pattern in patterns) is dropped


@pytest.mark.parametrize(("line", "dropped"), LOGGED)
def test_rsyslog_drops_the_same(line: str, dropped: bool) -> None:  # noqa: FBT001 - a case
    """Both logs lose the same lines. rsyslog keeps the space between tag and message."""
    text = (DEPLOY / "postfix" / "rsyslog.conf").read_text()
    held = [word in line for word in re.findall(r'\$msg contains "([^"]+)"', text)]
    begun = [f" {line}".startswith(word) for word in re.findall(r'\$msg startswith "([^"]+)"', text)]
    *ours, client = held
    assert len(ours) == len(PROBES)
    assert (any(ours) and any([*begun, client])) is dropped


def mailed(server: str) -> "subprocess.CompletedProcess[bytes]":
    """Run the command that mails what has happened, with two events."""
    message = a_message(an_event(1, text="mx1 is down: Zürich"), an_event(2))
    words = [str(DEPLOY / "notify" / "mail.py"), server, "dnslb@example.org", "ann@example.org", "bob@example.org"]
    return subprocess.run([sys.executable, *words], input=message.body(), capture_output=True, check=False)


async def test_what_has_happened_can_be_mailed(tmp_path: Path) -> None:
    """To all who are named, with the beginning of it in the subject."""
    received = Mailbox(tmp_path / "mail")
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(received), "127.0.0.1", 0)
    async with server:
        done = await asyncio.to_thread(mailed, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert (done.returncode, done.stderr) == (0, b"")
    (mail,) = mailbox.Maildir(tmp_path / "mail")
    assert mail["X-RcptTo"] == "ann@example.org, bob@example.org"
    parsed = message_from_bytes(mail.as_bytes(), policy=policy.default)
    assert parsed["Subject"] == "ns1: inbound/mx1: mx1 is down: Zürich (and 1 more)"
    assert parsed.get_content() == "ns1: inbound/mx1: mx1 is down: Zürich\nns1: inbound/mx1: text 2\n"


def test_mail_that_cannot_be_sent_now_is_tried_again() -> None:
    """The exit status says so, and standard error why."""
    done = mailed("127.0.0.1:1")
    assert (done.returncode, done.stderr) == (os.EX_TEMPFAIL, b"[Errno 111] Connection refused\n")
