"""What the options ask for: a recipe for a probe of a host, or a sentence on what contradicts itself."""

import re
import socket
from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from dnslb.cli.probe.place import Place
from dnslb.probe.recipe import PORTS, Auth, Kind, Recipe, StartTls, Verify

TIMEOUT = 10.0
"""Seconds for the conversation with one address, as in the configuration."""

_KINDS = {port: kind for kind, port in PORTS.items()}
_CONVERSATION = ("starttls", "verify", "ca_file", "rcpt_to", "mail_from", "ehlo", "capability", "auth_user", "host")
_HOST_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options, as the keys of [probe]; None, False or () for what was not said. `family` is 4, 6 or None."""

    kind: Kind | None = None
    starttls: StartTls | None = None
    verify: Verify | None = None
    ca_file: Path | None = None
    host: str | None = None
    ehlo: str | None = None
    rcpt_to: str | None = None
    mail_from: str | None = None
    capability: tuple[str, ...] = ()
    auth_user: str | None = None
    auth_password_file: Path | None = None
    source: tuple[IPv4Address | IPv6Address, ...] = ()
    proxy: bool = False
    timeout: float | None = None
    family: int | None = None

    @property
    def said(self) -> tuple[str, ...]:
        """The options that were given, as they are typed."""
        return tuple(self.typed(field.name) for field in fields(self) if self.says(field.name))

    def says(self, name: str) -> bool:
        """Whether an option was given."""
        return getattr(self, name) not in {None, False, ()}

    def typed(self, name: str) -> str:
        """Return how an option is typed."""
        return f"-{self.family}" if name == "family" else f"--{name.replace('_', '-')}"


def kind_of(place: Place, wishes: Wishes) -> Kind:
    """Return what is spoken there: as asked for, or as the port has it."""
    return wishes.kind or _KINDS.get(place.port or 0, Kind.SMTP)


def port_of(place: Place, kind: Kind) -> int:
    """Return the port to connect to; 0 where a plain connection is wanted and no port named."""
    return place.port or PORTS.get(kind, 0)


def contradiction(place: Place, wishes: Wishes) -> str:
    """Return what cannot be meant, as a sentence with the way out, "" if all of it can."""
    kind = kind_of(place, wishes)
    return _of_place(place, wishes, kind) or _of_kind(wishes, kind) or _of_tls(place, wishes, kind) or _of_rest(wishes)


def _of_place(place: Place, wishes: Wishes, kind: Kind) -> str:
    if port_of(place, kind) == 0:
        return "--kind tcp has no port of its own: write HOST:PORT"
    if place.address and wishes.family not in {None, place.address.version}:
        return f"-{wishes.family} does not go with {place.address}"
    family = place.address.version if place.address else wishes.family
    if wishes.source and family not in {None, *(source.version for source in wishes.source)}:
        return f"--source {wishes.source[0]} does not go with {place.address or f'-{family}'}"
    return ""


def _of_kind(wishes: Wishes, kind: Kind) -> str:
    spoken = [wishes.typed(name) for name in _CONVERSATION if wishes.says(name)]
    if kind is Kind.TCP and spoken:
        return f"--kind tcp only connects: {spoken[0]} means nothing to it"
    if kind is Kind.SMTPS and wishes.starttls:
        return "smtps (port 465) begins with TLS: leave --starttls out, or say --kind submission"
    return ""


def _of_tls(place: Place, wishes: Wishes, kind: Kind) -> str:
    verified = wishes.verify not in {None, Verify.NONE}
    if verified and place.address and not wishes.host:
        return f"--verify {wishes.verify} needs the name that the certificate should have: add --host NAME"
    if wishes.starttls is not StartTls.OFF or kind is Kind.SMTPS:
        return ""
    if verified:
        return f"--verify {wishes.verify} and --starttls off exclude one another: without TLS there is no certificate"
    if wishes.auth_user:
        return "--auth-user and --starttls off exclude one another: a password is only sent over TLS"
    return ""


def _of_rest(wishes: Wishes) -> str:
    if wishes.auth_password_file and not wishes.auth_user:
        return "--auth-password-file needs --auth-user"
    if wishes.mail_from and not wishes.rcpt_to:
        return "--mail-from is said only before a recipient: add --rcpt-to"
    if wishes.auth_user and not wishes.auth_user.isprintable():
        return "--auth-user: expected printable characters"
    if len({source.version for source in wishes.source}) < len(wishes.source):
        return "--source: expected at most one address for each of IPv4 and IPv6"
    return ""


def recipe_of(place: Place, wishes: Wishes, auth: Auth | None) -> Recipe:
    """Return the recipe for one probe. Its schedule and thresholds mean nothing."""
    kind = kind_of(place, wishes)
    secured = kind in {Kind.SMTPS, Kind.TCP}
    return Recipe(
        name="probe",
        kind=kind,
        port=port_of(place, kind),
        interval=1.0,
        timeout=wishes.timeout or TIMEOUT,
        rise=1,
        fall=1,
        ehlo=wishes.ehlo or _own_name(),
        source=wishes.source,
        starttls=StartTls.OFF if secured else wishes.starttls or StartTls.OPPORTUNISTIC,
        verify=wishes.verify or Verify.NONE,
        ca_file=wishes.ca_file,
        capabilities=wishes.capability,
        proxy=wishes.proxy,
        auth=auth,
        rcpt_to=wishes.rcpt_to or "",
        mail_from=wishes.mail_from or "",
    )


def _own_name() -> str:
    name = socket.gethostname()
    return name if _HOST_NAME.fullmatch(name) else "localhost"
