"""What probing costs, how late probes start with many members, how soon faults are out of answers, false removals."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from tests.bench import probing_faults, probing_inside
from tests.bench.parts import ROOT, Stage
from tests.bench.probing_servers import ANYWHERE, Certificates, Responder
from tests.bench.report import figure, say, spread, table, title
from tests.e2e.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZES = (1_000, 5_000, 10_000)
SECONDS = 20
PLAIN_LIMIT = 0.5
STARTTLS_LIMIT = 2.0
LAG_LIMIT = 100.0
LIMITED_SIZE = 5_000
PROBES = 10_000
LOSS = 0.01
SEED = 1


def main() -> None:
    """Measure and print."""
    title("4. Probing")
    with Stage() as stage:
        certificates = Certificates(stage.directory("certificates"))
        port = free_port()
        responder = Responder(stage, port, ANYWHERE, certificates.good)

        def inside(*words: object) -> Any:  # noqa: ANN401 - JSON
            command = [sys.executable, "-m", "tests.bench.probing_inside", str(words[0]), str(port)]
            command += [str(certificates.authority), *map(str, words[1:])]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
            return json.loads(done.stdout)

        _cpu(inside)
        for starttls in ("off", "opportunistic"):
            _load(inside, starttls)
        _losses(inside, responder)
        probing_faults.measure(stage, certificates)


def _cpu(inside: Callable[..., Any]) -> None:
    say(
        "CPU of the probing process alone, kernel's part included; the server is in another process.\n"
        f"{probing_inside.ROUNDS} interleaved rounds of {probing_inside.PROBES} probes of each kind, "
        f"{probing_inside.AT_A_TIME} at a time; ms per probe, medians (least to greatest)."
    )
    spent = inside("cpu")
    table(("", "ms"), [(name, spread(rounds, ".3f")) for name, rounds in spent.items()])
    figure("CPU per plain probe", median(spent["plain"]), PLAIN_LIMIT, "ms")
    figure("CPU per probe with STARTTLS", median(spent["STARTTLS"]), STARTTLS_LIMIT, "ms")


def _load(inside: Callable[..., Any], starttls: str) -> None:
    say(
        f"\nstarttls = {starttls}, every {probing_inside.INTERVAL:.0f} s, other intervals by default; {SECONDS} s after"
        " a first interval.\nLag: how much later than planned a probe starts, ms. Memory: what a member adds to the"
        " process."
    )
    runs = {size: inside("load", size, SECONDS, starttls) for size in SIZES}
    heads = ("members", "probes/s", "with TLS", "lag p50", "p99", "most", "CPU of a core", "KB per member", "not ok")
    table(heads, [_load_row(size, run) for size, run in runs.items()])
    figure(f"lag p99 at {LIMITED_SIZE:,} members", _percentile(runs[LIMITED_SIZE]["lags"], 99), LAG_LIMIT, "ms")


def _load_row(size: int, run: dict[str, Any]) -> Sequence[str]:
    number = len(run["lags"])
    return (
        f"{size:,}",
        f"{run['rate']:.0f}",
        f"{run['deep'] / number:.0%}",
        f"{_percentile(run['lags'], 50):.1f}",
        f"{_percentile(run['lags'], 99):.1f}",
        f"{1000 * max(run['lags']):.1f}",
        f"{run['share']:.0%}",
        f"{(run['full']['rss'] - run['empty']['rss']) * 1000 / size:.1f}",
        str(number - run["verdicts"].get("ok", 0)),
    )


def _percentile(seconds: Sequence[float], percent: int) -> float:
    """Return a percentile in milliseconds."""
    return 1000 * quantiles(seconds, n=100)[percent - 1]


def _losses(inside: Callable[..., Any], responder: Responder) -> None:
    say(
        f"\n{LOSS:.0%} of all connections are lost, drawn with seed {SEED}: reset at once, never greeted, or closed"
        f" instead of answering EHLO.\n{probing_inside.FEW} members every {probing_inside.FAST} s, "
        f"rise = {probing_inside.RISE}, fall = {probing_inside.FALL}, as by default; deep probes among them."
    )
    responder.order("lose", LOSS, SEED)
    run = inside("losses", PROBES)
    responder.order("connections")
    connections, lost = map(int, responder.hear())
    responder.order("lose", 0, SEED)
    verdicts = ", ".join(f"{verdict} {number}" for verdict, number in sorted(run["verdicts"].items()))
    say(f"{connections} connections, {lost} of them lost; verdicts: {verdicts}; {run['deep']} probes with TLS")
    figure(f"false removals in {sum(run['verdicts'].values()):,} probes", run["fallen"], 0, "members")
