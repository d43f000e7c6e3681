"""A delegated zone as caching resolvers see it: what is in it, what is not, and what lies below a cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.rcode
import pytest

from tests.e2e import resolvers
from tests.e2e.processes import free_address, listens, program, until
from tests.e2e.product import Daemon
from tests.e2e.resolvers import rdatas

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.members import Members
    from tests.e2e.processes import Stage
    from tests.e2e.resolvers import Resolver

LARGE = [f"{n:02} " + "x" * 60 for n in range(60)]
ZONE = """
www A 192.0.2.1
alias CNAME www
far CNAME host.child
*.wild TXT "any"
towild CNAME x.wild
old DNAME new
a.new CNAME www
*.any.new TXT "behind"
deep.below A 192.0.2.2
child NS ns.child
ns.child A {child}
""" + "".join(f'large TXT "{text}"\n' for text in LARGE)
CHILD = """
$ORIGIN child.lb.test.
$TTL 30
@ SOA ns hostmaster 1 3600 600 86400 30
@ NS ns
ns A {child}
host A 192.0.2.3
"""
NSD = """
server:
  ip-address: {child}@53
  ip-address: {child}@{port}
  zonesdir: "{directory}"
  username: ""
  chroot: ""
  pidfile: ""
  database: ""
  zonelistfile: "{directory}/list"
  xfrdfile: "{directory}/xfrd"
  xfrdir: "{directory}"
remote-control:
  control-enable: no
zone:
  name: child.lb.test
  zonefile: zone
"""


def serve_child(stage: Stage, address: str, port: int) -> None:
    """Serve child.lb.test: on port 53 for unbound, and on the daemon's port for BIND, which asks no other."""
    directory = stage.directory("child")
    (directory / "zone").write_text(CHILD.format(child=address))
    (directory / "conf").write_text(NSD.format(child=address, port=port, directory=directory))
    stage.start("child", [program("nsd"), "-d", "-c", str(directory / "conf")])
    until(lambda: listens(address, port), "the child's server listens")


@pytest.mark.parametrize("start_resolver", [resolvers.unbound, resolvers.bind])
def test_resolvers_see_the_zone_as_it_is_written(
    stage: Stage, members: Members, start_resolver: Callable[[Stage, int], Resolver]
) -> None:
    """Names, absent ones and types, wildcards, aliases, a DNAME, large sets, a delegation: as RFC 1034 has it."""
    child = free_address(53)
    daemon = Daemon(stage, members, zone=ZONE.format(child=child))
    serve_child(stage, child, daemon.port)
    resolver = start_resolver(stage, daemon.port)

    def found(name: str, rdtype: str) -> list[str]:
        answer = resolver.ask(name, rdtype)
        assert answer.rcode() == dns.rcode.NOERROR, answer
        return rdatas(answer, rdtype)

    assert found("www.lb.test", "A") == ["192.0.2.1"]
    assert found("alias.lb.test", "A") == ["192.0.2.1"]
    assert found("a.b.wild.lb.test", "TXT") == ['"any"']
    assert found("towild.lb.test", "TXT") == ['"any"']
    assert found("a.old.lb.test", "A") == ["192.0.2.1"]
    assert found("x.any.old.lb.test", "TXT") == ['"behind"']
    assert found("old.lb.test", "DNAME") == ["new.lb.test."]
    assert resolver.ask("nothing.old.lb.test", "A").rcode() == dns.rcode.NXDOMAIN
    assert found("www.lb.test", "AAAA") == []
    assert found("below.lb.test", "A") == []
    assert resolver.ask("nothing.lb.test", "A").rcode() == dns.rcode.NXDOMAIN
    assert resolver.ask("nothing.below.lb.test", "A").rcode() == dns.rcode.NXDOMAIN
    assert sorted(found("large.lb.test", "TXT")) == [f'"{text}"' for text in LARGE]
    assert found("host.child.lb.test", "A") == ["192.0.2.3"]
    assert found("far.lb.test", "A") == ["192.0.2.3"]
