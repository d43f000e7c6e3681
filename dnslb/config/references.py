"""Names by which tables speak of other tables."""

from collections.abc import Collection
from difflib import get_close_matches

from dnslb.config.positions import KeyPath
from dnslb.config.report import Report


def written(kind: str, report: Report) -> Collection[str]:
    """Return the names of the tables of a kind, valid or not."""
    tables = report.raw.get(kind)
    return tables if isinstance(tables, dict) else {}


def check_reference(path: KeyPath, kind: str, name: str, report: Report) -> None:
    """Note a name that no table of the kind has, and which one may have been meant."""
    known = written(kind, report)
    if name in known:
        return
    if close := get_close_matches(name, known, 1):
        report.error(path, f"no such {kind}, did you mean {close[0]}?")
    else:
        report.error(path, f"no such {kind}, expected one of {', '.join(known)}" if known else f"no such {kind}")
