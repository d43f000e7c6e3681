"""What to do once the configuration is written: records for the zone above, how to start, how to try. Pure."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from dnslb.cli.setup.draft import Draft
from dnslb.cli.setup.files import SERVICE_DIRECTORY, glued, parent_of, records_of
from dnslb.cli.setup.reading import DNS_PORT

_LAST_RESORT = "last"
_WIDTH = 76
"""Beside the number of a step."""
_INDENT = "   "


def parent_records(draft: Draft) -> list[str]:
    """Return the records that belong into the zone above, as lines of a master file."""
    rows = [(draft.zone, "NS", f"{host.name}.") for host in draft.name_servers]
    rows += [(host.name, rtype, data) for host in glued(draft) for rtype, data in records_of(host)]
    if draft.inbound:
        last = f"{_LAST_RESORT}.{draft.domain}"
        rows += [(draft.domain, "MX", f"10 mx.{draft.zone}."), (draft.domain, "MX", f"20 {last}.")]
        rows += [(last, rtype, data) for rtype, data in records_of(draft.inbound.members[0])]
    width = max(len(owner) for owner, _rtype, _data in rows) + 1
    return [f"{owner + '.':<{width}} {rtype:<4} {data}" for owner, rtype, data in rows]


def steps(draft: Draft, config: Path) -> list[str]:
    """Return what is to be done now, in order: a sentence each, with commands or records on lines below it."""
    mail = [_last_resort(draft)] if draft.inbound else []
    applications = [_applications(draft)] if draft.relay else []
    return [_start(config), _try(draft, config), _delegate(draft), *mail, *applications, _second(draft)]


def _start(config: Path) -> str:
    if config.absolute().parent == SERVICE_DIRECTORY:
        return _step("Start it:", ["systemctl enable --now dnslb"])
    return _step('Start it (README, "Run it as a service": how to have systemd do that):', [f"dnslb run -c {config}"])


def _try(draft: Draft, config: Path) -> str:
    where = draft.listen[0]
    port = "" if where.port == DNS_PORT else f" -p {where.port}"
    names = [f"mx.{draft.zone}"] * bool(draft.inbound) + [f"relay.{draft.zone}"] * bool(draft.relay)
    asked = [f"dig +norecurse @{where.host}{port} {name}" for name in names]
    return _step("See how the servers are, and what it answers:", [f"dnslb status -c {config}", *asked])


def _delegate(draft: Draft) -> str:
    instead = ", in place of its MX records" if draft.inbound else ""
    return _step(f"When that is right, put this into the zone of {parent_of(draft)}{instead}:", parent_records(draft))


def _last_resort(draft: Draft) -> str:
    first = draft.inbound.members[0].name if draft.inbound else ""
    return _step(
        f"{_LAST_RESORT}.{draft.domain} is the last resort, for when dnslb does not answer: any server with a fixed"
        f" address that takes this mail, here {first}. Its name must not be in {draft.zone}."
    )


def _applications(draft: Draft) -> str:
    name, port = f"relay.{draft.zone}", draft.relay.port if draft.relay else 0
    return _step(
        f"Have applications send to {name}, port {port}. What to set in each, and how it behaves then, is in the README"
        ' ("Use 2"); in Postfix:',
        [f"relayhost = [{name}]:{port}"],
    )


def _second(draft: Draft) -> str:
    if len(draft.name_servers) == 1:
        return _step("Add a second name server: until then nobody answers while this machine is off.")
    host = draft.name_servers[1]
    return _step(f"On {host.name} ({host.addresses[0]}) run dnslb with the same two files, and a `listen` of its own.")


def _step(sentence: str, below: Sequence[str] = ()) -> str:
    words = fill(sentence, _WIDTH, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)
    return "\n".join([words, *(_INDENT + line for line in below)])
