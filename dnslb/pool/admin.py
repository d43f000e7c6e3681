"""The administrative axis: what people say of a member. It lies over what probes say and never mixes with it."""

from dataclasses import dataclass
from enum import StrEnum


class AdminState(StrEnum):
    """What an operator wants of a member."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


@dataclass(frozen=True, slots=True)
class Admin:
    """An operator's word on one member. `weight` is the run-time weight, None meaning the configured one."""

    state: AdminState = AdminState.READY
    weight: int | None = None
    reason: str = ""
    who: str = ""
    since: float = 0.0
    """Unix time of the last change, 0 if there was none."""
