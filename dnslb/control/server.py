"""The control socket: who may connect, one line in, one line out (PROTOCOL.md)."""

import asyncio
import contextlib
import os
import pwd
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import structlog

from dnslb.control import handover, protocol
from dnslb.control.commands import Operator, execute
from dnslb.control.handover import Successor
from dnslb.control.protocol import MAX_LINE, MAX_PATH, Code, Refused, Request

IDLE = 60.0
"""Seconds in which a client must complete a request line, and take a response."""
MAX_CONNECTIONS = 64
GRACE = 2.0
"""Seconds that a request in flight has to finish when the server closes."""
_OWNER_ONLY = 0o177

_log = structlog.get_logger()

Succeed = Callable[[Successor], None]
"""Takes the connection of who wants to take our place; raises Refused if it may not."""


class ControlError(Exception):
    """The control socket cannot be made; the text says why, and what to do."""


def _nobody_succeeds(_successor: Successor) -> None:
    raise Refused(Code.REFUSED, "this daemon is not replaced while it runs: stop it, and start another one")


class ControlServer:
    """Listens on a Unix socket and hands each request to the operator. Made by start(), ended by close() or pause()."""

    def __init__(self, path: Path, listener: socket.socket, operator: Operator, succeed: Succeed, idle: float) -> None:
        self.path = path
        self.listener = listener
        self._operator = operator
        self._succeed = succeed
        self._idle = idle
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._server: asyncio.Server | None = None
        self._inode = _inode(self.path)

    @classmethod
    async def start(
        cls,
        path: Path,
        operator: Operator,
        *,
        listener: socket.socket | None = None,
        succeed: Succeed = _nobody_succeeds,
        idle: float = IDLE,
    ) -> "ControlServer":
        """Make the socket and listen, or go on with the `listener` of the daemon before. Raise ControlError.

        `succeed` takes over the connection of who wants to take our place, or raises Refused.
        """
        self = cls(path, listener or bind(path), operator, succeed, idle)
        # Of its own, to be closed when no more requests are wanted: who connects to ours waits for the next daemon.
        self._server = await asyncio.start_server(self._connected, sock=self.listener.dup(), limit=MAX_LINE)
        return self

    @property
    def is_there(self) -> bool:
        """Whether clients can still find the socket."""
        return self._inode is not None and _inode(self.path) == self._inode

    @property
    def connections(self) -> int:
        """Return how many clients are connected."""
        return len(self._connections)

    async def close(self) -> None:
        """Remove the socket, finish the requests in flight (at most 2 seconds) and close all connections."""
        self.listener.close()
        # Another daemon may have put its own socket there; that one stays.
        if self.is_there:
            self.path.unlink(missing_ok=True)
        await self.pause()

    async def pause(self) -> None:
        """Take no more requests, and finish those in flight as close() does; who connects from now on waits."""
        if self._server is not None:
            self._server.close()
        for task, connection in self._connections.items():
            if connection.close_soon():
                task.cancel()
        if self._connections:
            _done, late = await asyncio.wait(self._connections, timeout=GRACE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own making: asyncio's for a coroutine callback reports its cancellation as an error.
        connection = _Connection(reader, writer, self._operator, self._succeed, self._idle)
        full = len(self._connections) >= MAX_CONNECTIONS
        task = asyncio.get_running_loop().create_task(connection.turn_away() if full else connection.serve())
        self._connections[task] = connection
        task.add_done_callback(self._connections.pop)


class _Connection:
    """One client: its requests one after the other until it ends, stalls or breaks the rules."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        operator: Operator,
        succeed: Succeed,
        idle: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        # drain() then waits until the kernel has it all, not only until little is left.
        writer.transport.set_write_buffer_limits(high=0)
        self._operator = operator
        self._succeed = succeed
        self._idle = idle
        self._busy = False
        self._closing = False

    def close_soon(self) -> bool:
        """Take no further request. Return whether none is in flight."""
        self._closing = True
        return not self._busy

    async def serve(self) -> None:
        try:
            while not self._closing and await self._one_request():
                pass
        except (ConnectionError, TimeoutError):
            pass  # The client went away or stalls: nobody is left to be told.
        finally:
            self._end()

    async def turn_away(self) -> None:
        try:
            await self._send(protocol.encode_error(None, Refused(Code.REFUSED, "the daemon has too many connections")))
        except (ConnectionError, TimeoutError):
            pass
        finally:
            self._end()

    async def _one_request(self) -> bool:
        """Answer one line; return whether the connection goes on."""
        try:
            async with asyncio.timeout(self._idle):
                line = (await self._reader.readuntil(b"\n"))[:-1]
        except asyncio.IncompleteReadError:
            return False
        except asyncio.LimitOverrunError:
            await self._send(protocol.encode_error(None, _too_large()))
            return False
        if line.strip():
            return await self._answer(line)
        return True

    async def _answer(self, line: bytes) -> bool:
        """Answer a request; return whether the connection is ours still."""
        self._busy = True
        try:
            response = await self._response(line)
            if response:
                await self._send(response)
        finally:
            self._busy = False
        return bool(response)

    async def _response(self, line: bytes) -> bytes:
        """Return the response line for a request line, whatever happens; "" if somebody else will answer it."""
        request_id, who = protocol.request_id(line), _user(self._writer)
        try:
            request = protocol.decode_request(line)
            if request.verb == handover.VERB:
                self._hand_over(request)
                return b""
            return protocol.encode_result(
                request_id, await execute(self._operator, request, _signed(who, request.person))
            )
        except Refused as refused:
            return protocol.encode_error(request_id, refused)
        except Exception:  # noqa: BLE001 -- the operator gets an answer, the log the traceback, and the daemon goes on
            _log.exception("control request failed", who=who, line=line[:200].decode("utf-8", "replace"))
            return protocol.encode_error(request_id, _internal())

    def _hand_over(self, request: Request) -> None:
        connection: socket.socket = self._writer.get_extra_info("socket").dup()
        try:
            self._succeed(Successor(connection, request))
        except Refused:
            connection.close()
            raise

    async def _send(self, line: bytes) -> None:
        self._writer.write(line)
        async with asyncio.timeout(self._idle):
            await self._writer.drain()

    def _end(self) -> None:
        # _send has waited until nothing was left to write, or gave up: close() would wait for such a client for ever.
        self._writer.transport.abort()


def bind(path: Path) -> socket.socket:
    """Return a listening socket at the path, for the owner alone from its first moment. Raise ControlError."""
    _check_length(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_stale(path)
        return _listen(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise ControlError(
            f"cannot make the control socket {path}: {why}; make its directory writable for the user that runs dnslb,"
            " or name another path in [server] control"
        ) from error


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A chmod after the bind would leave a moment in which others could connect.
    before = os.umask(_OWNER_ONLY)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.listen(MAX_CONNECTIONS)
    return listener


def _check_length(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise ControlError(
            f"the control socket's path has {length} octets, and the kernel takes at most {MAX_PATH}: {path};"
            " name a shorter one in [server] control"
        )


def _remove_stale(path: Path) -> None:
    """Remove a socket file on which nobody listens. Raise ControlError if it is in use, or something else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlError(f"{path} is there and is no socket: remove it, or name another path in [server] control")
    if _answers(path):
        raise ControlError(
            f"another dnslb listens on the control socket {path}: stop it, or name another path in [server] control"
        )
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A full backlog of a live daemon must not make us wait (it says EAGAIN then).
        probe.settimeout(0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True
    return True


def _inode(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = path.lstat()
        return found.st_dev, found.st_ino
    return None


def _signed(user: str, person: str) -> str:
    """Return who is behind a request: the user, and the person for whom a process of that user says it asks."""
    return f"{user} ({person})" if person not in {"", user} else user


def _too_large() -> Refused:
    return Refused(Code.TOO_LARGE, f"the line is longer than {MAX_LINE} octets")


def _internal() -> Refused:
    return Refused(Code.INTERNAL, "a fault of dnslb kept it from doing this; its log has the details")


def _user(writer: asyncio.StreamWriter) -> str:
    """Return the name of the user whose process is at the other end, as the kernel knows it."""
    _pid, uid, _gid = handover.credentials(writer.get_extra_info("socket"))
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
