"""How a conversation ended -> one word and a sentence for people. A table and no I/O.

The rules are read from the top and the first that fits decides, so a narrower rule stands above a wider one. The
words in them are those of Postfix (smtpd, postscreen, postgrey), Exim, OpenSMTPD, Dovecot, Exchange, KumoMTA and
Stalwart, as their sources and programs hold them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType

from dnslb.pool.health import Aspect, Effect, Patience, State, Verdict
from dnslb.probe.recipe import Kind, Recipe, StartTls, Verify

TEXT_LIMIT = 160
"""How many characters of a server's own words a reason repeats."""

READ_LIMIT = 2000
"""How many characters of a server's own words the rules look at."""

SLOW_GREETING = 2.0
"""Seconds to a greeting from which on a server counts as slow: the shortest pause that postscreen makes on purpose."""


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
    and `host` the member's name, "" if not known. `greeting_lines` counts the greeting's lines. `anonymous` says that
    the probe has no account for a server that takes mail after a login (RFC 6409), `avoids_tls` that it never asks for
    TLS, and `proxied` that it began with a PROXY header.
    """

    where: str
    timeout: float
    source: str = ""
    host: str = ""
    greeting_lines: int = 1
    anonymous: bool = False
    avoids_tls: bool = False
    proxied: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on an ending, and the reason ("" when all is well)."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table: what must have happened, and what follows.

    What is left out does not matter, but for `codes`: without, the event is no reply. `enhanced` are the beginnings of
    an enhanced status code, one of which must fit. `words` are sought in what the server said, put on one line.
    `names_us` asks that it names our own address, `slower_than` that the step took longer (seconds), `teased` that the
    greeting had several lines (as postscreen's has), `upgraded` that it happened inside of STARTTLS. `anonymous` and
    `avoids_tls` ask that the probe came without an account, or without TLS.
    """

    event: Event
    steps: frozenset[Step]
    verdict: Verdict
    sentence: str
    codes: range = range(1)
    enhanced: tuple[str, ...] = ("",)
    words: re.Pattern[str] | None = None
    names_us: bool = False
    slower_than: float = -1.0
    teased: bool = False
    upgraded: bool = False
    anonymous: bool = False
    avoids_tls: bool = False

    def fits(self, ending: Ending, scene: Scene, line: str) -> bool:
        """Whether this rule speaks of such an ending. `line` is its text on one line."""
        return (
            ending.event is self.event
            and ending.step in self.steps
            and ending.code in self.codes
            and ending.took > self.slower_than
            and (not self.upgraded or ending.upgraded)
            and (not self.teased or scene.greeting_lines > 1)
            and (not self.anonymous or scene.anonymous)
            and (not self.avoids_tls or scene.avoids_tls)
            and ending.enhanced.startswith(self.enhanced)
            and (self.words is None or self.words.search(line) is not None)
            and (not self.names_us or names(scene.source, line))
        )


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


CONNECT = frozenset({Step.CONNECT})
GREETING = frozenset({Step.PROXY, Step.GREETING})
HELLO = frozenset({Step.EHLO, Step.HELO, Step.LHLO})
STARTTLS = frozenset({Step.STARTTLS})
TLS = frozenset({Step.TLS})
AUTH = frozenset({Step.AUTH})
MAIL = frozenset({Step.MAIL})
RCPT = frozenset({Step.RCPT})
QUIT = frozenset({Step.QUIT})
ENVELOPE = MAIL | RCPT
COMMANDS = HELLO | STARTTLS | AUTH | ENVELOPE
TALK = GREETING | COMMANDS
ANY_STEP = frozenset(Step)

DONE = range(250, 251)
ACCEPTED = range(250, 253)
"""A recipient may be taken (250), forwarded (251) or taken unseen (252): RFC 5321 3.4, 3.5.3."""
LOGGED_IN = range(235, 236)
CLOSING = range(421, 422)
TRANSIENT = range(400, 500)
PERMANENT = range(500, 600)
FAILURES = range(400, 600)
LOGIN_FIRST = range(530, 531)
UNAVAILABLE = range(550, 555)
ANY_CODE = range(-99, 1000)  # what a number of three characters can be

