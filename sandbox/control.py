"""The sandbox's switchboard on a port of its own: it goes on answering while the API hangs or is dead."""

from types import TracebackType
from typing import Self

from aiohttp import web

from sandbox.cluster.switches import UnknownFaultError
from sandbox.sandbox import Sandbox

PORT = 6440


class Control:
    """`POST /fault/NAME?argument=…`, `GET /state`, `GET /faults`."""

    def __init__(self, box: Sandbox) -> None:
        self._box = box
        self.url = f"http://{box.addresses.node}:{PORT}"
        application = web.Application()
        application.router.add_post("/fault/{name}", self._fault)
        application.router.add_get("/faults", self._faults)
        application.router.add_get("/state", self._state)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1)

    async def __aenter__(self) -> Self:
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, self._box.addresses.node, PORT).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _fault(self, request: web.Request) -> web.Response:
        try:
            self._box.fault(request.match_info["name"], request.query.get("argument", ""))
        except UnknownFaultError as error:
            return web.json_response({"error": str(error), "faults": self._box.faults()}, status=404)
        return web.json_response(self._box.state())

    async def _faults(self, _request: web.Request) -> web.Response:
        return web.json_response(self._box.faults())

    async def _state(self, _request: web.Request) -> web.Response:
        return web.json_response(self._box.state())
