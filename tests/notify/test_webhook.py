"""One message to a URL, where the receiver may do whatever it likes."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from dnslb.notify.target import Webhook
from dnslb.notify.undelivered import UndeliveredError
from dnslb.notify.webhook import post
from tests.notify.receiver import SECRET, Answer, Receiver, a_message, hang, receiving

PATIENCE = 20.0


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Give a receiver that listens."""
    async with receiving() as receiver:
        yield receiver


async def refused(webhook: Webhook, seconds: float = PATIENCE) -> tuple[str, bool]:
    """Return why a message does not arrive, and whether another try is worth it."""
    with pytest.raises(UndeliveredError) as caught:
        await post(webhook, a_message(), seconds)
    assert SECRET.partition("?")[0] not in str(caught.value)
    return str(caught.value), caught.value.again


async def test_a_message_arrives(receiver: Receiver) -> None:
    """As JSON, with its token, where the URL says; a receiver that answers 202 has it too."""
    receiver.answers = [202]
    await post(Webhook(receiver.url, bearer="token"), a_message(), PATIENCE)
    assert (await receiver.taken.get())["events"][0]["id"] == 1
    (headers,) = receiver.headers
    assert headers["path"] == f"/services/{SECRET}"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer token"
    assert headers["User-Agent"] == "dnslb/0.1.0"


async def test_without_a_token_none_is_sent(receiver: Receiver) -> None:
    """Nobody is to log in with an empty one."""
    await post(Webhook(receiver.url), a_message(), PATIENCE)
    assert "Authorization" not in receiver.headers[0]


@pytest.mark.parametrize(
    ("status", "why", "again"),
    [
        (302, "it answers 302 Found", True),
        (400, "it answers 400 Bad Request", False),
        (404, "it answers 404 Not Found", True),
        (413, "it answers 413 Request Entity Too Large", False),
        (429, "it answers 429 Too Many Requests", True),
        (500, "it answers 500 Internal Server Error", True),
        (599, "it answers 599", True),
    ],
)
async def test_only_who_says_so_has_taken_a_message(receiver: Receiver, status: int, why: str, again: bool) -> None:  # noqa: FBT001 - a case
    """No redirect is followed, and only what does not like the message itself ends the trying."""
    receiver.answers = [status]
    assert await refused(Webhook(receiver.url)) == (why, again)
    assert len(receiver.headers) == 1


async def close_at_once() -> web.StreamResponse:
    """Hang up."""
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("answer", "why"),
    [(hang, "no answer within 0.2 s"), (close_at_once, "the connection was closed without an answer")],
)
async def test_silence_is_no_answer(receiver: Receiver, answer: Answer, why: str) -> None:
    """It ends in time."""
    receiver.answers = [answer]
    assert await refused(Webhook(receiver.url), 0.2 if answer is hang else PATIENCE) == (why, True)


async def test_who_is_away_may_come_back(receiver: Receiver) -> None:
    """Nobody listens there now."""
    await receiver.close()
    why, again = await refused(Webhook(receiver.url))
    assert ("Connect" in why, again) == (True, True)


async def test_what_speaks_something_else_is_said_to() -> None:
    """An SMTP server, for one."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx1 ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "localhost", 0)
    async with server:
        url = f"http://localhost:{server.sockets[0].getsockname()[1]}/{SECRET}"
        assert await refused(Webhook(url)) == ("the answer is no HTTP", True)


async def test_a_certificate_must_be_of_a_known_authority(receiver: Receiver, tmp_path: Path) -> None:
    """One that `ca_file` holds, or one of the system's, which this is not."""
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    await receiver.close()
    await receiver.open(context)
    await post(Webhook(receiver.url, ca_file=tmp_path / "ca.pem"), a_message(), PATIENCE)
    why, again = await refused(Webhook(receiver.url))
    assert (why.partition(":")[0], again) == ("its certificate is not trusted", True)
    (tmp_path / "ca.pem").unlink()
    assert await refused(Webhook(receiver.url, ca_file=tmp_path / "ca.pem")) == ("No such file or directory", True)


async def test_a_name_that_is_not_found_may_be_found_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of the system."""

    def look_up(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    why = await refused(Webhook(f"https://chat.test/{SECRET}"))
    assert why == ("Temporary failure in name resolution", True)


async def test_a_name_server_that_is_silent_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lookup goes on, in a thread that neither the loop nor the process has to wait for."""
    asked, answered = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def look_up(*_args: object, **_options: object) -> list[object]:
        threads.append(threading.current_thread())
        asked.set()
        answered.wait()
        return []

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    assert await refused(Webhook(f"http://chat.test/{SECRET}"), 0.2) == ("no answer within 0.2 s", True)
    assert asked.is_set()
    assert threads[0].daemon
    answered.set()
    await asyncio.to_thread(threads[0].join)
