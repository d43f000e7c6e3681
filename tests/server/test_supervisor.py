"""Real workers: they answer together, are replaced one by one, and leave nothing behind."""

import asyncio
import gc
import os
import re
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest

from dnslb.server import channel, pulse, sockets, supervisor
from dnslb.server.pulse import Pulse
from dnslb.server.sockets import WorkerSockets
from dnslb.server.supervisor import Death, Supervisor
from tests.server.conftest import ANSWERED_A, change, framed, generation_of, query, snapshot, until


@dataclass
class Stage:
    """Two workers on a loopback port, what was heard of them, and a resolver that asks them."""

    rows: list[WorkerSockets]
    address: tuple[str, int]
    deaths: list[Death] = field(default_factory=list)
    starts: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.rows, self.deaths.append, self.on_start)

    def on_start(self) -> None:
        """Note who runs."""
        self.starts.append(self.supervisor.pids)

    def generations(self) -> list[int]:
        """Return what each place of a worker answers from."""
        return [counters.generation for _, counters in self.supervisor.counters()]

    async def ask(self, times: int = 1) -> list[int]:
        """Ask from a new port each time; return the generations that answered."""
        return [generation_of(await self._ask_udp()) for _ in range(times)]

    async def _ask_udp(self) -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.setblocking(False)  # noqa: FBT003 - the library's signature
            client.connect(self.address)
            client.send(query())
            async with asyncio.timeout(20):
                return await loop.sock_recv(client, 2000)

    async def ask_tcp(self) -> int:
        """Ask over TCP; return the generation that answered."""
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(*self.address)
            writer.write(framed(query()))
            answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            writer.close()
            await writer.wait_closed()
            return generation_of(answer)

    async def replaced(self, deaths: int) -> None:
        """Wait until so many have died, and all places answer again."""
        await until(lambda: len(self.deaths) == deaths, f"{deaths} deaths")
        await until(lambda: len(self.supervisor.pids) == len(self.rows), "a new process in each place")
        await until(lambda: len(self.starts) == len(self.rows) + deaths, "each start is told")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Give two places for workers; whatever is in them ends with the test."""
    groups = sockets.open_all([(ip_address("127.0.0.1"), 0)], 2, shared=False)
    rows = sockets.divide(groups, 2)
    made = Stage(rows, ("127.0.0.1", groups[0].port))
    pids: set[int] = set()
    try:
        yield made
    finally:
        pids.update(made.supervisor.pids)
        await made.supervisor.stop()
        for _, counters in made.supervisor.counters():
            os.close(counters.fd)
        for row in rows:
            for sock in (*row.udp, *row.tcp):
                sock.close()
    assert not any(is_there(pid) for pid in pids)


def is_there(pid: int) -> bool:
    """Say whether there is a process with this id, a zombie included."""
    return Path(f"/proc/{pid}").exists()


def replaced_program(tmp_path: Path, script: str) -> str:
    """Return a program that does what the script says, whatever it is called with."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


async def test_all_workers_answer_when_start_returns(stage: Stage) -> None:
    """Over UDP and TCP, from the first snapshot; each place has a process of its own."""
    await stage.supervisor.start(snapshot(1))
    assert stage.generations() == [1, 1]
    assert len(set(stage.supervisor.pids)) == 2
    assert await stage.ask(8) == [1] * 8
    assert await stage.ask_tcp() == 1
    assert sum(counters.udp[ANSWERED_A] for _, counters in stage.supervisor.counters()) == 8
    assert sum(counters.queries() for _, counters in stage.supervisor.counters()) == 9


async def test_workers_run_on_the_cpus_that_are_named(stage: Stage) -> None:
    """In turn, and so does who replaces one; a CPU that has gone since keeps none from running."""
    last, allowed = max(os.sched_getaffinity(0)), os.sched_getaffinity(0)
    stage.supervisor = Supervisor(stage.rows, stage.deaths.append, stage.on_start, [last, 100_000])
    await stage.supervisor.start(snapshot(1))
    await until(lambda: len(stage.starts) == 2, "both starts are told")
    first = stage.supervisor.pids[0]
    assert [os.sched_getaffinity(pid) for pid in stage.supervisor.pids] == [{last}, allowed]
    os.kill(first, signal.SIGKILL)
    await stage.replaced(1)
    assert os.sched_getaffinity(stage.supervisor.pids[0]) == {last}


