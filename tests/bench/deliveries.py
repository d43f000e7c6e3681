"""Shares where they matter: at the members, in the mail of a real Postfix behind a real unbound or BIND."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from math import inf
from statistics import median
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from tests.bench.parts import Stage
from tests.bench.report import figure, say, spread, table, title
from tests.e2e import resolvers, senders
from tests.e2e.members import Members
from tests.e2e.processes import PEERS, free_port, until
from tests.e2e.product import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.e2e.senders import Postfix

MESSAGES = 2000
RUNS = 3
RATE = 100.0
SESSIONS = 4
LIMIT = 2.0
WEIGHTS = {"mx1": 5, "mx2": 3, "mx3": 1, "mx4": 1}
_SERVICE, _RECIPIENT = "mail.lb.test", "someone@mail.lb.test"
_RESOLVERS = {"unbound": resolvers.unbound, "bind": resolvers.bind}
_WANTED = {name: weight / sum(WEIGHTS.values()) for name, weight in WEIGHTS.items()}
_PACED = "paced"
_PATH = "/usr/bin:/usr/sbin:/bin"
_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one run: each member's part of the messages, the seconds it took, and the MX queries it needed."""

    shares: Mapping[str, float]
    seconds: float
    queries: float

    def error(self, wanted: Mapping[str, float]) -> float:
        """Return the largest distance of a member's share from the wanted one, in points."""
        return max(100 * abs(self.shares[name] - share) for name, share in wanted.items())


@dataclass(frozen=True, slots=True)
class Measured:
    """The runs at one pace behind one resolver, and what is simulated: the shares, and the error in points."""

    resolver: str
    pace: str
    runs: Sequence[Run]
    simulated: Mapping[str, float]
    simulated_error: float


@dataclass(frozen=True, slots=True)
class Mail:
    """What sends and what takes: a Postfix, its resolver, the daemon and the members."""

    resolver: str
    members: Members
    daemon: Daemon
    http: int
    postfix: Postfix

    def run(self, subjects: Sequence[str], rate: float) -> Run:
        """Send one message for each subject, so many a second, and wait until all have been taken."""
        queries, began = self._queries(), time.monotonic()
        with ThreadPoolExecutor(SESSIONS) as pool:
            parts = [_paced(subjects[first::SESSIONS], began + first / rate, rate) for first in range(SESSIONS)]
            list(pool.map(partial(self.postfix.submit, _RECIPIENT), parts))
        until(lambda: self.members.have_all(subjects), "the mail arrives", seconds=_SECONDS)
        seconds, counts = time.monotonic() - began, self.members.taken(subjects)
        shares = {name: number / len(subjects) for name, number in counts.items()}
        return Run(shares, seconds, self._queries() - queries)

    def _queries(self) -> float:
        """Return how many MX queries the daemon has answered."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics") as response:
            families = text_string_to_metric_families(response.read().decode())
        samples = [sample for family in families for sample in family.samples]
        return sum(s.value for s in samples if s.name == "dnslb_queries_total" and s.labels["qtype"] == "MX")

    def simulated(self, runs: Sequence[Run]) -> tuple[Mapping[str, float], float]:
        """Return the shares and the error in points that `dnslb simulate` says for mail at the pace of the runs."""
        seconds = sum(run.seconds for run in runs) / len(runs)
        words = ("--resolver", self.resolver, "--resolvers", "1", "--rate", f"{MESSAGES / seconds}")
        done = self.daemon.cli("simulate", _SERVICE, *words, "--for", f"{seconds}", "--json")
        found = json.loads(done.stdout)
        return {name: of["share"] for name, of in found["members"].items()}, 100 * found["largest_error"]


def _paced(subjects: Sequence[str], begin: float, rate: float) -> Iterator[str]:
    """Yield each subject at its time; the sessions take turns."""
    for turn, subject in enumerate(subjects):
        time.sleep(max(0.0, begin + SESSIONS * turn / rate - time.monotonic()))
        yield subject


def main() -> None:
    """Measure and print."""
    title(f"7. Shares of {MESSAGES:,} messages at the members: a real Postfix through real resolvers")
    if lacking := _missing():
        say(f"not measured: {', '.join(lacking)} missing (tests/e2e/fetch_peers.sh unpacks the mail servers)")
        return
    weights = ":".join(map(str, WEIGHTS.values()))
    say(
        f"A ranked MX, weights {weights}, TTL 0; Postfix with its defaults, so up to 20 deliveries at a time;\n"
        f"{RUNS} runs each. Paced is {RATE:g} messages a second, evenly. At once is as fast as Postfix takes them:\n"
        "then many ask in the same moment and share an answer, up to 20 of them: the resolver asks once for all.\n"
        "The error is that of the member with the largest, in points. `dnslb simulate` is told how many messages\n"
        "come in a second, and has them come at random times."
    )
    found = [measured for resolver in _RESOLVERS for measured in _measure(resolver)]
    heads = ("", "messages/s", "messages per answer", "error", "from simulated shares", "error simulated")
    table(heads, [_row(measured) for measured in found])
    for measured in found:
        if measured.pace == _PACED:
            _print_figures(measured)


def _print_figures(measured: Measured) -> None:
    what = f"{measured.resolver}, {measured.pace}"
    for name, wanted in (("the weights", _WANTED), ("`dnslb simulate`", measured.simulated)):
        figure(f"{what}, most from {name}", max(run.error(wanted) for run in measured.runs), LIMIT, "points")


def _missing() -> list[str]:
    """Return what is lacking, of programs and rights."""
    programs = [name for name in ("unbound", "named", "unshare") if shutil.which(name, path=_PATH) is None]
    postfix = [] if (PEERS / "usr/lib/postfix/sbin/master").is_file() else ["Postfix"]
    return [*programs, *postfix, *([] if os.geteuid() == 0 else ["root's rights"])]


def _measure(resolver: str) -> Iterator[Measured]:
    with Stage() as stage:
        mail = _start(stage, resolver)
        subjects = (f"message-{number}" for number in count())
        for pace, rate in ((_PACED, RATE), ("at once", inf)):
            runs = [mail.run(list(islice(subjects, MESSAGES)), rate) for _ in range(RUNS)]
            yield Measured(resolver, pace, runs, *mail.simulated(runs))


def _start(stage: Stage, resolver: str) -> Mail:
    members, http = Members(stage, len(WEIGHTS)), free_port()
    daemon = Daemon(stage, members, weights=WEIGHTS, http=f"127.0.0.1:{http}")
    postfix = senders.postfix(stage, resolver=_RESOLVERS[resolver](stage, daemon.port), port=members.port)
    daemon.wait_published(*WEIGHTS)
    return Mail(resolver, members, daemon, http, postfix)


def _row(measured: Measured) -> tuple[str, ...]:
    runs = measured.runs
    return (
        f"{measured.resolver}, {measured.pace}",
        f"{median(MESSAGES / run.seconds for run in runs):.0f}",
        f"{median(MESSAGES / run.queries for run in runs):.2f}",
        spread([run.error(_WANTED) for run in runs]),
        spread([run.error(measured.simulated) for run in runs]),
        f"{measured.simulated_error:.2f}",
    )
