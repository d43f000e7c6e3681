"""What results look like, in JSON Schema: what clients may count on, and no more."""

from collections.abc import Mapping
from typing import Any

from dnslb.pool.admin import AdminState
from dnslb.pool.health import State

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_FLAG: Schema = {"type": "boolean"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_TIME: Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
_NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
_OBJECT_OR_NULL: Schema = {"type": ["object", "null"]}
_TEXTS: Schema = {"type": "array", "items": _TEXT}


def _object(**properties: Schema) -> Schema:
    """Return an object that has all of these at least."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _objects_of(value: Schema) -> Schema:
    """Return an object with such a value under each key."""
    return {"type": "object", "additionalProperties": value}


def _named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_MEMBER = _object(
    admin={"enum": [state.value for state in AdminState]},
    admin_reason=_TEXT,
    admin_who=_TEXT,
    admin_since=_TIME_OR_NULL,
    admin_weight={"type": ["integer", "null"]},
    state={"enum": [state.value for state in State]},
    verdict=_TEXT,
    reason=_TEXT,
    published=_FLAG,
    rule=_TEXT,
    weight=_COUNT,
    effective_weight=_NUMBER,
    share={"type": "number", "minimum": 0, "maximum": 1},
    tier={"type": "integer", "minimum": 1},
    addresses=_TEXTS,
    since=_TIME_OR_NULL,
    last_probe=_TIME_OR_NULL,
    latency_ms=_NUMBER_OR_NULL,
    warnings=_TEXTS,
    drain=_OBJECT_OR_NULL,
    window=_OBJECT_OR_NULL,
)
_POOL = _object(
    panic=_FLAG,
    panic_reason=_TEXT,
    healthy_weight=_NUMBER,
    total_weight=_NUMBER,
    members=_objects_of(_named("Member")),
)
_SERVICE = _object(type={"enum": ["address", "MX", "SRV"]}, pool=_TEXT, ttl=_COUNT, shares=_objects_of(_NUMBER))
_STATUS = _object(
    version=_TEXT,
    generation=_COUNT,
    uptime_s=_NUMBER,
    workers={"type": "array", "items": _object(pid=_COUNT, generation=_COUNT, queries=_COUNT)},
    rcodes=_objects_of(_COUNT),
    state_failing=_TEXT_OR_NULL,
    pools=_objects_of(_POOL),
    services=_objects_of(_SERVICE),
)
_EVENT = _object(
    id=_COUNT, at=_TIME, kind=_TEXT, pool=_TEXT, member=_TEXT, who=_TEXT, text=_TEXT, details={"type": "object"}
)
_ERROR = _object(error=_object(code=_TEXT, message=_TEXT, details={"type": "object"}))
_PLANNED = _objects_of(_object(panic=_FLAG, members=_objects_of(_object(published=_FLAG, share=_NUMBER))))

ALL: Mapping[str, Schema] = {"Status": _STATUS, "Member": _MEMBER, "Event": _EVENT, "Error": _ERROR}
"""Those that have a name in the document."""


def _changed(**more: Schema) -> Schema:
    return {"allOf": [_named("Member"), _object(generation=_COUNT, **more)]}


OF_RESULTS: Mapping[str, Schema] = {
    "status": _named("Status"),
    "events": {"type": "array", "items": _named("Event")},
    "explain": _object(name=_TEXT, type=_TEXT, members=_objects_of({"type": "object"})),
    "plan": _object(before=_PLANNED, after=_PLANNED),
    "version": _object(version=_TEXT, python=_TEXT, engine=_TEXT, parts=_objects_of(_FLAG)),
    "admin": _changed(remains=_OBJECT_OR_NULL, cancelled=_OBJECT_OR_NULL, warnings=_TEXTS),
    "window": _changed(
        remains=_OBJECT_OR_NULL, replaced=_OBJECT_OR_NULL, ttls_shorten_at=_TIME_OR_NULL, warnings=_TEXTS
    ),
    "weight": _changed(),
    "reload": _object(generation=_COUNT, changed=_FLAG, warnings=_TEXTS),
    "probe": _object(
        target=_TEXT, verdict=_TEXT, up=_FLAG, reason=_TEXT, steps={"type": "array", "items": {"type": "object"}}
    ),
}
"""By verb."""
