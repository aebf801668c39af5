"""After a failed run: read what the new pods say, and add the likeliest cause to the run. Best effort."""

import logging
from dataclasses import replace

from exporter.kubernetes.api import KubernetesError
from webhook.record.journal import Outcome
from webhook.runbook import evidence
from webhook.runbook.cause import likeliest_cause
from webhook.runbook.context import EndRun, RunContext, Verdict
from webhook.runbook.execution import Execution
from webhook.runbook.proof import Prover

log = logging.getLogger(__name__)

HEADING = "after the restart:"


async def diagnosed(context: RunContext, execution: Execution, prover: Prover, verdict: Verdict) -> Verdict:
    """A verdict `failed` with the likeliest cause in its detail, any other as it is. What is not known is left out."""
    if verdict.outcome is not Outcome.FAILED:
        return verdict
    run = execution.run
    try:
        view = (await prover.look()).foundation
        names = dict.fromkeys((*(pod.statefulset for pod in run.pods), *context.foundation.diego_api.statefulset))
        pods = [pod for name in names if name in view.components for pod in view.components[name].pods]
        said = await evidence.gather(
            context.kubernetes, pods, run_id=run.id, timeout=context.timings.evidence, limit=evidence.EXCERPT_BYTES // 2
        )
    except (EndRun, KubernetesError):
        return verdict
    except Exception:  # a defect here must not keep the run from its end
        log.exception("diagnosis failed", extra={"run": run.id})
        return verdict
    cause = likeliest_cause(verdict.reason, pods, said)
    detail = verdict.detail if cause is None else f"{verdict.detail}. {cause}"
    return replace(verdict, detail=detail, evidence=f"{HEADING}\n{said}" if said else "")
