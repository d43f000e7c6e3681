"""A worker's cookies: what is answered, what is remembered, and for how long."""

import dns.edns
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.answer.cookies import NONE, Cookies
from dnslb.answer.responder import respond
from dnslb.answer.turns import Turns
from dnslb.wire.cookie import make, option
from dnslb.wire.edns import COMMON, edns, opt_record, with_option
from dnslb.wire.name import to_text
from tests.conftest import CLIENT, decoded, member, pool, question, service, snapshot, zone

_NOW = 1_700_000_000
_SECRETS = (b"0123456789abcdef", bytes(range(16)))
_RIGHT = make(b"12345678", CLIENT, _SECRETS[0], _NOW)
_OLD = make(b"12345678", CLIENT, _SECRETS[0], _NOW - 1801)
_V6 = bytes.fromhex("20010db8000000010000000000000007")
_COOKIE = dns.edns.OptionType.COOKIE
_BARE = opt_record(dnssec_ok=True)
_SUBNET, _PADDING, _NSID, _KEEPALIVE = b"\0\x08\0\x04\0\x01\0\0", b"\0\x0c\0\1\0", b"\0\3\0\0", b"\0\x0b\0\0"


def _cookies(limit: int = 100) -> Cookies:
    return Cookies(_SECRETS, _NOW, limit)


def _record(options: bytes) -> bytes:
    return with_option(_BARE, options)


@pytest.mark.parametrize("client", [CLIENT, _V6])
@pytest.mark.parametrize("others", [b"", _SUBNET, _PADDING, b"\xff\xff\0\0"])
def test_a_right_cookie_is_remembered_and_comes_back(client: bytes, others: bytes) -> None:
    """The response has the same cookie and no other option; the record asks for what it asks for without a cookie."""
    cookies, right = _cookies(), make(b"12345678", client, _SECRETS[0], _NOW)
    for options in (option(right) + others, others + option(right)):
        found = cookies.seen(_record(options), client)
        assert found == edns(1232, 0, dnssec_ok=True)._replace(reply=_record(option(right)))
        assert cookies.known[client + _record(options)] is found
    assert len(cookies.known) == (2 if others else 1)


@pytest.mark.parametrize(
    "came",
    [
        pytest.param(b"12345678", id="client-cookie-only"),
        pytest.param(b"12345678" + bytes(16), id="wrong"),
        pytest.param(b"12345678" + bytes(32), id="of-another-kind"),
        pytest.param(_OLD, id="half-an-hour-old"),
        pytest.param(make(b"12345678", CLIENT, _SECRETS[0], _NOW - 3601), id="too-old"),
        pytest.param(make(b"12345678", CLIENT, _SECRETS[1], _NOW), id="of-the-other-secret"),
        pytest.param(make(b"12345678", _V6, _SECRETS[0], _NOW), id="of-another-client"),
    ],
)
def test_all_else_gets_a_new_cookie_and_is_not_remembered(came: bytes) -> None:
    """And it is answered like any other question, at once."""
    cookies = _cookies()
    assert cookies.option(option(came), CLIENT) == option(_RIGHT)
    found = cookies.seen(_record(option(came)), CLIENT)
    assert found is not None
    assert found.reply == _record(option(_RIGHT))
    assert not cookies.known


