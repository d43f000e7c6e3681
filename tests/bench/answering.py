"""CPU time per answered query of one worker at saturation, beside the rivals on the same zone and queries."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.query

from dnslb.server import engine
from tests.bench import machine, mixes, rivals, servers
from tests.bench.parts import Stage
from tests.bench.report import figure, say, spread, table, title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.bench.mixes import Question, Write
    from tests.bench.servers import Server

SECONDS = 150.0
"""For all rounds of both mixes."""
_RUN = 0.8
_RUN_OF_A_KIND = 0.5
_FEWEST_ROUNDS = 3
_PLAIN, _RESOLVERS = "plain", "like resolvers of mail servers"
_MIXES: dict[str, Write] = {_PLAIN: mixes.plain, _RESOLVERS: mixes.resolvers}
_PLAIN_LIMIT = 1.0
_LIMIT = 1.4
_FAST = ("gdnsd", "NSD", "Knot")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of dnsperf against one server: CPU in microseconds per answered query, seconds, octets."""

    total: float
    user: float
    system: float
    others: float
    busy: float
    rate: float
    size: int
    lost: int


Runs = dict[tuple[str, str], list[Run]]
"""The runs by mix and server."""


def main(seconds: float = SECONDS) -> None:
    """Measure and print; rounds begin for so many seconds."""
    title(f"1. CPU time per answered query of one worker at saturation, beside {', '.join(rivals.START)}")
    if lacking := servers.missing():
        say(f"not measured: {', '.join(lacking)} missing (Debian packages: {' '.join(rivals.PACKAGES)})")
        return
    say(machine.python_build())
    say(f"{servers.FAST}: {engine.describe()}; {servers.PURE}: the same without the extension")
    say("Debian packages: " + ", ".join(f"{name} {machine.package(name)}" for name in rivals.PACKAGES))
    say(
        f"Servers on core {servers.SERVER_CORE}, one answering process or thread each; dnsperf on core"
        f" {servers.CLIENT_CORE}, 100 queries outstanding.\n"
        "dnslb answers relay (A, 2 of 4 members) and mail (MX, 4, ranked) from a probed pool and goes round its\n"
        "ring; the others hold the same names as static records, PowerDNS as Lua records that probe the members.\n"
        "It counts, makes and checks cookies, and limits rates, at a limit that is not reached; no rival does.\n"
        f"{_PLAIN}: relay A 20 %, relay AAAA 10 %, mail MX 25 %, member hosts and static records 27 %, NODATA 8 %,\n"
        f"NXDOMAIN 10 %. {_RESOLVERS}: MX 30 %, A 38 %, AAAA 15 %, TXT 8 %, others 4 %, NXDOMAIN 5 %; of all\n"
        "80 % with EDNS and DO, half of these with a cookie (a tenth new, the rest with what this server gave),\n"
        "and half of all in 0x20 case. Response sizes differ: dnslb adds the addresses of MX targets, those that\n"
        "are set to minimal responses do not.\n"
        "CPU is that of the busiest process, which is the one that answers; `others` is that of the server's other\n"
        "processes (for dnslb, the controller); `busy` is CPU by wall time, near 100 % only at saturation: on a\n"
        "machine that does other work, `chrt -r 1 python -m tests.bench answering` keeps that work away."
    )
    with Stage() as stage:
        running = servers.start_all(stage)
        say(_compare_answers(running))
        _print_mixes(_measure_mixes(stage.path, running, seconds))
        _measure_kinds(running, stage.path / "kind")


def _compare_answers(running: Sequence[Server]) -> str:
    """Ask each server every question of the mixes once; say whether they agree."""
    differing = [each for each in mixes.QUESTIONS if len({_gist(server, each) for server in running}) > 1]
    assert not differing, [(server.name, each, _gist(server, each)) for each in differing for server in running]
    return (
        f"Checked: on all {len(mixes.QUESTIONS)} questions of the mixes all agree on the response code, AA,"
        " the records' types and TTLs, and the SOA of negative answers."
    )


def _gist(server: Server, question: Question) -> tuple[object, ...]:
    query = dns.message.make_query(mixes.owner(question[0]), question[1], use_edns=0, payload=mixes.PAYLOAD)
    reply = dns.query.udp(query, "127.0.0.1", 2, server.port)
    records = sorted((rrset.rdtype.name, rrset.ttl, len(rrset)) for rrset in reply.answer)
    negative = sorted((rrset.rdtype.name, rrset.ttl) for rrset in reply.authority) if not records else []
    return reply.rcode(), bool(reply.flags & dns.flags.AA), tuple(records), tuple(negative)


def _measure_mixes(directory: Path, running: Sequence[Server], seconds: float) -> Runs:
    """Measure in rounds: in each, every server with each mix, another one first each time."""
    files = {(mix, server.name): directory / f"{server.name} {mix}" for mix in _MIXES for server in running}
    for (mix, name), path in files.items():
        server = next(each for each in running if each.name == name)
        _MIXES[mix](path, server.port)
        _measure(server, path, _RUN)  # warms up
    runs: Runs = {key: [] for key in files}
    until = time.monotonic() + seconds
    turn = 0
    while turn < _FEWEST_ROUNDS or time.monotonic() < until:
        for server in (*running[turn % len(running) :], *running[: turn % len(running)]):
            for mix in _MIXES:
                key = mix, server.name
                runs[key].append(_measure(server, files[key], _RUN))
        turn += 1
    return runs


