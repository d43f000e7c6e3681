"""The tables of the configuration file (pydantic). A field's description is what an error says was expected."""

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from dnslb.answer.service import DEFAULT_TTL, Preference, ServiceType, Ttl
from dnslb.config import values
from dnslb.config.settings import Endpoint
from dnslb.pool.member import AllDown, Policy
from dnslb.probe.recipe import Kind, StartTls, Verify
from dnslb.store import EventKind

Address: TypeAlias = Annotated[IPv4Address | IPv6Address, PlainValidator(values.address)]
Network: TypeAlias = Annotated[IPv4Network | IPv6Network, PlainValidator(values.network)]
ListenEndpoint: TypeAlias = Annotated[Endpoint, PlainValidator(values.endpoint)]
HttpEndpoint: TypeAlias = Annotated[Endpoint | None, PlainValidator(values.http_endpoint)]
Cpu: TypeAlias = Annotated[int, PlainValidator(values.cpu)]
Workers: TypeAlias = Annotated[int | None, PlainValidator(values.workers)]
FilePath: TypeAlias = Annotated[str, PlainValidator(values.path)]
Duration: TypeAlias = Annotated[float, PlainValidator(values.duration)]
DurationOrNone: TypeAlias = Annotated[float, PlainValidator(values.duration_or_none)]
Retention: TypeAlias = Annotated[float, PlainValidator(values.retention)]
Label: TypeAlias = Annotated[str, PlainValidator(values.label)]
Told: TypeAlias = Annotated[str, PlainValidator(values.told)]
Group: TypeAlias = Annotated[str, PlainValidator(values.group)]
Host: TypeAlias = Annotated[str, PlainValidator(values.host)]
Ehlo: TypeAlias = Annotated[str, PlainValidator(values.ehlo)]
Mailbox: TypeAlias = Annotated[str, PlainValidator(values.mailbox)]
Keyword: TypeAlias = Annotated[str, PlainValidator(values.keyword)]
TierMin: TypeAlias = Annotated[float, PlainValidator(values.tier_min)]
Records: TypeAlias = Annotated[int | None, PlainValidator(values.records)]
Url: TypeAlias = Annotated[str, PlainValidator(values.url)]
Words: TypeAlias = Annotated[list[str], PlainValidator(values.words)]
Seconds: TypeAlias = Annotated[int, PlainValidator(values.seconds)]
TtlValue: TypeAlias = Annotated[Ttl, PlainValidator(values.ttl)]
Companion: TypeAlias = Annotated[ServiceType, PlainValidator(values.companion)]
_PORT = "a port from 1 to 65535"


