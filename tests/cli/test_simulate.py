"""The command `dnslb simulate`, with small runs: what it shows, and what it refuses."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dnslb.cli.main import cli
from dnslb.cli.simulate.progress import Progress

_EXAMPLE = Path(__file__).parents[2] / "zones" / "dnslb.toml"
_QUICK = ("--for", "2m", "--runs", "2", "--resolvers", "5")


def _simulate(*words: str) -> Result:
    return CliRunner().invoke(cli, ["simulate", *words])


def _json(*words: str) -> dict[str, Any]:
    result = _simulate(*words, *_QUICK, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_json_has_each_member_with_wanted_share_and_error() -> None:
    """As the contract says; shares are fractions of 1, and nothing is lost."""
    found = _json("--weights", "5,3,1,1", "--ttl", "60")
    wanted = {name: got["wanted"] for name, got in found["members"].items()}
    assert wanted == {"mx1": 0.5, "mx2": 0.3, "mx3": 0.1, "mx4": 0.1}
    assert sum(got["share"] for got in found["members"].values()) == pytest.approx(1)
    assert all(0 <= got["error"] <= found["largest_error"] <= found["worst_error"] for got in found["members"].values())
    assert (found["type"], found["records"], found["ttl"], found["deferred"]) == ("address", 2, 60, 0)


def test_a_service_of_the_configuration() -> None:
    """Pool, weights, tiers, records and TTL are the configuration's; the type tells services of one name apart."""
    found = _json("mail.lb.example.org", "-c", str(_EXAMPLE))
    assert found["service"] == "mail.lb.example.org MX"
    assert {name: got["wanted"] for name, got in found["members"].items()} == {
        "mx1": 0.5,
        "mx2": 0.3,
        "mx3": 0.2,
        "spare": 0.0,
    }
    assert _json("MX.lb.example.org.", "-c", str(_EXAMPLE), "--type", "address", "--ttl", "7")["ttl"] == 7
    assert _json("mx.lb.example.org", "-c", str(_EXAMPLE), "--records", "all")["records"] == "all"


_VIEWS = """
[zone."lb.test"]
file = "lb.zone"
[probe.p]
kind = "smtp"
[pool.outer]
probe = "p"
member = [{ name = "mx1", addresses = ["192.0.2.1"], view_addresses = { dmz = ["10.0.0.1", "10.0.0.2"] } }]
[pool.inner]
probe = "p"
member = [{ name = "relay1", addresses = ["10.0.0.3"] }]
[view.internal]
sources = ["10.0.0.0/8"]
[view.dmz]
sources = ["10.200.0.0/16"]
[[service]]
name = "lb.test"
type = "address"
pool = "outer"
[[service]]
name = "lb.test"
type = "address"
pool = "inner"
views = ["internal"]
ttl = 5
"""


@pytest.fixture
def _views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dnslb.toml").write_text(_VIEWS)
    Path("lb.zone").write_text("$TTL 60\n@ SOA ns a 1 3600 600 86400 30\n@ NS ns\nns A 192.0.2.53\n")


@pytest.mark.usefixtures("_views")
def test_a_service_of_a_view_is_simulated() -> None:
    """That is which pool its clients get; without it, what all others get."""
    assert (_json()["ttl"], list(_json()["members"])) == (30, ["mx1"])
    inside = _json("--view", "internal")
    assert (inside["ttl"], list(inside["members"])) == (5, ["relay1"])
    assert list(_json("lb.test", "--view", "dmz")["members"]) == ["mx1"]
    assert "there is no view dnz (views: internal, dmz)" in _simulate("--view", "dnz").output


@pytest.mark.usefixtures("_views")
def test_where_all_clients_are_in_views_one_has_to_be_named() -> None:
    """Nobody gets what is for all others."""
    whole = _VIEWS.replace("10.0.0.0/8", "0.0.0.0/0").replace("10.200.0.0/16", "::/0")
    Path("dnslb.toml").write_text(whole.replace('pool = "outer"\n', 'pool = "outer"\nviews = ["dmz"]\n'))
    assert "there are lb.test address --view dmz, lb.test address --view internal" in _simulate().output
    assert list(_json("--view", "dmz")["members"]) == ["mx1"]


@pytest.mark.parametrize("kind", ["address", "MX", "SRV"])
def test_each_type_of_service(kind: str) -> None:
    """By weights alone; MX and SRV answers hold all members."""
    found = _json("--weights", "3,1", "--type", kind, "--rate", "1000")
    assert found["type"] == kind
    assert found["records"] == (2 if kind == "address" else "all")


