"""The JSON API behind a proxy, here HAProxy: under the proxy's name, with its own clients and its own timeouts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.control.http.conftest import bearer
from tests.control.http.test_stream import messages, the_next
from tests.e2e.processes import free_port, listens, program, until
from tests.e2e.site import READ, WRITE

if TYPE_CHECKING:
    from tests.e2e.processes import Stage
    from tests.e2e.site import Site

HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend door
  bind 127.0.0.1:{port}
  default_backend dnslb
backend dnslb
  server dnslb {door}
"""
NAME = "dnslb.example.org"
DRAIN = {"pool": "mail", "member": "mx2", "state": "drain", "reason": "through a proxy"}


@pytest.fixture
def proxy(stage: Stage, site: Site) -> str:
    """Start a proxy before a daemon; return its URL."""
    port, path = free_port(), stage.path / "haproxy.cfg"
    path.write_text(HAPROXY.format(port=port, door=site.door))
    stage.start("haproxy", [program("haproxy"), "-db", "-f", str(path)])
    until(lambda: listens("127.0.0.1", port), "the proxy listens")
    return f"http://127.0.0.1:{port}"


async def test_through_a_proxy(proxy: str, site: Site) -> None:
    """The page is there, all else needs a token; a change is seen by who listens, and nothing is held back."""
    async with aiohttp.ClientSession(proxy, headers={"Host": NAME}) as client:
        for path, status in {"/": 200, "/metrics": 421, "/api/v1/status": 421, "/api/v1/stream": 421}.items():
            async with client.get(path) as response:
                assert response.status == status
        async with client.get("/api/v1/stream", headers=bearer(READ)) as listened:
            heard = messages(listened)
            await the_next(heard, "history")
            own = {"Origin": f"https://{NAME}", **bearer(WRITE)}
            async with client.post("/api/v1/admin", json=DRAIN, headers=own) as response:
                assert response.status == 200
            told = ""
            while told != "mx2 set to drain by alice (token): through a proxy":
                told = (await the_next(heard, "event"))[2]["text"]
    assert site.member("mx2")["admin"] == "drain"
