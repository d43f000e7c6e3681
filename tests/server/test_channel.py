"""What goes through the socketpair arrives whole, in order, and an end is seen for what it is."""

import asyncio
import gc
import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest

from dnslb.server import channel
from tests.server.conftest import change, snapshot


def stream(octets: bytes, *, ended: bool = True) -> asyncio.StreamReader:
    """Return a reader that gets these octets."""
    reader = asyncio.StreamReader()
    reader.feed_data(octets)
    if ended:
        reader.feed_eof()
    return reader


async def test_messages_arrive_as_they_were_sent() -> None:
    """A snapshot and a change, one behind the other, are equal to what was encoded, then the end is seen."""
    reader = stream(channel.encode(snapshot(1)) + channel.encode(change(2)))
    first = await channel.receive(reader)
    second = await channel.receive(reader)
    assert first == snapshot(1)
    assert second == change(2)
    with pytest.raises(asyncio.IncompleteReadError):
        await channel.receive(reader)


async def test_a_large_snapshot_arrives_whole() -> None:
    """More octets than a stream's buffer and the limit for decoding on the spot."""
    large = replace(snapshot(), names={bytes([n]): {b"\x00\x01\x00\x01": bytes(200_000)} for n in range(8)})  # type: ignore[dict-item]  # any octets will do
    octets = channel.encode(large)
    assert len(octets) > 1 << 20
    assert await channel.receive(stream(octets)) == large


COLLECTED: list[bool] = []


def note_whether_garbage_is_collected() -> bytes:
    """Stand in a pickle: note it at the time when the pickle is decoded."""
    COLLECTED.append(gc.isenabled())
    return b""


class Noting:
    """Becomes a note when it is decoded."""

    def __reduce__(self) -> tuple[Callable[[], bytes], tuple[()]]:
        return note_whether_garbage_is_collected, ()


async def test_garbage_is_not_collected_while_a_large_snapshot_is_decoded() -> None:
    """The collector would hold up the queries and the beats for as long as it walks through what is made."""
    COLLECTED.clear()
    large = replace(snapshot(), names={b"": {b"": bytes(2_000_000), b"x": Noting()}})  # type: ignore[dict-item]  # as above
    await channel.receive(stream(channel.encode(large)))
    assert (COLLECTED, gc.isenabled()) == ([False], True)


async def test_garbage_is_collected_after_a_fault() -> None:
    """Of a large message that is none of ours."""
    octets = pickle.dumps(bytes(2_000_000))
    with pytest.raises(TypeError):
        await channel.receive(stream(len(octets).to_bytes(8, "big") + octets))
    assert gc.isenabled()


@pytest.mark.parametrize("cut", [1, 7, 8, 9, -1])
async def test_half_a_message_is_the_end(cut: int) -> None:
    """A controller that dies while it sends leaves nothing that could be applied."""
    with pytest.raises(asyncio.IncompleteReadError):
        await channel.receive(stream(channel.encode(change(2))[:cut]))


async def test_any_other_object_is_refused() -> None:
    """What is no message of ours never becomes answers."""
    octets = pickle.dumps("surprise")
    with pytest.raises(TypeError):
        await channel.receive(stream(len(octets).to_bytes(8, "big") + octets))


async def test_generations_come_back() -> None:
    """The other direction has numbers, in order, and an end."""
    reader = stream(b"".join(map(channel.encode_generation, (1, 2, 2**40))))
    assert [await channel.receive_generation(reader) for _ in range(3)] == [1, 2, 2**40]
    with pytest.raises(asyncio.IncompleteReadError):
        await channel.receive_generation(reader)
