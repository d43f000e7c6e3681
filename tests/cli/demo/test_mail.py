"""The demo's mail servers are polite, and dead when killed."""

import asyncio
import smtplib
from collections.abc import AsyncIterator

import pytest

from dnslb.cli.demo.mail import MailServer, Session, kill_all, start_all


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    """Return a running server."""
    server = MailServer("mx1.demo.test", "127.0.0.11")
    await server.start()
    yield server
    await server.kill()


def test_greeting() -> None:
    """The first line is a 220 with the host's name."""
    assert Session("mx1.demo.test").greeting() == b"220 mx1.demo.test ESMTP dnslb demo\r\n"


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        (["EHLO a", "MAIL FROM:<>", "RCPT TO:<b@c>", "DATA", "x", "..", ".", "QUIT"], "250 250 250 354 - - 250 221"),
        (["helo a", "quit"], "250 221"),
        (["MAIL FROM:<>", "DATA"], "250 503"),
        (["RCPT TO:<b@c>"], "503"),
        (["NOOP", "RSET", "VRFY x", "HELP", ""], "250 250 252 500 500"),
        (["MAIL FROM:<>", "RCPT TO:<b@c>", "DATA", ".", "DATA"], "250 250 354 250 503"),
    ],
)
def test_conversation(lines: list[str], codes: str) -> None:
    """Each line gets the reply of RFC 5321; lines of a message get none before its dot."""
    session = Session("mx1.demo.test")
    replies = [session.reply(line.encode() + b"\r\n") for line in lines]
    assert " ".join(reply[:3].decode() or "-" for reply in replies) == codes
    assert all(reply.endswith(b"\r\n") for reply in replies if reply)
    assert session.ended is (lines[-1].upper() == "QUIT")


async def test_a_client_delivers_a_message(server: MailServer) -> None:
    """An ordinary client says EHLO, hands over a message and takes its leave."""

    def deliver() -> tuple[int, bytes]:
        with smtplib.SMTP(server.address, server.port, timeout=10) as client:
            client.sendmail("a@demo.test", ["b@demo.test"], "Subject: x\r\n\r\n.\r\nbody\r\n")
            return client.noop()

    code, _ = await asyncio.to_thread(deliver)
    assert code == 250


async def test_killed_means_dead(server: MailServer) -> None:
    """A kill cuts connections without a word and closes the port; a start opens the same port again."""
    reader, writer = await asyncio.open_connection(server.address, server.port)
    await reader.readline()
    await server.kill()
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(server.address, server.port)
    await server.kill()
    await server.start()
    _, writer = await asyncio.open_connection(server.address, server.port)
    writer.close()
    await writer.wait_closed()


async def test_a_line_without_end_ends_the_conversation(server: MailServer) -> None:
    """More octets than a line may have cost one connection, not the server."""
    reader, writer = await asyncio.open_connection(server.address, server.port)
    writer.write(b"x" * 5_000)
    await reader.readline()
    assert await reader.read() == b""
    writer.close()
    assert server.is_running


async def test_one_port_for_all() -> None:
    """All servers share a port number, each on its own address, even if the first choice is taken elsewhere."""
    servers = tuple(MailServer(f"mx{n}.demo.test", f"127.0.0.1{n}") for n in (1, 2, 3))
    await start_all(servers)
    assert len({server.port for server in servers}) == 1
    assert all(server.is_running for server in servers)
    await kill_all(servers)
    assert not any(server.is_running for server in servers)


async def test_a_taken_port_leads_to_another_try(server: MailServer) -> None:
    """When a later server finds the port taken, all of them move to another one."""

    class Stubborn(MailServer):
        """Begins with a port that is taken on the second address."""

        tries: int = 0

        async def start(self) -> None:
            """Choose badly the first time."""
            if self.port == 0 and self.tries == 0:
                self.port = server.port
            self.tries += 1
            await super().start()

    first, second = Stubborn("a", "127.0.0.12"), MailServer("b", server.address)
    await start_all((first, second))
    assert first.tries == 2
    assert first.port == second.port != server.port
    await kill_all((first, second))
