"""SOA serial numbers (RFC 1982): they only ever move forward."""

_MODULUS = 1 << 32
_HALF = 1 << 31
_FIRST_DNSLB = 1_767_225_600
"""Unix time: the beginning of 2026."""


def is_newer(serial: int, than: int) -> bool:
    """Return whether a serial comes after another one, on the circle of 32 bits (RFC 1982 section 3.2)."""
    return 0 < (serial - than) % _MODULUS < _HALF


def following(serial: int) -> int:
    """Return the next serial; 0 is left out, since some software takes it for "none"."""
    return (serial + 1) % _MODULUS or 1


def ahead(serial: int, by: int) -> int:
    """Return the serial that comes so many steps later."""
    return (serial + by) % _MODULUS


def unforgotten(in_file: int, last: int | None, now: float) -> int:
    """Return a serial that is later than all that were given out until Unix time `now`, where `last` may not be true.

    It counts the seconds since there is a dnslb from the zone file's: changes are rarer than one a second.
    """
    surely = ahead(in_file, max(0, int(now) - _FIRST_DNSLB))
    return surely if last is None or is_newer(surely, last) else last


def resumed(in_file: int, last: int | None) -> int:
    """Return the serial for new content, after `last`: the zone file's if that is newer, else the next one."""
    if last is None or is_newer(in_file, last):
        return in_file
    return following(last)
