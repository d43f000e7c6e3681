"""Who asks a running daemon, as it tells it: over all its workers, by all ways to ask, and after a death among them."""

import os
import signal
import urllib.request
from typing import Any

import dns.message
import dns.query
import pytest

from tests.daemon.conftest import Daemon, until

_QUERY = dns.message.make_query("relay.lb.test", "A")


def _ask(daemon: Daemon, network: str, times: int) -> None:
    """Ask from several addresses of a /24, each tenth time over TCP."""
    for number in range(times):
        way = dns.query.udp if number % 10 else dns.query.tcp
        way(_QUERY, "127.0.0.1", timeout=20, port=daemon.port, source=f"{network}.{1 + number % 7}")


def _resolvers(daemon: Daemon, seen: int) -> Any:  # noqa: ANN401 - JSON
    """Return what is told of resolvers as soon as so many queries are."""
    status = until(lambda: (found := daemon.call("status"))["resolvers"]["queries_seen"] == seen and found, f"{seen}")
    return status["resolvers"]


def test_the_status_tells_which_networks_ask_and_what_that_does_to_shares(daemon: Daemon) -> None:
    """By /24, whichever of the workers was asked; a worker that dies takes nothing along."""
    daemon.start(workers=2, ttl=60)
    assert _resolvers(daemon, 0)["enough"] is False
    _ask(daemon, "127.0.7", 60)
    _ask(daemon, "127.0.8", 40)
    found = _resolvers(daemon, 100)
    assert found["largest"] == [
        {"prefix": "127.0.7.0/24", "share": 0.6, "at_most_off_by": 0.0},
        {"prefix": "127.0.8.0/24", "share": 0.4, "at_most_off_by": 0.0},
    ]
    assert (found["prefixes_at_least"], found["enough"]) == (2, True)
    assert found["effective"] == pytest.approx(1 / (0.6**2 + 0.4**2), abs=0.01)
    # Each answer holds all members.
    error = {"after_15m": 0.0, "ttl": 60}
    assert error.items() <= found["expected_share_error"]["relay.lb.test"].items()
    with urllib.request.urlopen(f"http://{daemon.logged('http')['address']}/metrics", timeout=20) as response:
        assert "dnslb_resolver_concentration 0.6\n" in response.read().decode()

    before = daemon.worker_pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not set(before) & set(daemon.worker_pids()), "the workers are replaced")
    _ask(daemon, "127.0.8", 60)
    assert [each["share"] for each in _resolvers(daemon, 160)["largest"]] == [0.625, 0.375]