def test_a_policy_can_be_tried() -> None:
    """With source-hash a resolver sends all to one member; wanted are the parts of networks, not quite the weights."""
    found = _json("--weights", "3,1", "--policy", "source-hash", "--spread", "100")
    assert (found["policy"], found["records"]) == ("source-hash", 1)
    assert found["members"]["mx1"]["wanted"] == pytest.approx(0.75, abs=0.02)
    # Each of the two runs has all mail at one member.
    assert {got["share"] for got in found["members"].values()} <= {0, 0.5, 1}
    of_file = _json("mx.lb.example.org", "-c", str(_EXAMPLE), "--policy", "source-hash", "--records", "1")
    assert (of_file["policy"], of_file["members"]["mx1"]["wanted"]) == ("source-hash", pytest.approx(0.5, abs=0.03))
    shown = _simulate("--weights", "3,1", "--policy", "source-hash", *_QUICK)
    assert shown.output.startswith("address service: 1 of 2 members in an answer by the client's network, TTL 30 s\n")


def test_the_table_and_what_else_is_to_be_said() -> None:
    """Wanted, share and error of each member, the largest error, and what a fault did."""
    result = _simulate("--weights", "5,3", *_QUICK, "--down", "mx1@30s..60s", "--senders", "postfix=3,java")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "address service: all of 2 members in an answer, TTL 30 s"
    assert lines[3].split() == ["MEMBER", "WANTED", "SHARE", "ERROR"]
    assert lines[4].split()[0] == "mx1"
    assert "Largest error of any member:" in result.stdout
    assert "mx1 refused" in result.stdout
    assert "found nobody to take them" in result.stdout


def test_the_headline_says_what_answers_really_hold() -> None:
    """No more members than there are, nor one without weight, whatever is asked for; and one run has no mean."""
    for words, held in (
        (("--weights", "1"), "all of 1 "),
        (("--weights", "1,1,1", "--records", "7"), "all of 3 "),
        (("--weights", "1,1,1", "--records", "2"), "2 of 3 "),
        (("--weights", "1,1,0", "--type", "MX"), "2 of 3 "),
    ):
        heading = _simulate(*words, *_QUICK, "--runs", "1").output.splitlines()[:2]
        assert f": {held}members in an answer" in heading[0]
        assert heading[1].endswith("; one run")


def test_a_comparison() -> None:
    """All that could answer, ours first, with what members get from each."""
    words = ("--weights", "5,3,1,1", "--records", "1", "--compare")
    shown = _simulate(*words, *_QUICK).stdout
    heads = ["(wanted)", "dnslb", "dnslb, one ring", "plain round robin", "gdnsd weighted", "CoreDNS", "PowerDNS"]
    below = shown[shown.index("ANSWERS BY") :].splitlines()[1:]
    assert [line.startswith(head) for line, head in zip(below, heads, strict=True)] == [True] * 7
    found = _json(*words)
    assert found["compare"]["dnslb"]["members"] == found["members"]
    assert found["compare"]["plain round robin"]["members"]["mx1"]["share"] == pytest.approx(0.25, abs=0.03)


def test_the_same_seed_gives_the_same_figures() -> None:
    """And another one others."""
    assert _json("--weights", "2,1") == _json("--weights", "2,1")
    assert _json("--weights", "2,1") != _json("--weights", "2,1", "--seed", "2")


@pytest.mark.parametrize("end", ["svg", "png"])
def test_a_picture(tmp_path: Path, end: str) -> None:
    """In the format that the file's name ends in; an SVG names the members."""
    file = tmp_path / f"shares.{end}"
    result = _simulate("--weights", "2,1", *_QUICK, "--compare", "--plot", str(file))
    assert result.exit_code == 0, result.output
    octets = file.read_bytes()
    assert octets.startswith(b"\x89PNG" if end == "png" else b"<?xml")
    assert end == "png" or b"<!-- mx2 -->" in octets