LEAVING = _words(
    r"shutting down",
    r"(system|server|service) shut ?down",
    r"going down",
    r"\bdraining\b",
    r"\bSIGTERM\b",
    r"maintenance",
)
TO_ANYBODY = _words(r"client host rejected: ")
"""Postfix, told by smtpd_client_restrictions to say no to all, names each client as a matter of form."""

PER_CLIENT = _words(
    r"too (many|much) [^.;]{0,60}\bfrom\b",  # Postfix "too many connections from ...", Exim "... from this IP address"
    r"too many (syntax or protocol |invalid )?(errors|commands)",
    r"rate limit",
    r"submission rate for this client",  # Exchange
    r"too many messages in this connection",
)
FULL = _words(
    r"insufficient (system|disk)",  # Postfix "Insufficient system storage", Exchange "Insufficient system resources"
    r"space shortage",  # Exim
    r"mail system full",  # Stalwart, RFC 3463 3.4
    r"(disk|file ?system|spool) (is )?full",
    r"(no|out of|not enough) (disk )?(space|storage)",
)
GREYLISTED = _words(r"gr[ae]y-?list", r"postgrey")
VERIFYING = _words(r"verification in progress")
COME_AGAIN = _words(r"try (it )?(again|later)", r"\bretry\b", r"come back later")
BROKEN_INSIDE = _words(
    r"service unavailable",  # Postfix: "451 4.7.1 Service unavailable - try again later" is a milter that is gone
    r"temporary (lookup|internal|local|error|failure)",
    r"local (problem|error|configuration)",
    r"configuration (error|problem)",
)
NO_SUCH = _words(
    r"relay access denied",
    r"(relaying|relay) (is )?(denied|not permitted|not allowed|prohibited)",
    r"unable to relay",
    r"(user|recipient|mailbox|address)( is)? (unknown|unavailable|not found|doesn't exist|does not exist)",
    r"(unknown|no such|invalid) (user|recipient|mailbox|address)",
    r"user doesn't exist",
    r"mailbox unavailable",
    r"unrouteable",
    r"not (a )?local",
    r"undeliverable address",
    r"recipient address \[\S{1,100}\] blocked",  # Postfix: reject_rhsbl_recipient
    r"nullmx",
)
SENDER = _words(
    r"sender (address )?(rejected|denied|refused|verify failed|not allowed|must)",
    r"sender address \[\S{1,100}\] blocked",  # Postfix: reject_rhsbl_sender
    r"bad sender",
    r"as this sender",  # Exchange 5.7.60
    r"\b(spf|dmarc)\b",
)
WANTS_LOGIN = _words(r"authentication (is )?required", r"not authenticated", r"must authenticate")
WANTS_TLS = _words(r"STARTTLS", r"\b(TLS|encryption|encrypted) ([^.;]{1,40} )?(is )?(required|needed)")
CLIENT = _words(
    r"client host rejected",
    r"unverified client host",
    r"helo command rejected",
    r"blocked (using|by|for|due|because)",
    r"(you|client|host|address|ip|server|\]) (is|are|has been|have been) (\w{1,20} )?"
    r"(blocked|banned|listed|black ?listed|deny ?listed|rejected|not allowed)",
    r"(block|black|deny)[ -]?list",
    r"spamhaus|spamcop|barracudacentral|\bdnsbl\b|\brbl\b",
    r"banned",
    r"poor reputation",
    r"not (allowed|authori[sz]ed|permitted) to connect",
    r"reverse (dns|hostname|lookup)|\bptr\b",
)
_ADDRESS = r"( [a-z0-9.-]{0,80}\[[0-9a-z.:]{3,50}\])?"
CLIENT_AT_RCPT = _words(
    r"unverified client host",
    r"helo command rejected",
    rf"\bclient( host)?{_ADDRESS} (blocked|banned|listed|rejected)\b",
    rf"\b(you|your (?!messages?\b|recipients?\b)[\w .:()\[\]-]{{1,60}}|(client|host|ip)( name| address| ip)?){_ADDRESS}"
    r" (is|are|was|were|has been|have been)( \w{1,20})? "
    r"(blocked|banned|listed|black ?listed|deny ?listed|rejected|not allowed)\b",
    r"\[(ipv6:)?[0-9a-f.:]{3,45}\] (is|was|has been) (\w{1,20} )?(blocked|banned|listed|black ?listed|rejected)\b",
    r"spamhaus|spamcop|barracudacentral|\bdnsbl\b|\brbl\b",
    r"not (allowed|authori[sz]ed|permitted) to connect",
    r"reverse (dns|hostname|lookup)|\bptr\b",
)
"""The client has to be the subject here: addresses and domains that are blocked may be the recipient's."""

