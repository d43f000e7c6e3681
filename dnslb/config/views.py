"""Views: their networks, who speaks of them, and that no client is left without an answer."""

from collections.abc import Collection, Iterator
from ipaddress import IPv4Network

from dnslb.answer.service import ServiceType
from dnslb.answer.sources import V4_PREFIX, V6_PREFIX
from dnslb.answer.views import Network, Views, views_of
from dnslb.config import values
from dnslb.config.building import is_by_source
from dnslb.config.claims import Claim, are_all_read, claims, has_views_unread
from dnslb.config.positions import KeyPath
from dnslb.config.reading import Draft
from dnslb.config.references import check_reference, written
from dnslb.config.report import Report
from dnslb.wire.name import from_text

_Question = tuple[bytes, ServiceType]


def check_views(draft: Draft, report: Report) -> None:
    """Note views that contradict one another, and questions that some of their clients would get no answer to."""
    for name in written("view", report):
        try:
            values.label(name)
        except ValueError as error:
            report.error(("view", name), str(error))
    networks = _check_sources(draft, report)
    for index, service in draft.services.items():
        for place, view in enumerate(service.views):
            if view in service.views[:place]:
                report.error(("service", index, "views", place), "listed twice")
    for path, view in _mentions(draft):
        check_reference(path, "view", view, report)
    if _is_whole(draft, report):
        views = views_of(networks)
        _check_use(draft, views, report)
        _check_gaps(draft, views, report)


def _is_whole(draft: Draft, report: Report) -> bool:
    """Return whether all views, and all that services say of them, could be read: what is broken may fill a gap."""
    if not are_all_read(draft, report):
        return False
    known = written("view", report)
    unread = any(has_views_unread(("service", at), table, report) for at, table in draft.services.items())
    return not unread and draft.views.keys() == set(known) and all(view in known for _, view in _mentions(draft))


def _check_sources(draft: Draft, report: Report) -> dict[str, list[Network]]:
    """Note networks that two views have; return the networks of each view, none of them twice."""
    first: dict[Network, tuple[str, KeyPath]] = {}
    for name, table in draft.views.items():
        for place, network in enumerate(table.sources):
            path = ("view", name, "sources", place)
            owner, there = first.setdefault(network, (name, path))
            if owner != name:
                line = report.positions.line(there)
                report.error(
                    path, f"view {owner} has this network already (line {line}): which of them would be meant?"
                )
            elif there != path:
                report.error(path, "listed twice")
    return {
        name: [network for network in table.sources if first[network][0] == name] for name, table in draft.views.items()
    }


def _mentions(draft: Draft) -> Iterator[tuple[KeyPath, str]]:
    """Yield each view that a service or a member names, and where."""
    for index, service in draft.services.items():
        for place, view in enumerate(service.views):
            yield ("service", index, "views", place), view
    for name, pool in draft.pools.items():
        for index, member in pool.members.items():
            for view in member.view_addresses:
                yield ("pool", name, "member", index, "view_addresses", view), view


def _check_use(draft: Draft, views: Views, report: Report) -> None:
    """Note views that make no difference, and resolvers that are believed for nothing."""
    mentioned = {view for _, view in _mentions(draft)}
    # A broken member may be the one that names it.
    whole = not report.problems
    for name in draft.views:
        if name not in views.reached:
            report.warn(("view", name), "no client is in it: other views have all its addresses by longer prefixes")
        if whole and name not in mentioned:
            report.warn(("view", name), "no service names it, and no member has addresses for it")
    believed = draft.server is not None and draft.server.ecs_resolvers
    if believed:
        _check_depth(draft, report)
    if whole and believed and not mentioned and not any(map(is_by_source, draft.pools.values())):
        report.warn(
            ("server", "ecs_resolvers"), "no view is used and no pool has source-hash: no answer depends on the client"
        )


def _check_depth(draft: Draft, report: Report) -> None:
    """Note networks that no resolver asks for by itself: clients in them get what those around them get."""
    for name, table in draft.views.items():
        for place, network in enumerate(table.sources):
            told = V4_PREFIX if isinstance(network, IPv4Network) else V6_PREFIX
            if network.prefixlen > told:
                report.warn(
                    ("view", name, "sources", place),
                    f"ecs_resolvers do not say more than /{told} of a client as a rule: through them, clients in it "
                    "get the answers of what is around it",
                )


def _check_gaps(draft: Draft, views: Views, report: Report) -> None:
    """Note questions that a service answers for some clients only: for all others there would be nothing."""
    answered: dict[_Question, list[Claim]] = {}
    for claim in claims(draft):
        try:
            answered.setdefault((claim.wire, claim.type), []).append(claim)
        except ValueError:
            # That it is no name is said elsewhere.
            continue
    for rivals in answered.values():
        left = _left_out(rivals, views)
        first = rivals[0]
        # Where the table itself has the gap, that of its companion is no other.
        if left and not (first.companion and left <= _left_out(answered.get(_main(first), []), views)):
            path = first.path if first.companion else (*first.path[:2], "views")
            report.error(
                path,
                f"{_clients(left, views)} would get no {first.type} answer for {first.name} (NODATA), and senders "
                "bounce mail then: expected another service of this name and type for them, best one without views",
            )


def _main(claim: Claim) -> _Question:
    """Return what the table of a companion is asked for itself."""
    return from_text(claim.table.name), claim.table.type


def _left_out(rivals: Collection[Claim], views: Views) -> frozenset[str]:
    """Return the views, "" for no view, that have clients and none of these services."""
    named = {view for claim in rivals for view in claim.views}
    return frozenset() if "" in named else views.reached - named


def _clients(left: Collection[str], views: Views) -> str:
    """Return who is left out, in words."""
    words = [f"clients of view {view}" for view in sorted(left) if view]
    if "" in left:
        tables = {"IPv4 ": views.v4_leaves, "IPv6 ": views.v6_leaves}
        families = [family for family, leaves in tables.items() if any(not leaf.view for leaf in leaves)]
        words.append(f"{families[0] if len(families) == 1 else ''}clients that are in no view")
    return " and ".join(words)
