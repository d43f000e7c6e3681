"""The secrets of DNS cookies come from a file that several name servers share."""

import os
from pathlib import Path

import pytest

from dnslb.config import ConfigError, Settings, load

CONFIG = """\
[server]
cookie_secrets = "cookies.secret"

[zone."lb.example.org"]
file = "lb.zone"
"""
ZONE = "@ 60 SOA ns1 hostmaster 1 3600 600 604800 30\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n"
FIRST, SECOND = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536BCD2513298075A5D379663C962"
KEY = 'dnslb.toml:2: server.cookie_secrets = "cookies.secret"'


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lb.zone").write_text(ZONE)
    Path("dnslb.toml").write_text(CONFIG)


def loaded(text: str, mode: int = 0o640) -> Settings:
    """Return the settings with such a file of secrets."""
    Path("cookies.secret").write_text(text)
    Path("cookies.secret").chmod(mode)
    return load(Path("dnslb.toml"))


def problems(text: str) -> list[str]:
    """Return what is wrong with such a file of secrets."""
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        (FIRST, [FIRST]),
        (f"{FIRST}\n", [FIRST]),
        (f"{FIRST}\n{SECOND}\n", [FIRST, SECOND]),
        (f"{SECOND}\r\n\r\n {FIRST} \r\n", [SECOND, FIRST]),
    ],
)
def test_the_first_line_makes_cookies_and_the_second_is_known(text: str, secrets: list[str]) -> None:
    """In the order of the file; ends of lines and empty ones do not count."""
    settings = loaded(text)
    assert settings.terms.secrets == tuple(map(bytes.fromhex, secrets))
    assert settings.warnings == ()


def test_without_the_key_the_configuration_has_no_secret() -> None:
    """It is the daemon then that has one."""
    Path("dnslb.toml").write_text(CONFIG.replace("cookie_secrets", "# cookie_secrets"))
    assert load(Path("dnslb.toml")).terms.secrets == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["cookies.secret: empty, expected a secret of 32 hexadecimal digits in the first line"]),
        ("\n\n", ["cookies.secret: empty, expected a secret of 32 hexadecimal digits in the first line"]),
        (
            f"{FIRST}\n\n{FIRST[1:]}\n{FIRST}0\n",
            [
                *(
                    f"cookies.secret:{line}: expected 32 hexadecimal digits, as `openssl rand -hex 16` writes them"
                    for line in (3, 4)
                ),
                "cookies.secret:4: more than 2 secrets: expected one that makes cookies, and one that is known too",
            ],
        ),
        (
            "x" * 2000,
            ["cookies.secret: longer than 1024 octets, expected one or two lines of 32 hexadecimal digits"],
        ),
    ],
)
def test_what_is_no_secret(text: str, expected: list[str]) -> None:
    """Each line that is wrong is told of, none is quoted."""
    assert problems(text) == expected


def test_what_looks_like_digits() -> None:
    """It has the right length, and is still not shown."""
    (problem,) = problems("0x" + FIRST[2:])
    assert problem.startswith("cookies.secret:1: expected 32 hexadecimal digits")
    assert FIRST[2:] not in problem


def test_a_file_that_is_not_there_or_none() -> None:
    """The key that names it is to blame; reading a pipe that nobody writes to would never end."""
    with pytest.raises(ConfigError) as caught:
        load(Path("dnslb.toml"))
    assert str(caught.value) == f"{KEY}: cannot read cookies.secret: No such file or directory"
    os.mkfifo("cookies.secret")
    with pytest.raises(ConfigError) as caught:
        load(Path("dnslb.toml"))
    assert str(caught.value) == f"{KEY}: cookies.secret is not a file"


def test_a_file_for_everybody_is_a_warning() -> None:
    """Who knows the secret makes cookies for addresses that are not his."""
    settings = loaded(f"{FIRST}\n", 0o644)
    assert settings.terms.secrets == (bytes.fromhex(FIRST),)
    assert settings.warnings == (
        "dnslb.toml:2: server.cookie_secrets: every user of this machine can read cookies.secret: chmod o-r",
    )


def test_nobody_shows_a_secret_by_chance() -> None:
    """Neither a log line nor a failed test has it."""
    assert str(bytes.fromhex(FIRST)) not in repr(loaded(FIRST))