POSTSCREEN = _words(
    r"protocol error",  # 521 and 550 5.5.1: a client that failed its tests before
    r"service currently unavailable",  # 521 and 550 5.3.2: in the deny list
    r"break rules, too",  # 521 5.7.0
    r"synchroni[sz]ation",  # Postfix 3.9 and Exim: 554, to one that talks before its turn
)
OUR_NAME = _words(r"syntax: (ehlo|helo|lhlo)", r"syntactically invalid", r"invalid domain name", r"requires domain")
WEB = _words(r"^HTTP/", r"^<(!doctype )?html", r"400 bad request")
TLS_RECORD = _words(r"^[\x14-\x17]\x03")
SHELL = _words(r"^SSH-")
MAILBOX = _words(r"^\* (OK|PREAUTH|BYE)\b", r"^\+OK\b", r"^-ERR\b")
NO_TLS_THERE = _words(r"wrong.version.number", r"record.layer.failure", r"unknown.protocol", r"http.request")
PIPELINING = _words(r"\bPIPELINING\b")

_GREETS = "{where} greets with {code} {text}"
_ANSWERS = "{where} answers {step} with {code} {text}"
_HOLDS_OFF = "{where} holds off the probe's own address, which says nothing of other clients: {code} {text}"
_BLOCKS = "{where} turns away the probe, which says nothing of other clients: {code} {text}"
_REFUSES_SENDER = "{where} refuses the probe's sender, which says nothing of others: {code} {text}"
_WANTS_LOGIN = "{where} wants a login before it takes mail, and the probe has no account: {code} {text}"
_WANTS_TLS = "{where} wants TLS before it takes mail, and the probe has starttls = off: {code} {text}"
_WANTS_MORE = "{where} wants a login or TLS of mail servers too: it answers {step} with {code} {text}"
_SENTINEL_WANTS_MORE = "{where} wants a login or TLS before it takes mail for the sentinel recipient: {code} {text}"
_SOFT_BOUNCE = (
    "{where} refuses the sentinel recipient for now (soft_bounce or defer_unauth_destination in Postfix): {code} {text}"
)
_REJECTS_DOMAIN = "{where} refuses the sentinel recipient for good, as it would for real senders: {code} {text}"
_DOES_NOT_GREET = "{where} does not greet in SMTP: {text}"

WELL = (
    Rule(
        Event.REPLY,
        HELLO,
        Verdict.SLOW,
        "{where} took {took} to greet, after a first line at once: a pause as postscreen makes for new clients",
        DONE,
        slower_than=SLOW_GREETING,
        teased=True,
    ),
    Rule(Event.REPLY, HELLO | MAIL, Verdict.SLOW, "{where} took {took} to greet", DONE, slower_than=SLOW_GREETING),
    Rule(Event.REPLY, RCPT, Verdict.SLOW, "{where} took {took} to greet", ACCEPTED, slower_than=SLOW_GREETING),
    Rule(Event.REPLY, AUTH, Verdict.SLOW, "{where} took {took} to greet", LOGGED_IN, slower_than=SLOW_GREETING),
    Rule(Event.REPLY, HELLO | MAIL, Verdict.OK, "", DONE),
    Rule(Event.REPLY, RCPT, Verdict.OK, "", ACCEPTED),
    Rule(Event.REPLY, AUTH, Verdict.OK, "", LOGGED_IN),
    Rule(Event.CONNECTED, CONNECT, Verdict.OK, ""),
    *(Rule(event, QUIT, Verdict.OK, "", ANY_CODE) for event in Event),
)
"""What is as it should be. How a server answers QUIT changes nothing: all was said before."""

