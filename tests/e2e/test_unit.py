"""What systemd's own programs say of its files in deploy/, and the daemon confined as the unit says."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path
from typing import TYPE_CHECKING

from dnslb.server import engine
from tests.daemon.conftest import prepared, until
from tests.e2e import confined
from tests.e2e.processes import is_free, missing, program

if TYPE_CHECKING:
    from collections.abc import Sequence

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "dnslb.service"
LEAST_EXPOSED = 1.5


def printed(command: Sequence[str], *, status: int = 0) -> str:
    """Run a command that must end with this status; return all that it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def read(path: Path) -> str:
    """Return what is in a file, nothing if it is not there."""
    return path.read_text() if path.exists() else ""


def root_with_users(directory: Path) -> Path:
    """Make a directory that stands for a machine on which systemd-sysusers has read our file."""
    users = directory / "etc" / "sysusers.d" / "dnslb.conf"
    users.parent.mkdir(parents=True)
    users.write_text((DEPLOY / "dnslb.sysusers").read_text())
    printed([program("systemd-sysusers"), f"--root={directory}", "dnslb.conf"])
    return directory


def test_the_unit_exposes_little() -> None:
    """By systemd's own count, from 0 to 10."""
    shown = printed([program("systemd-analyze"), "security", "--offline=true", "--no-pager", str(UNIT)])
    (level,) = re.findall(r"Overall exposure level for dnslb.service: ([\d.]+)", shown)
    assert float(level) <= LEAST_EXPOSED


def test_systemd_takes_the_unit_as_it_is(tmp_path: Path) -> None:
    """It knows each setting and each value; the program, which is not in its place here, stands in for itself."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/dnslb/bin/dnslb", sys.executable))
    assert not printed([program("systemd-analyze"), "verify", "--man=no", str(unit)])


def test_systemd_takes_the_sockets_as_they_are(tmp_path: Path) -> None:
    """An address may stand there more than once, and the service is the one beside it."""
    sockets = DEPLOY / "dnslb.socket"
    (tmp_path / UNIT.name).write_text(UNIT.read_text().replace("/opt/dnslb/bin/dnslb", sys.executable))
    (tmp_path / sockets.name).write_text(sockets.read_text())
    assert not printed([program("systemd-analyze"), "verify", "--man=no", str(tmp_path / sockets.name)])


def test_sysusers_makes_the_user_of_the_unit(tmp_path: Path) -> None:
    """A user without a shell that can log in, with a group of the same name."""
    root = root_with_users(tmp_path)
    (name,) = confined.settings(UNIT, "User")
    (user,) = [line for line in (root / "etc/passwd").read_text().splitlines() if line.startswith(f"{name}:")]
    assert user.endswith(":/var/lib/dnslb:/usr/sbin/nologin")
    assert f"\n{confined.settings(UNIT, 'Group')[0]}:" in "\n" + (root / "etc/group").read_text()


def test_tmpfiles_keeps_the_secrets_from_others(tmp_path: Path) -> None:
    """The service may read the configuration and what is secret in it, and only root may write there."""
    if os.geteuid() != 0:
        missing("the right to give files to others (root)")
    root = root_with_users(tmp_path)
    rules = root / "etc" / "tmpfiles.d" / "dnslb.conf"
    rules.parent.mkdir()
    rules.write_text((DEPLOY / "dnslb.tmpfiles").read_text())
    secret = root / "etc" / "dnslb" / "probe.secret"
    secret.parent.mkdir()
    secret.touch(mode=0o644)
    printed([program("systemd-tmpfiles"), f"--root={root}", "--create", "dnslb.conf"])
    (group,) = re.findall(r"^dnslb:x:(\d+)", (root / "etc/group").read_text(), re.MULTILINE)
    found = [(stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) for path in (secret.parent, secret)]
    assert found == [(0o750, int(group)), (0o640, int(group))]


def test_the_daemon_works_as_confined_as_the_unit_says(tmp_path: Path) -> None:
    """With its system calls, address families and capabilities, and no memory that is both written and run.

    It takes a port that only root may, probes, answers by the same engine as without, steers, reloads, and complains of
    nothing. A command of [[notify]] works as confined as the daemon.
    """
    if os.geteuid() != 0 or find_library("seccomp") is None:
        missing("libseccomp, or root's rights")
    confine = [sys.executable, "-P", confined.__file__, "outside", str(UNIT)]
    with prepared(tmp_path) as daemon:
        daemon.values["workers"] = 2
        daemon.port = next(port for port in range(600, 1024) if is_free("127.0.0.1", port))
        process = daemon.begin(daemon.launch(*confine))
        assert re.search(r"^CapEff:\t0+400$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
        assert daemon.call("version")["engine"] == engine.describe()
        assert daemon.call("status")["steering"] == "source"
        assert daemon.members_in_answer() == {"mx1", "mx2"}
        daemon.more = '[[notify]]\ncommand = ["/bin/sh", "-c", "exec cat > told"]\nkinds = ["reload"]\n'.replace(
            "told", str(tmp_path / "told")
        )
        daemon.configure(ttl=60)
        assert daemon.call("reload")["changed"]
        until(lambda: daemon.call("events")[-1]["text"] in read(tmp_path / "told"), "the command is told of the reload")
        assert daemon.stop() == 0
        assert not [line for line in daemon.log() if line["level"] != "info"]
