"""The JSON API of a running daemon: what it changes is changed, who did it is told, and who listens sees it."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from openapi_schema_validator import OAS31Validator

from tests.control.http.conftest import bearer
from tests.control.http.test_patch import applied
from tests.control.http.test_stream import Message, messages, the_next
from tests.daemon.conftest import Daemon, prepared, until

READER, WRITER = "reads-and-reads-and-reads", "writes-and-writes-and-writes"
TOKENS = f"rita read {READER}\nwalt write {WRITER}\n"
ERROR = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
MX1 = {"pool": "mail", "member": "mx1"}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon with the tokens of rita and walt, and two members, to several tests that leave it as it was."""
    with prepared(tmp_path_factory.mktemp("api")) as made:
        with_tokens(made, TOKENS)
        yield made


def with_tokens(daemon: Daemon, tokens: str) -> None:
    """Start a daemon with these tokens."""
    (daemon.directory / "tokens.secret").write_text(tokens)
    daemon.start(more='tokens = "tokens.secret"')


def address(daemon: Daemon) -> str:
    """Return the URL of a daemon's HTTP."""
    return f"http://{daemon.logged('http')['address']}"


async def post(daemon: Daemon, verb: str, token: str = WRITER, /, **args: Any) -> tuple[int, Any]:  # noqa: ANN401 - JSON
    """Ask for a verb; return the status and what is said."""
    async with (
        aiohttp.ClientSession(address(daemon)) as client,
        client.post(f"/api/v1/{verb}", json=args, headers=bearer(token)) as response,
    ):
        return response.status, await response.json()


async def get(daemon: Daemon, path: str, **query: str) -> tuple[int, Any]:
    """Get something under /api/v1 without a token; return the status and what is said."""
    async with (
        aiohttp.ClientSession(address(daemon)) as client,
        client.get(f"/api/v1/{path}", params=query) as response,
    ):
        return response.status, await response.json()


@asynccontextmanager
async def listening(daemon: Daemon, token: str = "") -> AsyncIterator[AsyncIterator[Message]]:
    """Listen to the stream."""
    headers = bearer(token) if token else {}
    async with (
        aiohttp.ClientSession(address(daemon), read_bufsize=2**24) as client,
        client.get("/api/v1/stream", headers=headers) as response,
    ):
        yield messages(response)


async def test_results_are_as_the_document_says(watched: Daemon) -> None:
    """Whoever makes a client of it gets what he expects."""
    document = (await get(watched, "openapi.json"))[1]
    asked: dict[str, dict[str, Any]] = {
        "status": {},
        "events": {},
        "explain": {"name": "relay.lb.test"},
        "plan": {"changes": [{"step": "maint", **MX1}]},
        "version": {},
        "admin": {**MX1, "state": "ready"},
        "window": {**MX1, "seconds": 60, "force": True},
        "weight": {**MX1, "weight": None},
        "reload": {},
        "probe": MX1,
        "nothing": {},
    }
    assert {f"/api/v1/{verb}" for verb in asked} >= {path for path, of in document["paths"].items() if "post" in of}
    for verb, args in asked.items():
        status, said = await post(watched, verb, **args)
        responses = document["paths"].get(f"/api/v1/{verb}", {"post": {"responses": {"404": ERROR}}})["post"][
            "responses"
        ]
        schema = responses[str(status)]["content"]["application/json"]["schema"]
        OAS31Validator({**schema, "components": document["components"]}).validate(said)
        assert (status == 200) == (verb != "nothing")
    assert (await post(watched, "admin", **MX1, state="ready"))[0] == 200


async def test_each_verb_does_what_it_does_over_the_control_socket(watched: Daemon) -> None:
    """With the same result, as the body."""
    status, version = await get(watched, "version")
    assert (status, version) == (200, watched.call("version"))
    assert (await get(watched, "status"))[1].keys() == watched.call("status").keys()
    assert (await get(watched, "explain", name="relay.lb.test", type="A"))[1]["pool"] == "mail"
    changes = json.dumps([{"step": "down", **MX1}])
    planned = watched.call("plan", changes=[{"step": "down", **MX1}])
    assert (await get(watched, "plan", changes=changes))[1] == planned
    assert (await post(watched, "plan", READER, changes=[{"step": "down", **MX1}]))[1] == planned
    assert (await get(watched, "events", limit="1"))[1] == watched.call("events", limit=1)
    assert (await post(watched, "probe", **MX1))[1]["target"] == "mail/mx1"
    assert (await post(watched, "reload"))[1].keys() == {"generation", "changed", "warnings"}


