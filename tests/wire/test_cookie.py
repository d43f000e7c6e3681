"""Server cookies: the test vectors of RFC 9018 appendix A, and what is right for how long."""

from ipaddress import ip_address
from typing import NamedTuple

import dns.edns
import pytest

from dnslb.wire.cookie import Standing, cookie_in, judge, make, option


class _Vector(NamedTuple):
    """A query's cookie, who sent it with which secret known, when; and the cookie of the response."""

    came: str
    client: str
    made_with: str
    now: int
    secret: str
    reply: str


_FIRST, _OLD, _NEW = (
    "e5e973e5a6b2a43f48e7dc849e37bfcf",
    "dd3bdf9344b678b185a6f5cb60fca715",
    "445536bcd2513298075a5d379663c962",
)
_VECTORS = {
    "A.1 learning a new server cookie": _Vector(
        "2464c4abcf10c957",
        "198.51.100.100",
        _FIRST,
        1559731985,
        _FIRST,
        "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
    ),
    "A.2 the same client learning a renewed server cookie": _Vector(
        "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
        "198.51.100.100",
        _FIRST,
        1559734385,
        _FIRST,
        "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
    ),
    "A.3 another client learning a renewed server cookie": _Vector(
        "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
        "203.0.113.203",
        _FIRST,
        1559734700,
        _FIRST,
        "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
    ),
    "A.4 an IPv6 query with a rolled over secret": _Vector(
        "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
        "2001:db8:220:1:59de:d0f4:8769:82b8",
        _OLD,
        1559741961,
        _NEW,
        "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
    ),
}
_CLIENT = ip_address("192.0.2.99").packed
_NOW = 1_700_000_000
_SECRET, _OTHER = b"0123456789abcdef", bytes(range(16))


@pytest.mark.parametrize("vector", _VECTORS.values(), ids=_VECTORS)
def test_the_vectors_of_the_rfc(vector: _Vector) -> None:
    """The cookie of the response is made from the client cookie alone; the reserved octets that came do not count."""
    came, client = bytes.fromhex(vector.came), ip_address(vector.client).packed
    assert make(came, client, bytes.fromhex(vector.secret), vector.now).hex() == vector.reply


@pytest.mark.parametrize("name", list(_VECTORS)[1:])
def test_the_cookies_that_came_in_the_vectors_were_right(name: str) -> None:
    """When they were made, also with reserved octets that are not 0 (A.3); only the third is too old by then."""
    vector = _VECTORS[name]
    came, client = bytes.fromhex(vector.came), ip_address(vector.client).packed
    secrets = [bytes.fromhex(vector.secret), bytes.fromhex(vector.made_with)]
    then = int.from_bytes(came[12:16], "big")
    assert judge(came, client, secrets, then) is (Standing.OLD if vector.made_with == _OLD else Standing.FRESH)
    assert judge(came, client, secrets, vector.now) is (Standing.STRANGE if "A.3" in name else Standing.OLD)


@pytest.mark.parametrize(
    ("age", "standing"),
    [
        (-301, Standing.STRANGE),
        (-300, Standing.FRESH),
        (0, Standing.FRESH),
        (1800, Standing.FRESH),
        (1801, Standing.OLD),
        (3600, Standing.OLD),
        (3601, Standing.STRANGE),
        (1 << 31, Standing.STRANGE),
    ],
)
@pytest.mark.parametrize("now", [_NOW, (1 << 32) - 1, (1 << 32) + 10])
def test_how_long_a_cookie_is_right(age: int, standing: Standing, now: int) -> None:
    """An hour, renewed after half of that, and five minutes before its time; also when its 32 bits come round."""
    assert judge(make(b"12345678", _CLIENT, _SECRET, now - age), _CLIENT, [_SECRET], now) is standing


def test_who_has_it_from_whom() -> None:
    """It is right from the address that got it, with its client cookie, and made with a secret that is known."""
    cookie = make(b"12345678", _CLIENT, _SECRET, _NOW)
    assert judge(cookie, _CLIENT, [_SECRET, _OTHER], _NOW) is Standing.FRESH
    assert judge(cookie, _CLIENT, [_OTHER, _SECRET], _NOW) is Standing.OLD
    assert judge(cookie, _CLIENT, [_OTHER], _NOW) is judge(cookie, _CLIENT, [], _NOW) is Standing.STRANGE
    assert judge(cookie, bytes(16), [_SECRET], _NOW) is Standing.STRANGE
    assert judge(cookie, ip_address("192.0.2.98").packed, [_SECRET], _NOW) is Standing.STRANGE


@pytest.mark.parametrize("position", range(24))
def test_no_octet_of_it_may_be_another(position: int) -> None:
    """Version, reserved octets and time are under the hash like the client cookie."""
    cookie = make(b"12345678", _CLIENT, _SECRET, _NOW)
    forged = cookie[:position] + bytes([cookie[position] ^ 1]) + cookie[position + 1 :]
    assert judge(forged, _CLIENT, [_SECRET], _NOW) is Standing.STRANGE


@pytest.mark.parametrize("size", [8, 16, 23, 25, 40])
def test_the_cookies_of_other_servers_are_strange(size: int) -> None:
    """They have other lengths; nothing is read behind their end."""
    cookie = make(b"12345678", _CLIENT, _SECRET, _NOW).ljust(40, b"\0")[:size]
    assert judge(cookie, _CLIENT, [_SECRET], _NOW) is Standing.STRANGE


@pytest.mark.parametrize("size", range(43))
def test_what_is_malformed(size: int) -> None:
    """A client cookie has 8 octets, a server cookie 8 to 32 (RFC 7873 section 4)."""
    options = b"\0\x03\0\0\0\x0a" + size.to_bytes(2, "big") + bytes(size)
    if size == 8 or 16 <= size <= 40:
        assert cookie_in(options) == bytes(size)
    else:
        with pytest.raises(ValueError, match="COOKIE"):
            cookie_in(options)


def test_the_first_one_counts() -> None:
    """Whatever others there are, also malformed ones; other options are stepped over (RFC 7873 section 5.2)."""
    nsid, first, second = b"\0\x03\0\0", option(b"12345678"), option(b"1234567")
    assert cookie_in(nsid + first + second) == cookie_in(first + nsid) == b"12345678"
    assert cookie_in(nsid) is cookie_in(b"") is None
    assert first[4:] == dns.edns.CookieOption(b"12345678", b"").to_wire()
