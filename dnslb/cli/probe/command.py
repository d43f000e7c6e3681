"""`dnslb probe`: the words typed."""

import re
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from dnslb.cli import known, member
from dnslb.cli.options import (
    Daemon,
    config_option,
    control_of,
    control_option,
    errors_shown,
    find_config,
    json_option,
    reading_answers_of,
)
from dnslb.cli.output import ReaderGone, emit, emit_json
from dnslb.cli.probe.place import Place
from dnslb.cli.probe.text import text_of
from dnslb.cli.probe.waiting import waiting
from dnslb.cli.probe.wishes import TIMEOUT, Wishes, contradiction, recipe_of
from dnslb.probe.recipe import Auth, Kind, StartTls, Verify

_DAEMON_TIMEOUT = 600.0
"""Seconds: the daemon waits for the conversation under way, and then for each address as long as its probe may take."""

_INTERRUPTED = 130
"""128 and the number of SIGINT, as a shell has it."""


class _TargetType(click.ParamType[member.Target | Place]):
    """POOL/MEMBER or HOST[:PORT]."""

    name = "TARGET"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> member.Target | Place:
        if "/" in str(value) and "://" not in str(value):
            return member.TargetType().convert(value, param, ctx)
        try:
            return Place.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Value(click.ParamType[Any]):
    """A value as the configuration has it: `reader` of dnslb.config.values reads it."""

    def __init__(self, reader: str) -> None:
        self.name = self._reader = reader

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        # Only now, since it brings all of pydantic along.
        read: Callable[[object], object] = getattr(import_module("dnslb.config.values"), self._reader)
        try:
            return read(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class _Seconds(_Value):
    """A duration. What has no unit is a number of seconds, as in the configuration."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        bare = re.fullmatch(r"[0-9]+(\.[0-9]+)?", str(value))
        return super().convert(float(str(value)) if bare else value, param, ctx)


_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)

_WISHES = (
    click.option(
        "--kind",
        type=click.Choice(Kind, case_sensitive=False),
        help="What is spoken there.  [default: by the port, else smtp]",
    ),
    click.option(
        "--starttls",
        type=click.Choice(StartTls, case_sensitive=False),
        help="When to ask for TLS.  [default: opportunistic]",
    ),
    click.option(
        "--verify",
        type=click.Choice(Verify, case_sensitive=False),
        help="What the verdict demands of it.  [default: none]",
    ),
    click.option("--ca-file", type=_FILE, metavar="FILE", help="Trust anchors (PEM) instead of the system's."),
    click.option("--host", type=_Value("host"), metavar="NAME", help="The name to ask for by TLS.  [default: HOST]"),
    click.option("--ehlo", type=_Value("ehlo"), metavar="NAME", help="Our own name.  [default: this machine's]"),
    click.option("--rcpt-to", type=_Value("mailbox"), metavar="ADDRESS", help="Try this recipient; no mail is sent."),
    click.option("--mail-from", type=_Value("mailbox"), metavar="ADDRESS", help="The sender.  [default: <>]"),
    click.option("--capability", type=_Value("keyword"), multiple=True, metavar="WORD", help="EHLO must offer it."),
    click.option("--auth-user", metavar="USER", help="Log in, over TLS. The password is asked for,"),
    click.option("--auth-password-file", type=_FILE, metavar="FILE", help="or is the first line of this file."),
    click.option("--source", type=_Value("address"), multiple=True, metavar="ADDRESS", help="Our own address."),
    click.option("--proxy", is_flag=True, help="Send a PROXY protocol header first."),
    click.option("--timeout", type=_Seconds("duration"), metavar="10s", help="For each address.  [default: 10s]"),
    click.option("-4", "family", flag_value=4, type=int, help="Only the IPv4 addresses of HOST."),
    click.option("-6", "family", flag_value=6, type=int, help="Only the IPv6 addresses of HOST."),
)


def _with_wishes(command: Callable[..., None]) -> Callable[..., None]:
    return reduce(lambda wrapped, option: option(wrapped), reversed(_WISHES), command)


@click.command
@click.argument("target", type=_TargetType(), metavar="POOL/MEMBER|HOST[:PORT]", shell_complete=known.members)
@_with_wishes
@config_option
@control_option
@json_option
def probe(
    target: member.Target | Place,
    *,
    config: Path | None,
    control: Path | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401 -- one for each of _WISHES
) -> None:
    """Hold one conversation with a mail server now, and show it.

    POOL/MEMBER is probed by the daemon as its [probe] in the configuration says, in all aspects, and what is found
    counts. HOST needs neither daemon nor configuration: the options say what to do there. No mail is ever sent.

    Shows each exchange with its time, the certificate, the verdict, and what to do next. The exit status is 0 only if
    the verdict counts as up (ok or slow), else 1.

    \b
    Example: dnslb probe inbound/mx1
             dnslb probe mx1.example.org
             dnslb probe mx1.example.org --verify name --rcpt-to postmaster@example.org
             dnslb probe '[2001:db8::1]:587' --host mx1.example.org --auth-user probe
    """  # noqa: D301 -- click's mark for a paragraph to be left as it is
    wishes = Wishes(**options)
    try:
        with errors_shown(as_json=as_json):
            seen = _seen(target, wishes, config, control)
    except (KeyboardInterrupt, click.Abort):
        raise click.exceptions.Exit(_INTERRUPTED) from None
    with nullcontext() if isinstance(target, Place) else reading_answers_of(_daemon(config, control)):
        with suppress(ReaderGone):
            emit_json(seen) if as_json else emit(text_of(seen, _trusted(target, wishes)))
        if not seen["up"]:
            raise click.exceptions.Exit(1)


def _daemon(config: Path | None, control: Path | None) -> Daemon:
    return Daemon(control or control_of(find_config(config)))


def _trusted(target: member.Target | Place, wishes: Wishes) -> str:
    """Return what it means that a certificate is trusted; only the daemon knows a member's policy."""
    if isinstance(target, member.Target):
        return "yes"
    return "a TLSA record fits" if wishes.verify is Verify.DANE else "chain and name are right"


def _seen(target: member.Target | Place, wishes: Wishes, config: Path | None, control: Path | None) -> dict[str, Any]:
    if isinstance(target, Place):
        return _seen_alone(target, wishes)
    if wishes.said:
        raise click.UsageError(
            f"{wishes.said[0]} is for a HOST: {target} is probed as its [probe] in the configuration says"
        )
    with waiting(str(target)):
        answer: dict[str, Any] = _daemon(config, control).ask(
            "probe", {"pool": target.pool, "member": target.member}, timeout=_DAEMON_TIMEOUT
        )
    return answer


def _seen_alone(place: Place, wishes: Wishes) -> dict[str, Any]:
    if wrong := contradiction(place, wishes):
        raise click.UsageError(wrong)
    recipe = recipe_of(place, wishes, _auth(wishes))
    # asyncio, TLS and the rest: nothing that a question to the daemon should wait for.
    from dnslb.cli.probe.alone import examine  # noqa: PLC0415 -- see above

    _check_anchors(wishes.ca_file)
    with waiting(f"{place.typed} (at most {wishes.timeout or TIMEOUT:g} s for each address)"):
        return examine(place, recipe, wishes.host or place.name, wishes.family)


def _check_anchors(ca_file: Path | None) -> None:
    from dnslb.probe.tls import client_context  # noqa: PLC0415 -- as above

    try:
        client_context(verify=True, ca_file=ca_file)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"trust anchors: {error}") from None


def _auth(wishes: Wishes) -> Auth | None:
    if not wishes.auth_user:
        return None
    if wishes.auth_password_file:
        return Auth(wishes.auth_user, _first_line(wishes.auth_password_file))
    if not sys.stdin.isatty():
        raise click.UsageError("--auth-user needs --auth-password-file where nobody can be asked for the password")
    return Auth(wishes.auth_user, click.prompt(f"Password of {wishes.auth_user}", hide_input=True, err=True))


def _first_line(path: Path) -> str:
    try:
        password = path.read_text(encoding="utf-8").partition("\n")[0].removesuffix("\r")
    except OSError as error:
        raise click.UsageError(f"--auth-password-file: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        password = ""
    # RFC 4616 section 2: NUL parts the user from the password.
    if not password or "\0" in password:
        raise click.UsageError(f"--auth-password-file: {path}: expected the password in its first line, in UTF-8")
    return password
