"""Which members of a pool are published, and with which weights: a ladder that never leaves a name without an answer.

Rungs, best first; the first one that holds a member is published:

    working      ready and up, degraded or busy, each with the portion of its weight that it has earned; or never
                 probed to the end, because the server is there and turns the probe away by name
    unprobed     ready and never probed: better than one on its way out, worse than one known to take mail
    leaving      draining by its own word, or drained by an operator and not down
    failed       down (ready or drained): the pool's `all_down` decides
    rejecting    down because it rejects our domain: mail that comes there bounces, where a dead server only delays it
    maintenance  only when nothing else is left

A ready member that is down and was found well by its last probe stands with the working ones of its tier, with the
least portion, while less than half of the pool's weight is healthy: the first one that is back from an outage should
not get all the mail until the others have been found well `rise` times too.

Members of weight 0 stand on no rung. Below `min_healthy` the pool panics: health is ignored, and every ready member is
published, but for those that reject our domain. There a group (a rack, a site) counts as one member: a rack that dies
is one event, however many stand in it, and one of them that dies alone is none. So it is healthy, with all of its
weight, as long as at least half of that is.

Answers hold the best tier that has a published member. Worse ones join it, best first, until `tier_min` is held: as
spares for what is missing, where a tier that has lost most of its members would get all the mail nevertheless.

Where all ready members, two at least, are down or about to be by the same answer to a question of ours (the sentinel
recipient, the login, the certificate), it is rather the question that is wrong: all of them are published, whatever
`all_down` says.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction
from itertools import groupby
from math import inf
from operator import attrgetter
from types import MappingProxyType

from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.groups import fates_of
from dnslb.pool.health import AT_WORK, Health, State, Verdict
from dnslb.pool.member import AllDown, Member, Policy, Pool
from dnslb.pool.outlook import Outlook
from dnslb.pool.portion import LEAST, WHOLE, Portion


class Rung(IntEnum):
    """How good a member is to publish; lower is better."""

    WORKING = 1
    UNPROBED = 2
    LEAVING = 3
    FAILED = 4
    REJECTING = 5
    MAINTENANCE = 6


_RUNG_OF_READY: Mapping[State, Rung] = MappingProxyType(
    {
        **dict.fromkeys(AT_WORK, Rung.WORKING),
        State.UNKNOWN: Rung.UNPROBED,
        State.DRAINING: Rung.LEAVING,
    }
)

_TURNED_AWAY = frozenset({Verdict.PROBE_LIMITED, Verdict.PROBE_BLOCKED})
"""What is said of the probe, by a server that lives: nothing is known against it as a server of others."""

QUESTIONS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.REJECTS_DOMAIN: "all members reject the sentinel recipient: the sentinel is suspect",
        Verdict.AUTH_FAILED: "all members reject the probe's login: the account is suspect",
        Verdict.TLS_INVALID: "all members have a certificate that the probe rejects: what it demands is suspect",
    }
)
"""What a probe asks a member, and what to think if all of them give the same bad answer."""

_FEW = Fraction(1, 2)
_ONE_DEATH_SECONDS = 60.0

_WITNESSES = 2
"""One member alone tells nothing of the question: it may as well be the member."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One member with all that people and probes say of it, and the part of its weight that follows from it.

    `outlook` is its next change, None if none is seen coming that a TTL would follow.
    """

    member: Member
    admin: Admin
    health: Health
    portion: Portion = WHOLE
    outlook: Outlook | None = None

    @property
    def rung(self) -> Rung:
        """Its place on the ladder, weight left aside."""
        if self.admin.state is AdminState.MAINT:
            return Rung.MAINTENANCE
        if self.health.state is State.DOWN:
            return Rung.REJECTING if self.health.shows(Verdict.REJECTS_DOMAIN) else Rung.FAILED
        if self.admin.state is not AdminState.READY:
            return Rung.LEAVING
        return Rung.WORKING if _is_turned_away(self.health) else _RUNG_OF_READY[self.health.state]

    def full_weight(self, policy: Policy) -> int:
        """Return the run-time weight before the configured one, all alike with round-robin; its portion left aside."""
        weight = self.member.weight if self.admin.weight is None else self.admin.weight
        return min(weight, 1) if policy is Policy.ROUND_ROBIN else weight

    def effective_weight(self, policy: Policy) -> float:
        """Return the weight that counts: its portion of the full one, an int where that is whole."""
        whole, rest = divmod(self.full_weight(policy) * self.portion.percent, 100)
        return whole + rest / 100 if rest else whole


@dataclass(frozen=True, slots=True)
class Choice:
    """A published member, with the weight (1 or more) and tier it is published with.

    A member that joins a better tier is published with the number of that one.
    """

    member: Member
    weight: int
    tier: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What is published of a pool, and why.

    `published` keeps the order of the candidates; empty means SERVFAIL, and only `all_down = servfail` leads there.
    Weights mean something only beside each other: they are counted in hundredths where some member gets a portion of
    its own. `healthy_weight` is the weight of the ready members that work and are not busy, `total_weight` that of all
    members whatever their admin state, both without portions; a group is healthy as a whole or not at all. `reasons`
    holds a short sentence for each member.
    `suspect` is the bad answer that all ready members give, if there is one. `changes_in` is in how many seconds this
    may change, None if nothing is seen coming; `changes_why` is a sentence that begins with the member's name.
    `policy` is the pool's. `kept` says that all are down, and published are those that were good last.
    """

    published: tuple[Choice, ...]
    panic: bool
    healthy_weight: int
    total_weight: int
    reasons: Mapping[str, str]
    suspect: Verdict | None = None
    changes_in: float | None = None
    changes_why: str = ""
    policy: Policy = Policy.WEIGHTED
    kept: bool = False

    @property
    def by_source(self) -> bool:
        """Whether each client has members of its own."""
        return self.policy is Policy.SOURCE_HASH

    @property
    def panic_reason(self) -> str:
        """Why health is ignored, "" if it is not."""
        if not self.panic:
            return ""
        if self.suspect is not None:
            return QUESTIONS[self.suspect]
        return f"healthy weight {self.healthy_weight} of {self.total_weight}"


