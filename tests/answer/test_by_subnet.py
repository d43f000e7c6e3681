"""What resolvers are answered that say for which network they ask (RFC 7871), and how far they may give it on."""

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import dns.edns
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.answer.cookies import Cookies
from dnslb.answer.responder import respond
from dnslb.answer.service import ServiceType
from dnslb.answer.snapshot import Snapshot
from dnslb.answer.turns import Turns
from dnslb.pool.member import Policy
from dnslb.wire.cookie import make
from tests.conftest import ask, audience, decoded, lines, member, pool, question, service, snapshot, zone

_RESOLVER, _OTHER, _INSIDE = b"\xc0\x00\x02\x35", b"\xcb\x00\x71\x07", b"\x0a\x01\x02\x03"
_INTERNAL = "10.0.0.0/8 172.16.0.0/12 fd00::/8"
_FILE = zone("""
    static A 192.0.2.9
    smtp CNAME mx
    old DNAME @
    down CNAME host
    sub NS ns.sub
    ns.sub A 192.0.2.53
    """)
_OUTER = pool(member("mx1", "192.0.2.1"), member("mx2", "192.0.2.2"), name="outer")
_INNER = pool(member("relay1", "10.0.0.1"), member("relay2", "10.0.0.2", "fd00::2"), name="inner")
_HASHED = pool(*(member(f"h{n}", f"192.0.2.{n}", f"2001:db8::{n}") for n in range(10, 20)), name="hashed")
_HASHED = replace(_HASHED, policy=Policy.SOURCE_HASH)
TABLE = snapshot(
    _FILE,
    _OUTER,
    _INNER,
    _HASHED,
    service(of="outer", records=1),
    service(of="inner", records=1, view="internal"),
    service("lb.test", ServiceType.MX, "outer"),
    service("hash.lb.test", of="hashed", records=1),
    service("both.lb.test", of="hashed", records=1),
    service("both.lb.test", of="inner", records=1, view="internal"),
    audience("192.0.2.53", "2001:db8:53::/48", internal=_INTERNAL),
)
_DIFFERENT = {"mx", "both", "smtp"}
"""The names that clients inside get something else for."""
_WITHOUT_VIEWS = snapshot(
    _FILE,
    _OUTER,
    _HASHED,
    service(of="outer", records=1),
    service("lb.test", ServiceType.MX, "outer"),
    service("hash.lb.test", of="hashed", records=1),
    service("both.lb.test", of="hashed", records=1),
    audience("192.0.2.53", "2001:db8:53::/48"),
)
_UNCOMMON = 1233
"""A payload size that takes the long way, and means the same as 1232."""
_COOKIE = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")


def _asked(
    text: str, subnet: str, *, of: Snapshot = TABLE, client: bytes = _RESOLVER, in_full: bool = False
) -> dns.message.Message:
    address, _, length = subnet.partition("/")
    options = [dns.edns.ECSOption(address, int(length))]
    return ask(of, text, client=client, payload=_UNCOMMON if in_full else 1232, options=options)


def _scope(response: dns.message.Message) -> int | None:
    """Return the scope of the answer, None if it has no such option."""
    for option in response.options:
        if isinstance(option, dns.edns.ECSOption):
            return option.scopelen
    return None


@pytest.mark.parametrize("in_full", [False, True])
@pytest.mark.parametrize(
    ("subnet", "address", "scope"),
    [
        ("10.1.2.0/24", "10.0.0.", 8),
        ("10.0.0.0/8", "10.0.0.", 8),
        ("10.1.2.3/32", "10.0.0.", 8),
        ("172.20.0.0/14", "10.0.0.", 12),
        ("11.0.0.0/24", "192.0.2.", 8),
        ("198.51.100.0/24", "192.0.2.", 2),
        ("fd00:1::/56", "10.0.0.", 8),
        ("2001:db8::/48", "192.0.2.", 1),
        ("172.0.0.0/8", "192.0.2.", 12),
        # Of these networks a view has only a part: clients beside it must not get what is inside.
        ("10.0.0.0/7", "192.0.2.", 8),
        ("fc00::/7", "192.0.2.", 8),
    ],
)
def test_the_network_decides_which_view_it_is(subnet: str, address: str, scope: int, *, in_full: bool) -> None:
    """And the answer says for how large a network it holds: the largest block that is in one view."""
    response = _asked("mx.lb.test A", subnet, in_full=in_full)
    assert all(line.split()[-1].startswith(address) for line in lines(response.answer))
    (option,) = response.options
    assert isinstance(option, dns.edns.ECSOption)
    assert (option.address, option.srclen, option.scopelen) == (
        subnet.partition("/")[0],
        int(subnet.partition("/")[2]),
        scope,
    )


