"""Mode `approve`: the run waits for a person. As before the first delete, a pause or a resolved alert ends it."""

import asyncio
from datetime import timedelta
from functools import partial

from exporter.config.model import Foundation
from webhook.record.journal import Outcome, Run
from webhook.record.reasons import RunReason
from webhook.requests.decision import ask_approval
from webhook.runbook.context import EndRun, RunContext, Verdict
from webhook.runbook.execution import Execution


def needs_approval(run: Run, foundation: Foundation) -> bool:
    """Whether the run's mode or today's config demands a person's approval. A run that only observes needs none."""
    modes = {run.mode, foundation.remediation.mode}
    return "approve" in modes and "observe" not in modes


async def await_approval(context: RunContext, execution: Execution) -> str:
    """Waits until a person approves the run. Raises EndRun: not in time, paused, or every alert resolved."""
    await execution.save(partial(ask_approval, now=context.now()))
    limit = timedelta(seconds=context.foundation.remediation.approval_timeout)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit.total_seconds()  # the request may be on record by a clock that is ahead of ours
    await execution.announce(
        "AwaitingApproval", f"approve with: diego-runbook approve {execution.run.id}", warning=True
    )
    while True:
        await execution.checkpoint()
        approval = execution.run.approval
        if approval is not None and approval.at is not None:
            return f"approved by {approval.by}"
        if approval is None or context.now() - approval.requested > limit or loop.time() > deadline:
            text = f"nobody approved the run within {limit.total_seconds():g} s"
            raise EndRun(Verdict(Outcome.CANCELLED, RunReason.NOT_APPROVED, text))
        await asyncio.sleep(context.timings.poll)