@dataclass(frozen=True, slots=True)
class _Pick:
    """Who is published; `why_in` and `why_out` are said of members that their own condition does not explain."""

    candidates: tuple[Candidate, ...]
    panic: bool
    why_in: str = "nothing better is left"
    why_out: str = ""
    suspect: Verdict | None = None
    kept: bool = False


def select(pool: Pool, candidates: Sequence[Candidate], last_good: frozenset[str]) -> Selection:
    """Choose the members of `pool` that answers may hold.

    `candidates` are the pool's members, each once; `last_good` names those that were published when the pool last was
    not in panic, and counts only with `all_down = last-good`.
    """
    weighted = tuple(c for c in candidates if c.full_weight(pool.policy) > 0)
    total = _weight(pool, weighted)
    healthy = _healthy_weight(pool, weighted)
    pick = _climb(pool, weighted, last_good, Fraction(healthy, total)) if weighted else _weightless(candidates)
    names = frozenset(c.member.name for c in pick.candidates)
    tiers = _opened(pool, weighted, pick.candidates)
    near = _nearest(pool, candidates, names)
    return Selection(
        published=_choices(pool, pick.candidates, tiers),
        panic=pick.panic,
        healthy_weight=healthy,
        total_weight=total,
        reasons={
            c.member.name: _reason(pool, c, pick, published=c.member.name in names)
            + (_joins(pool, c.member.tier, tiers) if c.member.name in names else "")
            for c in candidates
        },
        suspect=pick.suspect,
        changes_in=None if near is None else near.seconds,
        changes_why="" if near is None else near.why,
        policy=pool.policy,
        kept=pick.kept,
    )


def by_tier(published: Iterable[Choice]) -> tuple[tuple[Choice, ...], ...]:
    """Group choices by tier, best tier first, each group in the given order."""
    ordered = sorted(published, key=attrgetter("tier"))
    return tuple(tuple(group) for _, group in groupby(ordered, key=attrgetter("tier")))


def best_tier(published: Iterable[Choice]) -> tuple[Choice, ...]:
    """Return the choices of the best tier that has one: what an address answer is made of."""
    return next(iter(by_tier(published)), ())


def _nearest(pool: Pool, candidates: Iterable[Candidate], published: frozenset[str]) -> Outlook | None:
    """Return the next change of all members whose changes answers follow; `why` names the member."""
    near = [
        Outlook(c.outlook.seconds, f"{c.member.name} {c.outlook.why}")
        for c in candidates
        if c.outlook is not None and _is_followed(pool, c, is_published=c.member.name in published)
    ]
    return min(near, key=attrgetter("seconds"), default=None)


def _is_followed(pool: Pool, candidate: Candidate, *, is_published: bool) -> bool:
    """Whether a member's health decides of its place: a drained one may be stopped and started at will."""
    if candidate.admin.state is AdminState.MAINT:
        return False
    return is_published or (candidate.admin.state is AdminState.READY and candidate.full_weight(pool.policy) > 0)


def _weight(pool: Pool, candidates: Iterable[Candidate]) -> int:
    return sum(c.full_weight(pool.policy) for c in candidates)


