"""A daemon tells others what happens."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dnslb.store import Event, EventKind, Store
from tests.daemon.conftest import Daemon, until
from tests.daemon.test_run import metrics

WEBHOOK = '[[notify]]\nurl = "http://127.0.0.1:{port}/services/T000"\n'


class Chat(ThreadingHTTPServer):
    """Takes messages; while `open` is not set it says nothing."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Guest)
        self.open = threading.Event()
        self.open.set()
        self.asked = 0
        self.events: list[dict[str, Any]] = []

    def texts(self) -> list[str]:
        """Return the texts of all events that it was told of."""
        return [event["text"] for event in self.events]


class Guest(BaseHTTPRequestHandler):
    """One message."""

    def do_POST(self) -> None:
        """Take it, or let it wait."""
        chat = self.server
        assert isinstance(chat, Chat)
        chat.asked += 1
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chat.open.wait()
        chat.events += message["events"]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Keep quiet."""


@contextmanager
def chatting() -> Iterator[Chat]:
    """Give a chat that takes messages."""
    with Chat() as chat:
        thread = threading.Thread(target=chat.serve_forever)
        thread.start()
        try:
            yield chat
        finally:
            chat.open.set()
            chat.shutdown()
            thread.join()


def test_who_is_configured_is_told(daemon: Daemon, tmp_path: Path) -> None:
    """What people do and what probes find, in the order of the events: a webhook, and a command that a reload adds."""
    log = tmp_path / "told"
    command = ["/bin/sh", "-c", f"echo $DNSLB_KINDS >> {log}"]
    with chatting() as chat:
        daemon.more = WEBHOOK.format(port=chat.server_port)
        daemon.start(fall=1)
        daemon.call("admin", pool="mail", member="mx1", state="drain", reason="kernel")
        daemon.members.close("mx2")
        until(lambda: any("mx2 is down" in text for text in chat.texts()), "the webhook is told of mx2")
        daemon.more += f'[[notify]]\ncommand = {json.dumps(command)}\nkinds = ["weight", "stop"]\n'
        daemon.configure()
        daemon.call("reload")
        daemon.call("weight", pool="mail", member="mx1", weight=5)
        until(lambda: log.exists() and log.read_text().count("\n") == 1, "the command is told of the weight")
        kinds = ("start", "stop", "probe")
        stored = [event for event in daemon.call("events", limit=1000) if event["kind"] not in kinds]
        until(lambda: len(chat.events) >= len(stored), "the webhook has been told of all")
        assert chat.events[: len(stored)] == stored
        shown = metrics(daemon)
        assert f'dnslb_notify_total{{result="delivered",target="127.0.0.1"}} {len(stored)}.0' in shown
        assert 'dnslb_notify_total{result="delivered",target="sh"} 1.0' in shown
        assert 'dnslb_notify_failing{target="127.0.0.1"} 0.0' in shown
        assert daemon.stop() == 0
        assert log.read_text().split() == ["weight", "stop"]
        assert "T000" not in daemon.stderr()


def test_who_does_not_listen_holds_nothing_up(daemon: Daemon) -> None:
    """Neither answers nor changes nor the end: what could not be told is said in the log, and no process is left."""
    hook = '[[notify]]\ncommand = ["/bin/sleep", "1000"]\ntimeout = "1h"\n'
    with chatting() as chat:
        chat.open.clear()
        daemon.more = WEBHOOK.format(port=chat.server_port) + 'timeout = "1h"\n' + hook
        daemon.start()
        daemon.call("admin", pool="mail", member="mx1", state="drain")
        until(lambda: chat.asked, "the webhook is asked")
        daemon.call("weight", pool="mail", member="mx2", weight=5)
        assert daemon.members_in_answer() == {"mx2"}
        assert daemon.stop() == 0
        left = [(line["target"], line["events"]) for line in daemon.log() if line["event"] == "notify_left"]
        assert [target for target, _events in left] == ["127.0.0.1", "sleep"]
        assert all(events >= 2 for _target, events in left)


def test_a_reload_changes_how_long_events_are_kept(daemon: Daemon) -> None:
    """From the next event on, which may be that of the reload."""
    asyncio.run(_left_behind(daemon.state, Event(time.time() - 7200.0, EventKind.ALERT, "of two hours ago")))
    daemon.start()
    texts = [event["text"] for event in daemon.call("events")]
    assert texts[0] == "of two hours ago"
    daemon.config.write_text(daemon.config.read_text().replace("[server]", '[server]\nevent_retention = "1h"'))
    assert daemon.call("reload")["warnings"] == []
    until(lambda: daemon.call("events")[0]["text"] == texts[1], "it is gone")


async def _left_behind(directory: Path, event: Event) -> None:
    """Have an event in the store that an earlier run has left."""
    store = Store.open(directory)
    store.note(event)
    await store.flush()
    await store.close()
