"""The incident, healed: what is deleted, what is written, and who is told."""

from tests.support.incidents import (
    BOOKS,
    COURTESY,
    STEPS,
    THE_PODS,
    boxed,
    break_it,
    config,
    deletions,
    events,
    fire,
    healed,
    journal,
    uids,
    writes,
)
from tests.support.programs import serving


async def test_the_incident_heals() -> None:
    """Both pods go, each once, by its UID; new ones come, one of them leads, and the Cloud Controller reaches it."""
    async with boxed() as box, serving(box.write_config(config(box))) as webhook:
        before = uids(box)
        await break_it(box)
        await fire(webhook)

        run = await webhook.ended()

        assert (run["outcome"], run["reason"]) == ("recovered", "")
        assert [(step["name"], step["result"]) for step in run["steps"]] == [(name, "ok") for name in STEPS]
        healed(box, before)
        assert writes(box) == BOOKS | COURTESY | THE_PODS
