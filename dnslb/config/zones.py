"""The zones of a configuration: their names, and their master files as read."""

from collections.abc import Mapping
from dataclasses import dataclass

from dnslb.config.problem import Problem
from dnslb.config.reading import Draft
from dnslb.config.report import Report
from dnslb.wire.name import ancestors, from_text
from dnslb.zone.master_file import MasterFile, read
from dnslb.zone.problem import ZoneError
from dnslb.zone.shape import Shape, shape_of


@dataclass(frozen=True, slots=True)
class ServedZone:
    """A zone of the configuration; `file` and `shape` are None when its master file is broken."""

    written: str
    apex: bytes
    file: MasterFile | None
    shape: Shape | None


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
        zones[apex] = _read_zone(written, apex, table.file, draft, report)
    return zones


def _read_zone(written: str, apex: bytes, file: str, draft: Draft, report: Report) -> ServedZone:
    path = draft.path.parent / file
    if not path.exists():
        report.error(("zone", written, "file"), f"{path} does not exist")
        return ServedZone(written, apex, None, None)
    try:
        master_file = read(path, apex)
    except ZoneError as error:
        report.problems += [Problem(found.file, found.line, "", "", found.message) for found in error.problems]
        return ServedZone(written, apex, None, None)
    return ServedZone(written, apex, master_file, shape_of(master_file.zone))


def zone_of(name: bytes, zones: Mapping[bytes, ServedZone]) -> ServedZone | None:
    """Return the zone that a name lies in, the longest match, or None."""
    return next((zones[ancestor] for ancestor in ancestors(name) if ancestor in zones), None)
