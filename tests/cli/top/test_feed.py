"""What top hears from the daemon, and how it says what a person wants."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dnslb.cli.options import Daemon, Unreachable
from dnslb.cli.top import feed as feed_module
from dnslb.cli.top.feed import Feed
from dnslb.cli.top.model import Model, Wish, facts_of

if TYPE_CHECKING:
    from tests.cli.conftest import FakeDaemon

_PATIENCE = 30


def a_feed(socket: Path) -> Feed:
    """Return a feed that nobody sleeps for."""
    return Feed(Daemon(socket), lambda: None)


def until(feed: Feed, model: Model, condition: Callable[[Model], object]) -> Model:
    """Follow the news until a condition holds."""
    while not condition(model):
        model = feed.changes.get(timeout=_PATIENCE)(model)
    return model


@pytest.fixture(name="start")
def _start() -> Iterator[Callable[[Feed], None]]:
    """Give what starts feeds that end with the test."""
    with ExitStack() as stack:

        def start(feed: Feed) -> None:
            thread = feed.start()
            stack.callback(thread.join, _PATIENCE)
            stack.callback(feed.end)

        yield start


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "_INTERVAL", 0.01)


def test_news_come_by_themselves(start: Callable[[Feed], None], daemon: "FakeDaemon") -> None:
    """Status, rates by the daemon's clock, and events; whoever waits is woken."""
    woken = threading.Event()
    feed = Feed(Daemon(daemon.path), woken.set)
    model = feed.first()
    assert model.status["generation"] == 7
    daemon.operator.now = daemon.operator.now | {"uptime_s": 3702.5, "rcodes": {"NOERROR": 1010, "NXDOMAIN": 10}}
    daemon.operator.happened = [{"id": 1}]
    start(feed)
    model = until(feed, model, lambda model: model.rates)
    assert (model.rates, model.events) == ({"NOERROR": 10.0, "NXDOMAIN": 0.0}, [{"id": 1}])
    assert woken.wait(_PATIENCE)


def test_a_wish_is_done_and_seen(start: Callable[[Feed], None], daemon: "FakeDaemon") -> None:
    """The sentence is that of the commands, with what they warn of, and the next status follows at once."""
    daemon.operator.admin_facts = {"warnings": ["too little is left"]}
    feed = a_feed(daemon.path)
    model = feed.first()
    start(feed)
    feed.want(Wish(("inbound", "mx1"), "drain"))
    model = until(feed, model, lambda model: model.notice)
    assert model.notice == ("Warning: too little is left. inbound/mx1 is drained: no longer in answers (generation 8).")
    model = until(feed, model, lambda model: (facts_of(model, ("inbound", "mx1")) or {})["admin"] == "drain")
    assert [asked["reason"] for asked in daemon.operator.asked if "state" in asked] == ["said in dnslb top"]


def test_a_wish_that_is_refused_is_told_why(start: Callable[[Feed], None], daemon: "FakeDaemon") -> None:
    """And the news go on."""
    feed = a_feed(daemon.path)
    model = feed.first()
    start(feed)
    feed.want(Wish(("inbound", "mx9"), "drain"))
    model = until(feed, model, lambda model: model.notice)
    assert model.notice.startswith("pool 'inbound' has no member 'mx9'")
    daemon.operator.now["generation"] = 99
    until(feed, model, lambda model: model.status["generation"] == 99)


def test_a_daemon_that_is_away_is_tried_again(start: Callable[[Feed], None], daemon: "FakeDaemon") -> None:
    """Its last word stays, with the reason, until it is back."""
    feed = a_feed(daemon.path)
    model = feed.first()
    aside = daemon.path.with_name("aside")
    daemon.path.rename(aside)
    start(feed)
    model = until(feed, model, lambda model: model.away)
    assert "there is no socket" in model.away
    assert model.status["generation"] == 7
    aside.rename(daemon.path)
    until(feed, model, lambda model: not model.away)


def test_without_a_daemon_there_is_no_beginning(tmp_path: Path) -> None:
    """It fails as every command does."""
    with pytest.raises(Unreachable):
        a_feed(tmp_path / "none.sock").first()


def test_what_the_thread_cannot_deal_with_reaches_the_picture(
    start: Callable[[Feed], None], daemon: "FakeDaemon", monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised there, where the terminal is given back, and not lost with the thread."""
    feed = a_feed(daemon.path)
    model = feed.first()
    monkeypatch.setattr(feed_module, "arrived", lambda *_: None)
    monkeypatch.setattr(Feed, "_word", lambda _self: 1 / 0)
    start(feed)
    with pytest.raises(ZeroDivisionError):
        until(feed, model, lambda _model: False)
