"""Who are the workers that a killed controller left: nobody else may ever be taken for one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnslb.server import orphans


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def known(directory: Path) -> dict[str, str]:
    """Return what is written down."""
    found: list[dict[str, str]] = json.loads((directory / "workers.json").read_text())
    return {pid: began for place in found for pid, began in place.items()}


def stop(pid: int) -> None:
    """Have a child stand still; before it does, a signal to end might reach it first."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)


def test_running_workers_are_found_again(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """What was written down and still runs is found; what was written before is replaced."""
    orphans.write(tmp_path, [[os.getpid()]])
    orphans.write(tmp_path, [[sleeper.pid]])
    assert orphans.find(tmp_path) == [[sleeper.pid]]
    assert [path.name for path in tmp_path.iterdir()] == ["workers.json"]


def test_a_process_id_that_is_used_again_is_not_believed(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """The same id with another start time is somebody else."""
    orphans.write(tmp_path, [[sleeper.pid]])
    written = known(tmp_path)
    assert orphans.find(tmp_path) == [[sleeper.pid]]
    (tmp_path / "workers.json").write_text(json.dumps([{pid: str(int(at) + 1) for pid, at in written.items()}]))
    assert orphans.find(tmp_path) == []


def test_one_that_has_ended_is_not_found(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """Neither as a zombie, whose parent has not looked yet, nor when it is gone."""
    orphans.write(tmp_path, [[sleeper.pid]])
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert orphans.find(tmp_path) == []
    sleeper.wait()
    assert orphans.find(tmp_path) == []


def test_who_has_ended_is_not_written_down(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """Its start time is not known any more."""
    sleeper.kill()
    sleeper.wait()
    orphans.write(tmp_path, [[sleeper.pid], [os.getpid()]])
    assert list(known(tmp_path)) == [str(os.getpid())]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b'{"1": "1"}',
        b"7",
        b'[{"x": "1"}]',
        b"\xff\xfe",
        b'[{"-1": null}]',
        b'[{"0": null}]',
        b'[{"4194999": null}]',
        b'[{"1": {}}]',
        b'[{"1": 0}]',
        b"null",
        b'[{"0": "1"}]',
        b'[{"-1": "1"}]',
        b'[{"99999999999999999999": "1"}]',
        b'[{"' + b"9" * 5000 + b'": "1"}]',
        b"[" * 100_000,
    ],
)
def test_a_file_that_is_not_ours_names_nobody(tmp_path: Path, content: bytes) -> None:
    """Above all not -1 or 0, by which a signal would reach every process or our own group."""
    (tmp_path / "workers.json").write_bytes(content)
    assert orphans.find(tmp_path) == []


def test_a_link_in_place_of_the_new_file_is_not_followed(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """The file that it points to keeps what it has, and the workers are written down all the same."""
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "workers.json.new").symlink_to(other)
    orphans.write(tmp_path, [[sleeper.pid]])
    assert other.read_text() == "precious"
    assert orphans.find(tmp_path) == [[sleeper.pid]]
    assert not (tmp_path / "workers.json").is_symlink()


def test_what_a_killed_controller_was_writing_is_replaced(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """Half a new file is in nobody's way."""
    (tmp_path / "workers.json.new").write_text("{")
    orphans.write(tmp_path, [[sleeper.pid]])
    assert orphans.find(tmp_path) == [[sleeper.pid]]


def test_no_file_names_nobody(tmp_path: Path) -> None:
    """A first start has none."""
    assert orphans.find(tmp_path) == []
    assert orphans.find(tmp_path / "missing") == []


def test_they_are_asked_to_finish(sleeper: subprocess.Popen[bytes]) -> None:
    """By SIGTERM, each of them, though one has gone meanwhile."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    orphans.end([gone.pid, sleeper.pid])
    assert sleeper.wait(20) == -signal.SIGTERM


def test_one_that_may_not_be_ended_does_not_keep_the_others(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A controller that has given up root's rights may find a worker that still has them."""
    kill = os.kill

    def refusing(pid: int, number: int) -> None:
        if pid == 1:
            raise PermissionError
        kill(pid, number)

    monkeypatch.setattr(os, "kill", refusing)
    orphans.end([1, sleeper.pid])
    assert sleeper.wait(20) == -signal.SIGTERM


async def test_one_is_waited_for_until_it_has_gone(sleeper: subprocess.Popen[bytes]) -> None:
    """It gets SIGTERM, and time to finish; of one that has gone already nothing is waited for."""
    await orphans.end_and_wait(sleeper.pid)
    assert sleeper.wait(0) == -signal.SIGTERM
    await orphans.end_and_wait(sleeper.pid)


async def test_one_that_hangs_is_killed(sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """When its time is over: it could keep the port for ever."""
    monkeypatch.setattr(orphans, "_PATIENCE_SECONDS", 0.2)
    stop(sleeper.pid)
    await orphans.end_and_wait(sleeper.pid)
    assert sleeper.wait(20) == -signal.SIGKILL
