"""What a worker's sockets share: the one mutable cell of the data plane, its turns, and who asks."""

from dnslb.answer import tally
from dnslb.answer.askers import Askers
from dnslb.answer.responder import respond
from dnslb.answer.snapshot import Snapshot
from dnslb.answer.turns import Turns
from dnslb.server.reports import Reports


class Current:
    """The snapshot to answer from (it changes between two answers), whose turn it is, and who asks."""

    def __init__(self, snapshot: Snapshot, turns: Turns, askers: Askers, reports: Reports) -> None:
        self.snapshot = snapshot
        self.askers = askers
        self._turns = turns
        self._reports = reports

    def answer(self, query: bytes, client: bytes, counters: memoryview, *, stream: bool) -> bytes | None:
        """Answer one message and count it; a fault of ours costs that message and nothing else."""
        try:
            response, slot = respond(query, self.snapshot, self._turns, client, stream=stream)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one message, the others are answered
            self._reports.say(f"internal error on query {query.hex()}", error)
            response, slot = None, tally.INTERNAL
        counters[slot] += 1
        return response