class Table(BaseModel):
    """What all tables have in common: no unknown key, no conversion between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class RateLimitTable(Table):
    """[server.rate_limit]."""

    per_second: int = Field(default=200, ge=0, le=1_000_000, description="a number of responses up to 1000000, or 0")
    slip: int = Field(default=2, ge=0, le=100, description="a number up to 100, or 0")
    exempt: list[Network] = Field(
        default=[IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")], description="a list of networks"
    )


class ServerTable(Table):
    """[server]."""

    listen: list[ListenEndpoint] = Field(
        default=[Endpoint(IPv4Address("127.0.0.1"), 5300), Endpoint(IPv6Address("::1"), 5300)],
        min_length=1,
        description='a list of "address:port"',
    )
    workers: Workers = None
    cpus: list[Cpu] = Field(default=[], description="a list of numbers of CPUs")
    state: FilePath = "state"
    control: FilePath | None = None
    http: HttpEndpoint = Endpoint(IPv4Address("127.0.0.1"), 8053)
    tokens: FilePath | None = None
    ecs_resolvers: list[Network] = Field(default=[], description="a list of networks")
    identity: Told = ""
    version: Told = ""
    cookie_secrets: FilePath | None = None
    event_retention: Retention = 90 * 86400.0
    rate_limit: RateLimitTable = Field(default=RateLimitTable(), description="a table, [server.rate_limit]")


class ZoneTable(Table):
    """[zone."lb.example.org"]."""

    file: FilePath = Field(description="the path of the zone's master file")


class AuthTable(Table):
    """The auth of a probe."""

    user: str = Field(pattern=r"^[^\x00-\x1f\x7f]+$", description="a user name")
    password_file: FilePath = Field(description="the path of a file with the password")


class ProbeTable(Table):
    """[probe.NAME]."""

    kind: Annotated[Kind, PlainValidator(values.one_of(Kind))] = Field(
        description="one of smtp, submission, smtps, lmtp, tcp"
    )
    port: int | None = Field(default=None, ge=1, le=65535, description=_PORT)
    interval: Duration = 10.0
    timeout: Duration = 10.0
    rise: int = Field(default=2, ge=1, le=1000, description="a number of probes from 1 to 1000")
    fall: int = Field(default=3, ge=1, le=1000, description="a number of probes from 1 to 1000")
    ehlo: Ehlo | None = None
    source: list[Address] = Field(default=[], description="a list of local addresses, at most one per family")
    starttls: Annotated[StartTls, PlainValidator(values.one_of(StartTls))] = StartTls.OPPORTUNISTIC
    verify: Annotated[Verify, PlainValidator(values.one_of(Verify))] = Verify.NONE
    rcpt_to: Mailbox = ""
    mail_from: Mailbox = ""
    ca_file: FilePath | None = None
    capabilities: list[Keyword] = Field(default=[], description="a list of EHLO keywords")
    proxy: bool = Field(default=False, description="true or false")
    auth: AuthTable | None = Field(default=None, description='{ user = "...", password_file = "..." }')
    tls_interval: Duration = 60.0
    certificate_interval: Duration = 900.0
    recipient_interval: Duration = 60.0
    auth_interval: Duration = 300.0


class PoolTable(Table):
    """[pool.NAME], without its members."""

    probe: str = Field(description="the name of a probe")
    policy: Annotated[Policy, PlainValidator(values.one_of(Policy))] = Policy.WEIGHTED
    all_down: Annotated[AllDown, PlainValidator(values.one_of(AllDown))] = AllDown.SERVE_ALL
    min_healthy: float = Field(default=0.0, ge=0, le=1, description="a fraction from 0 to 1")
    slow_start: DurationOrNone = 120.0
    client_reuse: DurationOrNone = 300.0
    tier_min: TierMin = 1
    member: Any = Field(default=None, description="an array of tables, [[pool.NAME.member]]")


class NotifyTable(Table):
    """[[notify]]."""

    url: Url = ""
    command: Words = []
    kinds: list[Annotated[EventKind, PlainValidator(values.one_of(EventKind))]] = Field(
        default=[kind for kind in EventKind if kind not in {EventKind.START, EventKind.STOP, EventKind.PROBE}],
        min_length=1,
        description="a list of at least one kind of events",
    )
    pools: list[str] = Field(default=[], min_length=1, description="a list of at least one pool's name")
    timeout: Duration = 10.0
    bearer_file: FilePath | None = None
    ca_file: FilePath | None = None


class ViewTable(Table):
    """[view.NAME]."""

    sources: list[Network] = Field(min_length=1, description="a list of at least one network")


class MemberTable(Table):
    """[[pool.NAME.member]]."""

    name: Label = Field(description="the member's name")
    addresses: list[Address] = Field(min_length=1, description="a list of at least one IPv4 or IPv6 address")
    weight: int = Field(default=1, ge=0, le=65535, description="a weight from 0 to 65535")
    tier: int = Field(default=1, ge=1, le=65535, description="a tier from 1 (best) to 65535")
    host: Host = ""
    group: Group = ""
    view_addresses: dict[str, Annotated[list[Address], Field(min_length=1)]] = Field(
        default={}, description="{ VIEW = [...] }, each a list of at least one IPv4 or IPv6 address"
    )
    port: int | None = Field(default=None, ge=1, le=65535, description=_PORT)


class ServiceTable(Table):
    """[[service]]."""

    name: str = Field(description="a domain name in one of the zones")
    type: Annotated[ServiceType, PlainValidator(values.service_type)] = Field(
        description="one of address, MX, SRV, SPF"
    )
    pool: str = Field(description="the name of a pool")
    records: Records = None
    ttl: TtlValue = DEFAULT_TTL
    preference: Annotated[Preference, PlainValidator(values.one_of(Preference))] = Preference.RANKED
    port: int | None = Field(default=None, ge=1, le=65535, description=_PORT)
    companions: list[Companion] = Field(default=[], alias="with", description='a list of "MX" and "SRV"')
    views: list[str] = Field(default=[], min_length=1, description="a list of at least one view's name")


class Rest(StrEnum):
    """What an SPF record says of all other addresses (RFC 7208 section 8)."""

    SOFTFAIL = "~all"
    FAIL = "-all"


class SpfTable(Table):
    """[[service]] with type = "SPF"."""

    name: Host = Field(description="a domain name in one of the zones")
    type: Literal["SPF"]
    pool: str = Field(description="the name of a pool")
    ttl: Seconds = 300
    rest: Annotated[Rest, PlainValidator(values.one_of(Rest))] = Field(default=Rest.SOFTFAIL, alias="all")
