"""A foundation in a box, its webhook in mode `approve` with a user, and its status page in a browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sandbox.sandbox import Sandbox
from tests.support.browser import Page, browsing
from tests.support.incidents import boxed, config
from tests.support.programs import Webhook, serving
from tests.support.sites import basic, users

APPROVE = {
    "mode": "approve",
    "confirm": {"attempts": 2, "interval": "300ms"},
    "verify": {"attempts": 2, "interval": "500ms", "timeout": "20s"},
    "cooldown": "1s",
}
QUICK: dict[str, Any] = {"bbs": {"interval": "1s", "timeout": "1s"}, "staleness": "2s"}
PHONE, DESK = 360, 1400


@asynccontextmanager
async def open_page() -> AsyncIterator[tuple[Page, Webhook, Sandbox]]:
    async with boxed() as box:
        web = box.directory / "web.yaml"
        web.write_text(users(ann="pw"))
        path = box.write_config(config(box, remediation=APPROVE, **QUICK))
        async with (
            serving(path, "--web.config.file", str(web), fast=True) as webhook,
            browsing(user="ann", password="pw") as page,
        ):
            webhook.headers = basic("ann", "pw")
            await page.screen(PHONE)
            await page.goto(f"{webhook.url}/?zoom=1h")
            yield page, webhook, box
