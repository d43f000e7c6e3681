"""Asking the daemon over its control socket (PROTOCOL.md): blocking, and quick to import."""

import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnslb.control.protocol import MAX_PATH, MAX_PERSON, Code, Refused, Request, encode_request

TIMEOUT = 10.0
_PIECE = 65_536
_CHANGING = {"admin", "window", "weight", "reload"}
"""The verbs that change something."""
_SIGNED = _CHANGING | {"probe"}
"""The verbs of which an event tells who it was."""


class DaemonUnreachable(Exception):  # noqa: N818 -- the name says it
    """No daemon answers at the socket; the text says why, and what to do."""


def call(path: Path, verb: str, args: Mapping[str, Any] | None = None, timeout: float = TIMEOUT) -> Any:  # noqa: ANN401 -- JSON
    """Ask the daemon at the socket for one thing and return the result (JSON).

    `timeout` is in seconds and bounds the whole exchange. Raise Refused with what the daemon says against it, and
    DaemonUnreachable if it does not answer.
    """
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            _limit(connection, deadline)
            connect(connection, path)
            connection.sendall(encode_request(Request(verb, args or {}, person=_person(verb))))
            line = _line(connection, deadline)
        except TimeoutError:
            later = "what you asked for may still happen, see `dnslb events`; " if verb in _CHANGING else ""
            raise DaemonUnreachable(
                f"the daemon at {path} did not answer within {timeout:g} s; {later}its log may say why"
            ) from None
        except OSError as error:
            raise DaemonUnreachable(f"the daemon at {path} went away: {error.strerror or error}") from error
    return result(path, line)


def _person(verb: str) -> str:
    """Return who it is that has become another user by sudo, "" for nobody: "root" alone would say little."""
    name = os.environ.get("SUDO_USER", "") if verb in _SIGNED else ""
    return name if len(name) <= MAX_PERSON and name.isprintable() else ""


def connect(connection: socket.socket, path: Path) -> None:
    """Connect to the daemon at the socket. Raise DaemonUnreachable if there is none."""
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise DaemonUnreachable(f"{path} has {length} octets, and the path of a socket at most {MAX_PATH}")
    try:
        connection.connect(str(path))
    except (FileNotFoundError, NotADirectoryError):
        raise DaemonUnreachable(
            f"no dnslb runs here: there is no socket {path}; start it with `dnslb run` or `systemctl start dnslb`, or"
            " name another configuration with -c or another socket with --control"
        ) from None
    except ConnectionRefusedError:
        raise DaemonUnreachable(
            f"no dnslb runs here: nobody listens on {path}; start it with `dnslb run` or `systemctl start dnslb`"
        ) from None
    except PermissionError:
        raise DaemonUnreachable(
            f"you may not use {path}: only root and the user that runs dnslb may (try sudo)"
        ) from None


def _limit(connection: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def _line(connection: socket.socket, deadline: float) -> bytes:
    """Return what comes up to the first newline, or up to the end of file."""
    pieces: list[bytes] = []
    while not pieces or not pieces[-1].endswith(b"\n"):
        _limit(connection, deadline)
        piece = connection.recv(_PIECE)
        if not piece:
            break
        pieces.append(piece)
    return b"".join(pieces)


def result(path: Path, line: bytes) -> Any:  # noqa: ANN401 -- JSON
    """Return the result that a response line carries. Raise Refused, or DaemonUnreachable if it is no response."""
    if not line.endswith(b"\n"):
        raise DaemonUnreachable(f"the daemon at {path} closed the connection without an answer; its log may say why")
    try:
        response = json.loads(line)
        if response["ok"]:
            return response["result"]
        error = response["error"]
        refused = Refused(_code(error["code"]), error["message"], error["details"])
    except (ValueError, KeyError, TypeError):
        raise DaemonUnreachable(f"what listens on {path} does not speak dnslb's control protocol") from None
    raise refused


def _code(word: str) -> Code:
    # A later daemon may know more words.
    return Code(word) if word in set(Code) else Code.REFUSED
