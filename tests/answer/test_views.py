"""Which view an address is in, and how far around it that holds."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.answer.lookup import look_at
from dnslb.answer.snapshot import Rotation
from dnslb.answer.views import Audience, Leaf, Network, Views, views_of

Sources = dict[str, tuple[Network, ...]]
_HOME = "2001:db8::"
_ANSWER = Rotation(b"", 0, (), b"")


def _sources(**texts: str) -> Sources:
    return {view: tuple(map(ip_network, networks.split())) for view, networks in texts.items()}


def _find(views: Views, address: str) -> Leaf:
    return views.find(ip_address(address).packed)


def _find_network(views: Views, network: Network) -> Leaf:
    """Return the view whose answer is given for a network, and for how many bits of it."""
    apart = {view: _ANSWER._replace(key=view.encode()) for view in ("internal", "dmz", "a", "b", "c")}
    seen, bits = look_at(_ANSWER._replace(views=apart), views, network.network_address.packed, network.prefixlen)
    assert seen is not None
    return Leaf(seen.key.decode(), bits)


def test_without_views_all_addresses_are_alike() -> None:
    """Nobody is in a view, and no bit of an address matters."""
    assert views_of({}) == Views()
    assert {_find(Views(), address) for address in ("0.0.0.1", "192.0.2.1", "::", "2001:db8::1")} == {Leaf("", 0)}
    assert Views().reached == {""}


@pytest.mark.parametrize(
    ("address", "leaf"),
    [
        ("10.0.0.1", Leaf("internal", 9)),
        ("10.128.0.1", Leaf("internal", 10)),
        ("10.200.0.0", Leaf("dmz", 16)),
        ("10.200.255.255", Leaf("dmz", 16)),
        ("10.201.0.0", Leaf("internal", 16)),
        ("11.0.0.0", Leaf("", 8)),
        ("9.255.255.255", Leaf("", 7)),
        ("192.0.2.1", Leaf("", 1)),
        ("2001:db8::1", Leaf("internal", 32)),
        ("2001:db9::1", Leaf("", 32)),
        ("::", Leaf("", 3)),
    ],
)
def test_the_longest_prefix_wins(address: str, leaf: Leaf) -> None:
    """A network inside another one is an exception to it, and the leaves say exactly how far each holds."""
    views = views_of(_sources(internal="10.0.0.0/8 2001:db8::/32", dmz="10.200.0.0/16"))
    assert _find(views, address) == leaf


def test_neighbours_of_one_view_are_one_leaf() -> None:
    """Two halves of one network say no more than the network does, and neither does a part of it."""
    whole = views_of(_sources(internal="10.0.0.0/8")).v4_leaves
    assert views_of(_sources(internal="10.0.0.0/9 10.128.0.0/9")).v4_leaves == whole
    assert views_of(_sources(internal="10.0.0.0/8 10.3.0.0/16 10.128.0.7/32")).v4_leaves == whole


def test_all_addresses_may_be_in_views() -> None:
    """Then nobody is left for the answers that are for all others."""
    assert views_of(_sources(all="0.0.0.0/0")).reached == {"", "all"}
    assert views_of(_sources(all="0.0.0.0/0 ::/0")).reached == {"all"}
    assert views_of(_sources(low="0.0.0.0/1 ::/1", high="128.0.0.0/1 8000::/1")).reached == {"low", "high"}


def test_a_view_whose_networks_are_all_of_others_is_reached_by_nobody() -> None:
    """That is how a check can find it."""
    views = views_of(_sources(covered="192.0.2.0/24", low="192.0.2.0/25", high="192.0.2.128/25"))
    assert views.reached == {"", "low", "high"}


@pytest.mark.parametrize(
    ("network", "leaf"),
    [
        ("10.0.0.0/7", Leaf("", 9)),
        ("10.0.0.0/8", Leaf("internal", 9)),
        ("10.128.0.0/9", Leaf("internal", 10)),
        ("10.200.0.0/15", Leaf("internal", 16)),
        ("10.200.0.0/16", Leaf("dmz", 16)),
        ("10.200.7.0/24", Leaf("dmz", 16)),
        ("0.0.0.0/1", Leaf("", 5)),
        ("2001:d00::/24", Leaf("", 25)),
        ("2001:db8::/32", Leaf("internal", 32)),
    ],
)
def test_a_source_that_holds_only_a_part_decides_nothing(network: str, leaf: Leaf) -> None:
    """A resolver may ask for more than one view's clients at once: those beside the view must not get its answers."""
    views = views_of(_sources(internal="10.0.0.0/8 2001:db8::/32", dmz="10.200.0.0/16"))
    asked = ip_network(network)
    assert _find_network(views, asked) == leaf


