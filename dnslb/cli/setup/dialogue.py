"""The questions: what options do not say is asked for, where somebody can be asked, and checked at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import fill
from typing import TypeVar

import click

from dnslb.cli.probe.waiting import waiting
from dnslb.cli.setup import reading
from dnslb.cli.setup.draft import Draft, Host, Servers, Use, named
from dnslb.config import Endpoint

T = TypeVar("T")

_WIDTH = 72
"""Beside click's "Error: "."""

_WELCOME = """\
dnslb setup writes a first configuration: a few questions, and two files at the end.
Enter takes what stands in brackets. Ctrl-C ends it, and nothing is written.

What is dnslb to do?
  1  mail from the world: the MX record of your domain points at a name here
  2  mail from your applications: they send to a name here
  3  both"""
_ZONE = """
dnslb gets a zone of its own, below your domain: it answers for all names in it."""
_NAME_SERVERS = """
Two name servers answer for the zone: this machine, and a second one that has the
same files. Their addresses, with commas; NAME=ADDRESS if ns1 is not its name."""
_NAT = """
{address} is no address of this machine: it is behind a router that forwards
port 53 (UDP and TCP) to it, then."""
_INBOUND = """
The servers that take mail for {domain}: a host name, an address, or
NAME=ADDRESS,ADDRESS. One a line; Enter ends the list."""
_RELAY = """
The relays that take mail from applications, in the same way."""
_SAME = "Enter at once: the same servers."
_RELAY_PORT = "Ports of relays: 587 (with STARTTLS), 465 (TLS at once), or 25."
_NOT_GLOBAL = "Note: {address} can be reached from your own networks only, and not by the world."


