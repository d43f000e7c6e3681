"""The zones of a configuration: their names, and their master files as read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dnslb.config.positions import KeyPath
from dnslb.config.problem import Problem
from dnslb.config.reading import Draft
from dnslb.config.report import Report
from dnslb.wire.name import ancestors, from_text
from dnslb.zone import master_file
from dnslb.zone.problem import Places
from dnslb.zone.shape import Shape, shape_of
from dnslb.zone.zone import Zone


@dataclass(frozen=True, slots=True)
class ServedZone:
    """A zone of the configuration; `whole` says that nothing is wrong with its master file."""

    written: str
    apex: bytes
    records: Zone
    places: Places
    shape: Shape
    whole: bool


def read_zones(draft: Draft, report: Report) -> dict[bytes, ServedZone]:
    """Read the master files of all zones; the result is keyed by apex."""
    zones: dict[bytes, ServedZone] = {}
    for written, table in draft.zones.items():
        path = ("zone", written)
        try:
            apex = from_text(written)
        except ValueError as error:
            report.error(path, f"not a zone's name: {error}")
            continue
        if apex in zones:
            report.error(path, f'the same zone as "{zones[apex].written}"')
            continue
        zones[apex] = _read_zone(written, apex, draft.path.parent / table.file if table else None, report)
    return zones


def _read_zone(written: str, apex: bytes, path: Path | None, report: Report) -> ServedZone:
    if path is None or not _exists(path, ("zone", written, "file"), report):
        empty = Zone(apex, {})
        return ServedZone(written, apex, empty, {}, shape_of(empty), whole=False)
    read = master_file.read(path, apex)
    report.problems += [Problem(found.file, found.line, "", "", found.message) for found in read.problems]
    return ServedZone(written, apex, read.zone, read.places, shape_of(read.zone), whole=not read.problems)


def _exists(path: Path, key: KeyPath, report: Report) -> bool:
    """Return whether something is there; what is wrong with its content is said by the file, not by the key."""
    try:
        path.stat()
    except OSError as error:
        report.error(key, f"cannot read {path}: {error.strerror}")
        return False
    return True


def zone_of(name: bytes, zones: Mapping[bytes, ServedZone]) -> ServedZone | None:
    """Return the zone that a name lies in, the longest match, or None."""
    return next((zones[ancestor] for ancestor in ancestors(name) if ancestor in zones), None)
