"""The demo's files say what the demo shows."""

from fractions import Fraction
from pathlib import Path

from dnslb import config
from dnslb.cli.demo import scene
from dnslb.pool.rotation import shares
from dnslb.wire import name


def test_the_files_are_a_sound_configuration(tmp_path: Path) -> None:
    """The settings and the zone load without an error or a warning, with both names and all three members."""
    settings = config.load(scene.write_files(tmp_path, 2525))
    assert settings.warnings == ()
    assert {name.to_text(service.name) for service in settings.services} == {scene.RELAY, scene.MAIL}
    (pool,) = settings.pools.values()
    assert pool.name == scene.POOL
    assert {member.name: member.weight for member in pool.members} == scene.weights()
    assert {(target.recipe.port, str(*target.addresses)) for target in settings.targets} == {
        (2525, actor.address) for actor in scene.CAST
    }


def test_only_loopback_and_free_ports(tmp_path: Path) -> None:
    """The demo can be seen from this machine only, and takes no port that another program may want."""
    settings = config.load(scene.write_files(tmp_path, 2525))
    assert all(endpoint.host.is_loopback and endpoint.port == 0 for endpoint in settings.server.listen)
    http = settings.server.http
    assert http is not None
    assert (http.host.is_loopback, http.port) == (True, 0)
    assert settings.server.control == tmp_path / scene.CONTROL_SOCKET


def test_the_shares_shown_are_those_of_the_pool() -> None:
    """With one record an answer the pool's shares are the weights' fractions, dead servers aside."""
    weights = list(scene.weights().values())
    assert shares(weights, 1) == tuple(Fraction(weight, sum(weights)) for weight in weights)


def test_answers_are_recognised() -> None:
    """Addresses and host names lead back to members, other values to none."""
    for actor in scene.CAST:
        assert scene.member_of(actor.address) == actor.name
        assert scene.member_of(actor.host) == actor.name
    assert scene.member_of("192.0.2.1") is None


def test_hints_name_the_real_port_and_the_settings() -> None:
    """The commands can be copied as they stand."""
    hints = scene.hints("/opt/dnslb/bin/dnslb", "/srv/x", ("127.0.0.1", 40123), "127.0.0.1:40124")
    assert hints == (
        "dig @127.0.0.1 -p 40123 +short relay.demo.test",
        "dig @127.0.0.1 -p 40123 +short mail.demo.test MX",
        "cd /srv/x && /opt/dnslb/bin/dnslb status",
        "/opt/dnslb/bin/dnslb drain inbound/mx2",
        "in a browser: http://127.0.0.1:40124/",
    )