@pytest.mark.parametrize("in_full", [False, True])
@pytest.mark.parametrize(
    ("text", "subnet", "scope"),
    [
        ("static.lb.test A", "10.1.2.0/24", 0),
        ("static.lb.test AAAA", "10.1.2.0/24", 0),
        ("none.lb.test A", "10.1.2.0/24", 0),
        ("lb.test MX", "10.1.2.0/24", 0),
        ("mx1.lb.test A", "10.1.2.0/24", 0),
        ("x.sub.lb.test A", "10.1.2.0/24", 0),
        ("other.test A", "10.1.2.0/24", 0),
        ("down.lb.test A", "10.1.2.0/24", 0),
        ("mx.lb.test MX", "10.1.2.0/24", 0),
        ("smtp.lb.test A", "10.1.2.0/24", 8),
        ("mx.lb.test AAAA", "10.1.2.0/24", 8),
        ("mx.lb.test AAAA", "198.51.100.0/24", 2),
        ("mx.lb.test ANY", "10.1.2.0/24", 8),
        ("hash.lb.test A", "10.1.2.0/24", 24),
        ("hash.lb.test A", "10.1.2.3/32", 24),
        ("hash.lb.test A", "10.0.0.0/8", 24),
        ("hash.lb.test AAAA", "2001:db8::/48", 56),
        ("both.lb.test A", "198.51.100.0/24", 24),
        ("both.lb.test A", "10.1.2.0/24", 8),
    ],
)
def test_the_scope_is_what_the_answer_depends_on(text: str, subnet: str, scope: int, *, in_full: bool) -> None:
    """Nothing, where no view and no network plays a part: static data, denials, referrals, and services of one pool."""
    assert _scope(_asked(text, subnet, in_full=in_full)) == scope


def test_the_network_decides_what_source_hash_leads_it_to() -> None:
    """The client's, and not the resolver's: as if that client had asked itself."""
    for subnet in ("198.51.100.0/24", "203.0.113.0/24", "10.9.8.0/24", "2001:db8:7::/56"):
        client = ip_address(subnet.partition("/")[0]).packed
        assert _asked("hash.lb.test A", subnet).answer == ask(TABLE, "hash.lb.test A", client=client).answer


def test_the_turn_is_the_resolvers_own() -> None:
    """Whatever networks it asks for, it goes round the ring of their view by itself."""
    one, several = Turns(0), Turns(0)
    for number in range(4):
        again = question("mx.lb.test A", payload=1232, options=[dns.edns.ECSOption("10.0.0.0", 24)])
        other = question("mx.lb.test A", payload=1232, options=[dns.edns.ECSOption(f"10.{number}.0.0", 24)])
        first, second = respond(again, TABLE, one, _RESOLVER)[0], respond(other, TABLE, several, _RESOLVER)[0]
        assert first is not None
        assert second is not None
        assert decoded(first).answer == decoded(second).answer


@pytest.mark.parametrize("subnet", ["10.1.2.0/24", "::/0"])
@pytest.mark.parametrize("in_full", [False, True])
def test_others_are_not_believed(subnet: str, *, in_full: bool) -> None:
    """They get the answer of their own address, without the option; what is wrong with it does not matter."""
    response = _asked("mx.lb.test A", subnet, client=_OTHER, in_full=in_full)
    assert response.options == ()
    assert lines(response.answer)[0].split()[-1].startswith("192.0.2.")
    assert lines(_asked("mx.lb.test A", subnet, client=_INSIDE).answer)[0].split()[-1].startswith("10.0.0.")
    nobody = snapshot(
        _OUTER, _INNER, service(of="outer"), service(of="inner", view="internal"), audience(internal="10.0.0.0/8")
    )
    assert _asked("mx.lb.test A", subnet, of=nobody).options == ()


