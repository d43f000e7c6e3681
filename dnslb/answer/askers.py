"""Who asks a worker, lately: what tells how far shares may be off."""

from dnslb.answer.sketch import Sketch, Summary
from dnslb.answer.sources import prefix_of

HALF_LIFE = 600.0
"""Seconds after which a query counts half. What is counted is that of one to two such times."""


def beginning(now: float) -> Summary:
    """Return the summary of a moment before any query."""
    return Summary(now, now + HALF_LIFE)


class Askers:
    """Counts queries by the client's network, the newest most.

    All messages count, whatever they ask for: to know the name would cost each query something. Processes that begin
    at one moment halve together ever after, also those that go on for others: so what they counted can be added up.
    """

    def __init__(self, told: Summary) -> None:
        """Go on from what another process left behind, or from the `beginning`."""
        self._sketch = Sketch(told.entries)
        self._seen, self._seconds = told.seen, told.seconds
        self._at, self._halves_at = told.at, told.halves_at

    def note(self, client: bytes, number: int) -> None:
        """Count queries of a client's address."""
        self._seen += number
        self._sketch.add(prefix_of(client), number)

    def summary(self, now: float) -> Summary:
        """Return what is known at a later moment."""
        while self._halves_at <= now:
            self._sketch.halve()
            self._seen /= 2
            self._seconds = (self._seconds + self._halves_at - self._at) / 2
            self._at = self._halves_at
            self._halves_at += HALF_LIFE
        self._seconds += now - self._at
        self._at = now
        sketch = self._sketch
        return Summary(now, self._halves_at, self._seconds, self._seen, sketch.missed, sketch.entries)
