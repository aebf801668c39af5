"""What takes time to answer, without the transport: the lines of a watch as they come, and the frames of an exec."""

import asyncio
import json
from collections.abc import Callable, Iterator

from sandbox.api.server import Exec
from sandbox.api.watch import Watch
from sandbox.cluster.programs import Result

STDOUT, STDERR, ERROR = 1, 2, 3
"""Channels of the exec protocol v4.channel.k8s.io: the first byte of every frame."""
BOOKMARK_LEAD = 2.0
"""Seconds before the end of a watch at which kube-apiserver sends its last bookmark."""


class Following:
    """A watch that is being answered. To be closed."""

    def __init__(
        self,
        watch: Watch,
        *,
        subscribe: Callable[[Callable[[], None]], Callable[[], None]],
        answering: asyncio.Event,
        bookmark_interval: float | None,
    ) -> None:
        """`bookmark_interval` is in seconds; None: the client wants no bookmarks."""
        self._watch = watch
        self._answering = answering
        self._news = asyncio.Event()
        self.close = subscribe(self._news.set)
        now = asyncio.get_running_loop().time()
        self._deadline = now + watch.timeout
        self._due = iter(()) if bookmark_interval is None else _bookmarks(now, self._deadline, bookmark_interval)
        self._next_bookmark = next(self._due, None)
        self.was_cut = False
        self._ended = False

    def cut(self) -> None:
        """Ends it now, in the middle: as a server that dies, or a router that forgets the connection."""
        self.was_cut = True
        self.end()

    def end(self) -> None:
        """Ends it now, cleanly."""
        self._ended = True
        self._news.set()

    async def lines(self) -> list[bytes]:
        """What is new, as soon as there is anything; nothing at the end of the watch."""
        now = asyncio.get_running_loop().time()
        while True:
            await self._answering.wait()
            self._news.clear()
            lines = self._watch.poll()
            over = self._ended or self._watch.ended or now >= self._deadline
            if not over and self._next_bookmark is not None and now >= self._next_bookmark:
                lines.append(self._watch.bookmark())
                self._next_bookmark = next(self._due, None)
            if lines or over:
                return lines
            wake = self._deadline if self._next_bookmark is None else self._next_bookmark
            now = await self._news_until(wake)

    async def _news_until(self, wake: float) -> float:
        """Waits for news, or until that moment; returns the loop's time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(wake):
                await self._news.wait()
        except TimeoutError:
            return max(wake, loop.time())  # a loop may call a bit too early, and virtual time would stand still
        return loop.time()


def _bookmarks(start: float, deadline: float, interval: float) -> Iterator[float]:
    """Every interval, and shortly before the end; none in a watch too short for it."""
    last = deadline - BOOKMARK_LEAD
    moment = start + interval
    while moment < last:
        yield moment
        moment += interval
    if last > start:
        yield last


def opening_frames(*, stdout: bool, stderr: bool) -> list[bytes]:
    """An empty frame on each channel that was asked for."""
    return [bytes([channel]) for channel, wanted in ((STDOUT, stdout), (STDERR, stderr)) if wanted]


def closing_frames(session: Exec) -> list[bytes]:
    """What the program printed, and how it ended."""
    printed = ((STDOUT, session.result.stdout), (STDERR, session.result.stderr))
    frames = [bytes([channel]) + text.encode() for channel, text in printed if text]
    return [*frames, bytes([ERROR]) + json.dumps(_status(session.argv, session.result)).encode()]


def _status(argv: tuple[str, ...], result: Result) -> dict[str, object]:
    """How the program ended, as the API server says it on the error channel."""
    if not result.started:
        program = argv[0] if argv else ""
        cause = (
            "error executing command in container: failed to exec in container: OCI runtime exec failed: exec failed: "
            f'unable to start container process: exec: "{program}": executable file not found in $PATH: unknown'
        )
        return {
            "metadata": {},
            "status": "Failure",
            "message": f"Internal error occurred: {cause}",
            "reason": "InternalError",
            "details": {"causes": [{"message": cause}]},
            "code": 500,
        }
    if result.code == 0:
        return {"metadata": {}, "status": "Success"}
    command = " ".join(argv)
    return {
        "metadata": {},
        "status": "Failure",
        "message": (
            f"command terminated with non-zero exit code: error executing command [{command}], exit code {result.code}"
        ),
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(result.code)}]},
    }
