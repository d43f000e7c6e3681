"""Caching resolvers to which lb.test is delegated: unbound and BIND."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from tests.e2e.processes import Stage, free_address, free_port, is_free, program, until

UNBOUND = """
server:
  directory: "{directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  interface: 127.0.0.1@{port}
  interface: {address}@53
  outgoing-interface: {source}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  do-ip6: no
  module-config: "iterator"
  use-caps-for-id: yes
  local-zone: "." always_nxdomain
  local-zone: "lb.test." transparent
stub-zone:
  name: "lb.test."
  stub-addr: 127.0.0.1@{upstream}
  stub-prime: no
remote-control:
  control-enable: no
"""

# `port` is the port of the servers that are asked; that of its own is with `listen-on`
BIND = """
options {{
  directory "{directory}";
  pid-file none;
  session-keyfile none;
  port {upstream};
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  query-source address {source};
  recursion yes;
  dnssec-validation no;
  managed-keys-directory "{directory}";
}};
controls {{ }};
zone "lb.test" {{ type static-stub; server-addresses {{ 127.0.0.1; }}; }};
"""


def ask(port: int, name: str, rdtype: str, *, timeout: float = 5) -> dns.message.Message:
    """Return the answer of a DNS server on 127.0.0.1, by TCP if it is a large one; raises dns.exception.Timeout."""
    query = dns.message.make_query(name, rdtype)
    return dns.query.udp_with_fallback(query, "127.0.0.1", timeout=timeout, port=port)[0]


def answers(port: int, name: str, rdtype: str) -> bool:
    """Say whether a DNS server on 127.0.0.1 has records of the type for the name now."""
    try:
        return bool(ask(port, name, rdtype, timeout=0.5).answer)
    except (OSError, dns.exception.Timeout):
        return False


def rdatas(answer: dns.message.Message, rdtype: str) -> list[str]:
    """Return the records of a type in the answer section, in its order, as text."""
    wanted = dns.rdatatype.from_text(rdtype)
    return [rdata.to_text() for rrset in answer.answer if rrset.rdtype == wanted for rdata in rrset]


@dataclass(frozen=True)
class Resolver:
    """A caching resolver on a high port of 127.0.0.1, and on port 53 of `address` for programs that know no other."""

    port: int
    resolv_conf: Path

    def ask(self, name: str, rdtype: str) -> dns.message.Message:
        """Ask it, as a stub resolver does."""
        return ask(self.port, name, rdtype)


def _resolver(stage: Stage, name: str, template: str, command: list[str], upstream: int) -> Resolver:
    directory, port, address = stage.directory(name), free_port(), free_address(53)
    text = template.format(directory=directory, port=port, address=address, upstream=upstream)
    (directory / "conf").write_text(text)
    resolv_conf = directory / "resolv.conf"
    resolv_conf.write_text(f"nameserver {address}\n")
    stage.start(name, [*command, str(directory / "conf")])
    until(lambda: answers(port, "lb.test", "SOA"), f"{name} resolves lb.test")
    return Resolver(port, resolv_conf)


def unbound(
    stage: Stage, upstream: int, source: str = "127.0.0.1", *, modules: str = "iterator", more: str = ""
) -> Resolver:
    """Start an unbound that asks 127.0.0.1 port `upstream` from a source for lb.test, and nobody for anything else.

    `more` is more lines of its server clause, such as its `modules` understand.
    """
    template = UNBOUND.replace("{source}", source).replace('"iterator"', f'"{modules}"')
    template = template.replace("stub-zone:", f"{more}stub-zone:", 1)
    return _resolver(stage, f"unbound-{source}", template, [program("unbound"), "-d", "-c"], upstream)


def bind(stage: Stage, upstream: int, source: str = "127.0.0.1") -> Resolver:
    """Start a BIND that asks port `upstream` from a source for lb.test, and for what is delegated below it."""
    template = BIND.replace("{source}", source)
    resolver = _resolver(stage, f"named-{source}", template, [program("named"), "-g", "-c"], upstream)
    address = resolver.resolv_conf.read_text().split()[-1]
    stage.start("front", [sys.executable, str(Path(__file__).with_name("front.py")), address, str(resolver.port)])
    until(lambda: not is_free(address, 53), "the front listens")
    return resolver
