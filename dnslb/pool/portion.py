"""How much of its weight a member is published with, and why not all of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Portion:
    """The part of its weight, in percent (1..100), that a member counts with.

    `why` is a phrase for people, "" when it is all. `slow` says that the member is being spared because it greets so
    much later than the others of its pool.
    """

    percent: int = 100
    why: str = ""
    slow: bool = False


WHOLE = Portion()
