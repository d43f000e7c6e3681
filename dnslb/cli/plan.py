"""`dnslb plan`: what changes would do."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import reduce
from typing import Any

import click

from dnslb.cli import known
from dnslb.cli.member import Target, TargetType
from dnslb.cli.options import Daemon, talks_to_daemon
from dnslb.cli.output import (
    Column,
    ReaderGone,
    alarm,
    bar,
    emit,
    emit_json,
    plain,
    service_name,
    share,
    shares_note,
    table,
)

_MAX = 65_535
_ADMIN = ("drain", "ready", "maint")
_MEMBERS = (
    Column(" "),
    Column("MEMBER"),
    Column("NOW", right=True),
    Column(" " * 10),
    Column("AFTER", right=True),
    Column(" " * 10),
    Column("WHY"),
)
_SERVICES = (
    Column(" "),
    Column("SERVICE"),
    Column("TYPE"),
    Column("TTL NOW", right=True),
    Column("AFTER", right=True),
    Column("NEW CONNECTIONS AFTER"),
)


class _WeightType(click.ParamType[dict[str, Any]]):
    """POOL/MEMBER=N: a weight that a member would get."""

    name = "POOL/MEMBER=N"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Return the change that is meant; fail with an example of how to write one."""
        place, _equals, number = str(value).rpartition("=")
        weight = None if number == "default" else _integer(number, 0)
        if not place or (weight is None and number != "default"):
            self.fail(
                f"{value!r} is not POOL/MEMBER=N, N from 0 to {_MAX} or 'default': write inbound/mx1=30", param, ctx
            )
        return _change("weight", TargetType().convert(place, param, ctx), weight=weight)


class _AddedType(click.ParamType[dict[str, Any]]):
    """POOL/NAME=WEIGHT or POOL/NAME=WEIGHT@TIER: a member that there would be."""

    name = "POOL/NAME=WEIGHT[@TIER]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Return the change that is meant; fail with an example of how to write one."""
        place, _equals, numbers = str(value).rpartition("=")
        found = re.fullmatch(r"([0-9]+)(?:@([0-9]+))?", numbers)
        weight, tier = (_integer(found[1], 0), _integer(found[2] or "1", 1)) if found else (None, None)
        if not place or weight is None or tier is None:
            self.fail(
                f"{value!r} is not POOL/NAME=WEIGHT or POOL/NAME=WEIGHT@TIER, each at most {_MAX}:"
                " write inbound/mx4=50 or inbound/mx4=50@2",
                param,
                ctx,
            )
        return _change("add", TargetType().convert(place, param, ctx), weight=weight, tier=tier)


def _integer(text: str, low: int) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) and low <= int(text) <= _MAX else None


def _change(step: str, target: Target, **more: int | None) -> dict[str, Any]:
    return {"step": step, "pool": target.pool, "member": target.member, **more}


