"""What the options of a query get: who we are, for how long a stream may be silent, a cookie; and what is ignored."""

from dataclasses import replace

import dns.edns
import dns.message
import dns.rcode
import pytest

from dnslb.answer import tally
from dnslb.answer.cookies import Cookies
from dnslb.answer.lookup import Asker, respond_in_full
from dnslb.answer.responder import respond
from dnslb.answer.snapshot import Snapshot, made_ready
from dnslb.answer.terms import IDLE_SECONDS, Terms
from dnslb.answer.turns import Turns
from dnslb.answer.views import Views
from dnslb.wire.cookie import make, option
from dnslb.wire.edns import opt_record, with_option
from dnslb.wire.header import Rcode
from tests.conftest import CLIENT, audience, decoded, lines, question, snapshot, zone

_NOW = 1_700_000_000
_SECRETS = (b"0123456789abcdef",)
_FIRST = b"12345678"
_RIGHT = make(_FIRST, CLIENT, _SECRETS[0], _NOW)
_WRONG = _FIRST + bytes(16)
_BELIEVED = audience("192.0.2.99")
_PLAIN = snapshot(zone("www A 192.0.2.1\nchild NS ns.child\nns.child A 192.0.2.9"), _BELIEVED)
_NAMED = replace(_PLAIN, terms=Terms(identity=b"ns1.example", version=b"dnslb"))
_LONGEST = ".".join(["x" * 63] * 3 + ["x" * 52, "lb.test"])


def _option(code: int, data: bytes = b"") -> dns.edns.Option:
    return dns.edns.GenericOption(dns.edns.OptionType.make(code), data)


_NSID, _KEEPALIVE = _option(3), _option(11)


def _octets(query: bytes, of: Snapshot, secrets: tuple[bytes, ...] = _SECRETS, *, stream: bool = False) -> bytes:
    """Return the response, which is the same on every way."""
    asker = Asker(CLIENT, CLIENT, Turns(0), Views(), believed=True, cookies=Cookies(secrets, _NOW))
    found = {respond_in_full(query, of, asker, stream=stream)}
    for one in (of, made_ready(of)):
        cookies = Cookies(secrets, _NOW)
        found |= {respond(query, one, Turns(0), CLIENT, cookies, stream=stream) for _ in range(2)}
    ((response, _),) = found
    assert response is not None
    return response


def _asked(
    text: str,
    *options: dns.edns.Option,
    of: Snapshot = _NAMED,
    secrets: tuple[bytes, ...] = (),
    stream: bool = False,
    version: int = 0,
) -> dns.message.Message:
    query = question(text, payload=1232, options=options, version=version)
    return decoded(_octets(query, of, secrets, stream=stream))


def _told(message: dns.message.Message) -> dict[int, bytes]:
    found = {int(one.otype): one.to_wire() or b"" for one in message.options}
    assert len(found) == len(message.options)
    return found


# NSID


@pytest.mark.parametrize("data", [b"", b"who?"])
@pytest.mark.parametrize("text", ["www.lb.test A", "no.lb.test A", "x.child.lb.test A", "elsewhere.test A"])
def test_the_server_says_who_it_is(text: str, data: bytes) -> None:
    """To who asks so, whatever he asks else; what is in the request is ignored (RFC 5001 section 2.2)."""
    assert _told(_asked(text, _option(3, data)))[3] == b"ns1.example"


def test_a_name_is_told_only_if_it_is_asked_for_and_configured() -> None:
    """Not by itself (RFC 5001 section 2.2), and not without `identity`."""
    assert _told(_asked("www.lb.test A")) == {}
    assert _told(_asked("www.lb.test A", _NSID, of=_PLAIN)) == {}


# Keepalive


def test_a_stream_is_told_how_long_it_may_be_silent() -> None:
    """In units of 100 ms (RFC 7828 section 3.1): that is what the server does."""
    told = _told(_asked("www.lb.test A", _KEEPALIVE, stream=True))
    assert told == {11: int(IDLE_SECONDS * 10).to_bytes(2, "big")}
    assert _told(_asked("www.lb.test A", stream=True)) == {}


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\x64", b"many"])
def test_keepalive_is_ignored_over_udp(data: bytes) -> None:
    """Whatever is in it (RFC 7828 section 3.2.2)."""
    message = _asked("www.lb.test A", _option(11, data))
    assert (message.rcode(), message.options) == (0, ())


