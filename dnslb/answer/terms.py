"""On which terms anybody is served, whatever he asks: who we say we are, whose cookies we know, how much we send."""

from dataclasses import dataclass, field

from dnslb.answer.views import Views

IDLE_SECONDS = 10.0
"""For so long a stream may ask nothing, take for a message from its first octet to its last, or not take answers."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Response rate limiting: how much a network gets over UDP that does not prove that it has asked.

    More than `per_second` responses of one class in a second (0: no limit) are not sent; every `slip`-th of these is
    replaced by a truncated one, so that a client which is really there asks again over TCP (0: none is). Clients of
    the `exempt` networks, whose leaves have a name, are never limited.
    """

    per_second: int = 200
    slip: int = 2
    exempt: Views = field(default_factory=Views)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is the same for all questions.

    `identity` is what NSID (RFC 5001) and id.server (RFC 4892) tell, `version` is version.bind; each b"" tells nothing.
    `secrets` are of 16 octets and make server cookies (RFC 9018): the first makes new ones, those of the others are
    known too. Without any there are no cookies.
    """

    identity: bytes = b""
    version: bytes = b""
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    limit: Limit = Limit(per_second=0)
