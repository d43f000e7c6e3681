"""The object of `dnslb probe --json` as text: the transcript, what TLS showed, the verdict."""

import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import click

from dnslb.cli.output import plain, unicode_shown

_MOST_LINES = 40
_MOST_LETTERS = 300
_NARROW = 40
_EXACT = 10
"""Days of validity; fewer are told with a decimal."""
_GOOD = {"ok"}
_DOUBTFUL = {"slow", "busy", "storage", "draining", "probe_limited", "probe_blocked", "unknown"}


def text_of(seen: Mapping[str, Any], trusted: str) -> str:
    """Return all of a report for people: what happened first, what it means last.

    `trusted` is what to say of a certificate that is as it was asked to be.
    """
    parts = [*_conversations(seen["steps"]), *_certificate(seen["tls"], trusted), _outcome(seen)]
    return "\n\n".join(parts)


def _conversations(steps: list[dict[str, Any]]) -> Iterator[str]:
    for where, group in groupby(steps, key=lambda step: step.get("where", "")):
        said = list(group)
        lines = [line for number, step in enumerate(said) for line in _exchange(step, again=number > 0)]
        yield "\n".join([click.style(plain(where), bold=True), *lines])


def _exchange(step: Mapping[str, Any], *, again: bool) -> Iterator[str]:
    """Return what was sent, and what came back after how long."""
    said, heard, neither = _marks()
    time = f"{step['ms']:9.1f} ms"
    indent = f"{'':14}{'':{len(heard)}}     "
    if step["sent"]:
        yield f"{'':14}{said} {_line(step['sent'])}"
    first, *rest = _lines(step["reply"])
    if step["code"]:
        yield f"{time}  {heard} {step['code']} {first}".rstrip()
    elif first or not step["sent"]:
        yield f"{time}  {neither} {_event(step['step'], first, again=again)}"
    if step["step"] in _HELLO:
        rest = _wrapped(", ".join(rest), len(indent))
    yield from (indent + line for line in rest)


_HELLO = {"EHLO", "LHLO"}
"""Their replies are lists of keywords, which need no line each."""

_EVENTS = {
    "refused": "the connection is refused",
    "silence": "no answer in time",
    "unreachable": "out of reach",
    "no route": "no route from here",
    "eof": "the server hangs up",
    "reset": "the server resets the connection",
    "garbage": "what comes is no SMTP",
    "tls failed": "the handshake fails",
}


def _event(step: str, reply: str, *, again: bool) -> str:
    """Return what happened where no reply came: a word of dnslb's own, or octets that are none."""
    if not reply:
        return ("connected again" if again else "connected") if step == "connect" else step
    return f"{'TLS' if step == 'tls' else step}: {_EVENTS.get(reply, reply)}"


def _wrapped(text: str, indent: int) -> list[str]:
    """Break a text into lines, as wide as the terminal leaves."""
    width = max(_NARROW, shutil.get_terminal_size().columns - indent)
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _lines(reply: str) -> list[str]:
    """Return the lines of a reply, made harmless: a server decides neither where they end nor how many there are."""
    lines = reply.rstrip().split("\n")
    shown = [_line(line.rstrip("\r")) for line in lines[:_MOST_LINES]]
    return [*shown, f"({len(lines) - _MOST_LINES} more lines)"] if len(lines) > _MOST_LINES else shown


def _line(text: str) -> str:
    shown = plain(text)
    return shown if len(shown) <= _MOST_LETTERS else shown[:_MOST_LETTERS] + "..."


def _marks() -> tuple[str, str, str]:
    """Return the signs for what we said, what the server said, and what neither said."""
    return ("→", "←", "·") if unicode_shown() else ("->", "<-", "--")


def _certificate(tls: Mapping[str, Any] | None, trusted: str) -> Iterator[str]:
    if tls is None:
        return
    facts = {"TLS": f"{tls['version']}, {tls['cipher']}"}
    if tls.get("subject") is not None:
        facts |= {
            "subject": tls["subject"],
            "issuer": tls["issuer"],
            "names": ", ".join(tls["names"]) or "none",
            "valid": _validity(tls),
            "TLSA": f"3 1 1 {tls['key_hash']}",
        }
    yield _listed(facts | {"trust": _trust(tls, trusted)})


def _validity(tls: Mapping[str, Any]) -> str:
    days = tls["days_left"]
    number = f"{abs(days):.{0 if abs(days) >= _EXACT else 1}f}"
    left = f"{number} days left" if days >= 0 else f"expired {number} days ago"
    first, last = (str(tls[name])[:10] for name in ("not_before", "not_after"))
    return f"{first} to {last} ({left})"


def _trust(tls: Mapping[str, Any], trusted: str) -> str:
    if tls["trusted"] is None:
        return f"not examined: {tls['problem']}" if tls["problem"] else "not examined"
    return trusted if tls["trusted"] else f"no: {tls['problem']}"


def _outcome(seen: Mapping[str, Any]) -> str:
    verdict = seen["verdict"]
    colour = "green" if verdict in _GOOD else "yellow" if verdict in _DOUBTFUL else "red"
    lines = [("verdict", click.style(verdict, fg=colour, bold=True)), ("reason", plain(seen["reason"]))]
    lines += [("warning", plain(warning)) for warning in seen.get("warnings", [])]
    lines += [("next", plain(seen.get("next", "")))]
    return "\n".join(f"{label:<8} {_hanging(value)}" for label, value in lines if value)


def _hanging(text: str) -> str:
    """Break a sentence between words on a terminal; a program that reads lines gets it whole."""
    return f"\n{'':9}".join(_wrapped(text, 9)) if sys.stdout.isatty() and len(text) > _NARROW else text


def _listed(facts: Mapping[str, str]) -> str:
    return "\n".join(f"{label:<8} {_line(value)}" for label, value in facts.items())
