"""Who is told of events, as it is configured."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from dnslb.config import ConfigError, Settings, load
from dnslb.notify.target import Command, Webhook
from dnslb.store import EventKind
from tests.config.test_loading import CONFIG, ZONE

URL = "https://hooks.example.org/services/T000/B000/secret"
KEYS = "url, command, kinds, pools, timeout, bearer_file, ca_file"
KINDS = "state, admin, weight, reload, start, stop, worker, panic, alert, window, probe"
Load = Callable[..., Settings]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a reader of a configuration with such tables [[notify]]; a hook and files with secrets are there."""
    monkeypatch.chdir(tmp_path)
    Path("lb.zone").write_text(ZONE)
    Path("hook").touch(mode=0o755)
    Path("secret").write_text("token\n")
    Path("secret").chmod(0o640)
    trustme.CA().cert_pem.write_to_path("ca.pem")

    def read(*tables: str) -> Settings:
        Path("dnslb.toml").write_text(CONFIG + "".join(f"[[notify]]\n{table}\n" for table in tables))
        return load(Path("dnslb.toml"))

    return read


def errors(loaded: Load, *tables: str) -> list[str]:
    """Return what is wrong with the configuration, by the number of the line in the first of these tables."""
    first = CONFIG.count("\n") + 1
    with pytest.raises(ConfigError) as caught:
        loaded(*tables)
    return [f"{(problem.line or 0) - first}: {problem.key}: {problem.message}" for problem in caught.value.problems]


def test_nobody_is_told_unless_it_is_said(loaded: Load) -> None:
    """Nothing leaves this machine by itself."""
    assert loaded().notices == ()


def test_all_that_people_want_to_know_is_told(loaded: Load) -> None:
    """Whatever happens, but for starts, stops and probes on demand."""
    (target,) = loaded(f'url = "{URL}"').notices
    assert target.kinds == set(EventKind) - {EventKind.START, EventKind.STOP, EventKind.PROBE}
    assert (target.pools, target.timeout, target.door) == (frozenset(), 10.0, Webhook(URL))


def test_paths_are_relative_to_the_file(loaded: Load) -> None:
    """Those of programs too: they are started from elsewhere."""
    hook, chat = loaded(
        'command = ["hook", "x y"]', f'url = "{URL}"\nbearer_file = "secret"\nca_file = "ca.pem"'
    ).notices
    assert hook.door == Command((str(Path("hook").absolute()), "x y"))
    assert chat.door == Webhook(URL, "token", Path("ca.pem"))


def test_names_differ_and_hold_no_secret(loaded: Load) -> None:
    """They are in logs and metrics."""
    tables = ('command = ["hook"]', f'url = "{URL}"', f'url = "{URL}2"', 'command = ["hook", "2"]')
    settings = loaded(*tables)
    assert [target.name for target in settings.notices] == [
        "hook",
        "hooks.example.org",
        "hooks.example.org#2",
        "hook#2",
    ]
    assert "T000" not in repr(settings.notices)


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (["timeout = 5"], ["0: notify[#1]: expected url or command, and one of them only"]),
        (
            [f'url = "{URL}"\ncommand = ["hook"]'],
            ["0: notify[#1]: expected url or command, and one of them only"],
        ),
        (
            [f'url = "{URL}"\nname = "chat"'],
            [f"2: notify[chat].name: unknown key, expected one of {KEYS}"],
        ),
        (
            [f'url = "{URL}"\nkinds = ["down"]'],
            [f"2: notify[#1].kinds[#1]: expected one of {KINDS}"],
        ),
        ([f'url = "{URL}"\nkinds = []'], ["2: notify[#1].kinds: expected a list of at least one kind of events"]),
        ([f'url = "{URL}"\npools = ["inbuond"]'], ["2: notify[#1].pools[#1]: no such pool, did you mean inbound?"]),
        ([f'url = "{URL}"\npools = []'], ["2: notify[#1].pools: expected a list of at least one pool's name"]),
        (['command = ["nohook"]'], ["1: notify[#1].command: there is no file {}/nohook"]),
        (['command = ["lb.zone"]'], ["1: notify[#1].command: {}/lb.zone cannot be run: chmod +x"]),
        (
            ['command = "hook"'],
            ["1: notify[#1].command: expected a list of words: the path of a program, and its arguments"],
        ),
        (['command = ["hook", "\\u0000"]'], ["1: notify[#1].command: expected words without NUL, which none can hold"]),
        (
            ['command = ["hook"]\nbearer_file = "secret"\nca_file = "ca.pem"'],
            [
                "2: notify[#1].bearer_file: only a url has one, this is a command",
                "3: notify[#1].ca_file: only a url has one, this is a command",
            ],
        ),
        (
            [f'url = "{URL}"\nbearer_file = "lb.zone"'],
            ["2: notify[#1].bearer_file: lb.zone: expected one line of visible ASCII characters, at most 1024"],
        ),
        (
            [f'url = "{URL}"\nbearer_file = "no"'],
            ["2: notify[#1].bearer_file: cannot read no: No such file or directory"],
        ),
        (
            ['url = "https://ann:pw@hooks.example.org/"\nbearer_file = "secret"'],
            ["2: notify[#1].bearer_file: the url has a user and a password already: expected one of the two"],
        ),
        (
            [f'url = "{URL}"\nca_file = "secret"'],
            ["2: notify[#1].ca_file: secret has no certificate, expected trust anchors in PEM format"],
        ),
        ([f'url = "{URL}"', f'url = "{URL}"'], ["2: notify[#2]: listed twice: this is told already"]),
    ],
)
def test_each_mistake_is_named(loaded: Load, tables: list[str], expected: list[str]) -> None:
    """With its line and its key, and nothing that merely follows from it."""
    assert errors(loaded, *tables) == [line.replace("{}", str(Path.cwd())) for line in expected]


@pytest.mark.parametrize(
    "url",
    ["hooks.example.org/T000", "ftp://hooks.example.org/T000", "https:///T000", "https://a b/T000", "https://h#T000"],
)
def test_a_wrong_url_is_not_quoted(loaded: Load, url: str) -> None:
    """What is wrong with a configuration is in logs and events, and these go to others."""
    with pytest.raises(ConfigError) as caught:
        loaded(f'url = "{url}"')
    assert str(caught.value).endswith('notify[#1].url: expected a URL, "https://HOST/PATH" or "http://..."')
    assert "T000" not in str(caught.value)


def test_a_url_in_the_wrong_place_is_not_quoted(loaded: Load) -> None:
    """It is as secret under a key that is misspelled."""
    with pytest.raises(ConfigError) as caught:
        loaded(f'urk = "{URL}"')
    assert "notify[#1].urk: unknown key, did you mean url?" in str(caught.value)
    assert "T000" not in str(caught.value)


def test_a_port_that_is_none_is_an_error(loaded: Load) -> None:
    """Neither 0 nor what no number is."""
    for port in ("0", "x", "65536"):
        assert len(errors(loaded, f'url = "https://hooks.example.org:{port}/"')) == 1


def test_a_token_that_others_can_read_is_a_warning(loaded: Load) -> None:
    """Like every file with a secret."""
    Path("secret").chmod(0o644)
    (warning,) = loaded(f'url = "{URL}"\nbearer_file = "secret"').warnings
    assert warning.endswith("notify[#1].bearer_file: every user of this machine can read secret: chmod o-r")
