"""Telling targets what happens, whatever they are like."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dnslb.notify.backlog import LIMIT
from dnslb.notify.courier import PAUSES
from dnslb.notify.message import MOST, Message
from dnslb.notify.notices import Notices
from dnslb.notify.target import Command, Target, Webhook
from dnslb.notify.webhook import post
from tests.daemon.conftest import runs
from tests.notify.receiver import SECRET, SENDER, Receiver, an_event, hang, receiving

PATIENCE = 20.0


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Give a receiver that listens."""
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def tell() -> AsyncIterator[Callable[..., Notices]]:
    """Return what begins to tell targets; it ends with the test. There is no pause between two tries."""
    begun: list[Notices] = []

    def begin(*targets: Target, pause: float = 0.0) -> Notices:
        begun.append(Notices(targets, SENDER, lambda _seconds: pause))
        return begun[-1]

    yield begin
    for notices in begun:
        await notices.end()


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - processes and receivers set no event of ours
            await asyncio.sleep(0.01)


def counts(notices: Notices) -> list[tuple[int, int, bool]]:
    """Return what of each target is counted."""
    return [(courier.delivered, courier.missed, courier.failing) for courier in notices.couriers]


async def test_events_arrive_in_their_order(receiver: Receiver, tell: Callable[..., Notices]) -> None:
    """Those that come together in one message, and those that come while it is under way in the next."""
    notices = tell(receiver.target())
    for number in range(3):
        notices.tell(an_event(number))
    assert await receiver.texts(1) == ["\n".join(f"ns1: inbound/mx1: text {number}" for number in range(3))]
    notices.tell(an_event(3))
    assert await receiver.texts(1) == ["ns1: inbound/mx1: text 3"]
    await until(lambda: counts(notices) == [(4, 0, False)])


async def test_a_target_hears_of_what_it_wants_to_know(receiver: Receiver, tell: Callable[..., Notices]) -> None:
    """Kinds, and pools if it names any: then nothing that is about no pool."""
    notices = tell(receiver.target(kinds=frozenset({"state", "reload"}), pools=frozenset({"relay"})))
    notices.tell(an_event(1))
    notices.tell(an_event(2, kind="weight", pool="relay"))
    notices.tell(an_event(3, kind="reload", pool="", member=""))
    notices.tell(an_event(4, pool="relay"))
    assert (await receiver.taken.get())["events"] == [an_event(4, pool="relay")]


