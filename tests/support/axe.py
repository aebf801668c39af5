"""axe-core in a page: what would keep a person out who cannot see it, or has no mouse."""

from functools import cache
from importlib.resources import files

from tests.support.browser import Page


@cache
def _source() -> str:
    return (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")


async def violations(page: Page) -> list[str]:
    """Each rule that the page breaks, with the elements that break it."""
    if not await page.evaluate("typeof axe === 'object'"):
        await page.evaluate(f"{_source()}; true")
    found = await page.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations.map("
        "(each) => `${each.id}: ${each.help}: ${each.nodes.map((node) => node.html).join(' | ')}`))"
    )
    return list(found)
