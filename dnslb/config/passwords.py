"""The passwords of the probes' accounts: each stands in a file of its own, so that the configuration can be shown."""

import os
import stat
from pathlib import Path

from dnslb.config.positions import KeyPath
from dnslb.config.reading import Draft
from dnslb.config.report import Report

_LIMIT = 1024


def read_passwords(draft: Draft, report: Report) -> dict[str, str]:
    """Return the password of each probe that logs in, by the probe's name."""
    passwords = {}
    for name, probe in draft.probes.items():
        if probe.auth:
            key = ("probe", name, "auth", "password_file")
            passwords[name] = _read(draft.path.parent / probe.auth.password_file, key, report)
    return passwords


def _read(path: Path, key: KeyPath, report: Report) -> str:
    try:
        octets = _octets(path, key, report)
    except OSError as error:
        report.error(key, f"cannot read {path}: {error.strerror}")
        return ""
    if octets is None:
        report.error(key, f"{path} is not a file")
        return ""
    first, _, rest = octets.partition(b"\n")
    if rest.strip():
        report.warn(key, f"{path} has more than one line, only the first is the password")
    try:
        return _password(first.removesuffix(b"\r"))
    except ValueError as error:
        report.error(key, f"{path}: {error}")
        return ""


def _octets(path: Path, key: KeyPath, report: Report) -> bytes | None:
    """Return the beginning of a file, None for what is none: reading a FIFO might never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & stat.S_IROTH:
            report.warn(key, f"every user of this machine can read {path}: chmod o-r")
        return file.read(_LIMIT + 1)


def _password(line: bytes) -> str:
    if not line:
        raise ValueError("empty, expected the password in its first line")
    if len(line) > _LIMIT:
        raise ValueError(f"the first line is longer than {_LIMIT} octets, expected a password")
    text = line.decode(errors="replace")
    # RFC 4616 section 2: NUL parts the user from the password.
    if "\0" in text or "\N{REPLACEMENT CHARACTER}" in text:
        raise ValueError("expected a password in UTF-8, without NUL")
    return text
