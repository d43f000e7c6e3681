"""The ladder: who is published, and the sentence that says why."""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.pool.admin import AdminState
from dnslb.pool.health import (
    Aspect,
    Effect,
    Fault,
    Health,
    ProbeResult,
    State,
    Thresholds,
    Verdict,
    observe,
)
from dnslb.pool.member import AllDown, Policy, Pool
from dnslb.pool.outlook import Outlook
from dnslb.pool.selection import Candidate, Choice, Selection, best_tier, by_tier, select
from tests.conftest import candidate, member, pool

_READY, _DRAIN, _MAINT = AdminState.READY, AdminState.DRAIN, AdminState.MAINT

_REJECTS = Verdict.REJECTS_DOMAIN
_SILENT = Verdict.TIMEOUT
_Place = tuple[AdminState, State, Verdict]


def _places(admin: AdminState, *states: State, verdict: Verdict = Verdict.UNKNOWN) -> tuple[_Place, ...]:
    return tuple((admin, state, verdict) for state in states)


_ALIVE = tuple(state for state in State if state is not State.DOWN)
_LADDER = (
    (
        *_places(_READY, State.UP, State.DEGRADED, State.BUSY),
        *_places(_READY, State.UNKNOWN, verdict=Verdict.PROBE_LIMITED),
        *_places(_READY, State.UNKNOWN, verdict=Verdict.PROBE_BLOCKED),
    ),
    _places(_READY, State.UNKNOWN),
    (*_places(_READY, State.DRAINING), *_places(_DRAIN, *_ALIVE)),
    (*_places(_READY, State.DOWN), *_places(_DRAIN, State.DOWN)),
    (*_places(_READY, State.DOWN, verdict=_REJECTS), *_places(_DRAIN, State.DOWN, verdict=_REJECTS)),
    (*_places(_MAINT, *State), *_places(_MAINT, State.DOWN, verdict=_REJECTS)),
)
"""Best rung first, each with all that stand on it: together every pair of admin state and state."""

_PLACES = tuple((rung, *place) for rung, places in enumerate(_LADDER) for place in places)


def _names(selection: Selection) -> list[str]:
    return [choice.member.name for choice in selection.published]


def _selected(candidates: Iterable[Candidate], last_good: Iterable[str] = (), of: Pool | None = None) -> Selection:
    candidates = list(candidates)
    return select(of or pool(*(c.member for c in candidates)), candidates, frozenset(last_good))


def test_the_truth_table_is_complete() -> None:
    """Every pair of admin state and state stands on exactly one rung of the table below."""
    pairs = sorted({(admin, state) for rung in _LADDER for admin, state, _ in rung})
    assert pairs == sorted((admin, state) for admin in AdminState for state in State)


@pytest.mark.parametrize(("rung", "admin", "state", "verdict"), _PLACES)
def test_a_better_rung_keeps_a_worse_one_out(rung: int, admin: AdminState, state: State, verdict: Verdict) -> None:
    """Of any two members only those on the better rung are published, both if they share it."""
    subject = candidate("a", state, admin, verdict=verdict)
    for other_rung, other_admin, other_state, other_verdict in _PLACES:
        found = _selected([subject, candidate("b", other_state, other_admin, verdict=other_verdict)])
        expected = ["a"] * (rung <= other_rung) + ["b"] * (other_rung <= rung)
        assert _names(found) == expected, (other_admin, other_state, other_verdict)


@pytest.mark.parametrize(("rung", "admin", "state", "verdict"), _PLACES)
def test_the_last_member_is_published_whatever_its_condition(
    rung: int, admin: AdminState, state: State, verdict: Verdict
) -> None:
    """An answer is never empty by itself; the pool panics when nobody is known or hoped to take mail."""
    found = _selected([candidate("a", state, admin, verdict=verdict)])
    assert (_names(found), found.panic) == (["a"], rung >= 3)


def test_a_rejected_domain_outlasts_another_fault() -> None:
    """Who rejected our domain when it was asked last still stands last, though it does not even answer now."""
    fault = Fault(Aspect.RECIPIENT, _REJECTS, "550", alert=True)
    silent = replace(candidate("a", State.DOWN), health=Health(State.DOWN, Verdict.TIMEOUT, faults=(fault,)))
    assert _names(_selected([silent, candidate("b", State.DOWN, verdict=Verdict.REFUSED)])) == ["b"]


def test_a_choice_carries_weight_and_tier() -> None:
    """Published members keep the order of the candidates, with the weight that counts and their tier."""
    up = [candidate("a", weight=5), candidate("b", weight=3, runtime_weight=7, tier=2)]
    assert _selected(up).published == (Choice(up[0].member, 5, 1), Choice(up[1].member, 7, 2))


