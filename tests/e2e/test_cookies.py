"""DNS cookies that dnslb shares with other name servers: NSD, Knot and BIND take ours, and dnslb takes theirs."""

from __future__ import annotations

import os
import socket
import time
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

import dns.edns
import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from dnslb.wire.cookie import Standing, judge, make
from tests.e2e.processes import Stage, free_port, program, until
from tests.e2e.product import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.members import Members

_MAKES, _KNOWN = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962"
_ZONE = """
$ORIGIN lb.test.
$TTL 30
@ SOA ns hostmaster 1 3600 600 86400 30
@ NS ns
ns A 127.0.0.1
"""
_NSD = """
server:
  ip-address: 127.0.0.1@{port}
  ip-address: ::1@{port}
  zonesdir: "{directory}"
  username: ""
  chroot: ""
  pidfile: ""
  database: ""
  zonelistfile: "{directory}/list"
  xfrdfile: "{directory}/xfrd"
  xfrdir: "{directory}"
  rrl-ratelimit: 0
  answer-cookie: yes
  cookie-secret-file: "{directory}/secrets"
remote-control:
  control-enable: no
zone:
  name: lb.test
  zonefile: {directory}/zone
"""
# Knot 3.2 knows one secret. Both others say BADCOOKIE to whoever has no right cookie; NSD has no such option.
_KNOT = """
server:
  listen: [127.0.0.1@{port}, "::1@{port}"]
  rundir: {directory}
database:
  storage: {directory}
mod-cookies:
- id: shared
  secret: 0x{makes}
  badcookie-slip: 1
template:
- id: default
  global-module: mod-cookies/shared
zone:
- domain: lb.test
  file: {directory}/zone
"""
_BIND = """
options {{
  directory "{directory}";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 port {port} {{ ::1; }};
  pid-file none;
  session-keyfile none;
  managed-keys-directory "{directory}";
  recursion no;
  dnssec-validation no;
  answer-cookie yes;
  require-server-cookie yes;
  cookie-algorithm siphash24;
  cookie-secret "{makes}";
  cookie-secret "{known}";
}};
controls {{ }};
zone "lb.test" {{ type master; file "{directory}/zone"; }};
"""
_FORMS = {
    "NSD": (_NSD, "nsd", ["-d", "-c"]),
    "Knot": (_KNOT, "knotd", ["-c"]),
    "BIND": (_BIND, "named", ["-g", "-n", "1", "-c"]),
}
_ADDRESSES = ("127.0.0.1", "::1")


def _start(stage: Stage, name: str) -> int:
    form, command, options = _FORMS[name]
    directory, port = stage.directory(name), free_port()
    (directory / "zone").write_text(_ZONE)
    _write_secrets(directory / "secrets", _MAKES, _KNOWN)
    (directory / "conf").write_text(form.format(directory=directory, port=port, makes=_MAKES, known=_KNOWN))
    stage.start(name, [program(command), *options, str(directory / "conf")])
    for address in _ADDRESSES:
        until(partial(_answers, address, port), f"{name} answers at {address}")
    return port


def _write_secrets(path: Path, *secrets: str) -> None:
    path.write_text("".join(f"{secret}\n" for secret in secrets))
    path.chmod(0o600)


def _answers(address: str, port: int) -> bool:
    try:
        dns.query.udp(dns.message.make_query("lb.test", "SOA"), address, timeout=1, port=port)
    except (OSError, dns.exception.Timeout):
        return False
    return True


def _ask(address: str, port: int, cookie: bytes) -> tuple[dns.rcode.Rcode, bytes]:
    """Return the response code, and the cookie that comes back; the question comes from the address that it goes to."""
    option = dns.edns.CookieOption(cookie[:8], cookie[8:])
    query = dns.message.make_query("ns.lb.test", "A", options=[option])
    response = dns.query.udp(query, address, timeout=5, port=port)
    (back,) = (option for option in response.options if isinstance(option, dns.edns.CookieOption))
    return response.rcode(), back.client + back.server


def _made(address: str, secret: str, age: int) -> bytes:
    return make(os.urandom(8), ip_address(address).packed, bytes.fromhex(secret), int(time.time()) - age)


def _standing(cookie: bytes, address: str, *secrets: str) -> Standing:
    return judge(cookie, ip_address(address).packed, list(map(bytes.fromhex, secrets)), int(time.time()))


@pytest.fixture(scope="module")
def peers() -> Iterator[dict[str, int]]:
    """Start all three with the same secrets; their ports."""
    with Stage() as stage:
        yield {name: _start(stage, name) for name in _FORMS}


