"""What holds for the answer to any octets whatever."""

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dnslib

from dnslb.answer import tally
from dnslb.answer.cookies import Cookies
from dnslb.answer.lookup import Reply
from dnslb.answer.responder import respond
from dnslb.answer.turns import Turns
from dnslb.wire.edns import BARE_SIZE, CLASSIC_PAYLOAD, OUR_PAYLOAD, STREAM_PAYLOAD
from dnslb.wire.query import MAX_QUERY
from tests.fuzz.table import NOW, SECRETS, SNAPSHOT

_TURNS = Turns(0)
_COOKIES = Cookies(SECRETS, NOW)
_HEADER = 12
_NO_FAMILY, _SOME_FAMILY = b"\0\x08\0\x04\0\0\0\0", b"\0\x08\0\x04\0\x01\0\0"
"""A Client Subnet without an address may say no family (RFC 7871): dnspython wants one."""
_WITHOUT_QUESTION = {dns.rcode.FORMERR, dns.rcode.NOTIMP}
_WITHOUT_ERROR = {dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.REFUSED}


def answer(query: bytes, client: bytes, *, stream: bool) -> Reply:
    """Return what the table answers."""
    return respond(query, SNAPSHOT, _TURNS, client, _COOKIES, stream=stream)


def check(query: bytes, reply: Reply, *, stream: bool) -> None:
    """Raise AssertionError for a reply that may not be, and whatever a library says to a response it cannot read."""
    response, slot = reply
    assert 0 <= slot < tally.INTERNAL
    if must_be_dropped(query):
        assert response is None
        return
    assert isinstance(response, bytes)
    assert len(response) <= _limit(query, stream=stream)
    assert response[:2] == query[:2]
    message = dns.message.from_wire(response.replace(_NO_FAMILY, _SOME_FAMILY))
    _check_header(query, message)
    _check_question(query, response, message)
    _check_sections(response, message)
    _check_cookie(query, message)


def must_be_dropped(query: bytes) -> bool:
    """Return whether no answer may be given: to what is no message, is too long, or is a response itself."""
    return not _HEADER <= len(query) <= MAX_QUERY or bool(query[2] & 0x80)


def _limit(query: bytes, *, stream: bool) -> int:
    if stream:
        return STREAM_PAYLOAD
    try:
        asked = dns.message.from_wire(query)
    except dns.exception.DNSException:
        return OUR_PAYLOAD
    return min(max(asked.payload, CLASSIC_PAYLOAD), OUR_PAYLOAD) if asked.edns >= 0 else CLASSIC_PAYLOAD


def _check_header(query: bytes, message: dns.message.Message) -> None:
    flags = int.from_bytes(query[2:4], "big")
    copied = dns.flags.RD | dns.flags.CD
    assert message.flags & dns.flags.QR
    assert message.flags & copied == flags & copied
    assert not message.flags & (dns.flags.RA | dns.flags.AD | 0x0040)
    assert message.opcode() == flags >> 11 & 0xF
    assert message.rcode() != dns.rcode.SERVFAIL or b"\x04gone" in query.lower()


def _check_question(query: bytes, response: bytes, message: dns.message.Message) -> None:
    if not message.question:
        greeted = {dns.rcode.NOERROR, dns.rcode.BADCOOKIE} if _cookies_in(message) else set()
        assert message.rcode() in _WITHOUT_QUESTION | greeted | {dns.rcode.BADVERS}
        options = sum(4 + len(option.to_wire()) for option in message.options)
        assert len(response) == _HEADER + (BARE_SIZE + options if message.edns >= 0 else 0)
        return
    end = _HEADER + len(message.question[0].name.to_wire() or b"") + 4
    assert response[_HEADER:end] == query[_HEADER:end]


def _check_sections(response: bytes, message: dns.message.Message) -> None:
    """No record comes twice, which dnspython would drop; and the other library sees the same."""
    counts = [int.from_bytes(response[at : at + 2], "big") for at in (6, 8, 10)]
    found = [sum(map(len, section)) for section in (message.answer, message.authority, message.additional)]
    found[2] += message.edns >= 0
    assert counts == found
    if _is_utf_8(message):
        other = dnslib.DNSRecord.parse(response)
        assert counts == [len(other.rr), len(other.auth), len(other.ar)]
    if message.flags & dns.flags.TC:
        assert found == [0, 0, int(message.edns >= 0)]


def _check_cookie(query: bytes, message: dns.message.Message) -> None:
    """Who sends one that is well-formed gets his own half back with a whole one of ours, and nobody else gets any."""
    ours = _cookies_in(message)
    assert all(len(cookie.server) == 16 and cookie.client in query for cookie in ours)
    try:
        theirs = _cookies_in(dns.message.from_wire(query))
    except dns.exception.DNSException:
        return
    if message.rcode() in _WITHOUT_ERROR:
        assert [cookie.client for cookie in ours] == [cookie.client for cookie in theirs[:1]]


def _cookies_in(message: dns.message.Message) -> list[dns.edns.CookieOption]:
    return [option for option in message.options if isinstance(option, dns.edns.CookieOption)]


def _is_utf_8(message: dns.message.Message) -> bool:
    """Return whether the question's labels are: dnslib reads no others, though they are names (RFC 2181 11)."""
    try:
        for question in message.question:
            (question.name.to_wire() or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