def _print_mixes(runs: Runs) -> None:
    for mix in _MIXES:
        _print_mix(mix, {name: found for (of, name), found in runs.items() if of == mix})
    if (_PLAIN, servers.FAST) in runs:
        ratio = _cpu(runs[_PLAIN, servers.FAST]) / _cpu(runs[_PLAIN, "Knot"])
        figure("CPU of the worker, with the C extension / Knot, plain", ratio, _PLAIN_LIMIT, "x")
    pure, *fast = (_cpu(runs[_RESOLVERS, name]) for name in (servers.PURE, *_FAST))
    what = f"CPU of the worker, pure Python / the best of {', '.join(_FAST)}, {_RESOLVERS}"
    figure(what, pure / min(fast), _LIMIT, "x")


def _cpu(runs: Sequence[Run]) -> float:
    return median(run.total for run in runs)


def _print_mix(name: str, runs: Mapping[str, Sequence[Run]]) -> None:
    ours = [each for each in (servers.FAST, servers.PURE) if each in runs]
    rounds = len(runs[servers.PURE])
    say(f"\n{name}: {rounds} interleaved rounds of {_RUN} s; CPU in microseconds per answered query, medians")
    heads = (
        "",
        "CPU (least to greatest)",
        "user",
        "system",
        "others",
        *(f"{each} / it" for each in ours),
        "busy",
        "answers/s",
        "octets",
        "lost",
    )
    table(heads, [_row(server, these, [_cpu(runs[each]) for each in ours]) for server, these in runs.items()])
    for each in ours:
        _print_ratios(each, runs[each], [runs[rival] for rival in _FAST])


def _print_ratios(name: str, ours: Sequence[Run], fast: Sequence[Sequence[Run]]) -> None:
    rounds = zip(ours, *fast, strict=True)
    ratios = [first.total / min(run.total for run in others) for first, *others in rounds]
    least = min(run.total for run in ours) / min(run.total for runs in fast for run in runs)
    say(f"{name} / the best of {', '.join(_FAST)}, by rounds: {spread(ratios)}; of the least of all: {least:.2f}")


def _row(server: str, runs: Sequence[Run], ours: Sequence[float]) -> tuple[str, ...]:
    def middle(field: str) -> float:
        return float(median(getattr(run, field) for run in runs))

    return (
        server,
        spread([run.total for run in runs]),
        *(f"{middle(field):.2f}" for field in ("user", "system", "others")),
        *(f"{cpu / _cpu(runs):.2f}" for cpu in ours),
        f"{middle('busy'):.0%}",
        f"{middle('rate'):,.0f}",
        f"{middle('size'):.0f}",
        str(sum(run.lost for run in runs)),
    )


def _measure_kinds(running: Sequence[Server], path: Path) -> None:
    """Say where the time goes; one short run each."""
    rows, ours = [], [server for server in running if server.name in {servers.FAST, servers.PURE}]
    for kind, questions in mixes.KINDS.items():
        mixes.write(path, questions)
        used = {server.name: _measure(server, path, _RUN_OF_A_KIND).total for server in running}
        best = min(used[rival] for rival in _FAST)
        ratios = [used[server.name] / best for server in ours]
        rows.append((kind, *(f"{value:.2f}" for value in (*used.values(), *ratios))))
    say(f"\nby kind of query, plain, one run of {_RUN_OF_A_KIND} s each: CPU in microseconds per answered query")
    table(("", *(server.name for server in running), *(f"{server.name} / best" for server in ours)), rows)


def _measure(server: Server, mix: Path, seconds: float) -> Run:
    before = server.cpu()
    command = ["taskset", "-c", servers.CLIENT_CORE, "dnsperf", "-s", "127.0.0.1", "-p", str(server.port)]
    command += ["-B", "-d", str(mix), "-l", str(seconds), "-c", "1", "-T", "1", "-q", "100"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = {pid: used - before[pid] for pid, used in server.cpu().items() if pid in before}
    return _read(f"{server.name}: {output}", spent)


def _read(output: str, spent: dict[int, machine.Cpu]) -> Run:
    def number(pattern: str) -> float:
        found = re.search(pattern + r"\s+([\d.]+)", output)
        assert found, output
        return float(found[1])

    answered = number("Queries completed:")
    assert answered, output
    codes = set(re.findall(r"([A-Z]+) \d+ \(", output))
    assert codes <= {"NOERROR", "NXDOMAIN"}, output
    worker = max(spent.values(), key=lambda used: used.total)
    everything = sum(used.total for used in spent.values())
    return Run(
        total=worker.total / answered * 1e6,
        # Ticks are a sample of when; how long is in the total.
        user=worker.total * worker.user / (worker.user + worker.system) / answered * 1e6,
        system=worker.total * worker.system / (worker.user + worker.system) / answered * 1e6,
        others=(everything - worker.total) / answered * 1e6,
        busy=worker.total / number(r"Run time \(s\):"),
        rate=number("Queries per second:"),
        size=int(number(r"response")),
        lost=int(number("Queries lost:")),
    )