def _healthy_weight(pool: Pool, weighted: Sequence[Candidate]) -> int:
    """Return the weight of what is healthy: of a group all of it if half of it is, else nothing."""
    whole, well = Counter[int](), Counter[int]()
    for fate, candidate in zip(fates_of([c.member.group for c in weighted]), weighted, strict=True):
        weight = candidate.full_weight(pool.policy)
        whole[fate] += weight
        well[fate] += weight if _is_well(candidate) else 0
    return sum(weight for fate, weight in whole.items() if 2 * well[fate] >= weight)


def _is_well(candidate: Candidate) -> bool:
    return candidate.rung is Rung.WORKING and candidate.health.state is not State.BUSY


def _choices(pool: Pool, candidates: Sequence[Candidate], tiers: Sequence[int]) -> tuple[Choice, ...]:
    parted = any(c.portion.percent < WHOLE.percent for c in candidates)
    return tuple(
        Choice(
            c.member,
            max(c.full_weight(pool.policy), 1) * (c.portion.percent if parted else 1),
            tiers[0] if c.member.tier in tiers else c.member.tier,
        )
        for c in candidates
    )


def _opened(pool: Pool, weighted: Sequence[Candidate], picked: Sequence[Candidate]) -> tuple[int, ...]:
    """Return the tiers that stand side by side, best first: as few as hold `tier_min`, or all of those published."""
    tiers = sorted({c.member.tier for c in picked})
    needed = next((n for n, tier in enumerate(tiers, 1) if _hold_enough(pool, weighted, picked, tier)), len(tiers))
    return tuple(tiers[:needed])


def _hold_enough(pool: Pool, weighted: Iterable[Candidate], picked: Iterable[Candidate], tier: int) -> bool:
    """Whether enough of this tier and better ones are published, portions left aside: a slow start is no loss."""
    there = [c for c in picked if c.member.tier <= tier]
    if isinstance(pool.tier_min, int):
        return len(there) >= pool.tier_min
    whole = _weight(pool, (c for c in weighted if c.member.tier <= tier))
    return _weight(pool, there) >= Fraction(str(pool.tier_min)) * whole


def _climb(pool: Pool, weighted: tuple[Candidate, ...], last_good: frozenset[str], healthy: Fraction) -> _Pick:
    suspect = _suspect(weighted)
    if suspect is not None:
        return _Pick(_ready(weighted), panic=True, why_in=QUESTIONS[suspect], suspect=suspect)
    best = min(c.rung for c in weighted)
    if best >= Rung.FAILED:
        return _all_down(pool, _on(best, weighted), last_good)
    # The decimal that was written, not its binary neighbour: 0.7 of 10 is 7.
    # Before anybody was found healthy or weak, there is nothing to panic about.
    if best is not Rung.UNPROBED and healthy < Fraction(str(pool.min_healthy)):
        return _panicking(pool, weighted, best)
    if best is Rung.WORKING and _are_few(pool, weighted):
        why = "it answers again, and less than half of the pool's weight is healthy"
        return _Pick(_with_returning(weighted), panic=False, why_in=why)
    return _Pick(_on(best, weighted), panic=False)


def _are_few(pool: Pool, weighted: Sequence[Candidate]) -> bool:
    """Whether less than half of the weight is there to share the mail, member by member."""
    return _weight(pool, filter(_is_well, weighted)) < _FEW * _weight(pool, weighted)


