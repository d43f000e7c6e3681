"""The life of the process: it has a controller serve, and another one if a daemon that took its place has died."""

import asyncio
import faulthandler
import signal
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import structlog

from dnslb import config, logs
from dnslb.config import ConfigError, Settings
from dnslb.control.handover import Successor
from dnslb.control.http.door import HttpError
from dnslb.control.server import ControlError
from dnslb.daemon import descriptors, succession
from dnslb.daemon.complaints import Complaints
from dnslb.daemon.controller import Controller, StartError
from dnslb.daemon.succession import Estate, ReplaceError
from dnslb.daemon.systemd import Systemd, lent_sockets
from dnslb.server.sockets import Group, ListenError
from dnslb.store import Store, StoreError

_log = structlog.get_logger()

_REOPEN_SECONDS = 0.1
_PATIENCE_WITH_START_SECONDS = 60.0
"""How long who takes our place may take to answer: nobody probes meanwhile."""
_PATIENCE_WITH_SUCCESSOR_SECONDS = 10.0
"""How long it may take to stop, if it is to."""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_CONFIG = 2


def run(path: Path, *, replace: bool = False) -> int:
    """Run until SIGTERM or SIGINT, or until another one has taken our place; return the exit status of the command.

    With `replace` take the place of the one that runs.
    """
    logs.configure(sys.stderr)
    faulthandler.enable()  # the service manager's watchdog sends SIGABRT: the log then shows what hung
    try:
        _serve(path, replace=replace)
    except ConfigError as error:
        return _failed(EXIT_CONFIG, map(str, error.problems))
    except (StoreError, ListenError, ControlError, HttpError, ReplaceError, StartError) as error:
        return _failed(EXIT_FAILED, [f"dnslb: {error}"])
    finally:
        logs.flush()  # a traceback, if there is one, comes behind what led to it
    return EXIT_DONE


def _serve(path: Path, *, replace: bool) -> None:
    systemd, lent = Systemd.taken(), tuple(lent_sockets())
    limit = descriptors.raise_limit()
    settings = config.load(path)
    estate = (succession.taken(settings.server) if replace else None) or Estate()
    estate = _with_manager(estate, lent, systemd)
    store = Store.open(settings.server.state)
    asyncio.run(_reign(settings, store, limit, estate))


def _with_manager(estate: Estate, lent: tuple[Group, ...], systemd: Systemd) -> Estate:
    """Add what the service manager has given to this process itself."""
    known = systemd if systemd.address else estate.systemd
    return replace(estate, groups=(*lent, *estate.groups), systemd=known)


async def _reign(settings: Settings, store: Store, limit: int, estate: Estate) -> None:
    """Have a controller serve until we are to stop, or another daemon answers in our place.

    If that one comes to nothing, we go on with a controller that takes over from our own workers.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(Complaints())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    while successor := await (controller := Controller(settings, store, limit, estate)).run(stop):
        settings, estate = controller.settings, controller.estate
        if await _is_replaced(successor, estate, stop):
            _log.info("replaced", by=successor.pid)
            return
        if stop.is_set() or (reopened := await _reopened(settings.server.state, stop)) is None:
            break
        store = reopened
    if estate.is_own:
        await succession.end_all(estate, settings.server.state)


async def _is_replaced(successor: Successor, estate: Estate, stop: asyncio.Event) -> bool:
    """Hand over and return True when our workers have gone; False if the other one has, or we are to stop."""
    await successor.give(estate.given())
    waits = (successor.answers(), stop.wait(), estate.systemd.show_life())
    answering, stopping, living = map(asyncio.create_task, waits)
    await asyncio.wait({answering, stopping}, timeout=_PATIENCE_WITH_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    # If we stop too, it need not be killed: nobody waits for the state any more.
    for number in (signal.SIGTERM,) if stop.is_set() else (signal.SIGTERM, signal.SIGKILL):
        if not answering.done():
            succession.stop(successor, number)
            await asyncio.wait({answering}, timeout=_PATIENCE_WITH_SUCCESSOR_SECONDS)
    answers = bool(answering.done() and answering.result())
    for task in (answering, stopping, living):
        task.cancel()
    if answers:
        estate.systemd.tell(f"MAINPID={successor.pid}")
        await succession.end_workers(estate)
    else:
        _log.error("not_replaced", reason="the other process has not come to answer, and has gone", pid=successor.pid)
    successor.close()
    return answers


async def _reopened(directory: Path, stop: asyncio.Event) -> Store | None:
    """Open the state that the other process had, as soon as it has let it go; None if we are to stop."""
    told = False
    while not stop.is_set():
        try:
            return Store.open(directory)
        except StoreError as error:
            if not told:
                _log.error("state_not_taken_back_yet", reason=str(error))
            told = True
        await asyncio.sleep(_REOPEN_SECONDS)
    return None


def _failed(status: int, sentences: Iterable[str]) -> int:
    logs.flush()
    sys.stderr.writelines(f"{sentence}\n" for sentence in sentences)
    return status
