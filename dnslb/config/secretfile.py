"""Reading files that nobody else should see: what the configuration leaves to them, so that it can be shown."""

import os
import stat
from pathlib import Path

from dnslb.config.positions import KeyPath
from dnslb.config.report import Report


def beginning_of(path: Path, limit: int, key: KeyPath, report: Report) -> bytes | None:
    """Return the first octets of the file that the key names, one more than the limit if it is longer.

    None stands for one that cannot be read: then the report says why.
    """
    try:
        octets = _octets(path, limit, key, report)
    except OSError as error:
        report.error(key, f"cannot read {path}: {error.strerror}")
        return None
    if octets is None:
        report.error(key, f"{path} is not a file")
    return octets


def _octets(path: Path, limit: int, key: KeyPath, report: Report) -> bytes | None:
    """Return the beginning of a file, None for what is none: reading a FIFO might never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & stat.S_IROTH:
            report.warn(key, f"every user of this machine can read {path}: chmod o-r")
        return file.read(limit + 1)
