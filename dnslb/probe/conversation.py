"""One conversation with one address, as deep as it is asked to go.

The order of its steps is RFC 5321 3.1 to 3.3, RFC 3207 section 4 and RFC 4954 section 4: connect, PROXY header, TLS (at
once or by STARTTLS), greeting, EHLO, AUTH, MAIL and RCPT, QUIT. There is never a DATA or RSET, and never a second
command before the reply to the first.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from aiosmtplib.errors import SMTPException, SMTPServerDisconnected

from dnslb.pool.health import Aspect, State, Verdict
from dnslb.probe import tls, trust
from dnslb.probe.hello import keywords, lacking, say_hello
from dnslb.probe.line import Line, handshake_failure, note_failure
from dnslb.probe.login import log_in, mechanism_of
from dnslb.probe.memory import Memory, Place, Rejection, digest
from dnslb.probe.plan import Plan
from dnslb.probe.recipe import Kind, Target, Tlsa
from dnslb.probe.record import Finding, Record, where
from dnslb.probe.tcp import Address, connect, connect_failure, send_proxy_header, source_for
from dnslb.probe.transcript import TlsFacts  # noqa: TC001 - no second way of importing for the sake of one annotation
from dnslb.probe.verdict import Ending, Event, Scene, Step, effect_of, judge

READY = 220
DONE = 250
LOGGED_IN = 235

TRANSIENT = range(400, 500)
"""Replies that put off (RFC 5321 4.2.1)."""

GREYLISTED = (
    "the sentinel was put off as by greylisting, and so is not known to be taken: list the probe's address where "
    "greylisting has its exceptions"
)

NO_CLEAR_TEXT = "TLS, without which no password is sent"

STAND_IN = (
    "the greeting has several lines and PIPELINING is not offered: if postscreen answers here, deeper probes see its "
    "stand-in only; list the probe's address in postscreen_access_list"
)

Handshake = Callable[[ssl.SSLContext, str], Awaitable[ssl.SSLObject]]


class HandshakeError(Exception):
    """TLS came to nothing, and the connection with it."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.event)
        self.ending = ending


