"""Class CHAOS: what the server says of itself, and that it says nothing unless it was told to."""

from dataclasses import replace

import dns.flags
import dns.rcode
import pytest

from dnslb.answer.terms import Terms
from tests.conftest import ask, lines, snapshot, zone

_SILENT = snapshot(zone("www A 192.0.2.1"))
_OPEN = replace(_SILENT, terms=Terms(identity=b"ns1.example", version=b'dnslb "7"'))


@pytest.mark.parametrize("qtype", ["TXT", "ANY"])
@pytest.mark.parametrize("payload", [None, 1232])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("id.server", '"ns1.example"'),
        ("HostName.Bind", '"ns1.example"'),
        ("version.bind", r'"dnslb \"7\""'),
        ("VERSION.SERVER", r'"dnslb \"7\""'),
    ],
)
def test_the_server_tells_who_and_what_it_is(name: str, text: str, qtype: str, payload: int | None) -> None:
    """One TXT record that nobody keeps (RFC 4892 section 3), under the name as it was asked for."""
    message = ask(_OPEN, f"{name} {qtype} CH", payload=payload)
    assert lines(message.answer) == [f"{name}. 0 TXT {text}"]
    assert message.answer[0].rdclass == message.question[0].rdclass
    assert (message.rcode(), bool(message.flags & dns.flags.AA)) == (dns.rcode.NOERROR, True)


@pytest.mark.parametrize("name", ["id.server", "hostname.bind", "version.bind", "version.server"])
def test_nothing_is_told_by_itself(name: str) -> None:
    """Without the configuration's word it is REFUSED, and each word is for its own names."""
    assert ask(_SILENT, f"{name} TXT CH").rcode() == dns.rcode.REFUSED
    other = Terms(version=b"x") if name in {"id.server", "hostname.bind"} else Terms(identity=b"x")
    assert ask(replace(_SILENT, terms=other), f"{name} TXT CH").rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize(
    "text",
    [
        *("id.server A CH", "version.bind AXFR CH", "authors.bind TXT CH", "www.lb.test TXT CH", "bind TXT CH"),
        *(
            "id.server TXT",
            "version.bind TXT HS",
            "version.bind TXT NONE",
            "version.bind TXT ANY",
            "x.id.server TXT CH",
        ),
    ],
)
def test_all_else_is_refused(text: str) -> None:
    """Other names and types of the class, and these names in other classes."""
    message = ask(_OPEN, text, payload=1232)
    assert (message.rcode(), message.answer, message.edns) == (dns.rcode.REFUSED, [], 0)
