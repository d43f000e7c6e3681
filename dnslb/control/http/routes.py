"""What can be asked for under /api/v1: one table for the door and for the OpenAPI document."""

from collections.abc import Mapping
from dataclasses import dataclass

from dnslb.control.http.tokens import Scope

API = "/api/v1/"


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb of the control socket (PROTOCOL.md) as it is offered here.

    Those that only read can be asked by GET too, with their arguments in the query.
    """

    scope: Scope
    summary: str

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the methods by which it can be asked."""
        return ("GET", "HEAD", "POST") if self.scope is Scope.READ else ("POST",)


VERBS: Mapping[str, Verb] = {
    "status": Verb(Scope.READ, "Pools, members, services and workers"),
    "events": Verb(Scope.READ, "What happened: state changes, what people did, reloads"),
    "explain": Verb(Scope.READ, "Why a name is answered as it is, and what clients do with that"),
    "plan": Verb(Scope.READ, "What would be published after some changes, which are not made"),
    "version": Verb(Scope.READ, "What runs"),
    "admin": Verb(Scope.WRITE, "Set a member to ready, drain or maint"),
    "window": Verb(Scope.WRITE, "Plan a drain, or begin one that has an end"),
    "weight": Verb(Scope.WRITE, "Set a member's run-time weight"),
    "reload": Verb(Scope.WRITE, "Read the configuration again"),
    "probe": Verb(Scope.WRITE, "Probe a member now"),
}
