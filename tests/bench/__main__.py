"""All benchmarks, printed by one command: `python -m tests.bench`, or some of them by name.

`--seconds` says for how long `answering` begins new rounds, `--minutes` how long `soak` lasts, which runs only by name.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from functools import partial

from tests.bench import (
    affinity,
    answering,
    cli,
    deliveries,
    draining,
    dying,
    flood,
    growth,
    killing,
    latency,
    machine,
    many_pools,
    probing,
    replacing,
    shares,
    soak,
    turns,
    upgrading,
    views,
    workers,
)
from tests.bench.report import say

_BENCHMARKS = {
    "affinity": affinity.main,
    "answering": answering.main,
    "cli": cli.main,
    "deliveries": deliveries.main,
    "draining": draining.main,
    "dying": dying.main,
    "flood": flood.main,
    "growth": growth.main,
    "killing": killing.main,
    "latency": latency.main,
    "pools": many_pools.main,
    "probing": probing.main,
    "replacing": replacing.main,
    "shares": shares.main,
    "soak": soak.main,
    "turns": turns.main,
    "upgrading": upgrading.main,
    "views": views.main,
    "workers": workers.main,
}


_BY_NAME_ONLY = {"soak"}


def main(words: list[str]) -> int:
    """Run the benchmarks of these names, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(_BENCHMARKS))
    parser.add_argument("--seconds", type=float, default=answering.SECONDS, help="for the rounds of `answering`")
    parser.add_argument("--minutes", type=float, default=soak.MINUTES, help="for `soak`")
    options = parser.parse_args(words)
    unknown = [name for name in options.names if name not in _BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}: there are {', '.join(_BENCHMARKS)}")
    benchmarks = _BENCHMARKS | {
        "answering": partial(answering.main, options.seconds),
        "soak": partial(soak.main, options.minutes),
    }
    # An exception ends what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    for fact in machine.facts():
        say(fact)
    for name in options.names or [name for name in benchmarks if name not in _BY_NAME_ONLY]:
        benchmarks[name]()
    say(f"\n{time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
