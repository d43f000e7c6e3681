"""From one controller to the next without a lost query: what is left to it, who may have it, and who ends whom.

The order of things, and what happens if either side dies at any of them, is in control/PROTOCOL.md (Replace).
"""

import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from typing import Self

import structlog

from dnslb import __version__
from dnslb.config import ServerSettings
from dnslb.control.client import DaemonUnreachable
from dnslb.control.handover import VERSION, Given, Predecessor, Successor
from dnslb.control.protocol import Code, Refused
from dnslb.daemon.systemd import Systemd
from dnslb.server import orphans
from dnslb.server.sockets import Group

_log = structlog.get_logger()


class ReplaceError(Exception):
    """The running daemon does not hand over, and runs on; the text says why."""


@dataclass(frozen=True, slots=True)
class Estate:
    """What a controller leaves to the next, beside the state directory: what is open, and what only it knew.

    `end` has its workers go, which answer until then; None if there are none. They are children of this process if it
    `is_own`. `last_good` is by pool.
    """

    groups: tuple[Group, ...] = ()
    control: socket.socket | None = None
    http: socket.socket | None = None
    generation: int = 0
    last_good: Mapping[str, frozenset[str]] = field(default_factory=dict)
    systemd: Systemd = field(default_factory=Systemd)
    end: Callable[[], Awaitable[None]] | None = None
    is_own: bool = False

    def given(self) -> Given:
        """Return it as it is handed to another process."""
        groups = [
            {"host": str(each.host), "port": each.port, "udp": len(each.udp), "tcp": len(each.tcp), "lent": each.lent}
            for each in self.groups
        ]
        doors = [door for door in (self.control, self.http) if door is not None]
        facts = {
            "groups": groups,
            "http": self.http is not None,
            "generation": self.generation,
            "last_good": {pool: sorted(members) for pool, members in self.last_good.items()},
            "notify": self.systemd.address,
            "watchdog": self.systemd.watchdog,
        }
        return Given(facts, (*(sock for each in self.groups for sock in (*each.udp, *each.tcp)), *doors))

    @classmethod
    def of(cls, given: Given, end: Callable[[], Awaitable[None]]) -> Self:
        """Read what another process has handed over."""
        facts, socks = given.facts, iter(given.sockets)
        groups = tuple(
            Group(
                ip_address(each["host"]),
                each["port"],
                tuple(islice(socks, each["udp"])),
                tuple(islice(socks, each["tcp"])),
                lent=each["lent"],
            )
            for each in facts["groups"]
        )
        return cls(
            groups=groups,
            control=next(socks),
            http=next(socks) if facts["http"] else None,
            generation=facts["generation"],
            last_good={pool: frozenset(members) for pool, members in facts["last_good"].items()},
            systemd=Systemd(facts["notify"], facts["watchdog"]),
            end=end,
        )


def taken(server: ServerSettings) -> Estate | None:
    """Have the running daemon hand over (blocking); None if there is none. Raise ReplaceError if it does not."""
    try:
        predecessor = Predecessor.at(server.control)
    except DaemonUnreachable as error:
        _log.info("nobody_to_replace", reason=str(error))
        return None
    try:
        given = predecessor.take({"state": str(server.state.resolve())})
    except DaemonUnreachable as error:
        # It was killed meanwhile, and its workers are found as those of any killed controller are.
        _log.warning("nobody_to_replace", reason=str(error))
        return None
    except Refused as refused:
        if refused.code is Code.UNKNOWN_VERB:
            raise ReplaceError("the running dnslb is too old to be replaced: stop it, and start this one") from None
        raise ReplaceError(f"the running dnslb is not replaced: {refused.message}") from None
    return Estate.of(given, predecessor.dismiss)


def why_not(successor: Successor, state: Path, systemd: Systemd) -> str:
    """Return why a process may not have our place, "" if it may."""
    if successor.uid not in {0, os.geteuid()}:
        return "only root and the user that runs it may"
    if successor.args.get("version") != VERSION:
        return f"dnslb {__version__} does not hand over in the way that this one asks for: stop it, and start this one"
    if successor.args.get("state") != str(state.resolve()):
        return f"its state is in {state}, and that is handed over too: name the same [server] state"
    if os.getpid() == 1:
        return "it is the first process of its container, which would end with it: restart the container"
    if systemd.address and not _in_our_unit(successor.pid):
        return "a service manager has started it, and would know nothing of another process: use `systemctl restart`"
    return ""


def _in_our_unit(pid: int) -> bool:
    """Say whether the service manager counts a process to the same unit: it would believe nobody else."""
    try:
        return Path(f"/proc/{pid}/cgroup").read_text("ascii") == Path("/proc/self/cgroup").read_text("ascii")
    except OSError:
        return False


def stop(successor: Successor, number: signal.Signals = signal.SIGTERM) -> None:
    """Have it stop, if it hangs or if we are to: whoever stops a daemon that is being replaced wants none."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(successor.pid, number)


async def end_workers(estate: Estate) -> None:
    """Have the workers go that an estate speaks of."""
    if estate.end is not None:
        await estate.end()


async def end_all(estate: Estate, state: Path) -> None:
    """Do that, and have those go too that a successor has left behind when it died."""
    await end_workers(estate)
    orphans.end(pid for place in orphans.find(state) for pid in place)
