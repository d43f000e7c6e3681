"""Builders of the values that many tests need, with defaults for all that a test does not speak of."""

import tempfile
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from textwrap import dedent

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dnslib
from hypothesis import settings

from dnslb.answer.compiler import Pools, compile_world
from dnslb.answer.responder import respond
from dnslb.answer.service import Preference, Service, ServiceType, Ttl
from dnslb.answer.snapshot import Snapshot, made_ready
from dnslb.answer.turns import Turns
from dnslb.answer.views import Audience
from dnslb.answer.world import World, build
from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Health, State, Verdict
from dnslb.pool.member import AllDown, Member, Policy, Pool
from dnslb.pool.portion import Portion
from dnslb.pool.selection import Candidate, Selection, select
from dnslb.wire.name import from_text
from dnslb.zone import master_file
from dnslb.zone.zone import Zone

# A deadline is a wall-clock bound, and says more of the machine than of the code.
settings.register_profile("dnslb", deadline=None, max_examples=60)
settings.load_profile("dnslb")


def member(  # noqa: PLR0913 -- a builder has one keyword for each thing that a test may speak of
    name: str = "mx1",
    *addresses: str,
    weight: int = 1,
    tier: int = 1,
    host: str = "",
    group: str = "",
    seen: Mapping[str, str] | None = None,
) -> Member:
    """Return a member; without addresses it has one from the documentation range. Views have those of `seen`."""
    texts = addresses or ("192.0.2.1",)
    in_views = tuple((view, tuple(map(ip_address, listed.split()))) for view, listed in (seen or {}).items())
    return Member(name, tuple(ip_address(text) for text in texts), weight, tier, host, group, in_views)


def pool(  # noqa: PLR0913 -- a builder has one keyword for each thing that a test may speak of
    *members: Member,
    name: str = "inbound",
    policy: Policy = Policy.WEIGHTED,
    all_down: AllDown = AllDown.SERVE_ALL,
    min_healthy: float = 0.0,
    slow_start: float = 0.0,
    tier_min: float = 1,
) -> Pool:
    """Return a pool of the given members."""
    return Pool(name, members, policy, all_down, min_healthy, slow_start, tier_min=tier_min)


def candidate(  # noqa: PLR0913 -- a builder has one keyword for each thing that a test may speak of
    name: str = "mx1",
    state: State = State.UP,
    admin: AdminState = AdminState.READY,
    *,
    weight: int = 1,
    runtime_weight: int | None = None,
    tier: int = 1,
    group: str = "",
    verdict: Verdict = Verdict.UNKNOWN,
    who: str = "",
    reason: str = "",
    percent: int = 100,
    why: str = "",
) -> Candidate:
    """Return a member with what people (`admin`, `runtime_weight`, `who`, `reason`) and probes say of it.

    `percent` and `why` are its portion.
    """
    return Candidate(
        member(name, weight=weight, tier=tier, group=group),
        Admin(admin, runtime_weight, reason, who),
        Health(state, verdict),
        Portion(percent, why),
    )


CLIENT = b"\xc0\x00\x02\x63"
"""192.0.2.99, who asks when a test does not say who does."""
SOA_AND_NS = """
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
"""


def zone(text: str, origin: str = "lb.test") -> Zone:
    """Return the zone of a master file. Without a SOA it gets one (TTL 300, minimum 60), and NS ns with an address."""
    records = dedent(text)
    whole = records if " SOA " in text else SOA_AND_NS + records
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "zone")
        path.write_text(f"$ORIGIN {origin}.\n{whole}\n")
        return master_file.load(path, from_text(origin))


def service(  # noqa: PLR0913 -- a builder has one keyword for each thing that a test may speak of
    name: str = "mx.lb.test",
    kind: ServiceType = ServiceType.ADDRESS,
    of: str = "inbound",
    *,
    zone: str = "lb.test",
    records: int | None = None,
    ttl: int | Ttl = 30,
    preference: Preference = Preference.RANKED,
    view: str = "",
) -> Service:
    """Return a service of the pool `of`; an SRV service names port 587."""
    port = 587 if kind is ServiceType.SRV else 0
    lasting = Ttl(ttl, ttl) if isinstance(ttl, int) else ttl
    return Service(from_text(name), from_text(zone), kind, of, records, lasting, preference, port, view)


