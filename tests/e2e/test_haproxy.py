"""HAProxy's SMTP check and dnslb's probe beside each other, on the same servers with the same faults.

The README's table is what this test observes. Where they differ, the failed assertion shows the table to put there.
"""

from __future__ import annotations

import asyncio
import csv
import re
import socket
import socketserver
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dnslb.pool.health import State
from dnslb.probe.recipe import StartTls, Verify
from dnslb.probe.smtp import probe
from tests.e2e import mailservers
from tests.e2e.mailservers import SENTINEL, Listener
from tests.e2e.processes import Stage, free_port, listens, program, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dnslb.pool.health import Effect

README = Path(__file__).parents[2] / "README.md"
HAPROXY = """
global
  stats socket {socket}
defaults
  mode tcp
  timeout connect 5s
  timeout client 5s
  timeout server 5s
  option smtpchk EHLO probe.test
{backends}
"""
BACKEND = "backend mail{patience}\n  timeout check {patience}s\n{servers}"
SERVER = "  server {name} 127.0.0.1:{port} check inter 500ms fall 1 rise 1"


@dataclass(frozen=True)
class Fault:
    """A row of the table: the fault in words, a server that has it, and what the probe's recipe has besides.

    `patience` is how many seconds a check and a probe may take: long where the server answers, so that a machine that
    has much to do changes nothing.
    """

    words: str
    listener: Listener
    recipe: dict[str, Any] = field(default_factory=dict)
    patience: int = 20


class Script(socketserver.ThreadingTCPServer):
    """A server of few words, for what real ones do not do on demand: it greets, and answers one command."""

    daemon_threads = True

    def __init__(self, greeting: bytes, answer: bytes = b"") -> None:
        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(greeting)
                self.rfile.readline()
                self.wfile.write(answer)

        super().__init__(("127.0.0.1", 0), Session)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def listener(self) -> Listener:
        """Return its port, as that of a server without a log."""
        return nameless(self.server_address[1])


def nameless(port: int) -> Listener:
    """Return a listener whose log nobody reads."""
    return Listener(port, Path("/dev/null"), "", ())


@pytest.fixture
def faults(stage: Stage) -> Iterator[dict[str, Fault]]:
    """Start a server for each fault, with somebody else's connection to those that are to be full."""
    known = mailservers.certificates(stage.directory("tls"))
    postfix, exim = mailservers.Postfix(stage, mailservers.postfix_faults(known)), mailservers.Exim(stage, known)
    busy = mailservers.Exim(stage, known, "busy", "smtp_accept_max = 1")
    with ExitStack() as scripts:
        hung = scripts.enter_context(Script(b""))
        shut = scripts.enter_context(Script(b"554 mx.test no SMTP service here\r\n", b"221 bye\r\n"))
        shell = scripts.enter_context(Script(b"SSH-2.0-OpenSSH_9.2p1\r\n"))
        scripts.enter_context(busy["plain"].held())
        scripts.enter_context(postfix["limited"].held())
        yield {
            "good": Fault("none", postfix["tls"]),
            "postscreen": Fault("none; postscreen greets new clients with `220-` and a pause", postfix["screened"]),
            "killed": Fault("killed", nameless(free_port())),
            "hung": Fault("hung: accepts connections, never greets", hung.listener, patience=1),
            "web": Fault("a web server has the port, and waits to be asked", _web(stage), patience=1),
            "shell": Fault("an SSH server has the port", shell.listener),
            "busy": Fault("overload: Exim greets with 421", busy["plain"]),
            "leaving": Fault("shutting down, says the greeting 421", exim["leaving"]),
            "limited": Fault("none; the checker has too many connections: 421 from Postfix", postfix["limited"]),
            "shut": Fault("greets with 554", shut.listener),
            "denied": Fault("none; Postfix denies the checker's address: 554", postfix["shut"]),
            "full": Fault("disk full: 452 to MAIL", postfix["full"]),
            "refusing": Fault("does not take mail for the domain: 550 to RCPT", exim["denying"]),
            "greylisting": Fault("none; greylists the sentinel: 450 to RCPT", postfix["greylisting"]),
            "broken_key": Fault("its key does not fit its certificate: 454 to STARTTLS", postfix["broken_key"]),
            "required": Fault(
                'the same, with `starttls = "require"`', postfix["broken_key"], {"starttls": StartTls.REQUIRE}
            ),
            "expired": Fault("certificate expired", postfix["expired"]),
            "verified": Fault(
                'the same, with `verify = "name"`', postfix["expired"], {"verify": Verify.NAME, "ca_file": known.ca}
            ),
        }


