"""What one run leaves to the next, and the JSON text that it is kept as."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Aspect, Fault, Health, State, Verdict
from dnslb.pool.leaving import GivenOut, Instant, Leavings, Left
from dnslb.pool.window import Window
from dnslb.store.damage import DamagedError

FORMAT = 1
_HEALTH = tuple(each.name for each in fields(Health))
_FAULT = tuple(each.name for each in fields(Fault))

MemberKey = tuple[str, str]
"""The names of a pool and of a member in it."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """Admin states, health and windows by (pool, member), SOA serials by zone name (text), and who has left.

    `leavings` is by the clock of the run that wrote it, None if it knew nothing of the kind.
    """

    admins: Mapping[MemberKey, Admin] = field(default_factory=dict)
    healths: Mapping[MemberKey, Health] = field(default_factory=dict)
    serials: Mapping[str, int] = field(default_factory=dict)
    windows: Mapping[MemberKey, Window] = field(default_factory=dict)
    leavings: Leavings | None = None


def as_text(known: Remembered) -> str:
    """Return it all as JSON, a member a line."""
    parts = {
        "format": json.dumps(FORMAT),
        "admins": _lines(_named(key, asdict(admin)) for key, admin in known.admins.items()),
        "windows": _lines(asdict(window) for window in known.windows.values()),
        "healths": _lines(_named(key, _health_json(health)) for key, health in known.healths.items()),
        "serials": json.dumps(dict(known.serials)),
        "leavings": json.dumps(known.leavings and _leavings_json(known.leavings)),
    }
    return "{" + ",\n".join(f'"{name}": {text}' for name, text in parts.items()) + "}\n"


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "[" + ",\n ".join(map(json.dumps, rows)) + "]"


def _named(key: MemberKey, values: Mapping[str, Any]) -> dict[str, Any]:
    return {"pool": key[0], "member": key[1], **values}


def _health_json(health: Health) -> dict[str, Any]:
    # asdict() would take ten times as long, and there are thousands of them.
    faults = [{name: getattr(fault, name) for name in _FAULT} for fault in health.faults]
    return {name: getattr(health, name) for name in _HEALTH} | {"faults": faults}


def _leavings_json(leavings: Leavings) -> dict[str, Any]:
    return {
        "moment": asdict(leavings.moment),
        "pools": {pool: asdict(each) for pool, each in leavings.pools.items()},
        "members": [_named(key, asdict(each)) for key, each in leavings.members.items()],
    }


def parsed(text: bytes) -> Remembered:
    """Return what a text holds. Raise DamagedError if it is not as `as_text` makes it."""
    try:
        return _remembered(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DamagedError(f"not as dnslb writes it: {error}") from error


def _remembered(found: Mapping[str, Any]) -> Remembered:
    if found["format"] != FORMAT:
        raise DamagedError(f"it has format {found['format']}, and this dnslb knows {FORMAT}")
    windows = [Window(**row | {"before": AdminState(row["before"])}) for row in found["windows"]]
    return Remembered(
        admins={key: Admin(**row | {"state": AdminState(row["state"])}) for key, row in _keyed(found["admins"])},
        healths={key: health for key, row in _keyed(found["healths"]) if (health := health_of(row)) is not None},
        serials={str(zone): int(serial) for zone, serial in found["serials"].items()},
        windows={window.key: window for window in windows},
        leavings=found["leavings"] and _leavings(found["leavings"]),
    )


def _keyed(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[MemberKey, dict[str, Any]]]:
    """Return the member of each row, and the rest of the row."""
    for row in rows:
        rest = dict(row)
        yield (rest.pop("pool"), rest.pop("member")), rest


def health_of(values: Mapping[str, Any]) -> Health | None:
    """Return a member's health, None if it holds a word that we do not know: the next probe says it anew."""
    try:
        words = {"state": State(values["state"]), "argued": State(values["argued"])}
        faults = tuple(map(_fault, values["faults"]))
        return Health(**{**values, **words, "verdict": Verdict(values["verdict"]), "faults": faults})
    except (ValueError, TypeError, KeyError):
        return None


def _fault(stored: Mapping[str, Any]) -> Fault:
    return Fault(**{**stored, "aspect": Aspect(stored["aspect"]), "verdict": Verdict(stored["verdict"])})


def _leavings(found: Mapping[str, Any]) -> Leavings:
    return Leavings(
        Instant(**found["moment"]),
        {pool: GivenOut(**each) for pool, each in found["pools"].items()},
        {key: Left(**row) for key, row in _keyed(found["members"])},
    )
