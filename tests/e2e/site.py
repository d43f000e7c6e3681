"""A daemon with a status page, and what its users do there."""

from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING, Any

from tests.e2e.processes import Stage, free_port
from tests.e2e.product import Daemon

if TYPE_CHECKING:
    from tests.e2e.browser import Page

WRITE, READ = "a-token-with-which-to-write", "a-token-with-which-to-read"
TOKENS = f"alice write {WRITE}\nbob read {READ}\n"


class Site(Daemon):
    """A daemon with a status page and two tokens."""

    def __init__(self, stage: Stage, members: Any, **settings: Any) -> None:  # noqa: ANN401 - as for a Daemon
        self.door = f"127.0.0.1:{free_port()}"
        (stage.path / "tokens.secret").write_text(TOKENS)
        (stage.path / "tokens.secret").chmod(0o600)
        super().__init__(stage, members, http=self.door, server='tokens = "../tokens.secret"', **settings)

    async def show(self, page: Page) -> None:
        """Open it, and wait for what it has to show."""
        await page.goto(f"http://{self.door}/")
        await page.wait(
            "document.querySelectorAll('[data-member]').length * document.querySelectorAll('.uplot canvas').length"
        )


def row(member: str, column: str = "") -> str:
    """Return a selector of a member's row, or a cell of it."""
    return f'[data-member="mail/{member}"] {column}'.strip()


async def unlock(page: Page, token: str) -> None:
    """Enter a token, by keyboard alone."""
    await page.tab_to("#unlock")
    await page.press("Enter")
    await page.wait("document.activeElement.id === 'token'")
    await page.type(token)
    await page.press("Enter")


async def ask_for_change(page: Page, member: str) -> None:
    """Open the dialog that changes a member, by keyboard alone."""
    await page.tab_to(row(member, "button"))
    await page.press("Enter")
    await page.wait("document.querySelector('#change-dialog').open")
    await page.shows("#change-title", f"mail/{member}")


class Hostile(socketserver.ThreadingTCPServer):
    """A mail server that greets with HTML."""

    allow_reuse_address = True
    daemon_threads = True
    addresses = {"mx1": "127.0.0.11"}  # noqa: RUF012 - what Members has, never changed

    def __init__(self, greeting: str) -> None:
        self.port = free_port(*self.addresses.values())

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(greeting.encode())
                self.rfile.readline()

        super().__init__((self.addresses["mx1"], self.port), Session)
        threading.Thread(target=self.serve_forever).start()

    def end(self) -> None:
        """End it."""
        self.shutdown()
        self.server_close()
