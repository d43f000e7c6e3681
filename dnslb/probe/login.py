"""Logging in (RFC 4954): one attempt, for servers count failed ones and shut their authors out."""

import base64

from aiosmtplib.response import SMTPResponse

from dnslb.probe.line import Line
from dnslb.probe.recipe import Auth
from dnslb.probe.record import HIDDEN, Record
from dnslb.probe.verdict import Step

CHALLENGE = 334
"""The server wants to hear more."""


def mechanism_of(offered: str) -> str:
    """Return how to log in: by PLAIN (RFC 4616), by LOGIN where only that is offered, "" where neither is."""
    return next((name for name in ("PLAIN", "LOGIN") if name in offered.upper().split()), "")


async def log_in(line: Line, record: Record, auth: Auth, mechanism: str) -> SMTPResponse:
    """Return the reply that ends the attempt, 235 if it went well.

    Call this over TLS only. Neither password nor token gets into the record, also where the server repeats them.
    """
    user, password = auth.user.encode(), auth.password.encode()
    token = b"\0" + user + b"\0" + password
    record.hide((password, token))
    if mechanism == "PLAIN":
        reply = await line.say(Step.AUTH, b"AUTH PLAIN", base64.b64encode(token), shown=f"AUTH PLAIN {HIDDEN}")
    else:
        reply = await _login(line, user, password)
    if reply.code == CHALLENGE:
        return await line.say(Step.AUTH, b"*")  # or QUIT would be taken for an answer (RFC 4954 section 4)
    return reply


async def _login(line: Line, user: bytes, password: bytes) -> SMTPResponse:
    reply = await line.say(Step.AUTH, b"AUTH LOGIN")
    for secret in (user, password):
        if reply.code != CHALLENGE:
            break
        reply = await line.say(Step.AUTH, base64.b64encode(secret), shown=HIDDEN)
    return reply
