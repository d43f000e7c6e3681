"""What a message says, for programs and for people."""

import json

from dnslb.notify.message import MOST
from tests.notify.receiver import a_message, an_event


def test_a_message_is_json_with_a_text() -> None:
    """The events as the store has them, and who tells; Slack and Mattermost show the text."""
    events = [an_event(1, text="mx1 is down"), an_event(2, kind="reload", pool="", member="", text="reload by ann")]
    assert json.loads(a_message(*events).body()) == {
        "text": "ns1: inbound/mx1: mx1 is down\nns1: reload by ann",
        "host": "ns1",
        "version": "0.1.0",
        "missed": 0,
        "events": events,
    }


def test_what_is_missing_is_said_first() -> None:
    """As a number, and as the first line of the text."""
    message = a_message(an_event(7), missed=3)
    assert message.text.splitlines() == [
        "ns1: 3 events before these were not delivered, see `dnslb events`",
        "ns1: inbound/mx1: text 7",
    ]
    assert json.loads(message.body())["missed"] == 3


def test_a_reply_of_a_server_steers_nothing() -> None:
    """Neither a terminal, nor the lines of a mail, nor an environment; for programs it is as it was."""
    event = an_event(1, text="554 \x1b[2J\r\nBcc: all\0\ud800")
    message = a_message(event)
    assert message.text == "ns1: inbound/mx1: 554  [2J  Bcc: all  "
    assert json.loads(message.body())["events"][0]["text"] == event["text"]


def test_a_text_is_not_too_long_for_a_chat() -> None:
    """Mattermost takes 16,383 characters."""
    message = a_message(*[an_event(number, text="x" * 5000) for number in range(MOST)], missed=10**6)
    assert len(message.text) < 16_383
    assert message.text.endswith("xxx...")


def test_kinds_and_pools_are_named_once() -> None:
    """In the order of the events; what is about no pool names none."""
    events = [an_event(1), an_event(2, kind="panic"), an_event(3, pool="relay"), an_event(4, kind="worker", pool="")]
    message = a_message(*events)
    assert (message.kinds, message.pools) == (("state", "panic", "worker"), ("inbound", "relay"))
