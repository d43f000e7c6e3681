"""The daemon as its administrator sees it: how it starts, what it answers, how it ends."""

import os
import pwd
import re
import resource
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import dns.message
import dns.query
import dns.rcode
import pytest

from dnslb.control.protocol import Refused
from dnslb.server import engine
from dnslb.zone.serial import is_newer
from tests.daemon.conftest import ADDRESSES, Daemon, runs, until

ME = pwd.getpwuid(os.getuid()).pw_name


def metrics(daemon: Daemon) -> str:
    """Return what Prometheus would read."""
    with urllib.request.urlopen(f"http://{daemon.logged('http')['address']}/metrics", timeout=20) as response:
        text: str = response.read().decode()
        return text


def errors(daemon: Daemon) -> list[str]:
    """Return what was written for people, beside the log."""
    return [line for line in daemon.stderr().splitlines() if not line.startswith("{")]


@contextmanager
def silent(name: str, port: int) -> Iterator[None]:
    """Have a member neither take nor refuse connections: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ADDRESSES[name], port))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the library's signature
            waiting.connect_ex(listener.getsockname())
        yield


def test_the_first_answer_is_right_and_the_end_leaves_nothing(daemon: Daemon) -> None:
    """A member that is dead at the start is not in the first answer; SIGTERM ends all with status 0."""
    daemon.members.close("mx1")
    daemon.start(workers=2)
    assert daemon.members_in_answer() == {"mx2"}
    pids = daemon.worker_pids()
    assert len(pids) == 2
    assert daemon.stop() == 0
    assert not any(map(runs, pids))
    assert not (daemon.state / "control.sock").exists()
    assert daemon.log()[-1]["event"] == "stopped"
    assert errors(daemon) == []


def test_a_death_is_confirmed_at_once(daemon: Daemon) -> None:
    """With an hour between probes a dead member leaves after `fall` probes in quick succession, and no other is asked.

    A changed recipe is what makes the daemon look the first time.
    """
    daemon.start(interval="1h", fall=2)
    assert daemon.members_in_answer() == {"mx1", "mx2"}
    daemon.members.close("mx1")
    daemon.configure(timeout="3s")
    daemon.call("reload")
    until(lambda: daemon.members_in_answer() == {"mx2"}, "mx1 leaves")
    assert daemon.member("mx1")["state"] == "down"
    text = metrics(daemon)
    assert 'dnslb_probe_total{member="mx1",pool="mail",verdict="refused"} 2.0' in text
    assert 'dnslb_probe_total{member="mx2",pool="mail",verdict="ok"} 2.0' in text
    assert re.search(r"dnslb_answer_change_seconds_count 1\.0", text)


def test_a_member_that_died_during_a_restart_is_confirmed_at_once(daemon: Daemon) -> None:
    """What was known is answered from without waiting, and all are probed at the start, however long the interval."""
    daemon.start(interval="1h", fall=2)
    assert daemon.members_in_answer() == {"mx1", "mx2"}
    assert daemon.stop() == 0
    daemon.members.close("mx1")
    daemon.start(interval="1h", fall=2)
    until(lambda: daemon.members_in_answer() == {"mx2"}, "mx1 leaves")
    assert 'dnslb_probe_total{member="mx2",pool="mail",verdict="ok"} 1.0' in metrics(daemon)


def test_who_was_down_while_drained_comes_back_slowly(daemon: Daemon) -> None:
    """The first answers after `ready` have it with a tenth of its weight, however long ago it was mended."""
    daemon.start()
    mx1 = {"pool": "mail", "member": "mx1"}
    daemon.call("admin", **mx1, state="drain")
    daemon.members.close("mx1")
    until(lambda: daemon.member("mx1")["state"] == "down", "mx1 is down")
    daemon.members.open("mx1")
    until(lambda: daemon.member("mx1")["state"] == "up", "mx1 is up")
    assert daemon.call("admin", **mx1, state="ready")["effective_weight"] == 5


def test_operators_are_obeyed_in_the_next_answer_and_remembered(daemon: Daemon) -> None:
    """What is confirmed is in every worker and outlives a restart; generations and serials only rise."""
    daemon.weights = {"mx1": 50, "mx2": 50, "mx3": 50}
    daemon.start(workers=2)
    for verb, args, expected in (
        ("admin", {"member": "mx1", "state": "drain", "reason": "kernel"}, {"mx2", "mx3"}),
        ("weight", {"member": "mx2", "weight": 0}, {"mx3"}),
        ("admin", {"member": "mx1", "state": "ready"}, {"mx1", "mx3"}),
        ("admin", {"member": "mx3", "state": "maint"}, {"mx1"}),
    ):
        before = daemon.serial()
        done = daemon.call(verb, pool="mail", **args)
        status = daemon.call("status")
        assert {worker["generation"] for worker in status["workers"]} == {status["generation"]} == {done["generation"]}
        assert [daemon.members_in_answer() for _ in range(8)] == [expected] * 8
        assert daemon.serial() == before + 1
    with pytest.raises(Refused, match="no member"):
        daemon.call("admin", pool="mail", member="mx9", state="drain")
    serial = daemon.serial()
    assert daemon.stop() == 0

    daemon.start()
    assert daemon.members_in_answer() == {"mx1"}
    assert daemon.serial() > serial
    assert (daemon.member("mx3")["admin"], daemon.member("mx2")["effective_weight"]) == ("maint", 0)
    daemon.call("weight", pool="mail", member="mx2", weight=None)
    assert daemon.members_in_answer() == {"mx1", "mx2"}
    texts = [event["text"] for event in daemon.call("events", limit=1000)]
    assert any("mx1 set to drain by" in text and text.endswith(": kernel") for text in texts)
    assert sum(text.endswith("started") for text in texts) == 2


def test_a_reload_changes_all_or_nothing(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """By command and by SIGHUP; a wrong file is refused with its lines, and what was served is served on."""
    monkeypatch.delenv("SUDO_USER", raising=False)
    process = daemon.start()
    daemon.call("admin", pool="mail", member="mx1", state="drain")
    daemon.weights = {"mx2": 50, "mx3": 50}
    daemon.configure(ttl=7)
    done = daemon.call("reload")
    assert (done["changed"], done["warnings"]) == (True, [])
    answer = daemon.ask()
    assert answer.answer[0].ttl == 7
    until(lambda: daemon.members_in_answer() == {"mx2", "mx3"}, "the new member is probed")
    again = daemon.call("reload")
    assert again == {"generation": daemon.call("status")["generation"], "changed": False, "warnings": []}

    daemon.weights = {"mx1": 50, "mx2": 50}
    daemon.configure(workers=2)
    process.send_signal(signal.SIGHUP)
    until(lambda: daemon.call("status")["generation"] > again["generation"], "the signal is obeyed")
    assert daemon.members_in_answer() == {"mx2"}, "mx1 came back as people want it: drained"
    warning = "server.workers has changed: that takes effect at the next start"
    # It is told after the new answers are there.
    until(lambda: [warning] in [line.get("warnings") for line in daemon.log()], "the warning")

    good = daemon.call("status")["generation"]
    daemon.config.write_text(daemon.config.read_text().replace("weight = 50", 'weight = "heavy"'))
    with pytest.raises(Refused, match="the configuration has 2 errors; nothing was changed") as refused:
        daemon.call("reload")
    assert all("dnslb.toml:" in problem for problem in refused.value.details["problems"])
    process.send_signal(signal.SIGHUP)
    until(lambda: daemon.logged("reload_refused"), "the signal is refused")
    assert daemon.call("status")["generation"] == good
    assert daemon.members_in_answer() == {"mx2"}
    # The same by command and by signal: who, what was before and after, and what stood in the way.
    first, second, *_, by_signal = until(lambda: _reloads(daemon, 5), "the events are stored")
    assert (first["who"], by_signal["who"]) == (ME, "SIGHUP")
    assert first["details"]["before"]["generation"] < first["details"]["after"]["generation"]
    assert (first["details"]["added"], first["details"]["removed"]) == (["mail/mx3"], ["mail/mx1"])
    same = {"generation": again["generation"]}
    assert second["details"] == {"changed": False, "before": same, "after": same, "added": [], "removed": []}
    assert by_signal["details"] == {"problems": refused.value.details["problems"]}


def _reloads(daemon: Daemon, number: int) -> list[dict[str, Any]]:
    """Return the events of reloads if there are so many."""
    found = [event for event in daemon.call("events", limit=1000) if event["kind"] == "reload"]
    return found if len(found) == number else []


_MX = '[[service]]\nname = "lb.test"\ntype = "MX"\npool = "mail"\nttl = 1\n'


def test_the_host_of_a_removed_member_is_there_until_no_cache_points_at_it(daemon: Daemon) -> None:
    """A sender that has its MX record from a cache would return the mail if the host had no address any more."""
    daemon.start()
    for weights in ({"mx1": 50, "mx2": 50}, {"mx1": 50}):
        daemon.weights = weights
        daemon.configure()
        daemon.config.write_text(daemon.config.read_text() + _MX)
        daemon.call("reload")
    assert [rdata.address for rdata in daemon.ask("mx2.lb.test").answer[0]] == ["127.0.1.2"]
    until(lambda: daemon.ask("mx2.lb.test").rcode() == dns.rcode.NXDOMAIN, "no cache points at it")
    assert daemon.ask("mx1.lb.test").answer


def test_the_log_says_which_engine_answers(running: Daemon) -> None:
    """A fall back to Python, after an update perhaps, is seen without being looked for."""
    assert running.logged("ready")["engine"] == engine.describe()


def test_the_status_counts_answers_by_their_response_codes(running: Daemon) -> None:
    """All workers together: twice what there is, once what there is not; codes that nobody got are left out."""
    before = running.call("status")["rcodes"]
    for name in ("relay.lb.test", "relay.lb.test", "none.lb.test"):
        running.ask(name)
    after = running.call("status")
    risen = {rcode: count - before.get(rcode, 0) for rcode, count in after["rcodes"].items()}
    assert {rcode: count for rcode, count in risen.items() if count} == {"NOERROR": 2, "NXDOMAIN": 1}
    assert "YXDOMAIN" not in after["rcodes"]
    assert sum(after["rcodes"].values()) == sum(worker["queries"] for worker in after["workers"])


def test_a_killed_worker_is_replaced(running: Daemon) -> None:
    """The status has a new process in its place, answers go on, and it is counted and told."""
    pids = running.worker_pids()
    before = sum(worker["queries"] for worker in running.call("status")["workers"])
    os.kill(pids[0], signal.SIGKILL)
    assert [running.members_in_answer() for _ in range(8)] == [{"mx1", "mx2"}] * 8
    until(lambda: len({0, pids[0]} | set(running.worker_pids())) == 4, "a new process")
    workers = running.call("status")["workers"]
    assert workers[1]["pid"] == pids[1]
    assert sum(worker["queries"] for worker in workers) == before + 8
    assert "dnslb_worker_restarts_total 1.0" in metrics(running)
    assert running.logged("worker_died")["how"] == "ended by signal 9"


def test_a_reload_changes_the_rate_limit(daemon: Daemon) -> None:
    """Loopback is exempt; a network that is not gets so many answers in a second, and half of the others truncated."""
    daemon.start()
    assert asked_at_once(daemon, 100) == [False] * 100
    table = "[server.rate_limit]\nper_second = 3\nslip = 1\nexempt = []\n\n"
    daemon.config.write_text(daemon.config.read_text().replace("[zone", table + "[zone"))
    assert daemon.call("reload")["warnings"] == []
    # They may come within two seconds, or more on a busy machine.
    assert 0 < sum(asked_at_once(daemon, 100)) < 98
    truncated = int(metrics(daemon).partition('dnslb_rate_limited_total{action="truncated"} ')[2].partition(".")[0])
    assert truncated > 0
    query = dns.message.make_query("relay.lb.test", "A")
    assert all(dns.query.tcp(query, "127.0.0.1", timeout=20, port=daemon.port).answer for _ in range(20))


def asked_at_once(daemon: Daemon, number: int) -> list[bool]:
    """Send so many queries; return of each answer whether it is truncated."""
    query = dns.message.make_query("relay.lb.test", "A").to_wire()
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.connect(("127.0.0.1", daemon.port))
        for _ in range(number):
            client.send(query)
        return [bool(client.recv(2000)[2] & 2) for _ in range(number)]


def test_what_the_kernel_drops_is_counted_and_not_forgotten(daemon: Daemon) -> None:
    """While a worker stands still its buffer runs over; the one that comes in its place does not begin at 0."""
    daemon.start(workers=1)
    assert lost(daemon) == 0
    (pid,) = daemon.worker_pids()
    os.kill(pid, signal.SIGSTOP)
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", daemon.port))
        while not lost(daemon):
            for _ in range(2000):
                client.send(b"x" * 12)
    before = lost(daemon)
    until(lambda: daemon.call("status")["workers"][0]["queries"], "a new process answers what had room")
    assert daemon.worker_pids() != [pid]
    assert lost(daemon) >= before > 0


def lost(daemon: Daemon) -> float:
    """Return how many datagrams found no room in a receive buffer."""
    (line,) = (line for line in metrics(daemon).splitlines() if "receive_buffer" in line)
    return float(line.split()[-1])


def test_metrics_have_the_names_that_dashboards_use(running: Daemon) -> None:
    """Every series of the contract, with its labels."""
    running.ask()
    until(lambda: "dnslb_probe_total" in metrics(running), "a probe is counted")
    text = metrics(running)
    member = '{member="mx1",pool="mail"}'
    for series in (
        'dnslb_queries_total{protocol="udp",qtype="A",rcode="NOERROR"} ',
        'dnslb_dropped_total{reason="short"} 0.0',
        'dnslb_dropped_total{reason="rate_limited"} 0.0',
        'dnslb_dropped_total{reason="receive_buffer"} 0.0',
        'dnslb_rate_limited_total{action="truncated"} 0.0',
        'dnslb_tcp_closed_total{reason="idle"} 0.0',
        "dnslb_generation 1.0",
        f"dnslb_member_up{member} 1.0",
        f"dnslb_member_published{member} 1.0",
        f"dnslb_member_share{member} 0.5",
        f"dnslb_member_weight{member} 50.0",
        'dnslb_pool_panic{pool="mail"} 0.0',
        'dnslb_probe_total{member="mx1",pool="mail",verdict="ok"} ',
        'dnslb_probe_duration_seconds_bucket{le="+Inf",pool="mail"} ',
        "dnslb_probe_lag_seconds ",
        'dnslb_answer_change_seconds_bucket{le="+Inf"} 0.0',
        "dnslb_worker_restarts_total ",
        "dnslb_state_failing 0.0",
    ):
        assert any(line.startswith(series) for line in text.splitlines()), series


def test_workers_outlive_a_killed_controller_until_the_next_has_taken_over(daemon: Daemon) -> None:
    """Mail must not stop because the control plane did; and old answers must not stay for ever."""
    process = daemon.start(workers=2)
    daemon.call("admin", pool="mail", member="mx1", state="drain")
    serial = daemon.serial()
    old = daemon.worker_pids()
    process.kill()
    process.wait(30)
    assert [daemon.members_in_answer() for _ in range(8)] == [{"mx2"}] * 8

    # A start that fails leaves them where they are.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon.configure(http=taken.getsockname()[1])
        assert daemon.launch().wait(30) == 1
    assert "cannot listen for HTTP" in errors(daemon)[0]
    assert all(map(runs, old))
    assert daemon.members_in_answer() == {"mx2"}

    daemon.configure(http=0)
    daemon.start()
    assert daemon.logged("replaced_workers_left_behind")["pids"] == old
    until(lambda: not any(map(runs, old)), "the old ones end")
    assert [daemon.members_in_answer() for _ in range(8)] == [{"mx2"}] * 8
    assert daemon.serial() > serial
    new = daemon.worker_pids()
    assert not set(new) & set(old)
    assert daemon.stop() == 0
    assert not any(map(runs, new))


def test_a_start_that_is_stopped_leaves_nothing(daemon: Daemon) -> None:
    """SIGTERM in the first round of probes ends it at once with status 0, and the workers of a killed one with it."""
    first = daemon.start()
    old = daemon.worker_pids()
    first.kill()
    first.wait(30)
    daemon.members.close("mx3")
    daemon.weights = {"mx1": 50, "mx3": 50}
    with silent("mx3", daemon.members.port):
        process = daemon.launch()
        until(lambda: daemon.logged("first_round", process), "it waits for members")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert [line["event"] for line in daemon.log()][-2:] == ["stopping", "stopped"]
    assert errors(daemon) == []
    until(lambda: not any(map(runs, old)), "the old ones end")


def test_a_reload_during_the_start_waits_for_its_end(daemon: Daemon) -> None:
    """It neither starts workers before the first round has ended nor lets the serial fall."""
    daemon.start()
    daemon.call("admin", pool="mail", member="mx2", state="drain")
    serial = daemon.serial()
    daemon.stop()
    daemon.members.close("mx3")
    daemon.weights = {"mx1": 50, "mx3": 50}
    daemon.configure(timeout="1s")
    with silent("mx3", daemon.members.port):
        process = daemon.launch()
        until(lambda: daemon.logged("first_round", process), "it waits for members")
        daemon.configure(ttl=9)
        process.send_signal(signal.SIGHUP)
        until(lambda: daemon.logged("reloaded", process), "it reloads")
    events = [line["event"] for line in daemon.log()]
    assert events.index("first_round") < events.index("ready") < events.index("reloaded")
    assert daemon.serial() > serial
    assert daemon.ask().answer[0].ttl == 9


def test_what_keeps_it_from_starting_is_one_clear_line(daemon: Daemon) -> None:
    """Status 1, one sentence that says what to do, no traceback, nothing left; each trouble by itself."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon.port = taken.getsockname()[1]
        assert daemon.launch().wait(30) == 1
    (line,) = errors(daemon)
    assert line.startswith("dnslb: cannot listen on 127.0.0.1:")
    assert "the port is taken" in line

    (daemon.directory / "state").rename(daemon.directory / "before")
    daemon.state.write_text("in the way")
    assert daemon.launch().wait(30) == 1
    (line,) = errors(daemon)
    assert "is not a directory: name another one in [server] state" in line