def test_round_robin_makes_all_weights_alike() -> None:
    """With round-robin a positive weight counts 1 and weight 0 still keeps a member out."""
    up = [candidate("a", weight=50), candidate("b", weight=3), candidate("c", weight=0)]
    found = _selected(up, of=pool(policy=Policy.ROUND_ROBIN))
    assert [(choice.member.name, choice.weight) for choice in found.published] == [("a", 1), ("b", 1)]
    assert (found.healthy_weight, found.total_weight) == (2, 2)


@pytest.mark.parametrize(
    ("weights", "runtime", "published"),
    [
        ({"a": 1, "b": 0}, {}, {"a": 1}),
        ({"a": 1, "b": 1}, {"b": 0}, {"a": 1}),
        ({"a": 1, "b": 0}, {"b": 4}, {"a": 1, "b": 4}),
        ({"a": 0, "b": 0}, {}, {"a": 1, "b": 1}),  # an answer must not be empty
    ],
)
def test_weight_0_keeps_out(weights: dict[str, int], runtime: dict[str, int], published: dict[str, int]) -> None:
    """A weight of 0 is never published, unless no member of the pool has a weight at all."""
    found = _selected(candidate(name, weight=w, runtime_weight=runtime.get(name)) for name, w in weights.items())
    assert {choice.member.name: choice.weight for choice in found.published} == published


def test_without_any_weight_maintenance_still_comes_last() -> None:
    """With weight 0 everywhere a member that is not in maintenance is published before one that is."""
    found = _selected([candidate("a", admin=_MAINT, weight=0), candidate("b", State.DOWN, weight=0)])
    assert (_names(found), found.panic) == (["b"], True)


def test_a_down_member_with_weight_comes_before_an_up_member_without() -> None:
    """Weight 0 means never published: not even when all others are down."""
    assert _names(_selected([candidate("a", State.DOWN), candidate("b", State.UP, weight=0)])) == ["a"]


@pytest.mark.parametrize(
    ("all_down", "last_good", "published"),
    [
        (AllDown.SERVE_ALL, "", "a b"),
        (AllDown.SERVE_ALL, "a", "a b"),
        (AllDown.LAST_GOOD, "b", "b"),
        (AllDown.LAST_GOOD, "b gone", "b"),
        (AllDown.LAST_GOOD, "gone", "a b"),
        (AllDown.LAST_GOOD, "m w", "a b"),  # maintenance and weight 0 are not served, however good they were
        (AllDown.LAST_GOOD, "", "a b"),
        (AllDown.SERVFAIL, "a b", ""),
    ],
)
def test_all_down(all_down: AllDown, last_good: str, published: str) -> None:
    """When every member is down, `all_down` says who is served; it is panic in any case."""
    members = [
        candidate("a", State.DOWN),
        candidate("b", State.DOWN, _DRAIN),
        candidate("m", State.UP, _MAINT),
        candidate("w", State.UP, weight=0),
    ]
    found = _selected(members, last_good.split(), of=pool(all_down=all_down))
    assert (_names(found), found.panic) == (published.split(), True)
    assert found.kept == (all_down is AllDown.LAST_GOOD and published == "b")


def _fallen(name: str, since: float | None, admin: AdminState = _READY, verdict: Verdict = _SILENT) -> Candidate:
    return replace(candidate(name, admin=admin), health=Health(State.DOWN, verdict, since=since))


def test_members_that_fall_in_turn_were_good_last_together() -> None:
    """Who fell in the minute before the last one is served with it; who was dead before, or drained, is not."""
    falls = [
        *(_fallen("old", 939.9), _fallen("first", 940.0), _fallen("second", 970.0), _fallen("last", 1000.0)),
        *(_fallen("drained", 980.0, _DRAIN), _fallen("bouncing", 980.0, verdict=_REJECTS), _fallen("unknown", None)),
    ]
    last_good = pool(all_down=AllDown.LAST_GOOD)
    assert _names(_selected(falls, ["last"], of=last_good)) == ["first", "second", "last"]
    # Nobody knows when it fell: so nobody is known to have fallen with it.
    assert _names(_selected(falls, ["unknown"], of=last_good)) == ["unknown"]


def test_nobody_in_maintenance_was_good_last() -> None:
    """When nothing but maintenance is left, all of it is served, whoever was published before."""
    members = [candidate("a", admin=_MAINT), candidate("b", admin=_MAINT)]
    assert _names(_selected(members, ["a"], of=pool(all_down=AllDown.LAST_GOOD))) == ["a", "b"]


