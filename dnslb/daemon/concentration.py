"""Why shares are off: how concentrated resolvers are, and which error of the shares to expect of it. Pure."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import islice
from typing import TYPE_CHECKING, Any

from dnslb.answer.sources import V4_PREFIX, V6_PREFIX
from dnslb.metrics import ResolversReading
from dnslb.simulation.expectation import SECONDS, askers_of, effective, expected_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dnslb.answer.service import Service
    from dnslb.answer.sketch import Summary
    from dnslb.daemon.report import View
    from dnslb.simulation.expectation import Asker

ENOUGH = 100
"""Queries from which on something is said of shares."""
_MOST_SERVICES = 20
"""So many services are looked at, the first of the configuration: 20 different rings may take a tenth of a second."""
_LISTED = 10
_STILL_COUNTS = 0.5
"""Who asked once counts until the second halving, which is after ten minutes at the earliest."""
_V4_OCTETS = V4_PREFIX // 8


def resolvers_json(summary: Summary, view: View, keys: Iterable[str]) -> dict[str, Any]:
    """Return who asks and what it means for the shares of services, of which `keys` are the names in the status."""
    askers = askers_of(summary)
    even, enough = effective(askers), summary.seen >= ENOUGH
    return {
        "queries_seen": round(summary.seen),
        "window_s": round(summary.seconds, 3),
        "enough": enough,
        "prefixes_at_least": sum(entry.number - entry.error >= _STILL_COUNTS for entry in summary.entries),
        "largest": [
            {
                "prefix": _text(entry.prefix),
                "share": round(entry.number / summary.seen, 4),
                "at_most_off_by": round(entry.error / summary.seen, 4),
            }
            for entry in summary.entries[:_LISTED]
        ],
        "effective": None if even is None else round(even, 2),
        "expected_share_error": _expected(askers, view, zip(keys, view.services, strict=True)) if enough else {},
    }


def _expected(askers: Sequence[Asker], view: View, services: Iterable[tuple[str, Service]]) -> dict[str, Any]:
    """Return the error to expect of each service that has somebody to send mail to."""
    found = {}
    for key, service in islice(services, _MOST_SERVICES):
        selection = view.selections[service.pool]
        ttl = service.ttl_now(selection)
        error = expected_error(service, selection, askers, ttl)
        if error is not None:
            found[key] = {
                f"after_{SECONDS // 60:.0f}m": round(error.largest, 4),
                "ttl": ttl,
                "worst_member": error.member,
            }
    return found


def resolvers_reading(summary: Summary) -> ResolversReading | None:
    """Return what metrics show of it, None before the first query."""
    even = effective(askers_of(summary))
    if even is None:
        return None
    return ResolversReading(summary.entries[0].number / summary.seen, even)


def _text(prefix: bytes) -> str:
    """Return a network as people write it."""
    if len(prefix) == _V4_OCTETS:
        return str(ip_network((prefix + bytes(4 - len(prefix)), V4_PREFIX)))
    return str(ip_network((prefix + bytes(16 - len(prefix)), V6_PREFIX)))
