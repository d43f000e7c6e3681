"""The verdict table: every ending has a verdict, and the reason is fit to be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.pool.health import Verdict
from dnslb.probe.verdict import Ending, Event, Judgement, Scene, Step, judge, legible

MX = Scene("mx:25", 10.0)
TALK = (Step.GREETING, Step.EHLO, Step.HELO)


@pytest.mark.parametrize(
    ("ending", "verdict", "reason"),
    [
        (Ending(Event.CONNECTED, Step.CONNECT), Verdict.OK, ""),
        (Ending(Event.REPLY, Step.EHLO, 250, "mx.example"), Verdict.OK, ""),
        (Ending(Event.REPLY, Step.HELO, 250, "mx.example"), Verdict.OK, ""),
        (Ending(Event.REFUSED, Step.CONNECT), Verdict.REFUSED, "mx:25 refuses connections"),
        (Ending(Event.SILENCE, Step.CONNECT), Verdict.TIMEOUT, "mx:25 does not answer connection attempts (10 s)"),
        (
            Ending(Event.SILENCE, Step.GREETING),
            Verdict.TIMEOUT,
            "mx:25 accepts connections but sends no complete greeting within 10 s",
        ),
        (
            Ending(Event.SILENCE, Step.HELO),
            Verdict.TIMEOUT,
            "mx:25 greets but does not answer HELO within the 10 s of the conversation",
        ),
        (
            Ending(Event.NO_ROUTE, Step.CONNECT, text="Network is unreachable"),
            Verdict.TIMEOUT,
            "there is no route from here to mx:25: Network is unreachable",
        ),
        (
            Ending(Event.UNREACHABLE, Step.CONNECT, text="No route to host"),
            Verdict.TIMEOUT,
            "mx:25 cannot be reached: No route to host",
        ),
        (Ending(Event.EOF, Step.GREETING), Verdict.CLOSED, "mx:25 closes the connection before its greeting ends"),
        (Ending(Event.EOF, Step.EHLO), Verdict.CLOSED, "mx:25 closes the connection instead of answering EHLO"),
        (Ending(Event.RESET, Step.CONNECT), Verdict.CLOSED, "mx:25 resets the connection before its greeting ends"),
        (
            Ending(Event.GARBAGE, Step.GREETING, text="SSH-2.0-OpenSSH_9.2"),
            Verdict.NOT_SMTP,
            "mx:25 does not greet in SMTP: SSH-2.0-OpenSSH_9.2",
        ),
        (Ending(Event.REPLY, Step.GREETING, 421, "busy"), Verdict.BUSY, "mx:25 greets with 421 busy"),
        (Ending(Event.REPLY, Step.EHLO, 451, "later"), Verdict.BUSY, "mx:25 answers EHLO with 451 later"),
        (Ending(Event.REPLY, Step.GREETING, 554, ""), Verdict.REJECTING, "mx:25 greets with 554"),
        (Ending(Event.REPLY, Step.EHLO, 550, "go away"), Verdict.REJECTING, "mx:25 answers EHLO with 550 go away"),
        (
            Ending(Event.REPLY, Step.GREETING, 250, "hello"),
            Verdict.NOT_SMTP,
            "mx:25 greets with 250, which is no SMTP greeting: hello",
        ),
    ],
)
def test_endings(ending: Ending, verdict: Verdict, reason: str) -> None:
    """Each way in which a conversation ends has its verdict and its sentence."""
    assert judge(ending, MX) == Judgement(verdict, reason)


@given(st.sampled_from(TALK), st.integers(-99, 999))
def test_every_reply_is_judged(step: Step, code: int) -> None:
    """No reply code leaves a member without a verdict, and only the wanted one is ok."""
    verdict = judge(Ending(Event.REPLY, step, code), MX).verdict
    assert verdict is not Verdict.UNKNOWN
    assert (verdict is Verdict.OK) == (code == 250 and step is not Step.GREETING)


@pytest.mark.parametrize("event", [Event.SILENCE, Event.EOF, Event.RESET, Event.GARBAGE])
@pytest.mark.parametrize("step", TALK)
def test_every_break_is_judged(event: Event, step: Step) -> None:
    """A conversation can break at each step, and none of these goes unjudged."""
    assert judge(Ending(event, step), MX).verdict is not Verdict.UNKNOWN


def test_an_impossible_ending_is_no_information() -> None:
    """What the table does not know is not held against the member."""
    assert judge(Ending(Event.REFUSED, Step.HELO), MX).verdict is Verdict.UNKNOWN


@given(st.text())
def test_reasons_are_legible(text: str) -> None:
    """A server cannot bring control characters, line breaks or a flood into a log or a terminal."""
    shown = legible(text)
    assert shown.isprintable()
    assert len(shown) <= 160


def test_undecodable_octets_can_be_encoded() -> None:
    """Octets that are no UTF-8 arrive as surrogates, which no encoder takes; they are shown as question marks."""
    assert legible(b"caf\xe9 \x1b[31mred".decode("utf-8", "surrogateescape")).encode() == b"caf? ?[31mred"
