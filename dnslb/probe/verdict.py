"""How a conversation ended -> one word and a sentence for people. A table and no I/O.

The rules are read from the top and the first that fits decides, so a narrower rule stands above a wider one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from dnslb.pool.health import Aspect, Effect, Patience, State, Verdict
from dnslb.probe.recipe import Kind, Recipe, StartTls, Verify

TEXT_LIMIT = 160
"""How many characters of a server's own words a reason repeats."""


class Step(StrEnum):
    """What was being waited for when the conversation ended."""

    CONNECT = "connect"
    PROXY = "proxy"
    TLS = "tls"
    """A handshake: at once (smtps) or after STARTTLS."""
    GREETING = "greeting"
    EHLO = "EHLO"
    HELO = "HELO"
    LHLO = "LHLO"
    STARTTLS = "STARTTLS"
    """The reply to the command, and its being offered."""
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    QUIT = "QUIT"


class Event(StrEnum):
    """What came instead, or at last."""

    CONNECTED = "connected"
    REPLY = "reply"
    REFUSED = "refused"
    SILENCE = "silence"
    UNREACHABLE = "unreachable"
    NO_ROUTE = "no route"
    EOF = "eof"
    RESET = "reset"
    GARBAGE = "garbage"
    """Octets that are no SMTP reply."""
    EARLY = "early"
    """Octets before their turn: where nothing had been asked yet."""
    FLOOD = "flood"
    """More octets or lines than a conversation may have."""
    LACKING = "lacking"
    """A keyword that is needed is not offered; the text names it."""
    TLS_FAILED = "tls failed"
    """No handshake; the text is OpenSSL's reason."""
    UNTRUSTED = "untrusted"
    """The certificate's chain, name or TLSA record does not fit; the text says why."""
    EXPIRED = "expired"
    """The certificate is not valid now; the text says since or until when."""
    EXPIRING = "expiring"
    """The certificate is valid, but for so few days that a person must act now; the text says until when."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The last thing that happened in a conversation with one address, or the one that counts most.

    `code` is the reply's three digits (RFC 5321 4.2), 0 if the event is no reply. `text` is what the server or the
    operating system said, as received. `took` is how long this step took, in seconds; of a conversation that ended
    well, how long the greeting took from the connect on. `upgraded` says that STARTTLS had succeeded before.
    """

    event: Event
    step: Step
    code: int = 0
    text: str = ""
    took: float = 0.0
    upgraded: bool = False

    @property
    def enhanced(self) -> str:
        """The enhanced status code that the text begins with (RFC 2034 section 4, RFC 3463 section 2), "" if none."""
        found = _ENHANCED.match(self.text)
        return found[1] if found else ""


_ENHANCED = re.compile(r"\s{0,8}([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")


@dataclass(frozen=True, slots=True)
class Scene:
    """What else there is to know of a conversation.

    `where` names the address and port, `timeout` is the conversation's limit in seconds. `source` is our own address
    and `host` the member's name, "" if not known. `greeting_lines` counts the greeting's lines.
    """

    where: str
    timeout: float
    source: str = ""
    host: str = ""
    greeting_lines: int = 1


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on an ending, and the reason ("" when all is well)."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table: what must have happened, and what follows. `codes` matters to replies only."""

    event: Event
    steps: frozenset[Step]
    codes: range
    verdict: Verdict
    sentence: str

    def fits(self, ending: Ending) -> bool:
        """Whether this line speaks of such an ending."""
        return ending.event is self.event and ending.step in self.steps and ending.code in self.codes


CONNECT = frozenset({Step.CONNECT})
GREETING = frozenset({Step.GREETING})
HELLO = frozenset({Step.EHLO, Step.HELO})
TALK = GREETING | HELLO
ANY_STEP = frozenset(Step)

NO_CODE = range(1)
READY = range(220, 221)
DONE = range(250, 251)
TRANSIENT = range(400, 500)
PERMANENT = range(500, 600)
ANY_CODE = range(-99, 1000)  # what a number of three characters can be

RULES = (
    Rule(Event.CONNECTED, CONNECT, NO_CODE, Verdict.OK, ""),
    Rule(Event.REPLY, HELLO, DONE, Verdict.OK, ""),
    Rule(Event.REFUSED, CONNECT, NO_CODE, Verdict.REFUSED, "{where} refuses connections"),
    Rule(Event.SILENCE, CONNECT, NO_CODE, Verdict.TIMEOUT, "{where} does not answer connection attempts ({timeout})"),
    Rule(
        Event.SILENCE,
        GREETING,
        NO_CODE,
        Verdict.TIMEOUT,
        "{where} accepts connections but sends no complete greeting within {timeout}",
    ),
    Rule(
        Event.SILENCE,
        HELLO,
        NO_CODE,
        Verdict.TIMEOUT,
        "{where} greets but does not answer {step} within the {timeout} of the conversation",
    ),
    Rule(Event.UNREACHABLE, CONNECT, NO_CODE, Verdict.TIMEOUT, "{where} cannot be reached: {text}"),
    Rule(Event.NO_ROUTE, CONNECT, NO_CODE, Verdict.TIMEOUT, "there is no route from here to {where}: {text}"),
    Rule(Event.EOF, GREETING, NO_CODE, Verdict.CLOSED, "{where} closes the connection before its greeting ends"),
    Rule(Event.EOF, HELLO, NO_CODE, Verdict.CLOSED, "{where} closes the connection instead of answering {step}"),
    Rule(
        Event.RESET,
        CONNECT | GREETING,
        NO_CODE,
        Verdict.CLOSED,
        "{where} resets the connection before its greeting ends",
    ),
    Rule(Event.RESET, HELLO, NO_CODE, Verdict.CLOSED, "{where} resets the connection instead of answering {step}"),
    Rule(Event.GARBAGE, GREETING, NO_CODE, Verdict.NOT_SMTP, "{where} does not greet in SMTP: {text}"),
    Rule(Event.GARBAGE, HELLO, NO_CODE, Verdict.NOT_SMTP, "{where} does not answer {step} in SMTP: {text}"),
    Rule(Event.REPLY, GREETING, TRANSIENT, Verdict.BUSY, "{where} greets with {code} {text}"),
    Rule(Event.REPLY, HELLO, TRANSIENT, Verdict.BUSY, "{where} answers {step} with {code} {text}"),
    Rule(Event.REPLY, GREETING, PERMANENT, Verdict.REJECTING, "{where} greets with {code} {text}"),
    Rule(Event.REPLY, HELLO, PERMANENT, Verdict.REJECTING, "{where} answers {step} with {code} {text}"),
    Rule(
        Event.REPLY,
        GREETING,
        ANY_CODE,
        Verdict.NOT_SMTP,
        "{where} greets with {code}, which is no SMTP greeting: {text}",
    ),
    Rule(
        Event.REPLY,
        HELLO,
        ANY_CODE,
        Verdict.NOT_SMTP,
        "{where} answers {step} with {code}, which SMTP does not know there: {text}",
    ),
)