def test_a_second_daemon_on_the_same_state_is_refused(running: Daemon) -> None:
    """It says whose the directory is, and the first is not disturbed."""
    first = running.call("status")
    command = [sys.executable, "-m", "dnslb", "run", "-c", str(running.config)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert re.fullmatch(
        r"dnslb: another dnslb \(pid \d+\) runs with state directory \S+: stop it, or name another directory in "
        r"\[server\] state\n",
        second.stderr,
    )
    assert running.members_in_answer() == {"mx1", "mx2"}
    assert running.call("status")["workers"][0]["pid"] == first["workers"][0]["pid"]


def test_state_that_is_corrupt_is_set_aside(daemon: Daemon) -> None:
    """The daemon starts as new, keeps all of it under other names, and says so; no serial is given out again."""
    daemon.start()
    serial = daemon.serial()
    assert daemon.stop() == 0
    for name in ("state.json", "state.copy.json", "events.db"):
        (daemon.state / name).write_bytes(b"rubbish" * 100)
    daemon.start()
    told = [line["text"] for line in daemon.log() if line["event"] == "state_found"]
    for name in ("state.json", "state.copy.json", "events.db"):
        (aside,) = daemon.state.glob(f"{name}.corrupt-*")
        assert aside.read_bytes() == b"rubbish" * 100
        assert any(str(aside) in text for text in told)
    assert {event["text"] for event in daemon.call("events") if event["kind"] == "alert"} == set(told)
    assert daemon.members_in_answer() == {"mx1", "mx2"}
    assert daemon.call("status")["state_failing"] is None
    assert is_newer(daemon.serial(), serial + 1000)


def test_a_wrong_configuration_is_status_2(daemon: Daemon) -> None:
    """Every problem with its line, nothing else, and no state directory."""
    daemon.configure()
    daemon.config.write_text(daemon.config.read_text().replace("weight = 50", "weight = -1"))
    command = [sys.executable, "-m", "dnslb", "run", "-c", str(daemon.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert len(re.findall(r"dnslb\.toml:\d+:", done.stderr)) == 2
    assert not daemon.state.exists()


def test_all_members_dead_is_no_answer_that_bounces(daemon: Daemon) -> None:
    """Health is ignored when nothing healthy is left: the name keeps its addresses, and panic is told."""
    daemon.members.close("mx1")
    daemon.members.close("mx2")
    daemon.start()
    assert daemon.ask().rcode() == dns.rcode.NOERROR
    assert daemon.members_in_answer() == {"mx1", "mx2"}
    assert daemon.call("status")["pools"]["mail"]["panic"] is True
    daemon.members.open("mx1")
    until(lambda: daemon.members_in_answer() == {"mx1"}, "the living one alone")
    until(lambda: daemon.logged("pool_recovered"), "it is told")


def test_it_takes_the_descriptors_that_it_may_have(daemon: Daemon) -> None:
    """The soft limit becomes the hard one, and it is said, with what to do, when that is not enough."""
    process = daemon.launch("sh", "-c", 'ulimit -S -n 100; ulimit -H -n 250; exec "$@"', "sh")
    until(lambda: daemon.logged("ready", process), "the daemon is ready")
    assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (250, 250)
    assert daemon.logged("listening")["descriptors"] == 250
    warning = daemon.logged("configuration")["text"]
    assert warning.startswith("2 members and 2 listeners need 260 open files, and only 250 are allowed: raise")
    assert daemon.call("reload")["warnings"] == [warning]
    assert daemon.stop() == 0


def test_workers_run_where_the_configuration_says(daemon: Daemon) -> None:
    """Other CPUs are for the workers of the next start."""
    cpu = max(os.sched_getaffinity(0))
    daemon.start(workers=f"2\ncpus = [{cpu}]")
    assert [os.sched_getaffinity(pid) for pid in daemon.worker_pids()] == [{cpu}, {cpu}]
    daemon.configure(workers="2")
    assert daemon.call("reload")["warnings"] == ["server.cpus has changed: that takes effect at the next start"]
    assert [os.sched_getaffinity(pid) for pid in daemon.worker_pids()] == [{cpu}, {cpu}]


SMALL_BUFFERS = """
import sys
from dnslb.server import sockets
sockets._SO_RCVBUFFORCE = 9999
sockets._RECEIVE_BUFFER = 1 << 30
from dnslb.cli.main import main
del sys.argv[1:4]
main()
"""
"""Runs the command behind `python -m dnslb` without the privilege to ask for a larger buffer than is allowed."""


def test_small_receive_buffers_are_told_at_the_start(daemon: Daemon) -> None:
    """It goes on with them: they are enough until there is a burst."""
    process = daemon.launch(sys.executable, "-c", SMALL_BUFFERS)
    until(lambda: daemon.logged("ready", process), "the daemon is ready")
    (warning,) = [line["text"] for line in daemon.log() if line["level"] == "warning"]
    assert "`sysctl -w net.core.rmem_max=1073741824`" in warning
    assert daemon.stop() == 0


def test_no_descriptor_left_does_not_fill_the_log(daemon: Daemon) -> None:
    """Clients that wait for one are a line, not a line for each."""
    process = daemon.start(interval="1h")
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, hard))
    address = daemon.logged("http")["address"].split(":")
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(socket.create_connection((address[0], int(address[1]))))
        until(lambda: daemon.logged("event_loop"), "the shortage is told")
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))
        until(lambda: "dnslb_generation" in metrics(daemon), "it goes on")
    assert errors(daemon) == []
    told = [line["text"] for line in daemon.log() if line["level"] == "error"]
    assert set(told) == {"socket.accept() out of system resource"}
    assert len(told) < 25
    assert daemon.stop() == 0


HANGS_UP = """
import os, signal
def load(path):
    os.kill(os.getpid(), signal.SIGHUP)
    return read(path)

import dnslb.config
read, dnslb.config.load = dnslb.config.load, load
from dnslb.cli.main import main
main()
"""


def test_a_hangup_while_it_starts_is_no_harm(daemon: Daemon) -> None:
    """SIGHUP before there is anything to reload does not end the start."""
    daemon.configure()
    daemon.config.write_text(daemon.config.read_text() + "wrong")
    command = [sys.executable, "-c", HANGS_UP, "run", "-c", str(daemon.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "dnslb.toml:" in done.stderr) == (2, True)