@pytest.mark.parametrize("in_full", [False, True])
def test_a_resolver_that_says_nothing_is_itself_the_client(*, in_full: bool) -> None:
    """The scope is 0: it may give the answer to all of whom it says nothing (section 7.1.2)."""
    inside = snapshot(
        _OUTER,
        _INNER,
        service(of="outer"),
        service(of="inner", view="internal"),
        audience("10.1.2.3", internal="10.0.0.0/8"),
    )
    for family in (b"\0\0", b"\0\x01", b"\0\x02"):
        option = dns.edns.GenericOption(dns.edns.OptionType.ECS, family + b"\0\0")
        query = question("mx.lb.test A", payload=_UNCOMMON if in_full else 1232, options=[option])
        response, _ = respond(query, inside, Turns(0), _INSIDE)
        assert response is not None
        assert response.endswith(b"\0\0\0\0\0\x08\0\x08\0\x04" + family + b"\0\0")
        assert b"\0\x04\x0a\0\0" in response  # the address of an inner relay


@pytest.mark.parametrize("payload", [1232, _UNCOMMON])
@pytest.mark.parametrize("text", ["mx.lb.test A", "hash.lb.test A", "static.lb.test AAAA", "none.lb.test A"])
def test_other_options_make_no_difference(text: str, payload: int) -> None:
    """Whether a believed resolver sends a cookie before or behind the network that it asks for, or instead of it."""
    subnet = dns.edns.ECSOption("10.1.2.0", 24)
    several: list[list[list[dns.edns.Option]]] = [[[subnet], [subnet, _COOKIE], [_COOKIE, subnet]], [[], [_COOKIE]]]
    for alike in several:
        responses = [ask(TABLE, text, client=_RESOLVER, payload=payload, options=options) for options in alike]
        assert len({response.to_wire()[2:] for response in responses}) == 1


_MALFORMED = [
    b"",
    b"\0\x01\x18\0\xc0\0",
    b"\0\x01\x18\x18\xc0\0\x02",
    b"\0\x09\x18\0\xc0\0\x02",
    b"\0\x01\x17\0\xc0\0\x03",
]


@pytest.mark.parametrize("data", _MALFORMED)
def test_what_is_malformed_is_refused(data: bytes) -> None:
    """FORMERR (section 7.1.2), but to those only whose word counts: nobody else has to know of this option."""
    options = [dns.edns.GenericOption(dns.edns.OptionType.ECS, data)]
    query = question("mx.lb.test A", payload=1232, options=options)
    response, _ = respond(query, TABLE, Turns(0), _RESOLVER)
    assert response is not None
    refused = decoded(response)
    # With an OPT record, lest the resolver think that there is no EDNS here (RFC 6891 section 7).
    assert (refused.rcode(), refused.edns, refused.options) == (dns.rcode.FORMERR, 0, ())
    assert ask(TABLE, "mx.lb.test A", client=_OTHER, payload=1232, options=options).rcode() == dns.rcode.NOERROR
    # Of a later version of EDNS nothing is known.
    assert (
        ask(TABLE, "mx.lb.test A", client=_RESOLVER, payload=1232, version=1, options=options).rcode()
        == dns.rcode.BADVERS
    )


def test_a_resolver_of_the_other_family_is_believed() -> None:
    """Which family it comes by says nothing of its client's."""
    client = ip_address("2001:db8:53::1").packed
    assert _scope(_asked("mx.lb.test A", "10.1.2.0/24", client=client)) == 8
    assert _asked("mx.lb.test A", "10.1.2.0/24", client=ip_address("2001:db8:54::1").packed).options == ()


_OPTION_SIZE = 11
_MANY = snapshot(
    pool(*(member(f"m{n}", f"192.0.2.{n}") for n in range(1, 31))),
    service(records=None),
    service("lb.test", ServiceType.MX),
    audience("192.0.2.53", internal="10.0.0.0/8"),
)


