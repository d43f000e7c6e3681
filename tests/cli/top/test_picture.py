"""The picture fits any terminal, and says what matters at 80x24."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rich.cells import cell_len

from dnslb.cli.top import picture
from dnslb.cli.top.keys import pressed
from dnslb.cli.top.model import Mode, Model, Order, begin, keys_of
from dnslb.cli.top.picture import verdict_words
from dnslb.pool.health import Verdict
from tests.cli.conftest import a_member, a_status
from tests.cli.top.test_model import NOW, a_model

DRAIN = {
    "since": None,
    "last_answer": None,
    "caches_expire": "2026-01-01T01:00:12Z",
    "clients_expire": "2026-01-01T01:05:00Z",
    "queue": None,
    "safe_to_stop": False,
}


@pytest.fixture(autouse=True)
def _unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(picture, "unicode_shown", lambda: True)
    monkeypatch.setattr("dnslb.cli.output.unicode_shown", lambda: True)


def shown(model: Model, width: int = 80, height: int = 24) -> list[str]:
    """Return the lines as text."""
    return [line.plain.rstrip() for line in picture.lines(model, width, height, NOW)]


def line_of(model: Model, start: str, width: int = 80) -> str:
    """Return the line that begins so."""
    return next(line for line in shown(model, width) if line.startswith(start))


def an_event(number: int, **facts: object) -> dict[str, Any]:
    """Return an event as the daemon sends it."""
    about = {"pool": "inbound", "member": "mx1", "who": "", "text": f"text {number}"}
    return {"id": number, "at": f"2026-01-01T00:00:{number:02}.250Z", "kind": "state", **about, **facts}


def test_all_is_there_at_80x24() -> None:
    """The daemon, rates, pools, members with every fact, the selected one in full, events, keys."""
    mx1 = a_member(share=0.7, weight=70, effective_weight=70)
    mx2 = a_member(
        state="down", verdict="timeout", published=False, share=0, latency_ms=None, rule="down", reason="25 s"
    )
    model = a_model(mx1=mx1, mx2=mx2)
    model = replace(model, rates={"NOERROR": 1234.5, "NXDOMAIN": 0.5}, events=[an_event(1), an_event(2)])
    assert shown(model)[:12] == [
        f"{' dnslb 0.1.0  generation 7  up 1h1m  1 worker':<71}01:00:00",
        " answers/s 1235   NOERROR 1234   NXDOMAIN 0.5",
        "  MEMBER      ADMIN STATE    VERDICT       WEIGHT SHARE           LATENCY  SINCE",
        " inbound  weighted, 1 of 2 published, 100 of weight 100 healthy",
        "> mx1         ready up       ok                70 ███████     70%    3 ms     1h",
        "  mx2         ready down     no answer         50              0%       -     1h",
        " relay  weighted, 1 of 1 published, 100 of weight 100 healthy",
        "  out1        ready up       ok                50 █████       50%    3 ms     1h",
        " inbound/mx1 (192.0.2.11, 2001:db8::11): published: up",
        "",
        " EVENTS, the latest first",
        " 00:00:02 inbound/mx1      text 2",
    ]
    assert shown(model)[-1] == " q quit  s sort  / pool  arrows select  d drain  r ready  m maint  ? help"
    selected = shown(replace(model, selected=("inbound", "mx2")))
    assert " inbound/mx2 (192.0.2.11, 2001:db8::11): not published: down; 25 s" in selected


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 7, 40, 80, 200])
@pytest.mark.parametrize("height", [1, 2, 5, 12, 24, 60])
@pytest.mark.parametrize("mode", Mode)
def test_the_picture_has_the_size_of_the_terminal(width: int, height: int, mode: Mode) -> None:
    """Whatever there is to show: no line is longer or missing, and none too many."""
    members = {f"a-very-long-name-of-member-{n}": a_member(reason="很长" * 60) for n in range(50)}
    model = replace(a_model(**members), events=[an_event(n, text="x" * 300) for n in range(50)], mode=mode)
    for notice in ("", "said " * 50):
        found = picture.lines(replace(model, away="gone " * 50, notice=notice), width, height, NOW)
        assert len(found) == height
        assert all(cell_len(line.plain) <= width for line in found)


def test_who_is_selected_is_seen() -> None:
    """Among any number of members, at the beginning, in the middle and at the end; events keep some room."""
    model = replace(a_model(**{f"m{n:03}": a_member() for n in range(300)}), events=[an_event(n) for n in range(9)])
    for key in keys_of(model):
        lines = shown(replace(model, selected=key))
        assert sum(line.startswith(f"> {key[1]} ") for line in lines) == 1
        assert sum("text" in line for line in lines) == 3


def test_a_wide_terminal_has_room_for_names_and_reasons() -> None:
    """A narrow one cuts the name, with a mark."""
    long = a_model(**{"mailserver-number-one": a_member(reason="451 later")})
    assert line_of(long, "> mailserver-number-one ready up", 140).endswith("  451 later")
    assert line_of(long, "> mailserver… ready up")


def test_a_drain_says_when_it_is_safe() -> None:
    """And who wanted it, and a window, and warnings."""
    facts = a_member(admin="drain", admin_who="alice", admin_reason="disk", drain=DRAIN, warnings=["certificate"])
    (line,) = [line for line in shown(a_model(mx1=facts), 200) if line.startswith(" drain")]
    assert line == (
        " drain (alice: disk); not safe to stop: caches have it for 12s more, clients may use it for 5m more;"
        " warning: certificate"
    )
    window = {"begin": "2026-01-01T22:00:00Z", "end": None, "reason": "", "who": "", "state": "announced"}
    planned = a_member(window={**window, "forced": False, "held": ""})
    assert " it drains at 22:00" in shown(a_model(mx1=planned))


def test_what_is_wrong_stands_above_all() -> None:
    """Panic, with its reason, held falls, and a daemon that is away, with how old the figures are."""
    status = a_status()
    status["pools"]["inbound"] |= {"panic": True, "healthy_weight": 10, "held_until": "2026-01-01T00:00:10Z"}
    model = begin(status, [], NOW - timedelta(seconds=5))
    status["state_failing"] = "the state cannot be kept in state: No space left on device"
    lines = shown(replace(model, away="nobody listens"))
    assert lines[2:6] == [
        " CHANGES ARE REFUSED: the state cannot be kept in state: No space left on device",
        " PANIC in pool inbound: 10 of its weight of 100 is healthy; health is ignored",
        " Pool inbound: half or more fails at once; its answers are held for now",
        " No word since 00:59:55, still trying: nobody listens",
    ]
    status["pools"]["inbound"]["suspect"] = "auth_failed"
    assert shown(model)[3] == " PANIC in pool inbound: all members fail alike (auth_failed); health is ignored"


def test_an_older_daemon_does_not_tell_rates() -> None:
    """It is said so; before there are two words of a daemon there is no rate either."""
    status = a_status()
    assert shown(begin(status, [], NOW))[1] == " answers/s: -"
    del status["rcodes"]
    assert shown(begin(status, [], NOW))[1] == " answers/s: this daemon does not tell them"


def test_the_foot_says_what_keys_mean_now() -> None:
    """A question, what is typed, or what was said."""
    model = a_model()
    assert shown(pressed(model, "d")[0])[-1] == " Drain inbound/mx1? y: yes, any other key: no"
    assert shown(pressed(model, "m")[0])[-1] == " Put in maintenance inbound/mx1? y: yes, any other key: no"
    typing = pressed(pressed(model, "/")[0], "x")[0]
    assert shown(typing)[-1] == " Only pools with: x_   (enter: keep, escape: all)"
    assert "  no pool has 'x' in its name; escape shows all" in shown(typing)
    assert shown(replace(model, notice="done"))[-1] == " done"


def test_what_was_said_is_read_in_full() -> None:
    """A warning has up to three lines, which the events leave to it; more is cut off with a mark."""
    model = replace(a_model(), notice="Warning: " + "word " * 40)
    lines = shown(model)
    assert len(lines) == 24
    assert " ".join(" ".join(lines[-3:]).split()) == f"Warning: {'word ' * 40}".strip()
    assert shown(replace(model, notice="word " * 99))[-1].endswith(" ...")


def test_help_fits_and_names_every_key() -> None:
    """At 80x24 nothing of it is cut off."""
    lines = shown(replace(a_model(), mode=Mode.HELP))
    assert all(line in lines for line in picture._HELP.splitlines())  # noqa: SLF001 -- all of it


def test_the_order_and_the_filter_are_named() -> None:
    """Else nobody knows why members stand as they do, or are missing."""
    model = replace(a_model(), order=Order.WORST, pool="in")
    assert line_of(model, "  MEMBER", 120).endswith("SINCE  (sorted worst first, pools with 'in')")


def test_events_are_those_of_the_pools_shown() -> None:
    """The latest first; with a filter only what is about these pools, and who did it is said once."""
    told = [an_event(1), an_event(2, pool="relay", member=""), an_event(3, pool="", member="", who="root")]
    model = replace(a_model(), events=told)
    events = [line.split()[1:] for line in shown(model) if line.startswith(" 00:00:")]
    assert events == [["text", "3", "(by", "root)"], ["relay", "text", "2"], ["inbound/mx1", "text", "1"]]
    assert [line for line in shown(replace(model, pool="rel")) if "text" in line] == [
        " 00:00:02 relay            text 2"
    ]


def test_a_server_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says is shown with its control characters spelled out, and in ASCII where there is nothing else."""
    model = replace(a_model(mx1=a_member(reason="5\x1b[2J é")), events=[an_event(1, text="\x1b[2Jé")])
    assert not any("\x1b" in line for line in shown(model, 160))
    monkeypatch.setattr(picture, "unicode_shown", lambda: False)
    monkeypatch.setattr("dnslb.cli.output.unicode_shown", lambda: False)
    lines = shown(model, 160)
    assert all(line.isascii() for line in lines)
    assert " 00:00:01 inbound/mx1      \\x1b[2J?" in lines


def test_each_verdict_has_words_that_fit() -> None:
    """Without underscores, and in the column."""
    words = [verdict_words(verdict) for verdict in Verdict]
    assert all(len(each) <= 13 and "_" not in each for each in words)
    assert len(set(words)) == len(words)
