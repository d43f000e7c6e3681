"""What must hold between tables, and between tables and zones: each table is valid by itself before."""

from collections.abc import Mapping

from dnslb.config.reading import Draft
from dnslb.config.report import Report
from dnslb.config.zones import ServedZone


def crosscheck(draft: Draft, zones: Mapping[bytes, ServedZone], report: Report) -> None:
    """Note every contradiction, and what works but may surprise."""
