"""Whatever is asked, the door answers with a status that it is meant to answer with, and no fault of its own."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from dnslb.control.http.door import HttpServer, bind
from dnslb.control.http.routes import VERBS
from tests.control.http.conftest import READER, TOKENS, WRITER, Asked

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    [
        "pool",
        "member",
        "state",
        "weight",
        "begin",
        "seconds",
        "force",
        "reason",
        "since",
        "limit",
        "changes",
        "name",
        "x",
    ]
)
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
PATHS = st.sampled_from([*VERBS, "openapi.json", "", "../v1/status", "%00"]) | VISIBLE.map(quote)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Host",
            "Origin",
            "Authorization",
            "Content-Type",
            "Content-Encoding",
            "If-None-Match",
            "Last-Event-ID",
            "Expect",
        ]
    ),
    st.sampled_from(
        ["application/json", f"Bearer {WRITER}", f"bearer  {READER}", "Bearer", "localhost", "[::1", "gzip"]
    )
    | VISIBLE,
)
MEANT = {200, 400, 401, 403, 404, 405, 413, 415, 417, 421}


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "QUERY"]),
    path=PATHS,
    query=st.dictionaries(NAMES, JSON.map(lambda value: json.dumps(value)[:500]) | VISIBLE, max_size=3),
    headers=HEADERS,
    body=JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50),
)
def test_no_request_is_a_fault_of_ours(
    method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
) -> None:
    """Methods, paths, queries, headers and bodies as they should be and as they should not."""
    url = f"/api/v1/{path}" + "?" + "&".join(f"{name}={quote(value)}" for name, value in query.items())
    given = {"Host": "localhost", **headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"{method} {url} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    with capture_logs() as logged:
        status = asyncio.run(answered("\r\n".join(lines).encode() + body))
    assert status in MEANT
    assert logged == []


async def answered(octets: bytes) -> int:
    """Return the status that these octets are answered with."""
    server = HttpServer(bind("127.0.0.1", 0), Asked(), exposition=bytes, tokens=TOKENS)
    await server.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(octets)
        line: Any = await reader.readline()
        writer.close()
        await writer.wait_closed()
    finally:
        await server.stop()
    return int(line.split()[1])
