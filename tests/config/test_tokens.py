"""The tokens of HTTP come from a file of their own; each mistake in it has its line, and no token is shown."""

from pathlib import Path

import pytest

from dnslb.config import ConfigError, Settings, load
from dnslb.control.http.tokens import Scope, find

CONFIG = """\
[server]
http = "127.0.0.1:8053"
tokens = "tokens.secret"

[zone."lb.example.org"]
file = "lb.zone"
"""
ZONE = "@ 60 SOA ns1 hostmaster 1 3600 600 604800 30\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n"
FIRST, SECOND = "a-token-of-more-than-20", "another!token#of~more/than+20"
TOKENS = f"# who may ask\n\nprometheus read {FIRST}\n  alice@example.org\twrite  {SECOND} \r\n"


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lb.zone").write_text(ZONE)
    Path("dnslb.toml").write_text(CONFIG)


def loaded(text: str, mode: int = 0o640) -> Settings:
    """Return the settings with such a file of tokens."""
    Path("tokens.secret").write_text(text)
    Path("tokens.secret").chmod(mode)
    return load(Path("dnslb.toml"))


def problems() -> list[str]:
    """Return what is wrong with the configuration."""
    with pytest.raises(ConfigError) as caught:
        load(Path("dnslb.toml"))
    return [str(problem) for problem in caught.value.problems]


def test_each_line_is_a_token() -> None:
    """With a name and a scope; comments, empty lines and blanks do not count."""
    settings = loaded(TOKENS)
    assert [(token.name, token.scope) for token in settings.tokens] == [
        ("prometheus", Scope.READ),
        ("alice@example.org", Scope.WRITE),
    ]
    assert [find(settings.tokens, text) for text in (FIRST, SECOND, "alice@example.org")] == [*settings.tokens, None]
    assert settings.warnings == ()


def test_without_the_key_there_is_none() -> None:
    """Then reading on loopback is all that there is."""
    Path("dnslb.toml").write_text(CONFIG.replace("tokens", "# tokens"))
    assert load(Path("dnslb.toml")).tokens == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("alice", "expected a name, read or write, and a token, with blanks between them"),
        (f"alice write {FIRST} {SECOND}", "expected a name, read or write, and a token, with blanks between them"),
        (
            f"alice admin {FIRST}",
            "expected a name, read or write, and a token, with blanks between them; the scope of alice is neither",
        ),
        ("alice write too-short-for-a-token"[:31], "expected a token of 20 to 512 visible ASCII characters for alice"),
        (f"alice write {FIRST}\u00e9", "expected a token of 20 to 512 visible ASCII characters for alice"),
        (f"{SECOND} write {FIRST}", "expected a name of at most 64 letters, digits and . _ @ + -"),
        (f"prometheus write {SECOND}", "prometheus has a token already, in line 1"),
        (f"alice write {FIRST}", "this token is that of line 1 too: then nobody knows who uses it"),
    ],
)
def test_what_is_no_token(line: str, message: str) -> None:
    """The error names the file and the line, and shows nothing that may be a token."""
    Path("tokens.secret").write_text(f"prometheus read {FIRST}\n\n{line}\n")
    (problem,) = problems()
    assert problem.startswith(f"tokens.secret:3: {message}")
    assert not any(word in problem for word in (FIRST, SECOND, "too-short-for-a-tok"))


@pytest.mark.parametrize("text", ["", "\n# nobody\n"])
def test_a_file_without_a_token(text: str) -> None:
    """Whoever names one means to let somebody in."""
    Path("tokens.secret").write_text(text)
    assert "tokens.secret: no token in it, expected a name, read or write, and a token" in problems()[0]


def test_a_file_that_is_too_long() -> None:
    """It was some other file."""
    Path("tokens.secret").write_text("#" * 70_000)
    assert problems() == ["tokens.secret: longer than 65536 octets, expected some tokens"]


def test_a_file_that_is_not_there() -> None:
    """The key that names it is to blame."""
    key = 'dnslb.toml:3: server.tokens = "tokens.secret"'
    assert problems() == [f"{key}: cannot read tokens.secret: No such file or directory"]


def test_a_file_for_everybody_is_a_warning() -> None:
    """Whoever knows a token may do what its owner may."""
    assert loaded(TOKENS, 0o644).warnings == (
        "dnslb.toml:3: server.tokens: every user of this machine can read tokens.secret: chmod o-r",
    )


@pytest.mark.parametrize("address", ["192.0.2.1:8053", "0.0.0.0:8053", "[::]:8053", "[2001:db8::1]:8053"])
def test_beyond_loopback_tokens_are_needed(address: str) -> None:
    """With them any address is right; without them nobody is let in by mistake."""
    public = CONFIG.replace("127.0.0.1:8053", address)
    Path("dnslb.toml").write_text(public)
    assert str(loaded(TOKENS).server.http) == address
    Path("dnslb.toml").write_text(public.replace("tokens", "# tokens"))
    (problem,) = problems()
    assert problem.startswith(f'dnslb.toml:2: server.http = "{address}": expected a loopback address, or "tokens"')


def test_nobody_shows_a_token_by_chance() -> None:
    """Neither a log line nor a failed test has it."""
    assert FIRST not in repr(loaded(TOKENS))
