"""The metrics have the promised names and labels, and say what happened."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dnslb.metrics import MemberReading, Metrics, NoticesReading, PoolReading, Reading, ResolversReading
from dnslb.pool.health import ProbeResult, Verdict
from dnslb.probe.verdict import EFFECTS

READING = Reading(
    queries={("udp", "MX", "NOERROR"): 7, ("tcp", "A", "NXDOMAIN"): 2},
    drops={"short": 3},
    generation=4,
    pools={
        "inbound": PoolReading(
            panic=False,
            members={
                "mx1": MemberReading(up=True, published=True, share=0.75, weight=30, state="up", admin="ready"),
                "mx2": MemberReading(up=False, published=False, share=0.0, weight=10, state="down", admin="maint"),
            },
        ),
        "relay": PoolReading(
            panic=True,
            members={
                "mx1": MemberReading(up=True, published=True, share=1.0, weight=1, state="up", admin="ready"),
            },
        ),
    },
    resolvers=ResolversReading(concentration=0.4, effective=5.5),
    limited={"dropped": 8, "truncated": 7},
    closed={"idle": 9},
    worker_generations=(4, 3),
    notices=[NoticesReading("chat.example.org", 5, 6, failing=True), NoticesReading("hook", 7, 0, failing=False)],
)


def result(verdict: Verdict = Verdict.OK, duration_s: float = 0.02) -> ProbeResult:
    """Return what a probe found."""
    return ProbeResult(
        verdict=verdict, reason="", effect=EFFECTS[verdict], latency_ms=None, duration_s=duration_s, at=0.0
    )


Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics) -> Series:
    """Return what a Prometheus server would store: (name, labels) -> value."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def at(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """Return the key of one series."""
    return name, frozenset(labels.items())


def test_every_promised_name_is_there_with_its_labels() -> None:
    """Dashboards find each series of the contract, by name, type and labels."""
    metrics = Metrics(lambda: READING)
    metrics.probe_finished("inbound", "mx1", result(), 0.0)
    text = metrics.exposition().decode()
    found = {
        (sample.name, family.type, frozenset(sample.labels))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(("_sum", "_count"))
    }
    member = frozenset({"pool", "member"})
    assert found == {
        ("dnslb_queries_total", "counter", frozenset({"protocol", "qtype", "rcode"})),
        ("dnslb_dropped_total", "counter", frozenset({"reason"})),
        ("dnslb_rate_limited_total", "counter", frozenset({"action"})),
        ("dnslb_tcp_closed_total", "counter", frozenset({"reason"})),
        ("dnslb_generation", "gauge", frozenset()),
        ("dnslb_worker_generation", "gauge", frozenset({"worker"})),
        ("dnslb_member_up", "gauge", member),
        ("dnslb_member_state", "gauge", member | {"state", "admin"}),
        ("dnslb_member_published", "gauge", member),
        ("dnslb_member_share", "gauge", member),
        ("dnslb_member_weight", "gauge", member),
        ("dnslb_pool_panic", "gauge", frozenset({"pool"})),
        ("dnslb_state_failing", "gauge", frozenset()),
        ("dnslb_resolver_concentration", "gauge", frozenset()),
        ("dnslb_resolver_effective", "gauge", frozenset()),
        ("dnslb_probe_total", "counter", member | {"verdict"}),
        ("dnslb_probe_duration_seconds_bucket", "histogram", frozenset({"pool", "le"})),
        ("dnslb_probe_lag_seconds", "gauge", frozenset()),
        ("dnslb_answer_change_seconds_bucket", "histogram", frozenset({"le"})),
        ("dnslb_worker_restarts_total", "counter", frozenset()),
        ("dnslb_notify_total", "counter", frozenset({"target", "result"})),
        ("dnslb_notify_failing", "gauge", frozenset({"target"})),
    }


def test_a_reading_is_taken_at_each_scrape() -> None:
    """What the workers count and what is published appears with the values of that moment."""
    readings = iter([READING, Reading(queries={}, drops={}, generation=5, pools={})])
    metrics = Metrics(lambda: next(readings))
    first = samples(metrics)
    assert first[at("dnslb_queries_total", protocol="udp", qtype="MX", rcode="NOERROR")] == 7
    assert first[at("dnslb_dropped_total", reason="short")] == 3
    assert first[at("dnslb_rate_limited_total", action="dropped")] == 8
    assert first[at("dnslb_rate_limited_total", action="truncated")] == 7
    assert first[at("dnslb_tcp_closed_total", reason="idle")] == 9
    assert first[at("dnslb_generation")] == 4
    assert [first[at("dnslb_worker_generation", worker=worker)] for worker in ("0", "1")] == [4, 3]
    assert first[at("dnslb_member_state", pool="inbound", member="mx2", state="down", admin="maint")] == 1
    assert first[at("dnslb_member_up", pool="inbound", member="mx1")] == 1
    assert first[at("dnslb_member_up", pool="inbound", member="mx2")] == 0
    assert first[at("dnslb_member_published", pool="inbound", member="mx2")] == 0
    assert first[at("dnslb_member_share", pool="inbound", member="mx1")] == 0.75
    assert first[at("dnslb_member_weight", pool="inbound", member="mx2")] == 10
    assert first[at("dnslb_pool_panic", pool="inbound")] == 0
    assert first[at("dnslb_pool_panic", pool="relay")] == 1
    assert first[at("dnslb_resolver_concentration")] == 0.4
    assert first[at("dnslb_resolver_effective")] == 5.5
    assert first[at("dnslb_notify_total", target="chat.example.org", result="delivered")] == 5
    assert first[at("dnslb_notify_total", target="chat.example.org", result="missed")] == 6
    assert [first[at("dnslb_notify_failing", target=name)] for name in ("chat.example.org", "hook")] == [1, 0]
    second = samples(metrics)
    assert second[at("dnslb_generation")] == 5
    assert not [name for name, _ in second if name.startswith("dnslb_resolver")]
    assert not [name for name, _ in second if name.startswith("dnslb_member")]


def test_probes_are_counted_by_verdict_and_timed_by_pool() -> None:
    """Each probe counts once under its verdict, and in each bucket that is not below its duration."""
    metrics = Metrics(lambda: READING)
    metrics.probe_finished("inbound", "mx1", result(duration_s=0.02), 0.0)
    metrics.probe_finished("inbound", "mx1", result(duration_s=0.025), 0.0)
    metrics.probe_finished("inbound", "mx2", result(Verdict.TIMEOUT, duration_s=60.0), 1.5)
    found = samples(metrics)
    assert found[at("dnslb_probe_total", pool="inbound", member="mx1", verdict="ok")] == 2
    assert found[at("dnslb_probe_total", pool="inbound", member="mx2", verdict="timeout")] == 1
    buckets = {end: found[at("dnslb_probe_duration_seconds_bucket", pool="inbound", le=end)] for end in LE}
    assert buckets == {"0.01": 0, "0.025": 2, "30.0": 2, "+Inf": 3}
    assert found[at("dnslb_probe_duration_seconds_count", pool="inbound")] == 3
    assert found[at("dnslb_probe_duration_seconds_sum", pool="inbound")] == pytest.approx(60.045)
    assert found[at("dnslb_probe_lag_seconds")] == 1.5


LE = ("0.01", "0.025", "30.0", "+Inf")


def test_answer_changes_and_worker_restarts_are_counted() -> None:
    """The time of each change lands in the histogram, each replaced worker in the counter."""
    metrics = Metrics(lambda: READING)
    metrics.answer_changed(0.004)
    metrics.answer_changed(9.0)
    metrics.worker_restarted()
    found = samples(metrics)
    assert found[at("dnslb_answer_change_seconds_bucket", le="0.0025")] == 0
    assert found[at("dnslb_answer_change_seconds_bucket", le="0.005")] == 1
    assert found[at("dnslb_answer_change_seconds_count")] == 2
    assert found[at("dnslb_worker_restarts_total")] == 1


def test_a_forgotten_member_has_no_series() -> None:
    """After a reload without a member its series are gone, those of its namesake in another pool are not."""
    metrics = Metrics(lambda: READING)
    for pool, member in (("inbound", "mx1"), ("inbound", "mx2"), ("relay", "mx1")):
        metrics.probe_finished(pool, member, result(), 0.0)
    metrics.forget("inbound", "mx1")
    assert probed(metrics) == {("inbound", "mx2"), ("relay", "mx1")}
    assert at("dnslb_probe_duration_seconds_count", pool="inbound") in samples(metrics)
    metrics.forget("inbound", "mx2")
    assert probed(metrics) == {("relay", "mx1")}
    assert at("dnslb_probe_duration_seconds_count", pool="inbound") not in samples(metrics)


def probed(metrics: Metrics) -> set[tuple[str, str]]:
    """Return the members that have a count of probes."""
    return {(dict(labels)["pool"], dict(labels)["member"]) for name, labels in samples(metrics) if "probe_t" in name}


async def test_counting_goes_on_while_a_thread_renders() -> None:
    """A scrape in a thread neither fails nor disturbs when new series appear meanwhile."""
    metrics = Metrics(lambda: READING)
    scrapes = asyncio.gather(*(asyncio.to_thread(metrics.exposition) for _ in range(20)))
    for number in range(2000):
        metrics.probe_finished(f"pool{number}", "mx1", result(), 0.0)
        if number % 50 == 0:
            await asyncio.sleep(0)
    assert all(await scrapes)
    assert len(probed(metrics)) == 2000


def test_odd_names_are_escaped() -> None:
    """A quote or a line break in a name does not break the text format."""
    odd = 'a"b\\c\nd'
    pools = {odd: PoolReading(panic=True, members={})}
    metrics = Metrics(lambda: Reading(queries={}, drops={}, generation=1, pools=pools))
    assert samples(metrics)[at("dnslb_pool_panic", pool=odd)] == 1
