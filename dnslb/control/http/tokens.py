"""Who may ask over HTTP: tokens with a name and a scope. Only their digests are kept."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256


class Scope(StrEnum):
    """What a token is good for."""

    READ = "read"
    WRITE = "write"
    """Reading too."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token: who has it, what it is good for, and its SHA-256."""

    name: str
    scope: Scope
    digest: bytes = field(repr=False)

    def may(self, scope: Scope) -> bool:
        """Return whether the token is good for this."""
        return self.scope is Scope.WRITE or scope is Scope.READ


def digest_of(text: str) -> bytes:
    """Return what is kept of a token's text, which may hold what is not UTF-8 as surrogates."""
    return sha256(text.encode(errors="surrogateescape")).digest()


def find(tokens: Iterable[Token], text: str) -> Token | None:
    """Return the token with this text, None if there is none; how long it takes tells nothing of the tokens."""
    digest, found = digest_of(text), None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found
