"""What mail servers and applications do with an answer: whom they try first, how many they try, and where that is from.

Each rule was read in the program's source or documentation, or measured, as its `source` says. Between an answer and a
client stands a resolver that rotates or shuffles what has equal standing (unbound, BIND, dnsmasq, systemd-resolved:
measured), so "the first in the list" is any of them, each as often as the others.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, IPv6Network, ip_interface
from types import MappingProxyType

from dnslb.answer.offers import Host, Offer, Place
from dnslb.answer.service import ServiceType
from dnslb.pool.member import Address

Client = IPv4Interface | IPv6Interface
"""A client's address with the length of its subnet's prefix."""

_SUBNETS = {4: 24, 6: 64}
"""The prefix of a client's subnet, by IP version, if it is not said."""
_ULA = IPv6Network("fc00::/7")
_ADDRESS, _MX, _SRV = ServiceType.ADDRESS, ServiceType.MX, ServiceType.SRV

_Draw = Sequence[tuple[str, int]]
"""Members of which one is tried first, each with the chance that its number has among all of them."""


@dataclass(frozen=True, slots=True)
class Sender:
    """One program's rules.

    `order` says, for each type of service that it looks up, in which order it tries what it finds; `then` what it does
    when that fails. `limit` is the number of addresses that it tries at most for one message, None for all. `first`
    draws from the hosts of the best preference.
    """

    title: str
    order: Mapping[ServiceType, str]
    then: str
    limit: int | None
    source: str
    first: Callable[[ServiceType, Sequence[Host], Client | None], _Draw]
    sorts: bool = False
    """Whether the resolver library sorts the addresses, with an eye to those of the client (RFC 6724)."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a program does with the answers of a service.

    `first` is each member's chance to be tried first. `tries` is the number of addresses of an answer that are tried at
    most, of `addresses` in it. `note` is a sentence on what an operator would not expect, "" if there is nothing.
    """

    first: Mapping[str, Fraction]
    tries: int
    addresses: int
    note: str


def client_of(text: str) -> Client:
    """Return a client by its ADDRESS or ADDRESS/PREFIX; its subnet is a /24 or /64 if it is not said.

    Raise ValueError for what is no address.
    """
    try:
        found = ip_interface(text)
    except ValueError:
        raise ValueError(f"{text!r} is no address: write for example 192.0.2.7 or 192.0.2.7/26") from None
    return found if "/" in text else ip_interface(f"{text}/{_SUBNETS[found.version]}")


def behaviour(sender: Sender, kind: ServiceType, offered: Sequence[Offer], client: Client | None) -> Behaviour:
    """Return what a sender does with what a service of this type offers."""
    if kind not in sender.order:
        return Behaviour({}, 0, 0, "")
    only_ipv4 = sender.sorts and isinstance(client, IPv4Interface)
    reached = max((offer.ipv4 if only_ipv4 else offer.ipv4 + offer.ipv6 for offer in offered), default=0)
    return Behaviour(
        first=_chances([(sender.first(kind, offer.best, client), offer.times) for offer in offered]),
        tries=reached if sender.limit is None else min(sender.limit, reached),
        addresses=max((offer.ipv4 + offer.ipv6 for offer in offered), default=0),
        note=_note(offered, client) if sender.sorts and kind is _ADDRESS else "",
    )


def _chances(draws: Sequence[tuple[_Draw, int]]) -> dict[str, Fraction]:
    """Return each member's chance to be drawn, in any of the draws, which come so many times each."""
    # Fractions are slow, and a ring has few different ones.
    drawn = Counter[tuple[str, int, int]]()
    for draw, times in draws:
        total = sum(weight for _, weight in draw)
        for member, weight in draw:
            drawn[member, weight, total] += times
    whole = sum(times for _, times in draws)
    chances: dict[str, Fraction] = {}
    for (member, weight, total), times in drawn.items():
        chances[member] = chances.get(member, Fraction(0)) + Fraction(times * weight, total * whole)
    return chances


def _places(hosts: Iterable[Host]) -> list[Place]:
    return [place for host in hosts for place in host.places]


def _each_place(hosts: Iterable[Host]) -> _Draw:
    return [(place.member, 1) for host in hosts for place in host.places]


def _each_host(hosts: Iterable[Host]) -> _Draw:
    return [(host.places[0].member, 1) for host in hosts if host.places]


def _by_weight(hosts: Iterable[Host]) -> _Draw:
    """Draw a host as RFC 2782 says."""
    return [(host.places[0].member, host.weight) for host in hosts if host.places]


def _postfix(kind: ServiceType, best: Sequence[Host], _client: Client | None) -> _Draw:
    return _by_weight(best) if kind is _SRV else _each_place(best)


def _exim(kind: ServiceType, best: Sequence[Host], _client: Client | None) -> _Draw:
    if kind is _SRV:
        return _by_weight(best)
    with_ipv6 = [Host(places) for host in best if (places := tuple(filter(_is_ipv6, host.places)))]
    return _each_place(with_ipv6 or best) if kind is _ADDRESS else _each_host(with_ipv6 or best)


def _opensmtpd(kind: ServiceType, best: Sequence[Host], client: Client | None) -> _Draw:
    return _each_host(best) if kind is _MX else _getaddrinfo(kind, best, client)


