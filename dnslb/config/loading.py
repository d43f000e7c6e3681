"""Finding and loading a configuration file: every problem of it and of its zones comes at once."""

import gc
import os
import re
import stat
import tomllib
from pathlib import Path

from dnslb.config.building import Secrets, settings_of
from dnslb.config.cookies import read_cookie_secrets
from dnslb.config.crosscheck import crosscheck
from dnslb.config.notices import read_notices
from dnslb.config.passwords import read_passwords
from dnslb.config.positions import Positions
from dnslb.config.problem import ConfigError, Problem
from dnslb.config.reading import read_draft
from dnslb.config.report import Report
from dnslb.config.settings import Settings
from dnslb.config.targets import check_targets
from dnslb.config.tokens import read_tokens
from dnslb.config.zones import read_zones

DEFAULT_PATHS = (Path("dnslb.toml"), Path("/etc/dnslb/dnslb.toml"))
_POSITION = re.compile(r" ?\(at (?:line (\d+), column \d+|end of document)\)\Z")
_TWICE = "Cannot overwrite a value"  # what tomllib says


def find(explicit: Path | None) -> Path:
    """Return the configuration file to use: the one named, ./dnslb.toml, or /etc/dnslb/dnslb.toml.

    Raise ConfigError when none is named and neither of the others exists.
    """
    if explicit is not None:
        return explicit
    for path in DEFAULT_PATHS:
        if os.path.lexists(path):
            return path
    places = " or ".join(str(path) for path in DEFAULT_PATHS)
    message = f"no configuration in {places}; name it with -c, or have `dnslb setup` write one"
    raise ConfigError((Problem(str(DEFAULT_PATHS[0]), None, "", "", message),))


def load(path: Path) -> Settings:
    """Read a configuration file, its zones and the files with secrets that it names.

    Raise ConfigError with all problems of all files. Relative paths in the file are relative to it.
    """
    # What is read is kept, and has no cycles: to walk through it again and again took an eighth of the time.
    gc.disable()
    try:
        return _load(path)
    finally:
        gc.enable()


def _load(path: Path) -> Settings:
    text = _text(path)
    report = _report(path, text)
    draft = read_draft(path, report)
    zones = read_zones(draft, report)
    secrets = Secrets(read_passwords(draft, report), read_cookie_secrets(draft, report), read_tokens(draft, report))
    notices = read_notices(draft, report)
    crosscheck(draft, zones, report)
    check_targets(draft, zones, secrets.passwords, report)
    if report.problems:
        raise ConfigError(tuple(sorted(dict.fromkeys(report.problems), key=lambda found: _order(found, str(path)))))
    return settings_of(draft, zones, secrets, notices, tuple(report.warnings))


def _order(problem: Problem, first: str) -> tuple[bool, str, int, str]:
    return (problem.file != first, problem.file, problem.line or 0, problem.key)


def _text(path: Path) -> str:
    try:
        # Not a FIFO or a device: reading one might never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError((Problem(str(path), None, "", "", "not a file"),))
        # Not read_text: it would hide a carriage return, which TOML allows only before a newline.
        return path.read_bytes().decode()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        message = f"not UTF-8 text: octet {error.start} is 0x{error.object[error.start]:02x}"
    raise ConfigError((Problem(str(path), None, "", "", message),))


def _report(path: Path, text: str) -> Report:
    try:
        return Report(str(path), tomllib.loads(text), Positions(text))
    except RecursionError:
        message, line = "brackets are nested too deeply", None
    # ValueError: a number with thousands of digits, which tomllib does not expect.
    except ValueError as error:
        message, line = str(error), None
        # tomllib says the position only in its text.
        if match := _POSITION.search(message):
            message = message[: match.start()]
            line = int(match.group(1)) if match.group(1) else text.count("\n") + 1
        message = "this key has a value already" if message == _TWICE else message
    raise ConfigError((Problem(str(path), line, "", "", f"not TOML: {message}"),))
