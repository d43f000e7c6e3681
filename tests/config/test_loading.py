"""Configurations as files: what comes out of a good one, and what is said of each mistake in a bad one."""

import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trustme

from dnslb.answer.service import Preference, Service, ServiceType, Ttl
from dnslb.config import ConfigError, Endpoint, Problem, find, load
from dnslb.notify.target import Command, Webhook
from dnslb.notify.target import Target as Told
from dnslb.pool.member import AllDown, Policy
from dnslb.probe.recipe import Auth, Kind, Recipe, StartTls, Target, Verify
from dnslb.wire.name import from_text

EXAMPLE = Path(__file__).parents[2] / "zones" / "dnslb.toml"

CONFIG = """\
[server]
listen = ["127.0.0.1:0"]
http = ""

[zone."lb.example.org"]
file = "lb.zone"

[probe.inbound]
kind = "smtp"

[pool.inbound]
probe = "inbound"

[[pool.inbound.member]]
name = "mx1"
addresses = ["192.0.2.11"]

[[pool.inbound.member]]
name = "mx2"
addresses = ["192.0.2.12"]

[[service]]
name = "mx.lb.example.org"
type = "address"
pool = "inbound"

[[service]]
name = "mail.lb.example.org"
type = "MX"
pool = "inbound"

[[service]]
name = "_submission._tcp.lb.example.org"
type = "SRV"
pool = "inbound"
port = 587
"""

ZONE = """\
$TTL 60
@ SOA ns1 hostmaster 1 3600 600 604800 30
@ NS ns1
ns1 A 192.0.2.1
"""

DURATION = 'expected a duration: "500ms", "10s", "2m", "1h", "1d" or a number of seconds'
PROBE_X = "[probe.x]\nkind = 'smtp'"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a writer of a configuration and its zone into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write_files(config: str = CONFIG, zone: str = ZONE) -> Path:
        Path("lb.zone").write_text(zone)
        Path("dnslb.toml").write_text(config)
        return Path("dnslb.toml")

    return write_files


def errors(path: Path) -> list[str]:
    """Return the text of every problem of a configuration, none if it is right."""
    try:
        load(path)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def changed(text: str, old: str, new: str) -> str:
    """Return the text with its one occurrence of `old` changed."""
    assert text.count(old) == 1, old
    return text.replace(old, new)


def test_the_example_is_right_and_complete() -> None:
    """The pair in zones/ loads without a warning, and its paths are relative to it."""
    settings = load(EXAMPLE)
    assert settings.warnings == ()
    assert [str(endpoint) for endpoint in settings.server.listen] == ["127.0.0.1:5300", "[::1]:5300"]
    assert settings.server.http == Endpoint(ip_address("127.0.0.1"), 8053)
    assert settings.server.state == EXAMPLE.parent / "state"
    assert settings.server.control == EXAMPLE.parent / "state" / "control.sock"
    assert [member.weight for member in settings.pools["inbound"].members] == [50, 30, 20, 10]
    assert [member.tier for member in settings.pools["inbound"].members] == [1, 1, 1, 2]
    assert {service.type for service in settings.services} == set(ServiceType)


def test_every_key_that_is_documented_is_known(write: Write) -> None:
    """A file with every key is accepted without a warning, and what it says of probing reaches the recipe."""
    Path("lb.example.org.zone").write_text(ZONE)
    trustme.CA().cert_pem.write_to_path("ca.pem")
    Path("probe.secret").write_text("secret\n")
    Path("probe.secret").chmod(0o600)
    Path("page.sh").touch(mode=0o755)
    Path("chat.secret").write_text("token\n")
    Path("chat.secret").chmod(0o600)
    Path("cookies.secret").write_text(f"{bytes(16).hex()}\n")
    Path("cookies.secret").chmod(0o600)
    Path("tokens.secret").write_text(f"prometheus read {bytes(16).hex()}\n")
    Path("tokens.secret").chmod(0o600)
    settings = load(write((Path(__file__).parent / "everything.toml").read_text()))
    assert settings.warnings == ()
    source = (ip_address("192.0.2.5"), ip_address("2001:db8::5"))
    assert settings.targets[0].recipe == Recipe(
        "inbound",
        Kind.SMTP,
        25,
        10.0,
        10.0,
        2,
        3,
        "probe.lb.example.org",
        source,
        StartTls.OPPORTUNISTIC,
        Verify.NONE,
        Path("ca.pem"),
        ("PIPELINING",),
        auth=Auth("probe", "secret"),
        rcpt_to="postmaster@example.org",
    )
    assert settings.notices[0] == Told(
        "chat.example.org",
        Webhook("https://chat.example.org/hooks/2b4d", "token", Path("ca.pem")),
        frozenset({"state", "panic", "alert"}),
        frozenset({"inbound"}),
        10.0,
    )
    assert settings.notices[1].door == Command((str(Path("page.sh").absolute()), "--team", "mail"))


