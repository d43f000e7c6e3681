"""CPU time per answered query of one worker at saturation, beside gdnsd and NSD on the same zone and queries."""

from __future__ import annotations

import random
import re
import subprocess
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.query

from tests.bench import machine, servers
from tests.bench.parts import Stage
from tests.bench.report import figure, say, spread, table, title

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.servers import Server

ROUNDS = 13
SECONDS = 0.8
LIMIT = 1.6
_MIXES = {"plain": (), "EDNS, DO set": ("-e", "-D")}
_QUERIES = {
    ("relay", "A"): 200,
    ("relay", "AAAA"): 100,
    ("mail", "MX"): 250,
    ("mx1", "A"): 45,
    ("mx2", "A"): 35,
    ("mx3", "A"): 35,
    ("mx4", "A"): 35,
    ("mx1", "AAAA"): 50,
    ("ns1", "A"): 50,
    ("", "NS"): 20,
    ("mx2", "AAAA"): 40,
    ("relay", "TXT"): 20,
    ("mail", "A"): 20,
}
_NXDOMAIN = 100
_KINDS = {
    "A of a service, 2 members": [("relay", "A")],
    "MX of a service, 4 members": [("mail", "MX")],
    "A, static": [("ns1", "A")],
    "NODATA": [("mx2", "AAAA"), ("relay", "TXT")],
    "NXDOMAIN": [(f"no-such-{number}", "A") for number in range(_NXDOMAIN)],
}


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


def main() -> None:
    """Measure and print."""
    title("1. CPU time per answered query of one worker at saturation, beside gdnsd and NSD")
    if lacking := servers.missing():
        say(f"not measured: {', '.join(lacking)} missing (the Debian packages are listed in .ci/peers.txt)")
        return
    say(
        f"Servers on core {servers.SERVER_CORE}, one answering process or thread each; dnsperf on core"
        f" {servers.CLIENT_CORE}, 100 queries outstanding.\n"
        "dnslb answers relay (A, 2 of 4 members) and mail (MX, 4, ranked) from a probed pool and goes round its\n"
        "ring; gdnsd and NSD hold the same names as static records. In the mix: relay A 20 %, relay AAAA 10 %,\n"
        "mail MX 25 %, member hosts and static records 27 %, NODATA 8 %, NXDOMAIN 10 %. Response sizes differ:\n"
        "dnslb adds the addresses of MX targets, gdnsd and NSD (minimal-responses: yes) do not.\n"
        "CPU is that of the busiest process, which is the one that answers; `others` is that of the server's other\n"
        "processes (for dnslb, the controller); `busy` is CPU by wall time, near 100 % only at saturation: on a\n"
        "machine that does other work, `chrt -f 1 python -m tests.bench answering` keeps that work away."
    )
    with Stage() as stage:
        running = servers.start_all(stage)
        say(_compare_answers(running))
        mix = stage.path / "mix"
        _write_mix(mix)
        for name, options in _MIXES.items():
            _measure_mix(name, options, running, mix)
        _measure_kinds(running, mix)


def _write_mix(path: Path) -> None:
    questions = [question for question, number in _QUERIES.items() for _ in range(number)] + _KINDS["NXDOMAIN"]
    random.Random(1).shuffle(questions)  # noqa: S311 - the same mix in each run
    _write(path, questions)


def _write(path: Path, questions: Sequence[tuple[str, str]]) -> None:
    path.write_text("".join(f"{_owner(name)} {rtype}\n" for name, rtype in questions))


def _owner(name: str) -> str:
    return f"{name}.lb.example.org" if name else "lb.example.org"


def _compare_answers(running: Sequence[Server]) -> str:
    """Ask each server every question of the mix once; say whether they agree."""
    questions = [*_QUERIES, ("no-such-0", "A")]
    differing = [question for question in questions if len({_gist(server, *question) for server in running}) > 1]
    assert not differing, f"the servers disagree on {differing}"
    return (
        f"Checked: on all {len(questions)} questions of the mix the three agree on the response code, AA,"
        " the records' types and TTLs, and the SOA of negative answers."
    )


def _gist(server: Server, name: str, rtype: str) -> tuple[object, ...]:
    query = dns.message.make_query(_owner(name), rtype, use_edns=0, payload=1232)
    reply = dns.query.udp(query, "127.0.0.1", 2, server.port)
    records = sorted((rrset.rdtype.name, rrset.ttl, len(rrset)) for rrset in reply.answer)
    negative = sorted((rrset.rdtype.name, rrset.ttl) for rrset in reply.authority) if not records else []
    return reply.rcode(), bool(reply.flags & dns.flags.AA), tuple(records), tuple(negative)


def _measure_mix(name: str, options: Sequence[str], running: Sequence[Server], mix: Path) -> None:
    runs: dict[str, list[Run]] = {server.name: [] for server in running}
    for server in running:
        _measure(server, options, mix, 1)  # warms up
    for turn in range(ROUNDS):
        for server in (*running[turn % len(running) :], *running[: turn % len(running)]):
            runs[server.name].append(_measure(server, options, mix, SECONDS))
    _print_mix(name, runs)


def _print_mix(name: str, runs: dict[str, list[Run]]) -> None:
    others = runs.keys() - {"dnslb"}
    better = min(median(run.total for run in runs[other]) for other in others)
    say(f"\n{name}: {ROUNDS} interleaved rounds of {SECONDS} s; CPU in microseconds per answered query, medians")
    heads = ("", "CPU (least to greatest)", "user", "system", "others", "ratio", "busy", "answers/s", "octets", "lost")
    table(heads, [_row(server, these, better) for server, these in runs.items()])
    pairs = zip(runs["dnslb"], runs["gdnsd"], runs["nsd"], strict=True)
    ratios = [ours.total / min(gdnsd.total, nsd.total) for ours, gdnsd, nsd in pairs]
    least = min(run.total for run in runs["dnslb"]) / min(run.total for other in others for run in runs[other])
    say(f"ratio round by round: {spread(ratios)}; of the least of all rounds: {least:.2f}")
    ours = median(run.total for run in runs["dnslb"])
    figure(f"CPU of dnslb's worker / the better of gdnsd and NSD, {name}", ours / better, LIMIT, "x")


def _row(server: str, runs: Sequence[Run], better: float) -> tuple[str, ...]:
    def middle(field: str) -> float:
        return float(median(getattr(run, field) for run in runs))

    return (
        server,
        spread([run.total for run in runs]),
        *(f"{middle(field):.2f}" for field in ("user", "system", "others")),
        f"{middle('total') / better:.2f}",
        f"{middle('busy'):.0%}",
        f"{middle('rate'):,.0f}",
        f"{middle('size'):.0f}",
        str(sum(run.lost for run in runs)),
    )


def _measure_kinds(running: Sequence[Server], path: Path) -> None:
    """Say where the time goes; one short run each."""
    rows = []
    for kind, questions in _KINDS.items():
        _write(path, questions)
        used = [_measure(server, (), path, 1).total for server in running]
        rows.append((kind, *(f"{value:.2f}" for value in used), f"{used[0] / min(used[1:]):.2f}"))
    say("\nby kind of query, plain, one run of 1 s each: CPU in microseconds per answered query")
    table(("", *(server.name for server in running), "ratio"), rows)


def _measure(server: Server, options: Sequence[str], mix: Path, seconds: float) -> Run:
    before = server.cpu()
    command = ["taskset", "-c", servers.CLIENT_CORE, "dnsperf", "-s", "127.0.0.1", "-p", str(server.port)]
    command += ["-d", str(mix), "-l", str(seconds), "-c", "1", "-T", "1", "-q", "100", *options]
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
