"""What people want of members: remembered first, so that what was confirmed is never forgotten, and then published.

Members that are not configured now have their wishes too: a later configuration may bring them back.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import Any

import structlog

from dnslb.daemon.journal import Journal
from dnslb.daemon.report import window_json
from dnslb.daemon.roster import Key, Roster
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import back_in_answers
from dnslb.pool.window import Window
from dnslb.publisher import Publisher
from dnslb.store import Event, Remembered

MOST_REMOVED = 1000
"""Of so many members that are configured no more it is known what people wanted of them."""

_log = structlog.get_logger()


class Wishes:
    """The admin state and the window of each member. Changed only by whoever holds the lock on changes.

    `admin_changed` is told of the pool in which one has another admin state, before that is published.
    """

    def __init__(  # noqa: PLR0913 - all that it works with, by keyword
        self,
        *,
        admins: Mapping[Key, Admin],
        windows: Mapping[Key, Window],
        roster: Callable[[], Roster],
        journal: Journal,
        publisher: Publisher,
        admin_changed: Callable[[str], None] = lambda _pool: None,
    ) -> None:
        self._admins = dict(admins)
        self._windows = dict(windows)
        self._roster = roster
        self._journal = journal
        self._publisher = publisher
        self._admin_changed = admin_changed

    def admin(self, key: Key) -> Admin:
        """Return what people want of a member now."""
        return self._admins.get(key, Admin())

    def window(self, key: Key) -> Window | None:
        """Return the planned drain of a member, announced or running."""
        return self._windows.get(key)

    def windows(self) -> list[Window]:
        """Return all planned drains."""
        return list(self._windows.values())

    def known(self) -> Remembered:
        """Return what the next run has to know of all this."""
        return Remembered(admins=dict(self._admins), windows=dict(self._windows))

    def adopt(self, roster: Roster) -> None:
        """Let the members of a new roster know when they are to leave."""
        for key, entry in roster.items():
            entry.standing.leaves_at = _leaves_at(self.window(key))

    def forget_removed(self, configured: Container[Key]) -> None:
        """Forget what was wanted of members that are configured no more.

        Of those that are to have mail as configured there is nothing to remember. Of the others the latest are kept:
        one that was drained, removed, and is configured again is drained.
        """
        gone = {key: admin for key, admin in self._admins.items() if key not in configured}
        telling = [
            key for key, admin in gone.items() if admin.state is not AdminState.READY or admin.weight is not None
        ]
        kept = sorted(telling, key=lambda key: gone[key].since)[-MOST_REMOVED:]
        for key in gone.keys() - set(kept) - self._windows.keys():
            del self._admins[key]

    async def change(self, key: Key, admin: Admin, window: Window | None, *events: Event) -> None:
        """Remember what is wanted of a member from now on, tell of it, and return when answers have changed.

        Each event says what was wanted before and after it. Raise StoreError, and nothing has changed, if it cannot be
        remembered.
        """
        pool, member = key
        before = _wish_json(self.admin(key), self.window(key))
        await self._journal.save(
            lambda known: _with(known, key, admin, window), lambda: self._adopt(key, admin, window)
        )
        difference = {"before": before, "after": _wish_json(admin, window)}
        await self.tell(key, *(replace(event, details={**event.details, **difference}) for event in events))
        if self._roster().get(pool, member) is not None:
            self._publisher.touch(pool)
            await self._publisher.publish()

    def take_up(self, admins: Mapping[Key, Admin], windows: Mapping[Key, Window]) -> None:
        """Want what was remembered, which could not be read before, and publish it soon."""
        for key in admins.keys() | windows.keys():
            self._adopt(key, admins.get(key, Admin()), windows.get(key))
        for pool in {pool for pool, _ in admins}:
            self._publisher.touch(pool)

    def _adopt(self, key: Key, admin: Admin, window: Window | None) -> None:
        self._admins[key] = admin
        self._windows.pop(key, None)
        if window is not None:
            self._windows[key] = window
        entry = self._roster().get(*key)
        if entry is None:
            return
        before, entry.standing.admin = entry.standing.admin, admin
        entry.standing.leaves_at = _leaves_at(window)
        if before.state is admin.state:
            return
        if admin.state is AdminState.READY:
            entry.standing.health = back_in_answers(entry.standing.health, before.since, admin.since)
        self._admin_changed(key[0])

    async def tell(self, key: Key, *events: Event) -> None:
        """Tell of something that is about a member, which the events are given here."""
        told = [replace(event, pool=key[0], member=key[1]) for event in events]
        for event in told:
            _log.info(f"member_{event.kind}", pool=event.pool, member=event.member, text=event.text)
        await self._journal.keep(*told)


def _wish_json(admin: Admin, window: Window | None) -> dict[str, Any]:
    """Return what is wanted of a member; a weight that is null is the configured one."""
    return {"admin": admin.state, "weight": admin.weight, "window": window and window_json(window)}


def _with(known: Remembered, key: Key, admin: Admin, window: Window | None) -> Remembered:
    """Return what is known with another word on one member."""
    windows = {other: each for other, each in known.windows.items() if other != key}
    return replace(known, admins={**known.admins, key: admin}, windows=windows | ({key: window} if window else {}))


def _leaves_at(window: Window | None) -> float | None:
    return None if window is None or window.begun else window.begin
