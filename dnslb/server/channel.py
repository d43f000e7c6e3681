"""What controller and worker say to each other over their socketpair.

To the worker: an eight-octet length and a pickled Snapshot or Change. Pickle, because both ends are this program and
the socket has no other end. To the controller: the generation that the worker answers from now, as eight octets, when
it has changed and every BEAT_SECONDS, from which the controller sees that the worker has not come to a stand.
"""

import asyncio
import gc
import pickle

from dnslb.answer.snapshot import Change, Snapshot

BEAT_SECONDS = 0.1

_LENGTH = 8
_LARGE = 1 << 20


def encode(message: Snapshot | Change) -> bytes:
    """Return the octets to send to a worker."""
    octets = pickle.dumps(message, protocol=5)
    return len(octets).to_bytes(_LENGTH, "big") + octets


async def receive(reader: asyncio.StreamReader) -> Snapshot | Change:
    """Return the next message of the controller; IncompleteReadError when there is no controller any more."""
    length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
    octets = await reader.readexactly(length)
    if length < _LARGE:
        return _decode(octets)
    # A whole large snapshot takes a few hundred milliseconds: queries are answered meanwhile.
    return await asyncio.to_thread(_decode_large, octets)


def _decode_large(octets: bytes) -> Snapshot | Change:
    """Decode without the garbage collector, which would walk through what is made again and again and find nothing.

    With a hundred thousand names that is half of the time, and the longest stretch in which nobody else has a turn.
    """
    gc.disable()
    try:
        return _decode(octets)
    finally:
        gc.enable()


def _decode(octets: bytes) -> Snapshot | Change:
    message = pickle.loads(octets)  # noqa: S301 - from our own parent process
    if not isinstance(message, Snapshot | Change):
        raise TypeError(f"the controller sent a {type(message).__name__}")
    return message


def encode_generation(generation: int) -> bytes:
    """Return the octets that tell the controller which generation is answered from."""
    return generation.to_bytes(_LENGTH, "big")


async def receive_generation(reader: asyncio.StreamReader) -> int:
    """Return the next generation that the worker reports; IncompleteReadError when it is gone."""
    return int.from_bytes(await reader.readexactly(_LENGTH), "big")