def test_defaults(write: Write) -> None:
    """What the file leaves out has the defaults that the contract names."""
    settings = load(write())
    apex = from_text("lb.example.org")
    recipe = Recipe("inbound", Kind.SMTP, 25, 10.0, 10.0, 2, 3, "probe.lb.example.org", starttls=StartTls.OPPORTUNISTIC)
    pool = settings.pools["inbound"]
    assert (pool.policy, pool.all_down, pool.min_healthy) == (Policy.WEIGHTED, AllDown.SERVE_ALL, 0.0)
    assert (pool.slow_start, pool.client_reuse) == (120.0, 300.0)
    # 1.0 would be all of the weight.
    assert (pool.tier_min, isinstance(pool.tier_min, int)) == (1, True)
    assert [(one.weight, one.tier, one.host, one.group) for one in pool.members] == [(1, 1, "", ""), (1, 1, "", "")]
    assert settings.targets == (
        Target("inbound", "mx1", (ip_address("192.0.2.11"),), 25, recipe, "mx1.lb.example.org", ()),
        Target("inbound", "mx2", (ip_address("192.0.2.12"),), 25, recipe, "mx2.lb.example.org", ()),
    )
    assert settings.services == (
        Service(from_text("mx.lb.example.org"), apex, ServiceType.ADDRESS, "inbound", 2, Ttl(30, 30)),
        Service(
            from_text("mail.lb.example.org"), apex, ServiceType.MX, "inbound", None, Ttl(30, 30), Preference.RANKED
        ),
        Service(
            from_text("_submission._tcp.lb.example.org"), apex, ServiceType.SRV, "inbound", None, Ttl(30, 30), port=587
        ),
    )
    assert settings.server.workers >= 1
    assert settings.server.cpus == ()
    assert settings.server.http is None
    assert settings.server.control == Path("state/control.sock")
    assert [zone.apex for zone in settings.zones] == [apex]


