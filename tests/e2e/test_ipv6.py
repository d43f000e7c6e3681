"""IPv6: the members' addresses, and the daemon's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.message
import dns.query

from tests.e2e import resolvers
from tests.e2e.product import Daemon
from tests.e2e.resolvers import rdatas

if TYPE_CHECKING:
    from tests.e2e.members import Members
    from tests.e2e.processes import Stage


def test_members_and_daemon_have_ipv6_addresses(stage: Stage, members: Members) -> None:
    """AAAA of a member are answered through a resolver; the daemon itself answers on ::1, by UDP and by TCP."""
    members.addresses["mx4"] = "::1"
    members.start("mx4")
    daemon = Daemon(stage, members, listen=("127.0.0.1", "[::1]"))
    resolver = resolvers.unbound(stage, daemon.port)
    daemon.wait_published("mx1", "mx2", "mx3", "mx4")

    assert rdatas(resolver.ask("every.lb.test", "AAAA"), "AAAA") == ["::1"]
    assert rdatas(resolver.ask("mx4.lb.test", "AAAA"), "AAAA") == ["::1"]
    query = dns.message.make_query("every.lb.test", "AAAA")
    assert rdatas(dns.query.udp(query, "::1", timeout=5, port=daemon.port), "AAAA") == ["::1"]
    assert rdatas(dns.query.tcp(query, "::1", timeout=5, port=daemon.port), "AAAA") == ["::1"]
