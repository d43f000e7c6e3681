"""What workers count: one number for each pair of query type and response code, and one for each reason to drop.

The numbers are plain slots of an array, so that the query path adds one to one place and nothing else.
"""

from collections.abc import Iterator
from enum import Enum

from dnslb.wire import rrtype
from dnslb.wire.header import Rcode
from dnslb.wire.query import Drop

_RCODES = tuple(Rcode)
_RCODE_PLACE = {rcode: place for place, rcode in enumerate(_RCODES)}
_TYPES = tuple(rrtype.COUNTED)
_TYPE_PLACE = {rtype: place for place, rtype in enumerate(_TYPES)}
_OTHER = len(_TYPES)
_DROPS = tuple(Drop)


class Cut(Enum):
    """Why we have closed a TCP connection; the value is the metric's label."""

    IDLE = "idle"
    """It asked nothing for too long."""
    SLOW_WRITER = "slow_writer"
    """A message was not whole in time."""
    SLOW_READER = "slow_reader"
    """Its client did not take its answers in time."""
    UNANSWERED = "unanswered"
    """A message came that gets no answer: nobody knows what the stream means behind it."""
    ADDRESS_LIMIT = "address_limit"
    """Its client has opened too many."""
    TOTAL_LIMIT = "total_limit"
    """All clients together have."""


_CUTS = tuple(Cut)

ANSWERS = (len(_TYPES) + 1) * len(_RCODES)
INTERNAL = ANSWERS + len(_DROPS)
"""The slot of a message that a fault of ours left without an answer."""
RATE_LIMITED = INTERNAL + 1
"""The slot of a response that was not sent, for its network had enough of its kind."""
TRUNCATED = RATE_LIMITED + 1
"""The slot of a response that was truncated for that reason."""
UNSENT = TRUNCATED + 1
"""The slot of a response that the kernel did not take. It counts as answered too."""
_FIRST_CUT = UNSENT + 1
SLOTS = _FIRST_CUT + len(_CUTS)
"""How many slots one protocol needs."""


def answered(qtype: int, rcode: Rcode) -> int:
    """Return the slot of a query that was answered."""
    return _TYPE_PLACE.get(qtype, _OTHER) * len(_RCODES) + _RCODE_PLACE[rcode]


def rcode_of(slot: int) -> Rcode:
    """Return the response code of a slot of answers."""
    return _RCODES[slot % len(_RCODES)]


def dropped(reason: Drop) -> int:
    """Return the slot of a message that was not answered."""
    return ANSWERS + _DROPS.index(reason)


def closed(why: Cut) -> int:
    """Return the slot of a TCP connection that we have closed."""
    return _FIRST_CUT + _CUTS.index(why)


def answered_labels() -> Iterator[tuple[int, str, str]]:
    """Yield (slot, qtype, rcode) for every slot of answers; a type without a counter of its own is "other"."""
    names = [*rrtype.COUNTED.values(), "other"]
    for place, qtype in enumerate(names):
        for rcode in _RCODES:
            yield place * len(_RCODES) + _RCODE_PLACE[rcode], qtype, rcode.name


def dropped_labels() -> Iterator[tuple[int, str]]:
    """Yield (slot, reason) for every slot of dropped messages."""
    for place, reason in enumerate(_DROPS):
        yield ANSWERS + place, reason.value
    yield INTERNAL, "internal"
    yield RATE_LIMITED, "rate_limited"
    yield UNSENT, "send_buffer"


def limited_labels() -> Iterator[tuple[int, str]]:
    """Yield (slot, action) for what was done to responses of which a network had enough."""
    yield RATE_LIMITED, "dropped"
    yield TRUNCATED, "truncated"


def closed_labels() -> Iterator[tuple[int, str]]:
    """Yield (slot, reason) for every slot of closed connections."""
    for why in Cut:
        yield closed(why), why.value
