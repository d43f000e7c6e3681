"""`dnslb ready`, `maint` and `weight`: what people say of one member (`drain` has a module of its own)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from dnslb.cli import known
from dnslb.cli.countdown import words as countdown_words
from dnslb.cli.options import Daemon, talks_to_daemon
from dnslb.cli.output import cause, emit, emit_json, plain, share
from dnslb.cli.window import span, words
from dnslb.control.protocol import MAX_REASON

_MAX_WEIGHT = 65_535


@dataclass(frozen=True, slots=True)
class Target:
    """A member as a person types it."""

    pool: str
    member: str

    def __str__(self) -> str:
        return f"{self.pool}/{self.member}"


class TargetType(click.ParamType[Target]):
    """POOL/MEMBER."""

    name = "POOL/MEMBER"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        """Return the member that is meant; fail with an example of how to write one."""
        # A member's name is a DNS label and has no slash.
        pool, _slash, member = str(value).rpartition("/")
        if not pool or not member:
            self.fail(f"{value!r} is not POOL/MEMBER: write {_meant(str(value), ctx)}", param, ctx)
        return Target(pool, member)


def _meant(word: str, ctx: click.Context | None) -> str:
    """Return what somebody may have meant who left out the pool."""
    found = known.named(ctx, word) if ctx else []
    return " or ".join(found) or "for example inbound/mx1"


class _WeightType(click.ParamType[int | None]):
    """A weight, or the word for the configured one (None)."""

    name = "N|default"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value == "default":
            return None
        # Not str.isdigit: it takes digits that int does not.
        if not str(value).isdecimal() or not 0 <= int(str(value)) <= _MAX_WEIGHT:
            self.fail(f"{value!r} is neither an integer from 0 to {_MAX_WEIGHT} nor 'default'", param, ctx)
        return int(str(value))


class _ReasonType(click.ParamType[str]):
    """A reason that others can read in one line."""

    name = "TEXT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the reason; fail with what it may be."""
        text = str(value)
        if len(text) > MAX_REASON or not text.isprintable():
            self.fail(f"write one line of at most {MAX_REASON} characters, all of them printable", param, ctx)
        return text


target_argument = click.argument("target", type=TargetType(), metavar="POOL/MEMBER", shell_complete=known.members)
reason_option = click.option(
    "--reason", type=_ReasonType(), default="", metavar="TEXT", help="Why: others see it in `dnslb events`."
)


def _changes_member(command: Callable[..., None]) -> Callable[..., None]:
    return click.command(target_argument(reason_option(talks_to_daemon(command))))


@_changes_member
def maint(daemon: Daemon, target: Target, *, reason: str, as_json: bool) -> None:
    """Take a member out of the answers while any other is left.

    Unlike a drained one, a member in maintenance is not used while any other is left, not even one that is down.

    Example: dnslb maint inbound/mx1 --reason "disk replaced"
    """
    _set_admin(daemon, target, "maint", reason, as_json=as_json)


@_changes_member
def ready(daemon: Daemon, target: Target, *, reason: str, as_json: bool) -> None:
    """Put a member back: from now on its probes decide.

    Example: dnslb ready inbound/mx1
    """
    _set_admin(daemon, target, "ready", reason, as_json=as_json)


@click.command
@target_argument
@click.argument("weight", type=_WeightType(), metavar="N|default")
@reason_option
@talks_to_daemon
def weight(daemon: Daemon, target: Target, weight: int | None, *, reason: str, as_json: bool) -> None:
    """Change a member's weight until further notice.

    N is 0 to 65535, in proportion to the other members' weights; with 0 the member is not published. "default" goes
    back to the configured weight. The weight is remembered over restarts.

    \b
    Example: dnslb weight inbound/mx1 10
             dnslb weight inbound/mx1 default
    """  # noqa: D301 -- click's mark for a paragraph to be left as it is
    args = {"pool": target.pool, "member": target.member, "weight": weight, "reason": reason}
    result = daemon.ask("weight", args)
    if as_json:
        emit_json(result)
        return
    place = _place(result, just_taken_out=False)
    emit(f"{target} has weight {_weight(daemon, target, weight, result)}: {place}.")
    _say_window(result)


