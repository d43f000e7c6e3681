"""Programs that the end-to-end tests start: found, given ports of their own, waited for, ended with their children."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

PEERS = Path(os.environ.get("DNSLB_PEERS", "/"))
"""Where mail servers are unpacked; "/" finds those that are installed."""


def missing(what: str) -> NoReturn:
    """End the running test for want of a program: skipped, or failed where DNSLB_REQUIRE_PEERS=1 says so."""
    if os.environ.get("DNSLB_REQUIRE_PEERS") == "1":
        pytest.fail(f"{what} is missing, and DNSLB_REQUIRE_PEERS=1")
    pytest.skip(f"{what} is missing")


def program(name: str) -> str:
    """Return the path of an installed program; ends the test if there is none."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
    if found is None:
        missing(name)
    return found


def unpacked(path: str) -> str:
    """Return the path of a mail server's program in DNSLB_PEERS; ends the test if it or root's rights are missing."""
    found = PEERS / path
    if not found.is_file():
        missing(f"{found} (see tests/e2e/fetch_peers.sh)")
    if os.geteuid() != 0:
        missing("the right to run mail servers (root)")
    return str(found)


def until(condition: Callable[[], T], what: str, *, seconds: float = 60) -> T:
    """Ask again and again until the condition's answer is true, and return that answer."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.03)
    return answer


def is_free(address: str, port: int) -> bool:
    """Say whether nobody has the port, neither on UDP nor on TCP."""
    try:
        with socket.socket(type=socket.SOCK_STREAM) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind((address, port))
            udp.bind((address, port))
    except OSError:
        return False
    return True


_GIVEN: set[int] = set()
"""Ports that somebody here has been given, and may not listen on yet."""


def free_port(*addresses: str) -> int:
    """Return a port below the ephemeral ones that is free on each of the loopback addresses, never the same again."""
    ports = set(random.SystemRandom().sample(range(10000, 32000), 200)) - _GIVEN
    free = next(port for port in ports if all(is_free(address, port) for address in addresses or ("127.0.0.1",)))
    _GIVEN.add(free)
    return free


def free_address(port: int) -> str:
    """Return a loopback address on which the port is free."""
    octets = random.SystemRandom().sample(range(1, 255), 100)
    free = (found for octet in octets if is_free(found := f"127.53.{octet}.1", port))
    return next(free, None) or missing(f"the right to use port {port}, or a free loopback address with it")


def listens(address: str, port: int) -> bool:
    """Say whether a TCP connection to the address succeeds."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def process_group(pid: int) -> int | None:
    """Return the process group of a process; None if it has ended, whether or not its parent has noticed."""
    try:
        state, _, group = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:3]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else int(group)


class Process:
    """A program in a process group of its own, its output in a file."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        self._popen.send_signal(number)

    def wait(self, seconds: float = 60) -> int:
        """Return the exit status."""
        return self._popen.wait(seconds)

    def is_running(self) -> bool:
        """Say whether the program has not ended yet."""
        return self._popen.poll() is None

    def group(self) -> set[int]:
        """Return the processes that it has started, and that are alive, itself among them."""
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
        return {pid for pid in pids if process_group(pid) == self.pid}

    def end(self) -> None:
        """End the program, and whatever it leaves behind."""
        if self.is_running():
            self.signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.wait(5)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()


class Stage(ExitStack):
    """All that one test, or a group of them, has started; ended in reverse order, whatever happened.

    Its directory has a short path, and one that servers which give up root's rights can reach.
    """

    def __enter__(self) -> Self:
        super().__enter__()
        self.path = Path(tempfile.mkdtemp(prefix="dnslb-"))
        self.path.chmod(0o755)
        self.callback(shutil.rmtree, self.path, ignore_errors=True)
        self.callback(self._show_logs)
        return self

    def _show_logs(self) -> None:
        """Show how each program's log ends, which pytest keeps to itself unless the test has failed."""
        for log in sorted(self.path.rglob("*log")):
            if log.is_file():
                lines = log.read_text(errors="replace").splitlines()[-30:]
                sys.stdout.write("\n".join(["", f"--- {log.relative_to(self.path)}", *lines]))

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        """Start a program whose output goes to NAME.log in the stage's directory."""
        process = Process(command, self.path / f"{name}.log", env)
        self.callback(process.end)
        return process

    def directory(self, name: str) -> Path:
        """Make a directory for one program."""
        made = self.path / name
        made.mkdir()
        return made


def with_etc(files: Mapping[str, Path], command: Sequence[str]) -> list[str]:
    """Return a command that runs `command` with these files (by name) in the place of those in /etc.

    It runs in a mount namespace of its own. What libresolv and libc read there can be given in no other way.
    """
    return _mounted([word for name, path in files.items() for word in (str(path), f"/etc/{name}", "")], command)


def in_place(directory: Path, users: Sequence[str], own: Sequence[str], command: Sequence[str]) -> list[str]:
    """Return a command that runs `command` as if its package were installed, which changes nothing on this machine.

    In a mount namespace of its own /usr also holds what DNSLB_PEERS does, the `users` exist, and the system's
    directories in `own` are `directory`'s, and empty but for what is there.
    """
    mounts = [] if Path("/") == PEERS else ["overlay", "/usr", f"lowerdir={PEERS}/usr:/usr"]
    for name, file in accounts(directory, users).items():
        mounts += [str(file), f"/etc/{name}", ""]
    for path in own:
        (ours := directory / path.strip("/")).mkdir(parents=True, exist_ok=True)
        mounts += [str(ours), path, ""]
    return _mounted(mounts, command)


def accounts(directory: Path, users: Sequence[str]) -> dict[str, Path]:
    """Write a passwd and a group for /etc that hold these users beside the system's own."""
    files = {}
    for name, form in (("passwd", "{0}:x:{1}:{1}::/:/bin/false\n"), ("group", "{0}:x:{1}:\n")):
        files[name] = directory / name
        added = "".join(form.format(user, number) for number, user in enumerate(users, 61053))
        files[name].write_text(Path("/etc", name).read_text() + added)
    return files


_MOUNT = """
while [ "$1" != -- ]; do
    if [ -n "$3" ]; then mount -t "$1" -o "$3" "$1" "$2"; else mount --bind "$1" "$2"; fi && shift 3 || exit
done
shift
exec "$@"
"""


def _mounted(mounts: Sequence[str], command: Sequence[str]) -> list[str]:
    """Return a command that runs `command` where each three words (source or type, place, options) are mounted."""
    unshare = program("unshare")
    if subprocess.run([unshare, "--mount", "true"], capture_output=True, check=False).returncode != 0:
        missing("the right to make a mount namespace")
    return [unshare, "--mount", "sh", "-c", _MOUNT, "sh", *mounts, "--", *command]
