"""The pages in a browser: an incident on a phone, from the first red to the last green, without a reload."""

import signal

from tests.browser.stage import DESK, PHONE, QUICK, open_page
from tests.support.axe import violations
from tests.support.browser import Page, browsing
from tests.support.incidents import boxed, break_it, config, fire
from tests.support.programs import Server, running


async def fits(page: Page) -> None:
    """No screen scrolls sideways, and nobody is kept out, be it light or dark."""
    for width in (PHONE, DESK):
        for dark in (False, True):
            await page.screen(width, dark=dark)
            assert await page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0, width
            assert await violations(page) == [], (width, dark)
    await page.screen(PHONE)


async def test_an_incident_is_watched_approved_and_seen_recovered_on_a_phone() -> None:
    async with open_page() as (page, webhook, box):
        await page.until_text("#live", "Live")
        await page.until_text("#state-cf", "The BBS is reachable.")
        await page.until_text("#said", "All foundations are healthy.")
        await fits(page)
        await page.evaluate("window.loaded = 1")

        await break_it(box)
        await page.until_text("#state-cf", "The BBS is unreachable: apps cannot be staged.")
        await page.until_text("#said", "cf: broken.")
        await page.until_text("#evidence-cf", "does not accept")
        await fire(webhook)
        await page.until_text("#state-cf", "waits for approval")
        await page.until_text("#state-cf [aria-current=step]", "Wait for a person to approve")
        assert await page.evaluate("window.loaded") == 1  # all of that without a reload
        await fits(page)

        await page.click("#approve-cf")
        await page.until_text("h2", "Approve cf-")
        await fits(page)
        await page.click("button[type=submit]")
        await page.evaluate("window.loaded = 1")
        await page.until_text("#run-state", "recovered")
        await page.until_text("#run-steps", "Verify that the BBS is reachable")
        await page.until_text("#run-pods", "deleted by this run")
        assert await page.evaluate("window.loaded") == 1
        await fits(page)
        (run,) = await webhook.runs()
        assert (run["outcome"], run["approval"]["by"]) == ("recovered", "ann (status page)")

        await page.click("nav a")
        await page.until_text("#state-cf", "The BBS is reachable.")
        await page.until_text("#runs", "recovered")
        assert page.troubles == []  # the policy blocked nothing, and no script failed
        assert {url.split("/")[2] for url in page.requests} == {webhook.url.split("/")[2]}

        assert await webhook.end(signal.SIGTERM) == 0  # although a page listens
        await page.until_text("#live", "Connection lost")
        assert await page.evaluate("document.body.className") == "lost"


async def test_a_pause_is_asked_for_a_reason_and_recorded_with_it() -> None:
    async with open_page() as (page, webhook, _):
        await page.until_text("#state-cf", "healthy")
        await page.click("#pause-cf")
        await fits(page)
        await page.evaluate("document.querySelector('#reason').value = 'new <b>disks</b>'")
        await page.click("button[type=submit]")
        await page.until_text("#state-cf", "paused by ann (status page)")
        await page.until_text("#state-cf", "new <b>disks</b>")
        await fits(page)
        assert (await webhook.metrics())["diego_remediation_paused{foundation=cf}"] == 1


async def test_the_exporters_page_is_in_the_same_hand() -> None:
    async with boxed() as box:
        exporter = Server("exporter.main", box.write_config(config(box, **QUICK)))
        async with running(exporter), browsing() as page:
            await exporter.until_metrics({"diego_bbs_tcp_reachable{foundation=cf,vantage=exporter}": 1})
            await page.goto(exporter.url)
            await page.until_text("main", "The BBS is reachable.")
            await fits(page)
            assert page.troubles == []


async def test_axe_finds_a_field_without_a_label() -> None:
    """The control: it is loaded, it runs, and it finds."""
    async with browsing() as page:
        await page.goto("data:text/html,<html lang=en><title>t</title><main><h1>h</h1><input></main>")
        (found,) = await violations(page)
        assert found.startswith("label: ")
