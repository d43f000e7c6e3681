"""Who is to be told of events: [[notify]]. What is wrong with it never quotes a URL, which may be a secret."""

import os
import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from dnslb.config.anchors import fault_of_anchors
from dnslb.config.positions import KeyPath
from dnslb.config.reading import Draft
from dnslb.config.references import check_reference
from dnslb.config.report import Report
from dnslb.config.schema import NotifyTable
from dnslb.config.secretfile import beginning_of
from dnslb.notify.target import Command, Target, Webhook

_LIMIT = 1024
_TOKEN = re.compile(rb"[!-~]+\Z")
_OF_URLS = ("bearer_file", "ca_file")


def read_notices(draft: Draft, report: Report) -> tuple[Target, ...]:
    """Return those who are to be told, in the order of the file; broken ones are missing."""
    directory, seen = draft.path.parent, Counter[str]()
    found: dict[str | tuple[str, ...], Target] = {}
    for index, table in draft.notices.items():
        path = ("notify", index)
        for place, pool in enumerate(table.pools):
            check_reference((*path, "pools", place), "pool", pool, report)
        door = _door(table, path, directory, report)
        if door is None:
            continue
        name = _name(door)
        seen[name] += 1
        target = Target(
            name=name if seen[name] == 1 else f"{name}#{seen[name]}",
            door=door,
            kinds=frozenset(table.kinds),
            pools=frozenset(table.pools),
            timeout=table.timeout,
        )
        if found.setdefault(target.place, target) is not target:
            report.error(path, "listed twice: this is told already")
    return tuple(found.values())


def _door(table: NotifyTable, path: KeyPath, directory: Path, report: Report) -> Webhook | Command | None:
    if any(report.is_broken((*path, key)) for key in ("url", "command")):
        return None
    if bool(table.url) == bool(table.command):
        report.error(path, "expected url or command, and one of them only")
        return None
    if table.url:
        return _webhook(table, path, directory, report)
    for key in _OF_URLS:
        if key in table.model_fields_set:
            report.error((*path, key), "only a url has one, this is a command")
    return _command(table.command, (*path, "command"), directory, report)


def _webhook(table: NotifyTable, path: KeyPath, directory: Path, report: Report) -> Webhook:
    ca_file = directory / table.ca_file if table.ca_file else None
    if ca_file is not None and (fault := fault_of_anchors(ca_file)):
        report.error((*path, "ca_file"), fault)
    bearer = ""
    if table.bearer_file is not None:
        key = (*path, "bearer_file")
        bearer = _token(directory / table.bearer_file, key, report)
        if urlsplit(table.url).username is not None:
            report.error(key, "the url has a user and a password already: expected one of the two")
    return Webhook(table.url, bearer, ca_file)


def _token(path: Path, key: KeyPath, report: Report) -> str:
    octets = beginning_of(path, _LIMIT, key, report)
    if octets is None:
        return ""
    token = octets.strip()
    if len(octets) > _LIMIT or not _TOKEN.match(token):
        report.error(key, f"{path}: expected one line of visible ASCII characters, at most {_LIMIT}")
    return token.decode("ascii", "replace")


def _command(words: list[str], path: KeyPath, directory: Path, report: Report) -> Command:
    program = directory.absolute() / words[0]
    if any("\0" in word for word in words):
        report.error(path, "expected words without NUL, which none can hold")
    elif not program.is_file():
        report.error(path, f"there is no file {program}")
    elif not os.access(program, os.X_OK):
        report.error(path, f"{program} cannot be run: chmod +x")
    return Command((str(program), *words[1:]))


def _name(door: Webhook | Command) -> str:
    return str(urlsplit(door.url).hostname) if isinstance(door, Webhook) else Path(door.words[0]).name
