"""What a worker's sockets share: the one mutable cell of the data plane, its turns and its counters."""

import contextlib
import sys
import traceback

from dnslb.answer import tally
from dnslb.answer.responder import respond
from dnslb.answer.snapshot import Snapshot
from dnslb.answer.turns import Turns

_MAX_REPORTS = 10


class Current:
    """The snapshot to answer from, replaced as a whole, and whose turn it is."""

    def __init__(self, snapshot: Snapshot, turns: Turns) -> None:
        self.snapshot = snapshot
        self._turns = turns
        self._reports_left = _MAX_REPORTS

    def answer(self, query: bytes, client: bytes, counters: memoryview, *, stream: bool) -> bytes | None:
        """Answer one message and count it; a fault of ours costs that message and nothing else."""
        try:
            response, slot = respond(query, self.snapshot, self._turns, client, stream=stream)
        except Exception:  # noqa: BLE001 - whatever is wrong with one message, the others are answered
            self._report(query)
            response, slot = None, tally.INTERNAL
        counters[slot] += 1
        return response

    def _report(self, query: bytes) -> None:
        if self._reports_left:
            self._reports_left -= 1
            # Whoever read our log may be gone.
            with contextlib.suppress(OSError):
                sys.stderr.write(f"dnslb: internal error on query {query.hex()}\n{traceback.format_exc()}")