@pytest.mark.parametrize("address", _ADDRESSES)
@pytest.mark.parametrize("name", _FORMS)
def test_others_take_our_cookies(peers: dict[str, int], name: str, address: str) -> None:
    """Fresh ones, and those that are half an hour old; NSD sends fresh ones back, and Knot and BIND answer for them."""
    for secret, age in ((_MAKES, 100), (_MAKES, 2400), *([(_KNOWN, 100)] if name != "Knot" else ())):
        ours = _made(address, secret, age)
        rcode, back = _ask(address, peers[name], ours)
        assert rcode == dns.rcode.NOERROR
        if name == "NSD" and (secret, age) == (_MAKES, 100):
            assert back == ours


@pytest.mark.parametrize("address", _ADDRESSES)
@pytest.mark.parametrize("name", _FORMS)
def test_others_take_no_cookie_that_we_would_not(peers: dict[str, int], name: str, address: str) -> None:
    """Too old or too new ones, and those of another secret: that they took ours says something."""
    for wrong in (_made(address, _MAKES, 3700), _made(address, _MAKES, -400), _made(address, "00" * 16, 100)):
        assert _standing(wrong, address, _MAKES, _KNOWN) is Standing.STRANGE
        rcode, back = _ask(address, peers[name], wrong)
        assert rcode == (dns.rcode.NOERROR if name == "NSD" else dns.rcode.BADCOOKIE)
        assert back != wrong


@pytest.mark.parametrize("address", _ADDRESSES)
@pytest.mark.parametrize("name", _FORMS)
def test_we_take_the_cookies_of_others(peers: dict[str, int], name: str, address: str) -> None:
    """What they make for a client that has none is what we would have made."""
    _, theirs = _ask(address, peers[name], os.urandom(8))
    assert _standing(theirs, address, _MAKES) is Standing.FRESH
    assert _standing(theirs, address, _KNOWN, _MAKES) is Standing.OLD


def _later() -> None:
    """Wait for the clock to move on: two cookies of one second are the same."""
    now = int(time.time())
    until(lambda: int(time.time()) > now + 1, "the next second but one")


@pytest.fixture
def daemon(stage: Stage, members: Members) -> Daemon:
    """Start a daemon, with two workers and a secret of its own."""
    return Daemon(stage, members, listen=("127.0.0.1", "[::1]"))


def _share(daemon: Daemon, *secrets: str) -> None:
    """Have a reload take up these secrets."""
    _write_secrets(daemon.directory / "shared", *secrets)
    if "cookie_secrets" not in (text := daemon.config.read_text()):
        daemon.config.write_text(text.replace("[server]", '[server]\ncookie_secrets = "shared"'))
    _reload(daemon)


def _reload(daemon: Daemon) -> None:
    done = daemon.cli("reload")
    assert done.returncode == 0, done.stderr
    assert "next start" not in done.stdout + done.stderr


def test_a_daemon_shares_its_clients_with_others(peers: dict[str, int], daemon: Daemon) -> None:
    """They keep the cookie that they have from it, and it lets them keep those of NSD, Knot and BIND."""
    _share(daemon, _MAKES, _KNOWN)
    for address in _ADDRESSES:
        theirs = {name: _ask(address, port, os.urandom(8)) for name, port in peers.items()}
        _, ours = _ask(address, daemon.port, os.urandom(8))
        _later()
        for _, cookie in (*theirs.values(), (0, ours)):
            assert _ask(address, daemon.port, cookie) == (dns.rcode.NOERROR, cookie)
        assert _ask(address, peers["NSD"], ours) == (dns.rcode.NOERROR, ours)
        for name in ("Knot", "BIND"):
            rcode, _ = _ask(address, peers[name], ours)
            assert rcode == dns.rcode.NOERROR


def test_a_secret_of_its_own_is_that_of_all_workers_and_outlives_them(daemon: Daemon) -> None:
    """Whichever port a client asks from, by UDP and by TCP, and after a restart."""
    cookies = {address: _ask(address, daemon.port, os.urandom(8))[1] for address in _ADDRESSES}
    _later()
    for address, cookie in cookies.items():
        for _ in range(20):
            assert _ask(address, daemon.port, cookie) == (dns.rcode.NOERROR, cookie)
        query = dns.message.make_query("lb.test", "SOA", options=[dns.edns.CookieOption(cookie[:8], cookie[8:])])
        (option,) = dns.query.tcp(query, address, timeout=5, port=daemon.port).options
        assert option.to_wire() == cookie
    assert daemon.stop() == 0
    daemon.start()
    for address, cookie in cookies.items():
        assert _ask(address, daemon.port, cookie) == (dns.rcode.NOERROR, cookie)


