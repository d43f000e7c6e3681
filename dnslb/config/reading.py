"""The document, table by table, becomes tables of the schema; what is wrong goes to the report in our own words.

Each table is validated by itself, so that one broken member does not hide what is wrong with the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dnslb.config.positions import KeyPath
from dnslb.config.report import Report
from dnslb.config.schema import (
    AuthTable,
    MemberTable,
    NotifyTable,
    PoolTable,
    ProbeTable,
    RateLimitTable,
    ServerTable,
    ServiceTable,
    SpfTable,
    ViewTable,
    ZoneTable,
)

_TABLES = ("server", "zone", "probe", "pool", "view", "service", "notify")
_NESTED: dict[str, type[BaseModel]] = {"auth": AuthTable, "rate_limit": RateLimitTable}
"""The keys whose value is a table of a kind of its own."""
AnyTable = TypeVar("AnyTable", bound=BaseModel)


@dataclass(slots=True)
class PoolDraft:
    """A pool as written: its own table, and its members by their place in the file. Broken ones are missing."""

    table: PoolTable | None
    members: dict[int, MemberTable]
    written: int
    """How many members the file has, broken ones included."""


@dataclass(slots=True)
class Draft:
    """What of the document is valid by itself.

    The keys of `zones` are the names as written; a broken one is None, since services still lie in it. Services of
    type SPF are in `fragments`; `services`, `fragments` and `notices` are keyed by the place in the file.
    """

    path: Path
    server: ServerTable | None = None
    zones: dict[str, ZoneTable | None] = field(default_factory=dict)
    probes: dict[str, ProbeTable] = field(default_factory=dict)
    pools: dict[str, PoolDraft] = field(default_factory=dict)
    views: dict[str, ViewTable] = field(default_factory=dict)
    services: dict[int, ServiceTable] = field(default_factory=dict)
    fragments: dict[int, SpfTable] = field(default_factory=dict)
    notices: dict[int, NotifyTable] = field(default_factory=dict)


def read_draft(path: Path, report: Report) -> Draft:
    """Validate every table of the document by itself."""
    raw = report.raw
    for key in raw:
        if key not in _TABLES:
            report.error((key,), _unknown(key, _TABLES, "table"))
    draft = Draft(path)
    draft.server = _validated(ServerTable, raw.get("server", {}), ("server",), report)
    draft.zones = {
        name: _validated(ZoneTable, table, ("zone", name), report) for name, table in _tables("zone", report)
    }
    draft.probes = _named(ProbeTable, "probe", report)
    draft.pools = {name: _pool(table, ("pool", name), report) for name, table in _tables("pool", report)}
    draft.views = _named(ViewTable, "view", report)
    for index, element in _elements(raw.get("service", []), ("service",), report):
        _read_service(draft, index, element, report)
    draft.notices = _listed(NotifyTable, raw.get("notify", []), ("notify",), report)
    return draft


def _read_service(draft: Draft, index: int, raw: object, report: Report) -> None:
    path = ("service", index)
    if isinstance(raw, dict) and raw.get("type") == "SPF":
        fragment = _validated(SpfTable, raw, path, report)
        if fragment is not None:
            draft.fragments[index] = fragment
        return
    service = _validated(ServiceTable, raw, path, report)
    if service is not None:
        draft.services[index] = service


def _tables(kind: str, report: Report) -> Iterator[tuple[str, Any]]:
    """Yield the named tables of a kind."""
    raw = report.raw.get(kind, {})
    if isinstance(raw, dict):
        yield from raw.items()
    else:
        report.error((kind,), f"expected named tables, [{kind}.NAME]")


def _named(model: type[AnyTable], kind: str, report: Report) -> dict[str, AnyTable]:
    found = ((name, _validated(model, raw, (kind, name), report)) for name, raw in _tables(kind, report))
    return {name: table for name, table in found if table is not None}


def _elements(raw: object, path: KeyPath, report: Report) -> Iterator[tuple[int, object]]:
    """Yield the elements of an array of tables with their places."""
    if isinstance(raw, list):
        yield from enumerate(raw)
    else:
        report.error(path, f"expected an array of tables, [[{report.key(path)}]]")


def _listed(model: type[AnyTable], raw: object, path: KeyPath, report: Report) -> dict[int, AnyTable]:
    elements = _elements(raw, path, report)
    found = ((index, _validated(model, element, (*path, index), report)) for index, element in elements)
    return {index: table for index, table in found if table is not None}


def _pool(raw: object, path: KeyPath, report: Report) -> PoolDraft:
    table = _validated(PoolTable, raw, path, report)
    members = raw.get("member", []) if isinstance(raw, dict) else []
    written = len(members) if isinstance(members, list) else 1
    return PoolDraft(table, _listed(MemberTable, members, (*path, "member"), report), written)


def _validated(model: type[AnyTable], raw: object, path: KeyPath, report: Report) -> AnyTable | None:
    if not isinstance(raw, dict):
        report.error(path, f"expected a table, [{report.key(path)}]")
        return None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    for details in errors:
        report.broken((*path, *details["loc"]), _message(model, details))
    return _without(model, raw, {details["loc"][0] for details in errors})


def _without(model: type[AnyTable], raw: dict[str, object], keys: set[int | str]) -> AnyTable | None:
    """Validate a table without its broken keys, so that the rest of it can still be checked."""
    try:
        return model.model_validate({key: value for key, value in raw.items() if key not in keys})
    except ValidationError:
        return None


def _message(model: type[BaseModel], details: ErrorDetails) -> str:
    """Put a pydantic error into words of ours."""
    *above, key = details["loc"] or ("",)
    if above:
        model = _NESTED.get(str(above[0]), model)
    if details["type"] == "extra_forbidden":
        return _unknown(str(key), tuple(_by_key(model)), "key")
    if details["type"] == "value_error":
        return str(details["ctx"]["error"])
    known = _by_key(model)
    expected = next(
        known[part].description for part in reversed(details["loc"]) if isinstance(part, str) and part in known
    )
    return f"missing, expected {expected}" if details["type"] == "missing" else f"expected {expected}"


def _by_key(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields by their keys in the file, which may be words that Python keeps for itself."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _unknown(key: str, known: tuple[str, ...], what: str) -> str:
    close = get_close_matches(key, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
    return f"unknown {what}, {hint}"
