"""One daemon takes the place of another: what they say to each other over the control socket (PROTOCOL.md, Replace).

The new one asks; the old one gives it descriptors and what it has to know about them, and goes on answering until the
new one says that it answers. Whoever dies meanwhile closes the connection, which is all that the other has to see.
"""

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dnslb.control.client import DaemonUnreachable, connect, result
from dnslb.control.protocol import Code, Refused, Request, encode_request, encode_result

VERB = "replace"
VERSION = 1
"""Of what is handed over. Who knows another one refuses, and the old daemon runs on."""
_ASK_SECONDS = 60.0
"""So long may the old daemon finish what it has begun: a reload perhaps."""
_GIVE_SECONDS = 10.0
_LEAVE_SECONDS = 15.0
"""So long may the old daemon take to go when it has been told: its workers five, if they hang."""
_FINISH = b"finish\n"
_AT_ONCE = 200
"""Descriptors in one message; the kernel takes 253 (SCM_MAX_FD)."""
_PIECE = 65_536
_UCRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Given:
    """What the old daemon hands over: facts as JSON, and sockets in the order in which the facts speak of them."""

    facts: Mapping[str, Any]
    sockets: tuple[socket.socket, ...]


class Predecessor:
    """The old daemon, as the new one sees it."""

    def __init__(self, connection: socket.socket, path: Path) -> None:
        self._connection, self._path = connection, path

    @classmethod
    def at(cls, path: Path) -> Self:
        """Connect to the daemon at a control socket. Raise DaemonUnreachable if there is none."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_ASK_SECONDS)
            connect(connection, path)
        except BaseException:
            connection.close()
            raise
        return cls(connection, path)

    def take(self, args: Mapping[str, Any]) -> Given:
        """Ask for all that it has (blocking). Raise Refused with its reason, DaemonUnreachable if it has gone."""
        try:
            return self._taken(args)
        except BaseException:
            self._connection.close()
            raise

    def _taken(self, args: Mapping[str, Any]) -> Given:
        try:
            self._connection.sendall(encode_request(Request(VERB, {"version": VERSION, **args})))
            line, descriptors = self._received()
        except TimeoutError:
            late = f"it has not come to rest within {_ASK_SECONDS:g} s; its log may say why"
            raise Refused(Code.REFUSED, late) from None
        except OSError as error:
            raise DaemonUnreachable(f"the daemon at {self._path} went away: {error.strerror or error}") from error
        sockets = tuple(socket.socket(fileno=each) for each in descriptors)
        for sock in sockets:
            # To recv_fds one cannot say it: Python 3.11 ignores its flags.
            sock.set_inheritable(False)
        return Given(result(self._path, line), sockets)

    def _received(self) -> tuple[bytes, list[int]]:
        """Return what comes up to the first newline, and the descriptors that come with it."""
        line, descriptors = b"", []
        while not line.endswith(b"\n"):
            piece, more, _, _ = socket.recv_fds(self._connection, _PIECE, _AT_ONCE)
            descriptors += more
            line += piece
            if not piece:
                break
        return line, descriptors

    async def dismiss(self) -> None:
        """Say that we answer, and wait until it has gone with its workers, or has had its time."""
        loop = asyncio.get_running_loop()
        self._connection.setblocking(False)  # noqa: FBT003 - the library's signature
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await loop.sock_sendall(self._connection, _FINISH)
                while await loop.sock_recv(self._connection, _PIECE):
                    pass
        except (TimeoutError, ConnectionError):
            pass  # it was killed, or hangs; who is left of its workers is ended one by one
        finally:
            self._connection.close()


class Successor:
    """The new daemon, as the old one sees it."""

    def __init__(self, connection: socket.socket, request: Request) -> None:
        """Take the connection on which it has asked, which is ours from now on."""
        self._connection, self._request = connection, request
        self.pid, self.uid, _ = credentials(connection)

    @property
    def args(self) -> Mapping[str, Any]:
        """What it says of itself."""
        return self._request.args

    async def give(self, given: Given) -> None:
        """Hand over. If it has gone, `answers` tells."""
        try:
            await asyncio.to_thread(self._give, given)
        except OSError:
            return

    def _give(self, given: Given) -> None:
        self._connection.settimeout(_GIVE_SECONDS)
        descriptors = [sock.fileno() for sock in given.sockets]
        for first in range(0, len(descriptors), _AT_ONCE):
            # With blanks, which mean nothing before a JSON object.
            socket.send_fds(self._connection, [b" "], descriptors[first : first + _AT_ONCE])
        self._connection.sendall(encode_result(self._request.id, given.facts))

    async def answers(self) -> bool:
        """Wait until it says that it answers, or has gone; return whether it answers."""
        loop = asyncio.get_running_loop()
        self._connection.setblocking(False)  # noqa: FBT003 - the library's signature
        heard = b""
        try:
            while piece := await loop.sock_recv(self._connection, _PIECE):
                heard += piece
                if heard.endswith(b"\n"):
                    break
        except ConnectionError:
            return False
        return heard == _FINISH

    def close(self) -> None:
        """Let it see that we have gone, or are not going."""
        self._connection.close()


def credentials(connection: socket.socket) -> tuple[int, int, int]:
    """Return the process, user and group at the other end, as the kernel knows them."""
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return pid, uid, gid
