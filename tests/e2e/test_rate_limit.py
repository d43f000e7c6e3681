"""A resolver in whose name somebody floods us still gets its answers."""

from __future__ import annotations

import re
import socket
import urllib.request
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import dns.message
import pytest

from tests.e2e.processes import free_port, until
from tests.e2e.product import Daemon
from tests.e2e.resolvers import bind, rdatas, unbound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.members import Members
    from tests.e2e.processes import Stage
    from tests.e2e.resolvers import Resolver

_SOURCE = "127.5.0.1"
_UNCACHED = "single.lb.test"
_LOOKUPS = 10


@contextmanager
def _flood(port: int) -> Iterator[None]:
    """Ask a thousand times a second and more, in the name of the resolver, for what it asks itself."""
    query, ended = dns.message.make_query(_UNCACHED, "A").to_wire(), Event()

    def send() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.bind((_SOURCE, 0))
            while not ended.wait(0.01):
                for _ in range(20):
                    client.sendto(query, ("127.0.0.1", port))

    flooding = Thread(target=send)
    flooding.start()
    try:
        yield
    finally:
        ended.set()
        flooding.join()


def _counted(http: str, series: str) -> float:
    """Return the sum of the metrics that begin so."""
    with urllib.request.urlopen(f"http://{http}/metrics", timeout=20) as response:
        return sum(map(float, re.findall(rf"^{series}.* (\S+)$", response.read().decode(), re.MULTILINE)))


@pytest.mark.parametrize(("kind", "with_cookie"), [(unbound, False), (bind, True)])
def test_a_resolver_in_whose_name_a_flood_comes_is_answered(
    stage: Stage, members: Members, kind: Callable[[Stage, int, str], Resolver], *, with_cookie: bool
) -> None:
    """Among answers that are too many a truncated one tells it to ask over TCP; with a cookie it gets all over UDP."""
    http = f"127.0.0.1:{free_port()}"
    daemon = Daemon(stage, members, http=http)
    limit = "[server.rate_limit]\nper_second = 5\nexempt = []\n[zone"
    daemon.config.write_text(daemon.config.read_text().replace("[zone", limit, 1))
    assert daemon.cli("reload").returncode == 0
    resolver = kind(stage, daemon.port, _SOURCE)
    with _flood(daemon.port):
        until(lambda: _counted(http, "dnslb_rate_limited_total") > 100, "the flood is limited")
        before = _counted(http, 'dnslb_queries_total{protocol="tcp"')
        for _ in range(_LOOKUPS):
            assert rdatas(resolver.ask(_UNCACHED, "A"), "A")
        over_tcp = _counted(http, 'dnslb_queries_total{protocol="tcp"') - before
    assert (over_tcp == 0) is with_cookie
