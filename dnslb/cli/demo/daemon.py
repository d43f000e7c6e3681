"""The daemon of the demo: `dnslb run` as a child process, asked over its control socket, and gone at the end."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnslb.cli.demo.scene import CONTROL_SOCKET
from dnslb.control.client import DaemonUnreachable, call
from dnslb.control.protocol import Refused

_SECONDS_TO_START = 30.0
_SECONDS_TO_STOP = 5.0
_BETWEEN_LOOKS = 0.1
_SECONDS_TO_REPLY = 2.0
_LOG_LINES = 30


class DaemonError(Exception):
    """The daemon did not start or went away; the text says so and ends with its log."""


class Daemon:
    """One `dnslb run`, its log in a file beside its settings."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._log = config.parent / "dnslb.log"
        self._process: asyncio.subprocess.Process | None = None
        self.dns = ("", 0)
        """Where it answers, once started."""
        self.http = ""
        """Where its status page is, once started."""

    async def start(self) -> None:
        """Start it and wait until it answers DNS. DaemonError if it does not."""
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C at the terminal is for the demo, which then stops the daemon properly.
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "dnslb", "run", "-c", str(self._config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(_SECONDS_TO_START):
                self.dns = await self._answering()
        except TimeoutError:
            raise self._failure(f"the daemon does not answer after {_SECONDS_TO_START:.0f} s") from None

    async def _answering(self) -> tuple[str, int]:
        while self._process and self._process.returncode is None:
            with contextlib.suppress(DaemonUnreachable, Refused):
                status = await self.status()
                if (listening := _listening(status)) and status["http"]:
                    self.http = status["http"]
                    return listening
            await asyncio.sleep(_BETWEEN_LOOKS)
        raise self._failure("the daemon did not start")

    async def status(self) -> Mapping[str, Any]:
        """Return what `dnslb status --json` shows; DaemonUnreachable or Refused if it cannot be had."""
        socket = self._config.parent / CONTROL_SOCKET
        result: Mapping[str, Any] = await asyncio.to_thread(call, socket, "status", timeout=_SECONDS_TO_REPLY)
        return result

    async def ended(self) -> None:
        """Wait for the daemon's end, which nobody asked for: raise DaemonError."""
        if self._process:
            await self._process.wait()
        raise self._failure("the daemon went away")

    async def stop(self) -> None:
        """Ask it to stop; after a while, or if it left workers behind, insist."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS_TO_STOP):
                await self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    def _failure(self, what: str) -> DaemonError:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        log = "\n".join(f"  {line}" for line in lines[-_LOG_LINES:]) or "  (nothing)"
        return DaemonError(f"{what}. Its log:\n{log}")


def _listening(status: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the first address that is answered on, None before there is one."""
    for endpoint in status.get("listen", ()):
        host, _, port = str(endpoint).rpartition(":")
        if port.isdigit() and port != "0":
            return host, int(port)
    return None
