"""What a terminal shows: one picture of the stage, made for 80x24 and better with more."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dnslb.cli.demo import scene
from dnslb.cli.demo.script import Event, Stage, Tone
from dnslb.cli.demo.story import Story, report, shares

_COLOURS = dict(zip((actor.name for actor in scene.CAST), ("cyan", "magenta", "yellow"), strict=True))
_ADDRESSES = {actor.name: actor.address for actor in scene.CAST}
_TONES = {Tone.PLAIN: "", Tone.BAD: "red", Tone.GOOD: "green"}
_GOOD_WORDS = frozenset({"up", "ready", "ok", "running"})
_HEADER_LINES = 2
_FRAME_LINES = 2
_PANEL_COLUMNS = 4
_NAME_COLUMNS = 4


def picture(console: Console, stage: Stage, events: Sequence[Event], hints: Sequence[str]) -> RenderableType:
    """Return the picture of now; the events take the room that is left."""
    # In full even if that takes a second line: half a command is none.
    commands = Text("\n".join(hints)).wrap(console, console.width - _PANEL_COLUMNS)
    layout = Layout()
    layout.split_column(
        Layout(_header(stage), size=_HEADER_LINES),
        Layout(_panel(_members(stage), "members"), size=len(scene.CAST) + 1 + _FRAME_LINES),
        Layout(_panel(_answers(stage.story), "real answers"), size=2 + _FRAME_LINES),
        Layout(_panel(_Latest(events), "what happened"), minimum_size=1 + _FRAME_LINES),
        Layout(_panel(Group(*commands), "try it in another terminal"), size=len(commands) + _FRAME_LINES),
    )
    return layout


def event_line(event: Event) -> Text:
    """Return an event with its time in seconds."""
    return Text.assemble((f"{event.at:6.1f} ", "dim"), (event.text, _TONES[event.tone]))


def summary(story: Story) -> RenderableType:
    """Return what remains on the terminal at the end."""
    table = Table("member", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("weight", "wanted", "measured", "answers"):
        table.add_column(title, justify="right")
    told = report(story)["members"]
    for name, each in told.items():
        table.add_row(
            Text(name, _COLOURS[name]),
            *(str(each["weight"]), f"{each['wanted']:.1%}", f"{each['share']:.1%}", str(each["answers"])),
        )
    return table


def _panel(content: RenderableType, title: str) -> Panel:
    return Panel(content, title=f"[bold]{title}[/]", title_align="left", padding=(0, 1), border_style="dim")


def _header(stage: Stage) -> RenderableType:
    grid = Table.grid(expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right", min_width=50)
    counts = f"{stage.story.queries} queries, {stage.story.answers} answered"
    grid.add_row(Text(" dnslb demo", "bold"), Text(f"{stage.clock():.0f} s   {counts}   Ctrl-C ends ", "dim"))
    return Group(grid, Text(f" {stage.phase}", no_wrap=True, overflow="crop"))


def _members(stage: Stage) -> RenderableType:
    table = Table(box=None, expand=True, header_style="dim", padding=(0, 1, 0, 0))
    for title, longest in (
        ("member", "mx1"),
        ("server", "running"),
        ("dnslb says", "down, refused"),
        ("admin", "ready"),
    ):
        table.add_column(title, no_wrap=True, min_width=len(longest))
    for title in ("weight", "wanted", "measured"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", ratio=1)
    measured = shares(stage.story.now, stage.story.weights)
    for name, member in stage.members.items():
        table.add_row(*_member_row(name, member, measured.get(name, 0.0), stage.servers[name].is_running))
    return table


def _member_row(name: str, member: Mapping[str, Any], measured: float, is_running: bool) -> list[RenderableType]:  # noqa: FBT001 - private, called once
    says = f"{member['state']}" if member["verdict"] == "ok" else f"{member['state']}, {member['verdict']}"
    return [
        Text(name, _COLOURS[name]),
        _word("running" if is_running else "killed"),
        _word(says),
        _word(member["admin"]),
        str(member["effective_weight"]),
        f"{member['share']:.0%}",
        f"{measured:.0%}",
        ProgressBar(total=1.0, completed=measured, complete_style=_COLOURS[name], finished_style=_COLOURS[name]),
    ]


def _word(word: str) -> Text:
    return Text(word, "green" if word in _GOOD_WORDS else "bold red" if word in {"killed", "down"} else "yellow")


def _answers(story: Story) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(no_wrap=True, min_width=len(scene.RELAY) + 2)
    grid.add_column(no_wrap=True, overflow="crop", ratio=1)
    grid.add_row(f"{scene.RELAY} A", _Chosen(tuple(reversed(story.chosen))))
    grid.add_row(f"{scene.MAIL} MX", _ranking(story.whole))
    return grid


class _Chosen:
    """The latest answer, and as many of those before it as there is room for."""

    def __init__(self, newest_first: Sequence[str]) -> None:
        self._names = newest_first

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        if not self._names:
            yield Text("-", "dim")
            return
        newest, *others = self._names
        text = Text.assemble((_ADDRESSES[newest], f"bold {_COLOURS[newest]}"), ("  before: ", "dim"))
        room = max(0, options.max_width - len(text) + 1) // _NAME_COLUMNS
        yield text + Text(" ").join(Text(name, _COLOURS[name]) for name in others[:room])


def _ranking(members: Sequence[str]) -> Text:
    """Return the latest MX answer as it was, by preference."""
    ranked = enumerate(members, start=1)
    return Text("  ").join(Text(f"{rank}0 {name}.{scene.ZONE}", _COLOURS[name]) for rank, name in ranked)


class _Latest:
    """As many of the latest events as there is room for."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        for event in self._events[-(options.height or len(self._events)) :]:
            line = event_line(event)
            line.no_wrap = True
            line.overflow = "crop"
            yield line
