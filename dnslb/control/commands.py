"""The verbs of the control socket: which arguments each takes, and what of the Operator it calls."""

import difflib
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dnslb.answer.senders import Client, client_of
from dnslb.control.protocol import MAX_REASON, MAX_SPAN, Code, Refused, Request, is_integer
from dnslb.pool.admin import AdminState
from dnslb.pool.planned import Planned, Step
from dnslb.pool.window import Span
from dnslb.wire import name as domain
from dnslb.wire import rdata

MAX_NAME = 255
MAX_WEIGHT = 65_535
MAX_TIER = 65_535
MAX_CHANGES = 1_000
MAX_EVENTS = 1_000
EVENTS = 100
"""How many events are sent if the request does not say."""
_SHOWN = 20


class Operator(Protocol):
    """What an operator can ask of the daemon. Each method raises Refused if it is not done.

    `who` is the user name of the process that asks. A method that changes answers returns when they have changed.
    """

    async def status(self) -> dict[str, Any]:
        """Return the object of `dnslb status --json`."""
        ...

    async def set_admin(self, pool: str, member: str, state: AdminState, reason: str, who: str) -> dict[str, Any]:
        """Set a member's admin state; return the member's object as in status, and what PROTOCOL.md says beside it."""
        ...

    async def set_window(self, pool: str, member: str, span: Span, reason: str, who: str) -> dict[str, Any]:
        """Plan a drain, or begin one that has an end; it takes the place of the member's window, if there is one.

        Refused if too little would be left of the pool, unless it is forced. Return as set_admin does.
        """
        ...

    async def set_weight(self, pool: str, member: str, weight: int | None, reason: str, who: str) -> dict[str, Any]:
        """Set a member's run-time weight, None for the configured one; return as set_admin does."""
        ...

    async def reload(self, who: str) -> dict[str, Any]:
        """Read the configuration again; return "generation", "changed" and "warnings".

        Raise Refused with Code.CONFIG and details {"problems": [lines]} if it is wrong; then nothing has changed.
        """
        ...

    async def events(
        self, since: float | None, pool: str | None, after: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Return events as JSON objects, oldest first (PROTOCOL.md says which of them)."""
        ...

    async def explain(self, name: bytes, rtype: int | None, client: Client | None) -> dict[str, Any]:
        """Return the object of `dnslb explain --json`: why a name (wire format) is answered as it is.

        Without a type, for what clients of such a name ask. `client` is one whose behaviour is of interest.
        """
        ...

    async def plan(self, changes: Sequence[Planned]) -> dict[str, Any]:
        """Return the object of `dnslb plan --json`: what is published now, and what would be after the changes."""
        ...

    async def probe(self, pool: str, member: str, who: str) -> dict[str, Any]:
        """Probe a member now, in all its aspects; return the object of `dnslb probe --json`.

        It lasts as long as the conversations do: at most the probe's timeout for each address, after the conversation
        that may be under way.
        """
        ...

    def version(self) -> dict[str, Any]:
        """Return what runs: at least "version" and "python"."""
        ...


_REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a verb.

    `check` makes a value of JSON (ValueError says what was expected); `schema` says the same in JSON Schema, as far as
    that can. `default` is the value if the argument is missing.
    """

    check: Callable[[object], object]
    schema: Mapping[str, Any]
    default: object = _REQUIRED

    @property
    def required(self) -> bool:
        """Whether the verb does nothing without it."""
        return self.default is _REQUIRED


@dataclass(frozen=True, slots=True)
class _Verb:
    arguments: Mapping[str, Argument]
    run: Callable[[Operator, dict[str, Any], str], Awaitable[object]]


async def execute(operator: Operator, request: Request, who: str) -> object:
    """Do what a request asks and return its result (JSON). Raise Refused for all that is wrong with it."""
    verb = _VERBS.get(request.verb)
    if verb is None:
        known = sorted(_VERBS)
        raise Refused(
            Code.UNKNOWN_VERB, f"unknown verb {_quoted(request.verb)}: one of {', '.join(known)}", {"known": known}
        )
    return await verb.run(operator, _checked(request, verb.arguments), who)


def arguments_of(verb: str) -> Mapping[str, Argument]:
    """Return what a verb takes, by name."""
    return _VERBS[verb].arguments


def no_such_pool(pool: str, known: Collection[str]) -> Refused:
    """Return the answer to a pool name that is none of the known ones."""
    return _not_found(f"there is no pool {_quoted(pool)}", pool, known, "pools")


def no_such_member(pool: str, member: str, known: Collection[str]) -> Refused:
    """Return the answer to a member name that is none of the known ones of its pool."""
    return _not_found(f"pool {_quoted(pool)} has no member {_quoted(member)}", member, known, "members")


def _not_found(what: str, name: str, known: Collection[str], words: str) -> Refused:
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    names = sorted(known)
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    listing = f"{words}: {', '.join(names[:_SHOWN])}{rest}" if names else f"it has no {words}"
    return Refused(Code.NOT_FOUND, f"{what}{hint} ({listing})", {"known": names, "close": close})


def _checked(request: Request, arguments: Mapping[str, Argument]) -> dict[str, Any]:
    unknown = sorted(request.args.keys() - arguments.keys())
    if unknown:
        takes = ", ".join(arguments) or "no arguments"
        raise Refused(Code.INVALID, f"unknown argument {_quoted(unknown[0])}: {request.verb} takes {takes}")
    return {name: _value(request, name, argument) for name, argument in arguments.items()}


def _value(request: Request, name: str, argument: Argument) -> object:
    if name not in request.args:
        if argument.required:
            raise Refused(Code.INVALID, f"{request.verb} needs the argument {name}")
        return argument.default
    try:
        return argument.check(request.args[name])
    except ValueError as error:
        raise Refused(Code.INVALID, f"{name} of {request.verb}: expected {error}") from None


def _quoted(name: str) -> str:
    return ascii(name if len(name) <= MAX_NAME else name[:MAX_NAME] + "...")


def _name(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME or not value.isprintable():
        raise ValueError(f"a name of 1 to {MAX_NAME} printable characters")
    return value


def _reason(value: object) -> str:
    # Printable, because other operators see it in their terminals and logs.
    if not isinstance(value, str) or len(value) > MAX_REASON or not value.isprintable():
        raise ValueError(f"printable text of at most {MAX_REASON} characters")
    return value


def _state(value: object) -> AdminState:
    if not isinstance(value, str) or value not in set(AdminState):
        raise ValueError(f"one of {', '.join(AdminState)}")
    return AdminState(value)


def _integer(low: int, high: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if not is_integer(value) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"an integer from {low} to {high}")
        return value

    return check


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("Unix time in seconds, a number")  # noqa: TRY004 -- a wrong value, of JSON, like the others
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise ValueError("Unix time in seconds, a finite number")
    return seconds


def _span(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_SPAN:
        raise ValueError(f"seconds, more than 0 and at most {MAX_SPAN}")
    return float(value)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004 -- a wrong value, of JSON, like the others
    return value


def _or_null(check: Callable[[object], object]) -> Callable[[object], object]:
    return lambda value: None if value is None else check(value)


def _domain(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("a domain name")  # noqa: TRY004 -- a wrong value, of JSON, like the others
    try:
        return domain.from_text(value)
    except ValueError as error:
        raise ValueError(f"a domain name: {error}") from None


def _type(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("a record type")  # noqa: TRY004 -- a wrong value, of JSON, like the others
    try:
        return rdata.type_number(value)
    except ValueError as error:
        raise ValueError(f"a record type: {error}") from None


def _client(value: object) -> Client:
    if not isinstance(value, str):
        raise ValueError("an address")  # noqa: TRY004 -- a wrong value, of JSON, like the others
    try:
        return client_of(value)
    except ValueError as error:
        raise ValueError(f"an address: {error}") from None


def _changes(value: object) -> tuple[Planned, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CHANGES:
        raise ValueError(f"a list of 1 to {MAX_CHANGES} changes")
    return tuple(map(_change, value))


def _change(value: object) -> Planned:
    if not isinstance(value, dict) or not isinstance(value.get("step"), str) or value["step"] not in set(Step):
        raise ValueError(f"changes that each have a step, one of {', '.join(Step)}")
    step = Step(value["step"])
    checks = {**_MEMBER_CHECKS, **_CHECKS_OF_STEP.get(step, {})}
    if value.keys() - {"step"} != checks.keys():
        raise ValueError(f"a change {step} with {', '.join(checks)}")
    found: dict[str, Any] = {name: _part(step, name, check, value[name]) for name, check in checks.items()}
    return Planned(step, **found)


def _part(step: Step, name: str, check: Callable[[object], object], value: object) -> object:
    try:
        return check(value)
    except ValueError as error:
        raise ValueError(f"a change {step} whose {name} is {error}") from None


async def _version(operator: Operator) -> dict[str, Any]:
    return operator.version()


def _nullable(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


_NAME_SCHEMA = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}
_WEIGHT_SCHEMA = {"type": "integer", "minimum": 0, "maximum": MAX_WEIGHT}
_TIME_SCHEMA = {"type": "number", "description": "Unix time in seconds"}

_MEMBER_CHECKS: Mapping[str, Callable[[object], object]] = {"pool": _name, "member": _name}
_CHECKS_OF_STEP: Mapping[Step, Mapping[str, Callable[[object], object]]] = {
    Step.WEIGHT: {"weight": _or_null(_integer(0, MAX_WEIGHT))},
    Step.ADD: {"weight": _integer(0, MAX_WEIGHT), "tier": _integer(1, MAX_TIER)},
}
_MEMBER = {name: Argument(check, _NAME_SCHEMA) for name, check in _MEMBER_CHECKS.items()}
_REASON = {"reason": Argument(_reason, {"type": "string", "maxLength": MAX_REASON}, "")}
_CHANGES_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_CHANGES,
    "items": {
        "type": "object",
        "required": ["step", "pool", "member"],
        "properties": {
            "step": {"enum": [step.value for step in Step]},
            "pool": _NAME_SCHEMA,
            "member": _NAME_SCHEMA,
            "weight": _nullable(_WEIGHT_SCHEMA),
            "tier": {"type": "integer", "minimum": 1, "maximum": MAX_TIER},
        },
        "additionalProperties": False,
    },
}

_VERBS: Mapping[str, _Verb] = {
    "status": _Verb({}, lambda operator, _args, _who: operator.status()),
    "admin": _Verb(
        _MEMBER
        | {"state": Argument(_state, {"type": "string", "enum": [state.value for state in AdminState]})}
        | _REASON,
        lambda operator, args, who: operator.set_admin(**args, who=who),
    ),
    "window": _Verb(
        _MEMBER
        | {
            "begin": Argument(_or_null(_time), _nullable(_TIME_SCHEMA), None),
            "seconds": Argument(
                _or_null(_span), {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": MAX_SPAN}, None
            ),
            "force": Argument(_boolean, {"type": "boolean"}, default=False),
        }
        | _REASON,
        lambda operator, args, who: operator.set_window(
            args["pool"],
            args["member"],
            Span(args["begin"], args["seconds"], args["force"]),
            args["reason"],
            who,
        ),
    ),
    "weight": _Verb(
        _MEMBER | {"weight": Argument(_or_null(_integer(0, MAX_WEIGHT)), _nullable(_WEIGHT_SCHEMA))} | _REASON,
        lambda operator, args, who: operator.set_weight(**args, who=who),
    ),
    "reload": _Verb({}, lambda operator, _args, who: operator.reload(who)),
    "events": _Verb(
        {
            "since": Argument(_or_null(_time), _nullable(_TIME_SCHEMA), None),
            "pool": Argument(_or_null(_name), _nullable(_NAME_SCHEMA), None),
            "after": Argument(
                _or_null(_integer(0, 2**62)), {"type": ["integer", "null"], "minimum": 0, "maximum": 2**62}, None
            ),
            "limit": Argument(
                _integer(1, MAX_EVENTS), {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS}, EVENTS
            ),
        },
        lambda operator, args, _who: operator.events(**args),
    ),
    "explain": _Verb(
        {
            "name": Argument(_domain, {"type": "string", "description": "a domain name"}),
            "type": Argument(
                _or_null(_type), {"type": ["string", "null"], "description": "a record type: MX, TYPE65280"}, None
            ),
            "client": Argument(
                _or_null(_client),
                {"type": ["string", "null"], "description": "an address, with or without /PREFIX"},
                None,
            ),
        },
        lambda operator, args, _who: operator.explain(args["name"], args["type"], args["client"]),
    ),
    "plan": _Verb({"changes": Argument(_changes, _CHANGES_SCHEMA)}, lambda operator, args, _who: operator.plan(**args)),
    "probe": _Verb(_MEMBER, lambda operator, args, who: operator.probe(**args, who=who)),
    "version": _Verb({}, lambda operator, _args, _who: _version(operator)),
}
