"""Builders of the values that many tests need, with defaults for all that a test does not speak of."""

from ipaddress import ip_address

from hypothesis import settings

from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Health, State, Verdict
from dnslb.pool.member import AllDown, Member, Policy, Pool
from dnslb.pool.selection import Candidate

# A deadline is a wall-clock bound, and says more of the machine than of the code.
settings.register_profile("dnslb", deadline=None, max_examples=60)
settings.load_profile("dnslb")


def member(name: str = "mx1", *addresses: str, weight: int = 1, tier: int = 1, host: str = "") -> Member:
    """Return a member; without addresses it has one from the documentation range."""
    texts = addresses or ("192.0.2.1",)
    return Member(name, tuple(ip_address(text) for text in texts), weight, tier, host)


def pool(
    *members: Member,
    name: str = "inbound",
    policy: Policy = Policy.WEIGHTED,
    all_down: AllDown = AllDown.SERVE_ALL,
    min_healthy: float = 0.0,
) -> Pool:
    """Return a pool of the given members."""
    return Pool(name, members, policy, all_down, min_healthy)


def candidate(  # noqa: PLR0913 -- a builder has one keyword for each thing that a test may speak of
    name: str = "mx1",
    state: State = State.UP,
    admin: AdminState = AdminState.READY,
    *,
    weight: int = 1,
    runtime_weight: int | None = None,
    tier: int = 1,
    verdict: Verdict = Verdict.UNKNOWN,
    who: str = "",
    reason: str = "",
) -> Candidate:
    """Return a member with what people (`admin`, `runtime_weight`, `who`, `reason`) and probes say of it."""
    return Candidate(
        member(name, weight=weight, tier=tier),
        Admin(admin, runtime_weight, reason, who),
        Health(state, verdict),
    )