EFFECTS: Mapping[Verdict, Effect] = MappingProxyType(
    {
        Verdict.OK: Effect(State.UP),
        Verdict.SLOW: Effect(State.UP),
        Verdict.BUSY: Effect(State.BUSY, Patience.AT_ONCE, percent=10),
        Verdict.STORAGE: Effect(State.DOWN, Patience.CONFIRM),
        Verdict.DRAINING: Effect(State.DRAINING, Patience.CONFIRM),
        Verdict.REFUSED: Effect(State.DOWN),
        Verdict.TIMEOUT: Effect(State.DOWN),
        Verdict.CLOSED: Effect(State.DOWN),
        Verdict.NOT_SMTP: Effect(State.DOWN, Patience.CONFIRM),
        Verdict.REJECTING: Effect(State.DOWN, Patience.CONFIRM),
        Verdict.REJECTS_DOMAIN: Effect(State.DOWN, Patience.CONFIRM, alert=True),
        Verdict.TLS_BROKEN: Effect(State.DOWN, Patience.CONFIRM, alert=True),
        Verdict.TLS_INVALID: Effect(State.DOWN, Patience.CONFIRM, alert=True),
        Verdict.AUTH_FAILED: Effect(State.DOWN, Patience.AT_ONCE, alert=True),
        Verdict.PROBE_LIMITED: Effect(None, alert=True),
        Verdict.PROBE_BLOCKED: Effect(None, alert=True),
        Verdict.UNKNOWN: Effect(None),
    }
)
"""What each verdict does to a member. TLS counts as here where the recipe's policy demands it, else as TOLERATED."""

TOLERATED = Effect(State.DEGRADED, Patience.CONFIRM, percent=50, alert=True)
"""What broken TLS or an invalid certificate does where the policy does not demand it: senders may still deliver."""


def judge(ending: Ending, scene: Scene) -> Judgement:
    """Return the verdict on an ending.

    An ending that no rule speaks of is no information about the member, and its verdict is `unknown`.
    """
    rule = next((rule for rule in RULES if rule.fits(ending)), None)
    if rule is None:
        return Judgement(Verdict.UNKNOWN, f"{scene.where}: no rule for {ending.event} at {ending.step}")
    sentence = rule.sentence.format(
        where=scene.where,
        timeout=f"{scene.timeout:g} s",
        step=ending.step,
        code=ending.code,
        text=legible(ending.text),
    )
    return Judgement(rule.verdict, sentence.rstrip(" :"))


def aspect_of(ending: Ending) -> Aspect:
    """Return the part of a member that an ending speaks of, which has to be examined again to see it mended.

    What follows STARTTLS can only be seen by a probe that goes that deep, so that its session is an aspect of TLS.
    """
    if ending.event in {Event.UNTRUSTED, Event.EXPIRED, Event.EXPIRING}:
        return Aspect.CERTIFICATE
    aspect = _ASPECTS.get(ending.step, Aspect.SESSION)
    return Aspect.TLS if aspect is Aspect.SESSION and ending.upgraded else aspect


_ASPECTS = {
    Step.TLS: Aspect.TLS,
    Step.STARTTLS: Aspect.TLS,
    Step.AUTH: Aspect.AUTH,
    Step.MAIL: Aspect.RECIPIENT,
    Step.RCPT: Aspect.RECIPIENT,
}


def effect_of(verdict: Verdict, recipe: Recipe, event: Event | None = None) -> Effect:
    """Return what a verdict does to a member that is probed by this recipe.

    `event` tells a certificate that soon expires from one that has: senders take it still, whatever the policy.
    """
    certain = recipe.verify is not Verify.NONE and event is not Event.EXPIRING
    demanded = {
        Verdict.TLS_BROKEN: recipe.verify is not Verify.NONE
        or recipe.starttls is StartTls.REQUIRE
        or recipe.kind is Kind.SMTPS,
        Verdict.TLS_INVALID: certain,
    }
    return EFFECTS[verdict] if demanded.get(verdict, True) else TOLERATED


def legible(text: str) -> str:
    """Put a server's words on one line, cut to length, with a ? for what could disturb a terminal or a log."""
    line = " ".join(text.split())
    shown = "".join(letter if letter.isprintable() else "?" for letter in line)
    return shown if len(shown) <= TEXT_LIMIT else shown[: TEXT_LIMIT - 3] + "..."
