"""Authoritative servers from Debian that serve the same zone file as dnslb: NSD, Knot and BIND."""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from tests.e2e.processes import Stage, free_port, program, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NSD = """
server:
  ip-address: 127.0.0.1@{port}
  zonesdir: "{directory}"
  username: ""
  chroot: ""
  pidfile: ""
  database: ""
  zonelistfile: "{directory}/list"
  xfrdfile: "{directory}/xfrd"
  xfrdir: "{directory}"
  minimal-responses: yes
  round-robin: no
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: lb.test
  zonefile: {zone}
"""
KNOT = """
server:
  listen: 127.0.0.1@{port}
  rundir: {directory}
  udp-workers: 1
  tcp-workers: 1
database:
  storage: {directory}
zone:
- domain: lb.test
  file: {zone}
  semantic-checks: off
"""
# Without a forwarder it would look for the root servers
BIND = """
options {{
  directory "{directory}";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  pid-file none;
  session-keyfile none;
  managed-keys-directory "{directory}";
  recursion no;
  forward only;
  forwarders {{ 127.0.0.1 port {port}; }};
  dnssec-validation no;
  minimal-responses yes;
  zero-no-soa-ttl no;
  rrset-order {{ order none; }};
}};
controls {{ }};
zone "lb.test" {{ type master; file "{zone}"; check-names ignore; check-integrity no; }};
"""
_FORMS = {
    "NSD": (NSD, "nsd", ["-d", "-c"]),
    "Knot": (KNOT, "knotd", ["-c"]),
    "BIND": (BIND, "named", ["-g", "-n", "1", "-c"]),
}
_AT_ONCE = 64
_PATIENCE = 0.5


def start(stage: Stage, zone: Path) -> dict[str, int]:
    """Start all three with the zone lb.test of this file; return their ports on 127.0.0.1."""
    ports = {}
    for name, (form, command, options) in _FORMS.items():
        directory, port = stage.directory(name), free_port()
        conf = directory / "conf"
        conf.write_text(form.format(directory=directory, port=port, zone=zone))
        stage.start(name, [program(command), *options, str(conf)])
        ports[name] = port
    return ports


def wait_for(ports: dict[str, int], query: bytes) -> None:
    """Wait until all answer the query without an error."""
    for name, port in ports.items():
        until(partial(_answers, port, query), f"{name} answers")


def _answers(port: int, query: bytes) -> bool:
    try:
        (answer,) = exchange(port, [query])
    except (OSError, TimeoutError):
        return False
    return not answer[3] & 0x0F


def exchange(port: int, queries: Sequence[bytes]) -> list[bytes]:
    """Ask a server on 127.0.0.1 over UDP; return its answers in the order of the queries, whose ids are replaced."""
    answers: dict[int, bytes] = {}
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(_PATIENCE)
        for first in range(0, len(queries), _AT_ONCE):
            _batch(sock, queries, range(first, min(first + _AT_ONCE, len(queries))), answers)
    return [answers[place] for place in range(len(queries))]


def _batch(sock: socket.socket, queries: Sequence[bytes], places: range, answers: dict[int, bytes]) -> None:
    for _ in range(20):
        for place in places:
            if place not in answers:
                sock.send((place & 0xFFFF).to_bytes(2, "big") + queries[place][2:])
        with suppress(TimeoutError):
            while any(place not in answers for place in places):
                answer = sock.recv(65535)
                place = places.start + (int.from_bytes(answer[:2], "big") - places.start) % 0x10000
                if place in places:
                    answers[place] = answer
            return
    raise TimeoutError(f"{sum(place not in answers for place in places)} queries have no answer")


def exchange_by_stream(port: int, queries: Sequence[bytes]) -> list[bytes]:
    """Ask a server on 127.0.0.1 over one TCP connection, a question after the other; return its answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock, sock.makefile("rb") as stream:
        answers = []
        for query in queries:
            sock.sendall(len(query).to_bytes(2, "big") + query)
            answers.append(stream.read(int.from_bytes(stream.read(2), "big")))
    return answers
