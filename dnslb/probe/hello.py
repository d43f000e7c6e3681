"""Introducing oneself, and what the server then says it can do (RFC 5321 4.1.1.1)."""

from collections.abc import Mapping

from aiosmtplib.response import SMTPResponse

from dnslb.probe.line import Line
from dnslb.probe.recipe import Kind, Recipe, StartTls
from dnslb.probe.verdict import Step

EHLO_UNKNOWN = frozenset({500, 502, 504})
"""Replies to EHLO that say "I am older than that": HELO follows (RFC 5321 3.2)."""


async def say_hello(line: Line, recipe: Recipe) -> SMTPResponse:
    """Return the reply to EHLO, to HELO where EHLO is not known, or to LHLO (RFC 2033 4.1)."""
    name = recipe.ehlo.encode("ascii")
    if recipe.kind is Kind.LMTP:
        return await line.say(Step.LHLO, b"LHLO", name)
    reply = await line.say(Step.EHLO, b"EHLO", name)
    return await line.say(Step.HELO, b"HELO", name) if reply.code in EHLO_UNKNOWN else reply


def keywords(message: str) -> Mapping[str, str]:
    """Return what a reply to EHLO offers, as upper-case keywords with their parameters.

    "AUTH=LOGIN", which old servers write for old clients, counts as AUTH with that parameter.
    """
    offered: dict[str, str] = {}
    for line in message.split("\n")[1:]:
        word, _, parameters = line.replace("AUTH=", "AUTH ", 1).partition(" ")
        offered[word.upper()] = f"{offered.get(word.upper(), '')} {parameters}".strip()
    return offered


def lacking(recipe: Recipe, offered: Mapping[str, str], *, secure: bool) -> list[str]:
    """Return which of the recipe's capabilities are not offered.

    AUTH may be offered over TLS only (RFC 4954 section 4), and STARTTLS not any more (RFC 3207 section 4.2).
    """
    excused = ""
    if secure:
        excused = "STARTTLS"
    elif recipe.starttls is not StartTls.OFF and "STARTTLS" in offered:
        excused = "AUTH"
    return [word for word in recipe.capabilities if word not in offered and word != excused]
