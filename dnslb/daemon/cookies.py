"""The daemon's own secret for DNS cookies: kept over restarts, the same in all workers, and another each month.

It rolls over as RFC 9018 section 5 says: the next one is known everywhere before it makes a cookie, and the one before
as long as a cookie of it is right. So there is no moment in which a right cookie is refused.
"""

import asyncio
import secrets
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog

from dnslb.rfc3339 import rfc3339
from dnslb.store import write_all
from dnslb.wire.cookie import LIFETIME, SECRET_SIZE

FILE = "cookies.secret"
LOOK_SECONDS = 600.0
_MAKES_SECONDS = 30 * 86400.0
_COMES_SECONDS = 1800.0
"""Longer than any worker takes to hear of it."""
_KNOWN_SECONDS = LIFETIME + 300.0
_WRONG_CLOCK_SECONDS = 300.0
_LIMIT = 4096

_log = structlog.get_logger()


class Secret(NamedTuple):
    """One of 16 octets, and since when (Unix time) it is what it is."""

    since: float
    octets: bytes


@dataclass(frozen=True, slots=True)
class Secrets:
    """The one that makes cookies, the one that will, and the one that did."""

    makes: Secret
    comes: Secret | None = None
    made: Secret | None = None

    @property
    def by_role(self) -> dict[str, Secret]:
        """Those that there are, by the names that they have here; the first one makes cookies."""
        roles = {"makes": self.makes, "comes": self.comes, "made": self.made}
        return {role: each for role, each in roles.items() if each is not None}


def due(known: Secrets | None, now: float, draw: Callable[[], bytes]) -> Secrets:
    """Return the secrets at Unix time `now`, which are `known` but for what has become due; `draw` makes new ones.

    Secrets of a time to come are from a wrong clock: as the cookies that were made then, they are worth nothing.
    """
    if known is None or any(each.since > now + _WRONG_CLOCK_SECONDS for each in known.by_role.values()):
        return Secrets(Secret(now, draw()))
    makes, comes, made = known.makes, known.comes, known.made
    if made is not None and now - made.since > _KNOWN_SECONDS:
        made = None
    if comes is not None and now - comes.since >= _COMES_SECONDS:
        return Secrets(Secret(now, comes.octets), None, Secret(now, makes.octets))
    if comes is None and now - makes.since >= _MAKES_SECONDS:
        comes = Secret(now, draw())
    return Secrets(makes, comes, made)


class OwnSecrets:
    """The secrets, and the file in the state directory that keeps them.

    Nothing that happens to the file keeps anybody from an answer: what cannot be read is set aside, and what cannot be
    written is known until the end. `soon` is called with what writes the file, and raises OSError if it cannot.
    """

    def __init__(self, directory: Path, soon: Callable[[Callable[[], None]], object]) -> None:
        self._soon = soon
        self._path = directory / FILE
        self._known: Secrets | None = None

    def at(self, now: float) -> tuple[bytes, ...]:
        """Return the secrets that are known at Unix time `now`; the first one makes cookies (blocking)."""
        known, before = self._known, self._known or self._left()
        self._known = due(before, now, lambda: secrets.token_bytes(SECRET_SIZE))
        if self._known != known:
            self._soon(partial(_write, self._path, self._known))
        if self._known != before:
            _log.info("cookie_secrets", since={role: rfc3339(each.since) for role, each in self._known.by_role.items()})
        return tuple(each.octets for each in self._known.by_role.values())

    def _left(self) -> Secrets | None:
        """Return what an earlier run left; say what is wrong with it."""
        try:
            return _read(self._path)
        except FileNotFoundError:
            return None
        except ValueError:
            # What exactly is wrong would quote it, and that may be a secret.
            reason = "not as dnslb writes it"
        except OSError as error:
            reason = error.strerror or str(error)
        _log.warning("cookie_secrets_unreadable", file=str(self._path), reason=reason, set_aside=self._put_by())
        return None

    def _put_by(self) -> str | None:
        aside = self._path.with_name(f"{FILE}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        try:
            self._path.rename(aside)
        except OSError:
            return None
        return str(aside)


def _read(path: Path) -> Secrets:
    """Read the file. Raise ValueError for one that is not ours, OSError for one that cannot be read."""
    # Not a FIFO: reading it might never end.
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a file")
    with path.open(encoding="ascii") as file:
        lines = [line.split() for line in file.read(_LIMIT).splitlines()]
    found = {role: Secret(_unix(since), _octets(text)) for role, since, text in lines}
    if "makes" not in found or len(found) < len(lines) or not found.keys() <= {"makes", "comes", "made"}:
        raise ValueError("not as dnslb writes it")
    return Secrets(found["makes"], found.get("comes"), found.get("made"))


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _octets(text: str) -> bytes:
    octets = bytes.fromhex(text)
    if len(octets) != SECRET_SIZE:
        raise ValueError(f"a secret has {SECRET_SIZE} octets")
    return octets


def _write(path: Path, known: Secrets) -> None:
    """Write the file in place of the one before; it is that one or this one, whatever happens meanwhile."""
    lines = [f"{role} {rfc3339(each.since)} {each.octets.hex()}\n" for role, each in known.by_role.items()]
    write_all({path: "".join(lines)})


async def follow(renew: Callable[[], Awaitable[object]]) -> None:
    """See what is due, again and again, for ever."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            await renew()
        except Exception:  # noqa: BLE001 - the secrets stay what they are, and are looked at again
            _log.exception("cookie_secrets_failed")