def test_the_steps_of_the_readme_roll_a_secret_over(daemon: Daemon) -> None:
    """What makes cookies changes with the second step; whoever has a cookie of the other one gets a new one at once."""
    client = os.urandom(8)
    for secrets in ((_MAKES,), (_MAKES, _KNOWN), (_KNOWN, _MAKES), (_KNOWN,)):
        _share(daemon, *secrets)
        for came in (client, _made("127.0.0.1", _MAKES, 100), _made("127.0.0.1", _KNOWN, 100)):
            rcode, back = _ask("127.0.0.1", daemon.port, came)
            assert rcode == dns.rcode.NOERROR
            assert back[:8] == came[:8]
            assert _standing(back, "127.0.0.1", secrets[0]) is Standing.FRESH
            assert (back == came) == (_standing(came, "127.0.0.1", *secrets) is Standing.FRESH)


def test_a_wrong_cookie_is_replaced(daemon: Daemon) -> None:
    """Its question is answered like any other."""
    _share(daemon, _MAKES)
    for came in (_made("127.0.0.1", _MAKES, 3700), _made("127.0.0.1", "00" * 16, 10), b"12345678" * 2, b"12345678" * 5):
        rcode, back = _ask("127.0.0.1", daemon.port, came)
        assert rcode == dns.rcode.NOERROR
        assert back[:8] == came[:8]
        assert _standing(back, "127.0.0.1", _MAKES) is Standing.FRESH


def test_a_malformed_cookie_is_an_error(peers: dict[str, int], daemon: Daemon) -> None:
    """As the others have it (RFC 7873 section 5.2.2)."""
    for size in (0, 7, 9, 15, 41):
        malformed = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, bytes(size))
        query = dns.message.make_query("lb.test", "SOA", options=[malformed])
        rcodes = {
            name: dns.query.udp(query, "127.0.0.1", timeout=5, port=port).rcode()
            for name, port in (("dnslb", daemon.port), *peers.items())
        }
        assert rcodes == dict.fromkeys(rcodes, dns.rcode.FORMERR)


def test_a_cookie_can_be_had_and_tried_without_a_question(daemon: Daemon) -> None:
    """BADCOOKIE is for a wrong one, and comes with one that is right (RFC 7873 section 5.4)."""
    came, answered = os.urandom(8), []
    for cookie in (came, came + os.urandom(16)):
        query = dns.message.Message()
        query.use_edns(options=[dns.edns.CookieOption(cookie[:8], cookie[8:])])
        response = dns.query.udp(query, "127.0.0.1", timeout=5, port=daemon.port)
        (option,) = response.options
        answered.append(response.rcode())
        _later()
        query.use_edns(options=[option])
        assert dns.query.udp(query, "127.0.0.1", timeout=5, port=daemon.port).rcode() == dns.rcode.NOERROR
        assert _ask("127.0.0.1", daemon.port, option.to_wire()) == (dns.rcode.NOERROR, option.to_wire())
    assert answered == [dns.rcode.NOERROR, dns.rcode.BADCOOKIE]


_BURST = 200


def test_who_has_a_cookie_is_never_limited(daemon: Daemon) -> None:
    """All of its questions are answered, while its network gets no more than a few answers in a second."""
    daemon.config.write_text(daemon.config.read_text() + "[server.rate_limit]\nper_second = 2\nslip = 0\nexempt = []\n")
    _reload(daemon)
    _, cookie = _ask("127.0.0.1", daemon.port, os.urandom(8))
    with_cookie, with_half = ([dns.edns.CookieOption(cookie[:8], half)] for half in (cookie[8:], b""))
    until(lambda: _answered(daemon.port, with_half) < _BURST // 2, "the network is limited")
    assert _answered(daemon.port, with_cookie) == _BURST
    assert _answered(daemon.port, with_half) < _BURST // 2


def _answered(port: int, options: list[dns.edns.CookieOption]) -> int:
    """Send a burst of questions from the same address; return how many are answered."""
    query = dns.message.make_query("ns.lb.test", "A", options=list(options)).to_wire()
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(0.5)
        for _ in range(_BURST):
            sock.send(query)
        for number in range(_BURST):
            try:
                sock.recv(65535)
            except TimeoutError:
                return number
    return _BURST
