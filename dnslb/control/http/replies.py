"""What is sent back, and the headers of it."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web

from dnslb.control.http.files import File
from dnslb.control.http.gate import Denied
from dnslb.control.protocol import Code, Refused

JSON = "application/json"
HEADERS = {
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    hdrs.SERVER: "dnslb",
    "X-Content-Type-Options": "nosniff",
}
"""Those of all replies. Scripts are the page's own, or none; nothing is kept, guessed, framed or told to others."""

_STATUS = {
    Code.INVALID: HTTPStatus.BAD_REQUEST,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.UNKNOWN_VERB: HTTPStatus.NOT_FOUND,
    Code.REFUSED: HTTPStatus.CONFLICT,
    Code.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Code.CONFIG: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def as_json(text: str) -> web.Response:
    """Return the reply with a JSON text."""
    return web.Response(text=text, content_type=JSON, headers=HEADERS)


def as_file(file: File, request: web.BaseRequest) -> web.Response:
    """Return the reply with a file of the page, without what the client has already."""
    # To be asked for each time: another dnslb on this address has another page.
    headers = {**HEADERS, hdrs.CACHE_CONTROL: "no-cache", hdrs.ETAG: file.tag}
    if request.headers.get(hdrs.IF_NONE_MATCH) == file.tag:
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.Response(body=file.body, headers={**headers, hdrs.CONTENT_TYPE: file.type})


def refused(why: Refused) -> web.Response:
    """Return the reply to what a verb refuses."""
    return _error(_STATUS[why.code], why.code, why.message, why.details, {})


def denied(request: web.BaseRequest, why: Denied) -> web.Response:
    """Return the reply to what never reaches a verb: JSON for programs, a line for others."""
    if request.path.startswith("/api/"):
        return _error(why.status, why.code, why.message, {}, why.headers)
    return web.Response(status=why.status, text=f"{why.message}\n", headers={**HEADERS, **why.headers})


def _error(
    status: HTTPStatus, code: str, message: str, details: Mapping[str, Any], headers: Mapping[str, str]
) -> web.Response:
    text = json.dumps({"error": {"code": code, "message": message, "details": details}})
    return web.Response(status=status, text=text, content_type=JSON, headers={**HEADERS, **headers})
