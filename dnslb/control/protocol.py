"""The lines of the control socket (PROTOCOL.md), as pure functions: octets to request, outcome to octets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn

VERSION = 1
MAX_LINE = 65_536
"""Octets of a request line, without its newline."""
MAX_ID = 64
MAX_PATH = 107
"""Octets of a Unix socket's path (sun_path of 108 less the final zero, unix(7))."""
MAX_REASON = 500
"""Characters of the reason that somebody gives."""
MAX_SPAN = 366 * 86_400
"""Seconds that a window may last, and that it may lie ahead: what is further away is a slip of the pen."""

MAX_PERSON = 64
"""Characters of the name of who types."""

_FIELDS = frozenset({"v", "id", "verb", "args", "for"})


class Code(StrEnum):
    """Why a request was not done."""

    NOT_FOUND = "not_found"
    INVALID = "invalid"
    REFUSED = "refused"
    CONFIG = "config"
    INTERNAL = "internal"
    TOO_LARGE = "too_large"
    UNKNOWN_VERB = "unknown_verb"


class Refused(Exception):  # noqa: N818 -- it is an answer to an operator, not a fault of the program
    """A request is not done: `code` for programs, `message` for people, `details` (JSON) for both."""

    def __init__(self, code: Code, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = dict(details or {})


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was sent; `args` is not looked into yet. `id` is None if there was none.

    `person` is whom the asking program says that it asks for, "" if nobody.
    """

    verb: str
    args: Mapping[str, Any] = field(default_factory=dict)
    id: str | int | None = None
    person: str = ""


def encode_request(request: Request) -> bytes:
    """Return the line of a request, with its newline."""
    fields: dict[str, Any] = {"v": VERSION, "verb": request.verb, "args": dict(request.args)}
    if request.id is not None:
        fields["id"] = request.id
    if request.person:
        fields["for"] = request.person
    return _line(fields)


def decode_request(line: bytes) -> Request:
    """Return the request that a line holds. Raise Refused (invalid), with a sentence, for any other line."""
    fields = _object(line)
    unknown = sorted(fields.keys() - _FIELDS)
    if unknown:
        raise Refused(Code.INVALID, f"unknown field {unknown[0]!r}: a request has v, id, verb, args and for")
    if not is_integer(fields.get("v", VERSION)) or fields.get("v", VERSION) != VERSION:
        raise Refused(Code.INVALID, f"this daemon speaks protocol version {VERSION}", {"versions": [VERSION]})
    return Request(verb=_verb(fields), args=_args(fields), id=_id(fields), person=_person(fields))


def encode_result(request_id: str | int | None, result: object) -> bytes:
    """Return the line of a response that carries a result."""
    return _line(_head(request_id) | {"ok": True, "result": result})


def encode_error(request_id: str | int | None, refused: Refused) -> bytes:
    """Return the line of a response that says why not."""
    error = {"code": refused.code, "message": refused.message, "details": refused.details}
    return _line(_head(request_id) | {"ok": False, "error": error})


def decode_object(octets: bytes, what: str) -> dict[str, Any]:
    """Return a JSON object in UTF-8. Raise Refused (invalid), with a sentence on `what` it is, for anything else."""
    try:
        value = json.loads(octets.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_once_each)
    # ValueError is bad UTF-8, bad JSON and an integer of thousands of digits; RecursionError is "[[[[...".
    except (ValueError, RecursionError) as error:
        raise Refused(Code.INVALID, f"the {what} is not JSON in UTF-8: {error}") from None
    if not isinstance(value, dict):
        raise Refused(Code.INVALID, f"the {what} is not a JSON object")
    return value


def request_id(line: bytes) -> str | int | None:
    """Return the id of a request that may be wrong in other ways, None if there is none to be found."""
    try:
        return _id(_object(line))
    except Refused:
        return None


def is_integer(value: object) -> bool:
    """Return whether a JSON value is an integer: to Python a bool is one, to JSON it is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _head(request_id: str | int | None) -> dict[str, Any]:
    return {"v": VERSION} if request_id is None else {"v": VERSION, "id": request_id}


def _line(fields: Mapping[str, Any]) -> bytes:
    # JSON escapes the newlines within strings, so the only one in the line is its end.
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def _object(line: bytes) -> dict[str, Any]:
    return decode_object(line, "line")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _verb(fields: Mapping[str, Any]) -> str:
    verb = fields.get("verb")
    if not isinstance(verb, str):
        raise Refused(Code.INVALID, "the request has no verb (a string)")
    return verb


def _args(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    args = fields.get("args", {})
    if not isinstance(args, dict):
        raise Refused(Code.INVALID, "args is not an object")
    return args


def _person(fields: Mapping[str, Any]) -> str:
    value = fields.get("for", "")
    if isinstance(value, str) and len(value) <= MAX_PERSON and value.isprintable():
        return value
    raise Refused(Code.INVALID, f"for is no printable name of at most {MAX_PERSON} characters")


def _id(fields: Mapping[str, Any]) -> str | int | None:
    value = fields.get("id")
    if value is None or is_integer(value) or (isinstance(value, str) and len(value) <= MAX_ID):
        return value
    raise Refused(Code.INVALID, f"id is neither an integer nor a string of at most {MAX_ID} characters")
