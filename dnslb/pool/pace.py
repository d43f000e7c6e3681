"""How soon members greet beside the others of their pool, and the weights that this leaves them."""

from collections.abc import Sequence
from dataclasses import replace

from dnslb.pool.admin import AdminState
from dnslb.pool.member import Policy, Pool
from dnslb.pool.portion import Pace, afresh, fastest_of, median_of, portion_of
from dnslb.pool.selection import Candidate


def pace_of(pool: Pool, candidates: Sequence[Candidate], tier: int) -> Pace:
    """Return how soon the members greet with whom one of a tier is compared."""
    median = median_of(each.health for each in candidates)
    if pool.policy is not Policy.LATENCY:
        return Pace(median)
    # Drained ones and spares of worse tiers have nothing to do, and greet all the sooner.
    rivals = (each for each in candidates if each.admin.state is AdminState.READY and each.member.tier <= tier)
    return Pace(median, fastest_of(each.health for each in rivals))


def weighed(pool: Pool, candidates: Sequence[Candidate], now: float, *, anew: bool) -> tuple[Candidate, ...]:
    """Return the members with the weights that they earn beside one another at Unix time `now`.

    `anew` where people have had one leave or come back: then no weight stays what it was because it is nearly right.
    """
    tiers = dict.fromkeys(each.member.tier for each in candidates)
    paces = {tier: pace_of(pool, candidates, tier) for tier in tiers}

    def one(candidate: Candidate) -> Candidate:
        before = afresh(candidate.portion) if anew else candidate.portion
        pace = paces[candidate.member.tier]
        return replace(candidate, portion=portion_of(candidate.health, pace, pool.slow_start, now, before))

    return tuple(map(one, candidates))