@pytest.mark.parametrize("data", [b"\0", b"\0\x64", b"many"])
def test_a_time_out_that_a_client_says_is_ignored(data: bytes) -> None:
    """It must be left out of a query (RFC 7828 section 3.2.1), but NSD, Knot and BIND answer, and so do we."""
    message = _asked("www.lb.test A", _option(11, data), _option(10, _FIRST), stream=True, secrets=_SECRETS)
    assert (message.rcode(), len(message.answer)) == (dns.rcode.NOERROR, 1)
    assert _told(message) == {10: _RIGHT, 11: b"\0\x64"}


# Cookies


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("came", [_FIRST, _RIGHT, _WRONG], ids=["first", "right", "wrong"])
@pytest.mark.parametrize("text", ["www.lb.test A", "no.lb.test A", "x.child.lb.test A", "elsewhere.test A"])
def test_every_answer_has_the_cookie(text: str, came: bytes, *, stream: bool) -> None:
    """Also without a right one, which nobody has to wait for, and over TCP (RFC 7873 sections 5.2.3 to 5.2.5)."""
    plain = _asked(text)
    message = _asked(text, _option(10, came), secrets=_SECRETS, stream=stream)
    assert _told(message)[10] == _RIGHT
    assert message.sections[1:] == plain.sections[1:]
    assert message.rcode() == plain.rcode()
    assert 10 not in _told(_asked(text, _option(10, came)))


def test_all_that_is_asked_for_goes_together() -> None:
    """Once each, in one OPT record; nothing that is not known comes back (RFC 6891 section 6.1.2)."""
    subnet = dns.edns.ECSOption("192.0.2.0", 24)
    of = replace(snapshot(zone("www A 192.0.2.1"), _BELIEVED), terms=Terms(identity=b"me"))
    options = [_option(100, b"x"), _NSID, _option(10, _FIRST), subnet, _KEEPALIVE, _option(9), _option(12, bytes(20))]
    message = _asked("www.lb.test A", *options, of=of, secrets=_SECRETS, stream=True)
    assert _told(message) == {3: b"me", 8: b"\0\1\x18\0\xc0\0\2", 10: _RIGHT, 11: b"\0\x64"}
    assert lines(message.answer) == ["www.lb.test. 300 A 192.0.2.1"]


@pytest.mark.parametrize("size", [0, 7, 9, 15, 41, 100])
def test_a_cookie_of_another_length_is_malformed(size: int) -> None:
    """FORMERR (RFC 7873 section 5.2.2) with OPT, and no cookie; without secrets the option is one of the unknown."""
    message = _asked("www.lb.test A", _option(10, bytes(size)), secrets=_SECRETS)
    assert (message.rcode(), message.edns, message.options) == (dns.rcode.FORMERR, 0, ())
    assert _asked("www.lb.test A", _option(10, bytes(size))).rcode() == dns.rcode.NOERROR


def test_the_longest_question_with_all_options_fits() -> None:
    """A client without EDNS buffers gets 512 octets, which hold the longest name beside the longest identity."""
    of = replace(_PLAIN, terms=Terms(identity=b"x" * 128))
    options = [_NSID, _option(10, _FIRST), dns.edns.ECSOption("2001:db8::", 128)]
    query = question(f"{_LONGEST} A", payload=512, options=options)
    assert len(query) > 255
    response = _octets(query, of)
    assert len(response) <= 512
    assert _told(decoded(response)).keys() == {3, 8, 10}


# Versions and errors


def test_a_later_version_of_edns_gets_the_cookie_and_nothing_else() -> None:
    """What its options mean is not known, but for the one that shows whose answer this is; none is malformed."""
    options = [_NSID, _option(10, _FIRST), _option(100), dns.edns.ECSOption("192.0.2.0", 24)]
    message = _asked("www.lb.test A", *options, secrets=_SECRETS, version=1)
    assert (message.rcode(), _told(message)) == (dns.rcode.BADVERS, {10: _RIGHT})
    for odd in (_option(10, b"123"), _option(11, b"1"), _option(8, b"1")):
        message = _asked("www.lb.test A", odd, secrets=_SECRETS, version=1, stream=True)
        assert (message.rcode(), message.options) == (dns.rcode.BADVERS, ())


