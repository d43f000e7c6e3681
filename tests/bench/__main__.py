"""All benchmarks, printed by one command: `python -m tests.bench`, or some of them by name."""

from __future__ import annotations

import signal
import sys
import time

from tests.bench import (
    affinity,
    answering,
    deliveries,
    draining,
    dying,
    machine,
    many_pools,
    probing,
    shares,
    turns,
    views,
)
from tests.bench.report import say

_BENCHMARKS = {
    "affinity": affinity.main,
    "answering": answering.main,
    "deliveries": deliveries.main,
    "draining": draining.main,
    "dying": dying.main,
    "pools": many_pools.main,
    "probing": probing.main,
    "shares": shares.main,
    "turns": turns.main,
    "views": views.main,
}


def main(names: list[str]) -> int:
    """Run the benchmarks of these names, or all."""
    unknown = [name for name in names if name not in _BENCHMARKS]
    if unknown:
        say(f"no benchmark {unknown[0]!r}: there are {', '.join(_BENCHMARKS)}")
        return 2
    # An exception ends what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    for fact in machine.facts():
        say(fact)
    for name in names or _BENCHMARKS:
        _BENCHMARKS[name]()
    say(f"\n{time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