async def test_a_change_is_in_the_answers_when_it_is_done(watched: Daemon) -> None:
    """And who made it is in the status and in the events, by the name of the token and not by the token."""
    status, member = await post(watched, "admin", **MX1, state="drain", reason="kernel")
    assert (status, member["admin"], member["admin_who"]) == (200, "drain", "walt (token)")
    assert watched.members_in_answer() == {"mx2"}
    event = watched.call("events", limit=1)[0]
    assert (event["kind"], event["who"], event["member"]) == ("admin", "walt (token)", "mx1")
    assert (await post(watched, "admin", **MX1, state="ready"))[0] == 200
    assert watched.members_in_answer() == {"mx1", "mx2"}
    assert (await post(watched, "weight", **MX1, weight=7))[1]["effective_weight"] == 7
    assert (await post(watched, "weight", **MX1, weight=None))[1]["effective_weight"] == 50
    assert (await post(watched, "window", **MX1, seconds=60, force=True))[1]["window"]["who"] == "walt (token)"
    assert (await post(watched, "admin", **MX1, state="ready"))[1]["cancelled"]["who"] == "walt (token)"


@pytest.mark.parametrize(
    ("verb", "args", "status", "code"),
    [
        ("admin", {"pool": "mail", "member": "mx9", "state": "drain"}, 404, "not_found"),
        ("admin", {**MX1, "state": "gone"}, 400, "invalid"),
        ("admin", {**MX1, "state": "drain", "who": "root"}, 400, "invalid"),
        ("window", {**MX1, "seconds": 60, "begin": 1e300}, 400, "invalid"),
        ("nothing", {}, 404, "unknown_verb"),
        ("admin", {**MX1, "state": "drain", "reason": "x" * 70_000}, 413, "too_large"),
    ],
)
async def test_what_is_refused(watched: Daemon, verb: str, args: dict[str, Any], status: int, code: str) -> None:
    """With the code and the sentence of the control socket, and nothing is changed."""
    before = watched.member("mx1")["admin"]
    found, said = await post(watched, verb, **args)
    assert (found, said["error"]["code"]) == (status, code)
    assert said["error"]["message"]
    assert watched.member("mx1")["admin"] == before


async def test_who_listens_sees_a_drain(watched: Daemon) -> None:
    """The status with the patches is what the daemon says, and the event is there with who and why."""
    async with listening(watched, READER) as heard:
        seen = (await the_next(heard, "status"))[2]
        assert seen["pools"]["mail"]["members"]["mx1"]["admin"] == "ready"
        told = []
        assert (await post(watched, "admin", **MX1, state="drain", reason="disk"))[0] == 200
        async for kind, _, data in heard:
            if kind == "patch":
                seen = applied(seen, data)
            if kind == "status":
                seen = data
            if kind == "event":
                told.append((data["kind"], data["who"], data["member"]))
            if seen["pools"]["mail"]["members"]["mx1"]["drain"] and ("admin", "walt (token)", "mx1") in told:
                break
    assert seen["pools"]["mail"]["members"]["mx1"]["share"] == 0
    assert seen["pools"]["mail"]["members"]["mx2"]["share"] == 1
    assert (await post(watched, "admin", **MX1, state="ready"))[0] == 200


async def test_a_reload_takes_up_other_tokens(daemon: Daemon) -> None:
    """Who has one that stays goes on listening; who has none any more is sent away, and may do nothing."""
    with_tokens(daemon, TOKENS)
    async with listening(daemon, READER) as read, listening(daemon, WRITER) as write:
        await the_next(read, "history")
        await the_next(write, "history")
        (daemon.directory / "tokens.secret").write_text(f"walt write {WRITER}\nrita write {READER[::-1]}\n")
        assert (await post(daemon, "reload"))[0] == 200
        async for _ in read:
            pass
        assert (await post(daemon, "version", READER))[0] == 401
        assert (await post(daemon, "admin", READER[::-1], **MX1, state="drain"))[1]["admin_who"] == "rita (token)"
        async for kind, _, data in write:
            if kind == "event" and data["who"] == "rita (token)":
                break
    (daemon.directory / "tokens.secret").write_text("walt write short\n")
    status, said = await post(daemon, "reload")
    assert (status, said["error"]["code"]) == (422, "config")
    assert "tokens.secret:1: expected a token" in said["error"]["details"]["problems"][0]
    assert "short" not in str(said)
    assert (await post(daemon, "version"))[0] == 200