@pytest.mark.parametrize(
    ("query", "rcode"),
    [
        (question("www.lb.test A", payload=1232, options=[_option(10, _FIRST)]) + b"x", Rcode.FORMERR),
        (question("www.lb.test A", flags=0x2000, payload=1232, options=[_option(10, _FIRST)]), Rcode.NOTIMP),
        (question("www.lb.test A", payload=1232, options=[_option(10, _FIRST), _option(8, b"1")]), Rcode.FORMERR),
    ],
    ids=["junk", "notify", "subnet"],
)
def test_errors_have_the_cookie_too(query: bytes, rcode: Rcode) -> None:
    """Otherwise a client that knows that we have cookies would take them for forged (RFC 7873 section 5.3)."""
    message = dns.message.from_wire(_octets(query, _PLAIN))
    assert (int(message.rcode()), _told(message), len(message.question)) == (rcode, {10: _RIGHT}, 1)


# No question


def _greeting(*options: bytes, version: int = 0) -> bytes:
    opt = bytearray(with_option(opt_record(dnssec_ok=False), b"".join(options)))
    opt[6] = version
    return b"\x12\x34" + bytes(9) + b"\1" + bytes(opt)


@pytest.mark.parametrize(
    ("came", "rcode"), [(_FIRST, Rcode.NOERROR), (_RIGHT, Rcode.NOERROR), (_WRONG, Rcode.BADCOOKIE)]
)
@pytest.mark.parametrize("stream", [False, True])
def test_who_asks_nothing_gets_a_cookie(came: bytes, rcode: Rcode, *, stream: bool) -> None:
    """An empty answer with the cookie; BADCOOKIE if there was a wrong one (RFC 7873 section 5.4)."""
    asker = Asker(CLIENT, CLIENT, Turns(0), Views(), cookies=Cookies(_SECRETS, _NOW))
    response, slot = respond_in_full(_greeting(option(came)), _PLAIN, asker, stream=stream)
    message = decoded(response or b"")
    assert (int(message.rcode()), message.id, slot) == (rcode, 0x1234, tally.answered(0, rcode))
    assert not any(message.sections)
    assert _told(message) == {10: _RIGHT}


@pytest.mark.parametrize(
    ("query", "secrets"),
    [
        (_greeting(option(_FIRST)), ()),
        (_greeting(), _SECRETS),
        (_greeting(option(_FIRST + b"x")), _SECRETS),
        (_greeting(option(_FIRST)) + b"x", ()),
    ],
    ids=["no-secrets", "no-cookie", "malformed", "junk"],
)
def test_who_asks_nothing_and_has_no_cookie_is_malformed(query: bytes, secrets: tuple[bytes, ...]) -> None:
    """One question is what a query has (RFC 1035 section 4.1.2); what comes back is an empty OPT record."""
    message = dns.message.from_wire(_octets(query, _PLAIN, secrets))
    assert (message.rcode(), message.edns, message.options) == (dns.rcode.FORMERR, 0, ())
    assert not any(message.sections)


def test_who_asks_nothing_in_a_later_version_gets_badvers() -> None:
    """That comes first (RFC 6891 section 6.1.3)."""
    message = dns.message.from_wire(_octets(_greeting(option(_WRONG), version=1), _PLAIN))
    assert (message.rcode(), _told(message)) == (dns.rcode.BADVERS, {10: _RIGHT})


@pytest.mark.parametrize("stream", [False, True])
def test_options_beyond_the_first_ones_are_ignored(*, stream: bool) -> None:
    """The query is answered as without them, however many there are."""
    first = [_option(100, b"")] * 31
    assert _told(_asked("www.lb.test A", *first, _option(10, _FIRST), secrets=_SECRETS, stream=stream)) == {10: _RIGHT}
    for number in (32, 33, 100):
        before = [_option(100, b"")] * number
        message = _asked("www.lb.test A", *before, _option(10, _FIRST), secrets=_SECRETS, stream=stream)
        assert (message.rcode(), len(message.answer), message.options) == (dns.rcode.NOERROR, 1, ())