def _steps(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each step, each as often as one likes."""
    texts = {
        "drain": "Were it drained: out of the answers while a better one is left.",
        "ready": "Were it ready again: the probes decide.",
        "maint": "Were it in maintenance.",
        "down": "Were it down, as far as probes can tell.",
    }
    options = [
        click.option(
            f"--{step}",
            multiple=True,
            type=TargetType(),
            metavar="POOL/MEMBER",
            shell_complete=known.members,
            help=text,
        )
        for step, text in texts.items()
    ]
    weight = click.option(
        "--weight",
        multiple=True,
        type=_WeightType(),
        metavar="POOL/MEMBER=N",
        shell_complete=known.weights,
        help="Had it another weight; 'default' for the configured one.",
    )
    add = click.option(
        "--add",
        multiple=True,
        type=_AddedType(),
        metavar="POOL/NAME=WEIGHT[@TIER]",
        help="Were there one more member, and it up.",
    )
    return reduce(lambda decorated, option: option(decorated), reversed([*options, weight, add]), command)


@click.command
@_steps
@talks_to_daemon
def plan(daemon: Daemon, *, as_json: bool, **steps: tuple[Any, ...]) -> None:
    """Show what changes would do: shares, panic and answers, now and after. Nothing is changed.

    Give any mix of changes, each as often as you like. The exit status is 1 if a pool that is not in panic now would
    panic, so that a script can ask before it acts.

    \b
    Example: dnslb plan --drain inbound/mx1
             dnslb plan --drain inbound/mx1 --down inbound/mx2 --weight inbound/mx3=50
             dnslb plan --add inbound/mx4=50 --add inbound/spare2=10@2
    """  # noqa: D301 -- click's mark for a paragraph to be left as it is
    changes = list(_changes(steps))
    if not changes:
        raise click.UsageError("A plan needs a change, for example --drain inbound/mx1.")
    _refuse_twice(changes)
    found = daemon.ask("plan", {"changes": changes})
    with suppress(ReaderGone):
        emit_json(found) if as_json else emit("\n\n".join(_told(found)))
    if found["panics"]:
        raise click.exceptions.Exit(1)


def _changes(steps: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    yield from steps["add"]
    yield from steps["weight"]
    for step in (*_ADMIN, "down"):
        yield from (_change(step, target) for target in steps[step])


def _refuse_twice(changes: Iterable[dict[str, Any]]) -> None:
    """Refuse two words on the same thing: options have no order that would say which one is the last."""
    words = Counter(
        (change["pool"], change["member"], "state" if change["step"] in _ADMIN else change["step"])
        for change in changes
    )
    for (pool, member, about), times in words.items():
        if times > 1:
            what = "--drain, --ready or --maint" if about == "state" else f"--{about}"
            raise click.UsageError(f"{pool}/{member} has {what} {times} times: one of them is enough.")


def _told(found: dict[str, Any]) -> Iterator[str]:
    yield "Nothing has been changed: this is what would happen."
    touched = dict.fromkeys(change["pool"] for change in found["changes"])
    for pool in touched:
        changes = [change for change in found["changes"] if change["pool"] == pool]
        yield _pool(pool, found["before"][pool], found["after"][pool], changes)
    for pool in found["panics"]:
        after = found["after"][pool]
        yield alarm(
            f"This would PANIC pool {plain(pool)}: only {after['healthy_weight']} of its weight of"
            f" {after['total_weight']} would be healthy. {_in_panic(after)}"
        )


def _in_panic(after: dict[str, Any]) -> str:
    if any(member["published"] for member in after["members"].values()):
        return "Health would be ignored, and mail would go to members that may not work."
    return "Queries would get SERVFAIL."


def _pool(name: str, before: dict[str, Any], after: dict[str, Any], changes: list[dict[str, Any]]) -> str:
    rows = [
        _member(member, before["members"].get(member), facts, [c for c in changes if c["member"] == member])
        for member, facts in after["members"].items()
    ]
    head = (
        f"pool {plain(name)}: healthy weight {_weights(before)} now, {_weights(after)} after;"
        f" panic: {_panic(before)} now, {_panic(after)} after"
    )
    parts = [head, _marked(_MEMBERS, rows)]
    if after["share_of"]:
        parts.append(f"  {shares_note(after['share_of'], after['policy'])}")
    if after["services"]:
        services = [_service(key, before["services"][key], facts) for key, facts in after["services"].items()]
        parts += ["", _marked(_SERVICES, services), f"  {_until(before, after)}"]
    return "\n".join(parts)


def _weights(pool: dict[str, Any]) -> str:
    return f"{pool['healthy_weight']} of {pool['total_weight']}"


def _panic(pool: dict[str, Any]) -> str:
    return "YES" if pool["panic"] else "no"


def _marked(columns: tuple[Column, ...], rows: list[tuple[object, ...]]) -> str:
    """Return a table whose rows that begin with a mark are bold."""
    heading, *lines = table(columns, rows).splitlines()
    shown = [click.style(line, bold=True) if row[0] else line for row, line in zip(rows, lines, strict=True)]
    return "\n".join([heading, *shown])


def _member(
    name: str, before: dict[str, Any] | None, after: dict[str, Any], changes: list[dict[str, Any]]
) -> tuple[object, ...]:
    steps = ", ".join(map(_step, changes))
    rule = after["rule"]
    different = before is None or any(before[key] != after[key] for key in ("published", "share"))
    return (
        "*" if different or steps else "",
        name,
        *_share(before),
        *_share(after),
        f"{steps}: {rule}" if steps else rule,
    )


def _share(member: dict[str, Any] | None) -> tuple[str, str]:
    if member is None:
        return "", ""
    if not member["published"]:
        return "out", ""
    return share(member["share"]), bar(member["share"])


def _step(change: dict[str, Any]) -> str:
    weight = change["weight"]
    words = {
        "add": f"added with weight {weight} in tier {change['tier']}",
        "weight": f"weight {'as configured' if weight is None else weight}",
    }
    return words.get(change["step"], str(change["step"]))


def _service(key: str, before: dict[str, Any], after: dict[str, Any]) -> tuple[object, ...]:
    shares = [f"{member} {share(part)}" for member, part in after["shares"].items()]
    name = service_name(key, after)
    ttls = (f"{before['ttl']} s", f"{after['ttl']} s")
    return ("*" if before != after else "", name, after["type"], *ttls, ", ".join(shares) or "SERVFAIL")


def _until(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return for how long what is answered now would still be used."""
    if all(facts == after["services"][key] for key, facts in before["services"].items()):
        return "No answer would change."
    # What was given out a moment ago may have had a longer one than what is given out now.
    ttl = max(facts["ttl_max"] for facts in before["services"].values())
    return f"Resolvers would go on with the answers of now for up to {ttl} s."
