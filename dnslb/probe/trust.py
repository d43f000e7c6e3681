"""What a recipe thinks of the certificate that a handshake showed."""

import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass

from dnslb.probe import tls
from dnslb.probe.certificate import days_left, fault_of_dates, fits
from dnslb.probe.recipe import Recipe, Tlsa, Verify
from dnslb.probe.tlsa import DANE_EE, match, usable
from dnslb.probe.transcript import Certificate, TlsFacts
from dnslb.probe.verdict import Event

ALARM_DAYS = 3.0
"""A certificate with less than this left counts against the member."""

WARNING_DAYS = 21.0
"""One with less than this left is worth a warning: renewal usually comes a month ahead."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What is to be thought of a handshake.

    `objection` is an event and its text, `warning` is "" for nothing. Not `conclusive` is what could not be found out:
    then the line should not be trusted with more.
    """

    facts: TlsFacts
    objection: tuple[Event, str] | None = None
    warning: str = ""
    conclusive: bool = True


def appraise(
    shaken: ssl.SSLObject, recipe: Recipe, host: str, problem: str | None, records: Sequence[Tlsa] | None
) -> Trust:
    """Judge the certificate as the recipe says: see `by_name` and `by_dane`."""
    if recipe.verify is Verify.DANE:
        return by_dane(shaken, records, host, time.time())
    return by_name(shaken, recipe.verify, problem, time.time())


def by_name(shaken: ssl.SSLObject, verify: Verify, problem: str | None, now: float) -> Trust:
    """Judge by chain and name. `problem` is what OpenSSL said against them: "" nothing, None if it was not asked.

    Where the recipe does not verify, only dates that are wrong are an objection.
    """
    if problem is None and verify is Verify.NAME:
        problem = "there is no host name to hold it against"
    facts = tls.facts(shaken, trusted=None if problem is None else not problem, problem=problem or "")
    dated = _of_dates(facts.certificate, now)
    if problem and verify is Verify.NAME and (dated is None or dated[0] is not Event.EXPIRED):
        return Trust(facts, (Event.UNTRUSTED, problem))
    return Trust(facts, dated, _warning(facts, now))


def by_dane(shaken: ssl.SSLObject, records: Sequence[Tlsa] | None, host: str, now: float) -> Trust:
    """Judge by the TLSA records of the host (RFC 7672 3.1), None if they could not be looked up."""
    if records is None:
        why = f"the TLSA records of {host} could not be looked up"
        return Trust(tls.facts(shaken, problem=why), warning=why, conclusive=False)
    found = match(records, tls.chain(shaken))
    if found is None:
        why = f"no TLSA record of {host} fits" if usable(records) else f"{host} has no secure and usable TLSA record"
        return Trust(tls.facts(shaken, trusted=False, problem=why), (Event.UNTRUSTED, why))
    facts = tls.facts(shaken, trusted=True)
    if found.usage == DANE_EE or facts.certificate is None:
        return Trust(facts)
    return _by_authority(facts, facts.certificate, host, now)


def _by_authority(facts: TlsFacts, certificate: Certificate, host: str, now: float) -> Trust:
    if not fits(certificate, host):
        return Trust(facts, (Event.UNTRUSTED, f"the certificate is not for {host}"))
    return Trust(facts, _of_dates(certificate, now), _warning(facts, now))


def _of_dates(certificate: Certificate | None, now: float) -> tuple[Event, str] | None:
    if certificate is None:
        return None
    if fault := fault_of_dates(certificate, now):
        return Event.EXPIRED, fault
    left = days_left(certificate, now)
    return (Event.EXPIRING, f"it has {left:.1f} days left") if left < ALARM_DAYS else None


def _warning(facts: TlsFacts, now: float) -> str:
    if facts.certificate is None:
        return facts.problem
    left = days_left(facts.certificate, now)
    return f"the certificate expires in {left:.0f} days" if ALARM_DAYS <= left < WARNING_DAYS else ""
