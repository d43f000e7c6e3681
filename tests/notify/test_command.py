"""One message to a program, where the program may do whatever it likes."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dnslb.notify.command import hand_over
from dnslb.notify.target import Command
from dnslb.notify.undelivered import UndeliveredError
from tests.daemon.conftest import runs
from tests.notify.receiver import a_message, an_event

PATIENCE = 20.0


def descriptors() -> set[Path]:
    """Return those that this process has."""
    return set(Path("/proc/self/fd").iterdir())


def script(text: str, *words: str) -> Command:
    """Return a shell script as a command."""
    return Command(("/bin/sh", "-c", text, "hook", *words))


async def refused(command: Command, seconds: float = PATIENCE) -> tuple[str, bool]:
    """Return why a message does not arrive, and whether another try is worth it."""
    with pytest.raises(UndeliveredError) as caught:
        await hand_over(command, a_message(), seconds)
    return str(caught.value), caught.value.again


async def test_a_program_is_given_the_message(tmp_path: Path) -> None:
    """As JSON on its input, with the gist of it in its environment, and its own arguments; no shell reads them."""
    message = a_message(an_event(1), an_event(2, kind="panic", member="", text="pool inbound panics"))
    out = tmp_path / "out"
    await hand_over(script('cat > "$1"', str(out)), message, PATIENCE)
    assert json.loads(out.read_text()) == json.loads(message.body())
    told = script('echo "$DNSLB_HOST, $DNSLB_EVENTS, $DNSLB_KINDS, $DNSLB_POOLS, $1:"; echo "$DNSLB_TEXT"', "$(id)")
    assert await hand_over(told, message, PATIENCE) == (
        "ns1, 2, state panic, inbound, $(id): ns1: inbound/mx1: text 1 ns1: inbound: pool inbound panics"
    )


async def test_a_program_has_nothing_else_of_ours() -> None:
    """Three descriptors (`ls` opens one), no directory that somebody may want to unmount, a session of its own."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)  # noqa: FBT003 - the library knows it by its place
    looking = script('ls /proc/self/fd; readlink /proc/$$/cwd; cut -d" " -f6 /proc/$$/stat; echo $$')
    printed = await hand_over(looking, a_message(), PATIENCE)
    os.close(reading)
    os.close(writing)
    *handles, directory, session, pid = printed.split()
    assert (handles, directory, session) == (["0", "1", "2", "3"], "/", pid)


@pytest.mark.parametrize(
    ("text", "why", "again"),
    [
        ("echo no such account >&2; exit 1", "it ended with status 1: no such account", False),
        ("exit 75", "it ended with status 75", True),
        ("kill -TERM $$", "it ended with SIGTERM", False),
    ],
)
async def test_the_exit_status_says_whether_it_has_arrived(text: str, why: str, again: bool) -> None:  # noqa: FBT001 - a case
    """Only EX_TEMPFAIL asks for another try: what a program has half done should not be done for an hour."""
    assert await refused(script(text)) == (why, again)


async def test_what_cannot_be_started_is_tried_again() -> None:
    """Somebody may be installing it."""
    assert await refused(Command(("/nonexistent/hook",))) == ("it cannot be started: No such file or directory", True)


async def test_what_hangs_is_killed_with_all_it_has_started(tmp_path: Path) -> None:
    """What it has printed until then is told."""
    pids = tmp_path / "pids"
    hanging = script('sleep 1000 & echo $! > "$1"; echo $$ >> "$1"; echo begun; wait', str(pids))
    told = asyncio.create_task(refused(hanging, 2.0))
    await written(pids, 2)
    assert await told == ("it did not end within 2 s, and was killed: begun", True)
    await gone(pids)


async def test_what_it_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    """Nobody waits for it, though it holds the output open, and a thousand events leave nothing behind."""
    pid = tmp_path / "pid"
    await hand_over(script('sleep 1000 & echo $! > "$1"', str(pid)), a_message(), PATIENCE)
    await gone(pid)


async def test_what_never_stops_talking_is_cut_off() -> None:
    """After 64 KiB its pipe breaks; the beginning is told."""
    why, again = await refused(script("exec yes"))
    assert (why[:45], len(why) < 600, again) == ("it ended with SIGPIPE: y y y y y y y y y y y ", True, False)


async def test_who_does_not_read_keeps_nobody_waiting() -> None:
    """A message longer than any pipe."""
    message = a_message(an_event(1, details={"problems": ["x" * 1000] * 1000}))
    assert await hand_over(script("echo done"), message, PATIENCE) == "done"


async def test_what_is_cancelled_is_killed(tmp_path: Path) -> None:
    """The daemon stops, or a reload has removed the target."""
    pid = tmp_path / "pid"
    task = asyncio.create_task(hand_over(script('echo $$ > "$1"; exec sleep 1000', str(pid)), a_message(), PATIENCE))
    await written(pid, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(pid)


async def test_nothing_is_left_open() -> None:
    """Whatever becomes of it, no descriptor stays."""
    await hand_over(script("exit 0"), a_message(), PATIENCE)
    before = descriptors()
    await hand_over(script("echo done; exit 0"), a_message(), PATIENCE)
    await refused(script("exec yes"))
    await refused(Command(("/nonexistent/hook",)))
    await refused(script("exec sleep 1000"), 0.05)
    assert descriptors() == before


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - other processes set no event of ours
            await asyncio.sleep(0.01)


async def written(path: Path, lines: int) -> None:
    """Wait until a file has so many lines."""
    await until(lambda: path.exists() and path.read_text().count("\n") == lines)


async def gone(pids: Path) -> None:
    """Wait until none of the processes that a file names runs any more."""
    await until(lambda: not any(runs(int(pid)) for pid in pids.read_text().split()))
