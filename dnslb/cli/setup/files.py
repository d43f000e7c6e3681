"""The two files of a first configuration as text: what a newcomer needs, and nothing else. Pure."""

import json
from collections.abc import Iterator
from pathlib import Path

from dnslb.cli.setup.draft import Draft, Host, Servers
from dnslb.cli.setup.reading import kind_of
from dnslb.probe.recipe import PORTS, Kind

SERVICE_DIRECTORY = Path("/etc/dnslb")
"""Where the systemd unit reads the configuration; it has other directories for what the daemon writes."""

_HEAD = """\
# Written by `dnslb setup`. All keys are in the README, "Configuration". After a change: `dnslb check`, `dnslb reload`.

[server]
listen  = {listen}
"""
_SERVICE = """\
state   = "/var/lib/dnslb"
control = "/run/dnslb/control.sock"
"""
_ZONE_TABLE = """
[zone."{zone}"]
file = "{zone}.zone"    # the static records; dnslb makes those of services and members
"""
_PROBE = """
# How each server of pool {pool} is looked at, every 10 seconds: an SMTP conversation without a mail.
[probe.{pool}]
kind = "{kind}"
"""
_RECIPIENT = """\
# rcpt_to = "postmaster@{domain}"   # finds servers that refuse this address, too
"""
_POOL = """
# Servers that can take the same mail. Weights share it out: 2 gets twice as much as 1.
[pool.{pool}]
probe = "{pool}"
"""
_MEMBER = """
[[pool.{pool}.member]]
name      = "{name}"
addresses = {addresses}
weight    = 1
"""
_INBOUND_SERVICE = """
# The MX record of {domain} points at this name.
[[service]]
name    = "mx.{zone}"
type    = "address"
pool    = "inbound"
records = 2     # servers in each answer: a sender goes on to the second one
ttl     = 30    # seconds that others may keep an answer: so long may mail go to a server that has just died
"""
_RELAY_SERVICE = """
# Applications send mail to this name.
[[service]]
name    = "relay.{zone}"
type    = "address"
pool    = "relay"
records = 2     # servers in each answer; 1 if applications are in one subnet with the relays (README, "Use 2")
ttl     = 10    # seconds that others may keep an answer
"""
_ZONE = """\
; Static records of {zone}. dnslb adds those of services and members, and raises the serial by itself.
$TTL 3600
@    SOA  {first} hostmaster.{domain}. ( 1 3600 600 604800 30 )
"""


def config_text(draft: Draft, directory: Path) -> str:
    """Return the configuration, for a file in `directory`."""
    head = _HEAD.format(listen=json.dumps([str(where) for where in draft.listen]))
    service = _SERVICE if directory == SERVICE_DIRECTORY else ""
    parts = [head + service, _ZONE_TABLE.format(zone=draft.zone)]
    if draft.inbound:
        parts += [*_servers("inbound", draft.inbound, draft.domain), _INBOUND_SERVICE.format_map(_names(draft))]
    if draft.relay:
        parts += [*_servers("relay", draft.relay, ""), _RELAY_SERVICE.format_map(_names(draft))]
    return "".join(parts)


def _names(draft: Draft) -> dict[str, str]:
    return {"zone": draft.zone, "domain": draft.domain}


def _servers(pool: str, servers: Servers, domain: str) -> Iterator[str]:
    kind = kind_of(servers.port, Kind.SMTP if domain else Kind.SUBMISSION)
    yield _PROBE.format(pool=pool, kind=kind.value)
    if PORTS[kind] != servers.port:
        yield f"port = {servers.port}\n"
    if domain:
        yield _RECIPIENT.format(domain=domain)
    yield _POOL.format(pool=pool)
    for member in servers.members:
        addresses = json.dumps([str(address) for address in member.addresses])
        yield _MEMBER.format(pool=pool, name=member.name, addresses=addresses)


def zone_text(draft: Draft) -> str:
    """Return the zone's master file: its name servers, and the addresses of those that lie in it."""
    head = _ZONE.format(zone=draft.zone, first=f"{draft.name_servers[0].name}.", domain=parent_of(draft))
    servers = [f"     NS   {host.name}.\n" for host in draft.name_servers]
    own = [(host.name.removesuffix(f".{draft.zone}"), record) for host in glued(draft) for record in records_of(host)]
    return "".join([head, *servers, *(f"{owner:<4} {rtype:<4} {data}\n" for owner, (rtype, data) in own)])


def parent_of(draft: Draft) -> str:
    """Return the domain that the zone is for: that of the mail, or the one above."""
    return draft.domain or draft.zone.partition(".")[2]


def glued(draft: Draft) -> list[Host]:
    """Return the name servers whose own addresses stand in the zone."""
    return [host for host in draft.name_servers if host.name.endswith(f".{draft.zone}")]


def records_of(host: Host) -> list[tuple[str, str]]:
    """Return the type and the data of a host's address records."""
    return [("A" if address.version == 4 else "AAAA", str(address)) for address in host.addresses]  # noqa: PLR2004 -- IPv4