NETWORK = (
    Rule(Event.REFUSED, CONNECT, Verdict.REFUSED, "{where} refuses connections"),
    Rule(Event.SILENCE, CONNECT, Verdict.TIMEOUT, "{where} does not answer connection attempts ({timeout})"),
    Rule(
        Event.SILENCE,
        GREETING,
        Verdict.TIMEOUT,
        "{where} accepts connections but sends no complete greeting within {timeout}",
    ),
    Rule(
        Event.SILENCE,
        HELLO,
        Verdict.TLS_BROKEN,
        "{where} does not answer {step} inside of STARTTLS within the {timeout} of the conversation",
        upgraded=True,
    ),
    Rule(
        Event.SILENCE,
        HELLO,
        Verdict.TIMEOUT,
        "{where} greets but does not answer {step} within the {timeout} of the conversation",
    ),
    Rule(
        Event.SILENCE,
        COMMANDS,
        Verdict.TIMEOUT,
        "{where} does not answer {step} within the {timeout} of the conversation",
    ),
    Rule(Event.UNREACHABLE, CONNECT, Verdict.TIMEOUT, "{where} cannot be reached: {text}"),
    Rule(Event.NO_ROUTE, CONNECT, Verdict.TIMEOUT, "there is no route from here to {where}: {text}"),
    Rule(
        Event.EOF,
        GREETING,
        Verdict.CLOSED,
        "{where} closes the connection before its greeting ends (as TCP wrappers and fail2ban do, and listeners that "
        "expect a PROXY header)",
    ),
    Rule(
        Event.RESET,
        CONNECT | GREETING,
        Verdict.CLOSED,
        "{where} resets the connection before its greeting ends (as TCP wrappers and fail2ban do, and listeners that "
        "expect a PROXY header)",
    ),
    Rule(
        Event.EOF,
        HELLO,
        Verdict.TLS_BROKEN,
        "{where} closes the connection instead of answering {step} inside of STARTTLS",
        upgraded=True,
    ),
    Rule(
        Event.RESET,
        HELLO,
        Verdict.TLS_BROKEN,
        "{where} resets the connection instead of answering {step} inside of STARTTLS",
        upgraded=True,
    ),
    Rule(Event.EOF, COMMANDS, Verdict.CLOSED, "{where} closes the connection instead of answering {step}"),
    Rule(Event.RESET, COMMANDS, Verdict.CLOSED, "{where} resets the connection instead of answering {step}"),
)
"""What the network or the operating system says."""

NOISE = (
    Rule(
        Event.GARBAGE,
        GREETING,
        Verdict.NOT_SMTP,
        "{where} does not greet in SMTP: this looks like a TLS port (kind = smtps?): {text}",
        words=TLS_RECORD,
    ),
    Rule(Event.GARBAGE, GREETING, Verdict.NOT_SMTP, f"{_DOES_NOT_GREET} (a web server answers there)", words=WEB),
    Rule(Event.GARBAGE, GREETING, Verdict.NOT_SMTP, f"{_DOES_NOT_GREET} (an SSH server answers there)", words=SHELL),
    Rule(
        Event.GARBAGE,
        GREETING,
        Verdict.NOT_SMTP,
        f"{_DOES_NOT_GREET} (an IMAP or POP3 server answers there)",
        words=MAILBOX,
    ),
    Rule(Event.GARBAGE, GREETING, Verdict.NOT_SMTP, _DOES_NOT_GREET),
    Rule(
        Event.GARBAGE,
        HELLO,
        Verdict.TLS_BROKEN,
        "{where} does not answer {step} in SMTP inside of STARTTLS: {text}",
        upgraded=True,
    ),
    Rule(Event.GARBAGE, ANY_STEP, Verdict.NOT_SMTP, "{where} does not answer {step} in SMTP: {text}"),
    Rule(Event.EARLY, ANY_STEP, Verdict.NOT_SMTP, "{where} speaks before its turn, at {step}: {text}"),
    Rule(Event.FLOOD, ANY_STEP, Verdict.NOT_SMTP, "{where} sends more at {step} than any mail server would: {text}"),
)
"""What is no SMTP (RFC 5321 4.2, 4.3.1)."""

