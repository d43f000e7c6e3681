"""The slots that workers count in: each has one meaning."""

from dnslb.answer import tally
from dnslb.answer.tally import Cut
from dnslb.wire.header import Rcode
from dnslb.wire.query import Drop


def test_every_slot_has_one_label() -> None:
    """What is shown is what is counted, and nothing twice."""
    labels = {slot: (qtype, rcode) for slot, qtype, rcode in tally.answered_labels()}
    assert len(labels) == len(set(labels.values())) == tally.ANSWERS
    assert labels[tally.answered(15, Rcode.NOERROR)] == ("MX", "NOERROR")
    assert labels[tally.answered(1, Rcode.BADVERS)] == ("A", "BADVERS")
    for unknown in (0, 99, 65535):
        assert labels[tally.answered(unknown, Rcode.NXDOMAIN)] == ("other", "NXDOMAIN")
    dropped = dict(tally.dropped_labels())
    limited = dict(tally.limited_labels())
    closed = dict(tally.closed_labels())
    assert sorted({*labels, *dropped, *limited, *closed}) == list(range(tally.SLOTS))
    assert {dropped[tally.dropped(reason)] for reason in Drop} == {"short", "long", "response"}
    assert (dropped[tally.INTERNAL], dropped[tally.RATE_LIMITED]) == ("internal", "rate_limited")
    assert dropped[tally.UNSENT] == "send_buffer"
    assert {closed[tally.closed(why)] for why in Cut} == {why.value for why in Cut}
    assert limited == {tally.RATE_LIMITED: "dropped", tally.TRUNCATED: "truncated"}


def test_a_slot_tells_the_response_code() -> None:
    """For whatever type it counts."""
    assert {tally.rcode_of(slot).name == rcode for slot, _, rcode in tally.answered_labels()} == {True}
