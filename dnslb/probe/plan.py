"""What one conversation is to find out: the aspects asked for, in the words of a recipe."""

from dataclasses import dataclass

from dnslb.pool.health import Aspect
from dnslb.probe.recipe import Auth, Kind, Recipe, StartTls, Target, Verify

BEYOND_SESSION = frozenset({Aspect.TLS, Aspect.CERTIFICATE, Aspect.AUTH, Aspect.RECIPIENT})
"""What STARTTLS is done for. The last two because servers may demand it first, and because senders would do it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The questions to a target."""

    target: Target
    aspects: frozenset[Aspect]

    @property
    def recipe(self) -> Recipe:
        """The target's recipe."""
        return self.target.recipe

    @property
    def host(self) -> str:
        """The name to ask for in a handshake (SNI has no final dot: RFC 6066 section 3)."""
        return self.target.host.rstrip(".")

    @property
    def needless(self) -> frozenset[Aspect]:
        """The aspects asked for that the recipe does not speak of: nothing can be wrong with them."""
        return self.aspects - self.recipe.intervals.keys()

    @property
    def implicit_tls(self) -> bool:
        """Whether TLS comes before the greeting."""
        return self.recipe.kind is Kind.SMTPS

    @property
    def starttls(self) -> bool:
        """Whether to go on over TLS if that is offered."""
        return self.recipe.starttls is not StartTls.OFF and bool(self.aspects & BEYOND_SESSION)

    @property
    def avoids_tls(self) -> bool:
        """Whether there is no TLS even where the server would have it."""
        return not self.implicit_tls and self.recipe.starttls is StartTls.OFF

    @property
    def anonymous(self) -> bool:
        """Whether the server may want a login that the probe has no account for: that is how mail is submitted."""
        return self.recipe.kind in {Kind.SUBMISSION, Kind.SMTPS} and self.recipe.auth is None

    @property
    def no_starttls_is_broken(self) -> str:
        """Which setting of the recipe demands TLS, "" if none does."""
        if self.recipe.verify is not Verify.NONE:
            return f"verify = {self.recipe.verify}"
        return "starttls = require" if self.recipe.starttls is StartTls.REQUIRE else ""

    @property
    def certificate(self) -> bool:
        """Whether the certificate matters: where the recipe verifies, it does at each handshake."""
        return Aspect.CERTIFICATE in self.aspects or self.recipe.verify is not Verify.NONE

    @property
    def openssl_verifies(self) -> bool:
        """Whether OpenSSL is to hold the certificate against anchors and a name; TLSA records are held by us."""
        return self.certificate and self.recipe.verify is not Verify.DANE and bool(self.host)

    @property
    def account(self) -> Auth | None:
        """The account to log in with now, None for not at all."""
        return self.recipe.auth if Aspect.AUTH in self.aspects else None

    @property
    def recipient(self) -> bool:
        """Whether there is a recipient to ask for now.

        A member with an account usually takes mail only after AUTH, and AUTH has its own, slower cadence: then the
        recipient is examined in the conversations that log in, and in no others.
        """
        may = self.recipe.auth is None or self.account is not None
        return Aspect.RECIPIENT in self.aspects and bool(self.recipe.rcpt_to) and may
