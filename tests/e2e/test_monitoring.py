"""What is in deploy/ to watch dnslb with fits what a daemon exports: read by Prometheus itself."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.members import Members
from tests.e2e.processes import Stage, free_port, program, until
from tests.e2e.product import Daemon
from tests.e2e.resolvers import answers

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "dnslb.rules.yml"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dnslb.json").read_text())
PANELS = {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in DASHBOARD["panels"]}
CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}
rule_files: [{rules}]
scrape_configs: [{{job_name: dnslb, static_configs: [{{targets: ["{target}"]}}]}}]
"""
PROMISED = {
    "dnslb_queries_total": {"protocol", "qtype", "rcode"},
    "dnslb_dropped_total": {"reason"},
    "dnslb_generation": set(),
    "dnslb_member_up": {"pool", "member"},
    "dnslb_member_published": {"pool", "member"},
    "dnslb_member_share": {"pool", "member"},
    "dnslb_member_weight": {"pool", "member"},
    "dnslb_pool_panic": {"pool"},
    "dnslb_probe_total": {"pool", "member", "verdict"},
    "dnslb_probe_duration_seconds_bucket": {"pool", "le"},
    "dnslb_probe_lag_seconds": set(),
    "dnslb_answer_change_seconds_bucket": {"le"},
    "dnslb_worker_restarts_total": set(),
}
EMPTY = {"Days left of the next certificate", "Events that others are told of"}
"""Panels that stay empty with members without TLS, and nobody to tell."""


class Watched:
    """A daemon, and a Prometheus that reads its metrics and our rules."""

    def __init__(self, stage: Stage) -> None:
        prometheus = program("prometheus")
        self._http, self._own = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.members = Members(stage, 2)
        self._daemon = Daemon(stage, self.members, http=self._http)
        config, data = stage.path / "prometheus.yml", stage.directory("data")
        config.write_text(CONFIG.format(rules=RULES, target=self._http))
        options = [f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address={self._own}"]
        stage.start("prometheus", [prometheus, *options])
        until(lambda: self.query("dnslb_generation"), "Prometheus reads the metrics")

    def exposition(self) -> str:
        """Return the metrics as Prometheus gets them."""
        with urllib.request.urlopen(f"http://{self._http}/metrics", timeout=20) as response:
            text: str = response.read().decode()
        return text

    def shows(self, expression: str) -> bool:
        """Say whether there is something to see for a query of the dashboard, after a question; it must be right."""
        assert answers(self._daemon.port, "every.lb.test", "A")
        return bool(self.query(chosen(expression)))

    def query(self, expression: str) -> list[Any]:
        """Return the series that an expression has now; none before Prometheus is ready."""
        return self._get(f"query?query={quote(expression)}", "result")

    def rules(self) -> list[dict[str, Any]]:
        """Return the alerts with their states."""
        return [rule for group in self._get("rules", "groups") for rule in group["rules"]]

    def _get(self, what: str, part: str) -> list[Any]:
        try:
            with urllib.request.urlopen(f"http://{self._own}/api/v1/{what}", timeout=20) as response:
                found: list[Any] = json.load(response)["data"][part]
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
                return []
            raise
        except urllib.error.URLError:
            return []
        return found


def chosen(expression: str) -> str:
    """Return a query of the dashboard as Grafana asks it."""
    for variable, value in {"$instance": ".*", "$pool": ".*", "$__rate_interval": "1m"}.items():
        expression = expression.replace(variable, value)
    return expression


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """Give a daemon and the Prometheus that watches it, to several tests."""
    with Stage() as stage:
        yield Watched(stage)


def promtool(*words: str, given: str = "") -> str:
    """Run promtool, which must have no complaint; return what it prints."""
    done = subprocess.run([program("promtool"), *words], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_each_promised_metric_is_exported_with_its_labels(watched: Watched) -> None:
    """A daemon that has been asked has every series that dashboards may count on."""
    families = list(text_string_to_metric_families(watched.exposition()))
    found = {sample.name: set(sample.labels) for family in families for sample in family.samples}
    assert {name: found.get(name) for name in PROMISED} == PROMISED


def test_promtool_finds_nothing_wrong_with_the_metrics(watched: Watched) -> None:
    """Names, units, types and help texts are as Prometheus wants them."""
    assert not promtool("check", "metrics", given=watched.exposition())


@pytest.mark.parametrize("path", [RULES, DEPLOY / "grafana" / "dnslb.json"], ids=lambda path: path.name)
def test_each_metric_that_is_watched_is_exported(watched: Watched, path: Path) -> None:
    """Neither the dashboard nor an alert waits for a series that no daemon has."""
    samples = {s.name for family in text_string_to_metric_families(watched.exposition()) for s in family.samples}
    families = set(re.findall(r"^# TYPE (\S+)", watched.exposition(), re.MULTILINE))
    asked = set(re.findall(r"\bdnslb_[a-z_]+", path.read_text()))
    assert asked
    assert asked <= samples | families


@pytest.mark.parametrize("title", PANELS)
def test_each_panel_shows_something(watched: Watched, title: str) -> None:
    """Prometheus takes each query of the dashboard, and its labels fit what the daemon exports."""
    for expression in PANELS[title]:
        if title in EMPTY:
            watched.query(chosen(expression))
        else:
            until(partial(watched.shows, expression), f"something to see in {title}")


def test_a_member_that_dies_is_on_its_way_to_an_alert(watched: Watched) -> None:
    """Prometheus reads the rules, and one of them sees the state that the daemon exports."""
    until(watched.rules, "Prometheus has read the rules")
    watched.members.kill("mx2")
    try:
        until(lambda: watched.query('ALERTS{alertname="DnslbMemberDown", member="mx2"}'), "an alert is pending")
    finally:
        watched.members.start("mx2")
    assert {rule["health"] for rule in watched.rules()} == {"ok"}


def test_promtool_takes_the_rules() -> None:
    """Each is of the form that Prometheus reads."""
    assert "SUCCESS" in promtool("check", "rules", str(RULES))


def test_each_alert_comes_when_it_should() -> None:
    """The series of the rules' own tests bring each alert about, and not before its time."""
    tests = RULES.with_name("dnslb.rules.test.yml")
    assert "SUCCESS" in promtool("test", "rules", str(tests))
    fired = re.findall(r"^ +alertname: (\w+)\n +exp_alerts:\n", tests.read_text(), re.MULTILINE)
    assert sorted(fired) == sorted(re.findall(r"alert: (\w+)", RULES.read_text()))
