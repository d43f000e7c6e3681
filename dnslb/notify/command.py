"""One message to a program: a process that has the message, nothing else of ours, and an end, as all that it starts."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from dnslb.notify.message import Message, plain
from dnslb.notify.target import Command
from dnslb.notify.undelivered import UndeliveredError

_MOST_OUTPUT = 65_536
"""Octets of output that are read; then the pipe breaks, as with `| head`."""
_SHOWN = 500
"""Characters of it that are told."""
_REAP_SECONDS = 1.0


async def hand_over(command: Command, message: Message, seconds: float) -> str:
    """Run the program with the message and return what it has printed, when it has ended well.

    Raise UndeliveredError if it cannot be started, takes longer than that, or ends with another status than
    0. It is worth a retry only if the program says so (EX_TEMPFAIL of sysexits.h), or has not got that far.
    """
    try:
        process, output = _started(command, message)
    except OSError as error:
        raise UndeliveredError(f"it cannot be started: {error.strerror}") from None
    try:
        in_time = await _ends(process.pid, seconds)
    finally:
        # Whatever it has started and left behind too. Until it is waited for, its number is nobody else's.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status = _reaped(process)
        printed = output.close()
    said = f": {printed}" if printed else ""
    if not in_time:
        raise UndeliveredError(f"it did not end within {seconds:g} s, and was killed{said}")
    if status:
        raise UndeliveredError(f"it ended with {_described(status)}{said}", again=status == os.EX_TEMPFAIL)
    return printed


def _started(command: Command, message: Message) -> tuple["subprocess.Popen[bytes]", "_Output"]:
    # No pipe: a program that does not read all of it keeps nobody waiting.
    told = os.memfd_create("message", os.MFD_CLOEXEC)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        os.write(told, message.body())
        os.lseek(told, 0, os.SEEK_SET)
        process = subprocess.Popen(  # noqa: S603 - the operator's own program, and no shell
            command.words,
            stdin=told,
            stdout=writing,
            stderr=writing,
            env=_environment(message),
            cwd="/",
            start_new_session=True,
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(told)
        os.close(writing)
    return process, _Output(reading)


def _environment(message: Message) -> Mapping[str, str]:
    return {
        **os.environ,
        "DNSLB_HOST": message.sender.host,
        "DNSLB_EVENTS": str(len(message.batch.events)),
        "DNSLB_KINDS": " ".join(message.kinds),
        "DNSLB_POOLS": " ".join(message.pools),
        "DNSLB_TEXT": message.text,
    }


async def _ends(pid: int, seconds: float) -> bool:
    """Wait for the end of a process; return whether it comes within so many seconds."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    handle = os.pidfd_open(pid)
    loop.add_reader(handle, ended.set)
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(handle)
        os.close(handle)
    return True


def _reaped(process: "subprocess.Popen[bytes]") -> int:
    """Return the exit status of a process that has ended or been killed, less than 0 for a signal."""
    try:
        return process.wait(_REAP_SECONDS)
    except subprocess.TimeoutExpired:
        # Stuck in the kernel, on a disk that does not answer: not worth waiting for.
        return -signal.SIGKILL


def _described(status: int) -> str:
    return f"status {status}" if status > 0 else signal.Signals(-status).name


class _Output:
    """What a program prints, up to a bound. Made in the loop, ended by close()."""

    def __init__(self, reading: int) -> None:
        os.set_blocking(reading, False)
        self._loop = asyncio.get_running_loop()
        self._reading: int | None = reading
        self._octets = b""
        self._loop.add_reader(reading, self._read)

    def close(self) -> str:
        """Return the beginning of what was printed, as one line."""
        self._read()
        self._shut()
        text = " ".join(plain(self._octets.decode(errors="replace")).split())
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

    def _read(self) -> None:
        """Read what is there."""
        while self._reading is not None:
            try:
                octets = os.read(self._reading, _MOST_OUTPUT)
            except BlockingIOError:
                return
            self._octets += octets
            if not octets or len(self._octets) >= _MOST_OUTPUT:
                self._shut()

    def _shut(self) -> None:
        if self._reading is not None:
            self._loop.remove_reader(self._reading)
            os.close(self._reading)
            self._reading = None
