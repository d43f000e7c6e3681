"""Nobody is called safe to stop whom a cache may have, whatever happens: kills, reloads, restarts, set clocks."""

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dnslb.answer.service import Ttl
from dnslb.daemon.farewell import Farewells
from dnslb.pool.admin import AdminState
from dnslb.pool.health import State
from dnslb.pool.selection import Selection, select
from dnslb.publisher import Publication
from tests.conftest import candidate, pool, service

if TYPE_CHECKING:
    from dnslb.pool.leaving import Leavings

TTLS = (Ttl(0, 0), Ttl(5, 5), Ttl(60, 60), Ttl(10, 120))


class Machine:
    """One daemon after the other, and what is true of mx1: who gives it out, and until when caches may have it.

    `late` is a write that is on its way to the disk, and may get lost with the daemon.
    """

    def __init__(self) -> None:
        self.time, self.booted, self.step = 1000.0, 0.0, 0.0
        self.disk: Leavings | None = None
        self.late: Leavings | None = None
        self.giving: set[int] = set()
        """The TTLs with which our workers give mx1 out."""
        self.left_behind: set[int] = set()
        self.forgotten = 0.0
        self.ttl, self.drained = TTLS[2], False
        self.changes_in: float | None = None
        self.begin()

    def begin(self) -> None:
        """Start a daemon."""
        self.farewells = Farewells(
            lambda: self.time - self.booted,
            lambda: self.time + self.step,
            boot=f"{self.booted}",
            remembered=self.disk,
        )
        self.before: Selection | None = None
        self.late = None
        self.farewells.configure([service(ttl=self.ttl)])
        if self.left_behind:
            self.farewells.follow()

    def selection(self) -> Selection:
        """Return what is to be answered from now on."""
        admin = AdminState.DRAIN if self.drained else AdminState.READY
        candidates = [candidate("mx1", State.UP, admin), candidate("mx2", State.UP)]
        found = select(pool(*(each.member for each in candidates)), candidates, frozenset())
        return replace(found, changes_in=self.changes_in)

    def publish(self, *, killed: bool = False) -> None:
        """Answer so; the daemon may be killed while some of its workers do already."""
        after = self.selection()
        if self.farewells.coming({"inbound": after}):
            self.disk = self.farewells.leavings()
        given_out = set() if self.drained else {self.ttl.at(self.changes_in)}
        self.giving |= given_out
        self.look()
        if killed:
            return
        self.giving = given_out
        self.farewells.published(Publication(1, {}, {"inbound": (self.before, after)}, None))
        self.before, self.late = after, self.farewells.leavings()

    def look(self) -> None:
        """Note who may have it, and hold the daemon to what is true."""
        for ttl in self.giving | self.left_behind:
            self.forgotten = max(self.forgotten, self.time + ttl)
        if self.farewells.countdown(("inbound", "mx1"), 0).safe_to_stop:
            assert not self.giving | self.left_behind
            assert self.time >= self.forgotten

    # What may happen

    def wait(self, seconds: float) -> None:
        """Let time pass, and what is on its way to the disk arrive."""
        self.time += seconds
        self.disk, self.late = self.late or self.disk, None
        self.look()

    def set_clock(self, seconds: float) -> None:
        """Set the clock on the wall."""
        self.step += seconds

    def drain(self, _: float) -> None:
        """Take it out, or put it back."""
        self.drained = not self.drained
        self.publish()

    def see_coming(self, seconds: float) -> None:
        """Have another TTL, since something is to change or is not."""
        self.changes_in = None if self.changes_in else seconds
        self.publish()

    def reload(self, which: float) -> None:
        """Have another TTL configured."""
        self.ttl = TTLS[int(which) % len(TTLS)]
        self.farewells.configure([service(ttl=self.ttl)])
        self.publish()

    def restart(self, seconds: float) -> None:
        """Stop, and start with another TTL perhaps."""
        self.giving = set()
        self.left_behind = set()
        self.disk = self.farewells.leavings()
        self._start_again(seconds)

    def kill(self, seconds: float) -> None:
        """Kill the controller; its workers go on until they are replaced."""
        self.left_behind |= self.giving
        self.giving = set()
        self._start_again(seconds)

    def kill_in_a_change(self, seconds: float) -> None:
        """Kill it while mx1 comes or goes, or its TTL changes."""
        self.drained = not self.drained
        self.publish(killed=True)
        self.kill(seconds)

    def replace_left_behind(self, _: float) -> None:
        """Have those go that were left behind."""
        self.look()
        if self.left_behind:
            self.left_behind = set()
            self.farewells.predecessors_gone()
            self.late = self.farewells.leavings()

    def boot(self, seconds: float) -> None:
        """Lose power; the steady clock begins anew, anywhere."""
        self.giving, self.left_behind = set(), set()
        self.time += seconds
        self.booted = self.time - (1 if self.booted else 1e6)
        self._start_again(seconds)

    def _start_again(self, seconds: float) -> None:
        self.ttl = TTLS[int(seconds) % len(TTLS)]
        self.begin()
        self.wait(seconds % 3)
        self.publish()


_EVENTS = (
    *("wait", "wait", "wait", "set_clock", "drain", "drain", "see_coming", "reload", "restart", "kill"),
    *("kill_in_a_change", "replace_left_behind", "boot"),
)
_SECONDS = {"set_clock": st.sampled_from([-86_400.0, -5.0, 5.0, 86_400.0])}
_LIVES = st.lists(
    st.sampled_from(_EVENTS).flatmap(
        lambda event: st.tuples(
            st.just(event), _SECONDS.get(event, st.sampled_from([0.0, 1.0, 2.0, 3.0, 30.0, 59.0, 121.0]))
        )
    ),
    max_size=25,
)


@settings(max_examples=400)
@given(_LIVES)
@example([("kill", 2.0), ("drain", 0.0), ("wait", 59.0), ("replace_left_behind", 0.0), ("wait", 3.0)])
@example([("kill", 2.0), ("drain", 0.0), ("wait", 3.0), ("kill", 2.0), ("wait", 59.0)])
@example([("drain", 0.0), ("wait", 1.0), ("set_clock", 86_400.0), ("boot", 2.0), ("wait", 1.0)])
def test_nobody_is_safe_to_stop_whom_a_cache_may_have(events: list[tuple[str, float]]) -> None:
    """After each event the countdown says no more than is true."""
    machine = Machine()
    machine.publish()
    for event, seconds in events:
        getattr(machine, event)(seconds)
        machine.look()