async def test_no_token_is_written_anywhere(daemon: Daemon) -> None:
    """Neither in the log nor in what is kept, whoever shows it and for whatever."""
    with_tokens(daemon, TOKENS)
    await post(daemon, "admin", **MX1, state="drain")
    await post(daemon, "admin", READER, **MX1, state="drain")
    await post(daemon, "nothing", WRITER)
    await post(daemon, "admin", WRITER + "x", **MX1, state="drain")
    log = daemon.stderr()
    assert daemon.stop() == 0
    kept = b"".join(path.read_bytes() for path in daemon.state.iterdir() if path.is_file())
    assert not any(token in log or token.encode() in kept for token in (READER, WRITER))


def test_a_public_address_without_tokens_is_refused(daemon: Daemon) -> None:
    """The daemon does not start, with the status of a wrong configuration, and says what to do."""
    daemon.configure()
    daemon.config.write_text(daemon.config.read_text().replace('http = "127.0.0.1', 'http = "0.0.0.0'))
    process = daemon.launch_as_written()
    assert process.wait(30) == 2
    assert 'expected a loopback address, or "tokens" beside it' in daemon.stderr()


async def test_no_page_of_others_reads_or_changes_anything(watched: Daemon) -> None:
    """Under another name (DNS rebinding), by a form (CSRF), by a script of another origin, and with wrong tokens."""
    foreign, drain = {"Host": "evil.example"}, {**MX1, "state": "drain"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    origin = {"Origin": "http://evil.example"}
    async with aiohttp.ClientSession(address(watched)) as client:

        async def status_of(method: str, verb: str, **values: Any) -> int:  # noqa: ANN401 - as the client has it
            async with client.request(method, f"/api/v1/{verb}", **values) as response:
                return response.status

        assert await status_of("GET", "status", headers=foreign) == 421
        assert await status_of("GET", "stream", headers=foreign) == 421
        assert await status_of("POST", "admin", json=drain, headers=foreign) == 401
        assert await status_of("POST", "admin", data=json.dumps(drain), headers=form) == 401
        assert await status_of("POST", "admin", data=json.dumps(drain), headers=form | bearer(WRITER)) == 415
        assert await status_of("POST", "admin", json=drain, headers=origin | bearer(WRITER)) == 403
        assert await status_of("POST", "admin", json=drain, headers=bearer(READER)) == 403
        assert await status_of("POST", "admin", json=drain, headers=bearer(WRITER[:-1])) == 401
        assert await status_of("OPTIONS", "admin", headers=origin) == 405
        assert await status_of("GET", "admin", params=drain, headers=bearer(WRITER)) == 405
    assert watched.member("mx1")["admin"] == "ready"


async def test_on_all_addresses_a_token_opens_everything_but_the_page(daemon: Daemon) -> None:
    """Which is there to type the token into."""
    (daemon.directory / "tokens.secret").write_text(TOKENS)
    daemon.configure(more='tokens = "tokens.secret"')
    daemon.config.write_text(daemon.config.read_text().replace('http = "127.0.0.1', 'http = "0.0.0.0'))
    daemon.begin(daemon.launch_as_written())
    url = address(daemon).replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - it is protected there
    paths = {"/": 200, "/metrics": 401, "/api/v1/status": 401, "/api/v1/stream": 401, "/api/v1/openapi.json": 401}
    async with aiohttp.ClientSession(url) as client:
        for path, expected in paths.items():
            async with client.get(path) as response:
                assert response.status == expected
            async with client.get(path, headers=bearer(READER) | {"Host": "dnslb.example.org"}) as response:
                assert response.status == 200


async def test_a_daemon_stops_although_somebody_listens(daemon: Daemon) -> None:
    """At once, and the stream ends with it."""
    with_tokens(daemon, TOKENS)
    async with listening(daemon) as heard:
        await the_next(heard, "history")
        assert daemon.stop() == 0
        async for _ in heard:
            pass
    until(lambda: daemon.logged("stopped"), "it stops")
