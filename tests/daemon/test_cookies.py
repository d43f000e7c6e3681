"""The daemon's own secret for cookies: how it is kept, and how the next one takes its place."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from pathlib import Path

import pytest
import structlog
from dns.edns import CookieOption

from dnslb.daemon.cookies import FILE, OwnSecrets, Secret, Secrets, due
from dnslb.rfc3339 import rfc3339
from dnslb.wire.cookie import Standing, judge, make
from tests.conftest import CLIENT
from tests.daemon.conftest import Daemon, until

_NOW = 1_700_000_000.0
_DAY = 86400.0
_LOOPBACK = bytes([127, 0, 0, 1])
_A, _B, _C = (bytes([letter]) * 16 for letter in b"abc")


def _drawn() -> Iterator[bytes]:
    return (number.to_bytes(16, "big") for number in count(1))


def _never() -> bytes:
    raise AssertionError("a new secret is drawn")


def _known(secrets: Secrets) -> tuple[bytes, ...]:
    return tuple(each.octets for each in secrets.by_role.values())


def _steps(seconds: float, days: float) -> Iterator[tuple[float, Secrets]]:
    """Yield the time and what is known then, at each look."""
    known, drawn = None, _drawn()
    for look in range(int(days * _DAY / seconds)):
        known = due(known, _NOW + look * seconds, lambda: next(drawn))
        yield _NOW + look * seconds, known


def _proves(secrets: Secrets, now: float, cookie: bytes) -> bool:
    return judge(cookie, CLIENT, _known(secrets), int(now)) is not Standing.STRANGE


@pytest.mark.parametrize("look", [600.0, 1200.0, 3000.0])
def test_no_right_cookie_is_refused_while_secrets_roll_over(look: float) -> None:
    """Whoever made it: one that has not heard of the latest change yet, one that is ahead; and for its whole hour."""
    steps = list(_steps(look, 70))
    assert len({secrets.makes for _, secrets in steps}) == 3
    for (_, before), (now, after) in pairwise(steps):
        for makes, knows in ((before, after), (after, before), (after, after)):
            assert _proves(knows, now, make(b"12345678", CLIENT, makes.makes.octets, int(now)))
    for place, (made, secrets) in enumerate(steps):
        cookie = make(b"12345678", CLIENT, secrets.makes.octets, int(made))
        assert all(_proves(later, now, cookie) for now, later in steps[place : place + 7] if now - made <= 3600)


def test_each_secret_makes_cookies_for_a_month_and_is_forgotten() -> None:
    """It is known half an hour before that, and a good hour after."""
    known = Secrets(Secret(_NOW, _A))
    assert due(known, _NOW + 30 * _DAY - 1, _never) == known
    known = due(known, _NOW + 30 * _DAY, lambda: _B)
    assert _known(known) == (_A, _B)
    assert due(known, _NOW + 30 * _DAY + 1799, _never) == known
    known = due(known, switched := _NOW + 30 * _DAY + 1800, _never)
    assert _known(known) == (_B, _A)
    assert due(known, switched + 3900, _never) == known
    assert _known(due(known, switched + 3901, _never)) == (_B,)


def test_what_rolled_over_late_is_known_as_long() -> None:
    """The machine slept, or the daemon was away and its workers went on: what counts is when the change was made."""
    known = Secrets(Secret(_NOW, _A), Secret(_NOW, _B), Secret(_NOW, _C))
    later = due(known, _NOW + 90 * _DAY, _never)
    assert _known(later) == (_B, _A)
    assert _known(due(later, _NOW + 90 * _DAY + 3900, _never)) == (_B, _A)


def test_a_wrong_clock_begins_anew_when_it_is_set_right() -> None:
    """Cookies of a time to come are not right anyway; a few minutes are no reason."""
    known = Secrets(Secret(_NOW, _A))
    assert due(known, _NOW - 300, _never) == known
    assert due(known, _NOW - 301, lambda: _B) == Secrets(Secret(_NOW - 301, _B))


def own(directory: Path) -> OwnSecrets:
    """Return those of a daemon whose disk writes at once."""
    return OwnSecrets(directory, lambda write: write())


def test_it_outlives_the_daemon(tmp_path: Path) -> None:
    """The file holds what is known, nobody else can read it, and each of the three is taken up again."""
    running, path = own(tmp_path), tmp_path / FILE
    (first,) = running.at(_NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    assert own(tmp_path).at(_NOW + 60) == (first,)
    _, second = both = running.at(_NOW + 30 * _DAY)
    assert own(tmp_path).at(_NOW + 30 * _DAY + 60) == both
    assert running.at(_NOW + 31 * _DAY) == (second, first)
    assert own(tmp_path).at(_NOW + 31 * _DAY + 60) == (second, first)
    assert own(tmp_path).at(_NOW + 32 * _DAY) == (second,)
    assert list(tmp_path.iterdir()) == [tmp_path / FILE]


def test_no_two_daemons_have_the_same(tmp_path: Path) -> None:
    """It is drawn, and 16 octets long."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (one,), (other,) = (own(tmp_path / name).at(_NOW) for name in ("a", "b"))
    assert len(one) == len(other) == 16
    assert one != other


