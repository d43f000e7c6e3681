"""The OpenAPI document, made from the table of the routes and the arguments of the verbs. Pure."""

from collections.abc import Mapping
from typing import Any

from dnslb.control.commands import Argument, arguments_of
from dnslb.control.http import schemas
from dnslb.control.http.routes import API, VERBS, Verb
from dnslb.control.http.tokens import Scope

_ABOUT = (
    "What the commands of dnslb ask a running daemon. On a loopback address reading needs no token; all else does."
    " Objects may get more keys in later versions."
)
_ERRORS: Mapping[str, str] = {
    "400": "An argument is wrong, unknown or missing",
    "401": "A token is needed, or the one that was sent is wrong",
    "403": "The token is not for this, the request comes from a page of another origin, or there are no tokens here",
    "404": "There is no such pool or member",
    "409": "Understood, and not done: the message says why",
    "421": "The Host is none of ours, and no token was sent",
    "500": "A fault of dnslb: its log has the details",
}
_OF_BODIES: Mapping[str, str] = {
    "408": "The body did not come in time",
    "413": "The body is too long",
    "415": "The body is not application/json",
}
_STREAM = (
    "Server-sent events. `status`: the whole status, first of all and whenever a patch would be no shorter. `patch`:"
    " what changes in it, as a JSON Patch (RFC 6902) of the operations add, replace and remove, which lead through"
    " objects only. `event`: an event, with its id unless it could not be stored. `history`: once, rates and latencies"
    " of the last minutes, in lists that end now. A comment shows that the connection lives."
)


def document(version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the API of this version of dnslb."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "dnslb", "version": version, "description": _ABOUT},
        "paths": {
            **{API + name: _path(name, verb) for name, verb in VERBS.items()},
            API + "stream": {"get": _stream()},
            API + "openapi.json": {"get": _own()},
            "/metrics": {"get": _metrics()},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(schemas.ALL),
        },
    }


def _path(name: str, verb: Verb) -> dict[str, Any]:
    post = {**_operation(verb, f"post_{name}"), "requestBody": _body(name), "responses": _responses(name, _OF_BODIES)}
    if verb.scope is Scope.WRITE:
        return {"post": post}
    parameters = [_parameter(argument, of) for argument, of in arguments_of(name).items()]
    get = {**_operation(verb, f"get_{name}"), "parameters": parameters, "responses": _responses(name, {})}
    return {"get": get, "post": post}


def _operation(verb: Verb, name: str) -> dict[str, Any]:
    # The empty requirement: without a token it may be open, on a loopback address.
    needed: list[dict[str, list[str]]] = [{"token": []}]
    reading: list[dict[str, list[str]]] = [{}] if verb.scope is Scope.READ else []
    return {"operationId": name, "summary": verb.summary, "security": [*needed, *reading]}


def _body(name: str) -> dict[str, Any]:
    arguments = arguments_of(name)
    schema = {
        "type": "object",
        "properties": {each: _schema(of) for each, of in arguments.items()},
        "required": [each for each, of in arguments.items() if of.required],
        "additionalProperties": False,
    }
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _parameter(name: str, argument: Argument) -> dict[str, Any]:
    place = {"name": name, "in": "query", "required": argument.required}
    if argument.schema["type"] == "array":
        return {**place, "content": {"application/json": {"schema": _schema(argument)}}}
    return {**place, "schema": _schema(argument)}


def _schema(argument: Argument) -> dict[str, Any]:
    return dict(argument.schema) if argument.required else {**argument.schema, "default": argument.default}


def _responses(name: str, more: Mapping[str, str]) -> dict[str, Any]:
    config = {"422": "The configuration is wrong, and nothing has changed"} if name == "reload" else {}
    errors = {status: _error(text) for status, text in {**_ERRORS, **more, **config}.items()}
    return {"200": _json("The result", schemas.OF_RESULTS[name]), **errors}


def _error(text: str) -> dict[str, Any]:
    return _json(text, {"$ref": "#/components/schemas/Error"})


def _json(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _reading(name: str, summary: str, kind: str, schema: Mapping[str, Any], errors: str) -> dict[str, Any]:
    return {
        **_operation(Verb(Scope.READ, summary), name),
        "responses": {
            "200": {"description": summary, "content": {kind: {"schema": schema}}},
            **{status: _error(_ERRORS[status]) for status in errors.split()},
        },
    }


def _stream() -> dict[str, Any]:
    found = _reading("stream", "What changes, as it changes", "text/event-stream", {"type": "string"}, "401 403 421")
    found["description"] = _STREAM
    found["parameters"] = [
        {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}, "description": "the last event heard"}
    ]
    found["responses"]["503"] = _error("Too many listen already")
    return found


def _own() -> dict[str, Any]:
    return _reading("openapi", "This document", "application/json", {"type": "object"}, "401 403 421")


def _metrics() -> dict[str, Any]:
    found = _reading("metrics", "Metrics for Prometheus", "text/plain", {"type": "string"}, "")
    for status in ("401", "403", "421"):
        found["responses"][status] = {"description": _ERRORS[status]}
    return found
