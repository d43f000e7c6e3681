"""`dnslb explain`: why a name is answered as it is, and what clients make of it."""

import textwrap
from collections.abc import Iterator
from typing import Any

import click

from dnslb.cli import known
from dnslb.cli.options import Daemon, talks_to_daemon
from dnslb.cli.output import Column, alarm, bar, cause, emit, emit_json, plain, share, table
from dnslb.wire import name as domain

_LISTED = 8
"""So many kinds of variants are shown at most."""
_TIMEOUT = 60.0
"""In seconds: a thousand members in every order take some."""
_MEMBERS = (
    Column("MEMBER"),
    Column("IN"),
    Column("SHARE", right=True),
    Column(" " * 10),
    Column("IN ANSWERS", right=True),
    Column("WEIGHT", right=True),
    Column("TIER", right=True),
    Column("ADMIN"),
    Column("STATE"),
    Column("VERDICT"),
)


class _NameType(click.ParamType[str]):
    """A domain name."""

    name = "NAME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; fail with what is wrong with it."""
        try:
            domain.from_text(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class _RecordType(click.ParamType[str]):
    """A record type, as A or MX."""

    name = "TYPE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the type; fail with an example."""
        from dnslb.wire.rdata import type_number  # noqa: PLC0415 -- only where a type is given: dnslib is slow to import

        try:
            type_number(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class _ClientType(click.ParamType[str]):
    """An address with or without the length of its subnet's prefix."""

    name = "ADDRESS[/PREFIX]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the address; fail with an example."""
        from ipaddress import ip_interface  # noqa: PLC0415 -- only where a client is given

        try:
            ip_interface(str(value))
        except ValueError:
            self.fail(f"{value!r} is no address: write for example 192.0.2.7 or 192.0.2.7/26", param, ctx)
        return str(value)


@click.command
@click.argument("name", type=_NameType(), metavar="NAME", shell_complete=known.services)
@click.argument("rtype", type=_RecordType(), metavar="[TYPE]", required=False)
@click.option(
    "--client",
    type=_ClientType(),
    metavar="ADDRESS[/PREFIX]",
    help="What a client with this address makes of the answer; its subnet is a /24 or /64 if you do not say.",
)
@talks_to_daemon
def explain(daemon: Daemon, name: str, rtype: str | None, client: str | None, *, as_json: bool) -> None:
    """Show why NAME is answered as it is, and what mail servers and applications do with that.

    For a service: each member, in or out and why, with its share; the records as they are given out now; and whom
    Postfix, Exim, OpenSMTPD and a client of getaddrinfo try first. For any other name: what is answered, and why.
    Without TYPE it is what clients of such a name ask for: A and AAAA, MX, or SRV.

    \b
    Example: dnslb explain mx.lb.example.org
             dnslb explain lb.example.org MX
             dnslb explain mx.lb.example.org --client 10.0.0.7/24
    """  # noqa: D301 -- click's mark for a paragraph to be left as it is
    found = daemon.ask("explain", {"name": name, "type": rtype, "client": client}, _TIMEOUT)
    if as_json:
        emit_json(found)
        return
    emit("\n\n".join(_told(found)))


def _told(found: dict[str, Any]) -> Iterator[str]:
    yield "\n".join(_head(found))
    if found["panic"]:
        yield alarm(
            f"PANIC in pool {plain(found['pool'])}: health is ignored; see `dnslb pool {plain(found['pool'])}`."
        )
    if found["members"]:
        yield "\n".join(_members(found["members"]))
    for answer in found["answers"]:
        yield "\n".join(_answer(answer))
    if found["clients"]:
        yield "\n".join(_clients(found))
    if found["client"]:
        yield "\n".join(_about(found["client"], found["view"]))
    elif found["other_views"]:
        yield f"Clients of {_views(found['other_views'])} may get something else: see --client."


def _head(found: dict[str, Any]) -> Iterator[str]:
    kind = "A and AAAA" if found["type"] == "address" else found["type"]
    yield f"{plain(found['name'])} {plain(kind)}: {plain(found['why'])}."
    if found["service"] is not None:
        number = found["records"]
        yield f"Members in an answer: {number}.{_ttl(found)}"
    elif any(answer["answer"] for answer in found["answers"]):
        yield f"TTL: {found['ttl']} s."
    if found["close"]:
        yield f"Did you mean {' or '.join(map(plain, found['close']))}?"
    if found["other_types"]:
        name, others = plain(found["name"]), list(map(plain, found["other_types"]))
        yield f"The name also has {', '.join(others)}: see `dnslb explain {name} {others[0]}`."


def _ttl(found: dict[str, Any]) -> str:
    if found["ttl"] is None:
        return ""
    least, most = found["ttl_min"], found["ttl_max"]
    between = f" (between {least} and {most})" if least < most else ""
    return f" TTL {found['ttl']} s: {plain(found['ttl_why'])}{between}."


def _members(members: dict[str, Any]) -> Iterator[str]:
    heading, *lines = table(_MEMBERS, (_member(name, facts) for name, facts in members.items())).splitlines()
    yield heading
    for line, facts in zip(lines, members.values(), strict=True):
        yield line
        yield f"    {'in' if facts['in'] else 'out'}: {cause(facts)}"


def _member(name: str, facts: dict[str, Any]) -> tuple[object, ...]:
    effective, configured = facts["effective_weight"], facts["weight"]
    weight = f"{effective}" if effective == configured else f"{effective} ({configured})"
    part = facts["share"] if facts["in"] else 0.0
    words = (facts["admin"], facts["state"], facts["verdict"])
    held = share(facts["in_answers"])
    return (name, "yes" if facts["in"] else "no", share(part), bar(part), held, weight, facts["tier"], *words)


def _answer(answer: dict[str, Any]) -> Iterator[str]:
    yield f"{plain(answer['type'])}{_kind(answer)}"
    yield from _rotation(answer)
    for section in ("answer", "authority"):
        yield from (f"    {plain(line)}" for line in answer[section])


def _kind(answer: dict[str, Any]) -> str:
    if answer["rcode"] != "NOERROR":
        return f": {answer['rcode']}"
    if not answer["answer"]:
        return ": NOERROR, and no such record" if answer["authoritative"] else ": a referral"
    if answer["variants"] > 1:
        when = "by the client's network" if answer["by_source"] else "in turn, for each resolver"
        return f": {answer['variants']} variants {when}"
    return ", the same each time:"


def _rotation(answer: dict[str, Any]) -> Iterator[str]:
    """Yield whom the variants name, or prefer where all name the same, and how often."""
    variants = answer["rotation"]
    if answer["variants"] <= 1:
        return
    if len(variants) > 1:
        named = "members" if len({tuple(each["members"]) for each in variants}) > 1 else "first"
        listed = [f"{' '.join(map(plain, each[named]))} {share(each['part'])}" for each in variants[:_LISTED]]
        rest = f", and {len(variants) - _LISTED} more" if len(variants) > _LISTED else ""
        yield _wrapped(f"{named}: {', '.join(listed)}{rest}")
    yield "    one of them:"


def _clients(found: dict[str, Any]) -> Iterator[str]:
    whose = "this client's" if found["client"] and found["client"]["source"] else "over many resolvers"
    yield f"What clients do with it; the first choice is {whose}:"
    for facts in found["clients"].values():
        yield f"  {plain(facts['title'])}: {_does(facts, found['answers'][0]['type'])}"
        if facts["asks"]:
            yield _wrapped(f"{facts['order']}; {facts['then']}")
        if facts["note"]:
            yield click.style(_wrapped(f"note: {facts['note']}"), fg="yellow")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


def _does(facts: dict[str, Any], rtype: str) -> str:
    if not facts["asks"]:
        return f"does not ask for {plain(rtype)}"
    if not facts["addresses"]:
        return "gets SERVFAIL, which is no bounce: it tries again later"
    if not facts["first"]:
        return "finds no address that it can reach"
    chances = sorted(facts["first"].items(), key=lambda item: -item[1])
    first = ", ".join(f"{plain(member)} {share(chance)}" for member, chance in chances)
    return f"first {first}; tries {_of(facts['tries'], facts['addresses'])}"


def _of(tries: int, addresses: int) -> str:
    if addresses == 1:
        return "the only address"
    return f"{tries} of {addresses} addresses" if tries < addresses else f"all {addresses} addresses"


def _about_place(client: dict[str, Any]) -> str:
    source = client["source"]
    first, then = " or ".join(map(plain, source["first"])), ", ".join(map(plain, source["then"]))
    return (
        f"Client {client['address']} is in {source['network']}, which always gets {first} while published"
        f"{f', and behind that {then}' if then else ''}.\n"
        "What counts is the address that asks: of a client with a resolver elsewhere, it is the resolver's."
    )


def _about(client: dict[str, Any], view: str) -> Iterator[str]:
    if client["view_source"]:
        yield f"Client {client['address']} is in view {plain(view)}, by its source {client['view_source']}."
    elif not client["source"]:
        yield f"Client {client['address']} in {client['subnet']} is in no view: it gets what all others get."
    yield _about_place(client) if client["source"] else "Which of the variants it gets is up to its resolver's turn."


def _views(names: list[str]) -> str:
    *first, last = map(plain, names)
    return f"views {', '.join(first)} and {last}" if first else f"view {last}"