def test_a_picture_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the error names, before anything is simulated."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = _simulate("--weights", "2,1", *_QUICK, "--plot", "x.svg")
    assert result.exit_code == 1
    assert "pip install 'dnslb[plot]'" in result.output


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    """Is a failure, and no traceback."""
    result = _simulate("--weights", "2,1", *_QUICK, "--plot", str(tmp_path / "missing" / "x.svg"))
    assert result.exit_code == 1
    assert "cannot be written" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--weights", "5,x"), "expected weights from 0 to 65535", id="weights"),
        pytest.param(("--weights", "70000"), "expected weights from 0 to 65535", id="too-heavy"),
        pytest.param(("--weights", "0,0"), "every member has weight 0", id="weightless"),
        pytest.param(("--weights", "1,1", "--rate", "nan"), "messages above 0 and up to 1,000,000,000", id="rate"),
        pytest.param(("--weights", "1,1", "--rate", "inf"), "messages above 0 and up to", id="endless"),
        pytest.param(("--weights", "1,1", "--rate", "many"), "messages above 0 and up to", id="no-number"),
        pytest.param(("--weights", "1,1", "--ttl", "-1"), "seconds from 0", id="ttl"),
        pytest.param(("--weights", "1,1", "--ttl", "120-10"), "min is 120, and max only 10", id="ttl-bounds"),
        pytest.param(("--weights", "1,1", "--records", "0"), "number of members from 1", id="records"),
        pytest.param(("--weights", "1,1", "--spread", "40,x"), "zipf, equal, or", id="spread"),
        pytest.param(("--weights", "1,1", "--spread", "60,60"), "add up to 100", id="over-100"),
        pytest.param(("--weights", "1,1", "--spread", "40", "--resolvers", "1"), "who sends the rest", id="rest"),
        pytest.param(("--weights", "1,1", "--senders", "qmail"), "expected each of postfix", id="sender"),
        pytest.param(("--weights", "1,1", "--senders", "exim=0"), "a part above 0", id="part"),
        pytest.param(
            ("--weights", "1,1", "--type", "MX", "--senders", "java"), "java does not look up MX", id="java-mx"
        ),
        pytest.param(("--weights", "1,1", "--down", "mx1@5m"), "as in mx1@10m..20m", id="fault"),
        pytest.param(("--weights", "1,1", "--down", "mx1@5m..4m"), "an end after the beginning", id="backwards"),
        pytest.param(("--weights", "1,1", "--down", "mx9@1s..2s"), "no member 'mx9'; there are mx1, mx2", id="member"),
        pytest.param(("--weights", "1,1", "--down", "mx1@2h.."), "all is over by then", id="late"),
        pytest.param(("--weights", "1,1", "--type", "SRV", "--compare"), "SRV records carry weights", id="srv"),
        pytest.param(("--weights", "1,1", "--plot", "x.gif"), "ends in .svg or .png", id="gif"),
        pytest.param(("--weights", "1,1", "--for", "soon"), "expected a duration", id="duration"),
        pytest.param(("--weights", "1,1", "--rate", "0.01", "--for", "9s"), "0.09 messages in all", id="no-mail"),
        pytest.param(("--weights", "1,1", "mx.lb.example.org"), "instead of a configuration", id="both"),
        pytest.param(("-c", str(_EXAMPLE)), "which service? there are mx.lb.example.org address", id="which"),
        pytest.param(("-c", str(_EXAMPLE), "no.example"), "there is no service no.example; there are", id="service"),
        pytest.param(("-c", "/nowhere.toml", "x"), "no configuration file", id="file"),
    ],
)
def test_what_is_refused(words: tuple[str, ...], said: str) -> None:
    """Each mistake is a usage error that says what was expected."""
    result = _simulate(*words)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_without_a_configuration_the_way_without_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was named is meant, and missed."""
    monkeypatch.setattr("dnslb.cli.options.DEFAULT_PATHS", (Path("/nowhere/dnslb.toml"),))
    assert _simulate().output.endswith("have `dnslb setup` write one; or do without one, by --weights 5,3,1,1\n")
    assert "--weights" not in _simulate("-c", "/nowhere/dnslb.toml").output


def test_mistakes_in_the_configuration_are_named(tmp_path: Path) -> None:
    """With file and line, as `dnslb check` does."""
    file = tmp_path / "dnslb.toml"
    file.write_text("[server]\nlisten = 5\n")
    result = _simulate("-c", str(file))
    assert result.exit_code == 2
    assert f"{file}:2" in result.output


def test_no_progress_is_shown_where_nobody_sees_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard error is no terminal here."""
    progress = Progress(2)
    progress.step()
    progress.end()
    assert capsys.readouterr().err == ""


def test_progress_is_shown_after_a_second(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, and is wiped away at the end."""
    now = 0.0
    monkeypatch.setattr("dnslb.cli.simulate.progress.time.monotonic", lambda: now)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = Progress(20)
    now = 0.9
    progress.step()
    assert capsys.readouterr().err == ""
    now = 1.1
    progress.step()
    assert capsys.readouterr().err == "\rsimulating: 2 of 20 runs"
    progress.end()
    assert capsys.readouterr().err == "\r\x1b[K"


def test_a_ttl_can_have_bounds() -> None:
    """Both are shown, and a program gets each."""
    result = _simulate("--weights", "1,1", *_QUICK, "--ttl", "10-120", "--down", "mx1@30s..60s")
    assert result.stdout.splitlines()[0].endswith("TTL 10 to 120 s")
    found = _json("--weights", "1,1", "--ttl", "10-120")
    assert (found["ttl"], found["ttl_min"], found["ttl_max"]) == (120, 10, 120)


def test_queries_are_told_beside_messages() -> None:
    """What a shorter TTL costs is seen without a program."""
    found = _json("--weights", "1,1", "--ttl", "5")
    told = f"{found['messages']:.0f} messages brought {found['queries']:.0f} queries."
    assert told in _simulate("--weights", "1,1", *_QUICK, "--ttl", "5").stdout
