"""The passwords of the probes' accounts: each stands in a file of its own, so that the configuration can be shown."""

from pathlib import Path

from dnslb.config.positions import KeyPath
from dnslb.config.reading import Draft
from dnslb.config.report import Report
from dnslb.config.secretfile import beginning_of

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
    octets = beginning_of(path, _LIMIT, key, report)
    if octets is None:
        return ""
    first, _, rest = octets.partition(b"\n")
    if rest.strip():
        report.warn(key, f"{path} has more than one line, only the first is the password")
    try:
        return _password(first.removesuffix(b"\r"))
    except ValueError as error:
        report.error(key, f"{path}: {error}")
        return ""


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
