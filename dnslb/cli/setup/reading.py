"""How each answer is typed: a text becomes a value, or a ValueError says what was expected."""

import os
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from dnslb.cli.resolving import NoAddress, addresses_of
from dnslb.cli.setup.draft import Host, Use
from dnslb.config import Endpoint, values
from dnslb.pool.member import Address
from dnslb.probe.recipe import PORTS, Kind

DNS_PORT = 53
TRIAL_PORT = 5300
"""Where nobody needs a right to listen: for addresses that the world cannot reach anyway."""
_LOOKUP = 10.0
_BELOW_A_DOMAIN = 3
_USES = {"1": Use.MAIL, "2": Use.RELAY, "3": Use.BOTH}
_ELSEWHERE = ("192.0.2.1", "2001:db8::1")
"""Addresses for documentation (RFC 5737, RFC 3849): a route leads there, and nobody is there."""


def use(text: str) -> Use:
    """Return what dnslb is for, by its word or its number in the question."""
    if text in _USES:
        return _USES[text]
    if text in set(Use):
        return Use(text)
    raise ValueError("expected mail (1), relay (2) or both (3)")


def zone(text: str, wanted: Use) -> str:
    """Return the name of the zone, which for mail from the world lies below a domain."""
    name = _name(text, "lb.example.org")
    labels = name.split(".")
    if len(labels) == 1 or (len(labels) < _BELOW_A_DOMAIN and wanted is not Use.RELAY):
        raise ValueError(
            f"dnslb answers for all names of its zone, also for web sites: expected one below your domain, as lb.{name}"
        )
    return name


def domain(text: str, within: str) -> str:
    """Return a mail domain that does not lie in the zone `within`."""
    name = _name(text, "example.org")
    if f".{name}".endswith(f".{within}"):
        raise ValueError(f"{name} lies in the zone itself: expected the domain behind the @, as example.org")
    return name


def _name(text: str, example: str) -> str:
    try:
        return values.host(text).removesuffix(".").lower()
    except ValueError:
        raise ValueError(f"expected a name of letters, digits and hyphens, as {example}") from None


def name_server(text: str, zone_name: str) -> Host:
    """Return the name server of "[NAME=]ADDRESS[,ADDRESS...]"."""
    name, _equals, rest = text.rpartition("=")
    listed = tuple(_address(word) for word in _words(rest))
    if not listed:
        raise ValueError("expected an address, as 192.0.2.1, or several with commas: 192.0.2.1,2001:db8::1")
    return Host(_name(name, f"ns1.{zone_name}") if name else "", listed)


def member(text: str) -> Host:
    """Return the mail server of "[NAME=]HOST" or "[NAME=]ADDRESS[,ADDRESS...]"; a host's addresses are looked up."""
    name, equals, rest = text.rpartition("=")
    if equals:
        name = _label(name.strip())
    words = _words(rest)
    if len(words) == 1 and not _is_address(words[0]):
        return _looked_up(name, words[0])
    return Host(name, tuple(_address(word) for word in words))


def _looked_up(name: str, host: str) -> Host:
    host = _name(host, "mx1.example.org, or an address, as 192.0.2.11")
    try:
        found = addresses_of(host, _LOOKUP)
    except NoAddress as error:
        raise ValueError(f"{error}: give its address") from None
    if any(address.is_loopback for address in found):
        raise ValueError(
            f"{host} is {found[0]} here, this machine itself (/etc/hosts?): give the address that others use"
        )
    return Host(name or host.partition(".")[0], found)


def another(members: Sequence[Host], new: Host) -> Host:
    """Return a server that is not among the others yet."""
    for other in members:
        if new.name and new.name == other.name:
            raise ValueError(f"{new.name} is another server's name already: write NAME={_joined(new)}")
        if common := set(new.addresses) & set(other.addresses):
            raise ValueError(f"{min(map(str, common))} is the address of {other.name or 'another server'} already")
    return new


def _joined(host: Host) -> str:
    return ",".join(map(str, host.addresses))


def _label(text: str) -> str:
    try:
        return values.label(text).lower()
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None


def port(text: str) -> int:
    """Return a port."""
    if not text.isdecimal() or not 0 < int(text) <= values.MAX_PORT:
        raise ValueError(f"expected a port, 1 to {values.MAX_PORT}")
    return int(text)


def listen(text: str) -> tuple[Endpoint, ...]:
    """Return where to listen: "ADDRESS[:PORT]", several with commas."""
    found = tuple(_endpoint(word) for word in _words(text))
    if not found:
        raise ValueError("expected an address of this machine, as 192.0.2.1 or [2001:db8::1]:53")
    for where in found:
        if not is_here(where.host):
            raise ValueError(f"{where.host} is no address of this machine: `ip address` shows them")
    return found


def _endpoint(word: str) -> Endpoint:
    return endpoint_of(_address(word)) if _is_address(word) else values.endpoint(word)


def endpoint_of(address: Address) -> Endpoint:
    """Return where to listen at an address: with the port of DNS, unless only this machine can reach it."""
    return Endpoint(address, TRIAL_PORT if address.is_loopback else DNS_PORT)


def path(text: str) -> Path:
    """Return the path of a configuration file that can be written."""
    try:
        return _writable(Path(text))
    except PermissionError as error:
        raise ValueError(f"you may not look into {Path(text).parent} (try sudo)") from error


def _writable(found: Path) -> Path:
    if found.is_dir():
        found /= "dnslb.toml"
    if found.suffix != ".toml":
        raise ValueError(f"expected the name of a file that ends in .toml, or a directory: {found}")
    there = next(parent for parent in found.absolute().parents if parent.exists())
    if not os.access(there, os.W_OK):
        raise ValueError(f"you may not write into {there} (try sudo)")
    return found


def is_here(address: Address) -> bool:
    """Return whether an address is one of this machine."""
    try:
        with socket.socket(_family(str(address)), socket.SOCK_DGRAM) as tried:
            tried.bind((str(address), 0))
    except OSError:
        return False
    return True


def own_addresses() -> tuple[Address, ...]:
    """Return the addresses that this machine would send from, one of each family; nothing is sent."""
    return tuple(found for there in _ELSEWHERE if (found := _source_to(there)) and not found.is_link_local)


def _source_to(there: str) -> Address | None:
    try:
        with socket.socket(_family(there), socket.SOCK_DGRAM) as tried:
            tried.connect((there, DNS_PORT))
            return ip_address(tried.getsockname()[0])
    except OSError:
        return None


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def kind_of(number: int, otherwise: Kind) -> Kind:
    """Return what is spoken on a port, as `dnslb probe` has it."""
    return next((kind for kind, known in PORTS.items() if known == number), otherwise)


def _words(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]


def _is_address(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True


def _address(word: str) -> Address:
    try:
        return values.address(word)
    except ValueError as error:
        raise ValueError(f"{word}: {error}") from None
