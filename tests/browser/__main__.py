"""Takes the screenshots of docs/status-page.md, in the incident that the browser tests play: `make screenshots`."""

import asyncio
from pathlib import Path

from tests.browser.stage import DESK, PHONE, open_page
from tests.support.browser import Page
from tests.support.incidents import break_it, fire

IMAGES = Path(__file__).parents[2] / "docs" / "images"


async def take(page: Page, name: str, width: int, height: int, *, dark: bool = False) -> None:
    await page.screen(width, dark=dark)
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    await page.screenshot(IMAGES / f"{name}.png", height=height)


async def main() -> None:
    """From the first red to the last green."""
    IMAGES.mkdir(exist_ok=True)
    async with open_page() as (page, webhook, box):
        await page.until_text("#state-cf", "healthy")
        await break_it(box)
        await fire(webhook)
        await page.until_text("#state-cf", "waits for approval")
        await take(page, "status-approval", PHONE, 760)
        await page.click("#approve-cf")
        await take(page, "status-confirm", PHONE, 760, dark=True)
        await page.click("button[type=submit]")
        await page.until_text("#run-state", "recovered")
        await take(page, "status-run", PHONE, 760)
        await page.click("nav a")
        await page.until_text("#state-cf", "healthy")
        await page.until_text("#runs", "recovered")
        await take(page, "status-recovered", DESK, 1000, dark=True)


if __name__ == "__main__":
    asyncio.run(main())
