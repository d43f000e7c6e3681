"""Who may ask for what: by address, token, scope, Host and Origin."""

import aiohttp
import pytest

from dnslb.control.http.door import HttpServer
from dnslb.control.http.gate import is_ours
from dnslb.control.http.tokens import find
from tests.control.http.conftest import READER, TOKENS, WRITER, Asked, Opener, bearer

MEMBER = {"pool": "inbound", "member": "mx1"}
DRAIN = {**MEMBER, "state": "drain"}
ALL_INTERFACES = "0.0.0.0"  # noqa: S104 - what is tested is that it is protected there


async def asked(  # noqa: PLR0913 - what a request is made of
    server: HttpServer,
    path: str,
    token: str = "",
    *,
    method: str = "GET",
    json: object = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, str, aiohttp.ClientResponse]:
    """Ask for a path; return the status, the code of the error, and the response."""
    given = (headers or {}) | (bearer(token) if token else {})
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client,
        client.request(method, path, json=json, headers=given) as response,
    ):
        body = await response.json() if response.content_type == "application/json" else {}
        return response.status, body.get("error", {}).get("code", "") if isinstance(body, dict) else "", response


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/status", "/api/v1/version", "/api/v1/nothing"])
async def test_a_foreign_name_is_refused(server: HttpServer, path: str) -> None:
    """A page that has a browser ask here under another name (DNS rebinding) learns nothing but how to ask."""
    host = {"Host": "evil.example:8053"}
    status, _, response = await asked(server, path, headers=host)
    assert status == 421
    assert "evil.example" not in str(response.headers)
    async with aiohttp.ClientSession() as client, client.get(response.url, headers=host) as again:
        assert f"http://127.0.0.1:{server.port} instead" in await again.text()


@pytest.mark.parametrize(
    ("site", "mode", "expected"),
    [
        ("cross-site", "no-cors", 403),
        ("same-site", "cors", 403),
        ("cross-site", "navigate", 200),
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
    ],
)
async def test_a_foreign_page_costs_us_nothing(server: HttpServer, site: str, mode: str, expected: int) -> None:
    """It could not read answers, but have a browser ask for them without end; people may follow a link to here."""
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
    assert (await asked(server, "/api/v1/status", headers=headers))[0] == expected
    assert (await asked(server, "/api/v1/status", READER, headers=headers))[0] == 200


async def test_who_shows_a_token_may_call_us_as_he_likes(server: HttpServer) -> None:
    """A proxy passes on the name that it is called by; a page that was led here has no token."""
    host = {"Host": "dnslb.example.org"}
    assert (await asked(server, "/api/v1/status", READER, headers=host))[0] == 200
    assert (await asked(server, "/", headers=host))[0] == 200


