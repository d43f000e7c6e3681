"""`dnslb setup`: what it writes, by options and by asking; and that it never writes anything else."""

from __future__ import annotations

import json
import socketserver
import threading
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from dnslb import config
from dnslb.cli.main import cli
from dnslb.cli.setup import command, reading
from tests.e2e.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIL = ("--use", "mail", "--zone", "lb.example.org", "--ns", "127.0.0.1", "--ns", "192.0.2.2")
TWO = ("--member", "192.0.2.11", "--member", "mx2=192.0.2.12")
FILES = {"dnslb.toml", "lb.example.org.zone"}


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to an empty directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have somebody at a terminal, on a machine with one address."""
    monkeypatch.setattr(command, "_somebody_is_there", lambda: True)
    monkeypatch.setattr(reading, "own_addresses", lambda: (ip_address("127.0.0.1"),))


class _Greeter(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 mx ready\r\n")
        for line in self.rfile:
            ends = line.startswith(b"QUIT")
            self.wfile.write(b"221 bye\r\n" if ends else b"250 ok\r\n")
            if ends:
                break


@pytest.fixture
def port() -> Iterator[int]:
    """Give the port of a mail server at 127.0.0.11."""
    with socketserver.ThreadingTCPServer(("127.0.0.11", free_port("127.0.0.11", "127.0.0.12")), _Greeter) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def run(*words: str, typed: tuple[str, ...] = ()) -> Result:
    """Run the command; lines are `typed` in answer."""
    return CliRunner().invoke(cli, ["setup", *words], input="".join(f"{line}\n" for line in typed))


def left(directory: Path) -> set[str]:
    """Return all that there is."""
    return {path.name for path in directory.iterdir()}


def test_options_alone_make_a_configuration_that_is_right(empty: Path) -> None:
    """Two files for all to read, which load without a warning; what is left is said in the end."""
    result = run(*MAIL, *TWO)
    assert result.exit_code == 0, result.stderr
    assert left(empty) == FILES
    assert {path.stat().st_mode & 0o777 for path in empty.iterdir()} == {0o644}
    settings = config.load(Path("dnslb.toml"))
    assert not settings.warnings
    assert [str(where) for where in settings.server.listen] == ["127.0.0.1:5300"]
    assert [member.name for member in settings.pools["inbound"].members] == ["mx1", "mx2"]
    lines = result.stdout.splitlines()
    assert lines[1] == "wrote dnslb.toml and lb.example.org.zone; `dnslb check` finds them right"
    assert "   dig +norecurse @127.0.0.1 -p 5300 mx.lb.example.org" in lines
    assert "   example.org.        MX   20 last.example.org." in lines
    assert max(map(len, lines)) <= 80


def test_both_uses_have_a_pool_each(empty: Path) -> None:
    """Relays are the same servers, at the port for applications, unless others are named."""
    options = ("--use", "both", *MAIL[2:], *TWO)
    assert run(*options).exit_code == 0
    settings = config.load(Path("dnslb.toml"))
    assert {(target.pool, target.member, target.port) for target in settings.targets} == {
        ("inbound", "mx1", 25),
        ("inbound", "mx2", 25),
        ("relay", "mx1", 587),
        ("relay", "mx2", 587),
    }
    assert run(*options, "--relay", "192.0.2.13", "--relay-port", "465", "--force").exit_code == 0
    (relay,) = [target for target in config.load(empty / "dnslb.toml").targets if target.pool == "relay"]
    assert (relay.member, relay.port, relay.recipe.kind) == ("relay1", 465, "smtps")


def test_relays_alone_have_no_domain_of_mail() -> None:
    """--member names them; there is no MX record to set, and there is what clients need."""
    result = run("--use", "relay", "--zone", "lb.internal", "--ns", "127.0.0.1", "--member", "192.0.2.13")
    assert result.exit_code == 0, result.stderr
    assert list(config.load(Path("dnslb.toml")).pools) == ["relay"]
    assert " MX " not in result.stdout
    assert "   relayhost = [relay.lb.internal]:587" in result.stdout.splitlines()


def test_a_program_is_told_what_was_written() -> None:
    """With --json: the files, and the records for the zone above."""
    result = run(*MAIL, *TWO, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert set(found["written"]) == FILES
    assert found["config"] == "dnslb.toml"
    assert found["parent_records"][0] == "lb.example.org.     NS   ns1.lb.example.org."
    assert (found["warnings"], found["probes"]) == ([], [])


@pytest.mark.parametrize("how", [(), ("--yes",), ("--json",)])
def test_nobody_is_waited_for(how: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, empty: Path) -> None:
    """Without a terminal, and with these options where there is one: what is missing is an error, all of it at once."""
    monkeypatch.setattr(command, "_somebody_is_there", lambda: bool(how))
    result = run("--zone", "lb.example.org", *how)
    assert result.exit_code == 2
    assert "an option says nothing of --use, --ns, --member" in result.stderr
    assert left(empty) == set()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--zone", "example.org"), "--zone: dnslb answers for all names of its zone, also for web sites"),
        (("--domain", "mail.lb.example.org"), "--domain: mail.lb.example.org lies in the zone itself"),
        (("--ns", "ns3"), "--ns: ns3: expected an IPv4 or IPv6 address"),
        (("--ns", "192.0.2.2"), "--ns: 192.0.2.2 is the address of another server already"),
        (("--member", "192.0.2.11"), "--member: 192.0.2.11 is the address of another server already"),
        (("--member", "mx2=192.0.2.13"), "--member: mx2 is another server's name already"),
        (("--member", "nowhere.invalid"), "--member: nowhere.invalid does not resolve"),
        (("--member", "localhost"), "this machine itself (/etc/hosts?)"),
        (("--port", "0"), "--port: expected a port, 1 to 65535"),
        (("--listen", "192.0.2.99"), "--listen: 192.0.2.99 is no address of this machine"),
        (("-c", "dnslb.conf"), "-c: expected the name of a file that ends in .toml"),
        (("--use", "web"), "--use: expected mail (1), relay (2) or both (3)"),
    ],
)
def test_what_is_wrong_is_said_with_its_option(wrong: tuple[str, ...], said: str, empty: Path) -> None:
    """Exit status 2, and nothing is written."""
    result = run(*MAIL, *TWO, *wrong)
    assert (result.exit_code, left(empty)) == (2, set())
    assert said in result.stderr


def test_what_is_there_stays_unless_that_is_wanted(empty: Path) -> None:
    """Exit status 1 and the two ways out; neither file is touched."""
    (empty / "lb.example.org.zone").write_text("mine")
    result = run(*MAIL, *TWO)
    assert result.exit_code == 1
    assert result.stderr == ("Error: lb.example.org.zone: there already; --force writes over it, -c FILE elsewhere\n")
    assert left(empty) == {"lb.example.org.zone"}
    assert (empty / "lb.example.org.zone").read_text() == "mine"
    assert run(*MAIL, *TWO, "--force").exit_code == 0
    assert (empty / "lb.example.org.zone").read_text() != "mine"


def test_it_can_be_written_elsewhere(empty: Path) -> None:
    """Into a directory that is made for it; a directory alone gets the usual name."""
    assert run(*MAIL, *TWO, "-c", "new/mine.toml").exit_code == 0
    assert left(empty / "new") == {"mine.toml", "lb.example.org.zone"}
    (empty / "old").mkdir()
    assert run(*MAIL, *TWO, "-c", "old").exit_code == 0
    assert left(empty / "old") == FILES


def test_servers_are_looked_at_before(port: int, empty: Path) -> None:
    """One that is not well is named with the reason and what to do, and nothing is written; else all is."""
    options = (*MAIL, "--probe", "--port", str(port), "--member", "127.0.0.11")
    bad = run(*options, "--member", "127.0.0.12")
    assert bad.exit_code == 1
    assert bad.stdout.splitlines()[:4] == [
        "SERVER       VERDICT",
        "inbound/mx1  ok",
        "inbound/mx2  refused",
        f"    127.0.0.12:{port} refuses connections",
    ]
    assert bad.stderr == "Error: nothing was written, since not all servers are well: inbound/mx2\n"
    assert left(empty) == set()
    good = run(*options, "--json")
    assert good.exit_code == 0
    assert [report["verdict"] for report in json.loads(good.stdout)["probes"]] == ["ok"]
    assert left(empty) == FILES


@pytest.mark.usefixtures("asked")
def test_somebody_is_asked(port: int) -> None:
    """A wrong answer is said to be so, and asked for again; Enter takes what is usual."""
    typed = (
        "4",
        "1",
        "lb",
        "lb.example.org",
        "",
        "",
        "ns.example.net=192.0.2.2",
        "",
        "mx=127.0.0.11",
        "",
        "0",
        str(port),
    )
    result = run(typed=(*typed, "", "y"))
    assert result.exit_code == 0, result.stderr
    assert [line for line in result.stderr.splitlines() if line.startswith("Error")] == [
        "Error: expected mail (1), relay (2) or both (3)",
        "Error: dnslb answers for all names of its zone, also for web sites: expected",
        "Error: expected a port, 1 to 65535",
    ]
    assert "  mx: 127.0.0.11" in result.stderr.splitlines()
    assert "inbound/mx  ok" in result.stdout.splitlines()
    assert "   lb.example.org.     NS   ns.example.net." in result.stdout.splitlines()
    assert config.load(Path("dnslb.toml")).targets[0].port == port


@pytest.mark.usefixtures("asked")
def test_what_options_say_is_not_asked() -> None:
    """Only where to write is left, and whether to look at the servers."""
    result = run(*MAIL, *TWO, "--domain", "example.org", "--port", "25", typed=("", "n"))
    assert result.exit_code == 0, result.stderr
    assert "Where to write [dnslb.toml]: \nLook at these servers now? [Y/n]: " in result.stderr
    assert "Zone (" not in result.stderr


@pytest.mark.usefixtures("asked")
def test_a_file_that_is_there_is_asked_about(empty: Path) -> None:
    """No: it stays, and another place is asked for."""
    (empty / "dnslb.toml").write_text("mine")
    words = (*MAIL, *TWO, "--domain", "example.org", "--port", "25", "--no-probe")
    result = run(*words, typed=("", "n", "other.toml"))
    assert result.exit_code == 0, result.stderr
    assert "dnslb.toml: there already. Write over it? [y/N]: " in result.stderr
    assert (empty / "dnslb.toml").read_text() == "mine"
    assert left(empty) == {"dnslb.toml", "other.toml", "lb.example.org.zone"}
    assert run(*words, typed=("", "y")).exit_code == 0
    assert (empty / "dnslb.toml").read_text() != "mine"


@pytest.mark.usefixtures("asked")
def test_sick_servers_can_be_written_all_the_same(empty: Path) -> None:
    """Whoever is asked decides."""
    closed = str(free_port("127.0.0.12"))
    words = (*MAIL, "--member", "127.0.0.12", "--domain", "example.org", "--port", closed, "-c", ".")
    assert run(*words, typed=("y", "n")).exit_code == 1
    assert left(empty) == set()
    assert run(*words, typed=("y", "y")).exit_code == 0
    assert left(empty) == FILES


@pytest.mark.usefixtures("asked")
def test_an_end_in_the_middle_leaves_nothing(empty: Path) -> None:
    """As Ctrl-C does: the status of a shell for that, and a word."""
    result = run(typed=("1", "lb.example.org"))
    assert result.exit_code == 130
    assert result.stderr.endswith("\nNothing was written.\n")
    assert left(empty) == set()


@pytest.mark.usefixtures("asked")
def test_behind_a_router_it_listens_on_its_own_address() -> None:
    """The name server has the address that the world knows; where to listen is asked for then."""
    typed = ("192.0.2.200", "", "", "", "n")
    words = ("--use", "mail", "--zone", "lb.example.org", *TWO, "--domain", "example.org", "--port", "25")
    result = run(*words, typed=typed)
    assert result.exit_code == 0, result.stderr
    assert "192.0.2.200 is no address of this machine" in result.stderr
    assert "ns1.lb.example.org. A    192.0.2.200" in result.stdout
    assert [str(where) for where in config.load(Path("dnslb.toml")).server.listen] == ["127.0.0.1:5300"]


def test_for_the_service_it_names_the_directories_of_the_unit(monkeypatch: pytest.MonkeyPatch, empty: Path) -> None:
    """Whoever writes to where the systemd unit looks gets what the unit expects, and is told how to start that."""
    monkeypatch.setattr("dnslb.cli.setup.files.SERVICE_DIRECTORY", empty / "etc")
    monkeypatch.setattr("dnslb.cli.setup.following.SERVICE_DIRECTORY", empty / "etc")
    result = run(*MAIL, *TWO, "-c", "etc/dnslb.toml")
    assert result.exit_code == 0, result.stderr
    server = config.load(Path("etc/dnslb.toml")).server
    assert (str(server.state), str(server.control)) == ("/var/lib/dnslb", "/run/dnslb/control.sock")
    assert "   systemctl enable --now dnslb" in result.stdout.splitlines()


def test_a_directory_behind_a_closed_door_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anybody has answered in vain."""

    def denied(path: Path, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", denied)
    result = run(*MAIL, *TWO, "-c", "etc/dnslb.toml")
    assert result.exit_code == 2
    assert "-c: you may not look into etc (try sudo)" in result.stderr


def test_what_cannot_be_written_leaves_nothing(monkeypatch: pytest.MonkeyPatch, empty: Path) -> None:
    """A full disk, for example: neither of the two files is there then, and no part of one."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    result = run(*MAIL, *TWO)
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert left(empty) == set()
