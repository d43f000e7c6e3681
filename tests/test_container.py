"""The containers are made of what is there, and fit one another: what can be said without building them."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from dnslb import config

ROOT = Path(__file__).parents[1]
CONTAINER = ROOT / "deploy" / "container"
COMPOSE: dict[str, Any] = yaml.safe_load((CONTAINER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


def instructions(name: str) -> list[tuple[str, str]]:
    """Return the instructions of a Containerfile with what stands behind them, continued lines as one."""
    text = (CONTAINER / name).read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2]) for line in lines]


def test_what_is_copied_is_there() -> None:
    """Each source of a COPY stands in the checkout, and what pip needs to build a package is among them."""
    copied = [rest.split()[:-1] for word, rest in instructions("Containerfile") if word == "COPY" and "--" not in rest]
    sources = {source for found in copied for source in found}
    assert sources == {"pyproject.toml", "README.md", "LICENSE", "dnslb"}
    assert all((ROOT / source).exists() for source in sources)


def test_the_image_does_not_run_as_root() -> None:
    """By a number that is not root's, which owns the only directory that is written to."""
    (user,) = [rest for word, rest in instructions("Containerfile") if word == "USER"]
    text = (CONTAINER / "Containerfile").read_text()
    (owner,) = re.findall(r"install -d -o (\d+) -g (\d+) -m 0700 /var/lib/dnslb", text)
    assert user == ":".join(owner)
    assert "0" not in owner


def test_the_container_may_do_little() -> None:
    """Its root file system is read-only, and nothing in it can get rights."""
    assert SERVICES["dnslb"]["read_only"] is True
    assert SERVICES["dnslb"]["cap_drop"] == ["ALL"]
    assert SERVICES["dnslb"]["security_opt"] == ["no-new-privileges:true"]


def test_compose_names_what_is_there() -> None:
    """Each file to build from or to mount stands where it says."""
    builds = [service["build"] for service in SERVICES.values()]
    assert all((CONTAINER / build["context"] / build["dockerfile"]).is_file() for build in builds)
    mounted = [volume.split(":")[0] for volume in SERVICES["dnslb"]["volumes"]]
    assert all((CONTAINER / source).is_file() for source in mounted if source.startswith("."))
    assert [source for source in mounted if not source.startswith(".")] == list(COMPOSE["volumes"])


def test_compose_and_the_configuration_agree() -> None:
    """The members are the containers beside dnslb, with the addresses that these are given; so is the port."""
    settings = config.load(CONTAINER / "dnslb.toml")
    given = {name: ip_address(each["networks"]["mail"]["ipv4_address"]) for name, each in SERVICES.items()}
    members = {member.name: member.addresses for member in settings.pools["inbound"].members}
    assert {"dnslb": (given["dnslb"],), **members} == {name: (address,) for name, address in given.items()}
    ports = {str(endpoint.port) for endpoint in settings.server.listen}
    assert {published.split("/")[0].split(":")[-1] for published in SERVICES["dnslb"]["ports"]} == ports
    assert not settings.warnings
