"""explain: what a tired person reads, and what a program gets."""

import json
from ipaddress import ip_interface
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Dnslb, FakeDaemon


def _member(**facts: object) -> dict[str, Any]:
    return {
        "in": True,
        "rule": "up",
        "share": 0.5,
        "in_answers": 1.0,
        "published": True,
        "admin": "ready",
        "state": "up",
        "verdict": "ok",
        "reason": "",
        "weight": 50,
        "effective_weight": 50,
        "tier": 1,
        "addresses": ["192.0.2.11"],
        "portion": {"percent": 100, "why": ""},
    } | facts


def _client(**facts: object) -> dict[str, Any]:
    return {
        "title": "Postfix",
        "asks": True,
        "order": "shuffles",
        "first": {"mx2": 0.25, "mx1": 0.75},
        "tries": 5,
        "addresses": 8,
        "then": "goes on",
        "note": "",
        "source": "smtp_addr.c",
    } | facts


def an_explanation() -> dict[str, Any]:
    """Return the explanation of an address service with two members, one of them down."""
    down = _member(rule="not published: down (refused)", reason="nobody listens", state="down", verdict="refused")
    return {
        "name": "mx.lb.example.org",
        "type": "address",
        "why": "a service of type address, answered from pool inbound",
        "zone": "lb.example.org",
        "view": "",
        "other_views": [],
        "service": "mx.lb.example.org",
        "pool": "inbound",
        "records": 2,
        "ttl": 30,
        "ttl_min": 30,
        "ttl_max": 30,
        "ttl_why": "as configured",
        "panic": False,
        "answers": [
            {
                "type": "A",
                "rcode": "NOERROR",
                "authoritative": True,
                "variants": 64,
                "by_source": False,
                "rotation": [
                    {"first": ["mx1", "mx2"], "members": ["mx1", "mx2"], "part": 0.625},
                    {"first": ["mx1", "mx3"], "members": ["mx1", "mx3"], "part": 0.375},
                ],
                "answer": ["mx.lb.example.org. 30 A 192.0.2.11"],
                "authority": [],
                "additional": [],
            }
        ],
        "close": [],
        "other_types": ["TXT"],
        "members": {
            "mx1": _member(effective_weight=5),
            "mx2": down | {"in": False, "share": 0.0, "in_answers": 0.0},
        },
        "clients": {
            "postfix": _client(),
            "exim": _client(title="Exim", asks=False, first={}, tries=0, addresses=0),
            "getaddrinfo": _client(title="getaddrinfo client", tries=8, note="closeness decides"),
        },
        "client": {"address": "192.0.2.7", "subnet": "192.0.2.0/24", "view_source": None, "source": None},
        "generation": 7,
    }


@pytest.fixture(autouse=True)
def _explained(daemon: "FakeDaemon") -> None:
    daemon.operator.explained = an_explanation()


def squeezed(text: str) -> list[str]:
    """Return the lines with single spaces: what stands where, not how wide it is."""
    return [" ".join(line.split()) for line in text.splitlines() if line]


def test_a_service_is_explained_from_top_to_bottom(dnslb: "Dnslb") -> None:
    """The reason, the members with theirs, the records, and what clients do."""
    assert squeezed(dnslb("explain", "mx.lb.example.org").output) == [
        "mx.lb.example.org A and AAAA: a service of type address, answered from pool inbound.",
        "Members in an answer: 2. TTL 30 s: as configured.",
        "The name also has TXT: see `dnslb explain mx.lb.example.org TXT`.",
        "MEMBER IN SHARE IN ANSWERS WEIGHT TIER ADMIN STATE VERDICT",
        "mx1 yes 50% █████ 100% 5 (50) 1 ready up ok",
        "in: up",
        "mx2 no 0% 0% 50 1 ready down refused",
        "out: down (refused); nobody listens",
        "A: 64 variants in turn, for each resolver",
        "members: mx1 mx2 62%, mx1 mx3 38%",
        "one of them:",
        "mx.lb.example.org. 30 A 192.0.2.11",
        "What clients do with it; the first choice is over many resolvers:",
        "Postfix: first mx1 75%, mx2 25%; tries 5 of 8 addresses",
        "shuffles; goes on",
        "Exim: does not ask for A",
        "getaddrinfo client: first mx1 75%, mx2 25%; tries all 8 addresses",
        "shuffles; goes on",
        "note: closeness decides",
        "Client 192.0.2.7 in 192.0.2.0/24 is in no view: it gets what all others get.",
        "Which of the variants it gets is up to its resolver's turn.",
    ]


