"""A request becomes a verb with its arguments: from its body, or from the query of its URL."""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from dnslb.control.commands import arguments_of
from dnslb.control.http.gate import Denied
from dnslb.control.http.replies import JSON
from dnslb.control.protocol import MAX_LINE, Code, Refused, Request, decode_object

_PARSED = {"integer", "number", "boolean", "array"}


async def asked(request: web.BaseRequest, verb: str, idle: float) -> Request:
    """Return what a request asks of a verb. Raise Denied or Refused; `idle` is the time that a body may take."""
    if request.method != "POST":
        return Request(verb, _from_query(request, verb))
    if request.query_string:
        raise Refused(Code.INVALID, f"the arguments of {verb} belong into the body: the URL has some too")
    if request.content_type != JSON:
        raise Denied(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", f"the body is to be {JSON}")
    try:
        async with asyncio.timeout(idle):
            return Request(verb, decode_object(await _body(request), "body"))
    except TimeoutError:
        message = f"the body did not come within {idle:g} s"
        raise Denied(HTTPStatus.REQUEST_TIMEOUT, "timeout", message) from None


async def _body(request: web.BaseRequest) -> bytes:
    body = b""
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > MAX_LINE:
            raise Refused(Code.TOO_LARGE, f"the body is longer than {MAX_LINE} octets")
    return body


def _from_query(request: web.BaseRequest, verb: str) -> dict[str, Any]:
    arguments = arguments_of(verb)
    found: dict[str, Any] = {}
    for name, text in request.query.items():
        if name in found:
            raise Refused(Code.INVALID, f"{name} of {verb} is there twice")
        found[name] = _value(text, arguments[name].schema) if name in arguments else text
    return found


def _value(text: str, schema: Mapping[str, Any]) -> object:
    """Return a value that may be another than text: JSON, if it is. Else the verb says what it expects."""
    kinds = schema["type"]
    if _PARSED.isdisjoint([kinds] if isinstance(kinds, str) else kinds):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