def test_a_client_without_an_address_is_in_no_view() -> None:
    """Such is a TCP peer that had gone before it could be asked for its name."""
    assert views_of(_sources(all="0.0.0.0/0 ::/0")).find(b"") == Leaf("", 0)


def test_the_source_that_decides_can_be_named() -> None:
    """It is the longest one that holds the address, whatever the leaves are."""
    audience = Audience(_sources(internal="10.0.0.0/8", dmz="10.200.0.0/16"))
    assert audience.source_of(ip_address("10.200.0.1")) == ("dmz", ip_network("10.200.0.0/16"))
    assert audience.source_of(ip_address("10.0.0.1")) == ("internal", ip_network("10.0.0.0/8"))
    assert audience.source_of(ip_address("192.0.2.1")) is None
    assert audience.source_of(ip_address("::10.0.0.1")) is None


# Few bits, so that networks meet; the others are those of two addresses of which nothing else is known.


def _v4(value: int, length: int) -> Network:
    return ip_network((value << 24 & 0xFFFFFFFF << 32 - length, length))


def _v6(value: int, length: int) -> Network:
    return IPv6Network((int(IPv6Address(_HOME)) + (value << 64 & 0xFF << 72 - length), 56 + length))


@st.composite
def _any_sources(draw: st.DrawFn) -> Sources:
    octets, lengths = st.integers(0, 255), st.integers(0, 8)
    networks = st.builds(_v4, octets, lengths) | st.builds(_v6, octets, lengths)
    owned = draw(st.dictionaries(networks, st.sampled_from("abc"), max_size=12))
    return {view: tuple(network for network, owner in owned.items() if owner == view) for view in "abc"}


def _naive(sources: Sources, address: IPv4Address | IPv6Address) -> str:
    found = Audience(sources).source_of(address)
    return "" if found is None else found[0]


def _block(begin: bytes, length: int) -> Network:
    return ip_network(f"{ip_address(begin)}/{length}")


@given(_any_sources())
def test_the_table_finds_what_a_look_at_every_source_finds(sources: Sources) -> None:
    """Of all addresses that can tell, and at both ends of each: the longest prefix decides."""
    views = views_of(sources)
    for value in range(256):
        network = _v6(value, 8)
        for address in (
            *(ip_address(value << 24 | low) for low in (0, 0xFFFFFF)),
            network.network_address,
            network.broadcast_address,
        ):
            assert views.find(address.packed).view == _naive(sources, address)


@given(_any_sources())
def test_a_leaf_is_sound_and_as_large_as_it_can_be(sources: Sources) -> None:
    """Every address in it gets the view of all the others, and in the block of twice its size some does not."""
    views = views_of(sources)
    for begins, leaves in ((views.v4_begins, views.v4_leaves), (views.v6_begins, views.v6_leaves)):
        for begin, leaf in zip(begins, leaves, strict=True):
            block = _block(begin, leaf.length)
            assert {views.find(end.packed) for end in (block[0], block[-1])} == {leaf}
            if leaf.length:
                around = block.supernet()
                inside = [
                    other.view
                    for there, other in zip(begins, leaves, strict=True)
                    if around[0].packed <= there <= around[-1].packed
                ]
                assert set(inside) != {leaf.view}


@given(_any_sources())
def test_a_network_is_in_the_view_of_all_its_addresses_or_of_the_longest_source_around_it(sources: Sources) -> None:
    """As far as a resolver's word goes, and no farther."""
    views = views_of(sources)
    for length in range(9):
        for value in range(0, 256, 256 >> length):
            asked = _v4(value, length)
            seen = {_naive(sources, ip_address(low << 24)) for low in range(value, value + (256 >> length))}
            around = [
                (source.prefixlen, view)
                for view, networks in sources.items()
                for source in networks
                if source.version == asked.version and asked.network_address in source and source.prefixlen <= length
            ]
            expected = seen.pop() if len(seen) == 1 else max(around, default=(0, ""))[1]
            assert _find_network(views, asked).view == expected