def audience(*resolvers: str, **sources: str) -> Audience:
    """Return who is told apart: views with their networks, and the resolvers that are believed."""
    networks = {view: tuple(map(ip_network, listed.split())) for view, listed in sources.items()}
    return Audience(networks, tuple(map(ip_network, resolvers)))


def world(*parts: Zone | Pool | Service | Audience) -> World:
    """Return the world of zones, pools and services, given in any order; without a zone, of a bare lb.test."""
    zones = [part for part in parts if isinstance(part, Zone)] or [zone("")]
    pools = {part.name: part for part in parts if isinstance(part, Pool)}
    told_apart = next((part for part in parts if isinstance(part, Audience)), None)
    return build(zones, pools, [part for part in parts if isinstance(part, Service)], told_apart)


def selections(of: World, candidates: Iterable[Candidate] = ()) -> dict[str, Selection]:
    """Return who is published: the given candidates are what is said of their members, all others are up."""
    said = {candidate.member: candidate for candidate in candidates}
    up = Health(State.UP)
    return {
        name: select(pool, [said.get(one) or Candidate(one, Admin(), up) for one in pool.members], frozenset())
        for name, pool in of.pools.items()
    }


def compiled(of: World, candidates: Iterable[Candidate] = (), serial: int = 1, generation: int = 1) -> Snapshot:
    """Return the snapshot of a world (see `selections` for the candidates), as a worker has it."""
    return made_ready(compile_world(of, Pools(selections(of, candidates), dict.fromkeys(of.zones, serial)), generation))


def snapshot(
    *parts: Zone | Pool | Service | Audience, candidates: Iterable[Candidate] = (), serial: int = 1
) -> Snapshot:
    """Return the snapshot of zones, pools and services."""
    return compiled(world(*parts), candidates, serial)


def question(  # noqa: PLR0913 -- a builder has one keyword for each thing that a test may speak of
    text: str,
    *,
    identity: int = 4711,
    flags: int = 0,
    payload: int | None = None,
    version: int = 0,
    dnssec_ok: bool = False,
    options: Iterable[dns.edns.Option] = (),
) -> bytes:
    """Return the octets of a query: `text` is "NAME TYPE [CLASS]", the case is kept; OPT only with a `payload`."""
    name, rdtype, *rdclass = text.split()
    query = dns.message.QueryMessage(identity)
    query.flags = dns.flags.Flag(flags)
    query.find_rrset(
        query.question,
        dns.name.from_text(name),
        dns.rdataclass.from_text(rdclass[0] if rdclass else "IN"),
        dns.rdatatype.from_text(rdtype),
        create=True,
        force_unique=True,
    )
    if payload is not None:
        flag = dns.flags.DO if dnssec_ok else 0
        query.use_edns(version, flag, payload, options=list(options))
    return query.to_wire()


def decoded(response: bytes) -> dns.message.Message:
    """Return a response that both libraries can read, which has no record twice."""
    message = dns.message.from_wire(response)
    found = [sum(map(len, section)) for section in (message.answer, message.authority, message.additional)]
    found[2] += message.edns >= 0
    assert found == [int.from_bytes(response[at : at + 2], "big") for at in (6, 8, 10)], message
    other = dnslib.DNSRecord.parse(response)
    assert found == [len(other.rr), len(other.auth), len(other.ar)]
    return message


def ask(  # noqa: PLR0913 -- a builder has one keyword for each thing that a test may speak of
    of: Snapshot,
    text: str,
    *,
    turns: Turns | None = None,
    client: bytes = CLIENT,
    stream: bool = False,
    flags: int = 0,
    payload: int | None = None,
    version: int = 0,
    dnssec_ok: bool = False,
    options: Iterable[dns.edns.Option] = (),
) -> dns.message.Message:
    """Ask "NAME TYPE [CLASS]" and return the decoded response (see `question` and `decoded`)."""
    query = question(text, flags=flags, payload=payload, version=version, dnssec_ok=dnssec_ok, options=options)
    response, _ = respond(query, of, turns or Turns(0), client, stream=stream)
    assert response is not None
    return decoded(response)


def lines(section: Iterable[dns.rrset.RRset]) -> list[str]:
    """Return the records of a section as zone-file lines "owner TTL type data", in their order, without the class."""
    return [
        f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {one}" for rrset in section for one in rrset
    ]