@pytest.mark.parametrize("all_down", AllDown)
def test_all_down_waits_until_nothing_better_is_left(all_down: AllDown) -> None:
    """As long as one member drains or waits for its first probe, `all_down` has no say."""
    for better in (candidate("b", State.UP, _DRAIN), candidate("b", State.UNKNOWN), candidate("b", State.BUSY)):
        found = _selected([candidate("a", State.DOWN), better], of=pool(all_down=all_down))
        assert (_names(found), found.panic) == (["b"], False)


def test_servfail_goes_before_members_in_maintenance() -> None:
    """Who asked for SERVFAIL when nobody takes mail does not get servers that are being worked on instead."""
    found = _selected([candidate("a", State.UP, _MAINT)], of=pool(all_down=AllDown.SERVFAIL))
    assert (found.published, found.panic) == ((), True)


@pytest.mark.parametrize(
    ("min_healthy", "up", "panic"),
    [
        (0.5, 50, False),  # the boundary itself is healthy
        (0.5, 49, True),
        (0.0, 1, False),
        (1.0, 100, False),
        (1.0, 99, True),
        (0.07, 7, False),  # 0.07 as a binary fraction is more than 7/100
        (0.07, 6, True),
    ],
)
def test_min_healthy(min_healthy: float, up: int, panic: bool) -> None:  # noqa: FBT001 -- a column of the table
    """The pool panics when less than the fraction of its weight is ready and up, in decimal arithmetic."""
    members = [candidate("a", weight=up), candidate("b", State.DOWN, weight=100 - up)]
    found = _selected((c for c in members if c.member.weight), of=pool(min_healthy=min_healthy))
    assert found.panic is panic
    assert (found.healthy_weight, found.total_weight) == (up, 100)
    assert _names(found) == (["a", "b"] if panic else ["a"])


@pytest.mark.parametrize(
    ("down", "healthy"),
    [
        ("", 10),
        ("a", 10),  # 4 of 7 is half of r1 or more
        ("b", 3),  # and 3 of 7 is not
        ("ab", 3),
        ("c", 7),
        ("ac", 7),
        ("abc", 0),
    ],
)
def test_a_group_is_healthy_as_a_whole_or_not(down: str, healthy: int) -> None:
    """It counts as one member with all its weight while at least half of that is healthy: it may die as one."""
    facts = {"a": (3, "r1"), "b": (4, "r1"), "c": (3, "")}
    members = [
        candidate(name, State.DOWN if name in down else State.UP, weight=weight, group=group)
        for name, (weight, group) in facts.items()
    ]
    found = _selected(members, of=pool(min_healthy=0.5))
    assert (found.healthy_weight, found.total_weight) == (healthy, 10)
    assert found.panic is (healthy < 5)


def test_members_of_a_group_that_are_back_early_are_counted_one_by_one() -> None:
    """Whether the first one back should get all the mail is a matter of load: half a rack carries half of it."""
    back = Health(State.DOWN, successes=1)
    members = [candidate("a", weight=4, group="r1"), candidate("b", weight=4, group="r1")]
    members += [replace(candidate(name, weight=4), health=back) for name in "cd"]
    members[1] = replace(members[1], health=back)
    assert _names(_selected(members)) == ["a", "b", "c", "d"]


def test_panic_publishes_every_ready_member_whatever_its_health() -> None:
    """Panic ignores health, not people: drained and maintained members and weight 0 stay out."""
    states = [candidate(state, state) for state in State]
    others = [candidate("d", admin=_DRAIN), candidate("m", admin=_MAINT), candidate("w", weight=0)]
    found = _selected([*states, *others], of=pool(min_healthy=0.5))
    assert (_names(found), found.panic) == (list(State), True)


def test_members_out_of_service_count_as_configured_weight() -> None:
    """`min_healthy` is a fraction of all the weight, that of drained members and members in maintenance too."""
    members = [candidate("a", weight=4), candidate("d", admin=_DRAIN, weight=3), candidate("m", admin=_MAINT, weight=3)]
    found = _selected(members, of=pool(min_healthy=0.5))
    assert (found.healthy_weight, found.total_weight, found.panic, _names(found)) == (4, 10, True, ["a"])


def test_panic_does_not_send_mail_where_it_bounces() -> None:
    """Who rejects our domain stays out of a panic as long as anybody else is ready."""
    rejecting = candidate("r", State.DOWN, verdict=_REJECTS)
    in_panic = pool(min_healthy=0.5)
    assert _names(_selected([candidate("a", State.BUSY), candidate("b", State.DOWN), rejecting], of=in_panic)) == [
        "a",
        "b",
    ]
    assert _names(_selected([rejecting, candidate("d", admin=_DRAIN)], of=in_panic)) == ["d"]


