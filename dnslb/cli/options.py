"""What the commands share: -c, --control, --json, and where the daemon's socket is."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from dnslb import __version__
from dnslb.cli.output import ReaderGone, emit_json
from dnslb.control.client import TIMEOUT, DaemonUnreachable, call
from dnslb.control.protocol import Code, Refused

DEFAULT_PATHS = (Path("dnslb.toml"), Path("/etc/dnslb/dnslb.toml"))
"""Those of dnslb.config, which costs too much to import for a question to the daemon."""


class Told(click.ClickException):
    """The thing asked for was not done: a sentence for people, and `details` (JSON) for programs beside it."""

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = dict(details or {})


class Failed(Told):
    """The thing asked for failed."""

    exit_code = 1


class Misconfigured(Told):
    """The configuration is missing or wrong."""

    exit_code = 2


class Unreachable(Told):
    """The daemon cannot be reached."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Daemon:
    """The running daemon, behind its socket."""

    socket: Path

    def ask(self, verb: str, args: Mapping[str, Any] | None = None, timeout: float = TIMEOUT) -> Any:  # noqa: ANN401 -- JSON
        """Return the daemon's answer (JSON). Raise click's exceptions, with the exit status of the contract."""
        try:
            return call(self.socket, verb, args, timeout)
        except DaemonUnreachable as error:
            raise Unreachable(str(error)) from error
        except Refused as refused:
            raise failure(refused) from refused


_HEAD = re.compile(r".*?^\[server\].*?(?=^\[|\Z)", re.DOTALL | re.MULTILINE)
"""A configuration up to the end of [server], as far as lines tell."""
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class SpanType(click.ParamType[float]):
    """A time span as in the configuration, to seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds of "30s"; fail with an example of how to write a span."""
        seconds = seconds_of(str(value).strip())
        if seconds is None:
            self.fail(f"{value!r} is no time span: write 30s, 10m, 1h or 2d", param, ctx)
        return seconds


def seconds_of(span: str) -> float | None:
    """Return the seconds of a time span as in the configuration, or of several in a row (2h30m); None if it is none."""
    parts = _SPAN.findall(span)
    if not parts or _SPAN.sub("", span):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


config_option = click.option(
    "-c",
    "config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    is_eager=True,  # before an argument that asks the daemon what may be meant
    help="The configuration.  [default: ./dnslb.toml, then /etc/dnslb/dnslb.toml]",
)
control_option = click.option(
    "--control",
    metavar="PATH",
    type=click.Path(path_type=Path),
    is_eager=True,
    help="The daemon's control socket.  [default: that of the configuration]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def talks_to_daemon(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command -c, --control and --json; it is called with `daemon` and `as_json`."""

    @config_option
    @control_option
    @json_option
    @wraps(command)
    def with_daemon(*args: object, config: Path | None, control: Path | None, as_json: bool, **kwargs: object) -> None:
        with errors_shown(as_json=as_json):
            daemon = Daemon(control or control_of(find_config(config)))
            with reading_answers_of(daemon):
                command(*args, daemon=daemon, as_json=as_json, **kwargs)

    return with_daemon


@contextmanager
def errors_shown(*, as_json: bool) -> Iterator[None]:
    """Print what fails as JSON, if that is wanted, beside the sentence on standard error that ends the command."""
    try:
        yield
    except Told as error:
        if as_json:
            with suppress(ReaderGone):
                emit_json({"error": error.message, **error.details})
        raise


@contextmanager
def reading_answers_of(daemon: Daemon) -> Iterator[None]:
    """Raise Failed where an answer lacks what this command looks for: after an upgrade the old daemon still runs."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        running = daemon.ask("version")
        version = running.get("version", "unknown") if isinstance(running, dict) else "unknown"
        raise Failed(
            f"the daemon at {daemon.socket} answers otherwise than this command expects ({type(error).__name__}:"
            f" {error}): the daemon is dnslb {version}, and the command is dnslb {__version__}; restart the daemon to"
            " have both of one version, and if they are, please report this; what was asked for may have been done"
        ) from error


def find_config(explicit: Path | None) -> Path:
    """Return the file named by -c, or the first of the default ones. Exit with status 2 if there is none."""
    if explicit is not None:
        if not _is_file(explicit):
            raise Misconfigured(f"there is no configuration file {explicit}")
        return explicit
    for path in DEFAULT_PATHS:
        if _is_file(path):
            return path
    raise Misconfigured(
        f"no configuration found: looked for {' and '.join(str(path) for path in DEFAULT_PATHS)};"
        " name yours with -c FILE, or have `dnslb setup` write one"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError as error:
        raise Misconfigured(_unreadable(path, error)) from error


def _unreadable(path: Path, error: OSError) -> str:
    way = " (try sudo)" if isinstance(error, PermissionError) else ""
    return f"{path} cannot be read: {error.strerror}{way}"


def control_of(config: Path) -> Path:
    """Return the control socket's path by a configuration, of which nothing else is looked at."""
    try:
        return _control(config.parent, _server(config.read_bytes().decode()))
    except OSError as error:
        raise Misconfigured(_unreadable(config, error)) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise Misconfigured(
            f"{config} does not say where the control socket is ({error}); see `dnslb check`, or name it with --control"
        ) from error


def _server(text: str) -> Any:  # noqa: ANN401 -- whatever the file holds
    """Return the table [server] of a configuration.

    What stands behind it is read only if it has to be: thousands of members would take longer than the question.
    """
    # The match may end within a value of several lines, or lie in one.
    with suppress(tomllib.TOMLDecodeError, KeyError):
        if head := _HEAD.match(text):
            return tomllib.loads(head[0])["server"]
    return tomllib.loads(text).get("server", {})


def _control(directory: Path, server: Mapping[str, str]) -> Path:
    return directory / server.get("control", Path(server.get("state", "state")) / "control.sock")


def failure(refused: Refused) -> Told:
    """Return what ends a command that the daemon refuses."""
    details = {"error": refused.message, "code": refused.code, **refused.details}
    if refused.code is not Code.CONFIG:
        return Failed(refused.message, details)
    return Misconfigured("\n".join([refused.message, *refused.details.get("problems", [])]), details)
