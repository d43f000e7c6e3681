"""One response: what is copied of the query, what is refused, and how long it may be."""

from functools import cache

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.answer import tally
from dnslb.answer.responder import respond
from dnslb.answer.snapshot import Snapshot
from dnslb.answer.turns import Turns
from dnslb.wire.header import Rcode
from dnslb.wire.query import MAX_QUERY, Drop
from tests.conftest import CLIENT, ask, decoded, lines, member, pool, question, service, snapshot, zone

_COOKIE = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
SNAPSHOT = snapshot(
    zone("""
        www A 192.0.2.1
        www HTTPS 1 . alpn=h2
        www TYPE97 \\# 2 abcd
        mail MX 10 a
        mail MX 20 b
        a A 192.0.2.1
        b A 192.0.2.2
        child NS ns.child
        ns.child A 192.0.2.9
        """)
)


def _octets(query: bytes, of: Snapshot = SNAPSHOT, *, stream: bool = False) -> bytes:
    response, _ = respond(query, of, Turns(0), CLIENT, stream=stream)
    assert response is not None
    return response


# What is copied


@pytest.mark.parametrize("payload", [None, 1232, 1000])
@pytest.mark.parametrize("text", ["www.lb.test A", "www.lb.test MX", "no.lb.test A"])
@given(flags=st.integers(0, 0x7FF))
def test_flags_of_an_authoritative_answer(text: str, payload: int | None, flags: int) -> None:
    """QR and AA are set, RD and CD are the query's, TC, RA, AD and Z are clear whatever it says."""
    response = _octets(question(text, flags=flags, payload=payload))
    rcode = 3 if text.startswith("no") else 0
    assert int.from_bytes(response[2:4], "big") == 0x8400 | flags & 0x0110 | rcode


@pytest.mark.parametrize(
    ("text", "rcode"), [("elsewhere.test A", 5), ("a.child.lb.test A", 0), ("www.lb.test A CH", 5)]
)
@given(flags=st.integers(0, 0x7FF))
def test_flags_of_what_we_are_no_authority_for(text: str, rcode: int, flags: int) -> None:
    """AA is clear in a referral and a refusal; the rest is as in an answer."""
    response = _octets(question(text, flags=flags))
    assert int.from_bytes(response[2:4], "big") == 0x8000 | flags & 0x0110 | rcode


@pytest.mark.parametrize("payload", [None, 1232, 1000])
@pytest.mark.parametrize(
    ("name", "rdtype"),
    [("wWw.Lb.TesT", "A"), ("Ab.lB.TEST", "A"), ("WWW.lb.test", "TXT"), ("CHILD.lb.test", "A"), ("MaiL.lb.Test", "MX")],
)
@given(identity=st.integers(0, 0xFFFF))
def test_id_and_case_come_back(name: str, rdtype: str, payload: int | None, identity: int) -> None:
    """The question is repeated octet by octet: resolvers check its 0x20 case as they check the id."""
    query = question(f"{name} {rdtype}", identity=identity, payload=payload)
    response = _octets(query)
    end = 12 + len(name) + 2 + 4
    assert (response[:2], response[12:end]) == (query[:2], query[12:end])
    message = decoded(response)
    for rrset in message.answer + message.authority:
        assert f"{name}.".endswith(str(rrset.name))


def test_a_type_that_looks_like_a_letter_is_not_folded() -> None:
    """QTYPE 65 is the octet A, and type 97 the octet a: they are two types."""
    assert lines(ask(SNAPSHOT, "WWW.lb.test HTTPS").answer) == ['WWW.lb.test. 300 HTTPS 1 . alpn="h2"']
    assert lines(ask(SNAPSHOT, "WWW.lb.test TYPE97").answer) == ["WWW.lb.test. 300 TYPE97 \\# 2 abcd"]


# What is refused