def test_panic_without_a_ready_member_climbs_the_ladder() -> None:
    """When nobody is ready the ladder decides, and it is panic all the same."""
    found = _selected([candidate("d", admin=_DRAIN), candidate("x", State.DOWN, _DRAIN)], of=pool(min_healthy=0.5))
    assert (_names(found), found.panic) == (["d"], True)


def test_members_that_nobody_has_probed_yet_are_no_panic() -> None:
    """At the start nothing is known to be wrong: what is unprobed is published, and nobody is paged."""
    found = _selected([candidate("a", State.UNKNOWN), candidate("b", State.DOWN)], of=pool(min_healthy=0.5))
    assert (found.panic, [choice.member.name for choice in found.published]) == (False, ["a"])


def test_a_pool_that_turns_the_probe_away_is_no_panic() -> None:
    """Nothing is known against its members, so they count as healthy."""
    members = [candidate(name, State.UNKNOWN, verdict=Verdict.PROBE_LIMITED) for name in "ab"]
    found = _selected([*members, candidate("c", State.DOWN)], of=pool(min_healthy=0.5))
    assert (_names(found), found.panic, found.healthy_weight) == (["a", "b"], False, 2)


def test_all_down_goes_before_min_healthy() -> None:
    """With every member down it is `all_down` that decides, not the panic of `min_healthy`."""
    found = _selected([candidate("a", State.DOWN)], of=pool(min_healthy=0.5, all_down=AllDown.SERVFAIL))
    assert found.published == ()


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        (candidate("a"), "up"),
        (candidate("a", State.DOWN, verdict=Verdict.REFUSED), "not published: down (refused)"),
        (
            replace(candidate("a"), health=Health(state=State.DOWN, successes=2)),
            "not published: down, and well in its last 2 probes",
        ),
        (candidate("a", State.BUSY, verdict=Verdict.BUSY, percent=10), "busy, with 10 % of its weight"),
        (candidate("a", percent=40, why="slow start"), "up, with 40 % of its weight (slow start)"),
        (candidate("a", State.DOWN, verdict=Verdict.REJECTS_DOMAIN), "not published: down (rejects_domain)"),
        (candidate("a", State.UNKNOWN), "not published: not probed yet"),
        (candidate("a", State.UNKNOWN, verdict=Verdict.PROBE_LIMITED), "not probed to the end: probe_limited"),
        (candidate("a", weight=0), "not published: weight is 0"),
        (candidate("a", admin=_MAINT), "not published: maintenance"),
        (
            candidate("a", admin=_DRAIN, who="alice", reason="replace disk"),
            "not published: drained by alice: replace disk",
        ),
        (
            candidate("a", State.DOWN, _DRAIN, who="alice", verdict=Verdict.TIMEOUT),
            "not published: drained by alice, down (timeout)",
        ),
    ],
)
def test_reason_beside_a_healthy_member(subject: Candidate, reason: str) -> None:
    """The reason says why a member is out while another is up."""
    assert _selected([subject, candidate("other")]).reasons["a"] == reason


@pytest.mark.parametrize(
    ("subject", "of", "last_good", "reason"),
    [
        (candidate("a", State.UNKNOWN), pool(), "", "published: nothing better is left (not probed yet)"),
        (
            candidate("a", State.DOWN, verdict=Verdict.CLOSED),
            pool(),
            "",
            "published: nothing better is left (down (closed))",
        ),
        (
            candidate("a", State.DOWN, verdict=Verdict.CLOSED),
            pool(all_down=AllDown.SERVFAIL),
            "",
            "not published: down (closed), no member takes mail and all_down is servfail",
        ),
        (
            candidate("a", State.DOWN, verdict=Verdict.CLOSED),
            pool(all_down=AllDown.LAST_GOOD),
            "a",
            "published: all are down, it was good last (down (closed))",
        ),
        (
            candidate("a", State.DRAINING, verdict=Verdict.BUSY),
            pool(min_healthy=0.5),
            "",
            "published: panic, less than 0.5 of the pool's weight is healthy (draining (busy))",
        ),
        (candidate("a", State.BUSY, verdict=Verdict.BUSY), pool(min_healthy=0.5), "", "busy"),
        (candidate("a", weight=0), pool(), "", "published: no member has a weight (up)"),
    ],
)
def test_reason_of_the_last_member(subject: Candidate, of: Pool, last_good: str, reason: str) -> None:
    """The reason says why a member is published although it is not well, or why even the last one is not."""
    assert _selected([subject], last_good.split(), of).reasons == {"a": reason}


