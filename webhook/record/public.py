"""A run as JSON: what `GET /api/v1/runs` and `diego-runbook show -o json` print."""

from typing import Any

import msgspec

from webhook.record.journal import PodState, Run


def public_run(run: Run, *, evidence: bool = True) -> dict[str, Any]:
    """The run's record; each pod also says whether this run deleted it."""
    fields: dict[str, Any] = msgspec.to_builtins(run)
    fields["pods"] = [pod | {"deleted": pod["state"] == PodState.DELETED} for pod in fields["pods"]]
    if not evidence:
        del fields["evidence"]
    return fields
