"""What a reload leaves behind."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from dnslb.daemon import memory


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Have the collector look at everything again after the test."""
    yield
    gc.unfreeze()


class _Conversation:
    """Something that points at itself, as tasks, transports and TLS do."""

    def __init__(self) -> None:
        self.itself = self


def test_what_a_reload_met_goes_with_the_next_one() -> None:
    """The collector looks no more at what there was, but not for ever: a probe under way then is garbage now."""
    conversation = _Conversation()
    memory.settle()
    seen = weakref.ref(conversation)
    del conversation
    memory.settle()
    assert seen() is None
