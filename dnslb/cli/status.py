"""`dnslb status` and `dnslb pool`."""

from operator import add
from typing import Any

import click

from dnslb.cli import known
from dnslb.cli.countdown import words
from dnslb.cli.options import Daemon, failure, talks_to_daemon
from dnslb.cli.output import (
    Column,
    age,
    alarm,
    bar,
    cause,
    duration,
    emit,
    emit_json,
    local_time,
    plain,
    service_name,
    share,
    shares_note,
    table,
)
from dnslb.cli.window import words as window_words
from dnslb.control.protocol import Refused

_WORKERS = (Column("WORKER"), Column("GENERATION", right=True), Column("QUERIES", right=True))
_POOLS = (
    Column("POOL"),
    Column("MEMBERS", right=True),
    Column("PUBLISHED", right=True),
    Column("HEALTHY WEIGHT", right=True),
    Column("PANIC"),
)
_MEMBERS = (
    Column("MEMBER"),
    Column("ADMIN"),
    Column("STATE"),
    Column("VERDICT"),
    Column("PUBLISHED"),
    Column("SHARE", right=True),
    Column("SINCE"),
)
_SERVICES = (
    Column("SERVICE"),
    Column("TYPE"),
    Column("POOL"),
    Column("RECORDS", right=True),
    Column("TTL", right=True),
)
_GROUP = Column("GROUP")  # where a member has one
_ONE_POOL = (
    Column("MEMBER"),
    Column("ADMIN"),
    Column("STATE"),
    Column("VERDICT"),
    Column("PUBLISHED"),
    Column("WEIGHT", right=True),
    Column("SHARE", right=True),
    Column(" " * 10),
    Column("TIER", right=True),
    _GROUP,
    Column("SINCE"),
    Column("ADDRESSES"),
)


@click.command
@talks_to_daemon
def status(daemon: Daemon, *, as_json: bool) -> None:
    """Show pools, members, services and workers.

    Example: dnslb status
    """
    found = daemon.ask("status")
    if as_json:
        emit_json(found)
        return
    emit("\n\n".join(_status(found)))


@click.command
@click.argument("name", required=False, shell_complete=known.pools)
@talks_to_daemon
def pool(daemon: Daemon, name: str | None, *, as_json: bool) -> None:
    """Show one pool: each member, and why it is published or not. Without NAME, list the pools.

    Example: dnslb pool inbound
    """
    pools = daemon.ask("status")["pools"]
    if name is not None and name not in pools:
        raise failure(_no_such_pool(name, pools))
    if as_json:
        emit_json(pools if name is None else pools[name])
        return
    emit(_pools(pools) if name is None else _one_pool(name, pools[name]))


def _status(found: dict[str, Any]) -> list[str]:
    listen = f", listens on {', '.join(found['listen'])}" if "listen" in found else ""
    head = f"dnslb {found['version']}, generation {found['generation']}, up for {duration(found['uptime_s'])}{listen}"
    members = {
        f"{name}/{member}": facts for name, of in found["pools"].items() for member, facts in of["members"].items()
    }
    return [
        head,
        *_state_banners(found),
        *_banners(found["pools"]),
        *_windows(members),
        _pools(found["pools"]),
        _members(members),
        table(_SERVICES, (_service(key, facts) for key, facts in found["services"].items())),
        _workers(found),
        _resolvers(found["resolvers"]),
    ]


def _state_banners(found: dict[str, Any]) -> list[str]:
    reason = found.get("state_failing")
    return [alarm(f"NOT KEPT: {plain(reason)}. Answers and probes go on, changes are refused.")] if reason else []


def _resolvers(found: dict[str, Any]) -> str:
    """Return who asks, and how far shares are off by that."""
    if not found["enough"]:
        return f"Resolvers: too few queries lately ({found['queries_seen']}) to tell how far shares may be off."
    number, largest = found["prefixes_at_least"], found["largest"][0]
    least = "at least " if found["uncounted_at_most"] else ""
    part = f"{share(largest['share'])} of the queries ({largest['prefix']})"
    who = f"Resolvers: {least}{number} network{'s' * (number != 1)}, the largest with {part}."
    return "\n".join([who, *_expected(found["expected_share_error"])])


def _expected(errors: dict[str, Any]) -> list[str]:
    """Return the error of the service whose shares are off most."""
    if not errors:
        return []
    name, worst = max(errors.items(), key=lambda item: item[1]["after_15m"])
    whose = f" of {plain(name)}" if len(errors) > 1 else ""
    about = f"{100 * worst['after_15m']:.1f} points (TTL {worst['ttl']} s)"
    return [f"Going by queries, shares{whose} after 15 min are off by about {about}."]


def _windows(members: dict[str, Any]) -> list[str]:
    """Return the planned drains as one paragraph, if there are any."""
    planned = [
        f"{plain(name)} {window_words(facts['window'])}." for name, facts in members.items() if facts.get("window")
    ]
    return ["\n".join(planned)] if planned else []


def _workers(found: dict[str, Any]) -> str:
    rows = [(f"pid {worker['pid']}", worker["generation"], worker["queries"]) for worker in found["workers"]]
    return "\n".join([table(_WORKERS, rows), *_steering(found)])


