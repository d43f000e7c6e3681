"""The OpenAPI document is one, says what the verbs take, and leaves out nothing that is answered."""

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from dnslb.control.commands import Argument, arguments_of
from dnslb.control.http.openapi import document
from dnslb.control.http.routes import API, VERBS
from dnslb.control.http.tokens import Scope
from dnslb.control.protocol import Refused
from tests.control.http.conftest import WRITER, Asked, bearer
from tests.control.test_commands import call

DOCUMENT: dict[str, Any] = json.loads(json.dumps(document("9.9")))
# What is written 1.0 is an integer to JSON Schema, and not to the verbs.
FRACTIONS = st.floats(-1, 1e9).filter(lambda number: not number.is_integer())
SCALARS = st.none() | st.booleans() | st.integers(-1, 70_000) | FRACTIONS | st.text(max_size=300)
EXACT = {"integer", "boolean", "number"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each path and method with its operation."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_it_is_an_openapi_document() -> None:
    """A validator of others finds nothing wrong."""
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []
    assert DOCUMENT["info"]["version"] == "9.9"


async def test_what_the_door_sends_is_this_document(client: aiohttp.ClientSession) -> None:
    """With the version that runs."""
    async with client.get("/api/v1/openapi.json") as response:
        sent = await response.json()
    assert sent | {"info": None} == DOCUMENT | {"info": None}


@pytest.mark.parametrize(("path", "method", "operation"), list(operations()), ids=lambda value: str(value)[:30])
async def test_each_operation_is_answered(
    client: aiohttp.ClientSession, path: str, method: str, operation: dict[str, Any]
) -> None:
    """By its method and not by others, with a status that is in the document; without a token where it says so."""
    async with client.request(method, path, json={} if method == "post" else None) as response:
        assert str(response.status) in operation["responses"]
        assert (response.status == 401) == ({} not in operation["security"])
    async with client.put(path) as response:
        assert response.status == 405
        offered = set(response.headers["Allow"].lower().split(", ")) - {"head"}
        assert offered == DOCUMENT["paths"][path].keys()


async def test_the_verbs_are_those_of_the_control_socket() -> None:
    """All of them, and no others."""
    with pytest.raises(Refused) as caught:
        await call("no such verb")
    assert set(caught.value.details["known"]) == VERBS.keys()


@pytest.mark.parametrize("verb", VERBS)
async def test_what_is_required_is_required(client: aiohttp.ClientSession, verb: str) -> None:
    """Without any argument a verb runs if the document says so, and is refused if not."""
    body = DOCUMENT["paths"][API + verb]["post"]["requestBody"]["content"]["application/json"]["schema"]
    async with client.post(API + verb, json={}, headers=bearer(WRITER)) as response:
        assert (response.status == 200) == (not body["required"])
    if VERBS[verb].scope is Scope.READ:
        parameters = DOCUMENT["paths"][API + verb]["get"]["parameters"]
        assert [each["name"] for each in parameters if each["required"]] == body["required"]


def arguments() -> Iterator[Any]:
    """Yield each argument of each verb."""
    for verb in VERBS:
        for name, argument in arguments_of(verb).items():
            yield pytest.param(argument, id=f"{verb}-{name}")


@pytest.mark.parametrize("argument", list(arguments()))
@given(value=SCALARS)
def test_the_schema_of_an_argument_is_what_is_checked(argument: Argument, value: object) -> None:
    """What is taken is in the schema; where the schema can say all, so is the other way round."""
    try:
        argument.check(value)
    except ValueError:
        taken = False
    else:
        taken = True
    fits = OAS31Validator(dict(argument.schema)).is_valid(value)
    assert fits or not taken
    kinds = argument.schema["type"]
    if not EXACT.isdisjoint([kinds] if isinstance(kinds, str) else kinds):
        assert taken == fits


async def test_arguments_in_a_query_become_what_they_are(client: aiohttp.ClientSession, operator: Asked) -> None:
    """Numbers and lists as JSON, names as they stand: a pool may be called 7."""
    async with client.get("/api/v1/events", params={"pool": "7", "limit": "7", "since": "1.5"}) as response:
        assert response.status == 200
    changes = [{"step": "down", "pool": "7", "member": "mx1"}]
    async with client.get("/api/v1/plan", params={"changes": json.dumps(changes)}) as response:
        assert response.status == 200
    planned = await call("plan", {"changes": changes})
    assert operator.calls[0] == ("events", 1.5, "7", None, 7)
    assert operator.calls[1][1] == planned["call"]  # type: ignore[index] # the recorder's


@pytest.mark.parametrize(
    "query", ["limit=x", "limit=7&limit=8", "limit=1e999", "other=1", f"limit={'9' * 5000}", "since=NaN", "after=-1"]
)
async def test_a_wrong_query_is_refused(client: aiohttp.ClientSession, query: str) -> None:
    """As the same in a body would be."""
    async with client.get(f"/api/v1/events?{query}") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, "invalid")


@pytest.mark.parametrize("body", ["", "[]", "{", "null", '{"a": NaN}', "\udcff", "[" * 10_000])
async def test_a_body_that_is_no_object_is_refused(client: aiohttp.ClientSession, operator: Asked, body: str) -> None:
    """And nothing is done."""
    headers = bearer(WRITER) | {"Content-Type": "application/json"}
    data = body.encode(errors="surrogateescape")
    async with client.post("/api/v1/reload", data=data, headers=headers) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, "invalid")
    assert operator.calls == []


async def test_a_body_that_does_not_say_how_long_it_is_has_a_bound(
    client: aiohttp.ClientSession, operator: Asked
) -> None:
    """It comes in pieces, and is refused at the one that is too much."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 10_000

    headers = bearer(WRITER) | {"Content-Type": "application/json"}
    async with client.post("/api/v1/reload", data=endless(), headers=headers) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (413, "too_large")
    assert operator.calls == []


async def test_a_body_is_not_unpacked(client: aiohttp.ClientSession) -> None:
    """A small one that becomes a large one would be taken for the small one."""
    headers = bearer(WRITER) | {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with client.post("/api/v1/reload", data=gzip.compress(b"{}"), headers=headers) as response:
        assert response.status == 400
