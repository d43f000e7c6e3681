"""Which members share their fate: those of one group (a rack, a site), and each of the others with nobody."""

from collections.abc import Sequence


def fates_of(groups: Sequence[str]) -> tuple[int, ...]:
    """Return for each place the first one of its group, which is the place itself where the group is ""."""
    first: dict[str, int] = {}
    return tuple(first.setdefault(group, place) if group else place for place, group in enumerate(groups))


def fates_among(members: int, groups: Sequence[str] = ()) -> tuple[int, ...]:
    """Return what `fates_of` does for so many members; without `groups` each is alone."""
    return fates_of(groups) if groups else tuple(range(members))