def _steering(found: dict[str, Any]) -> list[str]:
    """Return whether resolvers keep their workers, if there are several."""
    if len(found["workers"]) == 1:
        return []
    if found["steering"] == "source":
        return ["\nEach resolver keeps its worker."]
    return [f"\nA resolver's queries come to any worker ({plain(found['steering_reason'])}): shares are less even."]


def _banners(pools: dict[str, Any]) -> list[str]:
    panics = [_banner(name, facts) for name, facts in pools.items() if facts["panic"]]
    return panics + [_held(name, facts["held_until"]) for name, facts in pools.items() if facts.get("held_until")]


def _held(name: str, until: str) -> str:
    return alarm(
        f"Half of pool {plain(name)} or more fails at once, which may be the fault of this prober: who is still in its"
        f" answers stays in them until {local_time(until)}."
    )


def _banner(name: str, facts: dict[str, Any]) -> str:
    if facts.get("suspect"):
        return alarm(
            f"PANIC in pool {plain(name)}: all members fail in the same way ({facts['suspect']}), so the question is"
            " suspect and not they: all of them stay in the answers."
        )
    return alarm(
        f"PANIC in pool {plain(name)}: only {facts['healthy_weight']} of its weight of {facts['total_weight']} is"
        " healthy. Health is ignored, and mail goes to members that may not work."
    )


def _pools(pools: dict[str, Any]) -> str:
    return table(_POOLS, (_pool(name, facts) for name, facts in pools.items()))


def _pool(name: str, facts: dict[str, Any]) -> tuple[object, ...]:
    members = facts["members"].values()
    published = sum(member["published"] for member in members)
    weight = f"{facts['healthy_weight']} of {facts['total_weight']}"
    return (name, len(members), published, weight, "PANIC" if facts["panic"] else "no")


def _members(members: dict[str, Any]) -> str:
    """Return a line for each member, and below it how far its drain has come."""
    lines = table(_MEMBERS, (_member(*item) for item in members.items())).splitlines()
    below = ("\n    " + words(facts["drain"]) if facts["drain"] else "" for facts in members.values())
    return "\n".join([lines[0], *map(add, lines[1:], below)])


def _member(name: str, facts: dict[str, Any]) -> tuple[object, ...]:
    words = (facts["admin"], facts["state"], facts["verdict"], _yes(value=facts["published"]))
    return (name, *words, share(facts["share"]), age(facts["since"]))


def _service(key: str, facts: dict[str, Any]) -> tuple[object, ...]:
    name = service_name(key, facts)
    least, most = facts["ttl_min"], facts["ttl_max"]
    ttl = f"{facts['ttl']} s" + (f" ({least} to {most})" if least < most else "")
    return (name, facts["type"], facts["pool"], facts.get("records", ""), ttl)


def _one_pool(name: str, facts: dict[str, Any]) -> str:
    groups = any(member.get("group") for member in facts["members"].values())
    columns = [column for column in _ONE_POOL if groups or column is not _GROUP]
    lines = table(columns, (_full_member(*item, groups=groups) for item in facts["members"].items())).splitlines()
    best = min((member["tier"] for member in facts["members"].values() if member["share"]), default=None)
    reasons = ["\n    ".join([_why(member, best), *_notes(member)]) for member in facts["members"].values()]
    head = f"pool {plain(name)}: {facts['healthy_weight']} of its weight of {facts['total_weight']} is healthy"
    head += " (a group counts whole or not at all)" if groups else ""
    rows = [f"{line}\n    {why}" for line, why in zip(lines[1:], reasons, strict=True)]
    foot = [f"\n{shares_note(of, facts['policy'])}" for of in _shares_of(facts)]
    return "\n".join([*(_banners({name: facts}) or [head]), "", lines[0], *rows, *foot])


def _shares_of(facts: dict[str, Any]) -> set[str]:
    """Return the service that the members' shares are those of, if there is one."""
    return {member["share_of"] for member in facts["members"].values() if member.get("share_of")}


def _full_member(name: str, facts: dict[str, Any], *, groups: bool) -> tuple[object, ...]:
    effective, configured = facts["effective_weight"], facts["weight"]
    weight = f"{effective}" if effective == configured else f"{effective} ({configured})"
    words = (facts["admin"], facts["state"], facts["verdict"], _yes(value=facts["published"]))
    shares = (share(facts["share"]), bar(facts["share"]))
    group = [facts.get("group") or ""] if groups else []
    return (name, *words, weight, *shares, facts["tier"], *group, age(facts["since"]), " ".join(facts["addresses"]))


def _why(facts: dict[str, Any], best: int | None) -> str:
    """Return why a member is published or not, and what its last probe said; `best` is the tier that gets the mail."""
    where = "published" if facts["published"] else "not published"
    if facts["published"] and not facts["share"] and best is not None and facts["tier"] > best:
        where += f", with no share while tier {best} is there"
    because = cause(facts)
    return f"{where}: {because}" if because else where


def _notes(facts: dict[str, Any]) -> list[str]:
    window = [window_words(facts["window"])] if facts.get("window") else []
    drain = [words(facts["drain"])] if facts["drain"] else []
    return window + drain + [f"warning: {plain(text)}" for text in facts.get("warnings", ())]


def _yes(*, value: bool) -> str:
    return "yes" if value else "no"


def _no_such_pool(name: str, pools: dict[str, Any]) -> Refused:
    from dnslb.control.commands import no_such_pool  # noqa: PLC0415 -- only after a mistake

    return no_such_pool(name, pools)
