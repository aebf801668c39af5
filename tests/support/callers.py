"""A caller of the BBS under virtual time: what it says of each host, how long it takes, and what it was asked."""

import asyncio

from exporter.foundation.call import Called
from exporter.foundation.probe import DialResult
from exporter.foundation.view import CallResult, ProbeResult
from tests.support.foundations import BBS


class Calls:
    """Stands in for `BbsClient`: the BBS and its first pod accept, and what is called is answered."""

    def __init__(self) -> None:
        self.connects: dict[str, ProbeResult] = {BBS: ProbeResult.SUCCESS, "10.0.0.1": ProbeResult.SUCCESS}
        self.result: CallResult | None = CallResult.ANSWERED
        self.takes = 0.001
        self.asked: list[tuple[str, int, str | None]] = []

    async def __call__(self, host: str, port: int, *, path: str | None, timeout: float) -> Called:
        self.asked.append((host, port, path))
        await asyncio.sleep(self.takes)
        connect = self.connects.get(host, ProbeResult.REFUSED)
        called = self.result if connect is not ProbeResult.REFUSED else None
        return Called(DialResult(connect, f"{host}: as it is"), called, "in its words")
