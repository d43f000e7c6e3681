"""What is said in a conversation, noted as it happens, with secrets left out."""

import asyncio
import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from aiosmtplib.response import SMTPResponse

from dnslb.pool.health import Aspect
from dnslb.probe.tcp import Address
from dnslb.probe.transcript import Exchange, TlsFacts
from dnslb.probe.verdict import Ending, Event, Scene, Step

HIDDEN = "***"
ENCODED = re.compile(r"[A-Za-z0-9+/=]{6,}")
"""What may be a piece of a secret in base64. Servers repeat commands that they do not know, often cut short."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one address showed.

    `endings` is all that a verdict has to be found on: what was wrong on the way, and at last how the conversation
    ended. `latency` is seconds from the connect to the greeting's last line, None without one.
    """

    scene: Scene
    endings: tuple[Ending, ...]
    exchanges: tuple[Exchange, ...]
    examined: frozenset[Aspect]
    latency: float | None
    tls: TlsFacts | None
    warnings: tuple[str, ...]


@dataclass(slots=True)
class Record:
    """What was said so far with one address, over one connection or several.

    `step` is the one under way, since `since` (loop time), for which `sent` went out. `upgraded` says that STARTTLS has
    succeeded on this connection. What `hide` was told of is left out of all that a server says.
    """

    where: str
    exchanges: list[Exchange] = field(default_factory=list)
    step: Step = Step.CONNECT
    sent: str = ""
    since: float = 0.0
    upgraded: bool = False
    _secrets: tuple[str, ...] = field(default=(), repr=False)

    def begin(self, step: Step, sent: str = "") -> None:
        """Note what is done now, and when."""
        self.step, self.sent, self.since = step, sent, asyncio.get_running_loop().time()

    def end(self, code: int = 0, reply: str = "") -> float:
        """Note what came of it, and return the seconds that it took."""
        took = asyncio.get_running_loop().time() - self.since
        self.exchanges.append(Exchange(self.where, self.step.value, took * 1000, self.sent, code, reply))
        return took

    def replied(self, reply: SMTPResponse) -> SMTPResponse:
        """Note a server's reply, and return it without secrets."""
        shown = SMTPResponse(reply.code, self._redacted(reply.message))
        self.end(shown.code, shown.message)
        return shown

    def failed(self, event: Event, text: str = "", *, step: Step | None = None) -> Ending:
        """Note that the step under way (or `step`, if that is to blame) came to nothing, and return it as an ending."""
        shown = self._redacted(text)
        took = self.end(reply=shown or event.value)
        return Ending(event, step or self.step, text=shown, took=took, upgraded=self.upgraded)

    def ending(self, reply: SMTPResponse) -> Ending:
        """Return the latest reply, which has been noted already, as an ending."""
        took = self.exchanges[-1].ms / 1000
        return Ending(Event.REPLY, self.step, reply.code, reply.message, took, self.upgraded)

    def objection(self, event: Event, text: str, step: Step | None = None) -> Ending:
        """Return what is wrong beside the reply itself."""
        return Ending(event, step or self.step, text=text, upgraded=self.upgraded)

    def hide(self, secrets: Iterable[bytes]) -> None:
        """Leave these out of the record from now on, as they are and in base64."""
        plain = tuple(secrets)
        encoded = (base64.b64encode(secret) for secret in plain)
        self._secrets = tuple(secret.decode("utf-8", "surrogateescape") for secret in (*plain, *encoded))

    def _redacted(self, text: str) -> str:
        if not self._secrets:
            return text
        for secret in self._secrets:
            text = re.sub(re.escape(secret), HIDDEN, text, flags=re.IGNORECASE)
        return ENCODED.sub(self._unless_secret, text)

    def _unless_secret(self, found: re.Match[str]) -> str:
        piece = found[0].casefold()
        return HIDDEN if any(piece in secret.casefold() for secret in self._secrets) else found[0]


def where(address: Address, port: int) -> str:
    """Write an address and port as people do: 192.0.2.1:25, [2001:db8::1]:25."""
    return f"{address!s}:{port}" if address.version == 4 else f"[{address!s}]:{port}"  # noqa: PLR2004 - IP's version is its name
