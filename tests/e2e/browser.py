"""A real Chromium without a window, driven over the DevTools protocol, which notes whatever a page does wrong."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, WSMsgType

from tests.e2e.processes import Stage, program, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientWebSocketResponse

_SECONDS = 60.0
_KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    " ": (32, " "),
    "ArrowDown": (40, ""),
    "ArrowUp": (38, ""),
}
"""The number of each key that is no letter, and the text that it makes."""

_WATCH = """
addEventListener("securitypolicyviolation", event =>
    console.error("CSP: " + event.violatedDirective + " " + event.blockedURI + " " + event.sample));
"""


class Browser:
    """One Chromium, that several tests share. It knows no host but 127.0.0.1, and asks nobody anything by itself."""

    def __init__(self, stage: Stage) -> None:
        # Not in the stage's directory: what Chromium calls a log there is none.
        profile = Path(tempfile.mkdtemp(prefix="dnslb-chromium-"))
        stage.callback(shutil.rmtree, profile, ignore_errors=True)
        stage.start(
            "chromium",
            [
                program("chromium"),
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-default-apps",
                "--disable-extensions",
                "--disable-sync",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--log-level=3",
                "--no-default-browser-check",
                "about:blank",
            ],
            {"HOME": str(profile)},
        )
        port = profile / "DevToolsActivePort"
        number, path = until(lambda: port.exists() and port.read_text().split(), "chromium listens") or ("", "")
        self.endpoint = f"ws://127.0.0.1:{number}{path}"


@asynccontextmanager
async def opened(browser: Browser) -> AsyncIterator[Page]:
    """Give an empty page that shares nothing with others: neither storage nor cache."""
    async with ClientSession() as session, session.ws_connect(browser.endpoint, max_msg_size=0) as socket:
        page = Page(socket)
        reading = asyncio.create_task(page.read())
        try:
            await page.begin()
            yield page
            await page.end()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


class Page:
    """One tab. `complaints` are errors and warnings of its console, `hosts` those that it has asked for anything."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session: dict[str, str] = {}
        self._context = ""
        self.complaints: list[str] = []
        self._forgiven: list[str] = []
        self.hosts: set[str] = set()

    async def read(self) -> None:
        """Take what the browser says, for as long as there is a connection."""
        async for message in self._socket:
            assert message.type is WSMsgType.TEXT, message
            told = json.loads(message.data)
            if "id" in told:
                self._waiting.pop(told["id"]).set_result(told)
            else:
                self._note(told["method"], told["params"])

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            url = urlsplit(told["request"]["url"])
            if url.scheme != "data":
                self.hosts.add(url.netloc)
        elif method == "Runtime.consoleAPICalled" and told["type"] in {"error", "warning", "assert"}:
            self._complain(" ".join(str(one.get("value", one)) for one in told["args"]))
        elif method == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self._complain(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in {"error", "warning"}:
            self._complain(f"{told['entry']['text']} {told['entry'].get('url', '')}")

    def _complain(self, text: str) -> None:
        if not any(forgiven in text for forgiven in self._forgiven):
            self.complaints.append(text)

    async def begin(self) -> None:
        """Open the tab."""
        self._context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        made = await self.call("Target.createTarget", url="about:blank", browserContextId=self._context)
        attached = await self.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
        await self.viewport(1280, 900)

    async def end(self) -> None:
        """Close the tab."""
        self._session = {}
        await self.call("Target.disposeBrowserContext", browserContextId=self._context)

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command; return its result."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params, **self._session})
        told = await asyncio.wait_for(answer, _SECONDS)
        assert "error" not in told, (method, told)
        result: dict[str, Any] = told["result"]
        return result

    async def goto(self, url: str) -> None:
        """Open an address."""
        told = await self.call("Page.navigate", url=url)
        assert "errorText" not in told, told

    async def run(self, expression: str) -> Any:  # noqa: ANN401 - JSON
        """Return the value of an expression of JavaScript; a promise is waited for."""
        told = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def wait(self, expression: str) -> Any:  # noqa: ANN401 - JSON
        """Return the first true value of an expression."""
        deadline = time.monotonic() + _SECONDS
        while not (value := await self.run(expression)):
            assert time.monotonic() < deadline, f"never: {expression}\n{await self.run('document.body.innerText')}"
            await asyncio.sleep(0.03)
        return value

    async def text(self, selector: str) -> str:
        """Return the text of the first element that a selector finds, as soon as there is one."""
        text: str = await self.wait(f"document.querySelector({json.dumps(selector)})?.textContent")
        return text

    async def shows(self, selector: str, text: str) -> None:
        """Wait until an element that a selector finds has this text in its own."""
        wanted = json.dumps(text)
        await self.wait(
            f"[...document.querySelectorAll({json.dumps(selector)})].some(one => one.textContent.includes({wanted}))"
        )

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            number, text = _KEYS[key]
            about = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": number}
            await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
            await self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    async def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def tab_to(self, selector: str) -> None:
        """Press Tab until what a selector finds has the focus: it can be reached by keyboard."""
        matches = f"document.activeElement.matches({json.dumps(selector)})"
        for _ in range(200):
            await self.press("Tab")
            if await self.run(matches):
                return
        raise AssertionError(f"Tab never comes to {selector}")

    async def forgive(self, text: str) -> None:
        """Wait for a complaint with a text in it, and take back all such, later ones too: the test wants them."""
        deadline = time.monotonic() + _SECONDS
        while not any(text in complaint for complaint in self.complaints):
            assert time.monotonic() < deadline, (text, self.complaints)
            await asyncio.sleep(0.03)
        self._forgiven.append(text)
        self.complaints = [complaint for complaint in self.complaints if text not in complaint]

    async def viewport(self, width: int, height: int) -> None:
        """Give the window another size."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def media(self, **features: str) -> None:
        """Have media features (with _ for -) as a system or its user wants them."""
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.call("Emulation.setEmulatedMedia", features=wanted)

    async def screenshot(self) -> bytes:
        """Return a picture of what is in the window, as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])