def test_reason_of_a_member_that_was_not_good_last() -> None:
    """With last-good the members left out are told from those that were good."""
    members = [candidate(name, State.DOWN, verdict=Verdict.REFUSED) for name in "ab"]
    found = _selected(members, "b", of=pool(all_down=AllDown.LAST_GOOD))
    assert found.reasons["a"] == "not published: down (refused), others were good last"


# Portions of weight


def test_weights_are_as_configured_while_all_count_whole() -> None:
    """A portion of somebody who is not published changes no weight."""
    found = _selected([candidate("a", weight=5), candidate("b", State.DRAINING, weight=3, percent=10)])
    assert [choice.weight for choice in found.published] == [5]


def test_a_portion_scales_all_weights_of_the_pool() -> None:
    """Weights become hundredths as soon as one published member gets less than all of its own."""
    members = [candidate("a", weight=5), candidate("b", State.BUSY, weight=3, percent=10), candidate("c", weight=7)]
    found = _selected(members)
    assert [choice.weight for choice in found.published] == [500, 30, 700]
    assert (found.healthy_weight, found.total_weight) == (12, 15)


def test_degraded_members_are_healthy_and_busy_ones_are_not() -> None:
    """Degraded ones take mail, with all of their weight; what a busy one would take is not to be counted on."""
    members = [
        candidate("a", weight=5, percent=10),
        candidate("b", State.DEGRADED, weight=3, percent=50),
        candidate("c", State.BUSY, weight=4),
    ]
    assert (_selected(members).healthy_weight, _selected(members).total_weight) == (8, 12)


@pytest.mark.parametrize(
    ("weight", "runtime", "percent", "policy", "effective"),
    [
        (50, None, 100, Policy.WEIGHTED, 50),
        (50, None, 10, Policy.WEIGHTED, 5),
        (5, None, 50, Policy.WEIGHTED, 2.5),
        (50, 3, 10, Policy.WEIGHTED, 0.3),
        (0, None, 10, Policy.WEIGHTED, 0),
        (50, None, 10, Policy.ROUND_ROBIN, 0.1),
    ],
)
def test_the_weight_that_counts(
    weight: int, runtime: int | None, percent: int, policy: Policy, effective: float
) -> None:
    """It is the portion of the full weight, and a whole number where it is one."""
    found = candidate(weight=weight, runtime_weight=runtime, percent=percent).effective_weight(policy)
    assert (found, isinstance(found, int)) == (effective, effective == int(effective))