SECURITY = (
    Rule(
        Event.TLS_FAILED,
        TLS,
        Verdict.TLS_BROKEN,
        "{where} does not speak TLS when it should: {text}",
        words=NO_TLS_THERE,
    ),
    Rule(Event.TLS_FAILED, ANY_STEP, Verdict.TLS_BROKEN, "no TLS with {where}: {text}"),
    Rule(
        Event.SILENCE,
        TLS,
        Verdict.TLS_BROKEN,
        "{where} does not finish the TLS handshake within the {timeout} of the conversation",
    ),
    Rule(Event.EOF, TLS, Verdict.TLS_BROKEN, "{where} closes the connection during the TLS handshake"),
    Rule(Event.RESET, TLS, Verdict.TLS_BROKEN, "{where} resets the connection during the TLS handshake"),
    Rule(Event.UNTRUSTED, ANY_STEP, Verdict.TLS_INVALID, "the certificate of {where} does not hold for {host}: {text}"),
    Rule(Event.EXPIRED, ANY_STEP, Verdict.TLS_INVALID, "the certificate of {where} is not valid now: {text}"),
    Rule(Event.EXPIRING, ANY_STEP, Verdict.TLS_INVALID, "the certificate of {where} is about to expire: {text}"),
)
"""Handshakes and certificates."""

OFFERS = (
    Rule(
        Event.LACKING,
        HELLO,
        Verdict.PROBE_LIMITED,
        "{where} does not offer {text}, after a greeting of several lines: this is postscreen's stand-in, which new "
        "clients get to see",
        words=PIPELINING,
        teased=True,
    ),
    Rule(Event.LACKING, STARTTLS | TLS, Verdict.TLS_BROKEN, "{where} does not offer STARTTLS ({text})"),
    Rule(Event.LACKING, AUTH, Verdict.AUTH_FAILED, "{where} cannot be logged in to: it lacks {text}"),
    Rule(Event.LACKING, ANY_STEP, Verdict.REJECTING, "{where} does not offer what it should: {text}"),
)
"""What a server should offer and does not."""

CLOSINGS = (
    Rule(
        Event.REPLY,
        GREETING,
        Verdict.DRAINING,
        "{where} is going away: it greets with {code} {text}",
        CLOSING,
        words=LEAVING,
    ),
    Rule(
        Event.REPLY,
        COMMANDS,
        Verdict.DRAINING,
        "{where} is going away: it answers {step} with {code} {text}",
        CLOSING,
        words=LEAVING,
    ),
)
"""A server that says goodbye to all (RFC 5321 3.8)."""

LIMITS = (
    Rule(
        Event.REPLY,
        TALK,
        Verdict.PROBE_LIMITED,
        "{where} limits the probe, which says nothing of other clients: {code} {text}",
        TRANSIENT,
        words=PER_CLIENT,
    ),
    Rule(
        Event.REPLY,
        GREETING | HELLO,
        Verdict.PROBE_LIMITED,
        "{where} limits the probe's connections, which says nothing of other clients: {code} {text}",
        CLOSING,
        ("4.7.",),
        words=_words(r"too many connections"),
    ),
    Rule(
        Event.REPLY,
        COMMANDS,
        Verdict.PROBE_LIMITED,
        "postscreen stands before {where} and has tested the probe as a new client: {code} {text}",
        TRANSIENT,
        words=_words(r"service unavailable - try again"),
        teased=True,
    ),
    Rule(
        Event.REPLY,
        ENVELOPE,
        Verdict.PROBE_LIMITED,
        "postscreen stands before {where} and has tested the probe as a new client: {code} {text}",
        TRANSIENT,
        ("4.3.2",),
        words=_words(r"service currently unavailable"),
    ),
)
"""What hits the probe as a client of its own, and nobody else."""

SHORTAGES = (
    Rule(
        Event.REPLY,
        TALK,
        Verdict.STORAGE,
        "{where} has no room for mail: it answers {step} with {code} {text}",
        TRANSIENT,
        words=FULL,
    ),
    Rule(
        Event.REPLY,
        TALK,
        Verdict.STORAGE,
        "{where} has no room for mail: it answers {step} with {code} {text}",
        range(450, 460),
        ("4.3.1",),
    ),
)
"""No room (RFC 3463 3.4: X.3.1 is the mail system, X.2.2 and X.3.4 are the mailbox and the message)."""

