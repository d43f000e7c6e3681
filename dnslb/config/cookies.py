"""The secrets of cookies that several name servers share, in a file of the form that NSD reads too."""

import re
from collections.abc import Iterator

from dnslb.config.problem import Problem
from dnslb.config.reading import Draft
from dnslb.config.report import Report
from dnslb.config.secretfile import beginning_of

_KEY = ("server", "cookie_secrets")
_LIMIT = 1024
_MOST = 2
"""One that makes cookies, and one that was replaced by it or will replace it (RFC 9018 section 5)."""
_SECRET = re.compile(rb"[0-9A-Fa-f]{32}\Z")


def read_cookie_secrets(draft: Draft, report: Report) -> tuple[bytes, ...]:
    """Return the secrets in the order of the file that is named, () if none is."""
    if draft.server is None or draft.server.cookie_secrets is None:
        return ()
    path = draft.path.parent / draft.server.cookie_secrets
    octets = beginning_of(path, _LIMIT, _KEY, report)
    if octets is None:
        return ()
    lines = [(number, line.strip()) for number, line in enumerate(octets.split(b"\n"), 1) if line.strip()]
    # None of them quotes what may be a secret.
    problems = [Problem(str(path), line, "", "", message) for line, message in _faults(lines, len(octets))]
    report.problems += problems
    return () if problems else tuple(bytes.fromhex(text.decode()) for _, text in lines)


def _faults(lines: list[tuple[int, bytes]], size: int) -> Iterator[tuple[int | None, str]]:
    """Yield what is wrong, and in which line."""
    if not lines:
        yield None, "empty, expected a secret of 32 hexadecimal digits in the first line"
    if size > _LIMIT:
        yield None, f"longer than {_LIMIT} octets, expected one or two lines of 32 hexadecimal digits"
        return
    for number, text in lines:
        if not _SECRET.match(text):
            yield number, "expected 32 hexadecimal digits, as `openssl rand -hex 16` writes them"
    for number, _ in lines[_MOST:]:
        yield number, f"more than {_MOST} secrets: expected one that makes cookies, and one that is known too"
