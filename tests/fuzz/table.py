"""What is asked while fuzzing: a table with everything that an answer can be made of."""

from dataclasses import replace

from dnslb.answer.service import ServiceType
from dnslb.answer.terms import Terms
from dnslb.config.values import MAX_TOLD
from dnslb.pool.admin import Admin
from dnslb.pool.health import Health, State
from dnslb.pool.member import AllDown, Policy
from dnslb.pool.selection import Candidate
from dnslb.wire.name import from_text
from tests.conftest import audience, candidate, compiled, member, pool, service, world, zone

_FILE = zone(f"""
    @ MX 10 mx
    static A 192.0.2.9
    static AAAA 2001:db8::9
    alias CNAME static
    toservice CNAME mx
    towild CNAME x.wild
    tochild CNAME x.child
    outside CNAME elsewhere.test.
    round1 CNAME round2
    round2 CNAME round1
    *.wild A 192.0.2.5
    *.wild MX 10 static
    *.aliases CNAME towild
    a.b.empty A 192.0.2.6
    below.*.void TXT "x"
    child NS ns.child
    child DS 1 13 2 {"0" * 64}
    ns.child A 192.0.2.7
    ns.child AAAA 2001:db8::7
    old DNAME new
    mx.new CNAME mx
    *.new CNAME a.old
    around DNAME x.around
    long DNAME {"a" * 60}.{"b" * 60}.{"c" * 60}
    types HTTPS 1 . alpn=h2
    types TYPE65280 \\# 3 010203
    types CAA 0 issue "x"
    """)
_LARGE = zone("\n".join(f'large TXT "{n:03} {"x" * 200}"\nsome A 10.0.0.{n}' for n in range(1, 250)), "large.test")
_PLAIN = zone("www A 192.0.2.80\nsub.www TXT x", "plain.test")
_INNER = pool(member("in1", "10.0.0.1"), member("in2", "10.0.0.2", "fd00::2"), name="inner", min_healthy=1.0)
_HASHED = replace(
    pool(member("h1", "192.0.2.21"), member("h2", "192.0.2.22"), name="hashed"), policy=Policy.SOURCE_HASH
)
_GONE = pool(member("gone"), name="gone", all_down=AllDown.SERVFAIL)
_OUTER = pool(*(member(f"mx{n}", f"192.0.2.{100 + n}", f"2001:db8::{n}") for n in range(12)), name="outer")
NOW = 1_700_000_000
SECRETS = (bytes(range(16)), bytes(range(16, 32)))
"""Those of cookies, whose time does not go on."""
WORLD = world(
    _FILE,
    _LARGE,
    _PLAIN,
    _OUTER,
    _INNER,
    _HASHED,
    _GONE,
    service(of="outer", records=2),
    service(of="inner", records=1, view="internal"),
    service("mail.lb.test", ServiceType.MX, "outer"),
    service("_submission._tcp.lb.test", ServiceType.SRV, "outer"),
    service("hash.lb.test", of="hashed", records=1),
    service("gone.lb.test", of="gone"),
    audience("192.0.2.53", "2001:db8:53::/48", "127.0.0.3", internal="10.0.0.0/8 fd00::/8 127.0.0.2/32"),
)
_DOWN = [candidate("gone", State.DOWN), Candidate(_INNER.members[1], Admin(), Health(State.DOWN))]
SNAPSHOT = replace(compiled(WORLD, _DOWN), terms=Terms(b"i" * MAX_TOLD, b"v" * MAX_TOLD, SECRETS))
"""With a pool in panic, and all that may be told, which is as long as may be."""
CLIENTS = (b"\xc0\x00\x02\x63", b"\xc0\x00\x02\x35", b"\x0a\x00\x00\x01", b"\xfd" + bytes(15), b"")
"""An outsider, a resolver that may say for whom it asks, two of a view, and nobody known."""
NAMES = tuple(
    from_text(text)
    for text in (
        *("lb.test", "ns.lb.test", "static.lb.test", "alias.lb.test", "toservice.lb.test", "towild.lb.test"),
        *(
            "tochild.lb.test",
            "outside.lb.test",
            "round1.lb.test",
            "x.wild.lb.test",
            "*.wild.lb.test",
            "x.y.aliases.lb.test",
        ),
        *("b.empty.lb.test", "x.void.lb.test", "child.lb.test", "www.child.lb.test", "old.lb.test", "mx.old.lb.test"),
        *(
            "x.old.lb.test",
            "x.around.lb.test",
            "x.long.lb.test",
            f"{'x' * 63}.long.lb.test",
            "types.lb.test",
            "no.lb.test",
        ),
        *("mx.lb.test", "mail.lb.test", "_submission._tcp.lb.test", "hash.lb.test", "gone.lb.test", "large.large.test"),
        *(
            "some.large.test",
            "no.large.test",
            "www.plain.test",
            "no.plain.test",
            "elsewhere.test",
            "version.bind",
            "id.server",
        ),
    )
)
