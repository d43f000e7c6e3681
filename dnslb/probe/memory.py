"""What is remembered from one probe to the next, so that members and resolvers are not bothered with it again.

A chain that OpenSSL rejects is rejected in the middle of the handshake. The server logs that as a fault, and has to
serve a second connection before the certificate is seen. So it is done once for each chain: where the server shows the
same one again, OpenSSL would say the same again, and is not asked.
"""

import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TypeVar

from dnslb.probe.certificate import fault_of_dates, read
from dnslb.probe.recipe import Tlsa

MOST = 4096
"""How many places, and how many hosts with TLSA records, are remembered; the oldest are forgotten first."""

DATED = 10
"""How many certificates of a chain are read for their dates: a hostile one could hold hundreds."""

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a certificate is shown, whom it should be for, and the file with the authorities that count there."""

    address: IPv4Address | IPv6Address
    port: int
    host: str
    ca_file: Path | None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A chain (by `digest`) that OpenSSL rejected with the trust anchors in `anchors`, and its sentence `why`."""

    anchors: ssl.SSLContext
    digest: bytes
    why: str


class Memory:
    """What probes remember; bounded."""

    def __init__(self) -> None:
        self._rejected: dict[Place, Rejection] = {}
        self._tlsa: dict[tuple[str, int], tuple[float, tuple[Tlsa, ...]]] = {}

    def reject(self, place: Place, rejection: Rejection) -> None:
        """Remember the chain that was rejected last at a place."""
        _keep(self._rejected, place, rejection)

    def rejected(self, place: Place, anchors: ssl.SSLContext) -> Rejection | None:
        """Return what was rejected at a place with these anchors; what others rejected, these may accept."""
        found = self._rejected.get(place)
        return found if found is not None and found.anchors is anchors else None

    def forget(self, place: Place) -> None:
        """Forget what was rejected at a place."""
        self._rejected.pop(place, None)

    def note_tlsa(self, host: str, port: int, records: tuple[Tlsa, ...], now: float) -> None:
        """Remember the records of a host's port that were looked up at `now` (seconds of any clock)."""
        _keep(self._tlsa, (host, port), (now, records))

    def tlsa(self, host: str, port: int, since: float) -> tuple[Tlsa, ...] | None:
        """Return the records that were looked up after `since` (same clock), None if none were."""
        at, records = self._tlsa.get((host, port), (since, ()))
        return records if at > since else None

    def forget_tlsa(self, host: str, port: int) -> None:
        """Forget the records of a host's port."""
        self._tlsa.pop((host, port), None)


def digest(chain: Sequence[bytes], now: float) -> bytes:
    """Return what tells a chain (DER, as sent) from all others, as it is at `now` (Unix time).

    What OpenSSL says of it changes with time only when a certificate in it becomes valid or expires. That makes another
    chain of it.
    """
    seen = hashlib.sha256()
    for part in (*chain, *(_fault(der, now).encode() for der in chain[:DATED])):
        seen.update(hashlib.sha256(part).digest())
    return seen.digest()


def _fault(der: bytes, now: float) -> str:
    try:
        return fault_of_dates(read(der), now)
    except ValueError:
        return ""


def _keep(kept: dict[Key, Value], key: Key, value: Value) -> None:
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > MOST:
        del kept[next(iter(kept))]