async def test_cpus_are_used_again_if_there_are_fewer_than_workers(stage: Stage) -> None:
    """Both run on the only one."""
    only = min(os.sched_getaffinity(0))
    stage.supervisor = Supervisor(stage.rows, stage.deaths.append, stage.on_start, [only])
    await stage.supervisor.start(snapshot(1))
    assert [os.sched_getaffinity(pid) for pid in stage.supervisor.pids] == [{only}, {only}]


async def test_what_lies_in_the_working_directory_is_not_imported(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon may be started anywhere, by root too; a file of somebody else's there is not a part of it."""
    (tmp_path / "argparse.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    await stage.supervisor.start(snapshot(1))
    assert (stage.generations(), stage.deaths) == ([1, 1], [])


async def test_a_change_is_everywhere_when_distribute_returns(stage: Stage) -> None:
    """Whole snapshots and changes alike: no worker answers from what was before."""
    await stage.supervisor.start(snapshot(1))
    for generation in range(2, 12):
        await stage.supervisor.distribute(snapshot(generation) if generation % 3 == 0 else change(generation))
        assert stage.generations() == [generation] * 2
        assert await stage.ask(4) == [generation] * 4


async def test_a_killed_worker_is_replaced_and_counts_on(stage: Stage) -> None:
    """The other one answers meanwhile, the new one begins with the newest answers, and no counter falls."""
    await stage.supervisor.start(snapshot(1))
    await stage.supervisor.distribute(change(2))
    assert await stage.ask(20) == [2] * 20
    before = [counters.queries() for _, counters in stage.supervisor.counters()]
    assert sum(before) == 20
    first, second = stage.supervisor.pids

    os.kill(first, signal.SIGKILL)
    # What reaches the dead one's sockets waits there for the replacement.
    assert await stage.ask(20) == [2] * 20
    await stage.replaced(1)

    assert [(death.pid, death.how) for death in stage.deaths] == [(first, "ended by signal 9")]
    assert stage.supervisor.pids[1] == second
    assert stage.supervisor.pids[0] not in {first, second}
    assert sum(counters.queries() for _, counters in stage.supervisor.counters()) == 40
    assert not is_there(first)


async def test_each_start_finds_the_list_of_workers_complete(stage: Stage) -> None:
    """Who hears of the last start can write down all: a worker that is not written down would never be ended."""
    await stage.supervisor.start(snapshot(1))
    await until(lambda: len(stage.starts) == 2, "both starts are told")
    assert stage.starts[-1] == stage.supervisor.pids
    os.kill(stage.supervisor.pids[0], signal.SIGKILL)
    await stage.replaced(1)
    assert stage.starts[-1] == stage.supervisor.pids


async def test_a_change_while_a_worker_is_replaced_is_not_lost(stage: Stage) -> None:
    """It is sent to a process that is dying, to none at all, or to one that is starting: it is answered from."""
    await stage.supervisor.start(snapshot(1))
    generation = 1
    for deaths in range(1, 4):
        os.kill(stage.supervisor.pids[deaths % 2], signal.SIGKILL)
        for _ in range(3):
            generation += 1
            await stage.supervisor.distribute(change(generation))
            assert stage.generations() == [generation] * 2
        await stage.replaced(deaths)
    assert await stage.ask(6) == [generation] * 6


async def test_a_worker_that_dies_at_its_start_is_tried_more_and_more_slowly(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine must not be kept busy with starts, and the pause has a longest."""
    monkeypatch.setattr(sys, "executable", replaced_program(tmp_path, "exit 3"))
    monkeypatch.setattr(supervisor, "_LONGEST_PAUSE", 0.3)
    starting = asyncio.create_task(stage.supervisor.start(snapshot(1)))
    await until(lambda: len(stage.deaths) >= 8, "deaths")
    assert {death.how for death in stage.deaths} == {"ended with exit status 3"}
    pauses = sorted(death.pause for death in stage.deaths)
    assert pauses[:4] == [0.1, 0.1, 0.2, 0.2]
    assert set(pauses[4:]) == {0.3}

    monkeypatch.undo()
    await starting
    assert stage.generations() == [1, 1]


async def test_a_worker_that_cannot_be_started_is_tried_again(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the machine has no process or memory left for a moment, the place is not given up."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    starting = asyncio.create_task(stage.supervisor.start(snapshot(1)))
    await until(lambda: len(stage.deaths) >= 4, "attempts")
    assert {(death.pid, death.how) for death in stage.deaths} == {
        (0, "could not be started (No such file or directory)")
    }
    monkeypatch.undo()
    await starting
    assert stage.generations() == [1, 1]


async def test_a_worker_that_hangs_is_replaced(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps the other's change waiting once, and is not left with old answers for good."""
    monkeypatch.setattr(supervisor, "_ACKNOWLEDGE_SECONDS", 0.5)
    monkeypatch.setattr(supervisor, "_TICK_SECONDS", 3600)  # or its silence is noticed first
    await stage.supervisor.start(snapshot(1))
    await until(lambda: stage.generations() == [1, 1], "both answer, on however slow a machine")
    hanging = stage.supervisor.pids[1]
    os.kill(hanging, signal.SIGSTOP)
    await stage.supervisor.distribute(change(2))
    assert stage.generations()[0] == 2
    await stage.replaced(1)
    assert (stage.deaths[0].pid, stage.deaths[0].how) == (hanging, "took no change for 0.5 s and was killed")
    await until(lambda: stage.generations() == [2, 2], "the replacement begins with the change")


async def test_a_whole_snapshot_may_take_longer_than_a_change(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is killed, or given up, for a large table or a busy machine: neither at the start nor with a reload."""
    monkeypatch.setattr(supervisor, "_ACKNOWLEDGE_SECONDS", 0.0)
    await stage.supervisor.start(snapshot(1))
    assert stage.generations() == [1, 1]
    await stage.supervisor.distribute(snapshot(2))
    assert stage.generations() == [2, 2]
    assert stage.deaths == []


async def test_a_start_does_not_wait_for_workers_that_die_of_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who starts the daemon is told soon that nothing answers."""
    monkeypatch.setattr(supervisor, "_ACKNOWLEDGE_WHOLE_SECONDS", 1e6)
    monkeypatch.setattr(supervisor, "_HOPELESS_PAUSE", 0.2)
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    await stage.supervisor.start(snapshot(1))
    assert stage.generations() == [0, 0]


async def test_a_change_does_not_wait_for_a_place_that_stays_empty(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each one would take five seconds: the others' answers follow probes as before, and so does who comes there."""
    monkeypatch.setattr(supervisor, "_ACKNOWLEDGE_SECONDS", 1e6)
    monkeypatch.setattr(supervisor, "_HOPELESS_PAUSE", 0.2)
    await stage.supervisor.start(snapshot(1))
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(sys, "executable", "/no/such/python")
        os.kill(stage.supervisor.pids[0], signal.SIGKILL)
        async with asyncio.timeout(20):
            await stage.supervisor.distribute(change(2))
        assert sorted(stage.generations()) == [1, 2]
    await until(lambda: stage.generations() == [2, 2], "the replacement begins with the change")


async def test_a_worker_that_stands_still_is_replaced_though_nothing_changes(stage: Stage) -> None:
    """Its share of the queries must not wait for the next change, which may come tomorrow; they are not lost."""
    await stage.supervisor.start(snapshot(1))
    hanging = stage.supervisor.pids[1]
    os.kill(hanging, signal.SIGSTOP)
    # A resolver would ask again if the one query of each of these were lost.
    assert await stage.ask(20) == [1] * 20
    await stage.replaced(1)
    assert [death.pid for death in stage.deaths] == [hanging]
    assert re.fullmatch(r"was silent for .* s and was killed", stage.deaths[0].how)
    assert hanging not in stage.supervisor.pids


def with_a_signal_to_spin(tmp_path: Path) -> str:
    """Return a program to start workers with, which go round in circles for ever when they get SIGUSR1."""
    script = tmp_path / "spinning.py"
    script.write_text(
        "import signal, sys\n"
        "def spin(*_):\n    while True: pass\n"
        "signal.signal(signal.SIGUSR1, spin)\n"
        "from dnslb.server import worker\n"
        "worker.main()\n"
    )
    return replaced_program(tmp_path, f'shift 3\nexec {sys.executable} {script} "$@"')


async def test_a_worker_that_goes_round_in_circles_is_replaced(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets all the CPU that it wants and says nothing; what came to its socket is answered by the next one."""
    monkeypatch.setattr(sys, "executable", with_a_signal_to_spin(tmp_path))
    await stage.supervisor.start(snapshot(1))
    spinning = stage.supervisor.pids[1]
    os.kill(spinning, signal.SIGUSR1)
    assert await stage.ask(20) == [1] * 20
    await stage.replaced(1)
    assert [death.pid for death in stage.deaths] == [spinning]


async def test_a_worker_that_gets_no_cpu_is_not_replaced(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new one would get none either. However long it is silent, it is heard when the machine has time for it.

    It is stopped here, and looks as if it were kept waiting: no load keeps a process from running reliably.
    """
    monkeypatch.setattr(supervisor, "_SILENT_TICKS_AT_MOST", 1000)
    monkeypatch.setattr(pulse, "look", lambda _pid: Pulse(waits=True, cpu=1.0))
    await stage.supervisor.start(snapshot(1))
    worker = stage.supervisor._workers[0]  # noqa: SLF001 - for how long it was silent is seen of nothing else
    pid = stage.supervisor.pids[0]
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: worker.silent > 2 * supervisor._SILENT_TICKS, "it is silent for too long")  # noqa: SLF001 - as above
    os.kill(pid, signal.SIGCONT)
    await until(lambda: not worker.silent, "it is heard")
    assert stage.deaths == []


async def test_for_ever_a_worker_cannot_wait_for_a_cpu(stage: Stage) -> None:
    """Its queries wait with it."""
    await stage.supervisor.start(snapshot(1))
    worker = supervisor._Worker(stage.rows[0], stage.supervisor.counters()[0][1], acknowledged=1)  # noqa: SLF001 - the test is the clock
    starving = Pulse(waits=True, cpu=0.0)
    worker.silent, worker.looks = supervisor._SILENT_TICKS_AT_MOST - 1, [starving] * 10  # noqa: SLF001 - the same
    assert not worker.hangs()
    worker.silent += 1
    assert worker.hangs()


async def test_a_worker_that_lives_is_heard(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long nothing changes, it says so between one tick and the next."""
    monkeypatch.setattr(channel, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "_TICK_SECONDS", 3600)
    await stage.supervisor.start(snapshot(1))
    workers = stage.supervisor._workers  # noqa: SLF001 - the test is the clock
    for _ in range(20):
        for worker in workers:
            supervisor._tick(worker)  # noqa: SLF001 - the same
        await until(lambda: not any(worker.silent for worker in workers), "both are heard")
    assert stage.deaths == []


async def test_a_worker_has_time_for_its_first_snapshot(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing before: on a busy machine a large one takes long. For ever it has not."""
    monkeypatch.setattr(sys, "executable", replaced_program(tmp_path, "exec sleep 1000"))
    monkeypatch.setattr(supervisor, "_TICK_SECONDS", 3600)
    starting = asyncio.create_task(stage.supervisor.start(snapshot(1)))
    await until(lambda: len(stage.starts) == 2, "both are started")
    late = stage.supervisor._workers[0]  # noqa: SLF001 - the test is the clock
    for _ in range(supervisor._SILENT_TICKS_AT_FIRST):  # noqa: SLF001 - the same
        supervisor._tick(late)  # noqa: SLF001 - the same
    assert not late.killed
    supervisor._tick(late)  # noqa: SLF001 - the same
    await until(lambda: len(stage.deaths) == 1, "it is killed")
    assert stage.deaths[0].how == "was silent for 2.1636e+06 s and was killed"
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)


def ten_hours_later(clock: Callable[[], float]) -> Callable[[], float]:
    """Return a clock that is ahead of another."""
    return lambda: clock() + 36_000


async def test_nobody_is_killed_for_the_time_in_which_the_controller_stood_still(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a night's sleep of the machine all workers seem to have been silent for hours."""
    await stage.supervisor.start(snapshot(1))
    workers = stage.supervisor._workers  # noqa: SLF001 - when they were heard is seen of nothing else
    for worker in workers:
        worker.silent = 0
    loop = asyncio.get_running_loop()
    for owner, name in ((loop, "time"), (time, "monotonic"), (time, "time")):
        monkeypatch.setattr(owner, name, ten_hours_later(getattr(owner, name)))
    await until(lambda: any(worker.silent for worker in workers), "the timer goes off")
    # One after the other: they do not speak at the same time.
    for worker in workers:
        await until(lambda each=worker: not each.silent, "it is heard")  # type: ignore[misc]  # it has no arguments
    assert (stage.deaths, [worker.killed for worker in workers]) == ([], ["", ""])


async def test_a_worker_that_cannot_apply_a_message_begins_anew(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    """It does not stay at its old answers: the replacement takes the whole snapshot."""
    await stage.supervisor.start(snapshot(1))
    first = stage.supervisor._workers[0]  # noqa: SLF001 - rubbish comes from no caller
    assert first.writer is not None
    first.writer.write((3).to_bytes(8, "big") + b"???")
    await stage.replaced(1)
    assert stage.deaths[0].how == "ended with exit status 1"
    await stage.supervisor.distribute(change(2))
    assert stage.generations() == [2, 2]
    assert "UnpicklingError" in capfd.readouterr().err


async def test_stop_ends_all_and_what_is_queued_is_answered(stage: Stage) -> None:
    """Every query that arrived before has its answer, and no process is left, not even a zombie."""
    await stage.supervisor.start(snapshot(1))
    pids = stage.supervisor.pids
    clients = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(16)]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        for client in clients:
            client.settimeout(20)
            client.connect(stage.address)
            client.send(query())
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)
        await stage.supervisor.stop()
        assert {generation_of(client.recv(2000)) for client in clients} == {1}
    finally:
        for client in clients:
            client.close()
    assert not any(is_there(pid) for pid in pids)


async def test_stop_ends_a_worker_that_hangs(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not hear SIGTERM is killed after a while."""
    monkeypatch.setattr(supervisor, "_STOP_SECONDS", 0.2)
    await stage.supervisor.start(snapshot(1))
    pids = stage.supervisor.pids
    os.kill(pids[0], signal.SIGSTOP)
    await stage.supervisor.stop()
    assert not any(is_there(pid) for pid in pids)


async def test_stop_in_the_middle_of_a_start_leaves_nothing(stage: Stage) -> None:
    """SIGTERM may come at any moment of it."""
    starting = asyncio.create_task(stage.supervisor.start(snapshot(1)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    starting.cancel()
    await stage.supervisor.stop()
    await asyncio.gather(starting, return_exceptions=True)
    assert children() == set()


def descriptors(pid: int) -> dict[int, str]:
    """Return what a process has open, by number."""
    return {int(path.name): str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}


def children() -> set[str]:
    """Return the ids of this process's children."""
    while True:
        try:
            return {
                pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()
            }
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread has ended meanwhile, and its children are another's


async def test_replacements_leave_no_descriptor_and_no_process(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After twenty deaths there are as many descriptors and children as before the first."""
    monkeypatch.setattr(supervisor, "_CALM_SECONDS", 0.0)  # or it would wait longer and longer between them
    await stage.supervisor.start(snapshot(1))
    await until(lambda: len(stage.starts) == 2, "both starts are told")
    gc.collect()  # what other tests left

    def held() -> tuple[int, int]:
        return len(descriptors(os.getpid())), len(children())

    before = held()
    for deaths in range(2, 21, 2):
        for pid in stage.supervisor.pids:
            os.kill(pid, signal.SIGKILL)
        await stage.replaced(deaths)
        await stage.supervisor.distribute(change(deaths))
    await until(lambda: held() == before, f"{before}, and not {held()}")


async def test_a_worker_has_its_own_descriptors_only(stage: Stage) -> None:
    """None of the controller's other files: a database or a lock must not outlive the controller in a worker."""
    with tempfile.TemporaryFile() as ours, socket.socket() as other:
        for descriptor in (ours.fileno(), other.fileno()):
            os.set_inheritable(descriptor, True)  # noqa: FBT003 - the library's signature
        await stage.supervisor.start(snapshot(1))
        held = descriptors(os.getpid())
        for pid, row in zip(stage.supervisor.pids, stage.rows, strict=True):
            there = set(descriptors(pid).values())
            mine = {held[sock.fileno()] for sock in (*row.udp, *row.tcp)}
            standard = {held[number] for number in (0, 1, 2)}
            assert mine <= there
            assert not (there - mine - standard) & {held[ours.fileno()], held[other.fileno()]}
            assert len([target for target in there if target.startswith("socket:")]) == len(mine) + 3  # and the loop's


async def test_workers_go_on_without_the_controller_until_they_are_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the channel closes they answer from what they have; SIGTERM ends them with status 0."""
    monkeypatch.setattr(supervisor, "_TICK_SECONDS", 3600)  # a controller that is dead kills nobody
    await stage.supervisor.start(snapshot(1))
    for worker in stage.supervisor._workers:  # noqa: SLF001 - closes the channel as a death of this process would
        assert worker.writer is not None
        worker.writer.transport.abort()
    assert await stage.ask(10) == [1] * 10
    assert await stage.ask_tcp() == 1
    assert stage.deaths == []
    for pid in stage.supervisor.pids:
        os.kill(pid, signal.SIGTERM)
    await until(lambda: len(stage.deaths) == 2, "both end")
    assert {death.how for death in stage.deaths} == {"ended with exit status 0"}


async def test_a_worker_without_descriptors_goes_on_over_udp(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    """When it can accept no connection any more, UDP is answered, and TCP again when there is room."""
    await stage.supervisor.start(snapshot(1))
    limits: dict[int, tuple[int, int]] = {}
    for pid in stage.supervisor.pids:
        used = descriptors(pid)
        free = next(number for number in range(len(used) + 1) if number not in used)
        limits[pid] = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, limits[pid][1]))
    waiting = [asyncio.create_task(stage.ask_tcp()) for _ in range(4)]
    assert await stage.ask(10) == [1] * 10
    told = ""

    def is_told() -> bool:
        nonlocal told
        told += capfd.readouterr().err
        return "out of system resource" in told

    await until(is_told, "the worker says that it has no descriptor")
    assert not any(task.done() for task in waiting)
    for pid, limit in limits.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
    assert await asyncio.gather(*waiting) == [1] * 4
    assert stage.deaths == []


async def test_hangup_and_interrupt_are_the_controllers_matter(stage: Stage) -> None:
    """Ctrl-C and a lost terminal reach the whole process group; the workers wait for what the controller says."""
    await stage.supervisor.start(snapshot(1))
    for pid in stage.supervisor.pids:
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGHUP)
    assert await stage.ask(6) == [1] * 6
    await stage.supervisor.distribute(change(2))
    assert stage.generations() == [2, 2]
    assert stage.deaths == []
