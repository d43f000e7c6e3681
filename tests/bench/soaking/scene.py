"""What a soak configures: pools whose members are replaced, services that come and go, TTLs and records that change."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from tests.bench.soaking.oracle import KINDS, ZONE, Claim, Member, Oracle, Pool

if TYPE_CHECKING:
    import random
    from pathlib import Path

MEMBERS = 8
_MOST_VERSIONS = 20
_FIRST_ADDRESS = ip_address("127.80.0.1")

_SERVER = """
[server]
listen = ["127.0.0.1:{port}"]
workers = 2
state = "state"
control = "control.sock"
http = "127.0.0.1:{http}"
# The crowd of good resolvers; the flood is limited.
rate_limit = {{ exempt = ["127.0.2.0/24"] }}
# Events wait for somebody who never takes them.
[[notify]]
url = "http://127.0.0.1:{nobody}/"
[zone."{zone}"]
file = "zone"
[probe.plain]
kind = "smtp"
port = {members}
interval = "2s"
timeout = "4s"
starttls = "off"
[probe.secure]
kind = "smtp"
port = {members}
interval = "3s"
timeout = "4s"
starttls = "require"
tls_interval = "3s"
"""
_ZONE_FILE = """
$ORIGIN {zone}.
$TTL {ttl}
@ SOA ns1 hostmaster {serial} 3600 600 86400 30
@ NS ns1
ns1 A 192.0.2.53
version TXT "{version}"
"""
_SERVICES = {
    "all": 'type = "address"\nrecords = "all"\n',
    "two": 'type = "address"\nrecords = 2\n',
    "mail": 'type = "MX"\n',
    "_submission._tcp": 'type = "SRV"\nport = 587\n',
}
_STAYING = (
    ("plain", tuple(KINDS), True),
    ("secure", ("all", "mail"), True),
    ("sticky", ("two",), True),
    ("storm", ("all", "mail"), False),
)
_KEYS = {
    "plain": 'probe = "plain"\nslow_start = "20s"',
    "secure": 'probe = "secure"',
    "sticky": 'probe = "plain"\npolicy = "source-hash"',
    "storm": 'probe = "plain"\nall_down = "last-good"',
}


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the daemon answers, serves HTTP, finds its members, and finds nobody."""

    dns: int
    http: int
    members: int
    nobody: int


class Scene:
    """The configuration, and what the oracle makes of each change of it."""

    def __init__(self, directory: Path, ports: Ports, oracle: Oracle) -> None:
        self.path = directory / "dnslb.toml"
        self._zone = directory / "zone"
        self._ports = ports
        self._oracle = oracle
        self._numbers = itertools.count(1)
        self._guests = itertools.count(1)
        self._serial, self._ttl = 1, 5
        self._version = Claim()
        for name, kinds, calm in _STAYING:
            oracle.pools[name] = self._pool(name, kinds, calm=calm)
        self._new_version()

    def _pool(self, name: str, kinds: tuple[str, ...], *, calm: bool) -> Pool:
        pool = Pool(name, kinds, calm=calm)
        for _ in range(MEMBERS):
            self.add_member(pool)
        return pool

    def add_member(self, pool: Pool) -> Member:
        """Configure one more member, under a name and an address that no other has had."""
        number = next(self._numbers)
        member = Member(f"m{number}", str(_FIRST_ADDRESS + number))
        pool.members[member.name] = member
        return member

    def guest(self) -> Pool:
        """Configure a pool that will go again."""
        pool = self._pool(f"guest{next(self._guests)}", ("all", "mail"), calm=True)
        self._oracle.pools[pool.name] = pool
        return pool

    def change_records(self, chance: random.Random) -> tuple[Claim, Claim]:
        """Write other TTLs and another text into the zone; return the claims of the text before and of the new one."""
        self._ttl = chance.randint(3, 15)
        self._serial += chance.choice((0, 1, 10))
        before = self._version
        before.wavers()
        self._new_version()
        return before, self._version

    def _new_version(self) -> None:
        self._version = Claim()
        versions = self._oracle.versions
        versions[f"v{next(self._numbers)}"] = self._version
        if len(versions) > _MOST_VERSIONS:
            del versions[next(iter(versions))]

    def write(self) -> None:
        """Write all files."""
        ports = self._ports
        numbers = {"port": ports.dns, "http": ports.http, "members": ports.members, "nobody": ports.nobody}
        text = [_SERVER.format(**numbers, zone=ZONE)]
        self.path.write_text("".join([*text, *map(self._text_of, self._oracle.pools.values())]))
        newest = list(self._oracle.versions)[-1]
        self._zone.write_text(_ZONE_FILE.format(zone=ZONE, ttl=self._ttl, serial=self._serial, version=newest))

    def write_broken(self) -> None:
        """Write a configuration that must change nothing."""
        self.path.write_text(self.path.read_text() + "\n[pool.broken]\nprobe = 7\n")

    def _text_of(self, pool: Pool) -> str:
        text = [f"[pool.{pool.name}]\n{_KEYS.get(pool.name, _KEYS['plain'])}\n"]
        text += [
            f'[[pool.{pool.name}.member]]\nname = "{member.name}"\naddresses = ["{member.address}"]\n'
            for member in pool.now()
        ]
        text += [
            f'[[service]]\nname = "{kind}.{pool.name}.{ZONE}"\npool = "{pool.name}"\n'
            f"ttl = {self._ttl}\n{_SERVICES[kind]}"
            for kind in pool.kinds
        ]
        return "".join(text)
