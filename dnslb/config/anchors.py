"""Files with trust anchors: whether they can be used."""

import stat
from pathlib import Path

from dnslb.probe.tls import client_context


def fault_of_anchors(file: Path) -> str:
    """Return what is wrong with a file of trust anchors in PEM format, "" if nothing is."""
    try:
        # Not a FIFO or a device: reading one might never end.
        if not stat.S_ISREG(file.stat().st_mode):
            return f"{file} is not a file"
        client_context(verify=True, ca_file=file)
    except ValueError:
        return f"{file} has no certificate, expected trust anchors in PEM format"
    except OSError as error:
        return f"cannot read {file}: {error.strerror}"
    return ""