class Visit:
    """A conversation under way: what it is to find out, and what it has found so far.

    It goes over a second connection where a handshake broke the first: without verifying, to see the certificate that
    was not trusted; in clear text, to examine what is left where the recipe tolerates broken TLS. Where the memory
    holds a chain that was not trusted, the first handshake goes without verifying; if it shows another chain, that one
    is verified over a new connection.
    """

    def __init__(
        self,
        target: Target,
        address: Address,
        aspects: frozenset[Aspect],
        memory: Memory,
        tlsa: Sequence[Tlsa] | None = None,
    ) -> None:
        self._plan = Plan(target, aspects)
        self._recipe = target.recipe
        self._address = address
        self._memory = memory
        self._place = Place(address, target.port, self._plan.host, self._recipe.ca_file)
        self._tlsa = tlsa
        self._started = asyncio.get_running_loop().time()
        self._deadline = self._started + target.recipe.timeout
        self._record = Record(where(address, target.port))
        self._line: Line | None = None
        self._secure = False
        self._distrust: str | None = None
        self._unfamiliar = False
        self._in_clear = False
        self._problems: list[Ending] = []
        self._warnings: list[str] = []
        self._examined = {Aspect.SESSION} | self._plan.needless
        self._latency: float | None = None
        self._source = ""
        self._greeting_lines = 1
        self._tls: TlsFacts | None = None
        self._keywords: Mapping[str, str] = {}
        self._last = Ending(Event.CONNECTED, Step.CONNECT)
        self._stays_shallow = False
        self._logged_in = False

    async def pay(self) -> Finding:
        """Hold the conversation, bounded as a whole by the recipe's timeout."""
        try:
            ending = await self._until_deadline()
            if self._line is not None:
                await self._line.quit(self._deadline)
        finally:
            self._hang_up()
        return Finding(
            scene=self._scene,
            endings=(*self._problems, ending),
            exchanges=tuple(self._record.exchanges),
            examined=frozenset(self._examined),
            latency=self._latency,
            tls=self._tls,
            warnings=tuple(self._warnings),
        )

    @property
    def _scene(self) -> Scene:
        return Scene(
            self._record.where,
            self._recipe.timeout,
            self._source,
            self._plan.target.host,
            self._greeting_lines,
            anonymous=self._plan.anonymous,
            avoids_tls=self._plan.avoids_tls,
            proxied=self._recipe.proxy,
        )

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.abort()
            self._line = None

    async def _until_deadline(self) -> Ending:
        """Return how it ended. Where there is a line afterwards, it can still be said QUIT over."""
        try:
            async with asyncio.timeout_at(self._deadline):
                while (ending := await self._over_one_connection()) is None:
                    self._hang_up()
                return ending
        except TimeoutError:
            self._hang_up()
            return self._record.failed(Event.SILENCE)

    async def _over_one_connection(self) -> Ending | None:
        """Return how it ended, None if a new connection is to go on."""
        sock = await self._connect()
        if isinstance(sock, Ending):
            return sock
        self._line = Line(self._record, sock)
        if self._recipe.kind is Kind.TCP:
            self._hang_up()
            return Ending(Event.CONNECTED, Step.CONNECT)
        self._secure = self._record.upgraded = self._unfamiliar = False
        try:
            return await self._greeting(self._line) or await self._dialogue(self._line)
        except HandshakeError as broken:
            return self._after(broken.ending)
        except SMTPException as error:
            return self._after(note_failure(self._record, error))

    async def _connect(self) -> socket.socket | Ending:
        source = source_for(self._address, self._recipe.source)
        self._record.begin(Step.CONNECT)
        try:
            sock = await connect(self._address, self._plan.target.port, source)
            self._source = sock.getsockname()[0]
            self._record.end()
            if self._recipe.proxy:
                self._record.begin(Step.PROXY, "PROXY v2 LOCAL")
                await send_proxy_header(sock)
                self._record.end()
        except OSError as error:
            event, text = connect_failure(error, source)
            return self._record.failed(event, text)
        return sock

    async def _greeting(self, line: Line) -> Ending | None:
        """Open the conversation, and send nothing before the last line of the greeting is there."""
        if self._plan.implicit_tls:
            await self._shake_hands(line.open_secure)
        else:
            self._record.begin(Step.GREETING)
            await line.open()
        reply = await line.listen(Step.GREETING)
        if self._latency is None:
            self._latency = asyncio.get_running_loop().time() - self._started
        self._greeting_lines = reply.message.count("\n") + 1
        return None if reply.code == READY else self._record.ending(reply)

    async def _dialogue(self, line: Line) -> Ending | None:
        """Go through the steps until one is answered otherwise than it should be, or all are done.

        None is for a certificate that has to be verified first.
        """
        for step in (self._hello, self._starttls, self._log_in, self._envelope):
            if self._unfamiliar:
                await line.quit(self._deadline)
                return None
            if (ending := await step(line)) is not None:
                return ending
        return replace(self._last, took=self._latency or 0.0)

    async def _hello(self, line: Line) -> Ending | None:
        reply = await say_hello(line, self._recipe)
        self._last = self._record.ending(reply)
        if reply.code != DONE:
            return self._last
        self._keywords = keywords(reply.message)
        if missing := lacking(self._recipe, self._keywords, secure=self._secure):
            return self._record.objection(Event.LACKING, ", ".join(missing))
        if self._greeting_lines > 1 and self._recipe.kind is Kind.SMTP and "PIPELINING" not in self._keywords:
            self._warn(STAND_IN)
        return None

    async def _starttls(self, line: Line) -> Ending | None:
        """Go on over TLS if that is asked for and offered."""
        if self._secure or self._in_clear or not self._plan.starttls:
            return None
        self._examined.add(Aspect.TLS)
        if "STARTTLS" not in self._keywords:
            return self._without_starttls()
        reply = await line.say(Step.STARTTLS, b"STARTTLS")
        if reply.code != READY:
            return self._unless_tolerated(self._record.ending(reply))
        await self._shake_hands(line.upgrade)
        self._record.upgraded = True
        return None if self._unfamiliar else await self._hello(line)

    def _without_starttls(self) -> Ending | None:
        """Where there is no TLS there is no certificate that could be wrong."""
        self._examined.add(Aspect.CERTIFICATE)
        demanded = self._plan.no_starttls_is_broken
        return self._record.objection(Event.LACKING, demanded, Step.STARTTLS) if demanded else None

    async def _shake_hands(self, shake: Handshake) -> None:
        """Secure the line. Raises HandshakeError if that fails."""
        self._examined.add(Aspect.TLS)
        verifying = self._verifying
        context = tls.client_context(verify=verifying, ca_file=self._recipe.ca_file)
        known = self._memory.rejected(self._place, context) if verifying else None
        self._record.begin(Step.TLS)
        try:
            shaken = await shake(context if known is None else tls.client_context(verify=False), self._plan.host)
        except (OSError, SMTPServerDisconnected) as error:
            self._note_rejection(error, context)
            raise HandshakeError(self._record.failed(*handshake_failure(error))) from error
        self._secure = True
        if known is not None:
            self._recall(known, tls.chain(shaken))
        self._appraise(shaken)

    def _note_rejection(self, error: Exception, anchors: ssl.SSLContext) -> None:
        if isinstance(error, tls.UntrustedError) and error.sent:
            rejection = Rejection(anchors, digest(error.sent, time.time()), error.verify_message)
            self._memory.reject(self._place, rejection)

    def _recall(self, known: Rejection, chain: Sequence[bytes]) -> None:
        """Think of a chain what OpenSSL thought of it when it was shown before; of another one nothing yet."""
        if digest(chain, time.time()) == known.digest:
            self._distrust = known.why
        else:
            self._unfamiliar = True
            self._memory.forget(self._place)

    def _after(self, broken: Ending) -> Ending | None:
        """Decide what follows a connection that came to nothing: None if a new one goes on with less."""
        if broken.event in {Event.UNTRUSTED, Event.EXPIRED}:
            self._distrust = broken.text
            if Aspect.CERTIFICATE in self._plan.aspects:
                return None
            self._examined.add(Aspect.CERTIFICATE)
        elif self._goes_on_in_clear and self._unless_tolerated(broken) is None:
            self._in_clear = True
            return None
        self._hang_up()
        return broken

    @property
    def _goes_on_in_clear(self) -> bool:
        return self._plan.recipient and self._recipe.auth is None and not self._in_clear

    def _appraise(self, shaken: ssl.SSLObject) -> None:
        problem = "" if self._verifying else self._distrust
        seen = (
            trust.appraise(shaken, self._recipe, self._plan.host, problem, self._tlsa)
            if self._plan.certificate and not self._unfamiliar
            else None
        )
        self._tls = tls.facts(shaken) if seen is None else seen.facts
        self._record.end(reply=f"{self._tls.version} {self._tls.cipher}")
        if seen is not None:
            self._heed(seen)

    def _heed(self, seen: trust.Trust) -> None:
        self._warn(seen.warning)
        if seen.conclusive:
            self._examined.add(Aspect.CERTIFICATE)
        refused = seen.objection and self._unless_tolerated(self._record.objection(*seen.objection, Step.TLS))
        if refused:
            self._problems.append(refused)
        self._stays_shallow = bool(refused) or not seen.conclusive

    def _warn(self, sentence: str) -> None:
        if sentence and sentence not in self._warnings:
            self._warnings.append(sentence)

    async def _log_in(self, line: Line) -> Ending | None:
        account = self._plan.account
        if account is None or self._stays_shallow:
            return None
        if not self._secure:
            return None if self._problems else self._record.objection(Event.LACKING, NO_CLEAR_TEXT, Step.AUTH)
        if not (mechanism := mechanism_of(self._keywords.get("AUTH", ""))):
            return self._record.objection(Event.LACKING, "AUTH PLAIN or LOGIN", Step.AUTH)
        self._examined.add(Aspect.AUTH)  # from here on it may count with the server as an attempt
        self._last = self._record.ending(await log_in(line, self._record, account, mechanism))
        self._logged_in = self._last.code == LOGGED_IN
        return None if self._logged_in else self._last

    async def _envelope(self, line: Line) -> Ending | None:
        """Ask whether a mail for the sentinel would be taken, and go no further."""
        if not self._plan.recipient or self._stays_shallow or not (self._recipe.auth is None or self._logged_in):
            return None
        self._examined.add(Aspect.RECIPIENT)
        mail, rcpt = f"MAIL FROM:<{self._recipe.mail_from}>", f"RCPT TO:<{self._recipe.rcpt_to}>"
        for step, command in ((Step.MAIL, mail), (Step.RCPT, rcpt)):
            self._last = self._record.ending(await line.say(step, command.encode()))
            if self._last.code != DONE:
                if self._last.code in TRANSIENT and judge(self._last, self._scene).verdict is Verdict.OK:
                    self._warn(GREYLISTED)
                return self._last
        return None

    @property
    def _verifying(self) -> bool:
        """Whether OpenSSL is to verify the certificate: not twice in vain."""
        return self._plan.openssl_verifies and self._distrust is None

    def _unless_tolerated(self, ending: Ending) -> Ending | None:
        """Return an ending that ends the conversation; one that the recipe tolerates is kept in mind instead."""
        if effect_of(judge(ending, self._scene).verdict, self._recipe, ending.event).state is not State.DEGRADED:
            return ending
        self._problems.append(ending)
        return None