@pytest.mark.parametrize(
    ("host", "reached", "ours"),
    [
        ("127.0.0.1:8053", "127.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("LOCALHOST.:8053", "127.0.0.1", True),
        ("[::1]:8053", "::1", True),
        ("[::1]", "::1", True),
        ("192.0.2.7:8053", "192.0.2.7", True),
        ("[2001:DB8:0::7]:8053", "2001:db8::7", True),
        ("192.0.2.8:8053", "192.0.2.7", False),
        ("evil.example", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        ("[", "::1", False),
    ],
)
def test_which_hosts_are_ours(host: str, reached: str, ours: bool) -> None:  # noqa: FBT001 - a column of the table
    """Loopback by name or address, and the address that the connection reached; nothing else."""
    assert is_ours(host, reached) is ours


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/status", "/api/v1/events", "/api/v1/stream", "/nothing"])
async def test_beyond_loopback_reading_needs_a_token(opened: Opener, path: str) -> None:
    """It does not matter how the client got here: what counts is where the door is open."""
    server = await opened(ALL_INTERFACES)
    status, _, response = await asked(server, path)
    assert (status, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="dnslb"')


async def test_beyond_loopback_a_token_opens(opened: Opener) -> None:
    """By whatever name; and the page itself, which holds no secret, can be had to type the token into."""
    server = await opened(ALL_INTERFACES)
    host = {"Host": "dnslb.example.org"}
    assert (await asked(server, "/api/v1/status", READER, headers=host))[0] == 200
    assert (await asked(server, "/metrics", WRITER, headers=host))[0] == 200
    assert (await asked(server, "/", headers=host))[0] == 200


@pytest.mark.parametrize("token", ["wrong", READER[:-1], READER + "x", READER.upper(), "\u00e9" * 20])
async def test_a_wrong_token_is_wrong_where_none_is_needed(server: HttpServer, token: str) -> None:
    """Who shows one wants to know."""
    status, code, response = await asked(server, "/api/v1/status", token)
    assert (status, code) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="dnslb", error="invalid_token"'


async def test_changes_need_a_token_everywhere(server: HttpServer, operator: Asked) -> None:
    """Without one 401, with one for reading 403; nothing is done."""
    assert (await asked(server, "/api/v1/admin", method="POST", json=DRAIN))[:2] == (401, "unauthorized")
    assert (await asked(server, "/api/v1/admin", READER, method="POST", json=DRAIN))[:2] == (403, "forbidden")
    assert operator.calls == []


async def test_a_change_is_in_the_body_alone(server: HttpServer, operator: Asked) -> None:
    """Those in the URL would be passed over, and who wrote them would think that they count."""
    assert (await asked(server, "/api/v1/admin?state=maint", WRITER, method="POST", json=DRAIN))[:2] == (400, "invalid")
    assert operator.calls == []


async def test_who_did_it_is_the_name_of_the_token(server: HttpServer, operator: Asked) -> None:
    """So the events tell whose token it was, and that it was one."""
    assert (await asked(server, "/api/v1/admin", WRITER, method="POST", json=DRAIN))[0] == 200
    assert operator.calls == [("admin", "inbound", "mx1", "drain", "", "walt (token)")]


async def test_without_tokens_nothing_can_be_changed(opened: Opener, operator: Asked) -> None:
    """And the answer says what to configure."""
    server = await opened(tokens=())
    for token in ("", "whatever-it-may-be-today"):
        status, code, _ = await asked(server, "/api/v1/admin", token, method="POST", json=DRAIN)
        assert (status, code) == (403, "forbidden")
    assert operator.calls == []


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:{port}", 200),
        ("https://127.0.0.1:{port}", 200),
        ("http://evil.example", 403),
        ("http://127.0.0.1:{port}.evil.example", 403),
        ("http://localhost:{port}", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_pages_of_other_origins_change_nothing(
    server: HttpServer, operator: Asked, origin: str, status: int
) -> None:
    """Even if one had a token: a browser says whose page it is that asks."""
    headers = {"Origin": origin.format(port=server.port)}
    assert (await asked(server, "/api/v1/reload", WRITER, method="POST", json={}, headers=headers))[0] == status
    assert bool(operator.calls) == (status == 200)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_form_can_send_is_not_taken(server: HttpServer, operator: Asked, kind: str) -> None:
    """A form of another page can send these without asking first, and JSON not."""
    headers = bearer(WRITER) | {"Content-Type": kind}
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"http://127.0.0.1:{server.port}/api/v1/reload", data="{}", headers=headers) as response,
    ):
        assert response.status == 415
    assert operator.calls == []


async def test_other_schemes_are_not_looked_at(server: HttpServer) -> None:
    """A proxy may have a password of its own before us; it opens nothing here."""
    basic = {"Authorization": "Basic d2FsdDp3cml0ZXM="}
    assert (await asked(server, "/api/v1/status", headers=basic))[0] == 200
    assert (await asked(server, "/api/v1/reload", method="POST", json={}, headers=basic))[0] == 401


async def test_other_tokens_count_at_once(server: HttpServer) -> None:
    """After a reload the old one is wrong, and a new one right."""
    server.use(TOKENS[:1])
    assert (await asked(server, "/api/v1/reload", WRITER, method="POST", json={}))[0] == 401
    server.use(TOKENS)
    assert (await asked(server, "/api/v1/reload", WRITER, method="POST", json={}))[0] == 200


def test_a_token_is_found_wherever_it_stands() -> None:
    """The first, the last, and none."""
    assert [find(TOKENS, text) for text in (READER, WRITER, "")] == [*TOKENS, None]


def test_nobody_shows_a_token_by_chance() -> None:
    """Neither its text nor its digest is in what is printed."""
    assert repr(TOKENS[0]) == "Token(name='rita', scope=<Scope.READ: 'read'>)"
