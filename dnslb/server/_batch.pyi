from collections.abc import Callable, Mapping, Sequence

from dnslb.answer.lookup import Reply
from dnslb.answer.snapshot import Answers, CompiledZone, Rotation
from dnslb.wire.edns import Edns

AGREED: int

class Batch:
    def __init__(self, fd: int, v6: bool, wildcard: bool, counters: memoryview, internal: int, unsent: int) -> None: ...
    def receive(self) -> int: ...
    def client(self, place: int) -> bytes: ...
    def datagrams(self) -> tuple[list[bytes], list[bytes]]: ...
    def send(self, responses: Sequence[bytes | None]) -> None: ...
    def answer(
        self,
        ready: Mapping[bytes, Rotation],  # a dict, like the others: so is that of each snapshot
        taken: dict[bytes, int],
        known: dict[bytes, Edns],
        respond: Callable[[bytes, bytes], Reply],
        watched: Mapping[bytes, int] = ...,  # networks (see answer/sources) that `respond` answers whatever they ask
        denial: tuple[Mapping[bytes, Answers], Mapping[bytes, CompiledZone], Mapping[bytes, tuple[int, int]]] = ...,
    ) -> None: ...