async def test_a_burst_is_a_few_messages(receiver: Receiver, tell: Callable[..., Notices]) -> None:
    """A thousand members that change at once, each told of once."""
    notices = tell(receiver.target())
    for number in range(LIMIT):
        notices.tell(an_event(number))
    messages = [await receiver.taken.get() for _ in range(LIMIT // MOST)]
    assert [event["id"] for message in messages for event in message["events"]] == list(range(LIMIT))
    assert receiver.taken.empty()


async def test_a_burst_is_one_process_at_a_time(tmp_path: Path, tell: Callable[..., Notices]) -> None:
    """Each ends before the next one begins."""
    log = tmp_path / "log"
    words = ("/bin/sh", "-c", 'echo begins >> "$1"; cat > "$1.$DNSLB_EVENTS"; echo ends >> "$1"', "hook", str(log))
    notices = tell(Target("hook", Command(words), frozenset({"state"})))
    for number in range(LIMIT):
        notices.tell(an_event(number))
    await until(lambda: counts(notices) == [(LIMIT, 0, False)])
    assert log.read_text().split() == ["begins", "ends"] * (LIMIT // MOST)


async def test_what_does_not_arrive_is_tried_again(receiver: Receiver, tell: Callable[..., Notices]) -> None:
    """The same message, until the receiver takes it; what comes meanwhile comes behind it. Begin and end are told."""
    receiver.answers = [500, 503, 302, 429]
    notices = tell(receiver.target())
    with capture_logs() as logs:
        notices.tell(an_event(1))
        await until(lambda: receiver.headers)
        notices.tell(an_event(2))
        assert await receiver.texts(2) == ["ns1: inbound/mx1: text 1", "ns1: inbound/mx1: text 2"]
        await until(lambda: counts(notices) == [(2, 0, False)])
    assert logs == [
        {
            "event": "notify_failing",
            "log_level": "warning",
            "target": "localhost",
            "reason": "it answers 500 Internal Server Error",
        },
        {"event": "notify_works", "log_level": "info", "target": "localhost", "missed": 0},
    ]


async def test_a_receiver_may_go_and_come_back(receiver: Receiver, tell: Callable[..., Notices]) -> None:
    """What has happened meanwhile is told then; nothing of the secret in its URL is in the log."""
    notices = tell(receiver.target(), pause=0.01)
    await receiver.close()
    with capture_logs() as logs:
        notices.tell(an_event(1))
        await until(lambda: counts(notices) == [(0, 0, True)])
        await receiver.open()
        assert await receiver.texts(1) == ["ns1: inbound/mx1: text 1"]
    assert SECRET.partition("?")[0] not in str(logs)


async def test_a_receiver_that_hangs_holds_up_nobody_else(receiver: Receiver, tell: Callable[..., Notices]) -> None:
    """Each target goes at its own pace."""
    receiver.answers = [hang]
    async with receiving() as other:
        notices = tell(receiver.target(), other.target())
        notices.tell(an_event(1))
        assert await other.texts(1) == ["ns1: inbound/mx1: text 1"]
        assert counts(notices)[0] == (0, 0, False)


async def test_more_than_can_wait_is_counted(receiver: Receiver, tell: Callable[..., Notices]) -> None:
    """The oldest give way; the next message says how many, and so does its text."""
    receiver.answers = [hang]
    notices = tell(receiver.target(timeout=0.2))
    notices.tell(an_event(0))
    await until(lambda: receiver.headers)
    for number in range(1, LIMIT + 8):
        notices.tell(an_event(number))
    first, second = [await receiver.taken.get() for _ in range(2)]
    assert ([event["id"] for event in first["events"]], first["missed"]) == ([0], 0)
    assert ([event["id"] for event in second["events"]], second["missed"]) == (list(range(8, 8 + MOST)), 7)
    assert second["text"].startswith("ns1: 7 events before these were not delivered")
    assert counts(notices)[0][1] == 7


@pytest.mark.parametrize("answers", [[400], [500] * (len(PAUSES) + 1)])
async def test_what_is_given_up_is_counted(
    receiver: Receiver, tell: Callable[..., Notices], answers: list[int | Callable[[], object]]
) -> None:
    """A message that the receiver does not like, at once; any other after an hour of trying."""
    receiver.answers[:] = answers  # type: ignore[assignment]  # numbers are among what it takes
    notices = tell(receiver.target())
    notices.tell(an_event(1))
    await until(lambda: counts(notices) == [(0, 1, True)])
    notices.tell(an_event(2))
    message = await receiver.taken.get()
    assert (message["missed"], [event["id"] for event in message["events"]]) == (1, [2])


async def test_a_fault_of_ours_costs_one_message(
    receiver: Receiver, tell: Callable[..., Notices], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged with its traceback, and the next event is told."""
    faults = [ZeroDivisionError()]

    async def posted(webhook: Webhook, message: Message, seconds: float) -> None:
        if faults:
            raise faults.pop()
        await post(webhook, message, seconds)

    monkeypatch.setattr("dnslb.notify.notices.post", posted)
    notices = tell(receiver.target())
    with capture_logs() as logs:
        notices.tell(an_event(1))
        await until(lambda: counts(notices) == [(0, 1, True)])
        notices.tell(an_event(2))
        assert (await receiver.taken.get())["missed"] == 1
    assert logs[0]["event"] == "notify_fault"


async def test_what_a_program_prints_is_told(tell: Callable[..., Notices]) -> None:
    """In the log, as one line."""
    notices = tell(Target("hook", Command(("/bin/echo", "paged", "ann")), frozenset({"state"})))
    with capture_logs() as logs:
        notices.tell(an_event(1))
        await until(lambda: logs)
    assert logs == [{"event": "notify_output", "log_level": "info", "target": "hook", "text": "paged ann"}]


async def test_a_reload_loses_nothing_of_who_stays(receiver: Receiver, tell: Callable[..., Notices]) -> None:
    """What else is said of a target holds from the next event on; who is gone hears no more."""
    async with receiving() as gone:
        notices = tell(gone.target(), receiver.target(), pause=1000.0)
        receiver.answers, gone.answers = [500], [500]
        notices.tell(an_event(1))
        notices.tell(an_event(2))
        await until(lambda: [each[2] for each in counts(notices)] == [True, True])
        notices.replace([receiver.target(name="chat", kinds=frozenset({"panic"}))])
        notices.tell(an_event(3))
        notices.tell(an_event(4, kind="panic"))
        assert [courier.target.name for courier in notices.couriers] == ["chat"]
        await notices.hurry(PATIENCE)
        messages = [await receiver.taken.get() for _ in range(2)]
        assert [[event["id"] for event in message["events"]] for message in messages] == [[1, 2], [4]]
        assert (gone.taken.empty(), len(gone.headers)) == (True, 1)


async def test_who_is_gone_is_left_alone_at_once(tmp_path: Path, tell: Callable[..., Notices]) -> None:
    """A program that a reload has removed is ended."""
    pid = tmp_path / "pid"
    words = ("/bin/sh", "-c", 'echo $$ > "$1"; exec sleep 1000', "hook", str(pid))
    notices = tell(Target("hook", Command(words), frozenset({"state"}), timeout=1000.0))
    notices.tell(an_event(1))
    await until(lambda: pid.exists() and pid.read_text())
    notices.replace([])
    await until(lambda: not runs(int(pid.read_text())))


async def test_before_the_end_each_message_is_tried_once_more(receiver: Receiver, tell: Callable[..., Notices]) -> None:
    """At once, whatever pause there would be; what does not arrive then is left, and said to be."""
    receiver.answers = [500, 200, 500]
    notices = tell(receiver.target(), pause=1000.0)
    notices.tell(an_event(1))
    await until(lambda: counts(notices) == [(0, 0, True)])
    await notices.hurry(PATIENCE)
    assert await receiver.texts(1) == ["ns1: inbound/mx1: text 1"]
    notices.tell(an_event(2, kind="state"))
    await notices.hurry(PATIENCE)
    assert (counts(notices), len(receiver.headers)) == ([(1, 1, True)], 3)


async def test_the_end_waits_for_nobody_for_long(receiver: Receiver, tell: Callable[..., Notices]) -> None:
    """From the first call on, however often it is called; what is left is said, and programs are killed."""
    receiver.answers = [hang]
    sleeping = Target("hook", Command(("/bin/sleep", "1000")), frozenset({"state"}), timeout=1000.0)
    notices = tell(receiver.target(timeout=1000.0), sleeping)
    notices.tell(an_event(1))
    await until(lambda: receiver.headers)
    notices.tell(an_event(2))
    with capture_logs() as logs:
        await notices.hurry(0.1)
        await notices.hurry(1000.0)
        await notices.end()
    assert [(line["event"], line["target"], line["events"]) for line in logs] == [
        ("notify_left", "localhost", 2),
        ("notify_left", "hook", 2),
    ]
