"""The picture fits a small terminal, uses a large one, and shows what matters."""

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from dnslb.cli.demo import scene, view
from dnslb.cli.demo.mail import MailServer
from dnslb.cli.demo.script import Event, Stage, Tone
from dnslb.cli.demo.story import Story

_PLACE = "/srv/dnslb-demo-abcdefgh"
HINTS = scene.hints("/home/alice/balancer/.venv/bin/dnslb", _PLACE, ("127.0.0.1", 65535), "127.0.0.1:65534")


def stage() -> Stage:
    """Return a stage on which mx1 has just died."""
    servers = {actor.name: MailServer(actor.host, actor.address) for actor in scene.CAST}
    play = Stage(("127.0.0.1", 65535), servers, lambda: 123.4, lambda _event: None)
    play.phase = "mx1 is dead; dnslb makes sure before it believes it"
    play.members = {
        actor.name: {
            "state": "down" if actor.name == "mx1" else "up",
            "verdict": "refused" if actor.name == "mx1" else "ok",
            "admin": "drain" if actor.name == "mx2" else "ready",
            "effective_weight": actor.weight,
            "share": actor.weight / 100,
        }
        for actor in scene.CAST
    }
    play.story.answered_whole(("mx3", "mx1", "mx2"), 1.0)
    for number in range(100):
        play.story.asked()
        play.story.answered_one("mx1" if number % 2 else "mx2", 1.0)
    return play


def shown(width: int, height: int, hints: Sequence[str] = HINTS, encoding: str = "utf-8") -> list[str]:
    """Return the lines that a terminal of that size shows, without colours."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, height=height, force_terminal=True, no_color=True)
    told = [Event(float(number), f"event {number} " + "x" * 200, Tone.GOOD) for number in range(30)]
    console.print(view.picture(console, stage(), told, hints), height=height)
    file.seek(0)
    return [strip(line) for line in file.read().splitlines()]


def strip(line: str) -> str:
    """Return a line without its escape sequences."""
    return "".join(part.partition("m")[2] if number else part for number, part in enumerate(line.split("\x1b[")))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_all_is_legible(width: int, height: int) -> None:
    """Every fact is on the screen, in full, at both sizes."""
    lines = shown(width, height)
    text = "\n".join(lines)
    assert len(lines) == height
    assert all(len(line) <= width for line in lines)
    for fact in (
        *HINTS,
        "123 s   100 queries, 101 answered   Ctrl-C ends",
        "mx1 is dead; dnslb makes sure before it believes it",
        "down, refused",
        "killed",
        "drain",
        "relay.demo.test A",
        "127.0.0.11",
        "mail.demo.test MX",
        "10 mx3.demo.test  20 mx1.demo.test  30 mx2.demo.test",
        "event 29",
    ):
        assert fact in text


def test_a_terminal_that_knows_only_ascii() -> None:
    """Frames and bars become ASCII, and nothing fails."""
    assert "+- members -" in "\n".join(shown(80, 24, encoding="ascii"))


@pytest.mark.parametrize("width", range(80, 90))
def test_recent_answers_are_whole_names(width: int) -> None:
    """As many recent answers are listed as fit, and the last of them is not cut."""
    (line,) = (line for line in shown(width, 24) if "before: " in line)
    names = line.partition("before: ")[2].strip("│ ").split()
    assert len(names) > 5
    assert set(names) == {"mx1", "mx2"}


def test_a_larger_terminal_shows_more_events() -> None:
    """Room is given to the events, the latest of them."""
    small = [line for line in shown(80, 24) if "event" in line]
    large = [line for line in shown(120, 40) if "event" in line]
    assert len(small) >= 3
    assert len(large) >= 19
    assert "event 29" in large[-1]


def test_a_long_command_is_shown_in_full() -> None:
    """A command that is wider than the terminal goes on in the next line, and the frame below it is there."""
    lines = shown(80, 24, hints=["dig", "x" * 60 + " " + "y" * 60])
    assert [line.strip("│ \n") for line in lines[-4:-1]] == ["dig", "x" * 60, "y" * 60]


@pytest.mark.parametrize(("width", "height"), [(40, 12), (20, 5)])
def test_a_tiny_terminal(width: int, height: int) -> None:
    """Too little room for everything is no error."""
    assert len(shown(width, height)) == height


def test_nothing_has_happened_yet() -> None:
    """The first picture, before any answer or status, can be drawn."""
    servers = {actor.name: MailServer(actor.host, actor.address) for actor in scene.CAST}
    empty = Stage(("127.0.0.1", 1), servers, lambda: 0.0, lambda _event: None)
    console = Console(file=io.StringIO(), width=80, height=24)
    console.print(view.picture(console, empty, [], HINTS), height=24)


def test_summary() -> None:
    """The summary compares wanted and measured shares of each member."""
    story = Story(scene.weights())
    story.answered_whole(("mx1", "mx2", "mx3"), 0.0)
    for member in ("mx1", "mx1", "mx2", "mx3"):
        story.answered_one(member, 1.0)
    out = io.StringIO()
    Console(file=out, width=80).print(view.summary(story))
    rows = [line.split() for line in out.getvalue().splitlines()]
    assert rows == [
        ["member", "weight", "wanted", "measured", "answers"],
        ["mx1", "50", "50.0%", "50.0%", "2"],
        ["mx2", "30", "30.0%", "25.0%", "1"],
        ["mx3", "20", "20.0%", "25.0%", "1"],
    ]
