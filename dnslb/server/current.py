"""What a worker's sockets share: the one mutable cell of the data plane, its turns and its counters."""

import sys
import traceback
from dataclasses import dataclass

from dnslb.answer import tally
from dnslb.answer.responder import Reply, respond
from dnslb.answer.snapshot import Snapshot
from dnslb.answer.turns import Turns

_MAX_REPORTS = 10


@dataclass(slots=True)
class Current:
    """The snapshot to answer from, replaced as a whole, and whose turn it is."""

    snapshot: Snapshot
    turns: Turns
    reports_left: int = _MAX_REPORTS

    def answer(self, query: bytes, client: bytes, *, stream: bool) -> Reply:
        """Answer one message; a fault of ours costs that message and nothing else."""
        try:
            return respond(query, self.snapshot, self.turns, client, stream=stream)
        except Exception:  # noqa: BLE001 - whatever is wrong with one message, the others are answered
            self._report(query)
            return None, tally.INTERNAL

    def _report(self, query: bytes) -> None:
        if self.reports_left:
            self.reports_left -= 1
            sys.stderr.write(f"dnslb: internal error on query {query.hex()}\n{traceback.format_exc()}")
