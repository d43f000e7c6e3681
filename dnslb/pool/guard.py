"""When half of a pool falls at once, the prober is the likelier suspect: its falls are held for one round.

A story: mx1 of three dies, and is out. mx2 fails a second later. That is two of three within one round, so the pool is
frozen: mx2 stays in, and so does mx3 when it fails as well, while somebody looks at them another way. mx1 stays out. A
round later they are asked again; who still fails falls now, with no second delay, until a round has passed without a
fall. In a pool of two the death of one is one death: it is out at once.

Members of a group (a rack, a site) fall together when it does, which says nothing of the prober: however many of them
fall, that is one fall, in a pool whose size is the number of groups and of members without one. Where all are of one
group they count one by one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from dnslb.pool.groups import fates_of
from dnslb.pool.health import Health

_TOGETHER = 2
"""So many falls make a suspicion, and half of the pool at least."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a pool remembers of its falls. All times are Unix times.

    `falls` are the members that fell, or would have, and when. Until `frozen_until` falls are held; until `armed_from`
    they are not held any more, since that has been done.
    """

    falls: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    frozen_until: float = 0.0
    armed_from: float = 0.0


def judge_fall(guard: Guard, member: str, groups: Mapping[str, str], at: float, round_s: float) -> tuple[Guard, bool]:
    """Return what is remembered after a fall, and whether it is held.

    `member` is about to go from taking mail to down at Unix time `at`, in a pool of members that are probed once in
    `round_s` seconds. `groups` names the group of each of them, "" for none.
    """
    recent = {name: then for name, then in guard.falls.items() if at - round_s < then <= at}
    noted = replace(guard, falls=MappingProxyType({**recent, member: at}))
    if _within(at, guard.frozen_until, round_s):
        return noted, True
    if _within(at, guard.armed_from, round_s):
        return replace(noted, armed_from=at + round_s), False
    if not _are_many(noted.falls, groups):
        return noted, False
    return replace(noted, frozen_until=at + round_s, armed_from=at + 2 * round_s), True


def _are_many(falls: Iterable[str], groups: Mapping[str, str]) -> bool:
    fates = dict(zip(groups, fates_of(list(groups.values())), strict=True))
    size = len(set(fates.values()))
    if size == 1:
        fates, size = dict(zip(groups, range(len(groups)), strict=True)), len(groups)
    together = {fates[name] for name in falls if name in fates}
    return len(together) >= max(_TOGETHER, size / 2)


def held(before: Health, fallen: Health) -> Health:
    """Return the health of a member whose fall is held: in its place as before, with all that was found."""
    return replace(
        fallen,
        state=before.state,
        since=before.since,
        percent=before.percent,
        returned_at=before.returned_at,
    )


def _within(at: float, until: float, length: float) -> bool:
    """Whether a span of time is running; one that begins in the future is of a clock that was set back since."""
    return until - length <= at < until
