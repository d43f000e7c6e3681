"""What Prometheus may read: counted here as plain numbers, turned into text only when somebody asks.

The names and labels are promised to dashboards; see the README.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from dnslb.pool.health import ProbeResult

CONTENT_TYPE = CONTENT_TYPE_LATEST

_PROBE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_CHANGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass(frozen=True, slots=True)
class MemberReading:
    """One member as it is answered now.

    `state` is what probes say and `admin` what people say, in the words of the status. `share` is a fraction of 1,
    `weight` the effective one. `certificate_expires` is Unix time, None without TLS.
    """

    up: bool
    published: bool
    share: float
    weight: float
    state: str
    admin: str
    certificate_expires: float | None = None


@dataclass(frozen=True, slots=True)
class PoolReading:
    """One pool as it is answered now; members by name."""

    panic: bool
    members: Mapping[str, MemberReading]


@dataclass(frozen=True, slots=True)
class ResolversReading:
    """How concentrated resolvers are, by queries: the largest network's part, and how many equal ones are as even."""

    concentration: float
    effective: float


@dataclass(frozen=True, slots=True)
class NoticesReading:
    """What has become of the events that a target of [[notify]] was to be told of."""

    target: str
    delivered: int
    missed: int
    failing: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read elsewhere at the moment of a scrape.

    `queries` counts by (protocol, query type, response code), `drops` by reason, `limited` by action, `closed` TCP
    connections by reason, all since the start of the daemon. `generation` is the newest one, `worker_generations` those
    that the workers answer from, in the order of their places. `state_failing` says that nothing can be kept on disk.
    `pools` are by name. `resolvers` is None before the
    first query.
    """

    queries: Mapping[tuple[str, str, str], int]
    drops: Mapping[str, int]
    generation: int
    pools: Mapping[str, PoolReading]
    resolvers: ResolversReading | None = None
    limited: Mapping[str, int] = field(default_factory=dict)
    closed: Mapping[str, int] = field(default_factory=dict)
    worker_generations: Sequence[int] = ()
    notices: Sequence[NoticesReading] = ()
    state_failing: bool = False


class Metrics:
    """Counts what happens in the controller and renders it together with a Reading.

    `read` is called in the thread that renders, once a scrape: it may only touch what any thread may read.
    """

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read
        self._probes: Counter[tuple[str, str, str]] = Counter()
        self._durations: dict[str, _Histogram] = {}
        self._lag = 0.0
        self._changes = _Histogram(_CHANGE_BUCKETS)
        self._restarts = 0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_AtScrape(self._families))

    def probe_finished(self, pool: str, member: str, result: ProbeResult, lag_s: float) -> None:
        """Count one probe that started `lag_s` seconds later than planned."""
        self._probes[pool, member, result.verdict] += 1
        self._durations.setdefault(pool, _Histogram(_PROBE_BUCKETS)).observe(result.duration_s)
        self._lag = lag_s

    def answer_changed(self, seconds: float) -> None:
        """Note how long it took from a probe result until every worker had the new answers."""
        self._changes.observe(seconds)

    def worker_restarted(self) -> None:
        """Count one worker process that had to be replaced."""
        self._restarts += 1

    def forget(self, pool: str, member: str) -> None:
        """Drop the series of a member that is no longer configured, and of its pool with the last of them."""
        for key in [key for key in self._probes if key[:2] == (pool, member)]:
            del self._probes[key]
        if not any(key[0] == pool for key in self._probes):
            self._durations.pop(pool, None)

    def exposition(self) -> bytes:
        """Return all series in the Prometheus text format (CONTENT_TYPE). Slow with many members: use a thread."""
        return generate_latest(self._registry)

    def _families(self) -> Iterator[Metric]:
        yield from _reading_families(self._read())
        # Copies, for the event loop goes on counting while a thread renders.
        yield _counter("dnslb_probe", "Probes by verdict.", ("pool", "member", "verdict"), self._probes.copy().items())
        yield _histogram(
            "dnslb_probe_duration_seconds",
            "How long probes took.",
            ("pool",),
            [((pool,), histogram) for pool, histogram in self._durations.copy().items()],
        )
        yield GaugeMetricFamily("dnslb_probe_lag_seconds", "How late the latest probe started.", value=self._lag)
        yield _histogram(
            "dnslb_answer_change_seconds",
            "From a probe result to new answers in all workers.",
            (),
            [((), self._changes)],
        )
        yield CounterMetricFamily(
            "dnslb_worker_restarts", "Worker processes that had to be replaced.", value=self._restarts
        )


class _AtScrape(Collector):
    """What the registry asks for series."""

    def __init__(self, families: Callable[[], Iterator[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Return all series as they are now."""
        return self._families()


