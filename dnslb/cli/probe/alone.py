"""A probe of any host, without a daemon and without a configuration."""

import asyncio
import time
from dataclasses import replace
from typing import Any

from dnslb.cli.probe.place import Place
from dnslb.cli.resolving import NoAddress, addresses_of
from dnslb.pool.health import ProbeResult, Verdict
from dnslb.probe.recipe import Recipe, Target
from dnslb.probe.report_json import report_json
from dnslb.probe.smtp import probe
from dnslb.probe.transcript import Report
from dnslb.probe.verdict import EFFECTS

_NAMELESS = "an address has no name to examine it by (--host NAME gives one)"


def examine(place: Place, recipe: Recipe, host: str, family: int | None) -> dict[str, Any]:
    """Probe all addresses of a place in all aspects; return the object of `dnslb probe --json`.

    `host` is the name for SNI and the certificate, "" for none. A name that does not resolve is verdict `unknown`.
    """
    try:
        addresses = (place.address,) if place.address else addresses_of(place.name, recipe.timeout, family)
    except NoAddress as error:
        return _unresolved(place, str(error))
    target = Target("", place.typed, addresses, recipe.port, recipe, host=host)
    return report_json(place.typed, asyncio.run(_examine(target)))


def _unresolved(place: Place, reason: str) -> dict[str, Any]:
    result = ProbeResult(Verdict.UNKNOWN, reason, EFFECTS[Verdict.UNKNOWN], None, 0.0, time.time())
    hint = "Check the name, and what this machine resolves names with."
    member = "" if "." in place.name else " A member of a pool is written POOL/MEMBER."
    return report_json(place.typed, Report(result)) | {"next": hint + member}


async def _examine(target: Target) -> Report:
    report = await probe(target, frozenset(target.recipe.intervals))
    if target.host or report.tls is None or report.tls.problem:
        return report
    return replace(report, tls=replace(report.tls, problem=_NAMELESS))
