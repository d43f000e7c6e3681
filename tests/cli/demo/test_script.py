"""Servers die and come back in turn, and what happens is told once."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from dnslb.cli.demo import scene, script
from dnslb.cli.demo.mail import MailServer
from dnslb.cli.demo.script import Event, Stage, Tone
from dnslb.control.client import DaemonUnreachable


def member(**changed: object) -> Mapping[str, Any]:
    """Return what the daemon says of a member that is well."""
    well = {"state": "up", "verdict": "ok", "reason": "", "admin": "ready", "effective_weight": 50, "share": 0.5}
    return well | changed


def stage(events: list[Event]) -> Stage:
    """Return a stage with servers on free ports that tells into the list."""
    servers = {actor.name: MailServer(actor.host, actor.address) for actor in scene.CAST}
    return Stage(("127.0.0.1", 1), servers, asyncio.get_running_loop().time, events.append)


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (member(), []),
        (member(share=0.1), []),
        (
            member(state="down", verdict="refused", reason="Connection refused"),
            [("dnslb: mx1 is down (refused: Connection refused)", Tone.BAD)],
        ),
        (member(admin="drain"), [("operator: mx1 is drain", Tone.PLAIN)]),
        (member(effective_weight=7), [("mx1 counts with weight 7", Tone.PLAIN)]),
    ],
)
def test_what_is_told_of_a_difference(after: Mapping[str, Any], told: list[tuple[str, Tone]]) -> None:
    """State, admin state and weight are told when they change; nothing else is."""
    assert script.changes({"mx1": member()}, {"mx1": after}) == told


def test_recovery_is_good_news() -> None:
    """A member that is up again is told of as such."""
    assert script.changes({"mx1": member(state="down")}, {"mx1": member()}) == [("dnslb: mx1 is up (ok)", Tone.GOOD)]


def test_the_first_look_tells_nothing() -> None:
    """What was so from the beginning is no event."""
    assert script.changes({}, {"mx1": member(state="down")}) == []


async def until(is_so: Callable[[], object]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - the condition is nobody's event
            await asyncio.sleep(0)


async def test_observing_goes_on_when_the_daemon_does_not_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that fails is no event and not the last one."""
    monkeypatch.setattr(script, "_BETWEEN_STATUS", 0.0)
    events: list[Event] = []
    play = stage(events)
    looks = iter([member(), None, member(state="down", verdict="closed")])

    async def status() -> Mapping[str, Any]:
        look = next(looks, member(state="down"))
        if look is None:
            raise DaemonUnreachable("busy")
        return {"pools": {scene.POOL: {"members": {"mx1": look}}}}

    observing = asyncio.create_task(script.observe(play, status))
    await until(lambda: events)
    observing.cancel()
    assert [event.text for event in events] == ["dnslb: mx1 is down (closed)"]
    assert play.members["mx1"]["state"] == "down"


async def answers(play: Stage) -> None:
    """Answer as a daemon would that knows at once which servers run."""
    while True:
        names = tuple(name for name, server in play.servers.items() if server.is_running)
        play.story.answered_whole(names, play.clock())
        play.noted.set()
        await asyncio.sleep(0)


@pytest.fixture
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the play take no time."""
    monkeypatch.setattr(script, "_BEFORE_KILL", 0.0)
    monkeypatch.setattr(script, "_GONE", 0.0)


@pytest.mark.usefixtures("_hurry")
async def test_servers_die_in_turn() -> None:
    """Each server in its turn dies, is seen leaving, starts again and is seen returning."""
    events: list[Event] = []
    play = stage(events)
    for server in play.servers.values():
        await server.start()
    tasks = [asyncio.create_task(answers(play)), asyncio.create_task(script.kill_in_turn(play, None))]
    await until(lambda: len(play.story.rounds) > 3)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for server in play.servers.values():
        await server.kill()
    assert [each.member for each in play.story.rounds[:4]] == ["mx1", "mx2", "mx3", "mx1"]
    assert all(each.is_complete for each in play.story.rounds[:3])
    told = [event.text for event in events[:4]]
    assert told[0].startswith("mx1 is killed")
    assert told[1].startswith("mx1 left the answers, ")
    assert told[2] == "mx1 is started again"
    assert told[3].startswith("mx1 is in the answers again, ")


@pytest.mark.usefixtures("_hurry")
async def test_a_member_that_is_out_already_is_passed_over() -> None:
    """Who is not published when its turn comes is not killed, for nobody could see it leave."""
    play = stage([])
    for server in play.servers.values():
        await server.start()
    await play.servers["mx1"].kill()
    play.story.answered_whole(("mx2", "mx3"), 0.0)
    tasks = [asyncio.create_task(answers(play)), asyncio.create_task(script.kill_in_turn(play, None))]
    await until(lambda: len(play.story.rounds) > 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for server in play.servers.values():
        await server.kill()
    assert [each.member for each in play.story.rounds[:3]] == ["mx2", "mx3", "mx2"]


@pytest.mark.usefixtures("_hurry")
async def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that stays in the answers is told of, and its server started again all the same."""
    monkeypatch.setattr(script, "_PATIENCE", 0.0)
    events: list[Event] = []
    play = stage(events)
    playing = asyncio.create_task(script.kill_in_turn(play, None))
    await until(lambda: len(play.story.rounds) > 1)
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    for server in play.servers.values():
        await server.kill()
    assert [event.text for event in events[1:4]] == [
        "mx1 is still in the answers",
        "mx1 is started again",
        "mx1 has not come back to the answers",
    ]
    assert not play.story.has_complete_round


@pytest.mark.usefixtures("_hurry")
async def test_no_kill_whose_end_would_not_be_seen() -> None:
    """With too little time left for another round the play ends with all servers alive."""
    play = stage([])
    for server in play.servers.values():
        await server.start()
    answering = asyncio.create_task(answers(play))
    await script.kill_in_turn(play, play.clock() + 0.5)
    answering.cancel()
    assert len(play.story.rounds) == 1
    assert all(server.is_running for server in play.servers.values())
    for server in play.servers.values():
        await server.kill()


async def test_a_missing_answer_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries without an answer are counted, and one line says so however many they are."""
    monkeypatch.setattr(script, "_BETWEEN_QUERIES", 0.0)
    events: list[Event] = []
    play = stage(events)
    asking = asyncio.create_task(script.ask_forever(play, scene.RELAY, 1))
    await until(lambda: play.story.queries > 5)
    asking.cancel()
    assert len(events) == 1
    assert events[0].text.startswith(f"no answer for {scene.RELAY}: ")
    assert play.story.answers == 0
