"""A probe's password comes from a file of its own."""

import os
from pathlib import Path

import pytest

from dnslb.config import ConfigError, Settings, load

CONFIG = """\
[zone."lb.example.org"]
file = "lb.zone"

[probe.relay]
kind = "submission"
auth = { user = "probe", password_file = "probe.secret" }

[pool.relay]
probe = "relay"
member = [{ name = "relay1", addresses = ["192.0.2.11"] }]

[[service]]
name = "relay.lb.example.org"
type = "address"
pool = "relay"
"""
ZONE = "@ 60 SOA ns1 hostmaster 1 3600 600 604800 30\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n"
KEY = 'dnslb.toml:6: probe.relay.auth.password_file = "probe.secret"'


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lb.zone").write_text(ZONE)


def loaded(password: bytes, mode: int = 0o640) -> Settings:
    """Return the settings with such a password file."""
    Path("probe.secret").write_bytes(password)
    Path("probe.secret").chmod(mode)
    return reloaded(CONFIG)


def reloaded(config: str) -> Settings:
    """Return the settings of a configuration, all other files being as they are."""
    Path("dnslb.toml").write_text(config)
    return load(Path("dnslb.toml"))


def password_of(settings: Settings) -> str:
    """Return the password that the only probe logs in with."""
    auth = settings.targets[0].recipe.auth
    assert auth is not None
    return auth.password


@pytest.mark.parametrize(
    ("octets", "password"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b" se cret \n\n", " se cret "),
        ("gehe\u00efm\n".encode(), "gehe\u00efm"),
        (b"x" * 1024 + b"\n", "x" * 1024),
    ],
)
def test_the_first_line_is_the_password(octets: bytes, password: str) -> None:
    """Only the line's end is taken off: blanks may be part of a password."""
    settings = loaded(octets)
    assert password_of(settings) == password
    assert settings.warnings == ()


def test_more_lines_are_a_warning() -> None:
    """Whoever keeps user and password in one file gets to know which one is sent."""
    settings = loaded(b"secret\nprobe\n")
    assert password_of(settings) == "secret"
    assert settings.warnings == (
        (
            "dnslb.toml:6: probe.relay.auth.password_file: probe.secret has more than one line, only the first is the "
            "password"
        ),
    )


def test_a_file_for_everybody_is_a_warning() -> None:
    """A password that all users can read works, and is no secret."""
    settings = loaded(b"secret\n", 0o644)
    assert password_of(settings) == "secret"
    assert settings.warnings == (
        "dnslb.toml:6: probe.relay.auth.password_file: every user of this machine can read probe.secret: chmod o-r",
    )


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", "probe.secret: empty, expected the password in its first line"),
        (b"\nsecret\n", "probe.secret: empty, expected the password in its first line"),
        (b"\xe4\n", "probe.secret: expected a password in UTF-8, without NUL"),
        (b"a\0b\n", "probe.secret: expected a password in UTF-8, without NUL"),
        (b"x" * 1025, "probe.secret: the first line is longer than 1024 octets, expected a password"),
    ],
)
def test_what_is_no_password(octets: bytes, expected: str) -> None:
    """A file that holds something else is an error at the key that names it, and is not quoted."""
    with pytest.raises(ConfigError) as caught:
        loaded(octets)
    assert [str(problem) for problem in caught.value.problems] == [f"{KEY}: {expected}"]


def test_a_pipe_is_no_password_file() -> None:
    """Reading a pipe that nobody writes to would never end."""
    os.mkfifo("probe.secret")
    with pytest.raises(ConfigError, match=r"probe\.secret is not a file"):
        reloaded(CONFIG)


def test_a_password_never_goes_in_the_clear() -> None:
    """AUTH needs TLS: without STARTTLS it is an error, and with smtps there is no need for it."""
    loaded(b"secret\n")
    plain = CONFIG.replace('"submission"\n', '"submission"\nstarttls = "off"\n')
    with pytest.raises(ConfigError) as caught:
        reloaded(plain)
    assert [str(problem) for problem in caught.value.problems] == [
        (
            'dnslb.toml:7: probe.relay.auth: a password is sent over TLS only: expected starttls = "require" (or '
            '"opportunistic"), or kind = "smtps"'
        )
    ]
    assert password_of(reloaded(CONFIG.replace('"submission"', '"smtps"'))) == "secret"


def test_a_reload_reads_the_password_anew() -> None:
    """A new password needs no change in the configuration; the targets differ, so that probes take it up."""
    before = loaded(b"old\n").targets
    after = loaded(b"new\n").targets
    assert (before[0].recipe.auth, after[0].recipe.auth) != (None, None)
    assert before != after


def test_no_secret_is_shown() -> None:
    """The settings can be printed without the password."""
    assert "s3cr3t" not in repr(loaded(b"s3cr3t\n"))


@pytest.mark.parametrize(("interval", "warned"), [("30s", True), ("5m", False)])
def test_a_recipient_that_waits_for_the_login_is_told_of(interval: str, *, warned: bool) -> None:
    """With an account the recipient is asked for after a login only, as seldom as that comes."""
    Path("probe.secret").write_bytes(b"secret")
    Path("probe.secret").chmod(0o640)
    wish = f'rcpt_to = "postmaster@example.org"\nrecipient_interval = "{interval}"\n'
    settings = reloaded(CONFIG.replace("auth = {", f"{wish}auth = {{"))
    text = "dnslb.toml:7: probe.relay.recipient_interval: rcpt_to is asked for after a login only: auth_interval counts"
    assert (text in settings.warnings) is warned
