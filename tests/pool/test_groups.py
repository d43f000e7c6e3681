"""Which members share their fate."""

from dnslb.pool.groups import fates_among, fates_of


def test_members_of_a_group_have_one_fate() -> None:
    """It is that of the first of them; who is in no group shares it with nobody."""
    assert fates_of(["", "r1", "", "r2", "r1", "r2"]) == (0, 1, 2, 3, 1, 3)
    assert fates_of([]) == ()


def test_without_groups_each_member_is_alone() -> None:
    """A ring without groups is one in which nobody shares a fate."""
    assert fates_among(3) == fates_among(3, ["", "", ""]) == (0, 1, 2)
    assert fates_among(3, ["", "r1", "r1"]) == (0, 1, 1)
