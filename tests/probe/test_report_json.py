"""The JSON of a report: the keys that scripts rely on, and times that they can read."""

import json
from dataclasses import replace

import pytest

from dnslb.pool.health import ProbeResult, Verdict
from dnslb.probe.advice import ADVICE
from dnslb.probe.report_json import report_json
from dnslb.probe.transcript import Certificate, Exchange, Report, TlsFacts
from dnslb.probe.verdict import EFFECTS

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
DAY = 86_400
EHLO = Exchange("192.0.2.11:25", "EHLO", 1.23456, "EHLO probe.example.org", 250, "mx1.example.org\nSTARTTLS")
CERTIFICATE = Certificate(
    subject="CN=mx1.example.org",
    issuer="CN=An Authority",
    names=("mx1.example.org", "mx.example.org"),
    not_before=NOON - DAY,
    not_after=NOON + 60.5 * DAY,
    fingerprint="ab" * 32,
    key_hash="cd" * 32,
)
FACTS = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", CERTIFICATE, trusted=False, problem="self-signed certificate")


def a_result(verdict: Verdict, reason: str = "") -> ProbeResult:
    """Return what a probe found at noon."""
    return ProbeResult(verdict, reason, EFFECTS[verdict], 3.1, 0.1, NOON, warnings=("the certificate expires soon",))


def test_the_object_has_the_keys_of_the_contract() -> None:
    """Each step keeps its words, and its time to the microsecond."""
    found = report_json("inbound/mx1", Report(a_result(Verdict.BUSY, "it says 421"), (EHLO,)))
    assert list(found) == ["target", "verdict", "up", "reason", "steps", "tls", "warnings", "next"]
    assert found["target"] == "inbound/mx1"
    assert (found["verdict"], found["up"], found["reason"]) == ("busy", False, "it says 421")
    assert found["warnings"] == ["the certificate expires soon"]
    assert found["tls"] is None
    assert found["steps"] == [
        {
            "step": "EHLO",
            "ms": 1.235,
            "sent": "EHLO probe.example.org",
            "code": 250,
            "reply": "mx1.example.org\nSTARTTLS",
            "where": "192.0.2.11:25",
        }
    ]


def test_the_certificate_is_told_in_full() -> None:
    """Dates as RFC 3339 has them, and the days that were left when it was seen."""
    assert report_json("mx1", Report(a_result(Verdict.OK), tls=FACTS))["tls"] == {
        "version": "TLSv1.3",
        "cipher": "TLS_AES_256_GCM_SHA384",
        "trusted": False,
        "problem": "self-signed certificate",
        "subject": "CN=mx1.example.org",
        "issuer": "CN=An Authority",
        "names": ["mx1.example.org", "mx.example.org"],
        "not_before": "2025-12-31T12:00:00Z",
        "not_after": "2026-03-03T00:00:00Z",
        "days_left": 60.5,
        "fingerprint": "ab" * 32,
        "key_hash": "cd" * 32,
    }


def test_a_certificate_that_nobody_could_read_leaves_its_keys() -> None:
    """A program finds the same keys, and null in them."""
    whole = report_json("mx1", Report(a_result(Verdict.OK), tls=FACTS))["tls"]
    bare = report_json("mx1", Report(a_result(Verdict.OK), tls=replace(FACTS, certificate=None)))["tls"]
    assert list(bare) == list(whole)
    assert {name for name, value in bare.items() if value is None} == set(list(whole)[4:])


@pytest.mark.parametrize("at", [-1e12, 1e12, 253_402_300_800.0])
def test_a_date_that_no_calendar_has_costs_nothing_but_itself(at: float) -> None:
    """A certificate may say any year; Python's calendar ends with 9999."""
    facts = replace(FACTS, certificate=replace(CERTIFICATE, not_after=at))
    assert report_json("mx1", Report(a_result(Verdict.OK), tls=facts))["tls"]["not_after"] is None


def test_what_to_do_next_is_the_reports_own_advice() -> None:
    """It knows the case; where there was no conversation, the verdict alone tells."""
    assert report_json("mx1", Report(a_result(Verdict.TIMEOUT), advice="Plug it in."))["next"] == "Plug it in."
    assert report_json("mx1", Report(a_result(Verdict.UNKNOWN)))["next"] == ADVICE[Verdict.UNKNOWN]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_ok_and_slow_alone_count_as_up(verdict: Verdict) -> None:
    """The verdict is its word, and the object is JSON whatever it says."""
    found = report_json("mx1", Report(a_result(verdict), (EHLO,), FACTS))
    assert found["up"] is (verdict in {Verdict.OK, Verdict.SLOW})
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["verdict"] == str(verdict)
