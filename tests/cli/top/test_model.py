"""What top knows: rates, orders, and a selection that stays with its member."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dnslb.cli.top.model import (
    Model,
    Order,
    arrived,
    begin,
    facts_of,
    keys_of,
    lost,
    noticed,
    pools_of,
    rates_between,
    selecting,
)
from tests.cli.conftest import a_member, a_status

NOW = datetime(2026, 1, 1, 1, 0, 0, tzinfo=UTC)


def a_model(**members: dict[str, Any]) -> Model:
    """Return what is known of a pool `inbound` with these members, and of a pool `relay` with one."""
    status = a_status()
    pool = status["pools"]["inbound"]
    if members:
        pool["members"] = members
    status["pools"]["relay"] = {**pool, "members": {"out1": a_member()}}
    return begin(status, [], NOW)


def test_rates_are_by_the_clock_of_the_daemon() -> None:
    """By response code, one that comes up new among them."""
    before = {"uptime_s": 10.0, "rcodes": {"NOERROR": 100}}
    after = {"uptime_s": 12.0, "rcodes": {"NOERROR": 300, "NXDOMAIN": 1}}
    assert rates_between(before, after) == {"NOERROR": 100.0, "NXDOMAIN": 0.5}


def test_a_restart_is_no_negative_rate() -> None:
    """What two daemons have counted says nothing together, and neither does one word alone."""
    before, after = {"uptime_s": 10.0, "rcodes": {"NOERROR": 100}}, {"uptime_s": 1.0, "rcodes": {"NOERROR": 3}}
    assert rates_between(before, after) is None
    assert rates_between(before, before) is None
    assert a_model().rates is None


def test_news_replace_what_was_known_and_leave_what_was_chosen() -> None:
    """The order, the filter, the selection and the mode are the person's."""
    model = replace(a_model(), order=Order.SHARE, pool="in", selected=("inbound", "mx2"), away="gone")
    status = a_status() | {"uptime_s": 3701.5, "rcodes": {"NOERROR": 1000, "NXDOMAIN": 10}}
    found = arrived(model, status, [{"id": 1}], NOW + timedelta(seconds=1))
    assert found.rates == {"NOERROR": 10.0, "NXDOMAIN": 0.0}
    assert (found.away, found.events, found.seen) == ("", [{"id": 1}], NOW + timedelta(seconds=1))
    assert (found.order, found.pool, found.selected) == (Order.SHARE, "in", ("inbound", "mx2"))


def test_a_daemon_that_is_away_leaves_its_last_word() -> None:
    """It is still shown, but no rate: nobody knows it."""
    model = lost(replace(a_model(), rates={"NOERROR": 1.0}), "nobody listens")
    assert (model.away, model.rates, keys_of(model)[0]) == ("nobody listens", None, ("inbound", "mx1"))
    assert noticed(model, "hm").notice == "hm"


def test_a_member_that_is_gone_is_selected_no_more() -> None:
    """The first one is then, or nobody."""
    model = replace(a_model(), selected=("inbound", "mx2"))
    status = a_status()
    del status["pools"]["inbound"]["members"]["mx2"]
    assert arrived(model, status, [], NOW).selected == ("inbound", "mx1")
    assert facts_of(arrived(model, status, [], NOW), ("inbound", "mx2")) is None
    assert facts_of(model, ("gone", "mx2")) is None
    assert arrived(model, status | {"pools": {}}, [], NOW).selected is None


def test_only_pools_with_these_letters_are_shown() -> None:
    """Small or large; the selection goes where it is seen."""
    model = selecting(replace(a_model(), pool="LAY"))
    assert [name for name, _facts, _keys in pools_of(model)] == ["relay"]
    assert model.selected == ("relay", "out1")


MEMBERS = {
    "a": a_member(share=0.2, latency_ms=None, since="2026-01-01T00:00:00Z"),
    "b": a_member(share=0.5, latency_ms=30.0, since="2026-01-03T00:00:00Z", state="down"),
    "c": a_member(share=0.3, latency_ms=9.0, since=None, admin="drain"),
}


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (Order.CONFIGURED, "abc"),
        (Order.WORST, "bca"),
        (Order.SHARE, "bca"),
        (Order.LATENCY, "bca"),
        (Order.SINCE, "bac"),
    ],
)
def test_orders(order: Order, names: str) -> None:
    """Within each pool; who has no figure is last, and pools stay as they are configured."""
    keys = keys_of(replace(a_model(**MEMBERS), order=order))
    assert "".join(member for pool, member in keys if pool == "inbound") == names
    assert keys[-1] == ("relay", "out1")
