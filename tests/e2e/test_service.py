"""The unit of deploy/ under a systemd that runs: a user's manager in namespaces of its own.

All of the unit holds there but what would hide the checkout and this directory from it, and its user.
"""

from __future__ import annotations

import json
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
from tests.e2e.traffic import Traffic

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
REPLACING = """
[Service]
ExecReload=
ExecReload=/bin/sh -c '{dnslb} run --replace -c {config} &'
"""
"""A reload that has another process take the place of the main one, from within the unit."""
_PATIENCE = 20.0


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
        sockets = (ROOT / "deploy" / "dnslb.socket").read_text()
        (units / "dnslb.socket").write_text(sockets.replace("192.0.2.1:53", f"127.0.0.1:{self.port}"))

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

    def says(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of our commands outside of the service, for its configuration."""
        command = [sys.executable, "-m", "dnslb", *words, "-c", str(self.config)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def reload_by_replacing(self) -> None:
        """Have another process take its place when it is reloaded."""
        text = REPLACING.format(dnslb=f"{sys.executable} -m dnslb", config=self.config)
        (self._run / "systemd" / "user" / "dnslb.service.d" / "there.conf").write_text(text)
        assert self.systemctl("daemon-reload").returncode == 0

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


def test_a_restart_with_the_managers_sockets_loses_no_query(service: Service) -> None:
    """What comes while nobody runs waits, and each worker has a socket of its own, to which the kernel steers."""
    assert service.systemctl("start", "dnslb.socket", "dnslb.service").returncode == 0
    status = json.loads(service.says("status", "--json").stdout)
    assert (status["steering"], status["steering_reason"]) == ("source", "")
    with Traffic(service.port, _PATIENCE) as traffic:
        for _ in range(2):
            before = service.shown("MainPID")
            traffic.wait(10)
            assert service.systemctl("restart", "dnslb").returncode == 0
            assert service.shown("MainPID") != before
        traffic.wait(10)
    assert traffic.failures == []

    assert service.systemctl("kill", "--kill-whom=main", "--signal=KILL", "dnslb").returncode == 0
    with Traffic(service.port, _PATIENCE) as traffic:
        until(lambda: service.shown("NRestarts") == "1", "it is started again")
        until(lambda: service.shown("ActiveState") == "active", "it is ready again")
        traffic.wait(10)
    assert traffic.failures == []
    assert service.systemctl("stop", "dnslb.socket", "dnslb.service").returncode == 0


def test_only_a_process_of_the_unit_can_take_the_place_of_its_main_process(service: Service) -> None:
    """The manager would not know of another one; of one in the unit it is told, watches it, and can stop it."""
    assert service.systemctl("start", "dnslb").returncode == 0
    main = service.shown("MainPID")
    refused = service.says("run", "--replace")
    assert refused.returncode == 1
    assert "use `systemctl restart`" in refused.stderr
    assert service.shown("MainPID") == main

    service.reload_by_replacing()
    with Traffic(service.port, _PATIENCE) as traffic:
        assert service.systemctl("reload", "dnslb").returncode == 0
        until(lambda: service.shown("MainPID") not in {"0", main}, "the manager knows the new process")
    assert traffic.failures == []
    assert service.shown("ActiveState") == "active"
    new = service.shown("MainPID")
    service.systemctl("kill", "--kill-whom=main", "--signal=STOP", "dnslb")
    until(lambda: service.shown("MainPID") not in {"0", new}, "the watchdog has it replaced")
    until(lambda: service.shown("ActiveState") == "active", "another one is ready")
    assert service.systemctl("stop", "dnslb").returncode == 0
    assert not answers(service.port, "every.lb.test", "A")
