"""The verbs: what each takes, and what it says to arguments that are wrong."""

from collections.abc import Sequence
from ipaddress import ip_interface
from typing import Any

import pytest

from dnslb.answer.senders import Client
from dnslb.control.commands import execute, no_such_member, no_such_pool
from dnslb.control.protocol import Refused, Request
from dnslb.pool.admin import AdminState
from dnslb.pool.planned import Planned, Step
from dnslb.pool.window import Span

TARGET = {"pool": "inbound", "member": "mx1"}


class Recorder:
    """An operator that returns what it was called with."""

    async def status(self) -> dict[str, Any]:
        """Return nothing in particular."""
        return {}

    async def set_admin(self, pool: str, member: str, state: AdminState, reason: str, who: str) -> dict[str, Any]:
        """Return the call."""
        return {"call": (pool, member, state, reason, who)}

    async def set_window(self, pool: str, member: str, span: Span, reason: str, who: str) -> dict[str, Any]:
        """Return the call."""
        return {"call": (pool, member, span, reason, who)}

    async def set_weight(self, pool: str, member: str, weight: int | None, reason: str, who: str) -> dict[str, Any]:
        """Return the call."""
        return {"call": (pool, member, weight, reason, who)}

    async def reload(self, who: str) -> dict[str, Any]:
        """Return the call."""
        return {"call": who}

    async def events(
        self, since: float | None, pool: str | None, after: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Return the call."""
        return [{"call": (since, pool, after, limit)}]

    async def explain(self, name: bytes, rtype: int | None, client: Client | None) -> dict[str, Any]:
        """Return the call."""
        return {"call": (name, rtype, client)}

    async def plan(self, changes: Sequence[Planned]) -> dict[str, Any]:
        """Return the call."""
        return {"call": tuple(changes)}

    async def probe(self, pool: str, member: str, who: str) -> dict[str, Any]:
        """Return the call."""
        return {"call": (pool, member, who)}

    def version(self) -> dict[str, Any]:
        """Return a version."""
        return {"version": "9.9"}


async def call(verb: str, args: dict[str, Any] | None = None) -> object:
    """Return what a verb gives with these arguments."""
    return await execute(Recorder(), Request(verb, args or {}), "root")


@pytest.mark.parametrize("state", list(AdminState))
async def test_each_admin_state_can_be_set(state: AdminState) -> None:
    """The word becomes the type."""
    assert await call("admin", {**TARGET, "state": state.value, "reason": "wörk ✓"}) == {
        "call": ("inbound", "mx1", state, "wörk ✓", "root")
    }


@pytest.mark.parametrize("weight", [0, 65_535, None])
async def test_weights_within_bounds_are_passed_on(weight: int | None) -> None:
    """The bounds themselves are allowed, and null is the configured one."""
    assert await call("weight", {**TARGET, "weight": weight}) == {"call": ("inbound", "mx1", weight, "", "root")}


async def test_a_window_has_a_beginning_or_a_length() -> None:
    """Null, or nothing at all, stands for now and for until further notice."""
    assert await call("window", {**TARGET, "begin": 5, "seconds": 0.5, "force": True, "reason": "disks"}) == {
        "call": ("inbound", "mx1", Span(5.0, 0.5, forced=True), "disks", "root")
    }
    assert await call("window", {**TARGET, "begin": None}) == {"call": ("inbound", "mx1", Span(), "", "root")}


async def test_the_other_verbs_reach_the_operator() -> None:
    """Each verb calls its method, with the defaults of PROTOCOL.md."""
    assert await call("reload") == {"call": "root"}
    assert await call("version") == {"version": "9.9"}
    assert await call("probe", TARGET) == {"call": ("inbound", "mx1", "root")}
    assert await call("events") == [{"call": (None, None, None, 100)}]
    everything = {"since": 1, "pool": "inbound", "after": 0, "limit": 1000}
    assert await call("events", everything) == [{"call": (1.0, "inbound", 0, 1000)}]


async def test_a_question_is_read_as_dns_reads_it() -> None:
    """The name in any case and in wire format, the type as a number, the client with its subnet."""
    assert await call("explain", {"name": "MX.lb.Test."}) == {"call": (b"\x02mx\x02lb\x04test\x00", None, None)}
    args = {"name": "lb.test", "type": "mx", "client": "2001:db8::7"}
    assert await call("explain", args) == {
        "call": (b"\x02lb\x04test\x00", 15, ip_interface("2001:db8::7/64")),
    }


async def test_a_plan_takes_each_step_with_what_belongs_to_it() -> None:
    """The words become types, in their order; a weight may be the configured one."""
    added = {"step": "add", "pool": "inbound", "member": "mx9", "weight": 0, "tier": 2}
    weights = [{"step": "weight", **TARGET, "weight": weight} for weight in (None, 65_535)]
    steps = [{"step": step, **TARGET} for step in ("drain", "ready", "maint", "down")]
    assert await call("plan", {"changes": [added, *weights, *steps]}) == {
        "call": (
            Planned(Step.ADD, "inbound", "mx9", 0, 2),
            Planned(Step.WEIGHT, "inbound", "mx1", None),
            Planned(Step.WEIGHT, "inbound", "mx1", 65_535),
            *(Planned(step, "inbound", "mx1") for step in (Step.DRAIN, Step.READY, Step.MAINT, Step.DOWN)),
        )
    }


_DRAIN = {"step": "drain", **TARGET}
WRONG = [
    ("explain", {}, "explain needs the argument name"),
    ("explain", {"name": 1}, "name of explain: expected a domain name"),
    ("explain", {"name": "a..b"}, "name of explain: expected a domain name: 'a..b' has an empty label"),
    ("explain", {"name": "lb.test", "type": "WEIGHT"}, "expected a record type: 'WEIGHT' is no record type"),
    ("explain", {"name": "lb.test", "type": 15}, "type of explain: expected a record type"),
    ("explain", {"name": "lb.test", "client": "mx1"}, "expected an address: 'mx1' is no address: write for example"),
    ("explain", {"name": "lb.test", "client": 7}, "client of explain: expected an address"),
    ("plan", {}, "plan needs the argument changes"),
    ("plan", {"changes": []}, "changes of plan: expected a list of 1 to 1000 changes"),
    ("plan", {"changes": [_DRAIN] * 1001}, "expected a list of 1 to 1000 changes"),
    ("plan", {"changes": "drain"}, "expected a list of 1 to 1000 changes"),
    ("plan", {"changes": ["drain"]}, "changes that each have a step, one of add, drain, ready, maint, down, weight"),
    ("plan", {"changes": [{**_DRAIN, "step": "stop"}]}, "expected changes that each have a step, one of add"),
    ("plan", {"changes": [{**_DRAIN, "step": ["drain"]}]}, "expected changes that each have a step, one of add"),
    ("plan", {"changes": [{**_DRAIN, "weight": 1}]}, "expected a change drain with pool, member"),
    ("plan", {"changes": [{**_DRAIN, "step": "add"}]}, "expected a change add with pool, member, weight, tier"),
    ("plan", {"changes": [{**_DRAIN, "pool": ""}]}, "expected a change drain whose pool is a name of 1 to 255"),
    (
        "plan",
        {"changes": [{**_DRAIN, "step": "weight", "weight": 65_536}]},
        "expected a change weight whose weight is an integer from 0 to 65535",
    ),
    ("admin", {"member": "mx1", "state": "drain"}, "admin needs the argument pool"),
    ("admin", TARGET, "admin needs the argument state"),
    ("admin", {**TARGET, "state": "asleep"}, "expected one of ready, drain, maint"),
    ("admin", {**TARGET, "state": ["drain"]}, "expected one of ready, drain, maint"),
    ("admin", {**TARGET, "state": "drain", "who": "root"}, "unknown argument 'who': admin takes pool, member, state"),
    ("admin", {"pool": "", "member": "mx1", "state": "drain"}, "pool of admin: expected a name"),
    ("admin", {"pool": 1, "member": "mx1", "state": "drain"}, "pool of admin: expected a name"),
    ("admin", {"pool": "inbound", "member": "m" * 256, "state": "drain"}, "member of admin: expected a name"),
    ("admin", {**TARGET, "state": "drain", "reason": "\x1b[2J"}, "reason of admin: expected printable text"),
    ("admin", {**TARGET, "state": "drain", "reason": "\ud800"}, "reason of admin: expected printable text"),
    ("admin", {**TARGET, "state": "drain", "reason": "x" * 501}, "at most 500 characters"),
    ("weight", TARGET, "weight needs the argument weight"),
    ("weight", {**TARGET, "weight": -1}, "expected an integer from 0 to 65535"),
    ("weight", {**TARGET, "weight": 65_536}, "expected an integer from 0 to 65535"),
    ("weight", {**TARGET, "weight": True}, "expected an integer from 0 to 65535"),
    ("weight", {**TARGET, "weight": 1.0}, "expected an integer from 0 to 65535"),
    ("weight", {**TARGET, "weight": "1"}, "expected an integer from 0 to 65535"),
    ("events", {"limit": 0}, "expected an integer from 1 to 1000"),
    ("events", {"limit": 1001}, "expected an integer from 1 to 1000"),
    ("events", {"since": "1h"}, "expected Unix time in seconds"),
    ("events", {"since": True}, "expected Unix time in seconds"),
    ("events", {"since": float("inf")}, "expected Unix time in seconds, a finite number"),
    ("events", {"since": 10**400}, "expected Unix time in seconds, a finite number"),
    ("events", {"after": -1}, "expected an integer from 0"),
    ("probe", {"pool": "inbound"}, "probe needs the argument member"),
    ("window", {**TARGET, "begin": "22:00"}, "begin of window: expected Unix time in seconds, a number"),
    ("window", {**TARGET, "seconds": 0}, "seconds of window: expected seconds, more than 0 and at most 31622400"),
    ("window", {**TARGET, "seconds": 31_622_401}, "expected seconds, more than 0 and at most"),
    ("window", {**TARGET, "seconds": True}, "seconds of window: expected seconds, more than 0"),
    ("window", {**TARGET, "force": 1}, "force of window: expected true or false"),
    ("probe", {**TARGET, "rcpt_to": "a@b"}, "unknown argument 'rcpt_to': probe takes pool, member"),
    ("status", {"pool": "inbound"}, "unknown argument 'pool': status takes no arguments"),
]


@pytest.mark.parametrize(("verb", "args", "told"), WRONG)
async def test_wrong_arguments_are_told_what_was_expected(verb: str, args: dict[str, Any], told: str) -> None:
    """Nothing reaches the operator, and the message names the argument."""
    with pytest.raises(Refused) as caught:
        await call(verb, args)
    assert caught.value.code == "invalid"
    assert told in caught.value.message


async def test_an_unknown_verb_is_told_the_known_ones() -> None:
    """A client of a later version can find out what this daemon knows."""
    with pytest.raises(Refused) as caught:
        await call("divine")
    assert caught.value.code == "unknown_verb"
    assert caught.value.details == {
        "known": ["admin", "events", "explain", "plan", "probe", "reload", "status", "version", "weight", "window"]
    }


def test_a_mistyped_name_gets_the_likely_one_and_all() -> None:
    """A tired person sees what there is."""
    refused = no_such_member("inbound", "mx11", ["backup", "mx1"])
    assert refused.code == "not_found"
    assert refused.message == "pool 'inbound' has no member 'mx11'; did you mean mx1? (members: backup, mx1)"
    assert refused.details == {"known": ["backup", "mx1"], "close": ["mx1"]}


def test_a_name_like_no_other_gets_the_list_alone() -> None:
    """No guess is better than a wild one, and a long list is cut for people, not for programs."""
    refused = no_such_pool("zzz", [f"pool{n:02}" for n in range(25)])
    assert refused.message.startswith("there is no pool 'zzz' (pools: pool00, pool01,")
    assert refused.message.endswith("pool19 and 5 more)")
    assert len(refused.details["known"]) == 25
