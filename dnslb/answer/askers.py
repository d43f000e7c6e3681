"""Who asks a worker, lately: what tells how far shares may be off."""

from dnslb.answer.sketch import Sketch, Summary
from dnslb.answer.sources import prefix_of

HALF_LIFE = 600.0
"""Seconds after which a query counts half. What is counted is that of one to two such times."""


class Askers:
    """Counts queries by the client's network, the newest most.

    All messages count, whatever they ask for: to know the name would cost each query something. All processes halve at
    the same moments of the monotonic clock, so that what they counted can be added up.
    """

    def __init__(self, told: Summary, now: float) -> None:
        """Go on from what another process left behind; an empty summary begins at `now`."""
        self._sketch = Sketch(told.entries)
        self._seen, self._seconds = told.seen, told.seconds
        self._at = told.at or now

    def note(self, client: bytes, number: int) -> None:
        """Count queries of a client's address."""
        self._seen += number
        self._sketch.add(prefix_of(client), number)

    def summary(self, now: float) -> Summary:
        """Return what is known at a later moment."""
        while (end := (self._at // HALF_LIFE + 1) * HALF_LIFE) <= now:
            self._sketch.halve()
            self._seen /= 2
            self._seconds = (self._seconds + end - self._at) / 2
            self._at = end
        self._seconds += now - self._at
        self._at = now
        return Summary(now, self._seconds, self._seen, self._sketch.missed, self._sketch.entries)
