"""Who the demo is played to: a person at a terminal, a file or pipe, or a script that wants the report."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import click
from rich.console import Console
from rich.live import Live

from dnslb.cli.demo import view
from dnslb.cli.demo.script import Event, Stage
from dnslb.cli.demo.story import Story, report

_BETWEEN_PICTURES = 0.125


class Audience(Protocol):
    """What the demo tells, and when."""

    def wait(self, text: str) -> AbstractContextManager[object]:
        """Say that something takes a moment, for as long as the context lasts."""

    def tell(self, event: Event) -> None:
        """Take note of an event."""

    async def watch(self, stage: Stage, hints: Sequence[str]) -> None:
        """Follow the play until cancelled."""

    def leave(self, story: Story) -> None:
        """Take the result home."""


@dataclass(slots=True)
class AtTerminal:
    """A live picture on the whole screen; at the end the screen is as before, with a summary."""

    console: Console
    _events: list[Event] = field(default_factory=list)

    def wait(self, text: str) -> AbstractContextManager[object]:
        """Turn a spinner."""
        return self.console.status(text)

    def tell(self, event: Event) -> None:
        """Keep it for the next picture."""
        self._events.append(event)

    async def watch(self, stage: Stage, hints: Sequence[str]) -> None:
        """Draw eight pictures a second."""
        with Live(console=self.console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(view.picture(self.console, stage, self._events, hints), refresh=True)
                await asyncio.sleep(_BETWEEN_PICTURES)

    def leave(self, story: Story) -> None:
        """Repeat what happened, which went away with the picture."""
        for event in self._events:
            self.console.print(view.event_line(event))
        self.console.print(view.summary(story))


@dataclass(frozen=True, slots=True)
class AsLines:
    """A line for each event, for files, pipes and dumb terminals."""

    def wait(self, text: str) -> AbstractContextManager[object]:
        """Print it once."""
        click.echo(text)
        return nullcontext()

    def tell(self, event: Event) -> None:
        """Print it."""
        click.echo(view.event_line(event).plain)

    async def watch(self, stage: Stage, hints: Sequence[str]) -> None:
        """Print what to try, and leave the rest to the events."""
        click.echo(f"{len(stage.servers)} mail servers run. Try it in another terminal:")
        for hint in hints:
            click.echo(f"  {hint}")
        await asyncio.Event().wait()

    def leave(self, story: Story) -> None:
        """Print the summary."""
        Console(force_terminal=False, width=80).print(view.summary(story))


@dataclass(frozen=True, slots=True)
class AsJson:
    """One JSON object at the end, and not a word before."""

    def wait(self, text: str) -> AbstractContextManager[object]:  # noqa: ARG002 - silence is the point
        """Print nothing."""
        return nullcontext()

    def tell(self, event: Event) -> None:
        """Print nothing."""

    async def watch(self, stage: Stage, hints: Sequence[str]) -> None:  # noqa: ARG002 - silence is the point
        """Print nothing."""
        await asyncio.Event().wait()

    def leave(self, story: Story) -> None:
        """Print the report."""
        click.echo(json.dumps(report(story), indent=2))
