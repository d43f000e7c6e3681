"""Response rate limiting: nobody can have us flood a network that has not asked.

Over UDP a sender's address may be made up. Who sends queries in the name of a victim has us send it the answers, which
are longer. So a network gets no more than some responses of one kind in a second, unless a client proves by a cookie
that it has asked (RFC 7873). Every few of the rest are replaced by truncated ones: a client that is really there asks
again over TCP, where an address cannot be made up.

What this costs is paid by who asks much: one datagram of several is looked at for all of them, and finds the networks
that may be over their limit; the responses of these are counted one by one. Whatever addresses and names are made up,
memory is bounded.
"""

from collections.abc import Callable, Container, Sequence

from dnslb.answer import tally
from dnslb.answer.lookup import Reply
from dnslb.answer.sources import prefix_of
from dnslb.answer.terms import Limit
from dnslb.wire import header
from dnslb.wire.edns import BARE_SIZE, BEGIN, DO, opt_record
from dnslb.wire.header import Rcode
from dnslb.wire.record import last_of_name

Proves = Callable[[bytes, bytes], bool]
"""Whether a query (first) proves that the address it comes from (second) has sent it."""
Names = Container[bytes]
"""The names of the table, in wire format, lower case."""

MOST_SAMPLED = 4096
"""Networks whose sampled queries are counted in a second."""
MOST_WATCHED = 1024
"""Networks whose responses are counted one by one."""
MOST_KINDS = 64
"""Kinds of responses that are told apart for one network in a second. All others are one kind more."""
OTHERS_LIMIT = 10
"""Times the limit of a kind that these others may be together: a big resolver asks for many names, once each.

With them are all names that are not in the table: below a wildcard, a DNAME or a cut anybody can make up as many as he
likes, and each of them is answered.
"""
_CALM_SECONDS = 5
"""A network that has asked little for so long is watched no more."""

_ERRORS, _NXDOMAIN, _OTHERS = 1, 2, 3
"""Kinds that the hash of a question is as likely as any other number."""
_DENIALS = {
    slot: _NXDOMAIN if tally.rcode_of(slot) is Rcode.NXDOMAIN else _ERRORS
    for slot in range(tally.ANSWERS)
    if tally.rcode_of(slot) is not Rcode.NOERROR
}
_COOKIE = b"\x00\x0a\x00"
"""What a COOKIE option begins with, its code and half of its length: a query without these octets has none."""
_TC = header.TC >> 8
_TAIL = 4
"""Octets of a question behind the name."""
_FLAGS_IN_OPT = 7


class RateLimit:
    """What the networks of one worker's clients got in the present second. A network is a /24 or a /56."""

    def __init__(self, limit: Limit, proves: Proves, names: Names) -> None:
        self.watched: dict[bytes, int] = {}
        """The networks whose responses go through `restrain`: the last second in which each asked much."""
        self._limit = limit
        self._proves = proves
        self._names = names
        self._second = 0
        self._sampled: dict[bytes, int] = {}
        self._given: dict[bytes, dict[int, int]] = {}

    def note(self, client: bytes, number: int, now: float) -> None:
        """Count queries, of which one came from the client, and watch its network if they are many.

        `now` is seconds of a monotonic clock. Half of the limit is enough, for a sample may see too little.
        """
        limit = self._limit.per_second
        if not limit:
            return
        if int(now) != self._second:
            self._begin(int(now))
        network = prefix_of(client)
        asked = self._sampled.get(network, 0) + number
        if len(self._sampled) >= MOST_SAMPLED:
            self._sampled.clear()
        self._sampled[network] = asked
        if 2 * asked > limit and (network in self.watched or not self._is_exempt(client)):
            self._watch(network)

    def _begin(self, second: int) -> None:
        """Count anew in another second."""
        self._second = second
        self._sampled.clear()
        self._given.clear()
        calm = [network for network, at in self.watched.items() if at < second - _CALM_SECONDS]
        for network in calm:
            del self.watched[network]

    def _watch(self, network: bytes) -> None:
        if network not in self.watched and len(self.watched) >= MOST_WATCHED:
            # Those that still ask much are back at once.
            self.watched.clear()
            self._given.clear()
        self.watched[network] = self._second

    def _is_exempt(self, client: bytes) -> bool:
        return bool(self._limit.exempt.find(client).view)

    def restrain_all(self, queries: Sequence[bytes], clients: Sequence[bytes], replies: Sequence[Reply]) -> list[Reply]:
        """Return what the clients of a batch get: those of watched networks perhaps less than their replies.

        All are of one family, as the clients of one socket are.
        """
        watched, octets = self.watched, len(prefix_of(clients[0]))
        return [
            self.restrain(query, client, reply) if client[:octets] in watched else reply
            for query, client, reply in zip(queries, clients, replies, strict=True)
        ]

    def apply(self, query: bytes, client: bytes, reply: Reply) -> Reply:
        """Return what a client gets, whose network may be watched or not."""
        return self.restrain(query, client, reply) if prefix_of(client) in self.watched else reply

    def restrain(self, query: bytes, client: bytes, reply: Reply) -> Reply:
        """Return what a client of a watched network gets: the reply, a truncated one, or nothing."""
        response, slot = reply
        if response is None or self._is_exempt(client) or (_COOKIE in query and self._proves(query, client)):
            return reply
        excess = self._excess(prefix_of(client), _kind(response, slot, self._names))
        if excess <= 0:
            return reply
        if self._limit.slip and excess % self._limit.slip == 0:
            return truncated(query, response), tally.TRUNCATED
        return None, tally.RATE_LIMITED

    def _excess(self, network: bytes, kind: int) -> int:
        """Count a response; return how many of its kind, with it, are beyond the network's limit in this second."""
        given, most = self._given.setdefault(network, {}), self._limit.per_second
        if kind == _OTHERS or (kind not in given and len(given) >= MOST_KINDS):
            kind, most = _OTHERS, OTHERS_LIMIT * most
        number = given[kind] = given.get(kind, 0) + 1
        return number - most


def _kind(response: bytes, slot: int, names: Names) -> int:
    """Return what a response counts as: data by the question, NODATA and referrals by the name, all else in three lots.

    Whoever makes up names gets NXDOMAIN for each, or what is below a wildcard: each lot must be one kind. Names may be
    long: their hashes are not.
    """
    kind = _DENIALS.get(slot)
    if kind is not None:
        return kind
    # The first zero ends the name; or is in a label, and then what comes before it is no name.
    end = response.find(b"\x00", header.SIZE) + 1
    qname = response[header.SIZE : end].lower()
    if qname not in names:
        return _OTHERS
    return hash(qname if response[6:8] == b"\x00\x00" else qname + response[end : end + _TAIL])


def _question(response: bytes) -> bytes:
    """Return the question of a response of ours, b"" if it has none; of the query it need not be one."""
    if response[4:6] == b"\x00\x00":
        return b""
    return response[header.SIZE : last_of_name(response, header.SIZE) + 1 + _TAIL]


def truncated(query: bytes, response: bytes) -> bytes:
    """Return the response with TC and without records, which is never longer than the query.

    Its OPT record has no options: a new cookie would be longer than none.
    """
    question, opt = _question(response), b""
    asked = query[header.SIZE + len(question) :]
    if asked.startswith(BEGIN) and len(asked) >= BARE_SIZE:
        opt = opt_record(dnssec_ok=bool(asked[_FLAGS_IN_OPT] & DO >> 8))
    counts = header.counts(0, 0, bool(opt), questions=bool(question))
    return b"".join((response[:2], bytes((response[2] | _TC, response[3])), counts, question, opt))
