"""What is known of members, across reloads and restarts."""

from dataclasses import replace
from ipaddress import ip_address

from dnslb.daemon.roster import REMEMBERED_SECONDS, Entry, Roster, Standing, still_believed
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Health, State, Thresholds
from tests.conftest import member

KEY = ("inbound", "mx1")
MX1 = member("mx1", "192.0.2.1", "2001:db8::1")
DRAINED = Admin(AdminState.DRAIN)


def roster() -> Roster:
    """Return a roster of one member that is drained and up."""
    return Roster({KEY: Entry(MX1, Thresholds(1, 1, 10), Standing(DRAINED, Health(State.UP)))})


def test_a_member_that_stays_shares_its_standing() -> None:
    """What a probe finds during a reload counts in both configurations; weight and order of addresses do not matter."""
    old = roster()
    again = replace(MX1, weight=9, addresses=MX1.addresses[::-1])
    entry = old.get(*KEY)
    assert entry is not None
    assert old.standing_after_reload(KEY, again, Admin()) is entry.standing


def test_a_member_with_other_addresses_is_another_server() -> None:
    """People's word holds for the name, the probes' findings were about the machine."""
    moved = replace(MX1, addresses=(ip_address("192.0.2.9"),))
    assert roster().standing_after_reload(KEY, moved, Admin()) == Standing(DRAINED, Health())


def test_a_member_that_comes_back_stands_as_people_left_it() -> None:
    """As it would after a restart, which reads the same from the store."""
    kept = Admin(AdminState.MAINT)
    assert roster().standing_after_reload(("inbound", "mx7"), MX1, kept) == Standing(kept, Health())


def test_health_is_believed_for_a_while() -> None:
    """Not what is too old, what no probe has told, or what a clock that was wrong has dated in the future."""
    now = 1_000_000.0
    ages = {"fresh": 0.0, "oldest": REMEMBERED_SECONDS, "old": REMEMBERED_SECONDS + 1, "future": -1.0}
    healths = {("inbound", name): Health(State.UP, last_probe=now - age) for name, age in ages.items()}
    healths["inbound", "never"] = Health(State.UP)
    assert {name for _, name in still_believed(healths, now)} == {"fresh", "oldest"}