@given(
    st.lists(
        st.tuples(st.sampled_from(State), st.sampled_from(AdminState), st.integers(0, 9), st.integers(1, 100)),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from(AllDown),
)
def test_whatever_is_known_the_weights_are_those_that_count(
    said: list[tuple[State, AdminState, int, int]], min_healthy: float, all_down: AllDown
) -> None:
    """Published weights are positive and stand in the ratio of the effective ones; each member has its reason."""
    members = [
        candidate(f"m{n}", state, admin, weight=weight, percent=percent)
        for n, (state, admin, weight, percent) in enumerate(said)
    ]
    found = _selected(members, of=pool(min_healthy=min_healthy, all_down=all_down))
    assert found.reasons.keys() == {one.member.name for one in members}
    assert found.published or all_down is AllDown.SERVFAIL
    if any(weight for _, _, weight, _ in said):
        counts = {one.member.name: Fraction(one.full_weight(Policy.WEIGHTED) * one.portion.percent) for one in members}
        assert len({choice.weight / counts[choice.member.name] for choice in found.published}) <= 1
    assert all(choice.weight >= 1 for choice in found.published)


# Coming back from an outage


_RETURNING = (("better", _READY, 1), ("back", _READY, 2), ("drained", _DRAIN, 2), ("worse", _READY, 3))
_WHY_RETURNING = (
    "published: it answers again, and less than half of the pool's weight is healthy (down, and well in its last probe)"
)


def _probed(health: Health, marks: str) -> Health:
    """Return what is known after probes that were good (.) or not answered (x), with rise 2 and fall 3."""
    effects = {".": (Verdict.OK, Effect(State.UP)), "x": (_SILENT, Effect(State.DOWN))}
    for mark in marks:
        result = ProbeResult(effects[mark][0], "", effects[mark][1], None, 0.0, 1.0)
        health = observe(health, result, Thresholds(2, 3, 10))
    return health


def test_the_first_one_back_does_not_get_all_the_mail() -> None:
    """A story: five are down, and answer again one by one; until half of them are sure all that answer get mail."""
    story = {
        # The probes of a to e since the outage ended -> the published ones with their weights.
        ".,.,,,": {"a": 8, "b": 8, "c": 8, "d": 8, "e": 8},  # nobody is sure: all_down
        "..,.,.,,": {"a": 800, "b": 80, "c": 80},
        "..,..,.,x,": {"a": 800, "b": 800, "c": 80},
        "..,.x,.,.,": {"a": 800, "c": 80, "d": 80},  # whose last probe was lost is down as before
        "..,..,..,.,.": {"a": 8, "b": 8, "c": 8},  # enough are: the others wait until they are sure
    }
    for probes, published in story.items():
        healths = [_probed(Health(), "xxx" + marks) for marks in probes.split(",")]
        members = [replace(candidate(n, weight=8), health=h) for n, h in zip("abcde", healths, strict=True)]
        found = _selected(members)
        assert {choice.member.name: choice.weight for choice in found.published} == published, probes


def test_who_comes_back_early_is_of_a_tier_that_works_and_ready() -> None:
    """A better tier would get all the mail whatever its weight, and an operator's word holds."""
    back = _probed(Health(), "xxx.")
    members = [
        candidate("works", tier=2),
        *(replace(candidate(name, admin=admin, tier=tier), health=back) for name, admin, tier in _RETURNING),
        candidate("silent", State.DOWN, tier=2),
    ]
    found = _selected(members)
    assert [(choice.member.name, choice.weight) for choice in found.published] == [("works", 100), ("back", 10)]
    assert (found.panic, found.healthy_weight, found.reasons["works"]) == (False, 1, "up")
    assert found.reasons["back"] == _WHY_RETURNING
    assert found.reasons["better"] == "not published: down, and well in its last probe"


# Suspect questions


@pytest.mark.parametrize("all_down", AllDown)
@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        (Verdict.REJECTS_DOMAIN, "all members reject the sentinel recipient: the sentinel is suspect"),
        (Verdict.AUTH_FAILED, "all members reject the probe's login: the account is suspect"),
        (
            Verdict.TLS_INVALID,
            "all members have a certificate that the probe rejects: what it demands is suspect",
        ),
    ],
)
def test_if_all_give_the_same_bad_answer_the_question_is_suspect(verdict: Verdict, why: str, all_down: AllDown) -> None:
    """All ready members are served, in panic, whatever `all_down` says; nobody else has a say or is served."""
    members = [
        candidate("a", State.DOWN, verdict=verdict),
        candidate("b", State.DOWN, verdict=verdict),
        candidate("d", admin=_DRAIN),
        candidate("m", admin=_MAINT),
        candidate("w", weight=0),
    ]
    found = _selected(members, of=pool(all_down=all_down))
    assert (_names(found), found.panic, found.suspect) == (["a", "b"], True, verdict)
    assert found.reasons["a"] == f"published: {why} (down ({verdict}))"
    assert found.reasons["d"] == "not published: drained"


@pytest.mark.parametrize(
    "other",
    [
        candidate("b", State.UP),
        candidate("b", State.UNKNOWN),
        candidate("b", State.DEGRADED, verdict=_REJECTS),  # it is asked, and its answer is not demanded
        candidate("b", State.DOWN, verdict=Verdict.REFUSED),
        candidate("b", State.DOWN, verdict=Verdict.AUTH_FAILED),
        candidate("b", State.DOWN, _DRAIN, verdict=_REJECTS),
        candidate("b", State.DOWN, verdict=_REJECTS, weight=0),
    ],
)
def test_one_other_voice_and_the_question_is_good(other: Candidate) -> None:
    """So does a member that is alone: what it says may be its own fault."""
    found = _selected([candidate("a", State.DOWN, verdict=_REJECTS), other], of=pool(all_down=AllDown.SERVFAIL))
    assert found.suspect is None
    assert "a" not in _names(found)


@pytest.mark.parametrize("all_down", AllDown)
@pytest.mark.parametrize("verdict", [Verdict.REJECTS_DOMAIN, Verdict.AUTH_FAILED, Verdict.TLS_INVALID])
def test_members_whose_fall_waits_are_witnesses_too(verdict: Verdict, all_down: AllDown) -> None:
    """Whose fall is held, or being confirmed, has given the bad answer as well: the first to fall is not left out."""
    fault = Fault(Aspect.AUTH, verdict, "", alert=True)
    held = Health(State.UP, verdict, failures=1, argued=State.DOWN, faults=(fault,))
    hidden = replace(held, verdict=Verdict.TIMEOUT)
    members = [candidate("a", State.DOWN, verdict=verdict)]
    members += [replace(candidate(name), health=health) for name, health in (("b", held), ("c", hidden))]
    found = _selected(members, of=pool(all_down=all_down))
    assert (_names(found), found.panic, found.suspect) == (["a", "b", "c"], True, verdict)
    well = _selected([*members, candidate("d")], of=pool(all_down=all_down))
    assert (_names(well), well.panic, well.suspect) == (["b", "c", "d"], False, None)