DEMANDS = (
    Rule(Event.REPLY, ENVELOPE, Verdict.PROBE_BLOCKED, _WANTS_TLS, FAILURES, words=WANTS_TLS, avoids_tls=True),
    Rule(Event.REPLY, MAIL, Verdict.REJECTING, _WANTS_MORE, PERMANENT, words=WANTS_TLS),
    Rule(Event.REPLY, RCPT, Verdict.REJECTS_DOMAIN, _SENTINEL_WANTS_MORE, PERMANENT, words=WANTS_TLS),
    Rule(Event.REPLY, ENVELOPE, Verdict.PROBE_BLOCKED, _WANTS_LOGIN, LOGIN_FIRST, anonymous=True),
    Rule(Event.REPLY, ENVELOPE, Verdict.PROBE_BLOCKED, _WANTS_LOGIN, PERMANENT, words=WANTS_LOGIN, anonymous=True),
    Rule(Event.REPLY, MAIL, Verdict.REJECTING, _WANTS_MORE, LOGIN_FIRST),
    Rule(Event.REPLY, RCPT, Verdict.REJECTS_DOMAIN, _SENTINEL_WANTS_MORE, LOGIN_FIRST),
)
"""TLS or a login first (RFC 3207 section 4, RFC 4954 section 6). Other servers have no account either, and give up."""

TEMPORARY = (
    Rule(Event.REPLY, ENVELOPE, Verdict.OK, "", TRANSIENT, words=GREYLISTED),
    Rule(Event.REPLY, GREETING, Verdict.BUSY, _GREETS, TRANSIENT, ("4.3.",), words=BROKEN_INSIDE),
    Rule(Event.REPLY, COMMANDS - STARTTLS, Verdict.BUSY, _ANSWERS, TRANSIENT, ("4.3.",), words=BROKEN_INSIDE),
    Rule(Event.REPLY, GREETING, Verdict.BUSY, _GREETS, TRANSIENT, ("4.3.",), words=TO_ANYBODY),
    Rule(Event.REPLY, COMMANDS - STARTTLS, Verdict.BUSY, _ANSWERS, TRANSIENT, ("4.3.",), words=TO_ANYBODY),
    Rule(Event.REPLY, TALK - STARTTLS, Verdict.PROBE_LIMITED, _HOLDS_OFF, TRANSIENT, ("4.3.",), names_us=True),
    Rule(Event.REPLY, GREETING, Verdict.BUSY, _GREETS, TRANSIENT, ("4.3.",)),
    Rule(Event.REPLY, COMMANDS - STARTTLS, Verdict.BUSY, _ANSWERS, TRANSIENT, ("4.3.",)),
    Rule(Event.REPLY, TALK, Verdict.PROBE_LIMITED, _HOLDS_OFF, CLOSING, names_us=True),
    Rule(Event.REPLY, GREETING, Verdict.BUSY, _GREETS, CLOSING),
    Rule(Event.REPLY, COMMANDS, Verdict.BUSY, _ANSWERS, CLOSING),
    Rule(Event.REPLY, STARTTLS, Verdict.TLS_BROKEN, "{where} cannot start TLS now: {code} {text}", TRANSIENT),
    Rule(
        Event.REPLY,
        AUTH,
        Verdict.BUSY,
        "{where} cannot check logins now (what it asks for passwords may be gone): {code} {text}",
        TRANSIENT,
    ),
    Rule(Event.REPLY, RCPT, Verdict.OK, "", TRANSIENT, words=VERIFYING),
    Rule(Event.REPLY, ENVELOPE, Verdict.PROBE_BLOCKED, _REFUSES_SENDER, TRANSIENT, words=SENDER),
    Rule(Event.REPLY, ENVELOPE, Verdict.PROBE_BLOCKED, _REFUSES_SENDER, TRANSIENT, ("4.1.7", "4.1.8")),
    Rule(Event.REPLY, RCPT, Verdict.BUSY, _SOFT_BOUNCE, TRANSIENT, words=NO_SUCH),
    Rule(Event.REPLY, RCPT, Verdict.BUSY, _SOFT_BOUNCE, TRANSIENT, ("4.1.",)),
    Rule(Event.REPLY, TALK - RCPT, Verdict.PROBE_BLOCKED, _BLOCKS, TRANSIENT, words=CLIENT),
    Rule(Event.REPLY, RCPT, Verdict.PROBE_BLOCKED, _BLOCKS, TRANSIENT, words=CLIENT_AT_RCPT),
    Rule(Event.REPLY, ENVELOPE, Verdict.BUSY, _ANSWERS, TRANSIENT, words=BROKEN_INSIDE),
    Rule(Event.REPLY, RCPT, Verdict.OK, "", TRANSIENT, words=COME_AGAIN),
    Rule(Event.REPLY, TALK, Verdict.PROBE_LIMITED, _HOLDS_OFF, TRANSIENT, names_us=True),
    Rule(Event.REPLY, RCPT, Verdict.OK, "", TRANSIENT, ("4.2.", "4.7.")),
    Rule(Event.REPLY, GREETING, Verdict.BUSY, _GREETS, TRANSIENT),
    Rule(Event.REPLY, COMMANDS, Verdict.BUSY, _ANSWERS, TRANSIENT),
)
"""Not now. To greylist a stranger's recipient is to accept it: the member is well."""

