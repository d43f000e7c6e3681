"""What must hold within a probe's table, and of the files that it names."""

from pathlib import Path

from dnslb.config.anchors import fault_of_anchors
from dnslb.config.positions import KeyPath
from dnslb.config.reading import Draft
from dnslb.config.recipes import sees_tls
from dnslb.config.report import Report
from dnslb.config.schema import ProbeTable
from dnslb.probe.recipe import Kind, StartTls, Verify

FAMILIES = {4: "IPv4", 6: "IPv6"}
_GREET_WAIT = 6.0
"""How long postscreen lets a client that it does not know wait for the greeting, unless it is told otherwise."""
_SMTP_PORT = 25
_OF_SMTP = (
    "ehlo",
    "starttls",
    "verify",
    "ca_file",
    "rcpt_to",
    "mail_from",
    "capabilities",
    "proxy",
    "auth",
    "tls_interval",
    "certificate_interval",
    "recipient_interval",
    "auth_interval",
)
_SAYS_NO: tuple[object, ...] = (None, "", [], False, StartTls.OFF, Verify.NONE)


def check_probes(draft: Draft, report: Report) -> None:
    """Note what contradicts itself in a probe, and what of it would have no effect."""
    for name, probe in draft.probes.items():
        path = ("probe", name)
        _check_source(probe, path, report)
        if probe.kind is Kind.TCP:
            _check_tcp(probe, path, report)
            continue
        _check_intervals(probe, path, report)
        _check_tls(probe, path, report)
        _check_anchors(probe, path, draft.path.parent, report)
        _check_idle(probe, path, report)
        _check_patience(probe, path, report)


def _check_source(probe: ProbeTable, path: KeyPath, report: Report) -> None:
    for version, family in FAMILIES.items():
        if sum(source.version == version for source in probe.source) > 1:
            report.error((*path, "source"), f"more than one {family} address, expected at most one per family")


def _check_tcp(probe: ProbeTable, path: KeyPath, report: Report) -> None:
    if probe.port is None:
        report.error((*path, "port"), "missing, a tcp probe needs one: expected a port from 1 to 65535")
    for key in _OF_SMTP:
        if key in probe.model_fields_set and getattr(probe, key) not in _SAYS_NO:
            report.error((*path, key), "a tcp probe only connects: remove the key, or use another kind")


def _check_intervals(probe: ProbeTable, path: KeyPath, report: Report) -> None:
    if report.is_broken((*path, "interval")):
        return
    for aspect in ("tls", "certificate", "recipient", "auth"):
        key = f"{aspect}_interval"
        if key in probe.model_fields_set and getattr(probe, key) < probe.interval:
            report.error(
                (*path, key),
                f"expected at least the interval ({probe.interval:g} s): a probe goes this deep every so many "
                "intervals, never between them",
            )


def _check_tls(probe: ProbeTable, path: KeyPath, report: Report) -> None:
    if probe.kind is Kind.SMTPS and "starttls" in probe.model_fields_set:
        report.warn((*path, "starttls"), "without effect: smtps begins with TLS (RFC 8314)")
    if sees_tls(probe):
        return
    if probe.verify is not Verify.NONE:
        report.error(
            (*path, "verify"),
            'a probe sees no certificate with starttls = "off": expected starttls = "require" or verify = "none"',
        )
    if probe.auth:
        report.error(
            (*path, "auth"),
            'a password is sent over TLS only: expected starttls = "require" (or "opportunistic"), or kind = "smtps"',
        )


def _check_anchors(probe: ProbeTable, path: KeyPath, directory: Path, report: Report) -> None:
    if probe.ca_file is None:
        return
    if fault := fault_of_anchors(directory / probe.ca_file):
        report.error((*path, "ca_file"), fault)


def _check_idle(probe: ProbeTable, path: KeyPath, report: Report) -> None:
    """Note keys that speak of what the probe never does."""
    for key, done, reason in (
        ("mail_from", probe.rcpt_to, "never sent, since there is no rcpt_to"),
        ("recipient_interval", probe.rcpt_to, "without effect, since there is no rcpt_to"),
        ("auth_interval", probe.auth, "without effect, since there is no auth"),
        ("tls_interval", sees_tls(probe), 'without effect with starttls = "off"'),
        ("certificate_interval", sees_tls(probe), 'without effect with starttls = "off"'),
        ("ca_file", sees_tls(probe), 'without effect with starttls = "off"'),
    ):
        if not done and key in probe.model_fields_set and getattr(probe, key) != "":
            report.warn((*path, key), reason)
    often = probe.recipient_interval < probe.auth_interval and "recipient_interval" in probe.model_fields_set
    if probe.auth and probe.rcpt_to and often:
        report.warn((*path, "recipient_interval"), "rcpt_to is asked for after a login only: auth_interval counts")


def _check_patience(probe: ProbeTable, path: KeyPath, report: Report) -> None:
    if probe.kind is Kind.SMTP and probe.port in {None, _SMTP_PORT} and probe.timeout <= _GREET_WAIT:
        report.warn(
            (*path, "timeout"),
            f"postscreen lets a client that it does not know wait {_GREET_WAIT:g} s for the greeting: use more than "
            f"{_GREET_WAIT:g}s",
        )
