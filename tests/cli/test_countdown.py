"""How far a drain has come, and waiting until it is safe to stop a member."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from dnslb.cli.countdown import wait_for_end, words
from dnslb.cli.options import Daemon, Failed

if TYPE_CHECKING:
    from tests.cli.conftest import Dnslb, FakeDaemon

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_drain(caches: str | None = None, clients: str | None = None, *, safe: bool = False) -> dict[str, Any]:
    """Return the drain of a member; times are minutes and seconds after NOW."""
    moments = [None if each is None else f"2026-01-01T00:{each}Z" for each in (caches, clients)]
    return {"caches_expire": moments[0], "clients_expire": moments[1], "safe_to_stop": safe}


@pytest.mark.parametrize(
    ("drain", "text"),
    [
        (a_drain(), "not safe to stop: it is still in answers"),
        (a_drain("00:28", "05:28"), "not safe to stop: caches have it for 28s more, clients may use it for 5m28s more"),
        (a_drain("00:00", "05:00"), "not safe to stop: no cache has it any more, clients may use it for 5m more"),
        (a_drain("00:00", "00:00.4"), "not safe to stop: no cache has it any more, clients may use it for 1s more"),
        (
            a_drain("00:00", "00:00"),
            "not safe to stop: no cache has it any more, clients may use it for a moment more",
        ),
        (a_drain("00:00", "00:00", safe=True), "safe to stop: no cache and no client has it any more"),
    ],
)
def test_a_person_reads_who_may_still_have_the_member(drain: dict[str, Any], text: str) -> None:
    """Caches first, then clients; only the daemon says that it is safe."""
    assert words(drain, NOW) == text


class Progress:
    """A daemon that says something else each time it is asked."""

    def __init__(self, *members: dict[str, Any]) -> None:
        self._members = list(members)
        self.pauses = 0

    def ask(self, _verb: str) -> dict[str, Any]:
        """Return the next status; the last one again and again."""
        member = self._members.pop(0) if len(self._members) > 1 else self._members[0]
        return {"pools": {"inbound": {"members": {"mx1": member}}}}

    def pause(self, _seconds: float) -> None:
        """Note that somebody waits."""
        self.pauses += 1

    def wait(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for the end of mx1's drain."""
        return wait_for_end(cast("Daemon", self), "inbound", "mx1", timeout, self.pause)


def test_waiting_ends_when_it_is_safe() -> None:
    """And not before."""
    progress = Progress(*({"drain": a_drain("00:28", "05:28", safe=safe)} for safe in (False, False, True)))
    assert progress.wait()["drain"]["safe_to_stop"] is True
    assert progress.pauses == 2


def test_waiting_ends_when_somebody_wants_the_member_back() -> None:
    """It would never be safe then."""
    progress = Progress({"drain": a_drain()}, {"drain": None, "admin": "ready"})
    with pytest.raises(Failed, match="inbound/mx1 drains no more: somebody has set it to ready"):
        progress.wait()


def test_a_reload_may_remove_the_member() -> None:
    """Nobody has set it to anything then."""
    progress = Progress({"drain": a_drain()}, {})
    with pytest.raises(Failed, match="inbound/mx1 is configured no more: a reload has removed it"):
        progress.wait()


def a_window(state: str = "announced") -> dict[str, Any]:
    """Return a window of a member that does not drain yet."""
    facts = {"begin": "2026-01-01T22:00:00Z", "end": "2026-01-02T00:00:00Z", "who": "ann", "reason": "disks"}
    return facts | {"state": state, "forced": False}


def test_a_drain_that_is_announced_is_waited_for() -> None:
    """Through its beginning, until it is safe to stop the member."""
    progress = Progress(
        {"drain": None, "window": a_window()},
        {"drain": a_drain("00:28", "05:28"), "window": a_window("running")},
        {"drain": a_drain("00:00", "00:00", safe=True), "window": a_window("running")},
    )
    assert progress.wait()["drain"]["safe_to_stop"] is True
    assert progress.pauses == 2
    with pytest.raises(Failed, match=r"gave up waiting: .* drains at .* for 2h \(ann: disks\); its window stays$"):
        Progress({"drain": None, "window": a_window()}).wait(timeout=0.0)