class _Histogram:
    """Observations counted by bucket; `limits` are inclusive upper ends in rising order, without infinity."""

    def __init__(self, limits: Sequence[float]) -> None:
        self._limits = limits
        self._counts = [0.0] * (len(limits) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._limits, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return (upper end, how many values up to it), the way Prometheus wants them."""
        ends = [*map(str, self._limits), "+Inf"]
        return list(zip(ends, accumulate(self._counts), strict=True))


def _reading_families(reading: Reading) -> Iterator[Metric]:
    yield _counter("dnslb_queries", "Queries answered.", ("protocol", "qtype", "rcode"), reading.queries.items())
    drops = [((reason,), count) for reason, count in reading.drops.items()]
    yield _counter("dnslb_dropped", "Packets that got no answer.", ("reason",), drops)
    limited = [((action,), count) for action, count in reading.limited.items()]
    yield _counter("dnslb_rate_limited", "Responses that a network had enough of.", ("action",), limited)
    closed = [((reason,), count) for reason, count in reading.closed.items()]
    yield _counter("dnslb_tcp_closed", "TCP connections closed before their client did.", ("reason",), closed)
    yield GaugeMetricFamily("dnslb_generation", "Number of the answers given out now.", value=reading.generation)
    places = [((str(place),), generation) for place, generation in enumerate(reading.worker_generations)]
    yield _gauge("dnslb_worker_generation", "Number of the answers that a worker gives out.", ("worker",), places)
    failing = "1 while the state directory cannot be written to, and changes are refused."
    yield GaugeMetricFamily("dnslb_state_failing", failing, value=float(reading.state_failing))
    yield from _member_families(reading.pools)
    panics = [((name,), float(pool.panic)) for name, pool in reading.pools.items()]
    yield _gauge("dnslb_pool_panic", "1 while health is ignored: too little is healthy.", ("pool",), panics)
    yield from _resolver_families(reading.resolvers)
    yield from _notice_families(reading.notices)


def _notice_families(notices: Sequence[NoticesReading]) -> Iterator[Metric]:
    told = [((each.target, "delivered"), each.delivered) for each in notices]
    told += [((each.target, "missed"), each.missed) for each in notices]
    yield _counter("dnslb_notify", "Events that a target was told of, or will never be.", ("target", "result"), told)
    failing = [((each.target,), float(each.failing)) for each in notices]
    yield _gauge("dnslb_notify_failing", "1 while the target takes nothing.", ("target",), failing)


def _resolver_families(reading: ResolversReading | None) -> Iterator[Metric]:
    largest = [] if reading is None else [((), reading.concentration)]
    even = [] if reading is None else [((), reading.effective)]
    yield _gauge("dnslb_resolver_concentration", "The largest resolver network's part of the queries.", (), largest)
    yield _gauge("dnslb_resolver_effective", "How many equal resolver networks would be as even.", (), even)


def _member_families(pools: Mapping[str, PoolReading]) -> Iterator[Metric]:
    members = [((pool, name), member) for pool, reading in pools.items() for name, member in reading.members.items()]

    def gauge(name: str, documentation: str, value: Callable[[MemberReading], float]) -> Metric:
        values = [(labels, value(member)) for labels, member in members]
        return _gauge(name, documentation, ("pool", "member"), values)

    yield gauge("dnslb_member_up", "1 if probes find the member up.", lambda member: float(member.up))
    states = [((*labels, member.state, member.admin), 1.0) for labels, member in members]
    yield _gauge("dnslb_member_state", "1 under the states it is in.", ("pool", "member", "state", "admin"), states)
    yield gauge("dnslb_member_published", "1 if answers may hold the member.", lambda member: float(member.published))
    yield gauge("dnslb_member_share", "Fraction of new connections sent to it.", lambda member: member.share)
    yield gauge("dnslb_member_weight", "Weight that counts now.", lambda member: member.weight)
    expiries = [
        (labels, member.certificate_expires) for labels, member in members if member.certificate_expires is not None
    ]
    yield _gauge(
        "dnslb_member_certificate_expires_seconds",
        "Unix time at which its certificate ends.",
        ("pool", "member"),
        expiries,
    )


def _counter(
    name: str, documentation: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _gauge(
    name: str, documentation: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _histogram(
    name: str, documentation: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], _Histogram]]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, documentation, labels=labels)
    for key, histogram in values:
        family.add_metric(key, histogram.buckets(), histogram.total)
    return family