@pytest.mark.parametrize("in_full", [False, True])
@pytest.mark.parametrize("text", ["mx.lb.test A", "lb.test MX"])
def test_the_option_counts_in_the_size(text: str, *, in_full: bool) -> None:
    """What does not fit is what would not fit into so many octets less without it; over TCP all does."""
    options: list[dns.edns.Option] = [dns.edns.ECSOption("10.1.2.0", 24), *([_COOKIE] if in_full else [])]
    for payload in (*range(512 + _OPTION_SIZE, 700), *range(1100, 1233)):
        octets, _ = respond(question(text, payload=payload, options=options), _MANY, Turns(0), _RESOLVER)
        assert octets is not None
        response, bare = decoded(octets), ask(_MANY, text, payload=payload - _OPTION_SIZE)
        assert len(octets) <= payload
        assert (response.flags, response.answer, response.additional) == (bare.flags, bare.answer, bare.additional)
        assert _scope(response) == 0
    small, _ = respond(question(text, payload=512, options=options), _MANY, Turns(0), _RESOLVER)
    whole, _ = respond(question(text, payload=512, options=options), _MANY, Turns(0), _RESOLVER, stream=True)
    assert small is not None
    assert whole is not None
    assert (len(small) <= 512, len(lines(decoded(whole).answer))) == (True, 30)


def _is_partly_inside(asked: IPv4Network | IPv6Network) -> bool:
    """Return whether some addresses of the network are in the view, and some are not."""
    around = [network for text in _INTERNAL.split() if (network := ip_network(text)).version == asked.version]
    return any(asked.overlaps(network) and asked.prefixlen < network.prefixlen for network in around)


_ADDRESSES = st.one_of(
    st.ip_addresses(v=4),
    st.ip_addresses(v=6),
    st.ip_addresses(network="10.0.0.0/7"),
    st.ip_addresses(network="172.0.0.0/10"),
)


@given(
    st.sampled_from(
        [
            "mx.lb.test A",
            "mx.lb.test AAAA",
            "hash.lb.test A",
            "both.lb.test AAAA",
            "both.lb.test A",
            "smtp.lb.test A",
            "static.lb.test A",
        ]
    ),
    _ADDRESSES,
    st.data(),
)
def test_all_of_the_scope_get_the_same(text: str, address: object, data: st.DataObject) -> None:
    """Any address in the network that the answer is said to hold for is answered alike, by both ways.

    Where a view has only a part of what was asked for, the answer is that without views, and said to be too coarse.
    """
    network = ip_network(str(address))
    length = data.draw(st.integers(1, network.max_prefixlen))
    asked = network.supernet(new_prefix=length)
    response = _asked(text, str(asked))
    scope = _scope(response)
    assert scope is not None
    if _is_partly_inside(asked) and text.partition(".")[0] in _DIFFERENT:
        assert (response.answer, scope > length) == (_asked(text, str(asked), of=_WITHOUT_VIEWS).answer, True)
        return
    holds = ip_network(f"{asked.network_address}/{scope}", strict=False)
    other = data.draw(st.ip_addresses(network=holds))
    for in_full in (False, True):
        again = _asked(text, f"{other}/{network.max_prefixlen}", in_full=in_full)
        assert (again.answer, _scope(again)) == (response.answer, scope)


@pytest.mark.parametrize("text", ["mx.lb.test A", "hash.lb.test A", "no.lb.test A"])
def test_a_right_cookie_does_not_hide_for_whom_it_is(text: str) -> None:
    """What is remembered of a cookie has no network: a resolver that asks again is answered as the first time."""
    cookies = Cookies((bytes(16),), 1_700_000_000)
    right = make(b"12345678", _RESOLVER, bytes(16), 1_700_000_000)
    options = [dns.edns.ECSOption("10.1.2.0", 24), dns.edns.CookieOption(right[:8], right[8:])]
    asked = question(text, payload=1232, options=options)
    first, again = (decoded(respond(asked, TABLE, Turns(0), _RESOLVER, cookies)[0] or b"") for _ in range(2))
    assert _scope(first) is not None
    assert again == first
    assert again.options == first.options


@pytest.mark.parametrize("subnet", ["10.1.0.0/16", "198.51.100.0/24"])
@pytest.mark.parametrize("name", ["mx", "smtp", "hash"])
def test_a_name_below_a_dname_depends_on_as_much_as_the_one_that_it_leads_to(name: str, subnet: str) -> None:
    """The scope is that of the data, though the alias before it is the same for all."""
    direct, behind = _asked(f"{name}.lb.test A", subnet), _asked(f"{name}.old.lb.test A", subnet)
    assert _scope(behind) == _scope(direct)
    assert lines(behind.answer)[:1] == ["old.lb.test. 300 DNAME lb.test."]
