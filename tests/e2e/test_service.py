"""The unit of deploy/ under a systemd that runs: a user's manager in namespaces of its own.

All of the unit holds there but what would hide the checkout and this directory from it, and its user.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.members import Members
from tests.e2e.processes import Stage, free_port, missing, program, until
from tests.e2e.product import SERVICES, ZONE, pool
from tests.e2e.resolvers import answers, ask, rdatas

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SYSTEMD = Path("/lib/systemd/systemd")
MACHINE = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system /run/systemd/inaccessible/dir && cd /run/systemd/inaccessible
touch reg && mknod chr c 0 0 && chmod 0 reg chr && cd / || exit
/lib/systemd/systemd --user &
wait
"""
"""What the first process in the namespaces does; the nodes are what a unit sees in the place of what is hidden."""
CONFIG = """
[server]
listen = ["127.0.0.1:{port}"]
workers = 2
http = ""
state = "{state}"
control = "{control}"

[zone."lb.test"]
file = "lb.test.zone"

[probe.quick]
kind = "smtp"
port = {members}
interval = "500ms"
"""
HERE = """
[Service]
User=
Group=
PrivateTmp=no
ProtectHome=no
ExecStart=
ExecStart={dnslb} run -c {config}
ExecReload=
ExecReload={dnslb} reload -c {config}
Environment=PYTHONPATH={root}
WatchdogSec=3s
"""


def control_groups() -> set[Path]:
    """Return those control groups below this process's own that a user's manager makes."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    mounted = {"name=systemd": Path("/sys/fs/cgroup/systemd"), "": Path("/sys/fs/cgroup")}
    found = {names: mounted[names] / path.lstrip("/") for _, names, path in lines if names in mounted}
    own = found.get("name=systemd") or found[""]
    made = [own / "app.slice", own / "init.scope"]
    return {path for group in made for path in [group, *group.rglob("*")] if path.is_dir()}


def removed(groups: set[Path]) -> bool:
    """Remove control groups in which nothing runs any more; say whether they are gone."""
    with suppress(OSError):
        for path in sorted(groups, reverse=True):
            path.rmdir()
    return not any(path.exists() for path in groups)


class Service:
    """The service on a systemd of its own."""

    def __init__(self, stage: Stage) -> None:
        self.members, self.port = Members(stage, 2), free_port()
        self._run, self._directory = stage.directory("run"), stage.directory("dnslb")
        self._run.chmod(0o700)
        state = stage.path / "config" / "dnslb"
        self.config = self._directory / "dnslb.toml"
        server = CONFIG.format(
            port=self.port, state=state, control=self._run / "dnslb" / "control.sock", members=self.members.port
        )
        self.config.write_text(server + pool(self.members) + SERVICES)
        (self._directory / "lb.test.zone").write_text(ZONE)
        self._install()
        self._environment = {"XDG_RUNTIME_DIR": str(self._run), "XDG_CONFIG_HOME": str(stage.path / "config")}
        self._boot(stage)

    def _install(self) -> None:
        units = self._run / "systemd" / "user"
        (units / "dnslb.service.d").mkdir(parents=True)
        (units / "dnslb.service").write_text((ROOT / "deploy" / "dnslb.service").read_text())
        here = HERE.format(dnslb=f"{sys.executable} -m dnslb", config=self.config, root=ROOT)
        (units / "dnslb.service.d" / "here.conf").write_text(here)

    def _boot(self, stage: Stage) -> None:
        if subprocess.run([program("unshare"), "--mount", "--pid", "--fork", "true"], check=False).returncode != 0:
            missing("the right to make namespaces")
        before = control_groups()
        stage.callback(lambda: until(lambda: removed(control_groups() - before), "its control groups are empty"))
        apart = [program("unshare"), "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        outer = stage.start("systemd", [*apart, "sh", "-c", MACHINE], self._environment)
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        (self._inner,) = until(lambda: children.read_text().split(), "the first process in the namespaces runs")
        until(lambda: self.systemctl("is-system-running").stdout == "running\n", "systemd runs")

    def systemctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Ask that systemd."""
        command = ["nsenter", f"--target={self._inner}", "--mount", "--pid", "systemctl", "--user", *words]
        return subprocess.run(
            command, env={**os.environ, **self._environment}, capture_output=True, text=True, check=False
        )

    def shown(self, name: str) -> str:
        """Return a property of the service."""
        return self.systemctl("show", "-P", name, "dnslb").stdout.strip()

    def answer(self) -> set[str]:
        """Return the members' addresses that are given out."""
        return set(rdatas(ask(self.port, "every.lb.test", "A"), "A"))


@pytest.fixture
def service() -> Iterator[Service]:
    """Give the service, not started yet."""
    if os.geteuid() != 0 or not SYSTEMD.exists():
        missing("systemd, or root's rights")
    with Stage() as stage:
        yield Service(stage)


def test_the_service_starts_reloads_is_watched_and_stops(service: Service) -> None:
    """Started is it when it answers; a bad file makes the reload fail; a controller that hangs is replaced."""
    assert service.systemctl("start", "dnslb").returncode == 0
    assert service.answer() == set(service.members.addresses.values())
    assert service.shown("StatusText") == f"Answering on 127.0.0.1:{service.port}"

    right = service.config.read_text()
    service.config.write_text(right + "wrong")
    assert service.systemctl("reload", "dnslb").returncode != 0
    assert service.shown("ActiveState") == "active"
    service.config.write_text(right)
    assert service.systemctl("reload", "dnslb").returncode == 0
    service.systemctl("kill", "--kill-whom=main", "--signal=HUP", "dnslb")
    until(lambda: service.shown("ActiveState") == "active", "the reload by a signal is over")

    hanging = service.shown("MainPID")
    service.systemctl("kill", "--kill-whom=main", "--signal=STOP", "dnslb")
    until(lambda: service.shown("MainPID") not in {"0", hanging}, "the watchdog has it replaced")
    until(lambda: service.shown("ActiveState") == "active", "another one is ready")
    assert service.answer() == set(service.members.addresses.values())

    assert service.systemctl("stop", "dnslb").returncode == 0
    assert service.shown("Result") == "success"
    assert not answers(service.port, "every.lb.test", "A")