def test_who_waits_for_a_window_sees_how_long_it_is_until_then() -> None:
    """A line that never changes would look as if nothing went on."""
    begin = (datetime.now(UTC) + timedelta(seconds=600)).isoformat()
    with pytest.raises(Failed, match=r"\(ann: disks\), in (10m|9m59s); its window stays$"):
        Progress({"drain": None, "window": a_window() | {"begin": begin}}).wait(timeout=0.0)


def test_a_window_may_be_over_too_soon() -> None:
    """Then the member is back in the answers, and nobody should stop it."""
    progress = Progress(
        {"drain": a_drain(), "window": a_window("running")}, {"drain": None, "window": None, "admin": "ready"}
    )
    with pytest.raises(Failed, match=r"over or cancelled before it was safe to stop, and it is set to ready"):
        progress.wait()


def test_patience_may_have_an_end() -> None:
    """Then the failure says how far it has come."""
    with pytest.raises(Failed, match=r"inbound/mx1 is not safe to stop: it is still in answers; it stays drained$"):
        Progress({"drain": a_drain()}).wait(timeout=0.0)


def test_drain_waits_when_it_is_asked_to(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """The sentence at the end is the one that a person waits for, and a program gets the member's facts."""
    daemon.operator.member("inbound", "mx1")["drain"] = a_drain("00:00", "00:00", safe=True)
    assert dnslb("drain", "inbound/mx1", "--wait").output.splitlines()[-1] == (
        "inbound/mx1 is safe to stop: no cache and no client has it any more."
    )
    assert json.loads(dnslb("drain", "inbound/mx1", "--wait", "--json").stdout)["drain"]["safe_to_stop"] is True


def test_a_program_reads_how_far_a_drain_has_come(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Also when its patience ends first: the facts on standard output, the failure as the exit status."""
    daemon.operator.member("inbound", "mx1")["drain"] = a_drain("00:28", "05:28")
    result = dnslb("drain", "inbound/mx1", "--wait", "--timeout", "0s", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["drain"]["safe_to_stop"] is False
    assert found["error"].startswith("gave up waiting: inbound/mx1 is not safe to stop")


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (
            {"admin": "drain", "admin_who": "ann", "admin_reason": "disks", "drain": a_drain(safe=True)},
            "inbound/mx1 is drained already (ann: disks): nothing is changed, and this waits for it.",
        ),
        (
            {"admin": "drain", "drain": a_drain(safe=True), "window": a_window("running") | {"end": None}},
            "inbound/mx1 is in its window until it is set to ready (ann: disks): nothing is changed",
        ),
        ({"drain": a_drain(safe=True), "window": a_window()}, "inbound/mx1 drains at "),
    ],
)
def test_who_only_waits_changes_nothing(dnslb: "Dnslb", daemon: "FakeDaemon", facts: dict[str, Any], told: str) -> None:
    """The reason that somebody gave stays, and so does a window, running or announced."""
    daemon.operator.member("inbound", "mx1").update(facts)
    result = dnslb("drain", "inbound/mx1", "--wait")
    assert (result.exit_code, daemon.operator.asked) == (0, [])
    assert result.output.startswith(told)
    assert json.loads(dnslb("drain", "inbound/mx1", "--wait", "--json").stdout)["admin"] == facts.get("admin", "ready")


@pytest.mark.parametrize(
    ("words", "facts"),
    [(("--reason", "kernel"), {"admin": "drain"}), (("--for", "1h"), {"admin": "drain"}), ((), {"admin": "maint"})],
)
def test_who_says_more_than_to_wait_changes_something(
    dnslb: "Dnslb", daemon: "FakeDaemon", words: tuple[str, ...], facts: dict[str, Any]
) -> None:
    """A reason, a time, or a drain of who is in maintenance."""
    daemon.operator.member("inbound", "mx1").update(facts, drain=a_drain(safe=True))
    dnslb("drain", "inbound/mx1", "--wait", "--json", *words)
    assert len(daemon.operator.asked) == 1


def test_a_timeout_without_waiting_is_a_mistake(dnslb: "Dnslb") -> None:
    """Nothing is done then."""
    result = dnslb("drain", "inbound/mx1", "--timeout", "5m")
    assert result.exit_code == 2
    assert "--timeout is for --wait" in result.output
