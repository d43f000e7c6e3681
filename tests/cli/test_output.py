"""Time spans as people read them, and exit statuses where nobody reads."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dnslb.cli.output import duration, remaining

if TYPE_CHECKING:
    from tests.cli.conftest import FakeDaemon


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0.9, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (599, "9m59s"),
        (3_600, "1h"),
        (3_630, "1h"),
        (7_199, "1h59m"),
        (137_000, "1d14h"),
        (86_460, "1d"),
    ],
)
def test_what_has_lasted_is_told_in_two_units(seconds: float, text: str) -> None:
    """Nearly two hours are not one; what is smaller than both units is left out."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.1, "1s"),
        (28, "28s"),
        (598.2, "9m59s"),
        (3_599.5, "1h"),
        (7_080, "1h58m"),
        (7_080.1, "1h59m"),
        (7_199.9, "2h"),
        (86_399, "1d"),
        (136_801, "1d15h"),
    ],
)
def test_what_is_still_to_come_is_never_told_too_short(seconds: float, text: str) -> None:
    """Who was told two hours and comes back then finds it over."""
    assert remaining(seconds) == text


def status_unread(*words: str) -> int:
    """Return the exit status of a command whose output has no reader any more."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with subprocess.Popen(
        [sys.executable, "-m", "dnslb", *words], stdout=write_end, stderr=subprocess.DEVNULL
    ) as process:
        os.close(write_end)
    return process.returncode


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("pool", "inbuond", "--json"), 1),
        (("drain", "inbound/mx1", "--wait", "--timeout", "0s"), 1),
        (("probe", "inbound/mx1", "--json"), 1),
        (("status",), 0),
    ],
)
def test_what_failed_has_failed_though_nobody_reads_it(
    daemon: "FakeDaemon", words: tuple[str, ...], status: int
) -> None:
    """A script whose pipe has been cut must not go on to stop a server that is still needed."""
    drain = {"caches_expire": None, "clients_expire": None, "safe_to_stop": False}
    daemon.operator.member("inbound", "mx1").update(admin="drain", drain=drain)
    daemon.operator.seen = {"up": False}
    assert status_unread(*words, "--control", str(daemon.path)) == status


def test_a_wrong_configuration_is_wrong_though_nobody_reads_it(tmp_path: Path) -> None:
    """`dnslb check` is there for scripts."""
    wrong = tmp_path / "dnslb.toml"
    wrong.write_text("[server]\nlisten = 5\n")
    assert status_unread("check", "--json", "-c", str(wrong)) == 2
