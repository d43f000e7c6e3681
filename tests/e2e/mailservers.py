"""Mail servers that are probed: Postfix, Exim, OpenSMTPD and Dovecot, each with what can be wrong with one.

A server has many listeners, each on a port of 127.0.0.1 and with a fault of its own, and one log that tells them apart.
"""

from __future__ import annotations

import datetime as dt
import shutil
import signal
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import trustme

from dnslb.probe.recipe import Kind, Recipe, Target
from dnslb.probe.smtp import probe
from tests.e2e.processes import PEERS, Stage, free_port, in_place, listens, unpacked, until
from tests.e2e.senders import POSTFIX_MAIN, POSTFIX_MASTER, lines_with, make_queue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from dnslb.probe.memory import Memory
    from dnslb.probe.transcript import Report

HOST = "mx.test"
"""The name of every server here, for which its certificate should be."""
SENTINEL = "probe@mail.test"
"""The recipient whom every server takes mail for, unless that is its fault."""
PASSWORD = "sesame"  # noqa: S105 - the test's own server knows it too
ABSURD = "4611686018427387904"
"""More octets than any disk of the tests has free."""


@dataclass(frozen=True)
class Certificates:
    """Pairs of a file with a certificate and its chain and one with its key; `ca` is the authority to trust."""

    ca: Path
    good: tuple[Path, Path]
    expired: tuple[Path, Path]
    wrong_name: tuple[Path, Path]
    unknown_ca: tuple[Path, Path]


def certificates(directory: Path) -> Certificates:
    """Write certificates good and bad into a directory."""
    authority, yesterday = trustme.CA(), dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    authority.cert_pem.write_to_path(directory / "ca.pem")
    month = dt.timedelta(days=30)
    issued = {
        "good": authority.issue_cert(HOST),
        "expired": authority.issue_cert(HOST, not_before=yesterday - month, not_after=yesterday),
        "wrong_name": authority.issue_cert("other.test"),
        "unknown_ca": trustme.CA().issue_cert(HOST),
    }
    files = {
        name: _written(leaf, directory / f"{name}.pem", directory / f"{name}.key") for name, leaf in issued.items()
    }
    return Certificates(directory / "ca.pem", **files)


def _written(leaf: trustme.LeafCert, chain: Path, key: Path) -> tuple[Path, Path]:
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    leaf.private_key_pem.write_to_path(key)
    key.chmod(0o644)  # Exim reads it when it has given up root's rights
    return chain, key


