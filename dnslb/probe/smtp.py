"""One probe of one member: a conversation with each of its addresses, and what they say together."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from dnslb.pool.health import Aspect, Effect, ProbeResult, State, Verdict
from dnslb.probe.advice import advice
from dnslb.probe.conversation import Visit
from dnslb.probe.memory import Memory
from dnslb.probe.recipe import Kind, Recipe, Target, Tlsa, Verify
from dnslb.probe.record import Finding
from dnslb.probe.tlsa import lookup
from dnslb.probe.transcript import Report
from dnslb.probe.verdict import Ending, Event, Judgement, aspect_of, effect_of, judge

SEVERITY = {
    State.DOWN: 5,
    State.DRAINING: 4,
    State.BUSY: 3,
    State.DEGRADED: 2,
    None: 1,
    State.UP: 0,
}
"""Of several things that were found, the one whose effect is worst decides."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """A finding with the worst of what is to be thought of it."""

    finding: Finding
    ending: Ending
    judgement: Judgement
    effect: Effect

    @property
    def weight(self) -> tuple[int, bool]:
        """How bad it is."""
        return SEVERITY.get(self.effect.state, 0), self.judgement.verdict is not Verdict.OK

    @property
    def says_nothing(self) -> bool:
        """Whether this host could not even try."""
        return self.ending.event is Event.NO_ROUTE

    @property
    def is_final(self) -> bool:
        """Whether the addresses that follow need not be asked."""
        return self.effect.state is State.DOWN and not self.says_nothing


async def probe(target: Target, aspects: frozenset[Aspect], memory: Memory | None = None) -> Report:
    """Talk to the member's addresses in order, one at a time, of `aspects`; the first that fails decides.

    The session is always examined. `result.examined` is what all addresses were examined of: less than was asked for
    where a conversation ended before, and more where it had to be (TLS, to get to the recipient). Aspects that the
    recipe does not speak of count as examined, for nothing can be wrong with them; the recipient of a recipe with an
    account is only examined together with AUTH.

    An address that this host has no route to says nothing as long as another one says something. `recipe.timeout`
    bounds each conversation. Network failures become verdicts; what is raised is a bug or a shortage of this process.

    Probes that share a `memory` do not do again what they need not: `memory.py` says what. TLSA records of others are
    looked up once in a `recipe.certificate_interval` while they fit; before they count against a member, they are
    looked up anew, and then the conversation is repeated.
    """
    memory = Memory() if memory is None else memory
    started = asyncio.get_running_loop().time()
    known = memory.tlsa(target.host, target.port, started - target.recipe.certificate_interval)
    tlsa = await _tlsa(target, aspects, known, memory)
    opinions = [opinion async for opinion in _opinions(target, aspects, memory, tlsa)]
    if _needs_lookup(target, aspects) and any(it.ending.event is Event.UNTRUSTED for it in opinions):
        memory.forget_tlsa(target.host, target.port)
        if known is not None:
            return await probe(target, aspects, memory)
    return _report(opinions, asyncio.get_running_loop().time() - started)


async def _opinions(
    target: Target, aspects: frozenset[Aspect], memory: Memory, tlsa: tuple[Tlsa, ...] | None
) -> AsyncIterator[Opinion]:
    for address in target.addresses:
        opinion = _opinion(await Visit(target, address, aspects, memory, tlsa).pay(), target.recipe)
        yield opinion
        if opinion.is_final:
            return


async def _tlsa(
    target: Target, aspects: frozenset[Aspect], known: tuple[Tlsa, ...] | None, memory: Memory
) -> tuple[Tlsa, ...] | None:
    """Return the records to hold certificates against, None if they are not needed or cannot be had."""
    if not _needs_lookup(target, aspects):
        return target.tlsa
    if known is not None:
        return known
    records = await lookup(target.host, target.port)
    if records is not None:
        memory.note_tlsa(target.host, target.port, records, asyncio.get_running_loop().time())
    return records


def _needs_lookup(target: Target, aspects: frozenset[Aspect]) -> bool:
    shakes_hands = target.recipe.kind is Kind.SMTPS or bool(aspects - {Aspect.SESSION})
    return target.tlsa is None and target.recipe.verify is Verify.DANE and shakes_hands


def _opinion(finding: Finding, recipe: Recipe) -> Opinion:
    """Return the worst that is to be thought of an address."""
    return max((_thought(finding, ending, recipe) for ending in finding.endings), key=lambda it: it.weight)


def _thought(finding: Finding, ending: Ending, recipe: Recipe) -> Opinion:
    judgement = judge(ending, finding.scene)
    return Opinion(finding, ending, judgement, effect_of(judgement.verdict, recipe, ending.event))


def _report(opinions: list[Opinion], took: float) -> Report:
    telling = [opinion for opinion in opinions if not opinion.says_nothing] or opinions[:1]
    worst = max(telling, key=lambda opinion: opinion.weight)
    latency = max((it.finding.latency for it in telling if it.finding.latency is not None), default=None)
    result = ProbeResult(
        verdict=worst.judgement.verdict,
        reason=worst.judgement.reason,
        effect=worst.effect,
        latency_ms=None if latency is None else latency * 1000,
        duration_s=took,
        at=time.time(),
        aspect=aspect_of(worst.ending),
        # What went wrong at one address has been examined, if not at all of them: a login that was refused, for one.
        examined=frozenset.intersection(*(it.finding.examined for it in telling))
        | (worst.finding.examined & {aspect_of(worst.ending)}),
        warnings=tuple(warning for it in telling for warning in it.finding.warnings),
    )
    exchanges = tuple(exchange for it in opinions for exchange in it.finding.exchanges)
    return Report(result, exchanges, worst.finding.tls, advice(result.verdict, worst.ending, worst.finding.scene))
