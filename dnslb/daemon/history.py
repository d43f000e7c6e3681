"""The last ten minutes in samples, for who begins to watch: how many answers a second, and how soon members greet.

It is taken whether or not anybody watches. So a sample is little: some counters, and four octets for each member.
"""

import asyncio
import time
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan, nan
from typing import Any

from dnslb.daemon.roster import Key, Roster
from dnslb.rfc3339 import rfc3339

INTERVAL = 2.0
"""Seconds between two samples."""
SAMPLES = 300
_MOST_LATENCIES = 60_000
"""So many are told in all: of many members only the newest ones."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """Answers since the start by response code, and the latency of each member in milliseconds, NaN if unknown."""

    at: float
    rcodes: Mapping[str, int]
    members: tuple[Key, ...]
    latencies: Sequence[float]


class History:
    """Takes samples of what is now, by a steady clock."""

    def __init__(
        self,
        roster: Callable[[], Roster],
        rcodes: Callable[[], Mapping[str, int]],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._roster = roster
        self._rcodes = rcodes
        self._clock = clock
        self._wall = wall
        # One more: rates lie between two samples.
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES + 1)
        self._members: tuple[Key, ...] = ()

    async def follow(self) -> None:
        """Take samples, for ever."""
        while True:
            self.take()
            await asyncio.sleep(INTERVAL)

    def take(self) -> None:
        """Take one sample."""
        entries = dict(self._roster().items())
        keys = tuple(entries)
        if keys != self._members:
            self._members = keys  # all samples of one configuration share them
        healths = (entry.standing.health for entry in entries.values())
        latencies = array("f", (nan if health.latency_ms is None else health.latency_ms for health in healths))
        self._samples.append(_Sample(self._clock(), self._rcodes(), self._members, latencies))

    def as_json(self) -> dict[str, Any]:
        """Return the object of the stream's event "history": lists that all end now, oldest first."""
        return {
            "interval_s": INTERVAL,
            "now": rfc3339(self._wall()),
            "rcodes": self._rates(),
            "latency_ms": self._latencies(),
        }

    def _rates(self) -> dict[str, list[float]]:
        samples = list(self._samples)
        pairs = list(pairwise(samples))
        return {rcode: [_rate(rcode, *pair) for pair in pairs] for rcode in (samples[-1].rcodes if samples else ())}

    def _latencies(self) -> dict[str, list[float | None]]:
        members = self._members
        number = min(SAMPLES, _MOST_LATENCIES // max(1, len(members)))
        samples = list(self._samples)[-number:] if number else []
        found: dict[Key, list[float | None]] = {key: [] for key in members}
        for sample in samples:
            of_members = dict(zip(sample.members, sample.latencies, strict=True))
            for key, latencies in found.items():
                latencies.append(_rounded(of_members.get(key, nan)))
        return {"/".join(key): latencies for key, latencies in found.items()}


def _rate(rcode: str, before: _Sample, after: _Sample) -> float:
    number = after.rcodes.get(rcode, 0) - before.rcodes.get(rcode, 0)
    return round(number / (after.at - before.at), 1)


def _rounded(latency: float) -> float | None:
    return None if isnan(latency) else round(latency, 1)
