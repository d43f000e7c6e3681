"""`dnslb drain`: now, at a later time, for a while."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from dnslb.cli.countdown import wait_for_end
from dnslb.cli.countdown import words as countdown_words
from dnslb.cli.member import (
    Target,
    admin_args,
    caution,
    reason_option,
    say_admin,
    sentence,
    target_argument,
    warn,
)
from dnslb.cli.moment import DAYS, WhenType, full
from dnslb.cli.options import Daemon, SpanType, talks_to_daemon
from dnslb.cli.output import ReaderGone, emit, emit_json, plain, remaining
from dnslb.cli.window import span as span_words
from dnslb.cli.window import words as window_words
from dnslb.control.protocol import MAX_SPAN


@dataclass(frozen=True, slots=True)
class _Plan:
    """When a drain is to be: from `at` on, None for now; for `seconds`, None for ever."""

    at: datetime | None
    seconds: float | None
    force: bool

    @property
    def is_window(self) -> bool:
        """Whether it begins later, or ends by itself."""
        return self.at is not None or self.seconds is not None

    def args(self) -> dict[str, Any]:
        """Return what the daemon is asked for."""
        begin = None if self.at is None else self.at.timestamp()
        return {"begin": begin, "seconds": self.seconds, "force": self.force}


@click.command
@target_argument
@reason_option
@click.option("--at", type=WhenType(), help='Begin then: 22:00 (the next), "YYYY-MM-DD 22:00" (Z: UTC), "in 30m".')
@click.option("--for", "seconds", type=SpanType(), metavar="2h", help="Put it back after so long.")
@click.option("--force", is_flag=True, help="With --at or --for: even if too little of the pool is left.")
@click.option("--wait", is_flag=True, help="Return when the member is safe to stop.")
@click.option("--timeout", type=SpanType(), metavar="10m", help="With --wait: give up after so long, with status 1.")
@talks_to_daemon
def drain(  # noqa: PLR0913 -- one for each option
    daemon: Daemon,
    target: Target,
    *,
    reason: str,
    at: datetime | None,
    seconds: float | None,
    force: bool,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Take a member out of the answers; go on probing it.

    Resolvers keep old answers for their TTL, and clients keep connections: keep the server running until `dnslb pool`
    says that it is safe to stop, or let --wait tell you. If no other member is left that can take mail, it stays in
    the answers, and you are told so. The state is remembered over restarts.

    With --at or --for it is a window: announced, so that TTLs can be short by then, and undone at its end. It is
    refused if too little of the pool would be left. `dnslb ready` ends it before its time.

    --wait without --reason, --at and --for changes nothing about a drain that is under way or announced: it waits for
    the end of that one.

    \b
    Example: dnslb drain inbound/mx1 --reason "new kernel"
             dnslb drain inbound/mx1 --wait && ssh mx1 reboot
             dnslb drain inbound/mx1 --at 22:00 --for 2h --reason "new disks"
    """  # noqa: D301 -- click's mark for a paragraph to be left as it is
    if timeout is not None and not wait:
        raise click.UsageError("--timeout is for --wait: without it this command does not wait")
    if seconds == 0:
        raise click.UsageError("--for is how long the drain lasts: more than 0s")
    if seconds is not None and seconds > MAX_SPAN:
        raise click.UsageError(f"--for is at most {DAYS}d: without it the drain lasts until you say `dnslb ready`")
    if force and at is None and seconds is None:
        raise click.UsageError("--force is for --at and --for: without them a drain is never refused")
    plan = _Plan(at, seconds, force)
    going = _going(daemon, target) if wait and not (plan.is_window or reason) else ""
    with suppress(ReaderGone):
        if not going:
            result = _ask(daemon, target, plan, reason)
            if not as_json:
                _say(daemon, target, plan, result)
            elif not wait:
                emit_json(result)
        elif not as_json:
            emit(f"{target} {going}: nothing is changed, and this waits for it.")
    # Also where nobody reads: the exit status says whether it is safe.
    if wait:
        _wait(daemon, target, timeout, as_json=as_json)


def _going(daemon: Daemon, target: Target) -> str:
    """Return what is known of a drain that is announced or under way, as a predicate, "" if there is none."""
    facts = daemon.ask("status")["pools"].get(target.pool, {}).get("members", {}).get(target.member, {})
    window = facts.get("window")
    if window is not None and (window["state"] == "announced" or facts["admin"] == "drain"):
        return window_words(window)
    if facts.get("admin") != "drain":
        return ""
    said = ": ".join(plain(facts[part]) for part in ("admin_who", "admin_reason") if facts.get(part))
    return f"is drained already{f' ({said})' if said else ''}"


def _ask(daemon: Daemon, target: Target, plan: _Plan, reason: str) -> dict[str, Any]:
    if plan.is_window:
        args = {"pool": target.pool, "member": target.member, "reason": reason, **plan.args()}
        done: dict[str, Any] = daemon.ask("window", args)
        return done
    drained: dict[str, Any] = daemon.ask("admin", admin_args(target, "drain", reason))
    return drained


def _say(daemon: Daemon, target: Target, plan: _Plan, result: dict[str, Any]) -> None:
    if not plan.is_window:
        say_admin(daemon, target, result)
        return
    window = result["window"]
    begin, end = datetime.fromisoformat(window["begin"]), window["end"] and datetime.fromisoformat(window["end"])
    until = f"until {full(end)}" if end else "until it is set to ready"
    if window["state"] == "announced":
        ahead = remaining((begin - datetime.now(UTC)).total_seconds())
        emit(f"{target} drains from {full(begin)}, in {ahead}, {until}.")
    else:
        emit(f"{sentence(target, result)}\nIts window lasts {until}.")
    if result["replaced"]:
        emit(f"The window at {span_words(result['replaced'])} gives way to this one.")
    emit(_left(result["remains"]))
    emit(_ttls(window, result.get("ttls_shorten_at"), caution(target, result, daemon.ask("status"))))
    warn(result)


def _left(remains: dict[str, Any]) -> str:
    """Return what the pool can do with meanwhile."""
    out = ", ".join(f"{member} is {why}" for member, why in remains["out"].items())
    weight, counted, total = remains["weight"], remains["healthy_weight"], remains["total_weight"]
    groups = "" if counted == weight else f", or {counted} ({100 * counted / total:.4g} %) by whole groups"
    panic = f"; the pool panics below {100 * remains['min_healthy']:.4g} %" if remains["min_healthy"] else ""
    return (
        f"Meanwhile {remains['members']} of {remains['of']} members are left{f' ({out})' if out else ''}, with {weight}"
        f" of the pool's weight of {total} ({remains['percent']:.4g} %){groups}{panic}."
    )


def _ttls(window: dict[str, Any], shorten_at: str | None, cautious: str) -> str:
    """Return what becomes of the answers that resolvers keep."""
    if window["state"] == "running":
        return cautious
    if shorten_at is None:
        return "TTLs stay as they are: they have no room to get shorter (`ttl = { min, max }` gives them some)."
    return f"TTLs get shorter from {full(datetime.fromisoformat(shorten_at))} on."


def _wait(daemon: Daemon, target: Target, timeout: float | None, *, as_json: bool) -> None:
    facts = wait_for_end(daemon, target.pool, target.member, timeout)
    if as_json:
        emit_json(facts)
    else:
        emit(f"{target} is {countdown_words(facts['drain'])}.")
