"""Why shares are off: how concentrated resolvers are, and which error of the shares to expect of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dnslb.answer.sources import network_of
from dnslb.answer.views import Audience
from dnslb.daemon.report import service_keys
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
_ALL = Audience()


def resolvers_json(summary: Summary, view: View, audience: Audience = _ALL, walks: int = 1) -> dict[str, Any]:
    """Return who asks and what that means for the shares of services.

    `walks` is the number of workers that one client's queries come to: 1 where the kernel steers them by source.
    """
    askers = askers_of(summary)
    even, enough = effective(askers), summary.seen >= ENOUGH
    return {
        "queries_seen": round(summary.seen),
        "window_s": round(summary.seconds, 3),
        "enough": enough,
        "prefixes_at_least": sum(entry.number - entry.error >= _STILL_COUNTS for entry in summary.entries),
        "uncounted_at_most": round(summary.missed / summary.seen, 4) if summary.seen else 0.0,
        "largest": [
            {
                "prefix": str(network_of(entry.prefix)),
                "share": round(entry.number / summary.seen, 4),
                "at_most_off_by": round(entry.error / summary.seen, 4),
            }
            for entry in summary.entries[:_LISTED]
        ],
        "effective": None if even is None else round(even, 2),
        "expected_share_error": _expected(askers, view, audience, walks) if enough else {},
    }


def _expected(askers: Sequence[Asker], view: View, audience: Audience, walks: int) -> dict[str, Any]:
    """Return the error to expect of each service that anybody asks for and that has somebody to send mail to."""
    found = {}
    placed = [(_view_of(asker.prefix, audience), asker) for asker in askers]
    services = view.services[:_MOST_SERVICES]
    for key, service in zip(service_keys(services), services, strict=True):
        selection = view.selections[service.pool]
        ttl = service.ttl_now(selection)
        error = expected_error(service, selection, _asking(service, view.services, placed), ttl, walks)
        if error is not None:
            found[key] = {
                f"after_{SECONDS // 60:.0f}m": round(error.largest, 4),
                "ttl": ttl,
                "worst_member": error.member,
            }
    return found


def _view_of(prefix: bytes, audience: Audience) -> str:
    """Return the view that a network is in, by its first address; "" for none."""
    source = audience.source_of(network_of(prefix).network_address) if prefix and audience.sources else None
    return "" if source is None else source[0]


def _asking(service: Service, services: Iterable[Service], placed: Iterable[tuple[str, Asker]]) -> list[Asker]:
    """Return those of the askers, each with its view, whom a service is for, by their fractions of these."""
    views = {each.view for each in services if (each.name, each.type) == (service.name, service.type)}
    mine = [asker for view, asker in placed if (view if view in views else "") == service.view]
    whole = sum(asker.share * asker.alike for asker in mine)
    return [asker._replace(share=asker.share / whole) for asker in mine]


def resolvers_reading(summary: Summary) -> ResolversReading | None:
    """Return what metrics show of it, None before the first query."""
    even = effective(askers_of(summary))
    if even is None:
        return None
    return ResolversReading(summary.entries[0].number / summary.seen, even)
