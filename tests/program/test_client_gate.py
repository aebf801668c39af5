"""How many lists and watches are opened at one API server at once."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from aiohttp import web

from exporter.kubernetes.api import PODS
from exporter.kubernetes.client import ApiReader
from exporter.kubernetes.connection import AT_ONCE
from exporter.kubernetes.transport import HttpTransport
from tests.support.apis import Api, event, says, streams

LISTS = 50


@pytest.mark.parametrize("gated", [True, False])
async def test_no_more_than_so_many_at_once_and_an_open_watch_makes_room(tmp_path: Path, gated: bool) -> None:
    """Else a thousand foundations would storm a server, or wait for each other's watches for ever."""
    arrived, opened, may_answer = asyncio.Semaphore(0), asyncio.Semaphore(0), asyncio.Event()
    listing = says({"metadata": {"resourceVersion": "9"}, "items": []})
    watching = streams(event("BOOKMARK", metadata={"resourceVersion": "10"}), then=30)

    async def answer(request: web.Request) -> web.StreamResponse:
        arrived.release()
        await may_answer.wait()
        return await (watching if "watch" in request.query else listing)(request)

    async def watch(reader: ApiReader) -> None:
        async with aclosing(reader.watch(PODS, since="9", window=30, silence=60.0)) as events:
            await anext(events)
            opened.release()
            await asyncio.Event().wait()

    async with Api(answer).connection(tmp_path) as connection, asyncio.timeout(60):
        transport = HttpTransport(connection, gate=connection.gate if gated else None)
        reader = ApiReader(transport, namespace="cf", observe=lambda _verb, _code: None)
        lists = [asyncio.create_task(reader.list(PODS)) for _ in range(LISTS)]
        watches = [asyncio.create_task(watch(reader)) for _ in range(AT_ONCE)]
        for _ in range(AT_ONCE if gated else AT_ONCE + LISTS):
            await arrived.acquire()
        await asyncio.sleep(0.2)  # what must not come has no sign to wait for
        assert arrived.locked()

        may_answer.set()
        await asyncio.gather(*lists)
        for _ in watches:
            await opened.acquire()
        for each in watches:
            each.cancel()
        await asyncio.wait(watches)