@dataclass(frozen=True)
class Listener:
    """One port of a server.

    `mark` is in every line of the log that speaks of it, one of `farewells` (lower case) in the last one of a session.
    """

    port: int
    log: Path
    mark: str
    farewells: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return what the server has logged of this listener."""
        return lines_with(self.log, self.mark)

    def sessions(self) -> int:
        """Return how many sessions have ended."""
        return sum(any(word in line.lower() for word in self.farewells) for line in self.lines())

    def target(self, **settings: Any) -> Target:  # noqa: ANN401 - any field of a recipe
        """Return what a probe of this listener alone has to know; `settings` are fields of its recipe."""
        plain = {"kind": Kind.SMTP, "interval": 10.0, "timeout": 20.0, "rise": 2, "fall": 3, "ehlo": "probe.test"}
        recipe = Recipe(name="deep", port=self.port, **{**plain, **settings})
        return Target("mail", "mx", (ip_address("127.0.0.1"),), self.port, recipe, HOST)

    async def probed(
        self,
        memory: Memory | None = None,
        **settings: Any,  # noqa: ANN401 - any field of a recipe
    ) -> tuple[Report, list[str]]:
        """Probe it in full; returns the report, and what the server has logged of that."""
        before, ended = len(self.lines()), self.sessions()
        target = self.target(**settings)
        report = await probe(target, frozenset(target.recipe.intervals), memory)
        visits = sum(exchange.step == "connect" for exchange in report.exchanges)
        until(lambda: self.sessions() >= ended + visits, f"{self.mark} has logged the end of each session")
        return report, self.lines()[before:]

    @contextmanager
    def held(self, count: int = 1) -> Iterator[None]:
        """Keep sessions of somebody else open meanwhile."""
        with ExitStack() as others:
            for _ in range(count):
                other = others.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=20))
                other.recv(1)
            yield
            ended = self.sessions()
        until(lambda: self.sessions() >= ended + count, f"{self.mark} has logged that the others are gone")


_RUDE = (
    *("lost connection", "PREGREET", "pipelining", "HANGUP", "timeout after", "SSL_accept error", "too many errors"),
    *("lost (error", "unexpected disconnection", "synchronization error", "syntax or protocol", "failed-command"),
    *("reason=disconnect", "reason=io-error", "Connection lost", "Connection closed", "non-SMTP command"),
    "closed by EOF",
)
"""What mail servers log of guests without manners."""


def rude_in(log: str) -> list[str]:
    """Return the lines of a log that complain of a guest."""
    return [line for line in log.splitlines() if any(word in line for word in _RUDE)]


# --- Postfix -------------------------------------------------------------------------------------------------------

_POSTFIX_TOO = """
tlsmgr    unix - - n 1000? 1 tlsmgr
tlsproxy  unix - - n - 0 tlsproxy
dnsblog   unix - - n - 0 dnsblog
"""
_RECEIVING = {
    "myhostname": HOST,
    "mynetworks": "192.0.2.0/24",
    "relay_recipient_maps": f"inline:{{ {SENTINEL}=x }}",
    "smtpd_relay_restrictions": "reject_unauth_destination",
    "smtpd_delay_reject": "no",
}
_SCREEN = {"postscreen_greet_wait": "1s", "postscreen_access_list": "", "postscreen_greet_ttl": "1s"}


def _tls(pair: tuple[Path, Path], level: str = "may") -> dict[str, str]:
    return {
        "smtpd_tls_security_level": level,
        "smtpd_tls_cert_file": str(pair[0]),
        "smtpd_tls_key_file": str(pair[1]),
    }


def postfix_faults(known: Certificates) -> dict[str, dict[str, str]]:
    """Return the settings of each listener of `Postfix`, by the name of its fault or feature."""
    return {
        "plain": {},
        "limited": {"smtpd_client_connection_count_limit": "1"},
        "full": {"queue_minfree": ABSURD},
        "soft": {"soft_bounce": "yes", "relay_recipient_maps": "inline:{ other@mail.test=x }"},
        "unknown_user": {"relay_recipient_maps": "inline:{ other@mail.test=x }"},
        "greylisting": {"smtpd_recipient_restrictions": "check_recipient_access static:{450 4.7.1 Greylisted}"},
        "leaving": {"smtpd_client_restrictions": "check_client_access static:{421 4.3.2 draining}"},
        "shut": {"smtpd_client_restrictions": "reject"},
        "tls": _tls(known.good),
        "expired": _tls(known.expired),
        "wrong_name": _tls(known.wrong_name),
        "unknown_ca": _tls(known.unknown_ca),
        "broken_key": _tls((known.good[0], known.expired[1])),
        "smtps": {**_tls(known.good), "smtpd_tls_wrappermode": "yes"},
        "proxied": {"smtpd_upstream_proxy_protocol": "haproxy", "smtpd_upstream_proxy_timeout": "1s"},
        "screened": {**_SCREEN},
        "screened_friend": {**_SCREEN, "postscreen_greet_wait": "30s", "postscreen_access_list": "static:permit"},
        "screened_foe": {
            **_SCREEN,
            "postscreen_access_list": "static:reject",
            "postscreen_denylist_action": "enforce",
        },
        "screened_dropped": {
            **_SCREEN,
            "postscreen_access_list": "static:reject",
            "postscreen_denylist_action": "drop",
        },
        "screened_deep": {**_SCREEN, "postscreen_pipelining_enable": "yes"},
        "screened_busy": {**_SCREEN, "postscreen_greet_wait": "30s", "postscreen_pre_queue_limit": "10"},
    }


def logins(known: Certificates, dovecot: Dovecot) -> dict[str, str]:
    """Return the settings of a Postfix listener for those who log in; Dovecot knows their passwords."""
    asking = {"smtpd_sasl_type": "dovecot", "smtpd_sasl_path": f"inet:127.0.0.1:{dovecot.sasl}"}
    return {**_tls(known.good), **asking, "smtpd_sasl_auth_enable": "yes", "smtpd_tls_auth_only": "yes"}


class Postfix:
    """A Postfix that receives, with a listener for each name in `faults` (see `postfix_faults` for what is in them).

    Each has a free port of 127.0.0.1, but for those that have their address and port in `places`.
    """

    def __init__(
        self,
        stage: Stage,
        faults: Mapping[str, dict[str, str]],
        places: Mapping[str, tuple[str, int]] | None = None,
    ) -> None:
        self.directory, libraries = stage.directory("postfix"), str(PEERS / "usr/lib/postfix")
        self.log = self.directory / "log"
        self._faults = dict(faults)
        self._places = dict(places or {name: ("127.0.0.1", free_port()) for name in faults})
        (self.directory / "main.cf").write_text(
            POSTFIX_MAIN.format(directory=self.directory, peers=PEERS, log=self.log, libraries=libraries)
            + "relay_domains = mail.test\nrelay_transport = discard\n"
        )
        self._write_services()
        make_queue(self.directory)
        command = [unpacked("usr/lib/postfix/sbin/master"), "-d", "-c", str(self.directory)]
        self._process = stage.start("postfix", command, {"LD_LIBRARY_PATH": libraries})
        # a connection to see that it listens would be a rude guest's in its log
        until(lambda: lines_with(self.log, "daemon started"), "Postfix has started")

    def __getitem__(self, name: str) -> Listener:
        return Listener(self._places[name][1], self.log, f" {name}/", ("disconnect",))

    def become(self, name: str, settings: dict[str, str]) -> None:
        """Give a listener other faults, as an operator does who edits master.cf and reloads."""
        self._faults[name] = settings
        self._write_services()
        self._process.signal(signal.SIGHUP)

    def _write_services(self) -> None:
        """Write master.cf; our own services are in front of those that every Postfix has."""
        own = [self._service(name, settings) for name, settings in self._faults.items()]
        (self.directory / "master.cf").write_text("".join(own) + POSTFIX_MASTER.partition("smtpd\n")[2] + _POSTFIX_TOO)

    def _service(self, name: str, settings: dict[str, str]) -> str:
        options = "".join(f" -o {{ {key} = {value} }}" for key, value in {**_RECEIVING, **settings}.items())
        options += f" -o syslog_name={name}"
        place = ":".join(map(str, self._places[name]))
        if "postscreen_greet_wait" not in settings:
            return f"{place} inet n - n - - smtpd{options}\n"
        screen = f" -o smtpd_service_name={name} -o postscreen_cache_map=btree:{self.directory}/data/{name}"
        return f"{place} inet n - n - 1 postscreen{options}{screen}\n{name} pass - - n - - smtpd{options}\n"


class PostfixMembers:
    """Pool members mx1 to mx4 on 127.0.0.11 to 127.0.0.14, all of one Postfix, that can be given faults."""

    def __init__(self, stage: Stage) -> None:
        self.addresses = {f"mx{n}": f"127.0.0.{10 + n}" for n in range(1, 5)}
        self.port = free_port(*self.addresses.values())
        places = {name: (address, self.port) for name, address in self.addresses.items()}
        self._postfix = Postfix(stage, {name: {} for name in places}, places)

    def become(self, name: str, settings: dict[str, str]) -> None:
        """Give a member other faults; {} for none."""
        self._postfix.become(name, settings)

    def lines(self, name: str, text: str) -> list[str]:
        """Return what the member has logged that holds the text."""
        return [line for line in self._postfix[name].lines() if text in line]

    def complaints(self) -> list[str]:
        """Return what its log says of guests without manners."""
        return rude_in(self._postfix.log.read_text())


# --- Exim ----------------------------------------------------------------------------------------------------------

_EXIM = """
spool_directory = {directory}
log_file_path = {directory}/%slog
pid_file_path = {directory}/pid
log_selector = +smtp_connection +smtp_no_mail +smtp_syntax_error +smtp_protocol_error +incoming_interface
exim_user = mail
exim_group = mail
never_users =
primary_hostname = mx.test
domainlist ours = mail.test
local_interfaces = 127.0.0.1
disable_ipv6
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
acl_smtp_connect = connected
acl_smtp_rcpt = asked
{more}
daemon_smtp_ports = {ports}
begin acl
connected:
  defer condition = ${{if eq{{$received_port}}{{{leaving}}}}}
        message = 421 4.3.2 Service not available, shutting down
  accept
