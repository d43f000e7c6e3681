"""The tokens of those who may ask over HTTP, in a file of lines: a name, a scope and the token itself."""

import re
from collections.abc import Iterator

from dnslb.config.positions import KeyPath
from dnslb.config.problem import Problem
from dnslb.config.reading import Draft
from dnslb.config.report import Report
from dnslb.config.secretfile import beginning_of
from dnslb.control.http.tokens import Scope, Token, digest_of

_KEY: KeyPath = ("server", "tokens")
_LIMIT = 65_536
_LINE = "expected a name, read or write, and a token, with blanks between them"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}\Z")
_TOKEN = re.compile(r"[!-~]{20,512}\Z")


def read_tokens(draft: Draft, report: Report) -> tuple[Token, ...]:
    """Return the tokens of the file that is named, () if none is."""
    if draft.server is None or draft.server.tokens is None:
        return ()
    path = draft.path.parent / draft.server.tokens
    octets = beginning_of(path, _LIMIT, _KEY, report)
    if octets is None:
        return ()
    if len(octets) > _LIMIT:
        report.problems.append(Problem(str(path), None, "", "", f"longer than {_LIMIT} octets, expected some tokens"))
        return ()
    tokens: list[Token] = []
    # None of them quotes what may be a token.
    report.problems += [Problem(str(path), line, "", "", message) for line, message in _read(octets, tokens)]
    return tuple(tokens)


def _read(octets: bytes, tokens: list[Token]) -> Iterator[tuple[int | None, str]]:
    """Take the tokens of a file; yield what is wrong, and in which line."""
    names: dict[str, int] = {}
    digests: dict[bytes, int] = {}
    empty = True
    for number, octets_of_line in enumerate(octets.split(b"\n"), 1):
        line = octets_of_line.decode(errors="replace").strip()
        if not line or line.startswith("#"):
            continue
        empty = False
        try:
            token = _token(line)
        except ValueError as error:
            yield number, str(error)
            continue
        if names.setdefault(token.name, number) != number:
            yield number, f"{token.name} has a token already, in line {names[token.name]}"
        elif digests.setdefault(token.digest, number) != number:
            yield number, f"this token is that of line {digests[token.digest]} too: then nobody knows who uses it"
        tokens.append(token)
    if empty:
        yield None, f"no token in it, {_LINE}"


def _token(line: str) -> Token:
    parts = line.split()
    if len(parts) != len(("name", "scope", "token")):
        raise ValueError(_LINE)
    name, scope, text = parts
    if not _NAME.match(name):
        raise ValueError(
            "expected a name of at most 64 letters, digits and . _ @ + -, which begins with one of the first"
        )
    if scope not in set(Scope):
        raise ValueError(f"{_LINE}; the scope of {name} is neither")
    if not _TOKEN.match(text):
        raise ValueError(
            f"expected a token of 20 to 512 visible ASCII characters for {name}, as `openssl rand -hex 20` writes it"
        )
    return Token(name, Scope(scope), digest_of(text))
