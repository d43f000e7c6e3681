"""What a configuration says, as frozen values: what the daemon is built from."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from dnslb.answer.service import Service
from dnslb.answer.terms import Terms
from dnslb.answer.views import Audience
from dnslb.control.http.tokens import Token
from dnslb.notify import target as notify
from dnslb.pool.member import Pool
from dnslb.probe.recipe import Target
from dnslb.zone.zone import Zone


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port to listen on; port 0 picks a free one."""

    host: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.host.version == 6 else f"{self.host}:{self.port}"  # noqa: PLR2004  # IPv6


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the process itself needs.

    `workers` is their number; each runs on one of `cpus` in turn, or on any if there are none. `http` is None when
    there is no HTTP server.
    """

    listen: tuple[Endpoint, ...]
    workers: int
    cpus: tuple[int, ...]
    state: Path
    control: Path
    http: Endpoint | None


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration with its zones: valid in itself.

    `event_retention` is in seconds. `warnings` are sentences with their positions.
    """

    path: Path
    server: ServerSettings
    zones: tuple[Zone, ...]
    pools: Mapping[str, Pool]
    targets: tuple[Target, ...]
    services: tuple[Service, ...]
    audience: Audience
    terms: Terms
    tokens: tuple[Token, ...]
    event_retention: float
    notices: tuple[notify.Target, ...]
    warnings: tuple[str, ...]