def test_a_query_without_a_cookie_gets_none() -> None:
    """Its OPT record asks for the same as one without options; so does each when there is no secret."""
    cookies = _cookies()
    assert cookies.option(_SUBNET, CLIENT) == NONE.option(option(_RIGHT), CLIENT) == b""
    assert cookies.seen(_record(_SUBNET), CLIENT) == COMMON[_BARE]
    for came in (_RIGHT, b"1", b""):
        assert NONE.seen(_record(option(came)), CLIENT) == COMMON[_BARE]
    assert not NONE.proves(question("lb.test A") + _record(option(_RIGHT)), CLIENT)
    assert not cookies.known
    assert not NONE.known


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(_record(option(_RIGHT) + _NSID), id="nsid"),
        pytest.param(_record(_KEEPALIVE + option(_RIGHT)), id="keepalive"),
        pytest.param(_record(option(b"1234567")), id="malformed-cookie"),
        pytest.param(_record(option(_RIGHT)) + b"\0", id="more"),
        pytest.param(b"\0" + _record(option(_RIGHT)), id="not-at-once"),
        pytest.param(_record(option(_RIGHT))[:-1], id="cut"),
        pytest.param(with_option(opt_record(dnssec_ok=False, extended_rcode=16), option(_RIGHT)), id="version-1"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_takes_a_closer_look(record: bytes) -> None:
    """What asks for more, is uncommon or malformed goes the long way and is not remembered."""
    cookies = _cookies()
    assert cookies.seen(record, CLIENT) is None
    assert not cookies.known


@pytest.mark.parametrize("size", [0, 7, 9, 15, 41])
def test_a_malformed_cookie_is_an_error(size: int) -> None:
    """The query is malformed (RFC 7873 section 5.2.2); where there are no cookies nobody looks at it."""
    with pytest.raises(ValueError, match="COOKIE"):
        _cookies().option(option(bytes(size)), CLIENT)
    assert NONE.option(option(bytes(size)), CLIENT) == b""


def test_memory_is_bounded() -> None:
    """The newest is always remembered, and never more than the limit."""
    cookies = _cookies(limit=5)
    for last in range(23):
        client = bytes([192, 0, 2, last])
        record = _record(option(make(b"12345678", client, _SECRETS[0], _NOW)))
        assert cookies.seen(record, client)
        assert client + record in cookies.known
        assert len(cookies.known) <= 5


def test_what_is_remembered_gets_old() -> None:
    """In five minutes at most, in which a cookie that was fresh stays right; also when the clock is set."""
    cookies, record = _cookies(), _record(option(_RIGHT))
    for step in (300, -300):
        assert cookies.seen(record, CLIENT)
        begun = cookies.now
        cookies.now = begun + step - step // 300
        assert cookies.now == begun + step - step // 300
        assert CLIENT + record in cookies.known
        cookies.now = begun + step
        assert not cookies.known
    cookies.now = _NOW + 3601
    answer = cookies.option(option(_RIGHT), CLIENT)
    assert answer == option(make(b"12345678", CLIENT, _SECRETS[0], _NOW + 3601)) != option(_RIGHT)


def _query(cookie: bytes, payload: int = 1232) -> bytes:
    return question("lb.test A") + _BARE[:3] + payload.to_bytes(2, "big") + _record(option(cookie))[5:]


@pytest.mark.parametrize("payload", [1232, 1231])
def test_what_proves_that_the_client_is_there(payload: int) -> None:
    """A right server cookie that came from its address; also an old one, and whatever else the query is."""
    cookies = _cookies()
    old = make(b"12345678", CLIENT, _SECRETS[1], _NOW - 3600)
    for right in (_RIGHT, old):
        assert cookies.proves(_query(right, payload), CLIENT)
        assert not cookies.proves(_query(right, payload), _V6)
    assert cookies.seen(_query(_RIGHT)[25:], CLIENT)
    assert cookies.proves(_query(_RIGHT), CLIENT)
    for wrong in (b"12345678", b"12345678" + bytes(16), b"1"):
        assert not cookies.proves(_query(wrong, payload), CLIENT)
    assert not cookies.proves(question("lb.test A"), CLIENT)
    assert not cookies.proves(question("lb.test A", payload=1232), CLIENT)


@given(st.binary(max_size=80), st.sampled_from([b"", _query(b"")[:-4], _query(_RIGHT)]))
def test_any_octets_can_be_looked_at(octets: bytes, before: bytes) -> None:
    """Nothing is raised for what was never checked."""
    cookies = _cookies()
    assert cookies.proves(before + octets, CLIENT) in {False, True}
    assert cookies.seen(octets, CLIENT) is None or octets.startswith(b"\0\0\x29")


_TABLE = snapshot(
    zone("@ MX 10 mail\nmail A 192.0.2.5\n*.wild A 192.0.2.4\nwww CNAME mail\nchild NS elsewhere.test."),
    pool(member("mx1"), member("mx2", "192.0.2.2", "2001:db8::2")),
    service(),
)


@pytest.mark.parametrize("came", [_RIGHT, _OLD, b"12345678"], ids=["right", "old", "client-cookie-only"])
def test_all_ways_give_the_same_cookie(came: bytes) -> None:
    """By the record that is known, by one that is read, by the parser: octet by octet, for whatever is asked."""
    sent = [dns.edns.CookieOption(came[:8], came[8:])]
    names = ("x.wild.lb.test", "x.child.lb.test", "no.lb.test", "elsewhere.test", *map(to_text, _TABLE.names))
    for owner in names:
        for rdtype in ("A", "MX", "TXT", "AAAA"):
            cookies, text = _cookies(), f"{owner} {rdtype}"
            queries = [question(text, payload=payload, options=sent) for payload in (1232, 1232, 1231)]
            replies = [respond(query, _TABLE, Turns(0), CLIENT, cookies) for query in queries]
            assert len(cookies.known) == (came == _RIGHT)
            assert len(set(replies)) == 1
            back = next(option for option in decoded(replies[0][0] or b"").options if option.otype == _COOKIE)
            assert back.to_wire() == _RIGHT
