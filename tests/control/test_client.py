"""The client's side of the control socket: what it says when there is no daemon, or none that answers."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from dnslb.control.client import DaemonUnreachable, call
from dnslb.control.protocol import Refused

Answer = Callable[[bytes | None], Path]


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Answer]:
    """Give a function that listens once and answers with the octets given, or with silence (None)."""
    path = tmp_path / "c.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    threads: list[threading.Thread] = []

    def answer(octets: bytes | None) -> Path:
        def serve() -> None:
            connection, _address = listener.accept()
            with connection:
                connection.recv(65_536)
                if octets is None:
                    connection.recv(1)
                else:
                    connection.sendall(octets)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return path

    yield answer
    for thread in threads:
        thread.join()
    listener.close()


def ask(path: Path, timeout: float = 10.0) -> Any:  # noqa: ANN401 -- JSON
    """Ask for the status."""
    return call(path, "status", timeout=timeout)


def test_a_result_is_returned(peer: Answer) -> None:
    """However long it is, and whatever else the response carries in later versions."""
    long = "x" * 1_000_000
    assert ask(peer(b'{"v":1,"ok":true,"result":{"a":"' + long.encode() + b'"},"later":1}\n')) == {"a": long}


def test_a_refusal_is_raised(peer: Answer) -> None:
    """With code, message and details."""
    error = b'{"v":1,"ok":false,"error":{"code":"not_found","message":"no","details":{"known":["a"]}}}\n'
    with pytest.raises(Refused) as caught:
        ask(peer(error))
    assert (caught.value.code, caught.value.message, caught.value.details) == ("not_found", "no", {"known": ["a"]})


def test_a_code_of_a_later_version_is_a_refusal(peer: Answer) -> None:
    """An old client and a new daemon still understand each other."""
    with pytest.raises(Refused, match="try later") as caught:
        ask(peer(b'{"v":1,"ok":false,"error":{"code":"not_leader","message":"try later","details":{}}}\n'))
    assert caught.value.code == "refused"


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 400 Bad Request\r\n", b"[]\n", b"{}\n", b'{"ok":false,"error":"x"}\n', b"\xff\n"]
)
def test_another_program_is_recognised(peer: Answer, line: bytes) -> None:
    """Whoever answers otherwise is no dnslb."""
    with pytest.raises(DaemonUnreachable, match="does not speak dnslb's control protocol"):
        ask(peer(line))


@pytest.mark.parametrize("octets", [b"", b'{"ok": true'])
def test_a_daemon_that_dies_is_said_so(peer: Answer, octets: bytes) -> None:
    """Half an answer is none."""
    with pytest.raises(DaemonUnreachable, match="closed the connection without an answer"):
        ask(peer(octets))


def test_a_silent_daemon_is_given_up(peer: Answer) -> None:
    """The message names the time that was waited."""
    with pytest.raises(DaemonUnreachable, match=r"did not answer within 0\.05 s; its log may say why"):
        ask(peer(None), timeout=0.05)


def test_a_change_that_is_given_up_may_still_come(peer: Answer) -> None:
    """A daemon that is only stopped makes it when it goes on."""
    with pytest.raises(DaemonUnreachable, match="may still happen, see `dnslb events`; its log"):
        call(peer(None), "admin", timeout=0.05)


def test_a_socket_that_nobody_listens_on_is_said_so(tmp_path: Path) -> None:
    """A killed daemon leaves its file."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "c.sock"))
    with pytest.raises(DaemonUnreachable, match=r"nobody listens on .*start it with `dnslb run`"):
        ask(tmp_path / "c.sock")


@pytest.mark.parametrize("below", ["c.sock", "file/c.sock"])
def test_a_missing_socket_is_said_so(tmp_path: Path, below: str) -> None:
    """With what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(
        DaemonUnreachable, match=r"there is no socket .*start it with `dnslb run` or .*, or name another"
    ):
        ask(tmp_path / below)


def test_a_path_that_is_too_long_is_said_so(tmp_path: Path) -> None:
    """No daemon can have such a socket."""
    with pytest.raises(DaemonUnreachable, match="the path of a socket at most 107"):
        ask(tmp_path / ("x" * 108))


def test_a_socket_of_another_user_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the likely way out."""

    def refuse(*_args: object) -> None:
        raise PermissionError

    monkeypatch.setattr("dnslb.control.client.socket.socket", _SocketThat(refuse))
    with pytest.raises(DaemonUnreachable, match=r"you may not use .*try sudo"):
        ask(tmp_path / "c.sock")


class _SocketThat:
    """A socket that does one thing at connect: root, who runs tests too, is never refused by the kernel."""

    def __init__(self, connect: Callable[..., None]) -> None:
        self.connect = connect

    def __call__(self, *_args: object) -> "_SocketThat":
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_args: object) -> None:
        pass

    def settimeout(self, seconds: float) -> None:
        """Do nothing."""