NOT_FOR_US = (
    Rule(Event.REPLY, GREETING | HELLO | MAIL, Verdict.PROBE_BLOCKED, _BLOCKS, PERMANENT, words=POSTSCREEN),
    Rule(Event.REPLY, GREETING | HELLO | MAIL, Verdict.PROBE_BLOCKED, _BLOCKS, PERMANENT, words=CLIENT),
    Rule(Event.REPLY, GREETING | HELLO | MAIL, Verdict.PROBE_BLOCKED, _BLOCKS, PERMANENT, names_us=True),
    Rule(
        Event.REPLY,
        HELLO,
        Verdict.PROBE_BLOCKED,
        "{where} does not like the probe's EHLO name: {code} {text}",
        PERMANENT,
        words=OUR_NAME,
    ),
    Rule(Event.REPLY, ENVELOPE, Verdict.PROBE_BLOCKED, _REFUSES_SENDER, PERMANENT, words=SENDER),
    Rule(Event.REPLY, ENVELOPE, Verdict.PROBE_BLOCKED, _REFUSES_SENDER, PERMANENT, ("5.1.7", "5.1.8")),
    Rule(
        Event.REPLY,
        RCPT,
        Verdict.PROBE_BLOCKED,
        "{where} has no room in the sentinel's own mailbox: {code} {text}",
        PERMANENT,
        ("5.2.2",),
    ),
    Rule(Event.REPLY, RCPT, Verdict.REJECTS_DOMAIN, _REJECTS_DOMAIN, PERMANENT, words=NO_SUCH),
    Rule(Event.REPLY, RCPT, Verdict.REJECTS_DOMAIN, _REJECTS_DOMAIN, PERMANENT, ("5.1.",)),
    Rule(Event.REPLY, RCPT, Verdict.PROBE_BLOCKED, _BLOCKS, PERMANENT, words=POSTSCREEN),
    Rule(Event.REPLY, RCPT, Verdict.PROBE_BLOCKED, _BLOCKS, PERMANENT, words=CLIENT_AT_RCPT),
    Rule(Event.REPLY, RCPT, Verdict.PROBE_BLOCKED, _BLOCKS, PERMANENT, names_us=True),
    Rule(Event.REPLY, AUTH, Verdict.PROBE_BLOCKED, _BLOCKS, UNAVAILABLE, words=CLIENT),
    Rule(Event.REPLY, AUTH, Verdict.PROBE_BLOCKED, _BLOCKS, UNAVAILABLE, names_us=True),
)
"""Never for the probe, which need not be never for others; and the sentinel, where others bounce."""

