"""A configuration of 1,000 pools of 8 members, each with a service or more, and of static records beside them."""

from __future__ import annotations

import random
from ipaddress import ip_address
from typing import TYPE_CHECKING

from tests.bench.parts import write_config

if TYPE_CHECKING:
    from pathlib import Path

POOLS = 1000
MEMBERS = 8
WORKERS = 2
_FIRST_STATIC = ip_address("10.0.0.1")

_SERVER = """
[server]
listen = ["127.0.0.1:{port}"]
workers = {workers}
state = "state"
control = "control.sock"
http = "127.0.0.1:{http}"
[zone."lb.example.org"]
file = "zone"
[probe.tcp]
kind = "tcp"
port = {members}
interval = "10m"
"""
_ADDRESS = """
[[service]]
name = "relay{number}{more}.lb.example.org"
type = "address"
pool = "p{number}"
records = 2
"""
_MX = """
[[service]]
name = "mail{number}.lb.example.org"
type = "MX"
pool = "p{number}"
"""


def write(  # noqa: PLR0913 - ports by keyword, and what is how many
    directory: Path,
    *,
    port: int = 5300,
    http: int = 8053,
    members: int = 25,
    with_mx: bool = False,
    more_services: int = 0,
    static: int = 0,
) -> Path:
    """Write the configuration and its zone; return the configuration's path.

    There are `more_services` for each pool of an odd number, and `static` records of names of their own.
    """
    weights = random.Random(1)  # noqa: S311 - the same weights in each run, different ones in each pool
    text = [_SERVER.format(port=port, http=http, members=members, workers=WORKERS)]
    for number in range(POOLS):
        text.append(f'[pool.p{number}]\nprobe = "tcp"\n')
        text += [_member(number, place, weights.randint(1, 100)) for place in range(MEMBERS)]
        text.append(_ADDRESS.format(number=number, more=""))
        text += [_ADDRESS.format(number=number, more=f"-{more}") for more in range(number % 2 * more_services)]
        if with_mx:
            text.append(_MX.format(number=number))
    config = write_config(directory, "".join(text))
    with (directory / "zone").open("a") as zone:
        zone.writelines(f"host{number} A {_FIRST_STATIC + number}\n" for number in range(static))
    return config


def _member(pool: int, place: int, weight: int) -> str:
    address = f"127.{1 + pool // 250}.{pool % 250}.{1 + place}"
    return f'[[pool.p{pool}.member]]\nname = "m{pool}-{place}"\naddresses = ["{address}"]\nweight = {weight}\n'
