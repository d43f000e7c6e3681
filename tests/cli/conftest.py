"""A control socket with an operator behind it that has two members, for the commands to talk to."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dnslb.answer.senders import Client
from dnslb.cli.main import cli
from dnslb.control.commands import no_such_member, no_such_pool
from dnslb.control.protocol import Code, Refused
from dnslb.control.server import ControlServer
from dnslb.pool.admin import AdminState
from dnslb.pool.planned import Planned, Step
from dnslb.pool.window import Span


def a_member(**facts: object) -> dict[str, Any]:
    """Return a member as in `status`: up and published, but for the facts given."""
    return {
        "admin": "ready",
        "state": "up",
        "verdict": "ok",
        "reason": "",
        "rule": "up",
        "published": True,
        "weight": 50,
        "effective_weight": 50,
        "share": 0.5,
        "share_of": "mx.lb.example.org",
        "tier": 1,
        "addresses": ["192.0.2.11", "2001:db8::11"],
        "since": "2026-01-01T00:00:00Z",
        "last_probe": "2026-01-01T00:00:09Z",
        "latency_ms": 3.1,
        "drain": None,
        "window": None,
    } | facts


def a_status() -> dict[str, Any]:
    """Return a status of one pool with two members and two services of one name."""
    members = {"mx1": a_member(), "mx2": a_member(addresses=["192.0.2.12"])}
    service = {"pool": "inbound", "records": 2, "zone": "lb.example.org", "shares": {"mx1": 0.5, "mx2": 0.5}}
    return {
        "version": "0.1.0",
        "generation": 7,
        "uptime_s": 3700.5,
        "listen": ["127.0.0.1:5300"],
        "workers": [{"pid": 12, "generation": 7, "queries": 1000}],
        "rcodes": {"NOERROR": 990, "NXDOMAIN": 10},
        "steering": "kernel",
        "steering_reason": "there is one worker",
        "pools": {
            "inbound": {
                "policy": "weighted",
                "panic": False,
                "healthy_weight": 100,
                "total_weight": 100,
                "members": members,
            }
        },
        "services": {
            "mx.lb.example.org": {"type": "address", "ttl": 30, "ttl_min": 30, "ttl_max": 30, **service},
            "mx.lb.example.org MX": {"type": "MX", "ttl": 45, "ttl_min": 45, "ttl_max": 45, **service},
        },
        "resolvers": {
            "queries_seen": 5000,
            "window_s": 900.5,
            "enough": True,
            "prefixes_at_least": 37,
            "uncounted_at_most": 0.0,
            "largest": [{"prefix": "192.0.2.0/24", "share": 0.41, "at_most_off_by": 0.01}],
            "effective": 5.2,
            "expected_share_error": {
                "mx.lb.example.org": {"after_15m": 0.0212, "ttl": 30, "worst_member": "mx1"},
                "mx.lb.example.org MX": {"after_15m": 0.0314, "ttl": 45, "worst_member": "mx2"},
            },
        },
    }


class FakeOperator:
    """An operator whose facts a test can set, and which notes what it is asked."""

    def __init__(self) -> None:
        self.now = a_status()
        self.wrong: list[str] = []
        self.happened: list[dict[str, Any]] = []
        self.seen: dict[str, Any] = {}
        self.explained: dict[str, Any] = {}
        self.planned: dict[str, Any] = {}
        self.asked: list[dict[str, Any]] = []
        self.windowed: dict[str, Any] = {}
        """What is true of a window that somebody wants."""
        self.refuses: Refused | None = None
        """Why there can be no window."""
        self.admin_facts: dict[str, Any] = {}
        """What is true of a change of an admin state beside the member."""
        self.counts_alike = False
        self.percent = 100
        """Whether the pool is a round-robin one."""
        self.changes = True
        """Whether a reload brings other answers."""
        self.parts = {"steering": False}
        self.stays = False
        """Whether a member stays published, whatever people want."""

    def member(self, pool: str, member: str) -> dict[str, Any]:
        """Return a member's facts, or refuse as the real one does."""
        if pool not in self.now["pools"]:
            raise no_such_pool(pool, self.now["pools"])
        members: dict[str, dict[str, Any]] = self.now["pools"][pool]["members"]
        if member not in members:
            raise no_such_member(pool, member, members)
        return members[member]

    async def status(self) -> dict[str, Any]:
        """Return what the test has set."""
        return self.now

    async def set_admin(self, pool: str, member: str, state: AdminState, reason: str, who: str) -> dict[str, Any]:
        """Set it, and publish who is ready."""
        facts = self.member(pool, member)
        self.asked.append({"state": state, "reason": reason, "who": who})
        facts["admin"] = state
        facts["published"] = self.stays or (state is AdminState.READY and facts["state"] == "up")
        self.now["generation"] += 1
        return facts | {"generation": self.now["generation"]} | self.admin_facts

    async def set_window(self, pool: str, member: str, span: Span, reason: str, who: str) -> dict[str, Any]:
        """Note it, and answer what the test has set."""
        facts = self.member(pool, member)
        if self.refuses:
            raise self.refuses
        self.asked.append({"window": span, "reason": reason, "who": who})
        return facts | {"generation": self.now["generation"], "replaced": None, "warnings": []} | self.windowed

    async def set_weight(self, pool: str, member: str, weight: int | None, reason: str, who: str) -> dict[str, Any]:
        """Set it."""
        facts = self.member(pool, member)
        self.asked.append({"weight": weight, "reason": reason, "who": who})
        wanted = facts["weight"] if weight is None else weight
        facts["effective_weight"] = (min(wanted, 1) if self.counts_alike else wanted) * self.percent // 100
        facts["published"] = facts["effective_weight"] > 0 and facts["admin"] == "ready"
        self.now["generation"] += 1
        return facts | {"generation": self.now["generation"]}

    async def reload(self, who: str) -> dict[str, Any]:
        """Do it, or refuse with what the test has set."""
        if self.wrong:
            raise Refused(
                Code.CONFIG, "the configuration has 2 errors, and nothing was changed", {"problems": self.wrong}
            )
        self.asked.append({"reload": who})
        return {"generation": 8, "changed": self.changes, "warnings": ["zone lb.example.org has one name server only"]}

    async def events(
        self, since: float | None, pool: str | None, after: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Return what the test has set, by the rules of PROTOCOL.md for `after` and `limit`."""
        self.asked.append({"since": since, "pool": pool, "after": after, "limit": limit})
        found = [event for event in self.happened if event["id"] > (after or 0)]
        return found[-limit:] if after is None else found[:limit]

    async def probe(self, pool: str, member: str, who: str) -> dict[str, Any]:
        """Return what the test has set."""
        self.member(pool, member)
        self.asked.append({"probe": f"{pool}/{member}", "who": who})
        return self.seen

    async def explain(self, name: bytes, rtype: int | None, client: Client | None) -> dict[str, Any]:
        """Return what the test has set."""
        self.asked.append({"name": name, "type": rtype, "client": client})
        return self.explained

    async def plan(self, changes: Sequence[Planned]) -> dict[str, Any]:
        """Return what the test has set."""
        for change in changes:
            if change.pool == "inbound" and change.step is not Step.ADD:
                self.member(change.pool, change.member)
            parts = {"step": change.step, "pool": change.pool, "member": change.member}
            weight = {"weight": change.weight} if change.step in {Step.WEIGHT, Step.ADD} else {}
            self.asked.append(parts | weight | ({"tier": change.tier} if change.step is Step.ADD else {}))
        return self.planned

    def version(self) -> dict[str, Any]:
        """Return the version of a daemon that was not restarted after an upgrade."""
        return {"version": "0.0.9", "python": "3.11.0", "engine": "C extension", "parts": self.parts}


class FakeDaemon:
    """A control server in a thread of its own, as commands are blocking."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.operator = FakeOperator()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._started(), self._loop).result()

    async def _started(self) -> ControlServer:
        return await ControlServer.start(self.path, self.operator)

    def close(self) -> None:
        """End the server and its thread."""
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """Give a running daemon that is none."""
    started = FakeDaemon(tmp_path / "control.sock")
    yield started
    started.close()


Dnslb = Callable[..., Result]


@pytest.fixture
def dnslb(daemon: FakeDaemon) -> Dnslb:
    """Give a function that runs one command against the daemon."""
    return lambda *words: CliRunner().invoke(cli, [*words, "--control", str(daemon.path)])
