"""Mail servers that send: Postfix and Exim, each run from where its package is unpacked.

Both take messages by SMTP on 127.0.0.1. What is for @relayed.test goes to the relay host name relay.lb.test, what is
for @mail.lb.test to the MX of that name, both on the members' port. Both try again every two seconds.
"""

from __future__ import annotations

import shutil
import smtplib
from email.message import EmailMessage
from typing import TYPE_CHECKING, Protocol

from tests.e2e.processes import PEERS, Stage, accounts, free_port, listens, unpacked, until, with_etc

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.e2e.resolvers import Resolver

POSTFIX_MAIN = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
command_directory = {peers}/usr/sbin
daemon_directory = {peers}/usr/lib/postfix/sbin
meta_directory = {directory}
shlib_directory = {libraries}
import_environment = MAIL_CONFIG LD_LIBRARY_PATH={libraries}
maillog_file_prefixes = {directory}
maillog_file = {log}
# users that exist everywhere and that nothing else needs here
mail_owner = news
setgid_group = operator
default_privs = nobody
myhostname = sender.test
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_tls_security_level = none
smtp_connection_cache_on_demand = no
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 2s
"""
SENDING = """
smtp_tcp_port = {port}
transport_maps = inline:{{ relayed.test=smtp:[relay.lb.test]:{port} }}
"""
TAKING = """
default_transport = discard
"""
POSTFIX_MASTER = """
{listen} inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
showq     unix n - n - - showq
postlog   unix-dgram n - n - 1 postlogd
"""
QUEUES = (
    *("maildrop", "incoming", "active", "deferred", "hold", "corrupt", "saved"),
    *("bounce", "defer", "trace", "flush", "private", "public"),
)
EXIM = """
exim_path = {exim}
spool_directory = {directory}
log_file_path = {directory}/%slog
pid_file_path = {directory}/pid
exim_user = mail
exim_group = mail
never_users =
deliver_drop_privilege
primary_hostname = sender.test
daemon_smtp_ports = {listen}
local_interfaces = 127.0.0.1
disable_ipv6
tls_advertise_hosts =
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_queue_per_connection = 0
smtp_accept_max = 100
queue_run_max = 20
acl_smtp_rcpt = accept
keep_environment =
begin routers
relayed:
  driver = manualroute
  domains = relayed.test
  route_list = * relay.lb.test bydns
  self = send
  transport = members
by_mx:
  driver = dnslookup
  self = send
  transport = members
begin transports
members:
  driver = smtp
  port = {port}
  allow_localhost
  hosts_try_fastopen =
  hosts_try_dane =
begin retry
* * F,1h,2s
"""


class Sender(Protocol):
    """A mail server that is given messages and delivers them."""

    def submit(self, recipient: str, subjects: Iterable[str]) -> None:
        """Give it one message for each subject; returns when it has taken all."""

    def queued(self) -> int:
        """Return how many messages it has taken and not delivered."""

    def sent(self) -> int:
        """Return how many deliveries it has made."""

    def deferred(self) -> int:
        """Return how many deliveries it has put off so far."""

    def bounced(self) -> int:
        """Return how many deliveries it has given up."""

    def log_of(self, address: str) -> list[str]:
        """Return the lines of its log that speak of a member's address."""


