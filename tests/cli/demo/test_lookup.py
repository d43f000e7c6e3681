"""The demo reads real answers, and nothing that is not one."""

import asyncio
import socket
from collections.abc import Iterator

import dns.message
import dns.rrset
import pytest

from dnslb.cli.demo import lookup


def answer(query: bytes, *records: str, rcode: int = 0) -> bytes:
    """Return an answer made by another DNS library, its names compressed."""
    response = dns.message.make_response(dns.message.from_wire(query))
    response.set_rcode(dns.rcode.Rcode(rcode))
    for text in records:
        response.answer.append(dns.rrset.from_text(str(response.question[0].name), 5, "IN", *text.split(" ", 1)))
    return response.to_wire()


def test_query_is_what_another_library_understands() -> None:
    """The query asks for the name and the type, class IN."""
    message = dns.message.from_wire(lookup.encode_query(0x1234, "relay.demo.test", lookup.A))
    assert message.id == 0x1234
    assert message.question[0].to_text() == "relay.demo.test. IN A"


def test_addresses() -> None:
    """Addresses come in the order of the answer."""
    query = lookup.encode_query(7, "relay.demo.test", lookup.A)
    response = answer(query, "A 127.0.0.12", "A 127.0.0.11")
    assert [record.value for record in lookup.decode_answer(query, response)] == ["127.0.0.12", "127.0.0.11"]


def test_mail_exchangers_by_preference() -> None:
    """Names of MX records come best first, decompressed, whatever their order in the message."""
    query = lookup.encode_query(7, "mail.demo.test", lookup.MX)
    response = answer(query, "MX 20 mx1.demo.test.", "MX 10 mx2.demo.test.", "MX 30 elsewhere.example.")
    assert lookup.decode_answer(query, response) == (
        lookup.Record("mx2.demo.test", 10),
        lookup.Record("mx1.demo.test", 20),
        lookup.Record("elsewhere.example", 30),
    )


def test_records_of_other_types_are_left_out() -> None:
    """Only records of the type that was asked for count."""
    query = lookup.encode_query(7, "relay.demo.test", lookup.A)
    assert lookup.decode_answer(query, answer(query, "TXT hello", "A 127.0.0.11")) == (lookup.Record("127.0.0.11"),)


QUERY = lookup.encode_query(7, "mail.demo.test", lookup.MX)
ANSWER = answer(QUERY, "MX 10 mx1.demo.test.")


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (QUERY, "not the answer"),
        (answer(lookup.encode_query(8, "mail.demo.test", lookup.MX)), "not the answer"),
        (answer(lookup.encode_query(7, "more.demo.test", lookup.MX)), "another question"),
        (answer(QUERY, rcode=2), "response code 2"),
        (b"", "cut short"),
        (ANSWER[:-3], "cut short"),
        (ANSWER[:-2] + b"\xc0\xff", "forwards"),
    ],
)
def test_what_is_no_answer(response: bytes, why: str) -> None:
    """Another message, an error or a broken one is refused with the reason."""
    with pytest.raises(ValueError, match=why):
        lookup.decode_answer(QUERY, response)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Return a UDP socket that answers nothing by itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("127.0.0.1", 0))
        door.settimeout(10)
        yield door


async def test_each_query_has_a_port_of_its_own(listener: socket.socket) -> None:
    """Queries come from different ports, so that different workers get them, and their answers are returned."""

    def serve() -> tuple[str, int]:
        query, client = listener.recvfrom(4096)
        listener.sendto(answer(query, "A 127.0.0.13"), client)
        address: tuple[str, int] = client
        return address

    async def once() -> tuple[str, int]:
        served = asyncio.get_running_loop().run_in_executor(None, serve)
        assert await lookup.ask(listener.getsockname(), "relay.demo.test", lookup.A) == (lookup.Record("127.0.0.13"),)
        return await served

    assert len({await once() for _ in range(5)}) > 1


async def test_nobody_there(listener: socket.socket) -> None:
    """A closed port is an OSError at once."""
    where = listener.getsockname()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        await lookup.ask(where, "relay.demo.test", lookup.A)
