"""What a person can do about a verdict, in plain words. A table and no I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dnslb.pool.health import Verdict
from dnslb.probe.verdict import ANY_STEP, NO_TLS_THERE, WANTS_TLS, Ending, Event, Scene, Step, legible


@dataclass(frozen=True, slots=True)
class Hint:
    """Advice for some of a verdict's cases. What is left out does not matter.

    `event`, `steps` and `words` are those of the ending, `proxied` asks that the probe began with a PROXY header. In
    the sentence {text} stands for what the server said, {host} for the member's name.
    """

    verdict: Verdict
    sentence: str
    event: Event | None = None
    steps: frozenset[Step] = ANY_STEP
    words: re.Pattern[str] | None = None
    proxied: bool = False

    def fits(self, verdict: Verdict, ending: Ending, scene: Scene) -> bool:
        """Whether this is the case."""
        return (
            verdict is self.verdict
            and self.event in {None, ending.event}
            and ending.step in self.steps
            and (self.words is None or self.words.search(legible(ending.text)) is not None)
            and (not self.proxied or scene.proxied)
        )


def advice(verdict: Verdict, ending: Ending, scene: Scene) -> str:
    """Return what a person can do next, in plain words; "" where nothing is to be done."""
    sentence = next((hint.sentence for hint in HINTS if hint.fits(verdict, ending, scene)), ADVICE[verdict])
    return sentence.format(text=legible(ending.text), host=scene.host or scene.where)


ADVICE: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.OK: "",
        Verdict.SLOW: "Look at its load, at the DNS resolver it asks for client names, and at the number of its SMTP "
        "processes (Postfix: default_process_limit); if postscreen makes the pause, allow the probe's address "
        "(deploy/postfix/).",
        Verdict.BUSY: "Look at its load and its logs. It gets little new mail until it recovers, none if it lasts.",
        Verdict.STORAGE: "Free disk space for its queue (Postfix: queue_minfree, Exim: check_spool_space), or memory.",
        Verdict.DRAINING: "Nothing, if it is meant to stop. It comes back into answers when it greets with 220 again.",
        Verdict.REFUSED: "See whether the mail server runs and listens on this address and port, and whether a "
        "firewall or fail2ban rejects the probe's address (deploy/fail2ban/).",
        Verdict.TIMEOUT: "See whether the host is up, and whether a firewall drops packets from the probe's address.",
        Verdict.CLOSED: "Look into its log for the probe's address: TCP wrappers, fail2ban (deploy/fail2ban/), a "
        "process that dies, or a listener that expects a PROXY header (proxy = true).",
        Verdict.NOT_SMTP: "See whether port and kind are right: 25 smtp, 587 submission, 465 smtps, 24 lmtp.",
        Verdict.REJECTING: "Look into its log for the refusal; if it is meant for the probe alone, allow the probe's "
        "address (deploy/).",
        Verdict.REJECTS_DOMAIN: "Make it accept the sentinel recipient (Postfix: relay_domains, "
        "virtual_mailbox_domains; Exim: domainlist relay_to_domains), or name a recipient in rcpt_to that it should "
        "accept. Real mail bounces there.",
        Verdict.TLS_BROKEN: "Look into its log for TLS errors: certificate and key files that do not fit or cannot be "
        "read, and protocol versions older than TLS 1.2.",
        Verdict.TLS_INVALID: "Renew or replace the certificate, and reload the mail server; with DANE, publish the "
        "TLSA record of a new key before it is used.",
        Verdict.AUTH_FAILED: "Set the probe's account right (auth in the probe), or in the server. Failed logins can "
        "get the probe banned: the daemon tries again in an hour, or now by `dnslb probe POOL/MEMBER`.",
        Verdict.PROBE_LIMITED: "Allow the probe's address: smtpd_client_event_limit_exceptions and "
        "postscreen_access_list in Postfix, smtp_reserve_hosts in Exim (deploy/). Until then nothing is known of the "
        "member, and its state stays as it was.",
        Verdict.PROBE_BLOCKED: "Allow the probe's address on the member and in what guards it (deploy/), and give it a "
        "name in reverse DNS. Until then nothing is known of the member, and its state stays as it was.",
        Verdict.UNKNOWN: "The probe itself failed; look into dnslb's log.",
    }
)

_AT_CONNECT = frozenset({Step.CONNECT})
_AT_GREETING = frozenset({Step.PROXY, Step.GREETING})
_AT_PROXY = frozenset({Step.PROXY})
_AT_STARTTLS = frozenset({Step.STARTTLS})
_AT_AUTH = frozenset({Step.AUTH})
_AT_MAIL = frozenset({Step.MAIL})
_AT_RCPT = frozenset({Step.RCPT})
_IN_ENVELOPE = _AT_MAIL | _AT_RCPT

_NO_PROXY = (
    "See whether the listener expects a PROXY header at all: the probe began with one (proxy = true), which one that "
    "does not takes for a client that breaks the rules. Also see whether port and kind are right."
)
_TAKE_STRANGERS_MAIL = (
    "If other mail servers are to deliver there, let it take their mail without a login and TLS (Exchange: anonymous "
    "users in the receive connector; Postfix: smtpd_tls_security_level = may), or see why it does not offer the "
    "STARTTLS that it asks for. If only its own users submit mail there, set kind = submission and auth."
)
_TLSA = re.compile(r"\bTLSA\b")
_OTHER_NAME = re.compile(r"mismatch|not for\b|host name", re.IGNORECASE)
_NOT_YET = re.compile(r"not (yet valid|valid before)")
_WANTS_MORE = re.compile(rf"{WANTS_TLS.pattern}|\bauth(enticat|\b)|\blog ?in\b", re.IGNORECASE)

HINTS = (
    Hint(Verdict.NOT_SMTP, _NO_PROXY, proxied=True),
    Hint(Verdict.CLOSED, _NO_PROXY, proxied=True),
    Hint(Verdict.TIMEOUT, "See whether the listener expects a PROXY header at all (proxy = false).", steps=_AT_PROXY),
    Hint(
        Verdict.TIMEOUT,
        "See whether all its SMTP processes are busy or hang (on DNS, on a disk). A port that waits for the client to "
        "speak first looks the same: TLS (kind = smtps) or PROXY (proxy = true).",
        steps=_AT_GREETING,
    ),
    Hint(
        Verdict.CLOSED,
        "See whether a firewall or fail2ban resets connections from the probe's address (deploy/fail2ban/).",
        steps=_AT_CONNECT,
    ),
    Hint(
        Verdict.REJECTING,
        "See why it does not offer {text}: a module that is not loaded, a setting that hides it (Postfix: "
        "smtpd_discard_ehlo_keywords), another server on this port. If it need not offer that, take it out of "
        "capabilities in the probe, which may be wrong.",
        Event.LACKING,
    ),
    Hint(Verdict.REJECTING, _TAKE_STRANGERS_MAIL, Event.REPLY, _AT_MAIL, _WANTS_MORE),
    Hint(Verdict.REJECTS_DOMAIN, _TAKE_STRANGERS_MAIL, Event.REPLY, _AT_RCPT, _WANTS_MORE),
    Hint(
        Verdict.TLS_BROKEN,
        "See whether kind and port are right, for what answers there is no TLS: smtps speaks it from the first octet "
        "(465), all others greet first and begin it after STARTTLS (25, 587, 24).",
        Event.TLS_FAILED,
        words=NO_TLS_THERE,
    ),
    Hint(
        Verdict.TLS_BROKEN,
        "Switch STARTTLS on (Postfix: smtpd_tls_security_level = may, with smtpd_tls_chain_files), and look into its "
        "log for certificate files that cannot be read.",
        steps=_AT_STARTTLS,
    ),
    Hint(
        Verdict.TLS_INVALID,
        "Publish a TLSA record of the key that it shows now, or give it back the key that the records are of; the "
        "record of a new key has to be in DNS before the key is used. The zone has to be signed.",
        Event.UNTRUSTED,
        words=_TLSA,
    ),
    Hint(
        Verdict.TLS_INVALID,
        "See whether the name is right: it is the member's host in the configuration, --host of dnslb probe. If it is, "
        "give the server a certificate for {host}.",
        Event.UNTRUSTED,
        words=_OTHER_NAME,
    ),
    Hint(
        Verdict.TLS_INVALID,
        "If the certificate comes from an authority of your own, name that one's certificate in ca_file of the probe "
        "(--ca-file of dnslb probe). If not, give the server one from an authority that all trust, with the "
        "intermediate certificates.",
        Event.UNTRUSTED,
    ),
    Hint(
        Verdict.TLS_INVALID,
        "See whether the clock of this host is right, and who gave the server a certificate before its time.",
        Event.EXPIRED,
        words=_NOT_YET,
    ),
    Hint(
        Verdict.AUTH_FAILED,
        "Nothing is wrong with the account, it was not tried: it is used over TLS only. Switch STARTTLS on in the "
        "server, and do not set starttls = off in the probe.",
        Event.LACKING,
        words=re.compile(r"^TLS\b"),
    ),
    Hint(
        Verdict.AUTH_FAILED,
        "Nothing is wrong with the account, it was not tried: the server does not offer what it needs. Let it offer "
        "{text} over TLS (Postfix: smtpd_sasl_auth_enable, and see that Dovecot's auth socket is there; Exim: "
        "authenticators), or see whether this port is the one for logins (587, 465).",
        Event.LACKING,
    ),
    Hint(
        Verdict.PROBE_BLOCKED,
        "Switch STARTTLS on in the probe (starttls = opportunistic), as senders that come there have it.",
        Event.REPLY,
        _IN_ENVELOPE,
        WANTS_TLS,
    ),
    Hint(
        Verdict.PROBE_BLOCKED,
        "Give the probe a sender that the member takes (mail_from), or an account (auth) where it wants a login, or "
        "allow its address (deploy/).",
        steps=_AT_MAIL,
    ),
    Hint(
        Verdict.PROBE_BLOCKED,
        "Allow the probe's address on the member (deploy/); if it asks for a login, set auth in the probe, or leave "
        "rcpt_to out.",
        steps=_AT_RCPT,
    ),
    Hint(
        Verdict.BUSY,
        "Look at what it asks for passwords: Dovecot's auth socket, LDAP, SQL.",
        steps=_AT_AUTH,
    ),
    Hint(
        Verdict.BUSY,
        "Look into its log for why it defers the sentinel: soft_bounce, a lookup table or a policy service that does "
        "not answer.",
        steps=_AT_RCPT,
    ),
)
"""Where a verdict alone does not tell what to do. Read from the top; the first that fits is given."""
