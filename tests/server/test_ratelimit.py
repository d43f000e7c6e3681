"""Response rate limiting: who is watched, what is counted together, and what is sent instead."""

from ipaddress import ip_address, ip_network

import dns.edns
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.answer import tally
from dnslb.answer.responder import respond
from dnslb.answer.terms import Limit
from dnslb.answer.turns import Turns
from dnslb.answer.views import views_of
from dnslb.server import ratelimit
from dnslb.server.ratelimit import RateLimit, truncated
from tests.conftest import decoded, question, snapshot, zone

HOSTS = "\n".join(f"host{number} A 192.0.2.3" for number in range(128))
SNAPSHOT = snapshot(
    zone(f"""
{HOSTS}
www A 192.0.2.1
www TXT "text"
mail MX 10 www
*.wild A 192.0.2.2
sub NS ns.sub
ns.sub A 192.0.2.54
old DNAME wild
*.ent TXT "x"
""")
)
PAYLOADS = st.sampled_from([None, 512, 1232])
VICTIM = ip_address("198.51.100.7").packed
NEIGHBOUR = ip_address("198.51.100.200").packed
ELSEWHERE = ip_address("203.0.113.7").packed


@st.composite
def anything(draw: st.DrawFn) -> bytes:
    """Draw a query that may be broken anywhere: in its header, its question, or behind it."""
    whole = question(draw(st.sampled_from(["www.lb.test A", "no.lb.test MX", ". ANY"])), payload=draw(PAYLOADS))
    octets = bytearray(whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole)
    for place in draw(st.lists(st.integers(2, len(whole) - 1), max_size=4)):
        octets[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
    return bytes(octets) + draw(st.binary(max_size=40))


def limiter(per_second: int = 3, slip: int = 0, exempt: str = "", *, proves: bool = False) -> RateLimit:
    """Return a limiter that has seen nothing yet; of each query it is said whether it proves its sender."""
    networks = views_of({"exempt": map(ip_network, exempt.split())})
    return RateLimit(Limit(per_second, slip, networks), lambda _query, _client: proves, SNAPSHOT.names)


def sent(limit: RateLimit, asked: bytes, client: bytes = VICTIM) -> bytes | None:
    """Return what is sent to a client of a watched network that asks this."""
    return limit.restrain(asked, client, respond(asked, SNAPSHOT, Turns(0), client))[0]


def got(limit: RateLimit, *texts: str, client: bytes = VICTIM) -> list[bool]:
    """Return which of these questions a client gets an answer to."""
    return [sent(limit, question(text), client) is not None for text in texts]


def test_who_asks_more_than_half_the_limit_is_watched() -> None:
    """A datagram stands for its batch; the network is that of all addresses that share the first 24 or 56 bits."""
    limit = limiter(per_second=200)
    limit.note(VICTIM, 64, 10.0)
    limit.note(NEIGHBOUR, 36, 10.5)
    limit.note(ELSEWHERE, 100, 10.6)
    assert not limit.watched
    limit.note(NEIGHBOUR, 1, 10.9)
    limit.note(ip_address("2001:db8:0:1ff::1").packed, 60, 10.9)
    limit.note(ip_address("2001:db8:0:100::1").packed, 60, 10.9)
    limit.note(ip_address("2001:db8:0:200::1").packed, 60, 10.9)
    assert set(limit.watched) == {VICTIM[:3], ip_address("2001:db8:0:100::").packed[:7]}


def test_seconds_are_counted_by_themselves() -> None:
    """What was asked in another second does not add up."""
    limit = limiter(per_second=200)
    for second in range(20):
        limit.note(VICTIM, 100, float(second))
    assert not limit.watched


def test_who_has_been_calm_for_some_seconds_is_watched_no_more() -> None:
    """Not at once, for a flood may come in waves; and whoever goes on stays."""
    limit = limiter()
    limit.note(VICTIM, 64, 10.0)
    limit.note(ELSEWHERE, 64, 10.0)
    for second in range(11, 16):
        limit.note(ELSEWHERE, 64, float(second))
        assert set(limit.watched) == {VICTIM[:3], ELSEWHERE[:3]}
    limit.note(ELSEWHERE, 64, 16.0)
    assert set(limit.watched) == {ELSEWHERE[:3]}


def test_without_a_limit_nobody_is_watched() -> None:
    """0 switches it off."""
    limit = limiter(per_second=0)
    limit.note(VICTIM, 1 << 20, 1.0)
    assert not limit.watched


def test_exempt_clients_are_not_watched_and_not_restrained() -> None:
    """Also in a network that is watched because of others."""
    limit = limiter(per_second=2, exempt="198.51.100.7/32 2001:db8::/32")
    limit.note(VICTIM, 64, 1.0)
    limit.note(ip_address("2001:db8::1").packed, 64, 1.0)
    assert not limit.watched
    limit.note(NEIGHBOUR, 64, 1.0)
    assert set(limit.watched) == {VICTIM[:3]}
    assert got(limit, *["www.lb.test A"] * 9) == [True] * 9
    assert got(limit, *["www.lb.test A"] * 3, client=NEIGHBOUR) == [True, True, False]


def test_a_proven_client_is_never_restrained() -> None:
    """Nor is its share taken from others of its network."""
    limit = limiter(per_second=2, proves=True)
    cookie = question("www.lb.test A", payload=1232, options=[dns.edns.CookieOption(bytes(8), bytes(16))])
    assert all(sent(limit, cookie) for _ in range(9))
    limit._proves = lambda _query, _client: False  # noqa: SLF001 - now somebody asks who has no cookie
    assert [bool(sent(limit, cookie)) for _ in range(3)] == [True, True, False]


def test_the_limit_is_exact_and_of_one_second() -> None:
    """As many responses as allowed; the next second has its own, other networks too."""
    limit = limiter()
    limit.note(VICTIM, 64, 7.0)
    assert got(limit, *["www.lb.test A"] * 5) == [True] * 3 + [False] * 2
    assert got(limit, *["www.lb.test A"] * 5, client=NEIGHBOUR) == [False] * 5
    assert got(limit, *["www.lb.test A"] * 4, client=ELSEWHERE) == [True] * 3 + [False]
    limit.note(VICTIM, 1, 7.99)
    assert got(limit, "www.lb.test A") == [False]
    limit.note(VICTIM, 1, 8.0)
    assert got(limit, *["www.lb.test A"] * 5) == [True] * 3 + [False] * 2


@pytest.mark.parametrize(
    ("texts", "together"),
    [
        (["www.lb.test A", "WWW.lb.TEST A"], True),
        (["www.lb.test A", "www.lb.test TXT"], False),
        (["www.lb.test A", "mail.lb.test MX"], False),
        (["www.lb.test MX", "www.lb.test AAAA", "wWw.lb.test SRV"], True),
        (["www.lb.test MX", "mail.lb.test A"], False),
        (["www.lb.test MX", "www.lb.test A"], False),
        (["no1.lb.test A", "no2.lb.test MX", "x.y.z.lb.test TXT"], True),
        (["a.other A", "b.elsewhere MX", "www.lb.test AXFR"], True),
        (["no1.lb.test A", "a.other A"], False),
    ],
    ids=lambda value: " and ".join(value) if isinstance(value, list) else "",
)
def test_what_counts_together(texts: list[str], together: bool) -> None:  # noqa: FBT001 - a case
    """Data by the question, NODATA and referrals by the name, all NXDOMAIN of a network, and all its errors."""
    limit = limiter(per_second=len(texts))
    assert got(limit, *texts, *texts) == [True] * len(texts) + [not together] * len(texts)


@pytest.mark.parametrize(
    "broken", [b"\x00" * 12, question("www.lb.test A")[:20], question("www.lb.test A", flags=0x2800)]
)
def test_errors_of_what_cannot_be_read_are_limited_too(broken: bytes) -> None:
    """FORMERR and NOTIMP need not have a question that could be looked at; then what is sent instead has none."""
    limit = limiter(per_second=1, slip=1)
    first, instead = sent(limit, broken), sent(limit, broken)
    assert first is not None
    assert instead is not None
    assert (len(instead), instead[2] & 0x82, instead[3]) == (len(first), 0x82, first[3])
    assert len(instead) <= len(broken)


def test_every_few_excess_responses_are_truncated() -> None:
    """A client that is there and loses all the others can ask over TCP; 1 truncates all, 0 none."""
    patterns = {}
    asked = question("www.lb.test A")
    reply = respond(asked, SNAPSHOT, Turns(0), VICTIM)
    marks = {reply[1]: "A", tally.TRUNCATED: "T", tally.RATE_LIMITED: "-"}
    for slip in (0, 1, 2, 3):
        limit = limiter(per_second=1, slip=slip)
        found = [limit.restrain(asked, VICTIM, reply) for _ in range(8)]
        patterns[slip] = "".join(marks[slot] for _, slot in found)
        assert {response for response, _ in found} <= {reply[0], truncated(asked, reply[0] or b""), None}
    assert patterns == {0: "A-------", 1: "ATTTTTTT", 2: "A-T-T-T-", 3: "A--T--T-"}


@pytest.mark.parametrize("text", ["wWw.lb.test A", "www.lb.test MX", "no.lb.test A", "www.other A", "x.sub.lb.test A"])
@pytest.mark.parametrize("payload", [None, 512, 4096])
def test_a_truncated_response_is_small_and_right(text: str, payload: int | None) -> None:
    """It has the id, the question with its case, the response code and the OPT record, and no record else."""
    asked = question(text, identity=99, flags=0x0100, payload=payload, dnssec_ok=payload == 512)
    response, _ = respond(asked, SNAPSHOT, Turns(0), VICTIM)
    assert response is not None
    short, whole, query = decoded(truncated(asked, response)), decoded(response), decoded(asked)
    assert len(truncated(asked, response)) <= len(asked)
    assert short.to_wire()[12 : len(asked)] == truncated(asked, response)[12:]
    assert (short.id, short.rcode(), short.flags) == (99, whole.rcode(), whole.flags | 0x0200)
    assert (str(short.question[0]), short.edns, short.ednsflags) == (
        str(query.question[0]),
        whole.edns,
        whole.ednsflags,
    )
    assert not [*short.answer, *short.authority, *short.additional]


@given(asked=anything())
def test_whatever_comes_what_is_sent_instead_is_no_longer(asked: bytes) -> None:
    """Nor is it an error of ours: a batch is restrained as a whole."""
    limit, reply = limiter(per_second=1, slip=1), respond(asked, SNAPSHOT, Turns(0), VICTIM)
    assert limit.restrain(asked, VICTIM, reply) == reply
    response, slot = limit.restrain(asked, VICTIM, reply)
    if reply[0] is None:
        assert (response, slot) == reply
    else:
        assert response is not None
        assert len(response) <= len(asked)
        assert (response[:2], response[2] & 0x82, slot) == (asked[:2], 0x82, tally.TRUNCATED)


@pytest.mark.parametrize("below", ["wild", "sub", "old", "ent"])
def test_made_up_names_are_limited_together(below: str) -> None:
    """Below a wildcard, a cut or a DNAME each is answered; none has a limit of its own, and all share one."""
    limit = limiter()
    allowed = 3 * ratelimit.OTHERS_LIMIT
    names = [f"a{number}.{below}.lb.test {'MX' if number % 2 else 'A'}" for number in range(allowed + 7)]
    assert got(limit, *names) == [True] * allowed + [False] * 7
    assert got(limit, "y.wild.lb.test A", "y.sub.lb.test TXT", "y.old.lb.test A") == [False] * 3
    assert got(limit, "www.lb.test A", "www.lb.test MX", "no.lb.test A") == [True] * 3


def test_many_names_of_the_table_are_limited_together() -> None:
    """Those that came first have their own counts, all others share one with what is made up."""
    limit = limiter()
    allowed = ratelimit.MOST_KINDS + 3 * ratelimit.OTHERS_LIMIT
    names = [f"host{number}.lb.test A" for number in range(allowed + 7)]
    assert got(limit, *names) == [True] * allowed + [False] * 7
    assert got(limit, *names[:5], "y.wild.lb.test A", "no.lb.test A") == [True] * 5 + [False] * 2


def test_made_up_addresses_and_names_take_no_more_memory() -> None:
    """Neither those that ask once nor those that flood are kept beyond a bound, within one second."""
    limit = limiter()
    asked = question("www.lb.test A")
    reply = respond(asked, SNAPSHOT, Turns(0), VICTIM)
    for number in range(3 * ratelimit.MOST_SAMPLED):
        limit.note(number.to_bytes(3, "big") + b"\x01", 1, 1.0)
        assert len(limit._sampled) <= ratelimit.MOST_SAMPLED  # noqa: SLF001 - memory is what it is about
    for number in range(3 * ratelimit.MOST_WATCHED):
        client = number.to_bytes(3, "big") + b"\x01"
        limit.note(client, 64, 1.0)
        assert limit.restrain(asked, client, reply) == reply
        assert len(limit.watched) <= ratelimit.MOST_WATCHED
        assert len(limit._given) <= ratelimit.MOST_WATCHED  # noqa: SLF001 - the same
    assert max(map(len, limit._given.values())) <= ratelimit.MOST_KINDS + 1  # noqa: SLF001 - the same


def test_of_a_batch_only_those_are_restrained_that_are_watched() -> None:
    """Others in it may ask for the same as often as they like, and what gets no answer anyhow is not counted."""
    limit = limiter(per_second=2)
    limit.note(VICTIM, 64, 1.0)
    asked = [question("www.lb.test A")] * 8 + [b"", b""]
    clients = [VICTIM, ELSEWHERE] * 5
    replies = [respond(query, SNAPSHOT, Turns(0), client) for query, client in zip(asked, clients, strict=True)]
    given = limit.restrain_all(asked, clients, replies)
    assert given[0:4] == replies[0:4]
    assert given[4:8] == [(None, tally.RATE_LIMITED), replies[5], (None, tally.RATE_LIMITED), replies[7]]
    assert given[8:] == replies[8:]
