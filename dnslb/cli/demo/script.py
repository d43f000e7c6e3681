"""Who does what when: resolvers ask all the time, servers die and come back, an observer tells."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dnslb.cli.demo import lookup, scene
from dnslb.cli.demo.mail import MailServer
from dnslb.cli.demo.story import Story
from dnslb.control.client import DaemonUnreachable
from dnslb.control.protocol import Refused

SHORTEST = 12.0
"""Seconds in which one server can die, leave the answers and come back to them."""

_BEFORE_KILL = 3.0
_GONE = 2.5
_PATIENCE = 15.0
_ROUND = 9.0
_BETWEEN_QUERIES = 0.05
_BETWEEN_STATUS = 0.1

Clock = Callable[[], float]


class Tone(StrEnum):
    """How an event is to be taken."""

    PLAIN = "plain"
    BAD = "bad"
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, `at` seconds after the beginning."""

    at: float
    text: str
    tone: Tone = Tone.PLAIN


@dataclass(slots=True)
class Stage:
    """All that the parts of the demo share. `clock` counts seconds from the beginning."""

    dns: tuple[str, int]
    servers: Mapping[str, MailServer]
    clock: Clock
    tell: Callable[[Event], None]
    story: Story = field(default_factory=lambda: Story(scene.weights()))
    members: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    phase: str = ""
    noted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with each answer."""

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Tell what happens now."""
        self.tell(Event(self.clock(), text, tone))


async def ask_forever(stage: Stage, name: str, rtype: int) -> None:
    """Ask for one name about twenty times a second and note each answer, and the first of those that do not come."""
    is_answered = True
    while True:
        stage.story.asked()
        try:
            records = await lookup.ask(stage.dns, name, rtype)
        except (OSError, ValueError) as error:
            if is_answered:
                stage.say(f"no answer for {name}: {str(error) or 'timeout'}", Tone.BAD)
            is_answered = False
        else:
            is_answered = True
            _note(stage, rtype, tuple(filter(None, (scene.member_of(record.value) for record in records))))
        await asyncio.sleep(_BETWEEN_QUERIES)


def _note(stage: Stage, rtype: int, members: tuple[str, ...]) -> None:
    if rtype == lookup.MX:
        stage.story.answered_whole(members, stage.clock())
    elif members:
        stage.story.answered_one(members[0], stage.clock())
    stage.noted.set()


async def observe(stage: Stage, status: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
    """Follow what the daemon says of the members, and tell what changes."""
    while True:
        # A daemon that has no time now, or is just stopping, is asked again.
        with contextlib.suppress(DaemonUnreachable, Refused):
            members = (await status())["pools"][scene.POOL]["members"]
            for text, tone in changes(stage.members, members):
                stage.say(text, tone)
            stage.members = members
        await asyncio.sleep(_BETWEEN_STATUS)


def changes(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Tone]]:
    """Return what to tell of the difference between two looks at the members."""
    told = []
    for name, new in after.items():
        old = before.get(name, new)
        if old["state"] != new["state"]:
            why = f": {new['reason']}" if new["reason"] else ""
            tone = Tone.GOOD if new["state"] == "up" else Tone.BAD
            told.append((f"dnslb: {name} is {new['state']} ({new['verdict']}{why})", tone))
        if old["admin"] != new["admin"]:
            told.append((f"operator: {name} is {new['admin']}", Tone.PLAIN))
        if old["effective_weight"] != new["effective_weight"]:
            told.append((f"{name} counts with weight {new['effective_weight']}", Tone.PLAIN))
    return told


async def kill_in_turn(stage: Stage, ends_at: float | None) -> None:
    """Kill one server after the other and bring it back; none so late that its return would not be seen."""
    turns = itertools.cycle(stage.servers)
    while ends_at is None or not stage.story.rounds or ends_at - stage.clock() >= _BEFORE_KILL + _ROUND:
        name = _next_published(stage, turns)
        stage.phase = f"all is well; {name} will be killed"
        await asyncio.sleep(_BEFORE_KILL)
        await _round(stage, name)
    stage.phase = "all is well; that was it"
    await asyncio.sleep(max(0.0, ends_at - stage.clock()))


def _next_published(stage: Stage, turns: Iterator[str]) -> str:
    """Return whose turn it is, past those that an operator has taken out of the answers."""
    in_turn = [next(turns)]
    while in_turn[-1] not in stage.story.whole and len(in_turn) <= len(stage.servers):
        in_turn.append(next(turns))
    return in_turn[-1]


async def _round(stage: Stage, name: str) -> None:
    await _leave(stage, name)
    stage.phase = f"the mail goes to the others; {name} will be back"
    await asyncio.sleep(_GONE)
    await _return(stage, name)


async def _leave(stage: Stage, name: str) -> None:
    each = stage.story.kill(name, stage.clock())
    await stage.servers[name].kill()
    stage.say(f"{name} is killed: its port is closed, its connections are cut", Tone.BAD)
    stage.phase = f"{name} is dead; dnslb makes sure before it believes it"
    if await _within_patience(stage, lambda: each.left_at is not None):
        stage.say(f"{name} left the answers, {_seconds(each.left_after_ms)} after its death", Tone.GOOD)
    else:
        stage.say(f"{name} is still in the answers", Tone.BAD)


async def _return(stage: Stage, name: str) -> None:
    each = stage.story.rounds[-1]
    try:
        await stage.servers[name].start()
    except OSError as error:
        stage.say(f"{name} cannot start again: {error.strerror}", Tone.BAD)
        return
    each.restored_at = stage.clock()
    stage.say(f"{name} is started again")
    stage.phase = f"{name} is back; dnslb wants to see it twice"
    if await _within_patience(stage, lambda: each.returned_at is not None):
        stage.say(f"{name} is in the answers again, {_seconds(each.returned_after_ms)} after its return", Tone.GOOD)
    else:
        stage.say(f"{name} has not come back to the answers", Tone.BAD)


async def _within_patience(stage: Stage, is_so: Callable[[], bool]) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while not is_so():
                stage.noted.clear()
                await stage.noted.wait()
    return is_so()


def _seconds(milliseconds: float | None) -> str:
    return "?" if milliseconds is None else f"{milliseconds / 1000:.2f} s"