def test_an_answer_that_has_taken_nobody_down_is_no_panic() -> None:
    """As long as all are at work there is nobody to bring back."""
    once = Health(State.UP, _REJECTS, failures=1, argued=State.DOWN)
    found = _selected([replace(candidate(name), health=once) for name in "ab"])
    assert (_names(found), found.panic, found.suspect) == (["a", "b"], False, None)


def test_certificates_that_are_tolerated_do_not_bring_back_one_that_is_not() -> None:
    """Where all but one expire soon and that one has expired, what the probe demands is good."""
    soon = Health(State.DEGRADED, Verdict.TLS_INVALID, failures=2, argued=State.DEGRADED)
    found = _selected([candidate("a", State.DOWN, verdict=Verdict.TLS_INVALID), replace(candidate("b"), health=soon)])
    assert (_names(found), found.suspect) == (["b"], None)


def test_other_verdicts_are_no_question() -> None:
    """That all are full or refuse connections is no fault of the probe's."""
    for verdict in (Verdict.REFUSED, Verdict.STORAGE, Verdict.REJECTING, Verdict.TLS_BROKEN):
        members = [candidate(name, State.DOWN, verdict=verdict) for name in "ab"]
        assert _selected(members, of=pool(all_down=AllDown.SERVFAIL)).published == ()


def test_a_suspect_question_outlasts_a_lost_packet() -> None:
    """A member that did not answer this once still says what it said before."""
    fault = Fault(Aspect.AUTH, Verdict.AUTH_FAILED, "535", alert=True)
    silent = replace(candidate("a"), health=Health(State.DOWN, Verdict.TIMEOUT, faults=(fault,)))
    found = _selected([silent, candidate("b", State.DOWN, verdict=Verdict.AUTH_FAILED)])
    assert found.suspect is Verdict.AUTH_FAILED


# Tiers that open by need


def _tiered(tier_min: float, down: str = "", *, drained: str = "") -> Selection:
    """Select of a, b, c (tier 1, weights 5, 3, 2), s (tier 2, weight 4) and t (tier 3, weight 1)."""
    facts = {"a": (5, 1), "b": (3, 1), "c": (2, 1), "s": (4, 2), "t": (1, 3)}
    members = [
        candidate(
            name,
            State.DOWN if name in down else State.UP,
            _DRAIN if name in drained else _READY,
            weight=weight,
            tier=tier,
            verdict=_SILENT if name in down else Verdict.OK,
        )
        for name, (weight, tier) in facts.items()
    ]
    return _selected(members, of=pool(tier_min=tier_min))


def _side_by_side(selection: Selection) -> str:
    return "".join(choice.member.name for choice in best_tier(selection.published))


@pytest.mark.parametrize(
    ("tier_min", "down", "held"),
    [
        (1, "", "abc"),
        (1, "ab", "c"),  # a worse tier waits for the last one of a better tier
        (1, "abc", "s"),
        (1, "abcs", "t"),
        (2, "a", "bc"),
        (2, "ab", "cs"),
        (2, "abc", "st"),  # the best that is left is tier 2, and that is too few too
        (3, "ab", "cst"),
        (4, "", "abcs"),
        (9, "", "abcst"),  # all there are
        (0.5, "b", "ac"),
        (0.5, "a", "bc"),  # 5 of 10 is half
        (0.5, "ac", "bs"),  # 3 of 10, then 7 of 14
        (0.5, "abc", "st"),  # 4 of 14 is less than half: what is missing is tier 1
        (0.51, "a", "bcs"),
        (0.7, "b", "ac"),  # in decimals
        (0.75, "b", "acs"),
        (0.75, "bs", "act"),
        (1.0, "", "abc"),  # 1.0 is all of the weight, where 1 is one member
        (1.0, "c", "abst"),
    ],
)
def test_worse_tiers_join_while_better_ones_are_too_few(tier_min: float, down: str, held: str) -> None:
    """As many tiers stand side by side as hold `tier_min` members, or that part of their full weight."""
    assert _side_by_side(_tiered(tier_min, down)) == held


