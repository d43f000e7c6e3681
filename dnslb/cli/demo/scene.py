"""What the demo is about: a zone, a pool of three members, and the two files that say so (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ZONE = "demo.test"
RELAY = "relay.demo.test"
MAIL = "mail.demo.test"
POOL = "inbound"

CONFIG_FILE = "dnslb.toml"
ZONE_FILE = "demo.test.zone"
CONTROL_SOCKET = "control.sock"


@dataclass(frozen=True, slots=True)
class Actor:
    """One mail server of the demo. Members differ by address, for an A record names no port."""

    name: str
    address: str
    weight: int

    @property
    def host(self) -> str:
        """The name that MX records point at."""
        return f"{self.name}.{ZONE}"


CAST = (Actor("mx1", "127.0.0.11", 50), Actor("mx2", "127.0.0.12", 30), Actor("mx3", "127.0.0.13", 20))

_SERVER = """\
[server]
listen  = ["127.0.0.1:0"]
workers = 2
state   = "state"
control = "{control}"
http    = "127.0.0.1:0"

[zone."{zone}"]
file = "{zone_file}"

[probe.demo]
kind     = "smtp"
port     = {port}
interval = "1s"
timeout  = "2s"
rise     = 2
fall     = 3
ehlo     = "probe.{zone}"

[pool.{pool}]
probe      = "demo"
slow_start = "3s"
"""

_MEMBER = """
[[pool.{pool}.member]]
name      = "{name}"
addresses = ["{address}"]
weight    = {weight}
"""

# One record an answer shows the weights plainly. In earnest a relay name has two or more: a sender that was given
# one address, of a server that has just died, waits minutes before it asks again.
_SERVICES = """
[[service]]
name    = "{relay}"
type    = "address"
pool    = "{pool}"
records = 1
ttl     = 5

[[service]]
name       = "{mail}"
type       = "MX"
pool       = "{pool}"
records    = "all"
preference = "ranked"
ttl        = 5
"""

_ZONE = """\
$TTL 60
@   SOA ns hostmaster 1 3600 600 86400 30
    NS  ns
ns  A   127.0.0.1
"""


def config_text(port: int) -> str:
    """Return the demo's settings, for mail servers on that port."""
    names = {"zone": ZONE, "zone_file": ZONE_FILE, "control": CONTROL_SOCKET, "pool": POOL, "relay": RELAY}
    members = (_MEMBER.format(pool=POOL, name=a.name, address=a.address, weight=a.weight) for a in CAST)
    return _SERVER.format(port=port, **names) + "".join(members) + _SERVICES.format(mail=MAIL, **names)


def write_files(directory: Path, port: int) -> Path:
    """Write the settings and the zone into a directory; return the path of the settings."""
    (directory / ZONE_FILE).write_text(_ZONE, encoding="ascii")
    path = directory / CONFIG_FILE
    path.write_text(config_text(port), encoding="ascii")
    return path


def hints(program: str, directory: str, dns: tuple[str, int], http: str) -> tuple[str, ...]:
    """Return the commands to try in another terminal, one after the other, and where the status page is."""
    dig = f"dig @{dns[0]} -p {dns[1]} +short"
    return (
        f"{dig} {RELAY}",
        f"{dig} {MAIL} MX",
        f"cd {directory} && {program} status",
        f"{program} drain {POOL}/{CAST[1].name}",
        f"in a browser: http://{http}/",
    )


def weights() -> Mapping[str, int]:
    """Return the configured weight of each member."""
    return {actor.name: actor.weight for actor in CAST}


def member_of(value: str) -> str | None:
    """Return the member that an address or a host name of an answer stands for."""
    return _MEMBER_OF.get(value)


_MEMBER_OF = {actor.address: actor.name for actor in CAST} | {actor.host: actor.name for actor in CAST}