@pytest.mark.parametrize(
    "text",
    [
        *(
            "lb.test AXFR",
            "lb.test IXFR",
            "www.lb.test A CH",
            "version.bind TXT CH",
            "lb.test A NONE",
        ),
        *("test A", ". NS", "lb.tes A", "xlb.test A", "elsewhere.example MX"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_refused(text: str, *, stream: bool) -> None:
    """Transfers, other classes than IN and names outside our zones are REFUSED, with an empty message."""
    message = ask(SNAPSHOT, text, payload=1232, stream=stream)
    assert message.rcode() == dns.rcode.REFUSED
    assert not message.flags & dns.flags.AA
    assert [message.answer, message.authority, message.additional] == [[], [], []]
    assert message.edns == 0


@pytest.mark.parametrize("version", [1, 2, 255])
def test_later_versions_of_edns_get_badvers(version: int) -> None:
    """With an OPT record of version 0 and nothing else (RFC 6891 6.1.3), for any name."""
    for text in ("www.lb.test A", "elsewhere.test A"):
        message = ask(SNAPSHOT, text, payload=1232, version=version, dnssec_ok=True)
        assert (message.rcode(), message.edns, message.payload) == (dns.rcode.BADVERS, 0, 1232)
        assert message.ednsflags & 0x8000
        assert [message.answer, message.authority, message.additional] == [[], [], []]
        assert not message.flags & dns.flags.AA


_REJECTED = {
    "no question": (bytes(12), 0x8001),
    "half a question": (question("www.lb.test A")[:-1], 0x8001),
    "a pointer": (question("www.lb.test A")[:12] + b"\xc0\x0c\0\1\0\1", 0x8001),
    "rd and cd": (b"\x12\x34\x07\xff" + bytes(8), 0x8111),
    "notify": (b"\x12\x34\x24\x00" + bytes(8), 0xA004),
    "update": (b"\x12\x34\x2f\xff" + bytes(8), 0xA914 & 0xF9FF | 0x0100),
    "two questions": (question("www.lb.test A")[:5] + b"\x02" + question("www.lb.test A")[6:], 0x8001),
}


@pytest.mark.parametrize(("query", "flags"), _REJECTED.values(), ids=_REJECTED)
def test_what_cannot_be_read_is_not_repeated(query: bytes, flags: int) -> None:
    """FORMERR and NOTIMP are then a header with the id, the opcode, RD and CD."""
    response, slot = respond(query, SNAPSHOT, Turns(0), CLIENT)
    assert response == query[:2] + flags.to_bytes(2, "big") + bytes(8)
    assert slot == tally.answered(0, Rcode(flags & 0xF))


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (b"", Drop.SHORT),
        (question("www.lb.test A")[:11], Drop.SHORT),
        (question("www.lb.test A", flags=0x8000), Drop.RESPONSE),
        (question("www.lb.test A", flags=0x8000, payload=1232), Drop.RESPONSE),
        (question("www.lb.test A") + bytes(MAX_QUERY), Drop.LONG),
    ],
)
def test_what_gets_no_answer_is_counted(query: bytes, reason: Drop) -> None:
    """Silence has a reason, and a counter for it."""
    assert respond(query, SNAPSHOT, Turns(0), CLIENT) == (None, tally.dropped(reason))


# EDNS


@pytest.mark.parametrize("options", [[], [_COOKIE]])
@pytest.mark.parametrize("dnssec_ok", [False, True])
@pytest.mark.parametrize("text", ["www.lb.test A", "www.lb.test TXT", "no.lb.test A", "x.child.lb.test A"])
def test_opt_answers_opt(text: str, options: list[dns.edns.Option], *, dnssec_ok: bool) -> None:
    """Our own payload size, version 0, DO copied, and no options: none is supported."""
    message = ask(SNAPSHOT, text, payload=4096, dnssec_ok=dnssec_ok, options=options)
    assert (message.edns, message.payload, message.options) == (0, 1232, ())
    assert bool(message.ednsflags & 0x8000) == dnssec_ok
    assert ask(SNAPSHOT, text).edns == -1


# Length


@cache
def _mail(hosts: int) -> Snapshot:
    """Return a zone whose MX answer is made of so many records, each with an address beside it."""
    each = [f"mail MX 10 host-{n:03}\nhost-{n:03} A 192.0.{n // 256}.{n % 256}" for n in range(hosts)]
    return snapshot(zone("\n".join(each)))


LARGE = _mail(1700)
_LIMITS = ((None, 512), (0, 512), (511, 512), (512, 512), (700, 700), (1232, 1232), (4096, 1232), (65535, 1232))


@pytest.mark.parametrize(("payload", "limit"), _LIMITS)
def test_what_does_not_fit_is_left_out_in_order(payload: int | None, limit: int) -> None:
    """All fits, then the answers without the additional records, then TC and nothing: never longer than the limit."""
    seen = []
    for hosts in range(1, 70):
        response = _octets(question("mail.lb.test MX", payload=payload), _mail(hosts))
        message = decoded(response)
        assert len(response) <= limit
        assert message.question
        assert (message.edns >= 0) == (payload is not None)
        if message.flags & dns.flags.TC:
            assert [message.answer, message.authority, message.additional] == [[], [], []]
            assert message.rcode() == dns.rcode.NOERROR
            seen.append("truncated")
        else:
            assert len(message.answer[0]) == hosts
            assert len(message.additional) in {0, hosts}
            seen.append("whole" if message.additional else "bare")
    assert list(dict.fromkeys(seen)) == ["whole", "bare", "truncated"]
    room = limit - 12 - len(b"\x04mail\x02lb\x04test\x00") - 4 - (0 if payload is None else 11)
    assert seen.count("whole") == room // (25 + 25)
    assert seen.count("whole") + seen.count("bare") == room // 25


def test_a_response_may_be_exactly_as_long_as_the_limit() -> None:
    """One octet more is too long, with and without OPT, on both ways to answer."""
    for payload in (None, 512):
        fixed = 12 + len(b"\x01t\x02lb\x04test\x00") + 4 + 12 + (0 if payload is None else 11)
        for size, truncated in ((512, False), (513, True)):
            data = bytes([255]) + b"x" * 255 + bytes([size - fixed - 257]) + b"x" * (size - fixed - 257)
            text = f"t TYPE65280 \\# {len(data)} {data.hex()}"
            response = _octets(question("t.lb.test TYPE65280", payload=payload), snapshot(zone(text)))
            assert bool(response[2] & 2) == truncated
            assert truncated or len(response) == size


def test_additional_records_may_fill_the_last_octet() -> None:
    """They are left out when one octet is missing, and not before."""
    whole = _octets(question("mail.lb.test MX", payload=1232), _mail(13))
    assert 512 < len(whole) < 1232
    assert _octets(question("mail.lb.test MX", payload=len(whole)), _mail(13)) == whole
    assert decoded(_octets(question("mail.lb.test MX", payload=len(whole) - 1), _mail(13))).additional == []


@pytest.mark.parametrize("payload", [None, 512, 1000])
def test_a_stream_has_no_limit_of_its_own(payload: int | None) -> None:
    """Over TCP the payload size of EDNS says nothing."""
    message = ask(_mail(200), "mail.lb.test MX", payload=payload, stream=True)
    assert not message.flags & dns.flags.TC
    assert (len(message.answer[0]), len(message.additional)) == (200, 200)


@pytest.mark.parametrize("payload", [None, 1232, 1000])
def test_a_stream_carries_at_most_65535_octets(payload: int | None) -> None:
    """Its length field has two octets: the additional records are left out there too."""
    response = _octets(question("mail.lb.test MX", payload=payload), LARGE, stream=True)
    assert len(response) <= 65535
    assert (len(decoded(response).answer[0]), decoded(response).additional) == (1700, [])


def test_a_truncated_answer_is_counted_as_an_answer() -> None:
    """Its slot is that of the type and NOERROR."""
    assert respond(question("mail.lb.test MX"), _mail(60), Turns(0), CLIENT)[1] == tally.answered(15, Rcode.NOERROR)


# The counter's slot


@pytest.mark.parametrize("payload", [None, 1232, 1000])
@pytest.mark.parametrize(
    ("text", "rcode"),
    [
        ("www.lb.test A", Rcode.NOERROR),
        ("mail.lb.test MX", Rcode.NOERROR),
        ("www.lb.test TYPE97", Rcode.NOERROR),
        ("www.lb.test MX", Rcode.NOERROR),
        ("no.lb.test AAAA", Rcode.NXDOMAIN),
        ("elsewhere.test TXT", Rcode.REFUSED),
        ("x.child.lb.test A", Rcode.NOERROR),
        ("www.lb.test ANY", Rcode.NOERROR),
    ],
)
def test_each_answer_has_its_counter(text: str, rcode: Rcode, payload: int | None) -> None:
    """The pair of the type that was asked and the response code, whichever way the answer was found."""
    query = question(text, payload=payload)
    _, slot = respond(query, SNAPSHOT, Turns(0), CLIENT)
    asked = dns.message.from_wire(query).question[0].rdtype
    assert slot == tally.answered(asked, rcode)


@pytest.mark.parametrize("text", ["www.lb.test A", "no.lb.test A", "alias.lb.test A", "mx.lb.test A"])
def test_of_all_classes_nobody_is_an_authority(text: str) -> None:
    """QCLASS ANY gets what there is of class IN, without AA (RFC 1035 section 6.2)."""
    of = snapshot(zone("www A 192.0.2.80\nalias CNAME www"), pool(member("mx1", "192.0.2.1")), service())
    query = question(text)
    queries = query[:-2] + b"\0\xff", query
    found, expected = (decoded(respond(octets, of, Turns(0), CLIENT)[0] or b"") for octets in queries)
    assert found.sections[1:] == expected.sections[1:]
    assert found.flags == expected.flags & ~dns.flags.AA
    assert expected.flags & dns.flags.AA
