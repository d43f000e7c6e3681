"""A hunt for messages that break a promise, led by what they make the code do.

A message after which the code has gone a way that it has not gone before is kept, and is what others are made of.
"""

import asyncio
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import CodeType, FrameType
from typing import TypeVar

import dnslb
from tests.fuzz.promises import answer, check
from tests.fuzz.queries import changed, query
from tests.fuzz.streams import exchange
from tests.fuzz.table import CLIENTS

T = TypeVar("T")
_WATCHED = tuple(str(Path(dnslb.__file__).with_name(part)) for part in ("answer", "wire"))
_A_STREAM_IN = 200
"""Messages, to one exchange over a stream of up to ten of them."""

Way = frozenset[tuple[CodeType, int, int]]
"""The steps from line to line that were taken."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Messages that broke a promise: one, or those of a stream."""

    messages: tuple[bytes, ...]
    client: bytes
    stream: bool
    error: BaseException

    def __str__(self) -> str:
        how = "over TCP" if self.stream else "over UDP"
        shown = "\n".join(message.hex() for message in self.messages)
        return f"{type(self.error).__name__}: {self.error}\n{how}, client {self.client.hex() or 'unknown'}:\n{shown}"


@dataclass(slots=True)
class Hunt:
    """Messages that were worth keeping, and the ways that they have led."""

    random: Random
    kept: list[bytes]
    tried: int = 0
    steps: set[tuple[CodeType, int, int]] = field(default_factory=set)

    def begin(self) -> Finding | None:
        """Try what is kept already."""
        for message in tuple(self.kept):
            if found := self._try(message, CLIENTS[0], stream=False):
                return found
        return None

    def step(self) -> Finding | None:
        """Try one more message, or now and then a stream of them."""
        client = self.random.choice(CLIENTS)
        if self.random.randrange(_A_STREAM_IN) == 0:
            return self._try_stream(client)
        return self._try(self._message(), client, stream=self.random.random() < 0.3)

    def _message(self) -> bytes:
        if not self.kept or self.random.random() < 0.5:
            return query(self.random)
        return changed(self.random, self.random.choice(self.kept), self.random.choice(self.kept))

    def _try(self, message: bytes, client: bytes, *, stream: bool) -> Finding | None:
        self.tried += 1
        try:
            reply, way = watched(lambda: answer(message, client, stream=stream))
            check(message, reply, stream=stream)
        except Exception as error:  # noqa: BLE001 - any at all is what is looked for
            return Finding((message,), client, stream, error)
        if not way <= self.steps:
            self.steps |= way
            self.kept.append(message)
        return None

    def _try_stream(self, client: bytes) -> Finding | None:
        messages = tuple(self._message() for _ in range(self.random.randint(1, 10)))
        try:
            asyncio.run(exchange(messages, self.random, client))
        except Exception as error:  # noqa: BLE001 - any at all is what is looked for
            return Finding(messages, client, stream=True, error=error)
        return None


def watched(function: Callable[[], T]) -> tuple[T, Way]:
    """Call a function; return what it returns and the way that it took through the code that answers."""
    steps: set[tuple[CodeType, int, int]] = set()
    lines: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, _: object) -> object:
        if event == "call" and not frame.f_code.co_filename.startswith(_WATCHED):
            return None
        steps.add((frame.f_code, lines.get(frame, 0), frame.f_lineno))
        lines[frame] = frame.f_lineno
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]  # typeshed asks for a trace function that names itself
    try:
        return function(), frozenset(steps)
    finally:
        sys.settrace(before)


def hunt(seeds: Iterable[bytes], random: Random, steps: int) -> Hunt:
    """Try so many messages; raise AssertionError with the first finding."""
    hunting = Hunt(random, list(seeds))
    found = hunting.begin()
    for _ in range(steps):
        assert not found, str(found)
        found = hunting.step()
    assert not found, str(found)
    return hunting
