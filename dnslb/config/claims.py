"""The services that the file asks for: by a table of their own, or by `with` in that of an address service."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dnslb.answer.service import ServiceType
from dnslb.config.positions import KeyPath
from dnslb.config.reading import Draft
from dnslb.config.report import Report
from dnslb.config.schema import ProbeTable, ServiceTable
from dnslb.probe.recipe import PORTS, Kind
from dnslb.wire.name import from_text


@dataclass(frozen=True, slots=True)
class Claim:
    """A name and a type of records that the file claims.

    `path` is the key that claims it. `port` is what SRV records name, None if the file should say it and does not.
    `companion` tells a claim made by `with`.
    """

    path: KeyPath
    name: str
    type: ServiceType
    table: ServiceTable
    port: int | None
    companion: bool = False

    @property
    def wire(self) -> bytes:
        """The name in wire format. Raise ValueError if it is none."""
        return from_text(self.name)

    @property
    def views(self) -> tuple[str, ...]:
        """The views whose clients it is for, each once; "" for all that no other one is for."""
        return tuple(dict.fromkeys(self.table.views)) or ("",)

    @property
    def subject(self) -> str:
        """What begins a sentence about the claim: the key alone does not say the name of a companion."""
        return f"{self.name} " if self.companion else ""


def claims(draft: Draft) -> Iterator[Claim]:
    """Yield all that services claim, in the order of the file; the companions behind the table that has them."""
    for index, table in draft.services.items():
        path = ("service", index)
        yield Claim((*path, "name"), table.name, table.type, table, table.port)
        if table.type is ServiceType.ADDRESS:
            for place, kind in enumerate(table.companions):
                yield _companion((*path, "with", place), table, kind, draft)


def _companion(path: KeyPath, table: ServiceTable, kind: ServiceType, draft: Draft) -> Claim:
    if kind is ServiceType.MX:
        return Claim(path, table.name, kind, table, None, companion=True)
    label = "_submissions" if _spoken(table, draft) is Kind.SMTPS else "_submission"
    return Claim(path, f"{label}._tcp.{table.name}", kind, table, srv_port(table, draft), companion=True)


def are_all_read(draft: Draft, report: Report) -> bool:
    """Return whether all services of the file could be read: a broken one may be the one that is missing."""
    tables = report.raw.get("service", [])
    return isinstance(tables, list) and len(draft.services) + len(draft.fragments) == len(tables)


def has_views_unread(path: KeyPath, table: ServiceTable, report: Report) -> bool:
    """Return whether the table says something of views that could not be read: nothing is known of its clients then."""
    return "views" not in table.model_fields_set and "views" in report.raw["service"][path[1]]


def by_view(claims: Iterable[Claim]) -> Iterator[tuple[Claim, str]]:
    """Yield each claim with each of its views."""
    for claim in claims:
        for view in claim.views:
            yield claim, view


def srv_port(table: ServiceTable, draft: Draft) -> int:
    """Return the port that the SRV companion of an address service names."""
    return table.port or PORTS[_spoken(table, draft)]


def _spoken(table: ServiceTable, draft: Draft) -> Kind:
    """Return what clients that look for SRV records speak with the members (RFC 6186, RFC 8314 section 5.1)."""
    probe = probe_of(table, draft)
    return Kind.SMTPS if probe and probe.kind is Kind.SMTPS else Kind.SUBMISSION


def probe_of(table: ServiceTable, draft: Draft) -> ProbeTable | None:
    """Return the probe of a service's pool, None if it or the pool is broken."""
    pool = draft.pools.get(table.pool)
    return draft.probes.get(pool.table.probe) if pool and pool.table else None