def _with_returning(weighted: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """Return the members that work, and with the least portion those of their tiers that have answered well once."""
    # A better tier would get all the mail, however small its weight.
    tiers = {c.member.tier for c in _on(Rung.WORKING, weighted)}
    returning = {c.member.name for c in weighted if _is_returning(c) and c.member.tier in tiers}
    placed = (replace(c, portion=LEAST) if c.member.name in returning else c for c in weighted)
    return tuple(c for c in placed if c.rung is Rung.WORKING or c.member.name in returning)


def _is_returning(candidate: Candidate) -> bool:
    health = candidate.health
    return candidate.admin.state is AdminState.READY and health.state is State.DOWN and health.successes > 0


def _suspect(weighted: Iterable[Candidate]) -> Verdict | None:
    """Return the bad answer that all ready members give, None if there is no such or it has taken nobody down."""
    ready = _ready(weighted)
    if len(ready) < _WITNESSES or all(c.health.state is not State.DOWN for c in ready):
        return None
    return next((verdict for verdict in QUESTIONS if all(_fails(c.health, verdict) for c in ready)), None)


def _fails(health: Health, verdict: Verdict) -> bool:
    """Whether a member is down with this answer, or at work only as long as its fall is being confirmed or held.

    One that is degraded by it does not fail: there the question is asked, and its answer is not demanded.
    """
    return health.shows(verdict) and State.DOWN in {health.state, health.argued}


def _is_turned_away(health: Health) -> bool:
    return health.state is State.UNKNOWN and health.verdict in _TURNED_AWAY


def _ready(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    return tuple(c for c in candidates if c.admin.state is AdminState.READY)


def _on(rung: Rung, candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    return tuple(c for c in candidates if c.rung is rung)


def _panicking(pool: Pool, weighted: tuple[Candidate, ...], best: Rung) -> _Pick:
    ready = tuple(c for c in _ready(weighted) if c.rung is not Rung.REJECTING)
    why = f"panic, less than {pool.min_healthy} of the pool's weight is healthy"
    return _Pick(ready or _on(best, weighted), panic=True, why_in=why)


def _all_down(pool: Pool, best: tuple[Candidate, ...], last_good: frozenset[str]) -> _Pick:
    if pool.all_down is AllDown.SERVFAIL:
        return _Pick((), panic=True, why_out="no member takes mail and all_down is servfail")
    if pool.all_down is AllDown.LAST_GOOD:
        kept = _good_last(tuple(c for c in best if c.rung is not Rung.MAINTENANCE), last_good)
        if kept:
            why_in, why_out = "all are down, it was good last", "others were good last"
            return _Pick(kept, panic=True, why_in=why_in, why_out=why_out, kept=True)
    return _Pick(best, panic=True)


def _good_last(down: tuple[Candidate, ...], last_good: frozenset[str]) -> tuple[Candidate, ...]:
    """Return who was published last, and who fell in the minute before: members that die in turn die of one cause."""
    falls = {c.member.name: c.health.since for c in _ready(down) if c.health.since is not None}
    last = max((at for name, at in falls.items() if name in last_good), default=inf)
    recent = {name for name, at in falls.items() if at >= last - _ONE_DEATH_SECONDS}
    return tuple(c for c in down if c.member.name in last_good | recent)


def _weightless(candidates: Sequence[Candidate]) -> _Pick:
    # An answer must not be empty: weight 0 everywhere is read as equal weights.
    usable = tuple(c for c in candidates if c.rung is not Rung.MAINTENANCE)
    return _Pick(usable or tuple(candidates), panic=True, why_in="no member has a weight")


def _reason(pool: Pool, candidate: Candidate, pick: _Pick, *, published: bool) -> str:
    condition = _condition(candidate)
    weightless = candidate.full_weight(pool.policy) == 0
    if published:
        well = candidate.rung is Rung.WORKING and not weightless
        return condition + _portion(candidate) if well else f"published: {pick.why_in} ({condition})"
    if weightless:
        return "not published: weight is 0"
    return f"not published: {condition}" + (f", {pick.why_out}" if pick.why_out else "")


def _joins(pool: Pool, tier: int, tiers: Sequence[int]) -> str:
    """Return why a published member stands with those of a better tier, "" if it does not."""
    if tier not in tiers[1:]:
        return ""
    few = f"less than {pool.tier_min} of the better tiers' weight is"
    if isinstance(pool.tier_min, int):
        few = f"fewer than {pool.tier_min} of {'it' if tier == tiers[1] else 'better tiers'} are"
    return f", joins tier {tiers[0]} because {few} published (tier_min)"


def _portion(candidate: Candidate) -> str:
    portion = candidate.portion
    if portion.percent == WHOLE.percent:
        return ""
    return f", with {portion.percent} % of its weight" + (f" ({portion.why})" if portion.why else "")


def _condition(candidate: Candidate) -> str:
    admin, health = candidate.admin, candidate.health
    if admin.state is AdminState.MAINT:
        return "maintenance" + _signed(admin)
    state = _state_in_words(health)
    if admin.state is AdminState.READY:
        return state
    return "drained" + _signed(admin) + (f", {state}" if health.state is State.DOWN else "")


def _signed(admin: Admin) -> str:
    return (f" by {admin.who}" if admin.who else "") + (f": {admin.reason}" if admin.reason else "")


def _state_in_words(health: Health) -> str:
    if _is_turned_away(health):
        return f"not probed to the end: {health.verdict}"
    if health.state is State.UNKNOWN:
        return "not probed yet"
    if health.state is State.DOWN and health.successes > 0:
        probes = "probe" if health.successes == 1 else f"{health.successes} probes"
        return f"down, and well in its last {probes}"
    # A state that is its own verdict ("busy") need not be said twice.
    alone = health.state is State.UP or str(health.state) == str(health.verdict)
    return str(health.state) if alone else f"{health.state} ({health.verdict})"