def _getaddrinfo(_kind: ServiceType, best: Sequence[Host], client: Client | None) -> _Draw:
    places = _reachable(_places(best), client)
    standings = [_standing(place.address, client) for place in places]
    nearest = max(standings, default=(0, 0))
    return [(place.member, 1) for place, standing in zip(places, standings, strict=True) if standing == nearest]


# RFC 6724, as glibc has it


def _is_ipv6(place: Place) -> bool:
    return isinstance(place.address, IPv6Address)


def _reachable(places: Sequence[Place], client: Client | None) -> Sequence[Place]:
    """Return what a client can reach: one that is given by an IPv4 address is taken to have no other."""
    only_ipv4 = isinstance(client, IPv4Interface)
    return [place for place in places if not (only_ipv4 and _is_ipv6(place))]


def _standing(address: Address, client: Client | None) -> tuple[int, int]:
    """Return how far ahead an address is sorted: its precedence (section 2.1) and its closeness (section 6, rule 9)."""
    if not isinstance(address, IPv6Address):
        return 35, _closeness(address, client)
    foreign = address in _ULA and not (isinstance(client, IPv6Interface) and client.ip in _ULA)
    return 3 if foreign else 40, _closeness(address, client)


def _closeness(address: Address, client: Client | None) -> int:
    """Return the bits that an address shares with the client's; those of IPv4 count within its subnet only.

    Outside of the subnet they "make no sense" (glibc, nss/getaddrinfo.c).
    """
    if client is None or address.version != client.version:
        return 0
    if isinstance(client, IPv4Interface) and address not in client.network:
        return 0
    return address.max_prefixlen - (int(address) ^ int(client.ip)).bit_length()


def _note(offered: Iterable[Offer], client: Client | None) -> str:
    """Return what an operator should know of how a client sorts the addresses of one name."""
    places = {place for offer in offered for place in _reachable(_places(offer.best), client)}
    standings = {place: _standing(place.address, client) for place in places}
    best = max((precedence for precedence, _ in standings.values()), default=0)
    different = len({closeness for precedence, closeness in standings.values() if precedence == best}) > 1
    if client is not None and different and len({place.member for place in places}) > 1:
        return (
            f"closeness to {client.ip} decides, not the weights: this client takes the same member whenever an answer"
            " holds it; only records = 1 balances here"
        )
    if client is None and len({int(place.address) >> 64 for place in places if _is_ipv6(place)}) > 1:
        return "of IPv6 addresses in several networks, that nearest to the client comes first: see --client"
    return ""


# The programs

SENDERS: Mapping[str, Sender] = MappingProxyType(
    {
        "postfix": Sender(
            "Postfix",
            {
                _ADDRESS: "shuffles all addresses, IPv4 and IPv6 together",
                _MX: "goes by preference; shuffles all addresses of the hosts of one preference",
                _SRV: "with use_srv_lookup (3.8 or later): goes by priority and weight",
            },
            "goes on after a failed connection, a 4xx or a bad greeting, to at most 5 addresses and 2 SMTP sessions,"
            " and then defers the message; if none could be reached, it leaves the destination alone for 300 s",
            5,
            "Postfix smtp_addr.c:669-681, smtp_connect.c:1184,1280; postconf: smtp_mx_address_limit,"
            " smtp_mx_session_limit, minimal_backoff_time",
            _postfix,
        ),
        "exim": Sender(
            "Exim",
            {
                _ADDRESS: "shuffles the addresses, IPv6 before IPv4",
                _MX: "goes by preference; shuffles the hosts of one preference, and puts IPv6 before IPv4 among them",
                _SRV: "with check_srv: goes by priority and weight",
            },
            "tries at most 5 addresses, remembers each that failed until its retry time, and goes on to the others",
            5,
            "Exim host.c:2395,2797,3110-3135; options hosts_max_try, retry_include_ip_address",
            _exim,
        ),
        "opensmtpd": Sender(
            "OpenSMTPD",
            {
                _ADDRESS: "takes the address with the fewest connections of its own, the first as getaddrinfo sorts",
                _MX: "stays with the best preference while one of its hosts works; of these it takes the one with the"
                " fewest connections of its own, the first as the answer has them",
            },
            "goes on to the others, and tries a route that failed again after 15 s, later each time; it keeps the list"
            " of MX hosts as long as there is mail for them, whatever the TTL",
            None,
            "OpenSMTPD mta.c:1503,1633-1663,1744",
            _opensmtpd,
            sorts=True,
        ),
        "getaddrinfo": Sender(
            "getaddrinfo client",
            {
                _ADDRESS: "takes the addresses as glibc sorts them: IPv6 before IPv4, and those nearest to the client"
                " first: by all bits with IPv6, within its own subnet with IPv4"
            },
            "most (Python smtplib, PHP, .NET) go on to the next address when a connection fails, but not after a bad"
            " greeting; JavaMail tries the first address only",
            None,
            "RFC 6724; glibc nss/getaddrinfo.c; measured with glibc, Node and Java; JavaMail SocketFetcher",
            _getaddrinfo,
            sorts=True,
        ),
    }
)
