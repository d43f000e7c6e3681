"""What to do next: for every verdict something, and for cases that differ something else."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.pool.health import Verdict
from dnslb.probe.advice import ADVICE, HINTS, Hint, advice
from dnslb.probe.verdict import RULES, Ending, Event, Scene, Step, judge

MX = Scene("mx:25", 10.0, host="mx.example")


def said(ending: Ending, scene: Scene = MX) -> str:
    """Return the advice on what an ending is judged as."""
    return advice(judge(ending, scene).verdict, ending, scene)


@given(st.sampled_from(list(Verdict)), st.sampled_from(list(Event)), st.sampled_from(list(Step)), st.text())
def test_every_verdict_has_advice(verdict: Verdict, event: Event, step: Step, text: str) -> None:
    """Only that all is well needs none; whatever a server says, its words do no harm in it."""
    found = advice(verdict, Ending(event, step, text=text + "{where}{0}"), MX)
    assert bool(found) == (verdict is not Verdict.OK)
    assert found.isprintable()


def test_advice_is_for_what_can_happen() -> None:
    """Every verdict has some, and each hint is for verdicts that some rule leads to, by this event at such a step."""
    possible = {(rule.verdict, rule.event, step) for rule in RULES for step in rule.steps}
    assert set(ADVICE) == set(Verdict)
    for hint in HINTS:
        events = [hint.event] if hint.event else list(Event)
        assert possible & set(itertools.product([hint.verdict], events, hint.steps)), hint.sentence


@pytest.mark.parametrize("hint", HINTS)
def test_no_hint_hides_behind_another(hint: Hint) -> None:
    """A hint that always loses to one above it would never be read."""
    above = HINTS[: HINTS.index(hint)]
    for wider in (it for it in above if it.verdict is hint.verdict and it.words is None and not it.proxied):
        assert not (wider.event in {None, hint.event} and hint.steps <= wider.steps)


@pytest.mark.parametrize(
    ("ending", "told", "untold"),
    [
        (Ending(Event.LACKING, Step.EHLO, text="SMTPUTF8"), ["SMTPUTF8", "capabilities"], ["refusal"]),
        (
            Ending(Event.UNTRUSTED, Step.TLS, text="Hostname mismatch, certificate is not valid for 'mx.example'."),
            ["host", "--host", "mx.example"],
            ["Renew", "ca_file"],
        ),
        (
            Ending(Event.UNTRUSTED, Step.TLS, text="unable to get local issuer certificate"),
            ["ca_file", "--ca-file"],
            ["Renew", "--host"],
        ),
        (Ending(Event.UNTRUSTED, Step.TLS, text="no TLSA record of mx.example fits"), ["TLSA"], ["Renew", "ca_file"]),
        (Ending(Event.EXPIRED, Step.TLS, text="expired on 2026-01-01"), ["Renew"], ["ca_file", "clock"]),
        (Ending(Event.EXPIRED, Step.TLS, text="not valid before 2027-01-01"), ["clock"], ["Renew"]),
        (Ending(Event.EXPIRED, Step.TLS, text="certificate is not yet valid"), ["clock"], ["Renew"]),
        (
            Ending(Event.LACKING, Step.AUTH, text="TLS, without which no password is sent"),
            ["not tried", "STARTTLS", "starttls"],
            ["hour", "account right"],
        ),
        (Ending(Event.LACKING, Step.AUTH, text="AUTH PLAIN or LOGIN"), ["not tried", "AUTH PLAIN or LOGIN"], ["hour"]),
        (Ending(Event.REPLY, Step.AUTH, 535, "5.7.8 no"), ["account", "an hour", "`dnslb probe POOL/MEMBER`"], []),
        (Ending(Event.TLS_FAILED, Step.TLS, text="wrong version number"), ["kind and port"], ["its log"]),
        (Ending(Event.TLS_FAILED, Step.TLS, text="no shared cipher"), ["its log"], ["kind and port"]),
        (Ending(Event.GARBAGE, Step.GREETING, text="SSH-2.0"), ["kind"], ["PROXY"]),
        (Ending(Event.REPLY, Step.MAIL, 530, "5.7.57 Client was not authenticated"), ["anonymous"], ["its log"]),
        (Ending(Event.REPLY, Step.RCPT, 530, "5.7.0 Must issue a STARTTLS command first"), ["STARTTLS"], ["rcpt_to"]),
        (Ending(Event.REPLY, Step.RCPT, 554, "5.7.1 Relay access denied"), ["relay_domains"], ["anonymous"]),
        (Ending(Event.REPLY, Step.EHLO, 421, "4.7.0 too many errors"), ["smtpd_client_event_limit_exceptions"], []),
    ],
)
def test_the_advice_is_for_the_case(ending: Ending, told: list[str], untold: list[str]) -> None:
    """It names what a person has to look at, and does not send them where nothing is to be found."""
    found = said(ending)
    assert [word for word in told if word not in found] == []
    assert [word for word in untold if word in found] == []


@pytest.mark.parametrize(
    "ending",
    [
        Ending(Event.GARBAGE, Step.GREETING, text="500 what?"),
        Ending(Event.EARLY, Step.EHLO, text="221 bye"),
        Ending(Event.EOF, Step.EHLO),
    ],
)
def test_a_listener_may_not_want_our_proxy_header(ending: Ending) -> None:
    """Where the probe began with one, that is the first thing to ask about."""
    asked = "expects a PROXY header at all"
    assert asked in said(ending, Scene("mx:25", 10.0, proxied=True))
    assert asked not in said(ending)


def test_a_probe_without_tls_is_told_to_have_it() -> None:
    """Not the member has to change where it wants the TLS that the probe leaves out."""
    ending = Ending(Event.REPLY, Step.RCPT, 530, "5.7.0 Must issue a STARTTLS command first")
    assert "starttls = opportunistic" in said(ending, Scene("mx:25", 10.0, avoids_tls=True))
