"""Other answers for some clients, through real resolvers: by their own address, or by the network they ask for."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import dns.message
import dns.query
import pytest

from tests.e2e import resolvers
from tests.e2e.processes import program, until
from tests.e2e.product import Daemon
from tests.e2e.resolvers import answers, rdatas

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.members import Members
    from tests.e2e.processes import Stage
    from tests.e2e.resolvers import Resolver

_INSIDE, _OUTSIDE = "127.1.2.3", "127.2.2.3"
_VIEWS = """
[view.internal]
sources = ["127.1.0.0/16", "10.0.0.0/8"]

[pool.inner]
probe = "quick"
member = [{{ name = "mx4", addresses = ["{inner}"] }}]

[pool.outer]
probe = "quick"

[[pool.outer.member]]
name = "mx3"
host = "out.lb.test"
addresses = ["{outer}"]
view_addresses = {{ internal = ["10.0.0.3"] }}

[[service]]
name = "view.lb.test"
type = "address"
pool = "outer"
ttl = 300

[[service]]
name = "view.lb.test"
type = "address"
pool = "inner"
ttl = 200
views = ["internal"]

[[service]]
name = "lb.test"
type = "MX"
pool = "outer"
"""


@pytest.fixture
def daemon(stage: Stage, members: Members) -> Daemon:
    """Start a daemon, and have a reload take up views and whom to believe."""
    daemon = Daemon(stage, members)
    text = daemon.config.read_text() + _VIEWS.format(inner=members.addresses["mx4"], outer=members.addresses["mx3"])
    daemon.config.write_text(text.replace("[server]", '[server]\necs_resolvers = ["127.0.0.0/16"]'))
    done = daemon.cli("reload")
    assert done.returncode == 0, done.stderr
    assert "next start" not in done.stdout + done.stderr
    until(lambda: answers(daemon.port, "view.lb.test", "A"), "there are views")
    return daemon


def _seen(port: int, source: str, text: str = "view.lb.test A") -> list[str]:
    """Ask a server on 127.0.0.1 from another address of this machine."""
    name, rdtype = text.split()
    query = dns.message.make_query(name, rdtype)
    return rdatas(dns.query.udp(query, "127.0.0.1", timeout=5, port=port, source=source), rdtype)


@pytest.mark.parametrize("start", [resolvers.unbound, resolvers.bind], ids=["unbound", "BIND"])
@pytest.mark.parametrize("source", [_INSIDE, _OUTSIDE])
def test_a_resolver_is_answered_by_its_own_address(
    stage: Stage, daemon: Daemon, members: Members, start: Callable[[Stage, int, str], Resolver], source: str
) -> None:
    """Whoever asks it: it is the client, and what it asks for next fits to what it was told."""
    resolver = start(stage, daemon.port, source)
    inside = source == _INSIDE
    assert _seen(resolver.port, "127.0.0.1") == [members.addresses["mx4" if inside else "mx3"]]
    assert _seen(resolver.port, "127.0.0.1", "lb.test MX") == ["10 out.lb.test."]
    assert _seen(resolver.port, "127.0.0.1", "out.lb.test A") == ["10.0.0.3" if inside else members.addresses["mx3"]]


def test_a_resolver_asks_for_its_clients(stage: Stage, daemon: Daemon, members: Members) -> None:
    """Each network gets the answer of its view from one cache, which keeps it for all of the scope and no further."""
    more = "  send-client-subnet: 127.0.0.1\n  max-client-subnet-ipv4: 24\n"
    resolver = resolvers.unbound(stage, daemon.port, modules="subnetcache iterator", more=more)
    inner, outer = [members.addresses["mx4"]], [members.addresses["mx3"]]
    assert _seen(resolver.port, _INSIDE) == inner
    assert _seen(resolver.port, _OUTSIDE) == outer

    def queries() -> int:
        return sum(worker["queries"] for worker in daemon.status()["workers"])

    before = queries()
    assert _seen(resolver.port, "127.1.200.7") == inner
    assert _seen(resolver.port, "127.3.0.7") == outer
    # The cache has both: 127.1.0.0/16 is one block, and 127.2.0.0/15 beside it another.
    assert queries() == before
    assert _seen(resolver.port, "127.0.9.9") == outer
    assert queries() > before


def test_dig_shows_how_far_an_answer_holds(daemon: Daemon, members: Members) -> None:
    """The scope stands beside the network; a resolver that is not listed gets none."""

    def told(source: str, *words: str) -> tuple[list[str], list[str]]:
        command = [program("dig"), "-b", source, "-p", str(daemon.port), "@127.0.0.1", "view.lb.test", *words]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        return re.findall(r"CLIENT-SUBNET: (\S+)", shown), re.findall(r"\sA\t(\S+)", shown)

    inner, outer = [members.addresses["mx4"]], [members.addresses["mx3"]]
    assert told("127.0.0.1", "+subnet=10.1.2.0/24") == (["10.1.2.0/24/8"], inner)
    assert told("127.0.0.1", "+subnet=127.1.2.3/32") == (["127.1.2.3/32/16"], inner)
    assert told("127.0.0.1", "+subnet=192.0.2.0/24") == (["192.0.2.0/24/1"], outer)
    assert told("127.0.0.1", "+subnet=2001:db8::/32") == (["2001:db8::/32/0"], outer)
    assert told("127.0.0.1", "+subnet=0") == (["0.0.0.0/0/0"], outer)
    assert told(_OUTSIDE, "+subnet=10.1.2.0/24") == ([], outer)
    assert told(_INSIDE) == ([], inner)


def test_explain_says_the_same(daemon: Daemon, members: Members) -> None:
    """The view of a client, the network that puts it there, and the answer that it gets."""
    shown = daemon.cli("explain", "view.lb.test", "A", "--client", _INSIDE)
    assert shown.returncode == 0, shown.stderr
    assert "for clients of view internal, answered from pool inner" in shown.stdout
    assert f"view.lb.test. 200 A {members.addresses['mx4']}" in shown.stdout
    assert f"Client {_INSIDE} is in view internal, by its source 127.1.0.0/16." in shown.stdout
    assert {key: facts["view"] for key, facts in daemon.status()["services"].items() if "view" in key} == {
        "view.lb.test": "",
        "view.lb.test address internal": "internal",
    }
