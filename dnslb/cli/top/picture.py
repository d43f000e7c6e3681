"""The lines that show what `dnslb top` knows: as many and as wide as the terminal is. Pure, but for its encoding."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from textwrap import wrap
from typing import Any

from rich.cells import set_cell_size
from rich.text import Text

from dnslb.cli.countdown import words as countdown_words
from dnslb.cli.output import bar, cause, duration, plain, share, unicode_shown
from dnslb.cli.top.model import Key, Mode, Model, Order, facts_of, keys_of, pools_of
from dnslb.cli.window import words as window_words

_VERDICTS = {
    "storage": "disk full",
    "draining": "shutting down",
    "timeout": "no answer",
    "closed": "hangs up",
    "not_smtp": "no SMTP",
    "rejecting": "rejects mail",
    "rejects_domain": "wrong domain",
    "tls_broken": "TLS fails",
    "tls_invalid": "TLS invalid",
    "auth_failed": "login fails",
    "unknown": "not probed",
}
"""Where the word of the status is not a good one for people."""
_STATES = {"up": "green", "down": "bold red", "unknown": "dim"}
_ADMINS = {"ready": "", "drain": "yellow", "maint": "yellow"}
_WORDS = {"drain": "Drain", "ready": "Set to ready", "maint": "Put in maintenance"}
_NAME = 11
_LONGEST_NAME = 40
_TEN_SECONDS = 10_000
_VERDICT = 13
_REST = 69
"""Columns of a member's line but for its name and the reason."""
_EVENTS = 4
"""Lines that members leave to events, with their heading, if there is room at all."""
_DETAILS = 2
_NOTICE = 3
_KEYS = "q quit  s sort  / pool  arrows select  d drain  r ready  m maint  ? help"
_HELP = """\
Each pool with its members: what people say of a member (ADMIN), what probes
say (STATE, VERDICT), the weight that counts now, its share of the new
connections, how soon it greets, and since when its state is what it is.

  up, down, k, j      select a member; page up, page down, home, end
  d                   drain it: no new mail, still probed
  r                   set it to ready: its probes decide
  m                   maintenance: not used while any other is left
                      (each of the three asks, and only y does it)
  s                   sort: as configured, worst first, by share,
                      slowest first, latest change first
  / or f              only pools with these letters in their names
  escape              all pools again
  q or Ctrl-C         quit

Answers/s are those of the last second or so, by response code.

Any key goes back."""


def lines(model: Model, width: int, height: int, now: datetime) -> list[Text]:
    """Return exactly `height` lines of at most `width` columns each; what has no room is left out."""
    top = [_head(model, now, width), _rates(model), *_banners(model)]
    foot = _foot(model, width)[-height:]
    room = max(0, height - len(top) - len(foot))
    body = [Text(line) for line in _HELP.splitlines()] if model.mode is Mode.HELP else _body(model, room, width, now)
    above = [*top, *body, *[Text()] * room][: height - len(foot)]
    picture = [*above, *foot]
    for line in picture:
        line.truncate(width)
    return picture


def _shown(text: str) -> str:
    """Return a text without what steers a terminal, or what its encoding does not have."""
    return plain(text) if unicode_shown() else plain(text).encode("ascii", "replace").decode()


def _cut(text: str, width: int) -> str:
    """Return a text of exactly so many columns; what is left out has a mark."""
    text = _shown(text)
    mark = "…" if unicode_shown() else "~"
    cut = set_cell_size(text, width)
    return cut if cut.rstrip() == text.rstrip() else set_cell_size(text, width - 1) + mark


# What stands above and below


def _head(model: Model, now: datetime, width: int) -> Text:
    status = model.status
    workers = len(status["workers"])
    left = f" dnslb {status['version']}  generation {status['generation']}  up {duration(status['uptime_s'])}"
    left += f"  {workers} worker{'s' * (workers != 1)}"
    clock = f"{now.astimezone():%H:%M:%S} "
    gap = max(2, width - len(left) - len(clock))
    return Text(_shown(left) + " " * gap + clock, "reverse")