def submit(port: int, recipient: str, subjects: Iterable[str]) -> None:
    """Give one message for each subject to the mail server on a port of 127.0.0.1."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as session:
        for subject in subjects:
            message = EmailMessage()
            message["From"], message["To"], message["Subject"] = "someone@sender.test", recipient, subject
            message.set_content("Hello.")
            session.send_message(message)


def lines_with(log: Path, text: str) -> list[str]:
    """Return the lines of a log that hold the text."""
    return [line for line in log.read_text().splitlines() if text in line] if log.exists() else []


def _files(directory: Path) -> int:
    return sum(1 for path in directory.rglob("*") if path.is_file())


def make_queue(directory: Path) -> None:
    """Make the directories that a Postfix writes to, in `directory`."""
    queue = directory / "queue"
    (queue / "pid").mkdir(parents=True)
    for path in [directory / "data", *(queue / name for name in QUEUES)]:
        path.mkdir()
        shutil.chown(path, "news", "operator" if path.name in {"maildrop", "public"} else None)


class Postfix:
    """A Postfix with a queue of its own."""

    def __init__(self, stage: Stage, name: str, settings: str, *, resolver: Resolver, listen: tuple[str, int]) -> None:
        master = unpacked("usr/lib/postfix/sbin/master")
        self.directory, self.listen = stage.directory(name), listen[1]
        self.log = self.directory / "log"
        libraries = str(PEERS / "usr/lib/postfix")
        main = POSTFIX_MAIN.format(directory=self.directory, peers=PEERS, log=self.log, libraries=libraries)
        (self.directory / "main.cf").write_text(main + settings)
        (self.directory / "master.cf").write_text(POSTFIX_MASTER.format(listen=":".join(map(str, listen))))
        make_queue(self.directory)
        command = with_etc({"resolv.conf": resolver.resolv_conf}, [master, "-d", "-c", str(self.directory)])
        self.process = stage.start(name, command, {"LD_LIBRARY_PATH": libraries})
        until(lambda: listens(*listen), "Postfix listens")

    def submit(self, recipient: str, subjects: Iterable[str]) -> None:
        """Give it one message for each subject; returns when it has taken all."""
        submit(self.listen, recipient, subjects)

    def queued(self) -> int:
        """Return how many messages it has taken and not delivered."""
        return sum(_files(self.directory / "queue" / name) for name in ("incoming", "active", "deferred"))

    def deferred(self) -> int:
        """Return how many deliveries it has put off so far."""
        return self._logged("deferred")

    def bounced(self) -> int:
        """Return how many deliveries it has given up."""
        return self._logged("bounced")

    def log_of(self, address: str) -> list[str]:
        """Return the lines of its log that speak of a member's address."""
        return lines_with(self.log, f"[{address}]")

    def sent(self) -> int:
        """Return how many deliveries it has made."""
        return self._logged("sent")

    def _logged(self, status: str) -> int:
        return len(lines_with(self.log, f"status={status}"))


class Exim:
    """An Exim with a spool of its own."""

    def __init__(self, stage: Stage, *, resolver: Resolver, port: int) -> None:
        exim = unpacked("usr/sbin/exim4")
        self.directory, self.listen = stage.directory("exim"), free_port()
        self.log = self.directory / "mainlog"
        shutil.chown(self.directory, "mail", "mail")
        conf = self.directory / "conf"
        conf.write_text(EXIM.format(exim=exim, directory=self.directory, listen=self.listen, port=port))
        command = [exim, "-C", str(conf), "-bdf", "-q2s"]
        # the user that Debian's Exim wants to find, although the settings choose another
        etc = {"resolv.conf": resolver.resolv_conf, **accounts(self.directory, ["Debian-exim"])}
        stage.start("exim", with_etc(etc, command))
        until(lambda: listens("127.0.0.1", self.listen), "Exim listens")

    def submit(self, recipient: str, subjects: Iterable[str]) -> None:
        """Give it one message for each subject; returns when it has taken all."""
        submit(self.listen, recipient, subjects)

    def queued(self) -> int:
        """Return how many messages it has taken and not delivered."""
        return sum(1 for _ in (self.directory / "input").rglob("*-H"))

    def sent(self) -> int:
        """Return how many deliveries it has made."""
        return len(lines_with(self.log, " => "))

    def deferred(self) -> int:
        """Return how many deliveries it has put off so far."""
        return len(lines_with(self.log, " == "))

    def bounced(self) -> int:
        """Return how many deliveries it has given up."""
        return len(lines_with(self.log, " ** "))

    def log_of(self, address: str) -> list[str]:
        """Return the lines of its log that speak of a member's address."""
        return lines_with(self.log, f"[{address}]")


def postfix(stage: Stage, *, resolver: Resolver, port: int, settings: str = "") -> Postfix:
    """Start a Postfix that sends to members on `port`, resolving as the resolver does; `settings` are added."""
    sending = SENDING.format(port=port) + settings
    return Postfix(stage, "postfix", sending, resolver=resolver, listen=("127.0.0.1", free_port()))


def taking_postfix(stage: Stage, *, resolver: Resolver, address: str, port: int) -> Postfix:
    """Start a Postfix that is a pool member: it takes every message, and keeps none."""
    return Postfix(stage, "member", TAKING, resolver=resolver, listen=(address, port))
