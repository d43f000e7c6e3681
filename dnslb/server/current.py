"""What a worker's sockets share: the one mutable cell of the data plane, its turns, cookies and limit, and who asks."""

from collections.abc import Sequence

from dnslb.answer import tally
from dnslb.answer.askers import Askers
from dnslb.answer.cookies import Cookies
from dnslb.answer.lookup import Reply
from dnslb.answer.responder import respond
from dnslb.answer.snapshot import Change, Snapshot, apply, made_ready
from dnslb.answer.turns import Turns
from dnslb.server.ratelimit import RateLimit
from dnslb.server.reports import Reports


class Current:
    """The snapshot to answer from (it changes between two answers), whose turn it is, and who asks."""

    def __init__(self, snapshot: Snapshot, turns: Turns, askers: Askers, reports: Reports, now: int = 0) -> None:
        """`now` are Unix seconds: see `Cookies`."""
        self.askers = askers
        self.snapshot = snapshot
        self.turns = turns
        self._reports = reports
        self._now = now
        self.adopt(snapshot)

    def adopt(self, message: Snapshot | Change) -> None:
        """Answer from a new snapshot, or from the one that there is after a change."""
        if isinstance(message, Change):
            self.snapshot = apply(self.snapshot, message)
            return
        self.snapshot = message if message.ready else made_ready(message)
        # What was remembered may have been another thing under other terms.
        self.cookies = Cookies(message.terms.secrets, self._now)
        self.limit = RateLimit(message.terms.limit, self.cookies.proves, self.snapshot.names)

    def tick(self, now: int) -> None:
        """Tell what time it is, in Unix seconds."""
        self._now = self.cookies.now = now

    def answer(self, query: bytes, client: bytes, counters: memoryview, *, stream: bool) -> bytes | None:
        """Answer one message and count it."""
        response, slot = self.reply(query, client, stream=stream)
        counters[slot] += 1
        return response

    def reply(self, query: bytes, client: bytes, *, stream: bool = False) -> Reply:
        """Reply to one message; a fault of ours costs that message and nothing else."""
        try:
            return respond(query, self.snapshot, self.turns, client, self.cookies, stream=stream)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one message, the others are answered
            return self._fault(query, error)

    def reply_within_limit(self, query: bytes, client: bytes) -> Reply:
        """Reply to one datagram with what the limit leaves of it; a fault of ours costs as much as in `reply`."""
        try:
            return self.limit.apply(query, client, self.reply(query, client))
        except Exception as error:  # noqa: BLE001 - as above
            return self._fault(query, error)

    def _fault(self, query: bytes, error: Exception) -> Reply:
        self._reports.say(f"internal error on query {query.hex()}", error)
        return None, tally.INTERNAL

    def answer_all(
        self, queries: Sequence[bytes], clients: Sequence[bytes], counters: memoryview
    ) -> Sequence[bytes | None]:
        """Answer the datagrams of a batch, at least one, and count them, which costs less than one by one.

        Networks that ask much get what the limit leaves them.
        """
        snapshot, turns, cookies = self.snapshot, self.turns, self.cookies
        try:
            replies = [
                respond(query, snapshot, turns, client, cookies) for query, client in zip(queries, clients, strict=True)
            ]
            if self.limit.watched:
                replies = self.limit.restrain_all(queries, clients, replies)
        except Exception:  # noqa: BLE001 - which one it was, and what, is found and said below
            replies = [self.reply_within_limit(query, client) for query, client in zip(queries, clients, strict=True)]
        responses, slots = zip(*replies, strict=True)
        for slot in slots:
            counters[slot] += 1
        return responses
