"""Questions for a whole zone: nobody gets one."""

import dns.edns
import dns.rcode
import pytest

from dnslb.answer import tally
from dnslb.answer.responder import respond
from dnslb.answer.turns import Turns
from dnslb.wire.header import Rcode
from tests.conftest import CLIENT, ask, decoded, question, snapshot, zone

_SNAPSHOT = snapshot(zone("www A 192.0.2.1\nchild NS ns.child\nns.child A 192.0.2.9"), zone("", "sub.lb.test"))
_SOA = b"\xc0\x0c\0\6\0\1\0\0\0\0\0\x16" + bytes(22)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("qtype", ["AXFR", "IXFR"])
@pytest.mark.parametrize("apex", ["lb.test", "LB.test", "sub.lb.test"])
def test_a_zone_of_ours_is_refused(apex: str, qtype: str, *, stream: bool) -> None:
    """To everybody (RFC 5936 section 5), over UDP too, since that is no fault of the query's form."""
    message = ask(_SNAPSHOT, f"{apex} {qtype}", payload=1232, stream=stream)
    assert (message.rcode(), message.sections[1:]) == (dns.rcode.REFUSED, [[], [], []])
    (option,) = message.options
    assert isinstance(option, dns.edns.EDEOption)
    assert option.code == dns.edns.EDECode.PROHIBITED


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("qtype", ["AXFR", "IXFR"])
@pytest.mark.parametrize("name", ["www.lb.test", "no.lb.test", "child.lb.test", "test", ".", "elsewhere.test"])
def test_what_is_no_zone_of_ours_is_not_authoritative(name: str, qtype: str, *, stream: bool) -> None:
    """NOTAUTH (RFC 5936 section 2.2.1)."""
    message = ask(_SNAPSHOT, f"{name} {qtype}", payload=1232, stream=stream)
    assert (message.rcode(), message.options, message.sections[1:]) == (dns.rcode.NOTAUTH, (), [[], [], []])


@pytest.mark.parametrize(("text", "rcode"), [("lb.test IXFR", Rcode.REFUSED), ("www.lb.test IXFR", Rcode.NOTAUTH)])
def test_an_incremental_transfer_says_what_it_has(text: str, rcode: Rcode) -> None:
    """Its SOA in the authority section is as it should be (RFC 1995 section 3), and no format error."""
    query = question(text)
    query = query[:8] + b"\0\1" + query[10:] + _SOA
    response, slot = respond(query, _SNAPSHOT, Turns(0), CLIENT)
    assert int(decoded(response or b"").rcode()) == rcode
    assert slot == tally.answered(251, rcode)


@pytest.mark.parametrize("counts", [b"\0\1\0\0\0\0", b"\0\0\0\1\0\0"], ids=["answer", "authority"])
def test_records_that_a_query_need_not_have_are_ignored(counts: bytes) -> None:
    """Mail does not wait for a resolver that sends them: it gets its answer, without them."""
    query = question("www.lb.test A")
    response, _ = respond(query[:6] + counts + query[12:] + _SOA, _SNAPSHOT, Turns(0), CLIENT)
    assert decoded(response or b"").answer == ask(_SNAPSHOT, "www.lb.test A").answer
