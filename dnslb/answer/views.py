"""Which view a client is in: of all networks that views name as their sources, the longest one that holds it decides.

The address space is cut at these networks into leaves: blocks, as large as they can be, whose addresses are all in one
view. One search among their first addresses finds a client's leaf. Its prefix length is also how much of an address an
answer depends on: what one address of the leaf is answered, all others are too (the scope of RFC 7871).

A resolver may ask for a network that is larger than a leaf. What holds only a part of it decides nothing: else clients
beside a view would get its answers.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

Network = IPv4Network | IPv6Network

_V4_OCTETS, _V6_OCTETS = 4, 16


class Leaf(NamedTuple):
    """A block of addresses in one view: its name, "" for what is in none, and the length of the block's prefix."""

    view: str
    length: int


_NOWHERE = Leaf("", 0)
"""Of a client without an address."""


@dataclass(frozen=True, slots=True)
class Views:
    """The leaves of both families in the order of their first addresses, which are octets.

    `networks` are the sources themselves: first address and one octet of prefix length -> view.
    """

    v4_begins: tuple[bytes, ...] = (bytes(_V4_OCTETS),)
    v4_leaves: tuple[Leaf, ...] = (_NOWHERE,)
    v6_begins: tuple[bytes, ...] = (bytes(_V6_OCTETS),)
    v6_leaves: tuple[Leaf, ...] = (_NOWHERE,)
    networks: Mapping[bytes, str] = field(default_factory=dict)

    @property
    def reached(self) -> frozenset[str]:
        """The views that some address is in; "" among them unless the sources hold all addresses."""
        return frozenset(leaf.view for leaf in (*self.v4_leaves, *self.v6_leaves))

    def find(self, address: bytes) -> Leaf:
        """Return the leaf that holds an address of 4 or 16 octets."""
        if len(address) == _V4_OCTETS:
            return self.v4_leaves[bisect_right(self.v4_begins, address) - 1]
        if address:
            return self.v6_leaves[bisect_right(self.v6_begins, address) - 1]
        return _NOWHERE

    def holding(self, first: bytes, bits: int) -> str:
        """Return the view of the longest source that holds a network, by its first address; "" if none does.

        It is for a network that is larger than the leaf of its first address.
        """
        number, size = int.from_bytes(first, "big"), 8 * len(first)
        for length in range(bits, -1, -1):
            masked = number >> size - length << size - length
            view = self.networks.get(_key(masked.to_bytes(len(first), "big"), length))
            if view is not None:
                return view
        return ""


def _key(first: bytes, length: int) -> bytes:
    return first + bytes((length,))


@dataclass(frozen=True, slots=True)
class Audience:
    """Which clients are told apart: the sources of each view by its name, no network twice.

    `ecs_resolvers` are those that are believed when they say for which network they ask (RFC 7871).
    """

    sources: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    ecs_resolvers: tuple[Network, ...] = ()

    def source_of(self, address: IPv4Address | IPv6Address) -> tuple[str, Network] | None:
        """Return the view that the address is in, and the network that decides it; None if it is in none."""
        holding = [
            (view, network) for view, networks in self.sources.items() for network in networks if address in network
        ]
        return max(holding, key=lambda found: found[1].prefixlen, default=None)


def views_of(sources: Mapping[str, Iterable[Network]]) -> Views:
    """Compile the sources of views, by their names; no network may be there twice."""
    cuts = [
        _Cut(int(network.network_address), network.prefixlen, view, network.max_prefixlen)
        for view, networks in sources.items()
        for network in networks
    ]
    networks = {_key(cut.begin.to_bytes(cut.bits // 8, "big"), cut.length): cut.view for cut in cuts}
    return Views(*_table(_V4_OCTETS, cuts), *_table(_V6_OCTETS, cuts), networks)


class _Cut(NamedTuple):
    """One source: its first address, the length of its prefix, its view, and the bits of its family's addresses."""

    begin: int
    length: int
    view: str
    bits: int


def _table(octets: int, cuts: Iterable[_Cut]) -> tuple[tuple[bytes, ...], tuple[Leaf, ...]]:
    bits = 8 * octets
    leaves = _leaves(0, Leaf("", 0), bits, [cut for cut in cuts if cut.bits == bits])
    return tuple(begin.to_bytes(octets, "big") for begin, _ in leaves), tuple(leaf for _, leaf in leaves)


def _leaves(begin: int, block: Leaf, bits: int, cuts: Sequence[_Cut]) -> list[tuple[int, Leaf]]:
    """Return the leaves of a block that begins there, each with its first address; the cuts lie in the block."""
    view, length = next((cut.view for cut in cuts if cut.length == block.length), block.view), block.length
    inside = [cut for cut in cuts if cut.length > length]
    if not inside:
        return [(begin, Leaf(view, length))]
    half = Leaf(view, length + 1)
    middle = begin + (1 << bits - half.length)
    lower = _leaves(begin, half, bits, [cut for cut in inside if cut.begin < middle])
    upper = _leaves(middle, half, bits, [cut for cut in inside if cut.begin >= middle])
    (_, first), (_, last) = lower[0], upper[0]
    # Where both halves are whole and alike, the cut between them makes no difference.
    if len(lower) == len(upper) == 1 and first.view == last.view:
        return [(begin, Leaf(first.view, length))]
    return lower + upper
