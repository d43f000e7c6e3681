"""What is wrong inside a file, and so can only be set aside; all else is the machine's trouble, and may pass."""

import sqlite3

_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}


class DamagedError(Exception):
    """What was read is not what a dnslb wrote, or is that of a later one."""


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether SQLite opened the file and found it wrong inside; False for no space, no permission, locked."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN
