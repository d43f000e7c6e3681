"""What is known of each member now: an operator's word and the probes' findings."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from dnslb.pool.admin import Admin
from dnslb.pool.health import Aspect, Health, State, Thresholds, Verdict
from dnslb.pool.member import Member, Pool
from dnslb.pool.outlook import Outlook
from dnslb.pool.portion import WHOLE, Portion
from dnslb.pool.selection import Candidate
from dnslb.probe.recipe import Target
from dnslb.probe.transcript import TlsFacts

Key = tuple[str, str]
"""Pool and member."""

REMEMBERED_SECONDS = 300.0
"""Health from before a restart is believed if it is at most this old; then it waits for the probes like any other."""


@dataclass(slots=True)
class Standing:
    """Both axes of a member's state: the only thing about a member that changes while the configuration stays.

    `portion` is the part of its weight that it counts with. `outlook` is its next change, as coarse as TTLs follow it.
    `leaves_at` is the Unix time of an announced drain, None if there is none. `tls` is what its last handshake showed,
    `warnings` what its probes say that does not change its health yet. `alerts` are the verdicts that people have been
    told to mend, with the aspects that showed them.
    """

    admin: Admin
    health: Health
    portion: Portion = WHOLE
    outlook: Outlook | None = None
    leaves_at: float | None = None
    tls: TlsFacts | None = None
    warnings: frozenset[str] = frozenset()
    alerts: Mapping[Verdict, Aspect] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One member as configured, with its standing."""

    member: Member
    thresholds: Thresholds
    standing: Standing

    def candidate(self) -> Candidate:
        """Return the member as the selection wants it."""
        standing = self.standing
        return Candidate(self.member, standing.admin, standing.health, standing.portion, standing.outlook)


class Roster:
    """All members of one configuration by pool and name.

    A reload makes a new roster that shares the standings of members that stay: what a probe finds meanwhile counts in
    both.
    """

    def __init__(self, entries: Mapping[Key, Entry]) -> None:
        self._entries = entries
        self._by_pool: dict[str, list[Entry]] = {}
        for (pool, _), entry in entries.items():
            self._by_pool.setdefault(pool, []).append(entry)

    @classmethod
    def of(cls, pools: Iterable[Pool], targets: Iterable[Target], standing: Callable[[Key, Member], Standing]) -> Self:
        """Return the roster of a configuration; `standing` says what is known of a member already."""
        recipes = {(target.pool, target.member): target.recipe for target in targets}
        return cls(
            {
                (key := (pool.name, member.name)): Entry(
                    member,
                    Thresholds(recipes[key].rise, recipes[key].fall, recipes[key].interval),
                    standing(key, member),
                )
                for pool in pools
                for member in pool.members
            }
        )

    def standing_after_reload(self, key: Key, member: Member, remembered: Admin) -> Standing:
        """Return the standing of a member in the configuration that follows this one.

        A member whose addresses have changed is another server under the same name: its health begins anew. One that
        was not there stands as people `remembered` it from when it was.
        """
        known = self._entries.get(key)
        if known is None:
            return Standing(remembered, Health())
        if set(known.member.addresses) == set(member.addresses):
            return known.standing
        return Standing(known.standing.admin, Health())

    def get(self, pool: str, member: str) -> Entry | None:
        """Return one member's entry, None if there is no such member."""
        return self._entries.get((pool, member))

    def members_of(self, pool: str) -> list[str]:
        """Return the names of a pool's members."""
        return [entry.member.name for entry in self._by_pool.get(pool, [])]

    def entries(self, pool: str) -> list[Entry]:
        """Return the entries of a pool's members, in the order of the configuration."""
        return list(self._by_pool.get(pool, []))

    def candidates(self, pool: str) -> list[Candidate]:
        """Return the pool's members as the selection wants them."""
        return [entry.candidate() for entry in self._by_pool.get(pool, [])]

    def unknown(self) -> set[Key]:
        """Return the members that no probe has told anything of."""
        return {key for key, entry in self._entries.items() if entry.standing.health.state is State.UNKNOWN}

    def items(self) -> Iterable[tuple[Key, Entry]]:
        """Return all members with their entries."""
        return self._entries.items()

    def keys(self) -> set[Key]:
        """Return all members."""
        return set(self._entries)

    def admins(self) -> dict[Key, Admin]:
        """Return all that people want."""
        return {key: entry.standing.admin for key, entry in self._entries.items()}

    def healths(self) -> dict[Key, Health]:
        """Return all health."""
        return {key: entry.standing.health for key, entry in self._entries.items()}


def still_believed(healths: Mapping[Key, Health], now: float) -> dict[Key, Health]:
    """Return the remembered health that is recent enough at Unix time `now`."""
    return {
        key: health
        for key, health in healths.items()
        if health.last_probe is not None and 0 <= now - health.last_probe <= REMEMBERED_SECONDS
    }