def test_who_joins_has_the_number_of_the_best_tier_that_is_published() -> None:
    """So that every kind of answer puts them side by side; those behind keep their own."""
    assert [(c.member.name, c.weight, c.tier) for c in _tiered(2, "ab").published] == [
        ("c", 2, 1),
        ("s", 4, 1),
        ("t", 1, 3),
    ]
    assert [(c.member.name, c.tier) for c in _tiered(2, "abc").published] == [("s", 2), ("t", 2)]


def test_the_reason_says_why_a_tier_is_open() -> None:
    """In numbers, for the members that have joined; the others have their own reasons."""
    reasons = _tiered(2, "ab").reasons
    assert (reasons["c"], reasons["t"]) == ("up", "up")
    assert reasons["s"] == "up, joins tier 1 because fewer than 2 of it are published (tier_min)"
    assert (
        _tiered(3, "ab").reasons["t"]
        == "up, joins tier 1 because fewer than 3 of better tiers are published (tier_min)"
    )
    assert _tiered(0.75, "b").reasons["s"] == (
        "up, joins tier 1 because less than 0.75 of the better tiers' weight is published (tier_min)"
    )


def test_what_an_operator_takes_out_is_missing_too() -> None:
    """A drain opens the next tier as a death does: the mail has to go somewhere."""
    assert _side_by_side(_tiered(2, drained="ab")) == "cs"
    assert _side_by_side(_tiered(0.75, drained="b")) == "acs"


def test_a_slow_start_opens_no_tier() -> None:
    """A member with a part of its weight is there; tiers that came and went with each step would be news."""
    starting = candidate("a", weight=5, percent=10, why="slow start")
    found = _selected([starting, candidate("s", tier=2)], of=pool(tier_min=1.0))
    assert [(c.member.name, c.tier) for c in found.published] == [("a", 1), ("s", 2)]


def test_all_that_is_published_of_a_weightless_pool_stands_as_before() -> None:
    """Where no member has a weight there is no fraction of it."""
    members = [candidate("a", weight=0), candidate("s", weight=0, tier=2)]
    assert _side_by_side(_selected(members, of=pool(tier_min=0.5))) == "a"


def test_tiers_are_grouped_best_first() -> None:
    """Choices keep their order within a tier, whatever the order of the tiers in the configuration."""
    choices = [Choice(member(name), 1, tier) for name, tier in (("a", 2), ("b", 1), ("c", 2), ("d", 7))]
    a, b, c, d = choices
    assert by_tier(choices) == ((b,), (a, c), (d,))
    assert best_tier(choices) == (b,)
    assert (by_tier(()), best_tier(())) == ((), ())


# What is seen coming


def _with_outlook(name: str, seconds: float, admin: AdminState = _READY, *, weight: int = 1) -> Candidate:
    return replace(candidate(name, State.UP, admin, weight=weight), outlook=Outlook(seconds, "changes"))


def _ahead(*candidates: Candidate) -> tuple[float | None, str]:
    selection = _selected(candidates)
    return selection.changes_in, selection.changes_why


def test_the_nearest_change_of_any_member_is_the_pools() -> None:
    """With its name, since somebody will ask."""
    stable = candidate("mx3", State.UP)
    assert _ahead(stable) == (None, "")
    assert _ahead(stable, _with_outlook("mx1", 30), _with_outlook("mx2", 15)) == (15, "mx2 changes")


def test_a_member_that_is_out_and_ready_counts_too() -> None:
    """Its return changes the answers as much as a fall."""
    returning = replace(candidate("mx1", State.DOWN), outlook=Outlook(10, "answers well again"))
    assert _ahead(returning, candidate("mx2", State.UP)) == (10, "mx1 answers well again")


@pytest.mark.parametrize(
    "other",
    [
        _with_outlook("mx1", 5, _DRAIN),
        _with_outlook("mx1", 5, _MAINT),
        _with_outlook("mx1", 5, weight=0),
    ],
)
def test_who_is_out_whatever_the_probes_say_has_no_part_in_it(other: Candidate) -> None:
    """A server that somebody works on is stopped and started as he likes, and answers stay as they are."""
    assert _ahead(other, candidate("mx2", State.UP)) == (None, "")


def test_a_drained_member_counts_where_it_has_to_stay() -> None:
    """Nothing better is left, and its fall would be one more change; in maintenance its health is ignored."""
    assert _ahead(_with_outlook("mx1", 5, _DRAIN)) == (5, "mx1 changes")
    assert _ahead(_with_outlook("mx1", 5, _MAINT)) == (None, "")