def _rates(model: Model) -> Text:
    if "rcodes" not in model.status:
        return Text(" answers/s: this daemon does not tell them", "dim")
    if model.rates is None:
        return Text(" answers/s: -", "dim")
    parts = [f" answers/s {_rate(sum(model.rates.values()))}"]
    parts += [f"{rcode} {_rate(rate)}" for rcode, rate in model.rates.items()]
    return Text("   ".join(parts))


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 or rate == int(rate) else f"{rate:.1f}"  # noqa: PLR2004 -- three digits are enough


def _banners(model: Model) -> list[Text]:
    found = [Text(text, "bold red") for text in _alarms(model)]
    if model.away:
        found.append(
            Text(_shown(f" No word since {model.seen.astimezone():%H:%M:%S}, still trying: {model.away}"), "bold red")
        )
    return found


def _alarms(model: Model) -> Iterator[str]:
    if reason := model.status.get("state_failing"):
        yield f" CHANGES ARE REFUSED: {_shown(reason)}"
    for name, facts in model.status["pools"].items():
        if facts["panic"]:
            why = (
                f"all members fail alike ({facts['suspect']})"
                if facts.get("suspect")
                else f"{facts['healthy_weight']} of its weight of {facts['total_weight']} is healthy"
            )
            yield f" PANIC in pool {_shown(name)}: {why}; health is ignored"
        if facts.get("held_until"):
            yield f" Pool {_shown(name)}: half or more fails at once; its answers are held for now"


def _foot(model: Model, width: int) -> list[Text]:
    """Return what keys mean now, or what was said: in full, if three lines are enough."""
    if model.mode is Mode.FILTER:
        return [Text(_shown(f" Only pools with: {model.pool}_   (enter: keep, escape: all)"), "bold")]
    if model.mode is Mode.CONFIRM and model.wish is not None:
        name = "/".join(model.wish.target)
        return [Text(_shown(f" {_WORDS[model.wish.state]} {name}? y: yes, any other key: no"), "bold yellow")]
    if model.notice:
        wrapped = wrap(_shown(model.notice), max(1, width - 1), max_lines=_NOTICE, placeholder=" ..."[: width - 1])
        return [Text(f" {line}", "bold") for line in wrapped]
    return [Text(f" {_KEYS}", "dim")]


# Members, and what is to be said of the one that is selected


