"""A turn for each resolver: what it costs a query, and what it is worth, simulated and with real resolvers."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import cycle, islice
from statistics import median
from typing import TYPE_CHECKING, Any

import dns.message

from dnslb.answer.responder import respond
from dnslb.answer.turns import Turns
from tests.bench.parts import ROOT, Stage
from tests.bench.report import figure, say, spread, table, title
from tests.conftest import member, pool, service, snapshot, zone
from tests.e2e import unequal
from tests.e2e.members import Members
from tests.e2e.product import Daemon

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnslb.answer.snapshot import Snapshot

ROUNDS = 41
QUERIES = 20_000
COST = 0.4
ERROR = 2.2
_WEIGHTS = (5, 3, 1, 1)
_CLIENTS = (50, 1000, 20_000)
_COMMAND = "simulate --weights 5,3,1,1 --records 1 --ttl 60 --rate {rate} --runs 200 {scene}"
_TRAFFIC = {"Zipf": "--spread zipf", "one resolver has 40 %": "--spread 40"}
_AFTER = ("15m", "60m")
_DESIGN_RATE = 10
"""Messages a second: of more, small resolvers ask as regularly as a clock, and one ring for all meets itself."""
_RATE = 100
_COLUMNS = {
    "random per query": "gdnsd weighted",
    "one ring for all": "dnslb, one ring for all",
    "a turn per resolver": "dnslb",
}
_WORKERS = ("--workers 1", "--workers 2", "--workers 4", "--workers 2 --unsteered", "--workers 4 --unsteered")


class _OneTurn(Turns):
    """One turn for all clients and rings, as a balancer without state for clients has it."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        super().__init__(0)
        self._next = 0

    def take(self, client: bytes, key: bytes, length: int) -> int:  # noqa: ARG002 - whoever asks, whatever for
        turn = self._next
        self._next = turn + 1
        return turn


@dataclass(slots=True)
class Case:
    """So many clients that ask, with turns by client or one for all, and the microseconds of CPU per query."""

    clients: list[bytes]
    turns: Turns
    rounds: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    title("9. A turn for each resolver: its cost, and its worth")
    _print_cost()
    _print_design()
    _print_workers()
    _print_unbounds()


def _print_cost() -> None:
    added: dict[int, list[float]] = {}
    say(
        "`respond` alone, without sockets: an address service, 1 of 4 members in an answer, clients in any order.\n"
        f"Microseconds of CPU per query, medians of {ROUNDS} interleaved rounds of {QUERIES:,} queries."
    )
    rows = []
    for number in _CLIENTS:
        one, own = _cost(number)
        added[number] = [more - less for more, less in zip(own.rounds, one.rounds, strict=True)]
        rows.append((f"{number:,}", spread(one.rounds), spread(own.rounds), spread(added[number])))
    table(("clients", "one turn for all", "a turn for each", "added"), rows)
    for number, these in added.items():
        figure(f"a turn for each of {number:,} clients", median(these), COST, "us a query")


def _cost(number: int) -> tuple[Case, Case]:
    """Measure both with so many clients, each in turn in each round, after one that only warms up."""
    draw = random.Random(1)  # noqa: S311 - the same clients in each run
    known = [draw.getrandbits(32).to_bytes(4, "big") for _ in range(number)]
    clients = list(islice(cycle(draw.sample(known, number)), QUERIES))
    cases = Case(clients, _OneTurn()), Case(clients, Turns(0))
    table_of_answers = _snapshot()
    query = dns.message.make_query("mx.lb.test", "A").to_wire()
    for turn in range(ROUNDS + 1):
        for case in (cases, cases[::-1])[turn % 2]:
            took = _one_round(case, query, table_of_answers)
            if turn:
                case.rounds.append(took)
    return cases


def _snapshot() -> Snapshot:
    members = (member(f"mx{n}", f"192.0.2.{n}", weight=weight) for n, weight in enumerate(_WEIGHTS, 1))
    return snapshot(zone(""), pool(*members), service(records=1))


def _one_round(case: Case, query: bytes, answers: Snapshot) -> float:
    """Return the microseconds of CPU per query."""
    turns = case.turns
    gc.disable()
    try:
        began = time.process_time()
        for client in case.clients:
            respond(query, answers, turns, client)
        return 1e6 * (time.process_time() - began) / len(case.clients)
    finally:
        gc.enable()


def _print_design() -> None:
    scenes = {(name, after): f"{words} --for {after}" for name, words in _TRAFFIC.items() for after in _AFTER}
    say(
        "\nThe largest error of any member in points, mean of 200 runs with 50 resolvers, weights 5:3:1:1, TTL 60:\n"
        f"  dnslb {_COMMAND.format(rate=_DESIGN_RATE, scene='--spread zipf --for 15m')} --compare   (and so on)"
    )
    rows = []
    for (name, after), scene in scenes.items():
        found = _simulated(f"{scene} --compare", _DESIGN_RATE)["compare"]
        errors = [100 * found[of]["largest_error"] for of in _COLUMNS.values()]
        rows.append((name, after.removesuffix("m") + " min", *(f"{error:.1f}" for error in errors)))
    table(("traffic", "after", *_COLUMNS), rows)


def _print_workers() -> None:
    scene = f"{_TRAFFIC['one resolver has 40 %']} --for 15m"
    say(
        f"\nThe same with worker processes, {_RATE} messages a second:\n"
        f"  dnslb {_COMMAND.format(rate=_RATE, scene=scene)} --workers 4   (and so on)"
    )
    errors = {words: 100 * _simulated(f"{scene} {words}", _RATE)["largest_error"] for words in _WORKERS}
    table(("", "error"), [(words, f"{error:.1f}") for words, error in errors.items()])
    for words, error in errors.items():
        if "--unsteered" not in words:
            figure(f"one resolver has 40 %, 15 min, {words}", error, ERROR, "points")


def _print_unbounds() -> None:
    sizes = ", ".join(f"{size} %" for size in unequal.SIZES.values())
    say(
        f"\nReal unbounds with {sizes} of the lookups, and 2 workers: {len(unequal.NAMES)} names with\n"
        f"1 record and TTL 1, for {unequal.SECONDS:g} s. The error is the largest of any member in points, mean of the"
        " names."
    )
    if os.geteuid() != 0 or shutil.which("unbound", path="/usr/sbin:/usr/bin") is None:
        say("not measured: unbound or root's rights are missing")
        return
    with Stage() as stage:
        members = Members(stage, len(unequal.WEIGHTS))
        daemon = Daemon(stage, members, weights=unequal.WEIGHTS)
        behind = unequal.start(stage, daemon)
        daemon.wait_published(*unequal.WEIGHTS)
        load = unequal.look_up(daemon, members, behind)
        found = {of: unequal.simulated(daemon, load, "--compare")["compare"][name] for of, name in _COLUMNS.items()}
        found["a turn per resolver, unsteered"] = unequal.simulated(daemon, load, "--unsteered")
    say(f"{load.lookups:,} lookups; each resolver asked {load.turns:.1f} times for each name")
    table(
        ("", "error"),
        [("measured", f"{100 * load.error:.1f}")]
        + [(f"simulated, {name}", f"{100 * of['largest_error']:.1f}") for name, of in found.items()],
    )
    random_error = found["random per query"]["largest_error"]
    figure("measured, of what random draws have", load.error / random_error, unequal.BOUND, "x")


def _simulated(scene: str, rate: int) -> dict[str, Any]:
    """Return what `dnslb simulate --json` prints."""
    words: Sequence[str] = _COMMAND.format(rate=rate, scene=scene).split()
    command = [sys.executable, "-m", "dnslb", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