FINAL = (
    Rule(Event.REPLY, GREETING, Verdict.REJECTING, _GREETS, PERMANENT),
    Rule(Event.REPLY, HELLO | MAIL, Verdict.REJECTING, _ANSWERS, PERMANENT),
    Rule(Event.REPLY, STARTTLS, Verdict.TLS_BROKEN, "{where} does not start TLS: {code} {text}", ANY_CODE),
    Rule(Event.REPLY, RCPT, Verdict.REJECTS_DOMAIN, _REJECTS_DOMAIN, PERMANENT),
    Rule(
        Event.REPLY,
        AUTH,
        Verdict.AUTH_FAILED,
        "{where} does not accept the probe's account: {code} {text}",
        range(535, 536),
    ),
    Rule(
        Event.REPLY,
        AUTH,
        Verdict.AUTH_FAILED,
        "{where} does not let this account log in like this (534: too weakly, 538: without TLS): {code} {text}",
        range(534, 539),
    ),
    Rule(
        Event.REPLY,
        AUTH,
        Verdict.AUTH_FAILED,
        "{where} has no logins of this kind on this port: {code} {text}",
        range(500, 505),
    ),
    Rule(Event.REPLY, AUTH, Verdict.AUTH_FAILED, "{where} does not let the probe log in: {code} {text}", ANY_CODE),
    Rule(
        Event.REPLY,
        GREETING,
        Verdict.NOT_SMTP,
        "{where} greets with {code}, which is no SMTP greeting: {text}",
        ANY_CODE,
    ),
    Rule(
        Event.REPLY,
        COMMANDS,
        Verdict.NOT_SMTP,
        "{where} answers {step} with {code}, which SMTP does not know there: {text}",
        ANY_CODE,
    ),
)
"""What is left of the replies."""

RULES = (
    *WELL,
    *NETWORK,
    *SECURITY,
    *NOISE,
    *OFFERS,
    *CLOSINGS,
    *LIMITS,
    *SHORTAGES,
    *DEMANDS,
    *TEMPORARY,
    *NOT_FOR_US,
    *FINAL,
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
    line = " ".join(ending.text[:READ_LIMIT].split())
    rule = next((rule for rule in RULES if rule.fits(ending, scene, line)), None)
    if rule is None:
        return Judgement(Verdict.UNKNOWN, f"{scene.where}: no rule for {ending.event} at {ending.step}")
    sentence = rule.sentence.format(
        where=scene.where,
        timeout=f"{scene.timeout:g} s",
        took=f"{ending.took:.1f} s",
        host=scene.host or scene.where,
        step=ending.step,
        code=ending.code,
        text=legible(ending.text),
    )
    return Judgement(rule.verdict, sentence.rstrip(" :"))


def names(address: str, line: str) -> bool:
    """Whether a line holds this IP address, however it is written. False for "", an address that is not known."""
    if not address:
        return False
    found = (*_IPV4.findall(line), *_IPV6.findall(line.lower().replace("ipv6:", " ")))
    return ip_address(address) in map(_parsed, found)


_IPV4 = re.compile(r"(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9]|\.[0-9])")
_IPV6 = re.compile(r"(?<![0-9a-z:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![0-9a-z:])")


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


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

    `event` is what led to the verdict. What a lost packet can cause needs more patience than what was said in words,
    and a certificate that soon expires is taken by senders still, whatever the policy. A refused login counts at once,
    for it is not tried again soon; one that was never tried, for want of AUTH or TLS, is looked at once more.
    """
    effect = EFFECTS[verdict] if _is_demanded(verdict, recipe) and event is not Event.EXPIRING else TOLERATED
    if event in _DOUBTFUL and effect.patience is Patience.CONFIRM:
        return replace(effect, patience=Patience.FALL)
    if event is Event.LACKING and effect.patience is Patience.AT_ONCE:
        return replace(effect, patience=Patience.CONFIRM)
    return effect


_DOUBTFUL = frozenset({Event.SILENCE, Event.EOF, Event.RESET})


def _is_demanded(verdict: Verdict, recipe: Recipe) -> bool:
    verified = recipe.verify is not Verify.NONE
    if verdict is Verdict.TLS_BROKEN:
        return verified or recipe.starttls is StartTls.REQUIRE or recipe.kind is Kind.SMTPS
    return verified or verdict is not Verdict.TLS_INVALID


def legible(text: str) -> str:
    """Put a server's words on one line, cut to length, with a ? for what could disturb a terminal or a log."""
    line = " ".join(text.split())
    shown = "".join(letter if letter.isprintable() else "?" for letter in line)
    return shown if len(shown) <= TEXT_LIMIT else shown[: TEXT_LIMIT - 3] + "..."
