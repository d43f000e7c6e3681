"""How large resolvers are, and what they do to the answers that they cache."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from dnslb.answer.service import ServiceType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from fractions import Fraction
    from random import Random

    from dnslb.simulation.answers import Record

_WHOLE = 100


class Resolver(StrEnum):
    """A resolver program, as measured: unbound and dnsmasq rotate what they cache, BIND shuffles it."""

    UNBOUND = "unbound"
    BIND = "bind"
    DNSMASQ = "dnsmasq"

    def caches(self, kind: ServiceType) -> bool:
        """Whether it keeps such answers: dnsmasq keeps addresses only, and asks anew for all else."""
        return self is not Resolver.DNSMASQ or kind is ServiceType.ADDRESS

    @property
    def shuffles(self) -> bool:
        """Whether any order is as likely as any other; else the order is one of as many as there are records."""
        return self is Resolver.BIND

    def order(self, records: Sequence[Record], random: Random) -> list[Record]:
        """Return the records in the order that one client gets them in."""
        if self.shuffles:
            return random.sample(records, len(records))
        begin = random.randrange(len(records))
        return [*records[begin:], *records[:begin]]

    def rotations(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Yield the orders that are equally likely, for a resolver that rotates."""
        for begin in range(len(records)):
            yield [*records[begin:], *records[:begin]]


@dataclass(frozen=True, slots=True)
class Spread:
    """How the mail is spread over resolvers: by Zipf's law, equally, or by percentages of the largest.

    `percents` are those of the largest resolvers; what is left is shared equally by the others.
    """

    zipf: bool = False
    percents: tuple[Fraction, ...] = ()

    def sizes(self, resolvers: int) -> list[float]:
        """Return each resolver's fraction of the mail. Raise ValueError if the percentages do not fit the number."""
        if self.zipf:
            parts = [1 / rank for rank in range(1, resolvers + 1)]
            return [part / sum(parts) for part in parts]
        others, left = resolvers - len(self.percents), _WHOLE - sum(self.percents)
        if left < 0 or any(percent <= 0 for percent in self.percents):
            raise ValueError("the shares of resolvers are percentages above 0, and add up to 100 at most")
        if left and others < 1:
            raise ValueError(f"{resolvers} resolvers with {float(_WHOLE - left):g} % of the mail: who sends the rest?")
        rest = [float(left / others / _WHOLE)] * others if left else []
        return [*(float(percent / _WHOLE) for percent in self.percents), *rest]