_GOOD = f"makes 2023-11-14T22:13:20.000Z {_A.hex()}\n"
_BROKEN: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "cut": lambda path: path.write_text(_GOOD[:-2]),
    "short": lambda path: path.write_text(_GOOD.replace("6161", "")),
    "binary": lambda path: path.write_bytes(b"\xff\0" * 100),
    "columns in another order": lambda path: path.write_text(f"makes {_A.hex()} 2023-11-14T22:13:20.000Z\n"),
    "another role": lambda path: path.write_text(_GOOD + _GOOD.replace("makes", "maks")),
    "a role twice": lambda path: path.write_text(_GOOD + _GOOD),
    "none that makes": lambda path: path.write_text(_GOOD.replace("makes", "made")),
    "no time": lambda path: path.write_text(_GOOD.replace("2023-11-14", "2023-11-99")),
    "a directory": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to itself": lambda path: path.symlink_to(path),
}


@pytest.mark.parametrize("break_it", _BROKEN.values(), ids=_BROKEN)
def test_a_broken_file_is_set_aside(break_it: Callable[[Path], object], tmp_path: Path) -> None:
    """It is told of, it is not deleted, and a new secret takes its place for good."""
    path = tmp_path / FILE
    break_it(path)
    with structlog.testing.capture_logs() as logs:
        (fresh,) = own(tmp_path).at(_NOW)
    (told,) = (line for line in logs if line["log_level"] == "warning")
    assert told["event"] == "cookie_secrets_unreadable"
    assert told["set_aside"] in {str(found) for found in tmp_path.iterdir()}
    assert _A.hex() not in str(logs)
    assert fresh != _A
    assert own(tmp_path).at(_NOW) == (fresh,)


def test_a_whole_file_is_not(tmp_path: Path) -> None:
    """What the others are broken copies of."""
    (tmp_path / FILE).write_text(_GOOD)
    assert own(tmp_path).at(_NOW) == (_A,)


def test_without_a_place_for_it_there_is_one_all_the_same(tmp_path: Path) -> None:
    """It is known as long as the daemon runs, and comes to the disk when that takes it."""
    unwritten: list[Callable[[], None]] = []
    known = OwnSecrets(tmp_path, unwritten.append)
    kept = known.at(_NOW)
    assert known.at(_NOW + 60) == kept
    (write,) = unwritten
    write()
    assert own(tmp_path).at(_NOW) == kept


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    """Whoever could put one there would have the daemon write where he may not."""
    (victim := tmp_path / "victim").write_text("precious")
    (tmp_path / f"{FILE}.new").symlink_to(victim)
    kept = own(tmp_path).at(_NOW)
    assert victim.read_text() == "precious"
    assert own(tmp_path).at(_NOW) == kept


def test_what_a_crash_left_is_no_obstacle(tmp_path: Path) -> None:
    """A file that was begun and not finished makes room for the next one."""
    (tmp_path / f"{FILE}.new").write_text("makes")
    assert own(tmp_path).at(_NOW) == own(tmp_path).at(_NOW)


def test_the_daemon_makes_one_unless_it_is_given_one(daemon: Daemon) -> None:
    """In its state directory, and a reload goes from one to the other."""
    daemon.start()
    path = daemon.state / FILE
    text = path.read_text()
    assert text.startswith("makes ")
    assert not daemon.call("reload")["changed"]
    assert path.read_text() == text
    (daemon.directory / "shared").write_text(_A.hex())
    (daemon.directory / "shared").chmod(0o600)
    own = daemon.config.read_text()
    daemon.config.write_text(own.replace("[server]", '[server]\ncookie_secrets = "shared"'))
    assert daemon.call("reload")["changed"]
    assert not daemon.call("reload")["changed"]
    daemon.config.write_text(own)
    assert daemon.call("reload")["changed"]
    assert path.read_text() == text


_HURRIED = """
import sys
from pathlib import Path
from dnslb.cli.main import main
from dnslb.daemon import cookies

on_time, later = cookies.due, Path(sys.argv.pop(1))
cookies.LOOK_SECONDS = 0.05
cookies.due = lambda known, now, draw: on_time(known, now + 1800 * later.exists(), draw)
sys.argv[1:] = sys.argv[4:]
main()
"""
"""The daemon, which looks each moment, and for which half an hour passes when a file appears."""


def test_it_rolls_over_while_the_daemon_runs(daemon: Daemon) -> None:
    """The workers make cookies with the next one when its time has come, with no reload; nobody is left without."""
    (path := daemon.state / FILE).parent.mkdir(mode=0o700)
    path.write_text(f"makes {rfc3339(time.time() - 31 * _DAY)} {_A.hex()}\n")
    later = daemon.directory / "later"
    daemon.begin(daemon.launch(sys.executable, "-c", _HURRIED, str(later)))
    until(lambda: "comes" in path.read_text(), "the next one is drawn")
    next_one = bytes.fromhex(path.read_text().split()[-1])
    assert _maker(daemon, _A, next_one) == _A
    later.touch()
    until(lambda: _maker(daemon, _A, next_one) == next_one, "it makes cookies")
    assert [line.split()[::2] for line in path.read_text().splitlines()] == [
        ["makes", next_one.hex()],
        ["made", _A.hex()],
    ]


def _maker(daemon: Daemon, *secrets: bytes) -> bytes:
    """Return the secret that the daemon makes cookies with."""
    (option,) = daemon.ask(options=[CookieOption(b"12345678", b"")]).options
    (made,) = (
        each for each in secrets if judge(option.to_wire(), _LOOPBACK, [each], int(time.time())) is Standing.FRESH
    )
    return made
