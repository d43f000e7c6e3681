"""The commands and settings in the containers are right: run here without them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.e2e.processes import PEERS, free_port, unpacked, until
from tests.e2e.resolvers import answers, ask, rdatas

if TYPE_CHECKING:
    from tests.e2e.processes import Stage

CONTAINER = Path(__file__).parents[2] / "deploy" / "container"
ELSEWHERE = {"0.0.0.0:5300": "127.0.0.1:{port}", "172.30.53.": "127.30.53.", "/var/lib/dnslb": "state"}
"""What is otherwise on this machine than in the containers."""


def words(of: str) -> list[str]:
    """Return the words of an instruction of the Containerfile that has them as a list."""
    (found,) = re.findall(rf"^{of} (.*)$", (CONTAINER / "Containerfile").read_text(), re.MULTILINE)
    return list(json.loads(found))


def configuration(directory: Path, port: int) -> Path:
    """Write the configuration of compose.yaml, moved to loopback addresses."""
    text = (CONTAINER / "dnslb.toml").read_text()
    for there, here in ELSEWHERE.items():
        text = text.replace(there, here.format(port=port))
    (directory / "lb.example.org.zone").write_text((CONTAINER / "lb.example.org.zone").read_text())
    (path := directory / "dnslb.toml").write_text(text.replace("[server]", '[server]\nhttp = ""'))
    return path


def test_the_image_runs_a_daemon_whose_health_can_be_asked(stage: Stage) -> None:
    """Its command answers with all three members, and the health check of compose.yaml finds it well."""
    port = free_port()
    path = configuration(stage.directory("container"), port)
    health = yaml.safe_load((CONTAINER / "compose.yaml").read_text())["services"]["dnslb"]["healthcheck"]["test"]
    assert health[:2] == ["CMD", *words("ENTRYPOINT")]

    def here(command: list[str]) -> list[str]:
        found = [str(path) if word == "/etc/dnslb/dnslb.toml" else word for word in command]
        return [sys.executable, "-m", "dnslb", *found]

    stage.start("dnslb", here(words("CMD")))
    until(lambda: answers(port, "lb.example.org", "MX"), "it answers")
    assert len(rdatas(ask(port, "lb.example.org", "MX"), "MX")) == 3
    assert subprocess.run(here(health[2:]), capture_output=True, check=False).returncode == 0


def test_postfix_knows_its_settings() -> None:
    """Each setting that the members are built with exists in Debian's Postfix."""
    text = (CONTAINER / "postfix.Containerfile").read_text().replace("\\\n", "")
    (command,) = re.findall(r"^RUN (postconf -e .*)$", text, re.MULTILINE)
    ours = {word.partition(" =")[0] for word in shlex.split(command)[2:]}
    known = subprocess.run(
        [unpacked("usr/sbin/postconf"), "-d"],
        env={"LD_LIBRARY_PATH": str(PEERS / "usr/lib/postfix"), "PATH": "/usr/sbin:/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "local_transport" in ours
    assert ours <= set(re.findall(r"^(\w+) =", known.stdout, re.MULTILINE))