def test_a_client_is_told_of_its_view(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """And by which network it is in it; who asks for no client is told that there are views."""
    explained = daemon.operator.explained
    explained["view"] = "internal"
    explained["client"]["view_source"] = "192.0.2.0/25"
    place = "Client 192.0.2.7 is in view internal, by its source 192.0.2.0/25."
    assert place in dnslb("explain", "mx.lb.example.org", "--client", "192.0.2.7").output
    explained["client"]["source"] = {"network": "192.0.2.0/24", "first": ["mx2"], "then": []}
    told = squeezed(dnslb("explain", "mx.lb.example.org", "--client", "192.0.2.7").output)
    assert told[-3:-1] == [place, "Client 192.0.2.7 is in 192.0.2.0/24, which always gets mx2 while published."]
    explained |= {"client": None, "view": "", "other_views": ["internal"]}
    assert (
        "Clients of view internal may get something else: see --client." in dnslb("explain", "mx.lb.example.org").output
    )
    explained["other_views"] = ["a", "b", "c"]
    assert "Clients of views a, b and c may get" in dnslb("explain", "mx.lb.example.org").output


def test_a_client_with_members_of_its_own_is_told_of_them(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Which network counts, and whom it gets: first, and after that."""
    explained = daemon.operator.explained
    explained["answers"][0] |= {"by_source": True, "variants": 3}
    explained["client"]["source"] = {"network": "192.0.2.0/24", "first": ["mx2"], "then": ["mx1", "mx3"]}
    told = squeezed(dnslb("explain", "mx.lb.example.org", "--client", "192.0.2.7").output)
    assert "A: 3 variants by the client's network" in told
    assert "What clients do with it; the first choice is this client's:" in told
    assert told[-2:] == [
        "Client 192.0.2.7 is in 192.0.2.0/24, which always gets mx2 while published, and behind that mx1, mx3.",
        "What counts is the address that asks: of a client with a resolver elsewhere, it is the resolver's.",
    ]
    explained["client"]["source"] = {"network": "2001:db8::/56", "first": ["mx2", "mx1"], "then": []}
    told = squeezed(dnslb("explain", "mx.lb.example.org", "--client", "192.0.2.7").output)
    assert told[-2] == "Client 192.0.2.7 is in 2001:db8::/56, which always gets mx2 or mx1 while published."


def test_a_name_that_is_no_service_has_a_reason(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """And a guess at what was meant."""
    soa = "lb.example.org. 60 SOA ns"
    answer = {
        "type": "A",
        "rcode": "NXDOMAIN",
        "authoritative": True,
        "variants": 0,
        "by_source": False,
        "rotation": [],
        "answer": [],
        "authority": [soa],
        "additional": [],
    }
    nobody: dict[str, Any] = {"service": None, "pool": None, "records": None, "members": {}, "clients": {}}
    daemon.operator.explained |= nobody | {"name": "mxx.lb.example.org", "type": "A", "why": "there is no such name"}
    daemon.operator.explained |= {
        "close": ["mx.lb.example.org"],
        "other_types": [],
        "client": None,
        "answers": [answer],
    }
    assert squeezed(dnslb("explain", "mxx.lb.example.org").output) == [
        "mxx.lb.example.org A: there is no such name.",
        "Did you mean mx.lb.example.org?",
        "A: NXDOMAIN",
        soa,
    ]


def test_a_ttl_that_has_become_short_is_told_why(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """With the bounds that it stays between."""
    why = "mx1 fails, and is being confirmed"
    daemon.operator.explained |= {"ttl": 10, "ttl_min": 10, "ttl_max": 120, "ttl_why": why}
    line = squeezed(dnslb("explain", "mx.lb.example.org").output)[1]
    assert line == "Members in an answer: 2. TTL 10 s: mx1 fails, and is being confirmed (between 10 and 120)."


def test_an_answer_that_nobody_may_keep_has_no_ttl(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """A SERVFAIL says nothing of how long it holds."""
    daemon.operator.explained["ttl"] = None
    assert squeezed(dnslb("explain", "mx.lb.example.org").output)[1] == "Members in an answer: 2."


def test_what_is_in_rotation_is_told_as_far_as_it_helps(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Whom the variants prefer, where all name the same members; not more than a few kinds; nothing of one kind."""
    answer = daemon.operator.explained["answers"][0]
    everybody = [f"mx{number}" for number in range(10)]
    answer["rotation"] = [{"first": [name], "members": everybody, "part": 0.1} for name in everybody]
    listed = ", ".join(f"{name} 10%" for name in everybody[:8])
    shown = " ".join(squeezed(dnslb("explain", "lb.test").output))
    assert f"first: {listed}, and 2 more one of them:" in shown
    answer["rotation"] = answer["rotation"][:1]
    assert "first:" not in dnslb("explain", "lb.test").output
    assert "one of them:" in dnslb("explain", "lb.test").output


def test_a_static_record_is_the_same_each_time(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """With the TTL of its own."""
    daemon.operator.explained |= {"service": None, "members": {}, "clients": {}, "client": None, "other_types": []}
    daemon.operator.explained["answers"][0]["variants"] = 1
    lines = squeezed(dnslb("explain", "www.lb.example.org").output)
    assert lines[1:] == ["TTL: 30 s.", "A, the same each time:", "mx.lb.example.org. 30 A 192.0.2.11"]


@pytest.mark.parametrize(("ours", "told"), [(True, "A: NOERROR, and no such record"), (False, "A: a referral")])
def test_an_answer_without_data_is_said_so(dnslb: "Dnslb", daemon: "FakeDaemon", told: str, *, ours: bool) -> None:
    """NODATA and a delegation have the same response code."""
    empty: dict[str, Any] = {"variants": 0, "answer": [], "authority": ["lb. 60 NS ns"], "authoritative": ours}
    daemon.operator.explained["answers"][0] |= empty
    lines = squeezed(dnslb("explain", "a.lb.example.org").output)
    assert lines[lines.index(told) + 1] == "lb. 60 NS ns"


def test_panic_and_silence_are_not_to_be_missed(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Nobody reads shares that mean nothing without knowing it."""
    daemon.operator.explained["panic"] = True
    daemon.operator.explained["clients"] = {
        "postfix": _client(first={}, tries=0, addresses=0),
        "getaddrinfo": _client(title="getaddrinfo client", first={}, tries=0, addresses=2),
    }
    lines = squeezed(dnslb("explain", "mx.lb.example.org").output)
    assert "PANIC in pool inbound: health is ignored; see `dnslb pool inbound`." in lines
    assert "Postfix: gets SERVFAIL, which is no bounce: it tries again later" in lines
    assert "getaddrinfo client: finds no address that it can reach" in lines


def test_what_is_typed_is_asked(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """A name in any case, a type in any case, a client with or without its subnet."""
    dnslb("explain", "MX.Lb.test.")
    dnslb("explain", "lb.test", "mx", "--client", "10.0.0.7/26")
    assert daemon.operator.asked == [
        {"name": b"\x02mx\x02lb\x04test\x00", "type": None, "client": None},
        {"name": b"\x02lb\x04test\x00", "type": 15, "client": ip_interface("10.0.0.7/26")},
    ]


def test_json_is_what_the_daemon_says(dnslb: "Dnslb") -> None:
    """Nothing is rounded."""
    assert json.loads(dnslb("explain", "mx.lb.example.org", "--json").stdout) == an_explanation()


def test_a_reply_of_a_mail_server_cannot_steer_the_terminal(dnslb: "Dnslb", daemon: "FakeDaemon") -> None:
    """Control characters are shown as what they are."""
    daemon.operator.explained["members"]["mx2"]["reason"] = "554 \x1b[2J"
    output = dnslb("explain", "mx.lb.example.org").output
    assert "554 \\x1b[2J" in output
    assert "\x1b" not in output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "Missing argument 'NAME'"),
        (["a..b"], "'a..b' has an empty label"),
        (["a.test", "WEIGHT"], "'WEIGHT' is no record type: write for example A, MX, SRV or TYPE65280"),
        (["a.test", "--client", "mx1"], "'mx1' is no address: write for example 192.0.2.7 or 192.0.2.7/26"),
    ],
)
def test_what_is_no_question_is_a_usage_error(
    dnslb: "Dnslb", daemon: "FakeDaemon", words: list[str], told: str
) -> None:
    """Exit status 2, with what was expected, and the daemon is not asked."""
    result = dnslb("explain", *words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert daemon.operator.asked == []
