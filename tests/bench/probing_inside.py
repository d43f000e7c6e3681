"""In a fresh process: probe and print what it took as JSON.

Run as `python -m tests.bench.probing_inside cpu PORT CA_FILE`, `... load PORT CA_FILE MEMBERS SECONDS STARTTLS` or
`... losses PORT CA_FILE PROBES`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnslb.daemon import descriptors
from dnslb.pool.health import AT_WORK, Aspect, Health, NextProbe, Thresholds, Verdict, next_probe, observe
from dnslb.probe.recipe import Kind, Recipe, StartTls, Target, Verify
from dnslb.probe.scheduler import Scheduler
from dnslb.probe.smtp import probe
from tests.bench import machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnslb.probe.transcript import Report

ROUNDS = 9
PROBES = 400
AT_A_TIME = 16
INTERVAL = 10.0
RISE, FALL = 2, 3
FAST = 0.1
FEW = 100
_FIRST_ADDRESS = ip_address("127.64.0.1")


def _recipe(port: int, starttls: StartTls = StartTls.OFF) -> Recipe:
    return Recipe("inbound", Kind.SMTP, port, INTERVAL, 10.0, RISE, FALL, "probe.lb.example.org", starttls=starttls)


def _targets(recipe: Recipe, number: int) -> list[Target]:
    """Return members with an address each."""
    return [
        Target("inbound", f"mx{count}", (_FIRST_ADDRESS + count,), recipe.port, recipe, "mx1.lb.example.org")
        for count in range(number)
    ]


def _depths(port: int, ca_file: Path) -> dict[str, tuple[Recipe, frozenset[Aspect]]]:
    """Return what is measured: the recipe, and the aspects that its probes examine."""
    plain, secure = _recipe(port), _recipe(port, StartTls.OPPORTUNISTIC)
    verified = replace(secure, verify=Verify.NAME, ca_file=ca_file, rcpt_to="postmaster@example.org")
    session, tls = frozenset({Aspect.SESSION}), frozenset({Aspect.SESSION, Aspect.TLS})
    return {
        "plain": (plain, session),
        "plain, MAIL and RCPT": (
            replace(plain, rcpt_to="postmaster@example.org"),
            session | {Aspect.RECIPIENT},
        ),
        "STARTTLS": (secure, tls),
        "STARTTLS, certificate judged by its dates": (secure, tls | {Aspect.CERTIFICATE}),
        "STARTTLS, certificate verified, MAIL and RCPT": (verified, frozenset(verified.intervals)),
    }


def _cpu(port: int, ca_file: Path) -> dict[str, list[float]]:
    """Return CPU milliseconds per probe, one figure for each round; the first round only warms up."""
    spent: dict[str, list[float]] = {}
    for count in range(ROUNDS + 1):
        for name, (recipe, aspects) in _depths(port, ca_file).items():
            targets = _targets(recipe, PROBES)
            before = time.process_time()
            asyncio.run(_probe_all(iter(targets), aspects))
            if count:
                spent.setdefault(name, []).append((time.process_time() - before) / PROBES * 1000)
    return spent


async def _probe_all(targets: Iterator[Target], aspects: frozenset[Aspect]) -> None:
    async def some() -> None:
        for target in targets:
            report = await probe(target, aspects)
            assert report.result.verdict is Verdict.OK, report
            assert aspects <= report.result.examined, report

    await asyncio.gather(*(some() for _ in range(AT_A_TIME)))


class Observer:
    """The health of all members, and what their probes were like since the last `clear`."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._healths: dict[str, Health] = {}
        self.lags: list[float] = []
        self.verdicts: Counter[str] = Counter()
        self.deep = 0
        self.fallen = 0

    def take(self, target: Target, report: Report, lag: float) -> NextProbe:
        """Do what the daemon does with a report, but for publishing."""
        before = self._healths.get(target.member, Health())
        after = self._healths[target.member] = observe(before, report.result, self._thresholds)
        self.lags.append(lag)
        self.verdicts[report.result.verdict] += 1
        self.deep += Aspect.TLS in report.result.examined
        self.fallen += before.state in AT_WORK and after.state not in AT_WORK
        return next_probe(after, self._thresholds)

    def clear(self) -> None:
        """Begin to count."""
        self.lags.clear()
        self.verdicts.clear()
        self.deep = self.fallen = 0


async def _load(port: int, number: int, seconds: float, starttls: str) -> dict[str, Any]:
    """Probe so many members for a while, after an interval that is not counted."""
    gc.collect()
    empty = machine.memory(os.getpid())
    observer = Observer(Thresholds(RISE, FALL, INTERVAL))
    recipe = _recipe(port, StartTls(starttls))
    scheduler = Scheduler(observer.take, concurrency=descriptors.for_probes(descriptors.raise_limit()))
    await scheduler.start(_targets(recipe, number))
    gc.freeze()  # as the daemon does when it has started
    await asyncio.sleep(INTERVAL + 1)
    observer.clear()
    started, used = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    took, used = time.monotonic() - started, time.process_time() - used
    lags, verdicts, deep = list(observer.lags), dict(observer.verdicts), observer.deep
    full = machine.memory(os.getpid())
    await scheduler.stop()
    return {
        "lags": lags,
        "verdicts": verdicts,
        "deep": deep,
        "share": used / took,
        "rate": len(lags) / took,
        "empty": asdict(empty),
        "full": asdict(full),
    }


async def _losses(port: int, probes: int) -> dict[str, Any]:
    """Probe some members fast and often."""
    fast = replace(
        _recipe(port, StartTls.OPPORTUNISTIC),
        interval=FAST,
        timeout=0.5,
        tls_interval=1.0,
        certificate_interval=5.0,
        rcpt_to="postmaster@example.org",
        recipient_interval=0.5,
    )
    observer = Observer(Thresholds(RISE, FALL, FAST))
    scheduler = Scheduler(observer.take, concurrency=FEW)
    await scheduler.start(_targets(fast, FEW))
    while observer.verdicts.total() < probes:  # noqa: ASYNC110 - it ends when enough has been counted
        await asyncio.sleep(FAST)
    await scheduler.stop()
    return {"verdicts": dict(observer.verdicts), "deep": observer.deep, "fallen": observer.fallen}


def main(words: Sequence[str]) -> Any:  # noqa: ANN401 - JSON
    """Do what the words say."""
    port, ca_file = int(words[1]), Path(words[2])
    match words:
        case ["cpu", _, _]:
            return _cpu(port, ca_file)
        case ["load", _, _, members, seconds, starttls]:
            return asyncio.run(_load(port, int(members), float(seconds), starttls))
        case ["losses", _, _, probes]:
            return asyncio.run(_losses(port, int(probes)))
        case _:
            raise AssertionError(words)


if __name__ == "__main__":
    json.dump(main(sys.argv[1:]), sys.stdout)
