"""A probe's report as the JSON object that `dnslb probe --json` prints and the control socket carries."""

from typing import Any

from dnslb.pool.health import Verdict
from dnslb.probe.advice import ADVICE
from dnslb.probe.certificate import days_left
from dnslb.probe.transcript import Certificate, Exchange, Report, TlsFacts
from dnslb.rfc3339 import rfc3339

GOOD = frozenset({Verdict.OK, Verdict.SLOW})
"""The verdicts that count as up: the command's exit status is 0."""


def report_json(target_name: str, report: Report) -> dict[str, Any]:
    """Return all of a report under the name that its target goes by: "POOL/MEMBER", or the host as it was typed."""
    result = report.result
    return {
        "target": target_name,
        "verdict": result.verdict.value,
        "up": result.verdict in GOOD,
        "reason": result.reason,
        "steps": [_step(exchange) for exchange in report.exchanges],
        "tls": None if report.tls is None else _tls(report.tls, result.at),
        "warnings": list(result.warnings),
        "next": report.advice or ADVICE[result.verdict],
    }


def _step(exchange: Exchange) -> dict[str, Any]:
    return {
        "step": exchange.step,
        "ms": round(exchange.ms, 3),
        "sent": exchange.sent,
        "code": exchange.code,
        "reply": exchange.reply,
        "where": exchange.where,
    }


def _tls(facts: TlsFacts, at: float) -> dict[str, Any]:
    seen = {"version": facts.version, "cipher": facts.cipher, "trusted": facts.trusted, "problem": facts.problem}
    return seen | (dict.fromkeys(_CERTIFICATE) if facts.certificate is None else _certificate(facts.certificate, at))


_CERTIFICATE = ("subject", "issuer", "names", "not_before", "not_after", "days_left", "fingerprint", "key_hash")


def _certificate(certificate: Certificate, at: float) -> dict[str, Any]:
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "names": list(certificate.names),
        "not_before": rfc3339(certificate.not_before, "seconds"),
        "not_after": rfc3339(certificate.not_after, "seconds"),
        "days_left": round(days_left(certificate, at), 2),
        "fingerprint": certificate.fingerprint,
        "key_hash": certificate.key_hash,
    }