def _web(stage: Stage) -> Listener:
    port = free_port()
    stage.start("web", [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)])
    until(lambda: listens("127.0.0.1", port), "the web server listens")
    return nameless(port)


def haproxy_says(stage: Stage, faults: Mapping[str, Fault]) -> dict[str, str]:
    """Let a HAProxy check all the servers; returns how it counts each, and why."""
    directory = stage.directory("haproxy")
    conf, stats = directory / "conf", directory / "stats"
    backends = "\n".join(_backend(faults, patience) for patience in {fault.patience for fault in faults.values()})
    conf.write_text(HAPROXY.format(socket=stats, backends=backends))
    process = stage.start("haproxy", [program("haproxy"), "-db", "-f", str(conf)])
    until(stats.exists, "HAProxy has started")
    rows = until(lambda: _all_checked(_show_stat(stats)), "HAProxy has checked every server")
    process.end()
    return {row["svname"]: _in_short(row) for row in rows}


def _backend(faults: Mapping[str, Fault], patience: int) -> str:
    """Write the settings for the servers that are given so much time."""
    ports = {name: fault.listener.port for name, fault in faults.items() if fault.patience == patience}
    servers = "\n".join(SERVER.format(name=name, port=port) for name, port in ports.items())
    return BACKEND.format(patience=patience, servers=servers)


def _show_stat(stats: Path) -> list[dict[str, str]]:
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(str(stats))
        asked.sendall(b"show stat\n")
        text = asked.makefile().read()
    rows = csv.DictReader(text.removeprefix("# ").splitlines())
    return [row for row in rows if row["svname"] != "BACKEND"]


def _all_checked(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows if each tells a finished check's result; an asterisk is before it while the next one goes on."""
    return rows if all(row["check_status"].removeprefix("* ") != "INI" for row in rows) else []


def _in_short(row: Mapping[str, str]) -> str:
    """Return the server's state, and HAProxy's word for why (with the reply's code where that was it)."""
    state, why = row["status"].split()[0].lower(), row["check_status"].removeprefix("* ")
    return f"{state} ({why} {row['check_code']})" if why == "L7STS" else f"{state} ({why})"


async def dnslb_says(faults: Mapping[str, Fault]) -> dict[str, str]:
    """Probe all the servers to the depth that their recipes have; returns what each verdict is and does."""
    return dict(zip(faults, await asyncio.gather(*map(_probed, faults.values())), strict=True))


async def _probed(fault: Fault) -> str:
    plain = {"rcpt_to": SENTINEL, "starttls": StartTls.OPPORTUNISTIC, "timeout": float(fault.patience)}
    target = fault.listener.target(**{**plain, **fault.recipe})
    result = (await probe(target, frozenset(target.recipe.intervals))).result
    return f"`{result.verdict}`: {_in_words(result.effect)}"


def _in_words(effect: Effect) -> str:
    words = {
        None: "stays as it is",
        State.UP: "up",
        State.DEGRADED: f"keeps {effect.percent} % of its weight",
        State.BUSY: f"keeps {effect.percent} % of its weight",
        State.DRAINING: "drains",
        State.DOWN: "out",
    }
    return words[effect.state] + (", and a person is told" if effect.alert else "")


async def test_the_table_in_the_readme(stage: Stage, faults: dict[str, Fault]) -> None:
    """What the README says that HAProxy and dnslb say of each fault is what they say."""
    haproxy = haproxy_says(stage, faults)
    dnslb = await dnslb_says(faults)
    rows = [f"| {fault.words} | {haproxy[name]} | {dnslb[name]} |" for name, fault in faults.items()]
    section = README.read_text(encoding="utf-8").partition("\n## What a probe sees that a port check does not\n")[2]
    shown = re.findall(r"^\|.*\|$", section.partition("\n## ")[0], re.MULTILINE)[2:]
    assert shown == rows, "the table should be\n" + "\n".join(rows)
