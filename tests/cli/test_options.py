"""What the commands share: here what they make of a daemon of another version."""

from typing import TYPE_CHECKING

import pytest

from dnslb import __version__

if TYPE_CHECKING:
    from tests.cli.conftest import Dnslb, FakeDaemon

SAID = f"the daemon is dnslb 0.0.9, and the command is dnslb {__version__}; restart the daemon"


@pytest.mark.parametrize(
    "words", [("explain", "mx.lb.test"), ("plan", "--drain", "inbound/mx1"), ("probe", "inbound/mx1")]
)
def test_an_answer_that_lacks_something_is_no_traceback(dnslb: "Dnslb", words: tuple[str, ...]) -> None:
    """Each upgrade passes through this: it says which versions differ, and what to do."""
    result = dnslb(*words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "answers otherwise than this command expects (KeyError: '" in result.stderr
    assert SAID in result.stderr


def test_an_answer_of_another_kind_is_no_traceback(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """A number where there are names, or no time where there should be one."""
    daemon.operator.now["pools"] = 7
    result = dnslb("status")
    assert result.exit_code == 1
    assert SAID in result.stderr
