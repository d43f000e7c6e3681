"""What a probe can tell a person: each exchange with its time, and what TLS showed."""

from dataclasses import dataclass

from dnslb.pool.health import ProbeResult


@dataclass(frozen=True, slots=True)
class Exchange:
    """One step of a conversation.

    `where` is the address and port, `step` what was done (connect, proxy, tls, greeting, EHLO, STARTTLS, AUTH, MAIL,
    RCPT, QUIT), `ms` how long its answer took. `sent` is the line that was sent, without line end and with secrets
    left out, "" for none. `code` and `reply` are the server's answer, 0 and "" if there was none to read; `reply` holds
    all lines of a reply, without codes, and says what happened instead where nothing was said.
    """

    where: str
    step: str
    ms: float
    sent: str = ""
    code: int = 0
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The facts of a leaf certificate.

    Times are Unix times. `names` are the DNS names that it is for (RFC 6125 6.4.4: the common name only where there are
    none). `fingerprint` is the SHA-256 of the certificate, `key_hash` that of its SubjectPublicKeyInfo (the data of a
    TLSA record 3 1 1), both in hexadecimal.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    fingerprint: str
    key_hash: str


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What one handshake showed.

    `version` and `cipher` are OpenSSL's names. `trusted` says whether the chain leads to a trust anchor and the name
    fits, None if that was not examined; `problem` says why not, "" otherwise.
    """

    version: str
    cipher: str
    certificate: Certificate | None
    trusted: bool | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One probe of one member: what counts, and what led to it.

    `tls` is that of the address that decided, and `advice` what a person can do next, "" where nothing is to be done or
    there was no conversation.
    """

    result: ProbeResult
    exchanges: tuple[Exchange, ...] = ()
    tls: TlsFacts | None = None
    advice: str = ""