def test_workers_run_on_cpus_that_there_are(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """One may be named twice; of those that are missing, or not allowed to this process, each is told."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 8})
    path = write(changed(CONFIG, 'http = ""', 'http = ""\ncpus = [8, 1, 8]'))
    assert load(path).server.cpus == (8, 1, 8)
    path = write(changed(CONFIG, 'http = ""', 'http = ""\ncpus = [4, 1, 9]'))
    with pytest.raises(ConfigError) as raised:
        load(path)
    reason = "there is no such CPU, or it is not allowed here: expected one of 0-3,8"
    assert [str(problem).partition(": ")[2] for problem in raised.value.problems] == [
        f"server.cpus[#1] = 4: {reason}",
        f"server.cpus[#3] = 9: {reason}",
    ]


def test_everything_can_be_said(write: Write) -> None:
    """Each key that this version acts on reaches the settings."""
    config = changed(CONFIG, 'http = ""', 'http = "[::1]:0"\nworkers = 3\nstate = "/var/lib/x"\ncontrol = "c.sock"')
    config = changed(
        config,
        'kind = "smtp"',
        'kind = "submission"\nport = 26\ninterval = "500ms"\ntimeout = 2\nrise = 4\nfall = 5\nehlo = "me.example"\n'
        'source = ["192.0.2.5", "2001:db8::5"]\nstarttls = "require"\nverify = "name"\n'
        'rcpt_to = "a@b.example"\nmail_from = "c@d.example"\ncapabilities = ["size", "PIPELINING", "SIZE"]\n'
        'proxy = true\ntls_interval = 1\ncertificate_interval = "2s"\nrecipient_interval = "3s"',
    )
    config = changed(
        config,
        'probe = "inbound"',
        'probe = "inbound"\npolicy = "round-robin"\nall_down = "servfail"\nmin_healthy = 0.5\nslow_start = "0"\n'
        'client_reuse = "1m"\ntier_min = 0.5',
    )
    config = changed(
        config,
        'name = "mx2"',
        'name = "mx2"\nweight = 0\ntier = 7\nhost = "Out.lb.Example.org."\nport = 2525\ngroup = "rack-2"',
    )
    config = changed(config, 'type = "MX"', 'type = "MX"\nrecords = 1\nttl = 0\npreference = "equal"')
    settings = load(write(config))
    target = settings.targets[1]
    source = (ip_address("192.0.2.5"), ip_address("2001:db8::5"))
    assert target.recipe == Recipe(
        "inbound",
        Kind.SUBMISSION,
        26,
        0.5,
        2.0,
        4,
        5,
        "me.example",
        source,
        StartTls.REQUIRE,
        Verify.NAME,
        capabilities=("SIZE", "PIPELINING"),
        proxy=True,
        rcpt_to="a@b.example",
        mail_from="c@d.example",
        tls_interval=1.0,
        certificate_interval=2.0,
        recipient_interval=3.0,
    )
    assert (target.port, target.host) == (2525, "out.lb.example.org")
    pool = settings.pools["inbound"]
    assert (pool.policy, pool.all_down, pool.min_healthy) == (Policy.ROUND_ROBIN, AllDown.SERVFAIL, 0.5)
    assert (pool.slow_start, pool.client_reuse, pool.tier_min) == (0.0, 60.0, 0.5)
    member = pool.members[1]
    assert (member.weight, member.tier, member.host, member.group) == (0, 7, "out.lb.example.org", "rack-2")
    mail = settings.services[1]
    assert (mail.records, mail.ttl, mail.preference) == (1, Ttl(0, 0), Preference.EQUAL)
    server = settings.server
    assert (server.workers, server.state, server.control) == (3, Path("/var/lib/x"), Path("c.sock"))
    assert server.http == Endpoint(ip_address("::1"), 0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ('"500ms"', 0.5),
        ('"10s"', 10.0),
        ('"1.5m"', 90.0),
        ('"1h"', 3600.0),
        ('"1d"', 86400.0),
        ("3", 3.0),
        ("0.25", 0.25),
    ],
)
def test_durations(write: Write, text: str, seconds: float) -> None:
    """A duration has a unit, or is a number of seconds."""
    settings = load(write(changed(CONFIG, 'kind = "smtp"', f'kind = "smtp"\ninterval = {text}')))
    assert settings.targets[0].recipe.interval == seconds


def test_events_are_kept_for_three_months_or_as_long_as_it_says(write: Write) -> None:
    """In days as well as in any other unit."""
    assert load(write(CONFIG)).event_retention == 90 * 86400
    kept = changed(CONFIG, 'http = ""', 'http = ""\nevent_retention = "400d"')
    assert load(write(kept)).event_retention == 400 * 86400


@pytest.mark.parametrize(("text", "seconds"), [('"0"', 0.0), ('"0s"', 0.0), ("0", 0.0), ('"90s"', 90.0)])
def test_a_slow_start_may_be_none(write: Write, text: str, seconds: float) -> None:
    """A pool without slow start says 0, with or without a unit."""
    settings = load(write(changed(CONFIG, 'probe = "inbound"', f'probe = "inbound"\nslow_start = {text}')))
    assert settings.pools["inbound"].slow_start == seconds


def test_a_ttl_can_have_bounds(write: Write) -> None:
    """They are the service's; the two may be the same, which is as good as a number."""
    config = changed(CONFIG, '"address"', '"address"\nttl = { max = 120, min = 10 }')
    config = changed(config, 'type = "MX"', 'type = "MX"\nttl = { min = 7, max = 7 }')
    assert [service.ttl for service in load(write(config)).services] == [Ttl(10, 120), Ttl(7, 7), Ttl(30, 30)]


@pytest.mark.parametrize(
    ("old", "added", "told"),
    [
        ('"address"', "records = 3", "some 2000 queries a second, and 3 of 12 members in each answer"),
        ('"address"', 'records = "all"', "some 2000 queries a second, and 12 of 12 members in each answer"),
        ('"MX"', "", "some 3000 queries a second, and 12 of 12 members in each answer"),
    ],
)
def test_a_large_pool_whose_answers_nobody_keeps_is_warned_of(write: Write, old: str, added: str, told: str) -> None:
    """With what that comes to; a TTL of 1 is enough to be told nothing."""
    member = '[[pool.inbound.member]]\nname = "m{0}"\naddresses = ["192.0.2.{0}"]\n\n'
    first = '[[service]]\nname = "mx.'
    config = changed(CONFIG, first, "".join(map(member.format, range(20, 30))) + first)
    config = changed(config, old, f"{old}\nttl = 0\n{added}")
    (warning,) = load(write(config)).warnings
    assert "].ttl: resolvers keep nothing" in warning
    assert f"1000 messages a second are {told}" in warning
    assert not load(write(config.replace("ttl = 0", "ttl = 1"))).warnings


@pytest.mark.parametrize(
    ("kind", "port", "starttls"),
    [
        ("smtp", 25, StartTls.OPPORTUNISTIC),
        ("submission", 587, StartTls.OPPORTUNISTIC),
        ("lmtp", 24, StartTls.OPPORTUNISTIC),
        ("smtps", 465, StartTls.OFF),
    ],
)
def test_each_kind_has_its_port_and_its_way_to_tls(write: Write, kind: str, port: int, starttls: StartTls) -> None:
    """STARTTLS is tried where it is offered, and is nothing to ask for where TLS comes first."""
    recipe = load(write(changed(CONFIG, '"smtp"', f'"{kind}"'))).targets[0].recipe
    assert (recipe.kind, recipe.port, recipe.starttls) == (kind, port, starttls)


def test_no_aspect_comes_more_often_than_the_session(write: Write) -> None:
    """A long interval lifts the defaults of the intervals of single aspects, without an error."""
    recipe = load(write(changed(CONFIG, '"smtp"', '"smtp"\ninterval = "10m"'))).targets[0].recipe
    assert (recipe.tls_interval, recipe.recipient_interval, recipe.auth_interval) == (600.0, 600.0, 600.0)
    assert recipe.certificate_interval == 900.0


@pytest.mark.parametrize(
    "mailbox", ["a.b+c@example.org", '"a b@c"@example.org', "x@[192.0.2.1]", "x@[IPv6:2001:db8::1]", "_@a_b.example"]
)
def test_mailboxes_in_all_their_forms(write: Write, mailbox: str) -> None:
    """A sentinel may have any form that RFC 5321 4.1.2 knows in ASCII."""
    recipe = load(write(changed(CONFIG, '"smtp"', f"\"smtp\"\nrcpt_to = '{mailbox}'"))).targets[0].recipe
    assert recipe.rcpt_to == mailbox


def test_a_zone_below_another_takes_its_names(write: Write) -> None:
    """A service belongs to the longest zone that its name lies in."""
    Path("sub.zone").write_text(ZONE)
    settings = load(write(CONFIG + '[zone."mail.lb.example.org"]\nfile = "sub.zone"\n'))
    assert settings.services[1].zone == from_text("mail.lb.example.org")


@pytest.mark.parametrize(
    ("kind", "port", "owner", "named"),
    [
        ("submission", "", "_submission._tcp.mx.lb.example.org", 587),
        ("smtps", "", "_submissions._tcp.mx.lb.example.org", 465),
        ("smtp", "port = 2525\n", "_submission._tcp.mx.lb.example.org", 2525),
    ],
)
def test_companions_are_services_of_the_same_pool(write: Write, kind: str, port: str, owner: str, named: int) -> None:
    """MX at the name itself and SRV under it, right behind the addresses; all members, whatever `records` says."""
    config = changed(
        changed(CONFIG, '"smtp"', f'"{kind}"'), '"address"', f'"address"\nttl = 7\n{port}with = ["MX", "SRV"]'
    )
    name, apex = from_text("mx.lb.example.org"), from_text("lb.example.org")
    settings = load(write(config))
    assert settings.warnings == ()
    assert settings.services[:3] == (
        Service(name, apex, ServiceType.ADDRESS, "inbound", 2, Ttl(7, 7)),
        Service(name, apex, ServiceType.MX, "inbound", None, Ttl(7, 7), Preference.RANKED),
        Service(from_text(owner), apex, ServiceType.SRV, "inbound", None, Ttl(7, 7), port=named),
    )


def test_an_address_answer_of_a_source_hash_pool_holds_one_member(write: Write) -> None:
    """Senders shuffle the records of an answer: of two members a client would take either. It can be said otherwise."""
    by_source = changed(CONFIG, 'probe = "inbound"', 'probe = "inbound"\npolicy = "source-hash"')
    settings = load(write(by_source))
    assert settings.pools["inbound"].policy is Policy.SOURCE_HASH
    assert [service.records for service in settings.services] == [1, None, None]
    said = load(write(changed(by_source, '"address"', '"address"\nrecords = 2')))
    assert said.services[0].records == 2


def cases(file: str) -> list[Any]:
    """Return the cases of a text file: what is changed in CONFIG, into what, and the lines that are expected."""
    _head, *blocks = (Path(__file__).parent / file).read_text().strip().split("\n\n")
    return [_case(block.split("\n")) for block in blocks]


def _case(lines: list[str]) -> Any:  # noqa: ANN401  # pytest's type for this is private
    old, new, expected = ([line[2:] for line in lines if line[0] == mark] for mark in "-+!")
    return pytest.param("\n".join(old), "\n".join(new), expected, id=" ".join(new or old)[:40])


@pytest.mark.parametrize(("old", "new", "expected"), cases("mistakes.txt"))
def test_each_mistake_is_named_with_line_key_value_and_what_was_expected(
    write: Write, old: str, new: str, expected: list[str]
) -> None:
    """One mistake gives exactly its own errors, and nothing that merely follows from it."""
    config = CONFIG.replace(old, new, 1)
    assert config != CONFIG
    assert errors(write(config)) == [f"dnslb.toml:{line}" if line[0].isdigit() else line for line in expected]


def test_all_mistakes_of_all_files_come_at_once(write: Write) -> None:
    """Mistakes in tables, between tables, in zones and between both come together, in the order of files and lines."""
    config = CONFIG.replace('"smtp"', '"smpt"').replace('"MX"\npool = "inbound"', '"MX"\nttl = -1\npool = "nowhere"')
    zone = ZONE + "mx A 192.0.2.99\nbroken A 1.2.3\nother.example. A 192.0.2.3\nx CNAME y\nx A 192.0.2.4\n"
    assert errors(write(config, zone)) == [
        'dnslb.toml:9: probe.inbound.kind = "smpt": expected one of smtp, submission, smtps, lmtp, tcp',
        'dnslb.toml:23: service[mx.lb.example.org].name = "mx.lb.example.org": collides with the A record in lb.zone:5',
        "dnslb.toml:30: service[mail.lb.example.org].ttl = -1: expected a whole number of seconds from 0 to 2147483647",
        'dnslb.toml:31: service[mail.lb.example.org].pool = "nowhere": no such pool, expected one of inbound',
        "lb.zone:6: 'A 1.2.3' is not a valid A record: expected an IPv4 address",
        "lb.zone:7: other.example is outside the zone lb.example.org",
        "lb.zone:8: x.lb.example.org has a CNAME and other records (RFC 1034 3.6.2)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb = \n", "dnslb.toml:2: not TOML: Invalid value"),
        ('a = 1\nb = "open', "dnslb.toml:2: not TOML: Unterminated string"),
        ('[a]\nb = "5s"\nb = "10s"\n', "dnslb.toml:3: not TOML: this key has a value already"),
        ("[a]\n\n[a]\n", "dnslb.toml:3: not TOML: Cannot declare ('a',) twice"),
        ("", 'dnslb.toml: zone: missing, expected at least one [zone."NAME"]'),
        ("service = 5\n[zone]", "dnslb.toml:1: service = 5: expected an array of tables, [[service]]"),
        ("server = 5\n[zone]", "dnslb.toml:1: server = 5: expected a table, [server]"),
        ("[zone]\nx = 5", "dnslb.toml:2: zone.x = 5: expected a table, [zone.x]"),
        (
            '[zone."a..b"]\nfile = "lb.zone"',
            "dnslb.toml:1: zone.\"a..b\": not a zone's name: 'a..b' has an empty label",
        ),
        (
            '[zone."lb.example.org"]\nfile = "lb.zone"\n[zone."LB.example.org"]\nfile = "lb.zone"',
            'dnslb.toml:3: zone."LB.example.org": the same zone as "lb.example.org"',
        ),
        (
            "[zone]\n[pool.a]\nprobe = 'x'\n" + PROBE_X,
            "dnslb.toml:2: pool.a.member: missing, expected at least one [[pool.a.member]]",
        ),
        (
            "[zone]\n[pool.'a b']\nprobe = 'x'\nmember = [{ name = 'm', addresses = ['192.0.2.1'] }]\n" + PROBE_X,
            'dnslb.toml:2: pool."a b": expected a name of letters, digits, - and _ (at most 63, no - at either end)',
        ),
        (
            "[zone]\n[pool.a]\nprobe = 'x'\nmember = [{ name = 'm', weight = 0, addresses = ['192.0.2.1'] }]\n"
            + PROBE_X,
            "dnslb.toml:2: pool.a: every member has weight 0, expected at least one above 0",
        ),
        (
            "[zone]\n[pool.a]\nprobe = 'x'\nmember = { name = 'm' }\n" + PROBE_X,
            "dnslb.toml:4: pool.a.member: expected an array of tables, [[pool.a.member]]",
        ),
    ],
)
def test_documents_of_the_wrong_shape(write: Write, text: str, expected: str) -> None:
    """What is not TOML, or has something else where a table belongs, is one clear error."""
    assert errors(write(text)) == [expected]


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file, a directory, or octets that are no text: one error each, without a line."""
    monkeypatch.chdir(tmp_path)
    Path("latin1.toml").write_bytes(b"a = '\xe4'\n")
    Path("directory.toml").mkdir()
    assert errors(Path("none.toml")) == ["none.toml: cannot be read: No such file or directory"]
    assert errors(Path("directory.toml")) == ["directory.toml: not a file"]
    assert errors(Path("latin1.toml")) == ["latin1.toml: not UTF-8 text: octet 5 is 0xe4"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            "0x" + "f" * 5000,
            "10: probe.inbound.interval = (a number with too many digits): expected a duration above 0 and up to 24h",
        ),
        ("1" * 400, f"10: probe.inbound.interval = {'1' * 77}...: expected a duration above 0 and up to 24h"),
        ("inf", "10: probe.inbound.interval = Infinity: expected a duration above 0 and up to 24h"),
        (
            "1979-05-27",
            f'10: probe.inbound.interval = "1979-05-27": {DURATION}',
        ),
    ],
    ids=["hexadecimal", "decimal", "infinite", "date"],
)
def test_monstrous_values_are_errors_as_others(write: Write, value: str, expected: str) -> None:
    """A number that no float holds, or that cannot even be printed, is refused like any other."""
    path = write(changed(CONFIG, 'kind = "smtp"', f'kind = "smtp"\ninterval = {value}'))
    assert errors(path) == [f"dnslb.toml:{expected}"]


@pytest.mark.parametrize("text", ["a = " + "[" * 5000 + "]" * 5000, "a = " + "1" * 5000])
def test_monstrous_documents_are_refused(write: Write, text: str) -> None:
    """What makes tomllib itself give up is one error."""
    (error,) = errors(write(text))
    assert error.startswith("dnslb.toml: not TOML: ")


def test_paths_that_the_system_refuses(write: Write) -> None:
    """A name that is too long, or a link to itself, is an error at the key that names it."""
    Path("loop").symlink_to("loop")
    assert errors(write(changed(CONFIG, '"lb.zone"', '"loop"'))) == [
        'dnslb.toml:6: zone."lb.example.org".file = "loop": cannot read loop: Too many levels of symbolic links'
    ]
    (error,) = errors(write(changed(CONFIG, '"lb.zone"', f'"{"x" * 300}"')))
    assert error.endswith(": File name too long")
    assert errors(Path("loop")) == ["loop: cannot be read: Too many levels of symbolic links"]
    assert errors(write(CONFIG, ZONE + "$INCLUDE loop\n")) == [
        "lb.zone:5: cannot read loop: Too many levels of symbolic links"
    ]


def test_a_problem_has_its_parts(write: Write) -> None:
    """Programs get file, line, key, value and message apart from one another."""
    with pytest.raises(ConfigError) as caught:
        load(write(changed(CONFIG, '"address"', '"address"\nttl = -1')))
    message = "expected a whole number of seconds from 0 to 2147483647"
    assert caught.value.problems == (Problem("dnslb.toml", 25, "service[mx.lb.example.org].ttl", "-1", message),)


def test_long_values_are_cut(write: Write) -> None:
    """An error stays readable when the value is not."""
    (error,) = errors(write(changed(CONFIG, '"address"', f'"{"x" * 500}"')))
    assert (
        error
        == f'dnslb.toml:24: service[mx.lb.example.org].type = "{"x" * 76}...: expected one of address, MX, SRV, SPF'
    )


@pytest.mark.parametrize(("old", "new", "expected"), cases("warnings.txt"))
def test_what_works_but_may_surprise_is_a_warning(write: Write, old: str, new: str, expected: list[str]) -> None:
    """A warning names its place as an error does, and the configuration is used."""
    settings = load(write(changed(CONFIG, old, new)))
    assert list(settings.warnings) == [f"dnslb.toml:{line}" for line in expected]


def test_a_zone_that_comes_signed_is_a_warning(write: Write) -> None:
    """Its records are served as they are asked for, and validators get none of them."""
    rrsig = "www RRSIG A 13 4 60 20300101000000 20200101000000 1 lb.example.org. AAAA"
    (warning,) = load(write(CONFIG, f"{ZONE}{rrsig}\n")).warnings
    assert warning == (
        'dnslb.toml:5: zone."lb.example.org": RRSIG records (lb.zone:5) sign nothing here: answers go out without '
        "them, so the parent must have no DS"
    )


def test_a_zone_that_keeps_negative_answers_long_is_a_warning(write: Write) -> None:
    """The SOA minimum bounds how long an accidental "no such name" lasts (RFC 2308 section 5)."""
    zone = changed(changed(ZONE, "604800 30", "604800 3600"), "$TTL 60", "$TTL 3600")
    (warning,) = load(write(CONFIG, zone)).warnings
    assert warning == (
        'dnslb.toml:5: zone."lb.example.org": the SOA (lb.zone:2) lets resolvers keep a negative answer for 3600 s; '
        "use a minimum of 30"
    )


def test_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file named with -c wins, then ./dnslb.toml; without any there is an error that says where was looked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dnslb.config.loading.DEFAULT_PATHS", (Path("dnslb.toml"), tmp_path / "etc.toml"))
    with pytest.raises(ConfigError, match=r"no configuration in dnslb.toml or .*etc.toml; name it with -c"):
        find(None)
    Path("etc.toml").touch()
    assert find(None) == tmp_path / "etc.toml"
    Path("dnslb.toml").touch()
    assert find(None) == Path("dnslb.toml")
    assert find(Path("other.toml")) == Path("other.toml")


def test_nobody_is_told_who_we_are_unless_that_is_said(write: Write) -> None:
    """The words are those of the file, as octets; the longest one fits into any response."""
    assert (load(write()).terms.identity, load(write()).terms.version) == (b"", b"")
    words = 'identity = "ns1 (Rack 7)"\nversion = "' + "x" * 128 + '"'
    terms = load(write(changed(CONFIG, 'http = ""', f'http = ""\n{words}'))).terms
    assert (terms.identity, terms.version) == (b"ns1 (Rack 7)", b"x" * 128)
    with pytest.raises(ConfigError):
        load(write(changed(CONFIG, 'http = ""', f'http = ""\nidentity = "{"x" * 129}"')))


def test_the_rate_limit_is_on_and_leaves_loopback_alone(write: Write) -> None:
    """Without a word in the file; what is there takes the place of the default, the list of networks too."""
    limit = load(write()).terms.limit
    assert (limit.per_second, limit.slip) == (200, 2)
    exempt = [limit.exempt.find(ip_address(text).packed).view for text in ("127.9.9.9", "::1", "::2", "192.0.2.1")]
    assert list(map(bool, exempt)) == [True, True, False, False]
    table = 'rate_limit = { per_second = 0, slip = 0, exempt = ["192.0.2.0/24", "192.0.2.0/24"] }'
    limit = load(write(changed(CONFIG, 'http = ""', f'http = ""\n{table}'))).terms.limit
    assert (limit.per_second, limit.slip) == (0, 0)
    exempt = [limit.exempt.find(ip_address(text).packed).view for text in ("127.9.9.9", "192.0.2.1", "192.0.3.1")]
    assert list(map(bool, exempt)) == [False, True, False]
