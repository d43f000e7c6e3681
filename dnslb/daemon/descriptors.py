"""File descriptors: how many the controller may have open, what it needs, and how many of them probes may take."""

import resource
from contextlib import suppress

RESERVE = 256
"""For all but members and listeners: control socket, HTTP, state database, workers, and what Python opens."""

_FOR_OTHERS = 512
_FEWEST_PROBES = 256
_MOST_PROBES = 4096
"""Enough for that many members that stall; how many conversations begin at once is another matter (probe/entrance)."""


def raise_limit() -> int:
    """Let this process and its workers open as many as the system allows; return how many that is."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # the kernel's own limit has been lowered below it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def for_probes(limit: int) -> int:
    """Return how many conversations there may be at a time: enough that stalled members do not keep others waiting."""
    return max(_FEWEST_PROBES, min(limit - _FOR_OTHERS, _MOST_PROBES))


def shortage(limit: int, members: int, listeners: int) -> tuple[str, ...]:
    """Return a warning if the limit is too low for a configuration."""
    needed = members + listeners + RESERVE
    if limit >= needed:
        return ()
    text = (
        f"{members} members and {listeners} listeners need {needed} open files, and only {limit} are allowed:"
        " raise the hard limit (LimitNOFILE= in the systemd unit, or ulimit -Hn), or probes will be late and fail"
    )
    return (text,)
