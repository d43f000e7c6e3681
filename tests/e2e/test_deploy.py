"""The snippets in deploy/ are read by the programs that they are for."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.processes import PEERS, Stage, in_place, unpacked

if TYPE_CHECKING:
    from collections.abc import Sequence

DEPLOY = Path(__file__).parents[2] / "deploy"
POSTFIX_LIBRARIES = {"LD_LIBRARY_PATH": str(PEERS / "usr/lib/postfix")}
PROBES = ["192.0.2.5", "2001:db8::5"]
STRANGERS = ["192.0.2.55", "2001:db8::55"]


def output(command: Sequence[str], *, status: int = 0) -> str:
    """Run a command that must end with this status; returns what it printed."""
    done = subprocess.run(
        command, env=POSTFIX_LIBRARIES | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, capture_output=True, check=False
    )
    printed = (done.stdout + done.stderr).decode()
    assert done.returncode == status, printed
    return printed


@pytest.fixture
def postfix(stage: Stage) -> Path:
    """Make a configuration of Postfix that is the snippet, and users that exist everywhere."""
    directory = stage.directory("postfix")
    for path in (DEPLOY / "postfix").iterdir():
        shutil.copy(path, directory)
    (directory / "master.cf").touch()
    with (directory / "main.cf").open("a") as more:
        more.write("mail_owner = news\nsetgid_group = operator\n")
    return directory


def test_postfix_knows_every_setting(postfix: Path) -> None:
    """Each setting of the snippet, and each that its comments offer, exists."""
    postconf = unpacked("usr/sbin/postconf")
    known = set(re.findall(r"^(\w+) =", output([postconf, "-c", str(postfix), "-d"]), re.MULTILINE))
    text = (DEPLOY / "postfix" / "main.cf").read_text()
    ours = set(re.findall(r"^#?(\w+) =", text, re.MULTILINE))
    assert {"smtpd_client_event_limit_exceptions", "postscreen_access_list"} < ours <= known
    told = set(re.findall(r"\b(?:smtpd|postscreen)_\w+", text + (DEPLOY / "README.md").read_text()))
    assert told - {"postscreen_access"} <= known


def test_postfix_reads_the_settings(postfix: Path) -> None:
    """Postfix has no complaint, and the limits' exceptions hold both addresses in its own notation."""
    read = output([unpacked("usr/sbin/postconf"), "-c", str(postfix), "smtpd_client_event_limit_exceptions"])
    assert read == "smtpd_client_event_limit_exceptions = $mynetworks, 192.0.2.5, [2001:db8::5]\n"


@pytest.mark.parametrize(("table", "action"), [("postscreen_access.cidr", "permit"), ("dnslb_clients.cidr", "OK")])
def test_postfix_finds_the_probes_in_its_tables(postfix: Path, table: str, action: str) -> None:
    """The tables let in the probe's addresses and no others."""
    postmap = [unpacked("usr/sbin/postmap"), "-c", str(postfix), "-q"]
    for address in PROBES:
        assert output([*postmap, address, f"cidr:{postfix / table}"]) == f"{action}\n"
    for address in STRANGERS:
        assert not output([*postmap, address, f"cidr:{postfix / table}"], status=1)


def exim(stage: Stage, *arguments: str) -> str:
    """Run Exim on the snippet and what else a configuration must have; returns what it printed."""
    directory = stage.path / "exim"
    directory.mkdir(exist_ok=True)
    conf = directory / "conf"
    own = f"spool_directory = {directory}\nlog_file_path = {directory}/%s\nkeep_environment =\nbegin acl\n"
    conf.write_text((DEPLOY / "exim" / "dnslb.conf").read_text() + own)
    command = [unpacked("usr/sbin/exim4"), "-C", str(conf), *arguments]
    return output(in_place(directory, ["Debian-exim"], [], command))


def test_exim_reads_the_settings(stage: Stage) -> None:
    """Exim knows every setting of the snippet."""
    assert "Configuration file is" in exim(stage, "-bV")
    assert exim(stage, "-bP", "smtp_reserve_hosts") == "smtp_reserve_hosts = +dnslb_probes\n"


def test_exim_knows_the_settings_in_comments(stage: Stage) -> None:
    """What the comments offer exists too."""
    for setting in ("host_reject_connection", "smtp_ratelimit_hosts"):
        assert setting in (DEPLOY / "exim" / "dnslb.conf").read_text()
        assert exim(stage, "-bP", setting).startswith(setting)


@pytest.mark.parametrize(("address", "limit"), [*((a, "0") for a in PROBES), *((a, "20") for a in STRANGERS)])
def test_exim_has_no_limit_for_probes(stage: Stage, address: str, limit: str) -> None:
    """The limit on connections from one address does not hold for the probe's."""
    text = (DEPLOY / "exim" / "dnslb.conf").read_text()
    expression = re.search(r"^smtp_accept_max_per_host = (.*)$", text, re.MULTILINE)
    assert expression is not None
    assert exim(stage, "-be", expression[1].replace("$sender_host_address", address)).strip() == limit


def test_opensmtpd_reads_the_parts(stage: Stage) -> None:
    """OpenSMTPD takes the table and the filter, the chain that the comments show, and a listener with it."""
    text = (DEPLOY / "opensmtpd" / "dnslb.conf").read_text()
    shown = re.findall(r"^#   (filter .*)$", text, re.MULTILINE)
    assert len(shown) == 2
    rest = ['action "local" mbox', 'match from any for local action "local"', "listen on lo port 2525 filter inbound"]
    conf = stage.path / "smtpd.conf"
    conf.write_text("\n".join([text, *shown, *rest, ""]))
    command = ["/usr/sbin/smtpd", "-n", "-f", str(conf)]
    unpacked("usr/sbin/smtpd")
    directory = stage.directory("opensmtpd")
    assert "configuration OK" in output(in_place(directory, ["opensmtpd", "opensmtpq"], [], command))