def _body(model: Model, room: int, width: int, now: datetime) -> list[Text]:
    rows = list(_rows(model))
    selected = next((place for place, (_pool, key) in enumerate(rows) if key and key == model.selected), 0)
    most = max(1, room - 1 - _DETAILS - _EVENTS)
    first = max(0, min(selected - most // 2, len(rows) - most))
    columns = _name_width(model, width)
    listed = [_row(model, row, columns, now) for row in rows[first : first + most]]
    details = [Text(f" {line}") for line in _details(model, now)]
    top = [_heading(model, columns), *(listed or [_nobody(model)]), *details]
    return [*top, *_events(model, room - len(top))]


def _rows(model: Model) -> Iterator[tuple[str, Key | None]]:
    """Yield what each line is about: a pool, or a member of it."""
    for name, _facts, keys in pools_of(model):
        yield name, None
        yield from ((name, key) for key in keys)


def _row(model: Model, row: tuple[str, Key | None], name_width: int, now: datetime) -> Text:
    pool, key = row
    facts = model.status["pools"][pool]
    if key is None:
        return _pool(pool, facts)
    line = _member(key, facts["members"][key[1]], name_width, now)
    return Text(">" + line.plain[1:], "reverse") if key == model.selected else line


def _nobody(model: Model) -> Text:
    return Text(f"  no pool has {_shown(model.pool)!r} in its name; escape shows all", "yellow")


def _heading(model: Model, name_width: int) -> Text:
    titles = f"  {'MEMBER':{name_width}} ADMIN STATE    VERDICT       WEIGHT SHARE           LATENCY  SINCE"
    notes = [f"sorted {model.order}"] if model.order is not Order.CONFIGURED else []
    notes += [f"pools with {model.pool!r}"] if model.pool else []
    rest = f"  ({_shown(', '.join(notes))})" if notes else "  REASON"
    return Text(titles + rest, "dim")


def _name_width(model: Model, width: int) -> int:
    longest = max((len(member) for _pool, member in keys_of(model)), default=0)
    return max(_NAME, min(longest, _LONGEST_NAME, width - _REST))


def _pool(name: str, facts: Mapping[str, Any]) -> Text:
    published = sum(member["published"] for member in facts["members"].values())
    weight = f"{facts['healthy_weight']} of weight {facts['total_weight']} healthy"
    rest = f"  {facts['policy']}, {published} of {len(facts['members'])} published, {weight}"
    return Text.assemble((f" {_shown(name)}", "bold"), (rest, "dim"))


def _member(key: Key, facts: Mapping[str, Any], name_width: int, now: datetime) -> Text:
    admin, state, weight = facts["admin"], facts["state"], facts["effective_weight"]
    part = facts["share"]
    return Text.assemble(
        f"  {_cut(key[1], name_width)} ",
        (f"{admin:<5} ", _ADMINS.get(admin, "")),
        (f"{state:<8} ", _STATES.get(state, "yellow")),
        f"{_cut(verdict_words(facts['verdict']), _VERDICT)} ",
        f"{weight:>6g} ",
        (f"{bar(part):<10}", "cyan"),
        f"{share(part):>5} ",
        f"{_latency(facts['latency_ms']):>7} ",
        f"{_since(facts['since'], now):>6}",
        (f"  {_shown(facts['reason'])}", "dim"),
    )


def verdict_words(verdict: str) -> str:
    """Return a verdict of the status in words for people, short enough for a column."""
    return _VERDICTS.get(verdict, verdict.replace("_", " "))


def _latency(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.0f} ms" if milliseconds < _TEN_SECONDS else f"{milliseconds / 1000:.0f} s"


def _since(moment: str | None, now: datetime) -> str:
    return "-" if moment is None else duration((now - datetime.fromisoformat(moment)).total_seconds())


def _details(model: Model, now: datetime) -> list[str]:
    """Return what the line of the selected member has no room for; always as many lines."""
    facts = None if model.selected is None else facts_of(model, model.selected)
    if facts is None or model.selected is None:
        return [""] * _DETAILS
    where = "published" if facts["published"] else "not published"
    because = cause(facts)
    first = f"{'/'.join(model.selected)} ({', '.join(facts['addresses'])}): {where}{f': {because}' if because else ''}"
    return [_shown(first), _shown("; ".join(_words(facts, now)))]


def _words(facts: Mapping[str, Any], now: datetime) -> Iterator[str]:
    if facts["admin"] != "ready":
        said = ": ".join(facts[part] for part in ("admin_who", "admin_reason") if facts.get(part))
        yield f"{facts['admin']}{f' ({said})' if said else ''}"
    if facts["drain"]:
        yield countdown_words(facts["drain"], now)
    if facts.get("window"):
        yield f"it {window_words(facts['window'], now)}"
    yield from (f"warning: {text}" for text in facts.get("warnings", ()))


# Events


def _events(model: Model, room: int) -> list[Text]:
    """Return as many of the latest events as there is room for, the latest first."""
    shown = {name for name, _facts, _keys in pools_of(model)}
    told = [event for event in model.events if not model.pool or event["pool"] in shown]
    latest = [_event(event) for event in reversed(_last(told, room - 1))]
    return [Text(" EVENTS, the latest first", "dim"), *latest][: max(0, room)]


def _last(events: Sequence[Mapping[str, Any]], number: int) -> Sequence[Mapping[str, Any]]:
    return events[-number:] if number > 0 else ()


def _event(event: Mapping[str, Any]) -> Text:
    at = datetime.fromisoformat(event["at"]).astimezone()
    about = f"{event['pool']}/{event['member']}" if event["member"] else event["pool"]
    by = f" (by {event['who']})" if event["who"] not in event["text"] else ""
    return Text.assemble((f" {at:%H:%M:%S} ", "dim"), f"{_cut(about, 16)} {_shown(event['text'])}{_shown(by)}")
