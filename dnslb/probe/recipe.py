"""What the configuration says of a probe: one conversation with a member, its schedule and thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import MappingProxyType

from dnslb.pool.health import Aspect


class Kind(StrEnum):
    """What is spoken on the member's port."""

    SMTP = "smtp"
    SUBMISSION = "submission"
    SMTPS = "smtps"
    LMTP = "lmtp"
    TCP = "tcp"


PORTS: Mapping[Kind, int] = MappingProxyType({Kind.SMTP: 25, Kind.SUBMISSION: 587, Kind.SMTPS: 465, Kind.LMTP: 24})
"""The port of each kind where none is named; a plain connection has none (RFC 5321 4.5.4.2, 6409, 8314, 2033)."""


class StartTls(StrEnum):
    """When a probe asks for TLS (RFC 3207). Without meaning for smtps, which begins with it (RFC 8314)."""

    OFF = "off"
    OPPORTUNISTIC = "opportunistic"
    REQUIRE = "require"


class Verify(StrEnum):
    """What a probe demands of the certificate."""

    NONE = "none"
    NAME = "name"
    DANE = "dane"


@dataclass(frozen=True, slots=True)
class Auth:
    """The account that a probe logs in with, over TLS only."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One TLSA record's rdata (RFC 6698 2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to check a member. Times are in seconds; `timeout` bounds the whole conversation with one address.

    `interval` is between probes; the intervals of single aspects say how often a probe goes that deep. `source` holds
    at most one local address per family to connect from. `ca_file` replaces the system's trust anchors. `capabilities`
    are EHLO keywords, upper case, that the server must offer. `rcpt_to` is the sentinel recipient, "" for none;
    `mail_from` "" is the null sender.
    """

    name: str
    kind: Kind
    port: int
    interval: float
    timeout: float
    rise: int
    fall: int
    ehlo: str
    source: tuple[IPv4Address | IPv6Address, ...] = ()
    starttls: StartTls = StartTls.OFF
    verify: Verify = Verify.NONE
    ca_file: Path | None = None
    capabilities: tuple[str, ...] = ()
    proxy: bool = False
    auth: Auth | None = None
    rcpt_to: str = ""
    mail_from: str = ""
    tls_interval: float = 60.0
    certificate_interval: float = 900.0
    recipient_interval: float = 60.0
    auth_interval: float = 300.0

    @property
    def intervals(self) -> dict[Aspect, float]:
        """How often each aspect that this recipe speaks of is examined, in seconds."""
        wanted = {
            Aspect.SESSION: (True, self.interval),
            Aspect.TLS: (self.speaks_tls, self.tls_interval),
            Aspect.CERTIFICATE: (self.speaks_tls, self.certificate_interval),
            Aspect.AUTH: (self.auth is not None, self.auth_interval),
            Aspect.RECIPIENT: (bool(self.rcpt_to), self.recipient_interval),
        }
        return {aspect: seconds for aspect, (asked, seconds) in wanted.items() if asked}

    @property
    def speaks_tls(self) -> bool:
        """Whether a probe may get to see a certificate."""
        return self.kind is Kind.SMTPS or (self.kind is not Kind.TCP and self.starttls is not StartTls.OFF)


@dataclass(frozen=True, slots=True)
class Target:
    """One member to be probed: its addresses, and the port if it differs from the recipe's.

    `host` is the name that its certificate should have and that TLS asks for (SNI, RFC 6066 section 3), "" for none.
    `tlsa` are that name's TLSA records where they stand in a zone of ours, None where they have to be looked up.
    """

    pool: str
    member: str
    addresses: tuple[IPv4Address | IPv6Address, ...]
    port: int
    recipe: Recipe
    host: str = ""
    tlsa: tuple[Tlsa, ...] | None = None