asked:
  defer condition = ${{if eq{{$received_port}}{{{deferring}}}}}
        message = 4.7.1 greylisted, please try again later
  deny condition = ${{if eq{{$received_port}}{{{denying}}}}}
       message = relay not permitted
  accept domains = +ours
  deny message = relay not permitted
begin routers
all:
  driver = redirect
  data = :blackhole:
"""
_EXIM_FAREWELLS = ("closed by", "refused", "lost", "rejected connection", "tls error")


class Exim:
    """An Exim that has a listener for each of a few faults; `more` are settings of the whole server."""

    def __init__(self, stage: Stage, known: Certificates, name: str = "exim", more: str = "") -> None:
        self.directory = stage.directory(name)
        shutil.chown(self.directory, "mail", "mail")
        log, conf = self.directory / "mainlog", self.directory / "conf"
        faults = ("plain", "leaving", "deferring", "denying", "tls", "expired", "broken_key")
        ports = {fault: free_port() for fault in faults}
        self.listeners = {fault: Listener(port, log, f"]:{port}", _EXIM_FAREWELLS) for fault, port in ports.items()}
        pairs = {"tls": known.good, "expired": known.expired, "broken_key": (known.good[0], known.expired[1])}
        more += "".join(self._tls({self[fault].port: pair for fault, pair in pairs.items()}))
        every = ":".join(map(str, ports.values()))
        conf.write_text(_EXIM.format(directory=self.directory, more=more, ports=every, **ports))
        command = [unpacked("usr/sbin/exim4"), "-C", str(conf), "-bdf"]
        stage.start(name, in_place(self.directory, ["Debian-exim"], [], command))
        until(lambda: lines_with(log, "daemon started"), "Exim has started")

    def __getitem__(self, fault: str) -> Listener:
        return self.listeners[fault]

    def _tls(self, pairs: Mapping[int, tuple[Path, Path]]) -> Iterator[str]:
        """Write the settings that give some ports a certificate and its key, and no TLS to the others."""
        for name, values in (
            ("tls_advertise_hosts", ["*"] * len(pairs)),
            ("tls_certificate", [pair[0] for pair in pairs.values()]),
            ("tls_privatekey", [pair[1] for pair in pairs.values()]),
        ):
            words = " ".join(f"at{port}={value}" for port, value in zip(pairs, values, strict=True))
            yield f"\n{name} = ${{extract{{at$received_port}}{{{words}}}{{$value}}{{}}}}"


# --- OpenSMTPD -----------------------------------------------------------------------------------------------------

_OPENSMTPD = """
listen on 127.0.0.1 port {port} hostname mx.test
action "relay" relay
match from any for domain "mail.test" rcpt-to {{ "probe@mail.test" }} action "relay"
"""


def opensmtpd(stage: Stage) -> Listener:
    """Start an OpenSMTPD that takes mail for the sentinel alone.

    It has no TLS, because that of Debian 12 has none that works (OpenSMTPD issue 1171).
    """
    directory, port = stage.directory("opensmtpd"), free_port()
    (spool := directory / "var/spool/smtpd").mkdir(parents=True)
    spool.chmod(0o711)
    (directory / "var/lib/opensmtpd/empty").mkdir(parents=True)
    (conf := directory / "conf").write_text(_OPENSMTPD.format(port=port))
    unpacked("usr/sbin/smtpd")
    command, own = ["/usr/sbin/smtpd", "-d", "-f", str(conf)], ["/var/spool", "/var/lib", "/run"]
    stage.start("opensmtpd", in_place(directory, ["opensmtpd", "opensmtpq"], own, command))
    listener = Listener(port, stage.path / "opensmtpd.log", " smtp ", ("disconnected",))
    until(lambda: listens("127.0.0.1", port), "OpenSMTPD listens")
    until(lambda: listener.sessions() > 0, "OpenSMTPD has logged that it was looked at")
    return listener


# --- Dovecot -------------------------------------------------------------------------------------------------------

_DOVECOT = """
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
protocols = lmtp
hostname = mx.test
auth_mechanisms = plain login
ssl_cert = <{known.good[0]}
ssl_key = <{known.good[1]}
mail_uid = mail
mail_gid = mail
mail_location = maildir:{directory}/mail
passdb {{
  driver = passwd-file
  args = {directory}/users
}}
userdb {{
  driver = passwd-file
  args = {directory}/users
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {sasl}
  }}
}}
"""


class Dovecot:
    """A Dovecot that takes mail for the sentinel by LMTP, and knows its password (`sasl` is the port to ask)."""

    def __init__(self, stage: Stage, known: Certificates) -> None:
        directory, ports = stage.directory("dovecot"), {name: free_port() for name in ("lmtp", "sasl")}
        conf, log, self.sasl = directory / "conf", directory / "log", ports["sasl"]
        conf.write_text(_DOVECOT.format(directory=directory, known=known, **ports))
        (directory / "users").write_text(f"{SENTINEL}:{{PLAIN}}{PASSWORD}::::\n")
        unpacked("usr/sbin/dovecot")
        unpacked("usr/lib/dovecot/lmtp")
        command = in_place(directory, ["dovecot", "dovenull"], [], ["/usr/sbin/dovecot", "-F", "-c", str(conf)])
        stage.start("dovecot", command)
        self.lmtp = Listener(ports["lmtp"], log, "lmtp(", ("disconnect",))
        until(lambda: lines_with(log, "starting up"), "Dovecot has started")