@dataclass(frozen=True, slots=True)
class Said:
    """What the options say, as it was typed; None or () for what they do not."""

    use: str | None
    zone: str | None
    domain: str | None
    name_servers: tuple[str, ...]
    listen: str | None
    members: tuple[str, ...]
    port: str | None
    relays: tuple[str, ...]
    relay_port: str | None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Somebody who can be asked, or nobody: then only options and what is usual count."""

    asking: bool

    def tell(self, text: str) -> None:
        """Show a text to who is asked."""
        if self.asking:
            click.echo(text, err=True)

    def ask(
        self, option: str, question: str, read: Callable[[str], T], said: str | None, usual: str | None = None
    ) -> T:
        """Return the answer as `read` understands it, by option, by asking until it is right, or as usual.

        Raise click.UsageError if the option is wrong, or missing where nobody can be asked.
        """
        if said is None and self.asking:
            return _asked(question, read, usual)
        text = usual if said is None else said
        if text is None:
            raise click.UsageError(f"{option} is missing")
        try:
            return read(text)
        except ValueError as error:
            raise click.UsageError(f"{option}: {error}") from None


def draft_of(said: Said, dialogue: Dialogue) -> Draft:
    """Return all that the configuration is made of."""
    if not dialogue.asking:
        _check_complete(said)
    dialogue.tell(_WELCOME)
    use = dialogue.ask("--use", "Your choice", reading.use, said.use, "1")
    dialogue.tell(_ZONE)
    zone = dialogue.ask("--zone", "Zone (as lb.example.org)", lambda text: reading.zone(text, use), said.zone)
    domain = "" if use is Use.RELAY else _domain(said, dialogue, zone)
    name_servers = _name_servers(said, dialogue, zone, use)
    listen = _listen(said, dialogue, name_servers[0])
    inbound = None if use is Use.RELAY else _inbound(said, dialogue, domain)
    relay = None if use is Use.MAIL else _relay(said, dialogue, inbound)
    return Draft(zone, domain, name_servers, listen, inbound, relay)


def _check_complete(said: Said) -> None:
    needed = {
        "--use": said.use,
        "--zone": said.zone,
        "--ns": said.name_servers,
        "--member": said.members or said.relays,
    }
    if lacking := [option for option, value in needed.items() if not value]:
        raise click.UsageError(f"nobody is asked here, and an option says nothing of {', '.join(lacking)}")


def _asked(question: str, read: Callable[[str], T], usual: str | None, *, shown: bool = True) -> T:
    def understood(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise click.UsageError(fill(str(error), _WIDTH, break_on_hyphens=False)) from None

    answer: T = click.prompt(question, default=usual, show_default=shown, value_proc=understood, err=True)
    return answer


def _domain(said: Said, dialogue: Dialogue, zone: str) -> str:
    usual = zone.partition(".")[2]
    return dialogue.ask(
        "--domain", "Mail for which domain?", lambda text: reading.domain(text, zone), said.domain, usual
    )


def _name_servers(said: Said, dialogue: Dialogue, zone: str, use: Use) -> tuple[Host, ...]:
    dialogue.tell(_NAME_SERVERS)
    found: list[Host] = []
    for text in said.name_servers:
        found.append(dialogue.ask("--ns", "", partial(_name_server, found, zone), text))
    if not found:
        usual = ",".join(map(str, reading.own_addresses())) or None
        found.append(dialogue.ask("--ns", "This name server", partial(_name_server, (), zone), None, usual))
        for address in found[0].addresses:
            if use is not Use.RELAY and not address.is_global:
                dialogue.tell(_NOT_GLOBAL.format(address=address))
        if second := _second(found, zone):
            found.append(second)
    servers = named(found, "ns")
    return tuple(host if "." in host.name else Host(f"{host.name}.{zone}", host.addresses) for host in servers)


def _second(found: Sequence[Host], zone: str) -> Host | None:
    def read(text: str) -> Host | None:
        return _name_server(found, zone, text) if text else None

    return _asked("The second one (Enter: none yet)", read, "", shown=False)


def _name_server(others: Sequence[Host], zone: str, text: str) -> Host:
    return reading.another(others, reading.name_server(text, zone))


def _listen(said: Said, dialogue: Dialogue, here: Host) -> tuple[Endpoint, ...]:
    away = [address for address in here.addresses if not reading.is_here(address)]
    if said.listen is None and not away:
        return tuple(map(reading.endpoint_of, here.addresses))
    if said.listen is None:
        dialogue.tell(_NAT.format(address=away[0]))
    usual = ",".join(map(str, reading.own_addresses())) or None
    return dialogue.ask("--listen", "Address to listen on", reading.listen, said.listen, usual)


def _inbound(said: Said, dialogue: Dialogue, domain: str) -> Servers:
    dialogue.tell(_INBOUND.format(domain=domain))
    members = _members("--member", "mx", said.members, dialogue)
    port = dialogue.ask("--port", "Their port", reading.port, said.port, "25")
    return Servers(members, port)


def _relay(said: Said, dialogue: Dialogue, inbound: Servers | None) -> Servers:
    dialogue.tell(_RELAY)
    if inbound:
        dialogue.tell(_SAME)
    typed = said.relays if inbound else said.relays or said.members
    members = _members(
        "--relay" if inbound else "--member", "relay", typed, dialogue, inbound.members if inbound else ()
    )
    dialogue.tell(_RELAY_PORT)
    port = dialogue.ask("--relay-port", "Their port", reading.port, said.relay_port, "587")
    return Servers(members, port)


def _members(
    option: str, stem: str, typed: tuple[str, ...], dialogue: Dialogue, usual: tuple[Host, ...] = ()
) -> tuple[Host, ...]:
    """Return the servers of options, or those typed until a line is empty; the `usual` ones if there are none."""
    found: list[Host] = []
    for text in typed:
        found.append(dialogue.ask(option, "", partial(_member, found), text))
    if not typed and dialogue.asking:
        while new := _next(found, stem, may_end=bool(found or usual)):
            found.append(new)
    if not found and not usual:
        dialogue.ask(option, "", reading.member, None)
    return named(found, stem) or usual


def _next(found: list[Host], stem: str, *, may_end: bool) -> Host | None:
    """Ask for one more server; show what was found by its name."""

    def read(text: str) -> Host | None:
        return _member(found, text) if text else None

    new = _asked(f"Server {len(found) + 1}", read, "" if may_end else None, shown=False)
    if new:
        name = named([*found, new], stem)[-1].name
        click.echo(f"  {name}: {', '.join(map(str, new.addresses))}", err=True)
    return new


def _member(others: Sequence[Host], text: str) -> Host:
    with waiting(f"the addresses of {text}"):
        return reading.another(others, reading.member(text))
