"""Chromium without a window, driven over the DevTools protocol: what a person sees, and nothing beside it.

async with browsing(url, user="ann", password="…") as page:
    await page.until("document.title", "…")
"""

import asyncio
import base64
import itertools
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.programs import Json, until
from tests.support.tools import need

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
_LISTENING = re.compile(rb"DevTools listening on (ws://\S+)")
CALL = 30.0
"""Seconds within which the browser must answer."""


class Page:
    """One tab. `troubles` are the errors of its console: what the policy blocked, what the script threw."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, user: str, password: str) -> None:
        self.troubles: list[str] = []
        self.requests: list[str] = []
        self._socket = socket
        self._answer = {"response": "ProvideCredentials", "username": user, "password": password}
        self._session = ""
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reading = asyncio.create_task(self._read())

    async def open(self) -> None:
        target = await self._call("Target.createTarget", url="about:blank")
        attached = await self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self._call(f"{domain}.enable")
        await self._call("Fetch.enable", handleAuthRequests=True)

    async def close(self) -> None:
        with suppress(AssertionError, TimeoutError):
            await self._call("Browser.close")
        self._reading.cancel()
        await asyncio.gather(self._reading, *self._tasks, return_exceptions=True)

    async def screen(self, width: int, height: int = 900, *, dark: bool = False, mobile: bool = False) -> None:
        """The size of the screen in pixels, and whether the person prefers a dark one."""
        await self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self._call("Emulation.setEmulatedMedia", features=[scheme])

    async def goto(self, url: str) -> None:
        """Loads the page whole."""
        await self.evaluate("window.before = true")
        await self._call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && window.before === undefined", True)

    async def click(self, selector: str) -> None:
        """Clicks, and waits for the page that this loads."""
        await self.evaluate("window.before = true")
        await self.evaluate(f"document.querySelector({selector!r}).click()")
        await self.until("document.readyState === 'complete' && window.before === undefined", True)

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        answer = await self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str, expected: Any) -> None:
        """Waits until the expression has this value."""
        seen: Any = None

        async def look() -> bool:
            nonlocal seen
            with suppress(AssertionError):  # between two pages there may be nothing to ask
                seen = await self.evaluate(expression)
            return bool(seen == expected)

        try:
            await until(look, what=expression, deadline=60)
        except AssertionError as error:
            error.add_note(f"expected {expected!r}, last seen {seen!r}; in the console: {self.troubles}")
            raise

    async def until_text(self, selector: str, text: str) -> None:
        """Waits until an element has this text in it."""
        await self.until(f"document.querySelector({selector!r})?.textContent.includes({text!r}) ?? false", True)

    async def offline(self, *, lost: bool) -> None:
        """Whether the browser has lost its network."""
        speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        await self._call("Network.emulateNetworkConditions", offline=lost, **speed)

    async def screenshot(self, file: Path, *, height: int | None = None) -> None:
        """The whole page as PNG, or the first `height` pixels of it."""
        size = (await self._call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        answer = await self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(answer["data"]))  # noqa: ASYNC240 - small, and nothing else runs

    async def _call(self, method: str, **params: Any) -> Json:
        number = next(self._numbers)
        message: Json = {"id": number, "method": method, "params": params}
        if self._session and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json(message)
        answer: Json = await asyncio.wait_for(waiting, CALL)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: Json = answer["result"]
        return result

    async def _read(self) -> None:
        async for message in self._socket:
            document: Json = message.json()
            if "id" in document:
                waiting = self._waiting.pop(document["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(document)
            else:
                self._heard(document["method"], document["params"])

    def _heard(self, method: str, params: Json) -> None:
        match method:
            case "Fetch.requestPaused":
                self.requests.append(params["request"]["url"])
                self._later("Fetch.continueRequest", requestId=params["requestId"])
            case "Fetch.authRequired":
                self._later("Fetch.continueWithAuth", requestId=params["requestId"], authChallengeResponse=self._answer)
            case "Runtime.exceptionThrown":
                self.troubles.append(str(params["exceptionDetails"]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.troubles.append(str(params["entry"]["text"]))

    def _later(self, method: str, **params: Any) -> None:
        task = asyncio.create_task(self._call(method, **params))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@asynccontextmanager
async def browsing(*, user: str = "", password: str = "") -> AsyncIterator[Page]:
    """A browser of its own, with one page, that answers a request for a password."""
    chromium = need("chromium")
    with tempfile.TemporaryDirectory(prefix="diego-medic-chromium-", ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            chromium,
            *_FLAGS,
            f"--user-data-dir={folder}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            url = await asyncio.wait_for(_listening(process), 60)
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(url, max_msg_size=0, heartbeat=None) as socket,
            ):
                page = Page(socket, user=user, password=password)
                try:
                    await page.open()
                    yield page
                finally:
                    await page.close()
        finally:
            await _ended(process)


async def _listening(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if found := _LISTENING.search(line):
            return found[1].decode()
    raise AssertionError("chromium ended before it listened")


async def _ended(process: asyncio.subprocess.Process) -> None:
    try:
        await asyncio.wait_for(process.communicate(), 10)
    except TimeoutError:
        process.kill()
        await process.wait()