def _set_admin(daemon: Daemon, target: Target, state: str, reason: str, *, as_json: bool) -> None:
    result = daemon.ask("admin", admin_args(target, state, reason))
    if as_json:
        emit_json(result)
    else:
        say_admin(daemon, target, result)


def say_admin(daemon: Daemon, target: Target, result: dict[str, Any]) -> None:
    """Tell what a new admin state has changed."""
    emit(sentence(target, result))
    if result.get("cancelled"):
        emit(f"Its window at {span(result['cancelled'])} is cancelled.")
    _say_window(result)
    if result["admin"] != "ready" and not result["published"]:
        emit(caution(target, result, daemon.ask("status")))
    warn(result)


def _say_window(result: dict[str, Any]) -> None:
    """Tell of a window that is not changed by what was said."""
    if result.get("window"):
        emit(f"Its window stays: it {words(result['window'])}.")


def warn(result: dict[str, Any]) -> None:
    """Tell, apart from the facts, what is wrong with a change that was made."""
    for text in result.get("warnings", ()):
        click.echo(f"Warning: {plain(text)}", err=True)


def admin_args(target: Target, state: str, reason: str) -> dict[str, str]:
    """Return what the daemon is asked for."""
    return {"pool": target.pool, "member": target.member, "state": state, "reason": reason}


def _weight(daemon: Daemon, target: Target, wanted: int | None, member: dict[str, Any]) -> str:
    """Return the weight that a member has now, and as how much it counts where that is not the same."""
    has, counts = member["weight"] if wanted is None else wanted, member["effective_weight"]
    words = f"{has} now" + (" (the configured one)" if wanted is None else "")
    if counts == has:
        return words
    why = _why_less(daemon.ask("status")["pools"][target.pool]["policy"], member)
    return f"{words}, and counts as {counts}" + (f" ({why})" if why else "")


def _why_less(policy: str, member: dict[str, Any]) -> str:
    """Return why a weight does not count as it is, "" where the rule of the member tells of something else."""
    if policy == "round-robin":
        return "in a round-robin pool all weights but 0 count as 1"
    return cause(member) if member["published"] else ""


def sentence(target: Target, member: dict[str, Any]) -> str:
    """Return what is now true."""
    what = {"drain": "drained", "maint": "in maintenance", "ready": "ready"}[member["admin"]]
    expected = (member["admin"] == "ready") is member["published"]
    return f"{target} is {what}{':' if expected else ', but'} {_place(member)}."


def _place(member: dict[str, Any], *, just_taken_out: bool = True) -> str:
    """Return where a member stands in the answers, and why if the rule is known.

    The command that has just taken it out is reason enough.
    """
    generation = f" (generation {member['generation']})"
    why = cause(member)
    because = f": {why}" if why else ""
    if not member["published"]:
        if just_taken_out and member["admin"] != "ready":
            return f"no longer in answers{generation}"
        return f"not in answers{generation}{because}"
    if member["admin"] != "ready":
        return f"it stays in answers{generation}{because or ', as nothing better is left'}"
    although = "" if member["state"] == "up" else f", although it is {member['state']}"
    through = f" through {plain(member['share_of'])}" if member.get("share_of") else ""
    return f"in answers with a share of {share(member['share'])}{through}{although}{generation}"


def caution(target: Target, member: dict[str, Any], status: dict[str, Any]) -> str:
    """Return for how long the member may still be asked for mail: what is counted down, or all that TTLs allow."""
    ttls = [service["ttl_max"] for service in status["services"].values() if service["pool"] == target.pool]
    if not ttls:
        return "No service uses its pool: no answer of dnslb names it."
    if member["drain"] is not None:
        keep = "" if member["drain"]["safe_to_stop"] else " Keep it running: mail in flight may take longer."
        return f"It is {countdown_words(member['drain'])}.{keep}"
    return (
        f"Resolvers may send to it for up to {max(ttls)} s more, and mail in flight may take longer: keep it running."
    )
